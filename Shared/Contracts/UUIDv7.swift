import Glibc

/// A 128-bit identifier; those made here are UUID version 7 (RFC 9562 §5.7), so they sort by the millisecond they were made in.
///
/// A UUID of any other version can be carried too; only ``milliseconds`` is then without meaning.
package struct UUIDv7: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new identifier: 48 bits of wall-clock milliseconds, then 74 random bits.
    package static func make() -> UUIDv7 {
        var random = SystemRandomNumberGenerator()
        return make(milliseconds: Instant.now().microseconds / 1_000, using: &random)
    }

    package static func make(milliseconds: Int64, using random: inout some RandomNumberGenerator) -> UUIDv7 {
        let time = UInt64(bitPattern: milliseconds) << 16
        return UUIDv7(
            high: time | 0x7000 | (random.next() & 0x0FFF),
            low: 0x8000_0000_0000_0000 | (random.next() & 0x3FFF_FFFF_FFFF_FFFF))
    }

    /// Unix time of making, for version 7.
    package var milliseconds: Int64 { Int64(high >> 16) }

    package var bytes: [UInt8] {
        [high, low].flatMap { word in stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) } }
    }
}

extension UUIDv7: Comparable {
    package static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

extension UUIDv7: LosslessStringConvertible {
    /// Reads the 36-character form, upper or lower case; nothing else (RFC 9562 §4).
    package init?(_ text: String) {
        var text = text
        let parsed: (UInt64, UInt64)? = text.withUTF8 { bytes in
            guard bytes.count == 36 else { return nil }
            var words: (UInt64, UInt64) = (0, 0)
            var digits = 0
            for (index, byte) in bytes.enumerated() {
                if index == 8 || index == 13 || index == 18 || index == 23 {
                    guard byte == UInt8(ascii: "-") else { return nil }
                    continue
                }
                guard let digit = Self.hexDigit(byte) else { return nil }
                if digits < 16 { words.0 = words.0 << 4 | digit } else { words.1 = words.1 << 4 | digit }
                digits += 1
            }
            return words
        }
        guard let parsed else { return nil }
        self.init(high: parsed.0, low: parsed.1)
    }

    package var description: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            var position = 0
            for shift in 0..<32 {
                if shift == 8 || shift == 12 || shift == 16 || shift == 20 {
                    buffer[position] = UInt8(ascii: "-")
                    position += 1
                }
                let word = shift < 16 ? high : low
                let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (shift % 16))) & 0xF
                buffer[position] = digit < 10 ? digit + 48 : digit + 87
                position += 1
            }
            return 36
        }
    }

    private static func hexDigit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 48...57: UInt64(byte - 48)
        case 65...70: UInt64(byte - 55)
        case 97...102: UInt64(byte - 87)
        default: nil
        }
    }
}
