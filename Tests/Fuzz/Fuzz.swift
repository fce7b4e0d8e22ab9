import Glibc

private let targets: [String: @Sendable (UnsafeRawBufferPointer) -> Void] = [
    "http-request": HTTPTarget.request, "http-response": HTTPTarget.response, "json": JSONTarget.run, "amqp": AMQPTarget.run,
    "message": MessageTarget.run, "multipart": MultipartTarget.run, "sse": SSETarget.run,
]

/// Looked up once: the parser that `FUZZ_TARGET` names.
private let target: @Sendable (UnsafeRawBufferPointer) -> Void = {
    let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = targets[name] else {
        fatalError("FUZZ_TARGET must be one of \(targets.keys.sorted().joined(separator: ", ")), not '\(name)'.")
    }
    return target
}()

/// Reads one input. libFuzzer, whose `main` is linked, calls it until its time or its count is up.
///
/// A failed check and a trap end the process. libFuzzer then prints the input in base64 and writes
/// it to a file.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target(UnsafeRawBufferPointer(start: bytes, count: count))
    return 0
}

/// Ends the process with the reason if `holds` is false, so that libFuzzer reports the input.
func check(_ holds: Bool, _ reason: @autoclosure () -> String) {
    guard !holds else { return }
    fatalError(reason())
}

/// SplitMix64, seeded by the input itself: the same input is always cut and changed in the same way.
struct InputRandom: RandomNumberGenerator {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    init(_ input: UnsafeRawBufferPointer) {
        for byte in input { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Calls `body` with a copy of the bytes in a block of exactly their size: the address sanitizer then
/// sees a read of a single byte beyond them.
func withCopy<Result>(of bytes: some Collection<UInt8>, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    return body(UnsafeRawBufferPointer(copy))
}
