import Crypto

/// The code that a person types to connect a device (RFC 8628 §6.1): 8 characters of 28, which is 38.5
/// bits. Without vowels it spells no word, and without 0, 1, O and I it is read without doubt.
struct UserCode: Sendable, Equatable {
    private static let alphabet = Array("BCDFGHJKLMNPQRSTVWXZ23456789".utf8)
    private static let length = 8

    /// Upper case, without a dash.
    let text: String

    /// The code as devices and pages show it, in two halves: `WDJB-MJHT`.
    var shown: String { "\(text.prefix(Self.length / 2))-\(text.suffix(Self.length / 2))" }

    static func make() -> UserCode {
        var out: [UInt8] = []
        while out.count < length {
            // 252 is the largest multiple of 28 in a byte: what lies above would favour the first characters.
            for byte in randomBytes(length - out.count) where byte < 252 { out.append(alphabet[Int(byte) % alphabet.count]) }
        }
        return UserCode(text: String(decoding: out, as: UTF8.self))
    }

    /// Reads a code as a person types it: in any case, with dashes, blanks or other punctuation.
    /// - Returns: nil for a text that is no code.
    init?(typed text: String) {
        guard text.utf8.count <= 64 else { return nil }
        let letters = text.unicodeScalars.filter { $0.properties.isAlphabetic || $0.properties.numericType != nil }
        let bytes = Array(String(String.UnicodeScalarView(letters)).uppercased().utf8)
        guard bytes.count == Self.length, bytes.allSatisfy(Self.alphabet.contains) else { return nil }
        self.text = String(decoding: bytes, as: UTF8.self)
    }

    private init(text: String) { self.text = text }

    /// The form at rest: 38.5 bits are too few for a hash without a key.
    func digest(_ key: [UInt8]) -> [UInt8] { hmacSHA256(key: key, Array(text.utf8)) }
}
