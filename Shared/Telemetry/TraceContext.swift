import Text

/// Where in a trace we are: W3C Trace Context level 1, `traceparent` version 00.
package struct TraceContext: Sendable, Hashable {
    package let traceHigh: UInt64
    package let traceLow: UInt64
    package let spanID: UInt64
    package let flags: UInt8

    /// The trace of the running task. Log lines and spans take it if none is given.
    @TaskLocal package static var current: TraceContext?

    /// The header that carries it, over HTTP and in messages.
    package static let headerName: StaticString = "traceparent"

    package var isSampled: Bool { flags & 1 == 1 }

    package init(traceHigh: UInt64, traceLow: UInt64, spanID: UInt64, flags: UInt8) {
        (self.traceHigh, self.traceLow, self.spanID, self.flags) = (traceHigh, traceLow, spanID, flags)
    }

    /// A new trace, sampled.
    package static func new() -> TraceContext {
        TraceContext(traceHigh: newID(), traceLow: newID(), spanID: newID(), flags: 1)
    }

    /// The same trace, a new span.
    package func child() -> TraceContext {
        TraceContext(traceHigh: traceHigh, traceLow: traceLow, spanID: newID(), flags: flags)
    }

    // MARK: Text

    /// Nil for what §3.2 says to ignore: malformed, upper-case hex, version ff, zero ids. Later versions may append fields.
    package init?(traceparent: String) {
        var text = traceparent
        let parsed: TraceContext? = text.withUTF8 { bytes in
            guard bytes.count >= 55, bytes[2] == 0x2D, bytes[35] == 0x2D, bytes[52] == 0x2D,
                let version = number(bytes[0..<2]), version != 0xFF,
                version == 0 ? bytes.count == 55 : (bytes.count == 55 || bytes[55] == 0x2D),
                let high = number(bytes[3..<19]), let low = number(bytes[19..<35]), high | low != 0,
                let span = number(bytes[36..<52]), span != 0,
                let flags = number(bytes[53..<55])
            else { return nil }
            return TraceContext(traceHigh: high, traceLow: low, spanID: span, flags: UInt8(flags) & 1)
        }
        guard let parsed else { return nil }
        self = parsed
    }

    package var traceparent: String {
        String(unsafeUninitializedCapacity: 55) { output in
            (output[0], output[1], output[2]) = (0x30, 0x30, 0x2D)
            Hex.write(traceHigh, digits: 16, to: output, at: 3)
            Hex.write(traceLow, digits: 16, to: output, at: 19)
            output[35] = 0x2D
            Hex.write(spanID, digits: 16, to: output, at: 36)
            output[52] = 0x2D
            Hex.write(UInt64(flags), digits: 2, to: output, at: 53)
            return 55
        }
    }

    /// 32 hexadecimal digits.
    package var traceIDText: String {
        String(unsafeUninitializedCapacity: 32) { output in
            Hex.write(traceHigh, digits: 16, to: output, at: 0)
            Hex.write(traceLow, digits: 16, to: output, at: 16)
            return 32
        }
    }

    /// 16 hexadecimal digits.
    package var spanIDText: String {
        String(unsafeUninitializedCapacity: 16) { output in
            Hex.write(spanID, digits: 16, to: output, at: 0)
            return 16
        }
    }
}

/// Reads lower-case digits.
private func number(_ digits: Slice<UnsafeBufferPointer<UInt8>>) -> UInt64? {
    var value: UInt64 = 0
    for byte in digits {
        guard let digit = Hex.lowerCaseDigit(byte) else { return nil }
        value = value << 4 | UInt64(digit)
    }
    return value
}

/// Returns an id that is not 0, which means none (W3C Trace Context §3.2.2).
private func newID() -> UInt64 {
    var numbers = UniqueNumbers()
    let id = numbers.next()
    return id == 0 ? 1 : id
}
