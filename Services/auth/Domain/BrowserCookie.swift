import Crypto

/// The cookie by which a browser shows that an account signed in from it before:
/// `ssb_<id:22>_<signature:43>`. It replaces no password. It makes the browser a place of its own for
/// ``SignInThrottle``.
///
/// The signature is HMAC-SHA-256 over the id, the user and the version of the user's tokens, so nothing is
/// stored, and a change of the password ends all cookies from before.
struct BrowserCookie: Sendable, Equatable {
    /// The name of the cookie.
    static let name = "browser"
    static let life: Duration = .seconds(400 * 86_400)
    private static let prefix = "ssb_"
    private static let idDigits = 4..<26
    private static let byteCount = 70

    /// Base 62.
    let id: String
    private let signature: [UInt8]

    /// Reads a cookie, without a check of its signature. Nil for a text of another form.
    init?(_ text: some Collection<UInt8>) {
        guard text.count == Self.byteCount else { return nil }
        let text = Array(text)
        guard text.starts(with: Self.prefix.utf8), text[Self.idDigits].allSatisfy(Base62.isDigit), text[26] == UInt8(ascii: "_"),
            let signature = Base64.url.decode(text[27...])
        else { return nil }
        id = String(decoding: text[Self.idDigits], as: UTF8.self)
        self.signature = signature
    }

    private init(id: String, signature: [UInt8]) { (self.id, self.signature) = (id, signature) }

    /// Makes the cookie of a browser for an account.
    /// - Parameters:
    ///   - id: the id of a cookie that the browser has; nil for a new one.
    static func make(id: String?, for user: User, keys: BrowserCookieKeys) -> BrowserCookie {
        let id = id ?? Base62.random(22)
        return BrowserCookie(id: id, signature: keys.sign(id, user))
    }

    var text: String { "\(Self.prefix)\(id)_\(Base64.url.encode(signature))" }

    /// True if the cookie was made for this account.
    func isGenuine(for user: User, keys: BrowserCookieKeys) -> Bool { keys.matches(signature, id, user) }
}

/// The keys of browser cookies, made from the master keys.
struct BrowserCookieKeys: Sendable {
    /// The current key first.
    private let keys: [[UInt8]]

    init(_ masterKeys: MasterKeyRing) { keys = masterKeys.keys.map { $0.key.derived(for: "browser cookie v1") } }

    fileprivate func sign(_ id: String, _ user: User) -> [UInt8] { Self.signature(keys[0], id, user) }

    fileprivate func matches(_ signature: [UInt8], _ id: String, _ user: User) -> Bool {
        keys.contains { constantTimeEqual(Self.signature($0, id, user), signature) }
    }

    private static func signature(_ key: [UInt8], _ id: String, _ user: User) -> [UInt8] {
        hmacSHA256(key: key, Array("\(id)/\(user.id)/\(user.tokenVersion)".utf8))
    }
}
