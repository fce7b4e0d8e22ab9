import Text

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
        var random = RandomNumbers()
        return make(milliseconds: Instant.now().microseconds / 1_000, using: &random)
    }

    package static func make(milliseconds: Int64, using random: inout some RandomNumberGenerator) -> UUIDv7 {
        let words = UUIDText.version7(milliseconds: milliseconds, using: &random)
        return UUIDv7(high: words.high, low: words.low)
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
        guard let words = UUIDText.read(text) else { return nil }
        self.init(high: words.high, low: words.low)
    }

    package var description: String { UUIDText.write(high: high, low: low) }
}
