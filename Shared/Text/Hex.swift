/// Hexadecimal digits.
package enum Hex {
    /// Returns the value of a digit, upper or lower case.
    package static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    /// Returns the value of a digit; nil for upper case.
    package static func lowerCaseDigit(_ byte: UInt8) -> UInt8? { byte < 0x41 || byte > 0x5A ? digit(byte) : nil }

    /// Writes the last `digits` digits of a number in lower case.
    package static func write(_ value: UInt64, digits: Int, to output: UnsafeMutableBufferPointer<UInt8>, at start: Int) {
        var rest = value
        var index = start + digits
        while index >= start + 8 {
            index -= 8
            UnsafeMutableRawBufferPointer(output).storeBytes(
                of: eightDigits(UInt32(truncatingIfNeeded: rest)).bigEndian, toByteOffset: index, as: UInt64.self)
            rest >>= 32
        }
        while index > start {
            index -= 1
            let digit = UInt8(truncatingIfNeeded: rest & 15)
            output[index] = digit < 10 ? 0x30 + digit : 0x57 + digit
            rest >>= 4
        }
    }

    /// Returns the digits of a number, the first one in the highest byte.
    private static func eightDigits(_ value: UInt32) -> UInt64 {
        var digits = UInt64(value)
        digits = (digits | digits << 16) & 0x0000_FFFF_0000_FFFF
        digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits | digits << 4) & 0x0F0F_0F0F_0F0F_0F0F
        let letters = (digits &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return digits &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    }

    /// Returns two lower-case digits a byte.
    package static func text(_ bytes: some Collection<UInt8>) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { output in
            for (index, byte) in bytes.enumerated() { write(UInt64(byte), digits: 2, to: output, at: index * 2) }
            return bytes.count * 2
        }
    }

    /// Reads two lower-case digits a byte. Returns nil for anything else.
    package static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.utf8.compactMap(lowerCaseDigit)
        guard digits.count == text.utf8.count, digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
