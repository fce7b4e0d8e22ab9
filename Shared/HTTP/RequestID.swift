import Glibc
import HTTPWire
import Synchronization

/// Names one request in answers, logs and messages: the client's own `x-request-id`, or a new UUIDv7's text.
package enum RequestID {
    static let header: StaticString = "x-request-id"

    /// Accepts 1 to 128 visible ASCII characters (0x21–0x7E); anything else would be somebody's way into our logs.
    static func of(_ headers: HeaderBlock) -> String {
        if let index = headers.find(header) {
            let text = headers.withValue(at: index) { value -> String? in
                guard 1...128 ~= value.count, value.allSatisfy({ 0x21...0x7E ~= $0 }) else { return nil }
                return String(decoding: value, as: UTF8.self)
            }
            if let text { return text }
        }
        return make()
    }

    // Unique, not secret: SplitMix64 over one shared counter with a random start costs no system call.
    private static let state = Atomic<UInt64>(UInt64.random(in: .min ... .max))

    private static func random() -> UInt64 {
        var value = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, 74 random ones.
    package static func make() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let milliseconds = UInt64(time.tv_sec) * 1_000 + UInt64(time.tv_nsec) / 1_000_000
        let high = milliseconds << 16 | 0x7000 | random() & 0x0FFF
        let low = random() >> 2 | 0x8000_0000_0000_0000
        return String(unsafeUninitializedCapacity: 36) { output in
            var place = 0
            for (word, groups) in [(high, [8, 4, 4]), (low, [4, 12])] as [(UInt64, [Int])] {
                var shift = 60
                for digits in groups {
                    if place > 0 {
                        output[place] = UInt8(ascii: "-")
                        place += 1
                    }
                    for _ in 0..<digits {
                        let digit = UInt8(truncatingIfNeeded: word >> UInt64(shift) & 15)
                        output[place] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
                        place += 1
                        shift -= 4
                    }
                }
            }
            return place
        }
    }
}

extension HeaderBlock {
    init(requestID: String) {
        self.init()
        add(RequestID.header, requestID)
    }
}
