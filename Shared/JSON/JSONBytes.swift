/// Looks at eight bytes at a time. Masks have the high bit of a byte set where it matches; the lowest set bit is exact, higher
/// ones may be false, so callers look at the first match only.
enum JSONBytes {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highs: UInt64 = 0x8080_8080_8080_8080

    @inline(__always)
    private static func matches(_ word: UInt64, _ byte: UInt8) -> UInt64 {
        let difference = word ^ (ones &* UInt64(byte))
        return (difference &- ones) & ~difference & highs
    }

    /// Quote, backslash or control character.
    @inline(__always)
    static func special(_ word: UInt64) -> UInt64 {
        let controls = (word &- (ones &* 0x20)) & ~word & highs
        return matches(word, 0x22) | matches(word, 0x5C) | controls
    }

    /// Quote, backslash, control character or anything that is not ASCII.
    @inline(__always)
    static func specialOrNotASCII(_ word: UInt64) -> UInt64 { special(word) | (word & highs) }

    @inline(__always)
    static func quoteOrBackslash(_ word: UInt64) -> UInt64 { matches(word, 0x22) | matches(word, 0x5C) }

    /// Skips bytes from `start` until the mask of one is set, or fewer than eight are left before `end`.
    @inline(__always)
    static func skip(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int, until mask: (UInt64) -> UInt64) -> Int {
        var at = start
        while at &+ 8 <= end {
            let found = mask(load(base, at))
            guard found == 0 else { return at &+ found.trailingZeroBitCount >> 3 }
            at &+= 8
        }
        return at
    }

    @inline(__always)
    static func load(_ base: UnsafePointer<UInt8>, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(base + offset).loadUnaligned(as: UInt64.self))
    }

    /// Returns the number that four hexadecimal digits stand for. Nil if one is no digit.
    @inline(__always)
    static func codeUnit(_ base: UnsafePointer<UInt8>, _ offset: Int) -> UInt16? {
        let word = UInt32(bigEndian: UnsafeRawPointer(base + offset).loadUnaligned(as: UInt32.self))
        guard word & 0x8080_8080 == 0 else { return nil }
        let small = word | 0x2020_2020
        // A high bit is set where the byte is 0…9, and where it is a…f.
        let digits = (word &+ 0x5050_5050) & ~(word &+ 0x4646_4646)
        let letters = (small &+ 0x1F1F_1F1F) & ~(small &+ 0x1919_1919)
        guard (digits | letters) & 0x8080_8080 == 0x8080_8080 else { return nil }
        var value = (word & 0x0F0F_0F0F) &+ (word >> 6 & 0x0101_0101) &* 9
        value = (value | value >> 4) & 0x00FF_00FF
        return UInt16(truncatingIfNeeded: value | value >> 8)
    }

    @inline(__always)
    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }
}
