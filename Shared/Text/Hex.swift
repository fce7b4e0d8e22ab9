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
        for index in stride(from: start + digits - 1, through: start, by: -1) {
            let digit = UInt8(truncatingIfNeeded: rest & 15)
            output[index] = digit < 10 ? 0x30 + digit : 0x57 + digit
            rest >>= 4
        }
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
