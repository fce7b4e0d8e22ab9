import Synchronization

/// Where in a trace we are: W3C Trace Context level 1, `traceparent` version 00.
package struct TraceContext: Sendable, Hashable {
    package let traceHigh: UInt64
    package let traceLow: UInt64
    package let spanID: UInt64
    package let flags: UInt8

    /// Of the task that runs; log lines and spans take it when none is given.
    @TaskLocal package static var current: TraceContext?

    package var isSampled: Bool { flags & 1 == 1 }

    package init(traceHigh: UInt64, traceLow: UInt64, spanID: UInt64, flags: UInt8) {
        (self.traceHigh, self.traceLow, self.spanID, self.flags) = (traceHigh, traceLow, spanID, flags)
    }

    /// A new trace, sampled.
    package static func new() -> TraceContext {
        TraceContext(traceHigh: IDSource.next(), traceLow: IDSource.next(), spanID: IDSource.next(), flags: 1)
    }

    /// The same trace, a new span.
    package func child() -> TraceContext {
        TraceContext(traceHigh: traceHigh, traceLow: traceLow, spanID: IDSource.next(), flags: flags)
    }

    // MARK: Text

    /// Nil for what §3.2 says to ignore: malformed, upper-case hex, version ff, zero ids. Later versions may append fields.
    package init?(traceparent: String) {
        var text = traceparent
        let parsed: TraceContext? = text.withUTF8 { bytes in
            guard bytes.count >= 55, bytes[2] == 0x2D, bytes[35] == 0x2D, bytes[52] == 0x2D,
                let version = Hex.parse(bytes[0..<2]), version != 0xFF,
                version == 0 ? bytes.count == 55 : (bytes.count == 55 || bytes[55] == 0x2D),
                let high = Hex.parse(bytes[3..<19]), let low = Hex.parse(bytes[19..<35]), high | low != 0,
                let span = Hex.parse(bytes[36..<52]), span != 0,
                let flags = Hex.parse(bytes[53..<55])
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

enum Hex {
    static func parse(_ digits: Slice<UnsafeBufferPointer<UInt8>>) -> UInt64? {
        var value: UInt64 = 0
        for byte in digits {
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt64(byte - 0x30)
            case 0x61...0x66: value = value << 4 | UInt64(byte - 0x57)
            default: return nil
            }
        }
        return value
    }

    static func write(_ value: UInt64, digits: Int, to output: UnsafeMutableBufferPointer<UInt8>, at start: Int) {
        var rest = value
        for index in stride(from: start + digits - 1, through: start, by: -1) {
            let digit = UInt8(truncatingIfNeeded: rest & 15)
            output[index] = digit < 10 ? 0x30 + digit : 0x57 + digit
            rest >>= 4
        }
    }
}

/// Ids that are unique, not secret: SplitMix64 over one shared counter with a random start. The system's generator would cost a
/// system call for each id.
private enum IDSource {
    private static let state = Atomic<UInt64>(UInt64.random(in: .min ... .max))

    static func next() -> UInt64 {
        var value = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        value ^= value >> 31
        return value == 0 ? 1 : value
    }
}
