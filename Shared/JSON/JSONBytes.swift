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

    @inline(__always)
    static func load(_ base: UnsafePointer<UInt8>, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(base + offset).loadUnaligned(as: UInt64.self))
    }

    @inline(__always)
    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    static func hexValue(_ byte: UInt8) -> UInt16? {
        switch byte {
        case 0x30...0x39: UInt16(byte &- 0x30)
        case 0x41...0x46: UInt16(byte &- 0x41 &+ 10)
        case 0x61...0x66: UInt16(byte &- 0x61 &+ 10)
        default: nil
        }
    }
}
