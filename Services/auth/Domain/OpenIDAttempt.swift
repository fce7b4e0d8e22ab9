import Crypto
import Values

/// A sign-in that a browser has begun at a provider and not finished. It is finished once, by the same
/// browser, within ``life``.
///
/// The state of the request names it, and the cookie of the browser binds it. Auth stores digests of
/// both. The attempts of several tabs share the cookie, and each has a state of its own.
struct OpenIDAttempt: Sendable, Equatable {
    static let life: Duration = .seconds(600)

    /// The user and the session that an identity is to be linked for.
    struct Linker: Sendable, Equatable {
        var userID: UserID
        var sessionID: SessionID
    }

    /// Binds the ID token to the attempt.
    var nonce: String
    /// The secret of PKCE (RFC 7636 §4.1).
    var verifier: String
    /// The path that the browser is sent to at the end.
    var next: String
    /// Nil for a sign-in.
    var linker: Linker?
    /// The begin of the attempt, if the provider must ask the person after it. Nil where an earlier
    /// sign-in at the provider is good enough.
    var freshSince: Instant?

    /// Makes a text of 256 random bits: a state, a cookie, a nonce or a verifier.
    static func secret() -> String { Base62.random(43) }

    /// Returns whether a text can be a secret of ours.
    static func isSecret(_ text: String) -> Bool { text.utf8.count == 43 && text.utf8.allSatisfy(Base62.isDigit) }

    /// The text that the provider compares with the verifier (RFC 7636 §4.2).
    var challenge: String { Base64.url.encode(sha256(verifier).bytes) }

    /// The name of the browser's cookie. With the prefix `__Host-` a browser accepts it from this host over
    /// HTTPS only.
    static func cookieName(publicURL: String) -> String { publicURL.hasPrefix("https:") ? "__Host-oidc" : "oidc" }
}

/// A person's identity at a provider, as an account has it.
struct ExternalIdentity: Sendable, Equatable {
    /// The identities that an account may have.
    static let countMax = 10

    var issuer: String
    var subject: String
    /// The provider's id in the configuration at that time.
    var providerID: String
    /// The address that the provider reported last.
    var email: String?
    var createdAt: Instant
    var lastUsedAt: Instant
}
