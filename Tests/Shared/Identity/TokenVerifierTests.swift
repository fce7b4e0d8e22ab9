import Crypto
import Identity
import JSON
import Testing
import Values

@Suite struct TokenVerifierTests {
    private let pair = ES256KeyPair.generate()
    private let issuer = "https://gateway.example"
    private let now = Instant(microseconds: 1_800_000_000_000_000)

    private var keys: [String: ES256PublicKey] { [pair.publicKey.thumbprint: pair.publicKey] }
    private var verifier: TokenVerifier { TokenVerifier(issuer: issuer) }

    private var claims: AccessTokenClaims {
        AccessTokenClaims(
            issuer: issuer, audience: AccessToken.audience, userID: .make(), clientID: "web", sessionID: .make(), generation: 3, version: 1,
            tokenID: .make(), issuedAt: now.seconds, expiresAt: now.seconds + 900, authenticatedAt: now.seconds, roles: ["user"],
            scope: "llm keys", plan: "free")
    }

    private func verify(_ token: String, at instant: Instant? = nil) throws(TokenVerifier.Refusal) -> AccessTokenClaims {
        try verifier.verify(Array(token.utf8), keys: keys, now: instant ?? now)
    }

    /// A token signed with our key whose header and claims are the given texts.
    private func forge(header: String? = nil, claims text: String) -> String {
        let header = header ?? #"{"alg":"ES256","typ":"at+jwt","kid":"\#(pair.publicKey.thumbprint)"}"#
        let body = Base64.url.encode(Array(header.utf8)) + "." + Base64.url.encode(Array(text.utf8))
        return body + "." + Base64.url.encode(pair.sign(Array(body.utf8)))
    }

    private var claimsText: String { String(decoding: JSONWriter.object(claims.encode(into:)), as: UTF8.self) }

    @Test func `a valid token verifies and names its user`() throws {
        let claims = claims
        let token = AccessToken.sign(claims, with: pair, keyID: pair.publicKey.thumbprint)
        #expect(try verify(token) == claims)
        #expect(claims.principal.scopes == ["llm", "keys"])
        #expect(claims.principal.kind == .session(claims.sessionID))
    }

    @Test func `a token expires to the second`() throws {
        let token = AccessToken.sign(claims, with: pair, keyID: pair.publicKey.thumbprint)
        #expect(throws: Never.self) { try verify(token, at: now + .seconds(899)) }
        #expect(throws: TokenVerifier.Refusal.expired) { try verify(token, at: now + .seconds(900)) }
    }

    @Test func `a token may be half a minute ahead and not more`() throws {
        let token = AccessToken.sign(claims, with: pair, keyID: pair.publicKey.thumbprint)
        #expect(throws: Never.self) { try verify(token, at: now + .seconds(-30)) }
        #expect(throws: TokenVerifier.Refusal.invalid) { try verify(token, at: now + .seconds(-31)) }
    }

    @Test func `an unknown key is distinguished from a bad token`() {
        let other = ES256KeyPair.generate()
        let token = AccessToken.sign(claims, with: other, keyID: other.publicKey.thumbprint)
        #expect(throws: TokenVerifier.Refusal.unknownKey) { try verify(token) }
        let stolenName = AccessToken.sign(claims, with: other, keyID: pair.publicKey.thumbprint)
        #expect(throws: TokenVerifier.Refusal.invalid) { try verify(stolenName) }
    }

    @Test(
        arguments: [
            #""alg":"none""#, #""alg":"None""#, #""alg":"NONE""#, #""alg":"HS256""#, #""alg":"RS256""#, #""alg":"es256""#, #""alg":null"#,
            #""typ":"JWT""#, #""typ":"id+jwt""#, #""typ":"AT+JWT""#, #""kid":"../../dev/null""#, #""kid":"' OR 1=1 --""#, #""kid":7"#,
            #""jku":"https://evil.example/jwks""#, #""jwk":{"kty":"EC"}"#, #""x5u":"https://evil.example""#, #""x5c":[]"#,
            #""crit":["exp"]"#, #""b64":false"#, #""zip":"DEF""#, #""enc":"A256GCM""#,
        ])
    func `a header with an unsupported member is refused although the signature is valid`(member: String) {
        let name = member.split(separator: "\"")[0]
        var members = [
            "alg": #""alg":"ES256""#, "typ": #""typ":"at+jwt""#, "kid": #""kid":"\#(pair.publicKey.thumbprint)""#,
        ]
        members[String(name)] = member
        let header = "{" + members.values.sorted().joined(separator: ",") + "}"
        #expect(throws: TokenVerifier.Refusal.invalid) { try verify(forge(header: header, claims: claimsText)) }
    }

    @Test func `HS256 with the public key as secret is refused`() {
        let header = #"{"alg":"HS256","typ":"at+jwt","kid":"\#(pair.publicKey.thumbprint)"}"#
        let body = Base64.url.encode(Array(header.utf8)) + "." + Base64.url.encode(Array(claimsText.utf8))
        for secret in [pair.publicKey.x + pair.publicKey.y, [4] + pair.publicKey.x + pair.publicKey.y] {
            let token = body + "." + Base64.url.encode(hmacSHA256(key: secret, Array(body.utf8)))
            #expect(throws: TokenVerifier.Refusal.invalid) { try verify(token) }
        }
    }

    @Test(
        arguments: [
            (#""iss":"https://gateway.example""#, #""iss":"https://gateway.example/""#),
            (#""iss":"https://gateway.example""#, #""iss":"https://Gateway.example""#),
            (#""aud":"smartspec""#, #""aud":"other""#),
            (#""aud":"smartspec""#, #""aud":["smartspec","other"]"#),
            (#""exp":1800000900"#, #""exp":"1800000900""#),
            (#""exp":1800000900"#, #""exp":1800000900.5"#),
            (#""exp":1800000900"#, #""exp":1e20"#),
            (#""exp":1800000900"#, #""exp":null"#),
            (#""exp":1800000900"#, #""exp":1700000000"#),
            (#""iat":1800000000"#, #""iat":1800000031"#),
            (#""iat":1800000000"#, #""nbf":1800000031,"iat":1800000000"#),
            (#""iat":1800000000"#, #""nbf":"soon","iat":1800000000"#),
            (#""iat":1800000000"#, #""iat":1800000000,"iat":1800000000"#),
            (#""sub":"#, #""subject":"#),
            (#""sid":"#, #""sid_":"#),
            (#""roles":["user"]"#, #""roles":"admin""#),
            (#""roles":["user"]"#, #""roles":[1]"#),
        ])
    func `wrong claims are refused although the signature is valid`(ours: String, theirs: String) throws {
        #expect(throws: Never.self) { try verify(forge(claims: claimsText)) }
        #expect(claimsText.contains(ours))
        #expect(throws: TokenVerifier.Refusal.invalid) {
            try verify(forge(claims: claimsText.replacing(ours, with: theirs)))
        }
    }

    @Test func `a second spelling of a token, a cut or a padded one is refused`() throws {
        let token = AccessToken.sign(claims, with: pair, keyID: pair.publicKey.thumbprint)
        let parts = token.split(separator: ".").map(String.init)
        let zero = Base64.url.encode([UInt8](repeating: 0, count: 64))
        let hostile = [
            "", ".", "..", "...", parts[0] + "." + parts[1], parts[0] + "." + parts[1] + ".", "." + parts[1] + "." + parts[2],
            token + ".", token + "=", token + " ", " " + token, token + "\n", token + ".x.y", parts[0] + "." + parts[1] + "." + zero,
            parts[0] + "=." + parts[1] + "." + parts[2], String(token.dropLast()), token + "AA",
            parts[0] + "." + parts[1] + "." + parts[2].replacing("A", with: "+"), String(repeating: "a.", count: 50_000),
            String(repeating: "a", count: 100_000), "eyJhbGciOiJub25lIn0." + parts[1] + ".",
        ]
        for text in hostile where text != token {
            #expect(throws: TokenVerifier.Refusal.invalid, "\(text.prefix(80))") { try verify(text) }
        }
    }

    @Test func `every flipped bit of a token is noticed`() {
        let token = Array(AccessToken.sign(claims, with: pair, keyID: pair.publicKey.thumbprint).utf8)
        for index in stride(from: 0, to: token.count, by: 3) {
            var changed = token
            changed[index] ^= 1
            #expect(throws: TokenVerifier.Refusal.self) { try verifier.verify(changed, keys: keys, now: now) }
        }
    }
}
