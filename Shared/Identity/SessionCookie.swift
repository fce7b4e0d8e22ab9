package import Crypto
package import Values

/// The cookie of a signed-in browser: `sss_<session:22>_<secret:32>_<crc:6>`, all base 62.
///
/// The first part is the id of the session. The secret has 190 bits, so plain SHA-256 is enough at
/// rest. The checksum lets a service refuse other texts without asking auth.
package struct SessionCookie: Sendable {
    package let sessionID: SessionID
    /// SHA-256 of the secret part: all that is stored, and all that travels.
    package let secretDigest: SHA256Digest
    /// Checks that a page of this session sent a request.
    package let csrf: CSRFKey

    package static let prefix = "sss_"
    private static let idDigits = 4..<26
    private static let secretDigits = 27..<59
    private static let byteCount = 66

    /// The name of the cookie at an installation. With the prefix `__Host-` a browser accepts it from
    /// this host over HTTPS only (RFC 6265bis §4.1.3.2).
    package static func name(publicURL: String) -> String { publicURL.hasPrefix("https:") ? "__Host-session" : "session" }

    /// Makes the cookie of a new session. `text` is sent to the browser once and kept nowhere.
    package static func make(for session: SessionID) -> (cookie: SessionCookie, text: String) {
        let body = "\(prefix)\(Base62.encode(session.rawValue.bytes))_\(Base62.random(32))"
        let text = "\(body)_\(Base62.encode(crc32(body.utf8)))"
        guard let cookie = SessionCookie(Array(text.utf8)) else { preconditionFailure("a cookie that was just made has its form") }
        return (cookie, text)
    }

    /// Nil for anything that is not of this form or whose checksum is wrong.
    package init?(_ text: [UInt8]) {
        guard text.count == Self.byteCount, text.starts(with: Self.prefix.utf8),
            text[26] == UInt8(ascii: "_"), text[59] == UInt8(ascii: "_"),
            text[Self.secretDigits].allSatisfy(Base62.isDigit),
            text[60...].elementsEqual(Base62.encode(crc32(text[..<59])).utf8),
            let id = Base62.decode(String(decoding: text[Self.idDigits], as: UTF8.self), count: 16)
        else { return nil }
        sessionID = SessionID(rawValue: UUIDv7(bytes: id))
        let secret = Array(text[Self.secretDigits])
        secretDigest = sha256(secret)
        csrf = CSRFKey(secret: secret)
    }
}

extension UUIDv7 {
    /// - Parameter bytes: 16 bytes.
    fileprivate init(bytes: [UInt8]) {
        func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        self.init(high: word(bytes[..<8]), low: word(bytes[8...]))
    }
}
