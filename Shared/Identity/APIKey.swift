package import Crypto
package import Values

/// `ssk_<id:10>_<secret:32>_<crc:6>`, all base 62. The prefix lets scanners find leaked keys. The checksum lets them and the services
/// refuse other texts without asking auth. The secret has 190 bits, so plain SHA-256 is enough at rest.
///
/// Pattern for secret scanners: `ssk_[0-9A-Za-z]{10}_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}`.
package struct APIKey: Sendable {
    package let id: APIKeyID
    /// SHA-256 of the secret part: all that is stored, and all that travels.
    package let secretDigest: SHA256Digest
    package var fingerprint: APIKeyFingerprint { APIKeyFingerprint(secretSHA256: secretDigest.bytes) }
    /// The end of the secret, which the owner may see again.
    package let last4: String

    package static let prefix = "ssk_"
    private static let idDigits = 4..<14
    private static let secretDigits = 15..<47
    private static let byteCount = 54

    /// A new key. `text` is shown to its owner once and kept nowhere.
    package static func make() -> (key: APIKey, text: String) {
        let body = "\(prefix)\(Base62.random(10))_\(Base62.random(32))"
        let text = "\(body)_\(Base62.encode(crc32(body.utf8)))"
        guard let key = APIKey(Array(text.utf8)) else { preconditionFailure("a key that was just made has its form") }
        return (key, text)
    }

    /// Nil for anything that is not of this form or whose checksum is wrong.
    package init?(_ text: [UInt8]) {
        guard text.count == Self.byteCount, text.starts(with: Self.prefix.utf8),
            text[14] == UInt8(ascii: "_"), text[47] == UInt8(ascii: "_"),
            text[Self.idDigits].allSatisfy(Base62.isDigit), text[Self.secretDigits].allSatisfy(Base62.isDigit),
            text[48...].elementsEqual(Base62.encode(crc32(text[..<47])).utf8)
        else { return nil }
        id = APIKeyID(rawValue: String(decoding: text[Self.idDigits], as: UTF8.self))
        secretDigest = sha256(Array(text[Self.secretDigits]))
        last4 = String(decoding: text[43..<47], as: UTF8.self)
    }
}
