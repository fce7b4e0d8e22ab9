import Crypto
import JSON
import Text
import Values

/// The claims of a person whom a provider has signed in.
struct OpenIDClaims: Sendable, Equatable {
    /// The person's name at the provider: 1 to 255 printable ASCII characters, compared byte by byte.
    var subject: String
    /// Nil if there is none, or none that mail of ours can reach.
    var email: EmailAddress?
    /// True only if the provider says so of this address.
    var isEmailVerified: Bool
    var name: String?
    /// The time at which the provider asked the person, in seconds since 1970. Nil if the provider does
    /// not report it.
    var authenticatedAt: Int64?

    /// Reads the claims of an ID token or of an answer of the UserInfo endpoint.
    init(_ json: JSONObject) throws(OpenIDFlaw) {
        guard let subject = try? json.string("sub"), (1...255).contains(subject.utf8.count),
            subject.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { throw .subject }
        self.subject = subject
        email = (try? json.optionalString("email")).flatMap { EmailAddress($0) }
        isEmailVerified = json.member("email_verified")?.kind == .true
        name = (try? json.optionalString("name")).flatMap(Self.fullName)
        authenticatedAt = try? json.integer("auth_time")
    }

    /// Returns the claims with the address of a UserInfo answer, and its name if the ID token has none.
    func completed(by told: OpenIDClaims) throws(OpenIDFlaw) -> OpenIDClaims {
        // An answer about another person may be the work of an attacker (§5.3.2).
        guard told.subject == subject else { throw .userInfo }
        var claims = self
        (claims.email, claims.isEmailVerified, claims.name) = (told.email, told.isEmailVerified, name ?? told.name)
        return claims
    }

    /// Returns whether the provider asked the person at this time or later, as far as clocks agree.
    func isAuthenticated(since time: Instant) -> Bool {
        authenticatedAt.map { $0 >= time.seconds - IDTokenVerifier.clockTolerance } ?? false
    }

    /// The age of a sign-in whose provider does not say when it asked the person. It is too old for acts
    /// that need a sign-in of the last 15 minutes: the provider may have asked nothing.
    static let unknownAge: Duration = .seconds(1_800)

    /// Returns the time of the sign-in for a session.
    func authenticated(by now: Instant) -> Instant {
        guard let authenticatedAt else { return now - Self.unknownAge }
        guard authenticatedAt < now.seconds else { return now }
        return Instant(microseconds: max(authenticatedAt, 0) * 1_000_000)
    }

    /// Returns a name as an account may have it: visible, and at most 200 characters long.
    private static func fullName(_ text: String) -> String? {
        let seen = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.isVisible ? $0 : " " }.prefix(200)))
        return DisplayName(seen, lengthMax: 200).flatMap { $0.text.isEmpty ? nil : $0.text }
    }
}

/// Reads an ID token without I/O (OpenID Connect Core §3.1.3.7). The algorithm follows from the key,
/// never from the token.
struct IDTokenVerifier: Sendable {
    let issuer: String
    let clientID: String

    /// Seconds by which the clock of the provider may differ from ours.
    static let clockTolerance: Int64 = 60

    /// - Parameters:
    ///   - accessToken: the access token that came with the ID token; nil if none came.
    ///   - nonce: the nonce of the attempt.
    func verify(_ token: String, accessToken: String?, nonce: String, keys: OpenIDKeys, now: Instant) throws(OpenIDFlaw) -> OpenIDClaims {
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map { Array($0) }
        guard parts.count == 3, let header = Self.object(parts[0]), let signature = Base64.url.decode(parts[2][...]) else { throw .token }
        let key = try key(for: header, among: keys)
        guard key.verify(signature, of: parts[0] + [UInt8(ascii: ".")] + parts[1]) else { throw .signature }
        guard let claims = Self.object(parts[1]) else { throw .token }
        guard (try? claims.string("iss")) == issuer else { throw .tokenIssuer }
        try checkAudience(claims)
        guard let expiresAt = try? claims.integer("exp"), expiresAt > now.seconds - Self.clockTolerance else { throw .expired }
        guard let issuedAt = try? claims.integer("iat"), issuedAt <= now.seconds + Self.clockTolerance else { throw .issuedAt }
        guard (try? claims.string("nonce")) == nonce else { throw .nonce }
        if claims.member("at_hash") != nil {
            guard let accessToken, (try? claims.string("at_hash")) == Self.hash(of: accessToken) else { throw .accessTokenHash }
        }
        return try OpenIDClaims(claims)
    }

    private func key(for header: JSONObject, among keys: OpenIDKeys) throws(OpenIDFlaw) -> OpenIDKeys.Key {
        // An extension that must be understood (RFC 7515 §4.1.11). None is.
        guard header.member("crit") == nil, !header.has("kid") || (try? header.string("kid")) != nil else { throw .token }
        guard let algorithm = try? header.string("alg"), ["RS256", "ES256"].contains(algorithm) else { throw .algorithm }
        guard let key = keys.key(try? header.string("kid"), algorithm: algorithm) else { throw .unknownKey }
        return key
    }

    private func checkAudience(_ claims: JSONObject) throws(OpenIDFlaw) {
        let audiences: [String?]
        if let one = try? claims.string("aud") {
            audiences = [one]
        } else {
            audiences = (try? claims.array("aud"))?.map(\.string) ?? []
        }
        guard audiences.contains(clientID) else { throw .audience }
        guard audiences.count == 1 || claims.member("azp") != nil else { throw .audience }
        guard claims.member("azp") == nil || (try? claims.string("azp")) == clientID else { throw .audience }
    }

    private static func object(_ encoded: [UInt8]) -> JSONObject? { Base64.url.decode(encoded[...]).flatMap { try? JSONObject($0) } }

    /// The left half of the hash of an access token (§3.1.3.6). Both algorithms have SHA-256.
    private static func hash(of accessToken: String) -> String { Base64.url.encode(Array(sha256(accessToken).bytes.prefix(16))) }
}
