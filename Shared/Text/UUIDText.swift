/// The 36-character form of a UUID (RFC 9562 §4).
package enum UUIDText {
    /// The places of the dashes.
    private static let dashes = [8, 13, 18, 23]

    /// Writes lower-case digits.
    package static func write(high: UInt64, low: UInt64) -> String {
        String(unsafeUninitializedCapacity: 36) { output in
            Hex.write(high >> 32, digits: 8, to: output, at: 0)
            Hex.write(high >> 16, digits: 4, to: output, at: 9)
            Hex.write(high, digits: 4, to: output, at: 14)
            Hex.write(low >> 48, digits: 4, to: output, at: 19)
            Hex.write(low, digits: 12, to: output, at: 24)
            for place in dashes { output[place] = UInt8(ascii: "-") }
            return 36
        }
    }

    /// Reads digits of either case; nil for any other form.
    package static func read(_ text: String) -> (high: UInt64, low: UInt64)? {
        var text = text
        return text.withUTF8 { bytes in
            guard bytes.count == 36, dashes.allSatisfy({ bytes[$0] == UInt8(ascii: "-") }) else { return nil }
            var words: (high: UInt64, low: UInt64) = (0, 0)
            var digits = 0
            for (index, byte) in bytes.enumerated() where !dashes.contains(index) {
                guard let digit = Hex.digit(byte) else { return nil }
                if digits < 16 { words.high = words.high << 4 | UInt64(digit) } else { words.low = words.low << 4 | UInt64(digit) }
                digits += 1
            }
            return words
        }
    }

    /// Makes the two words of a UUID version 7 (RFC 9562 §5.7): 48 bits of Unix time in
    /// milliseconds, then 74 random bits.
    package static func version7(milliseconds: Int64, using random: inout some RandomNumberGenerator) -> (high: UInt64, low: UInt64) {
        (
            high: UInt64(bitPattern: milliseconds) << 16 | 0x7000 | random.next() & 0x0FFF,
            low: 0x8000_0000_0000_0000 | random.next() & 0x3FFF_FFFF_FFFF_FFFF
        )
    }
}
