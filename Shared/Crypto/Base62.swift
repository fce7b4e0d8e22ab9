/// Digits, upper case, lower case: survives double clicks, URLs, shells and log search, which base64 does not.
package enum Base62 {
    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    package static func isDigit(_ character: UInt8) -> Bool { value(of: character) != nil }

    private static func value(of character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 36
        default: nil
        }
    }

    /// Returns the number that up to ten digits write; nil for more digits, or another character.
    package static func number(_ digits: some Collection<UInt8>) -> UInt64? {
        guard digits.count <= 10 else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            guard let value = value(of: digit) else { return nil }
            number = number * 62 + UInt64(value)
        }
        return number
    }

    /// `count` characters, each uniform: 5.95 bits apiece.
    package static func random(_ count: Int) -> String {
        var out: [UInt8] = []
        while out.count < count {
            // 248 is the largest multiple of 62 in a byte: what lies above would favour the first digits.
            for byte in randomBytes(count - out.count) where byte < 248 { out.append(alphabet[Int(byte % 62)]) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Six digits, most significant first.
    package static func encode(_ checksum: UInt32) -> String {
        var rest = checksum
        var out = [UInt8](repeating: alphabet[0], count: 6)
        for index in out.indices.reversed() {
            out[index] = alphabet[Int(rest % 62)]
            rest /= 62
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The bytes as one big-endian number in base 62, in as many digits as that length of bytes can need.
    package static func encode(_ bytes: [UInt8]) -> String {
        var number = bytes
        var out = [UInt8](repeating: alphabet[0], count: digits(for: bytes.count))
        for index in out.indices.reversed() {
            var remainder = 0
            for position in number.indices {
                let value = remainder << 8 | Int(number[position])
                number[position] = UInt8(value / 62)
                remainder = value % 62
            }
            out[index] = alphabet[remainder]
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Nil for a length, a digit or a number that ``encode(_:)`` of `count` bytes would not have written.
    package static func decode(_ text: some StringProtocol, count: Int) -> [UInt8]? {
        guard text.utf8.count == digits(for: count) else { return nil }
        var number = [UInt8](repeating: 0, count: count)
        for character in text.utf8 {
            guard var carry = value(of: character).map(Int.init) else { return nil }
            for position in number.indices.reversed() {
                let value = Int(number[position]) * 62 + carry
                number[position] = UInt8(value & 0xFF)
                carry = value >> 8
            }
            guard carry == 0 else { return nil }
        }
        return number
    }

    // 8 / log2(62) = 1.34359…
    private static func digits(for bytes: Int) -> Int { (bytes * 134_360 + 99_999) / 100_000 }
}

private let crc32Table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
}

/// CRC-32/ISO-HDLC, the one of zip and Ethernet. Tells a mistyped or cut token from a whole one; proves nothing else.
package func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { value, byte in crc32Table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] ^ value >> 8 }
}
