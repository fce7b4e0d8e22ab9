import Crypto
import JSON
import TestSupport
import Testing
import Values

@testable import Auth

struct IDTokenTests {
    static let issuer = "https://idp.example"
    static let now = Instant(microseconds: 1_800_000_000_000_000)
    static let pair = ES256KeyPair.generate()
    static let rsa = Result { try RSATestKey() }

    /// The members of a right token, as JSON.
    static let members: [(name: String, json: String)] = [
        ("iss", #""https://idp.example""#), ("aud", #""client""#), ("sub", #""248289761001""#), ("exp", "1800000300"),
        ("iat", "1800000000"),
        ("nonce", #""n-0S6""#), ("email", #""Ada@Example.com""#), ("email_verified", "true"), ("name", #""Ada  Lovelace""#),
    ]

    /// Claims in which members are replaced; nil leaves a member out.
    static func claims(_ changes: [String: String?] = [:]) -> String {
        var all = members.map { ($0.name, changes[$0.name] ?? $0.json) }
        for (name, json) in changes where !members.contains(where: { $0.name == name }) { all.append((name, json)) }
        return "{" + all.compactMap { name, json in json.map { #""\#(name)":\#($0)"# } }.joined(separator: ",") + "}"
    }

    static func encoded(_ text: String) -> String { Base64.url.encode(Array(text.utf8)) }

    static func token(_ header: String, _ claims: String, _ sign: ([UInt8]) throws -> [UInt8]) rethrows -> String {
        let body = "\(encoded(header)).\(encoded(claims))"
        return "\(body).\(Base64.url.encode(try sign(Array(body.utf8))))"
    }

    /// A token that the key `ec` has signed.
    static func token(_ changes: [String: String?] = [:], header: String = #"{"alg":"ES256","kid":"ec"}"#) -> String {
        token(header, claims(changes)) { pair.sign($0) }
    }

    static func jwk(_ key: ES256PublicKey, _ id: String?, _ more: String = "") -> String {
        let kid = id.map { #","kid":"\#($0)""# } ?? ""
        return #"{"kty":"EC","crv":"P-256","x":"\#(Base64.url.encode(key.x))","y":"\#(Base64.url.encode(key.y))"\#(kid)\#(more)}"#
    }

    static func jwk(_ key: RSATestKey, _ id: String, _ more: String = "") -> String {
        #"{"kty":"RSA","n":"\#(Base64.url.encode(key.modulus))","e":"\#(Base64.url.encode(key.exponent))","kid":"\#(id)"\#(more)}"#
    }

    static func keys(_ list: String...) throws -> OpenIDKeys { try OpenIDKeys(Array(#"{"keys":[\#(list.joined(separator: ","))]}"#.utf8)) }

    static func bothKeys() throws -> OpenIDKeys { try keys(jwk(pair.publicKey, "ec"), jwk(try rsa.get(), "rsa")) }

    static func verify(
        _ token: String, accessToken: String? = nil, keys: OpenIDKeys? = nil, now: Instant = now
    ) throws -> OpenIDClaims {
        try IDTokenVerifier(issuer: issuer, clientID: "client").verify(
            token, accessToken: accessToken, nonce: "n-0S6", keys: try keys ?? bothKeys(), now: now)
    }

    // MARK: Right tokens

    @Test func `a token of either algorithm gives the claims of its person`() throws {
        let ec = try Self.verify(Self.token())
        #expect((ec.subject, ec.email?.text, ec.isEmailVerified, ec.name) == ("248289761001", "ada@example.com", true, "Ada Lovelace"))
        let rsa = try Self.rsa.get()
        let token = try Self.token(#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#, Self.claims()) { try rsa.sign($0) }
        #expect(try Self.verify(token) == ec)
    }

    @Test(arguments: [
        ["aud": #"["client"]"#], ["aud": #"["other","client"]"#, "azp": #""client""#], ["azp": #""client""#], ["exp": "1799999941"],
        ["iat": "1800000060"], ["at_hash": nil], ["auth_time": "1", "acr": #""0""#, "amr": #"["pwd"]"#],
        ["sub": "\"\(String(repeating: "s", count: 255))\""], ["sub": #""CN=Ada, O=Analytical Engines""#],
    ])
    func `an unusual token is right`(changes: [String: String?]) throws {
        #expect(throws: Never.self) { try Self.verify(Self.token(changes)) }
    }

    // MARK: Claims

    @Test(
        arguments: [
            ("iss", nil, .tokenIssuer), ("iss", #""https://idp.example/""#, .tokenIssuer), ("iss", #""https://IDP.example""#, .tokenIssuer),
            ("iss", #"["https://idp.example"]"#, .tokenIssuer), ("aud", nil, .audience), ("aud", #""other""#, .audience),
            ("aud", #""Client""#, .audience), ("aud", "[]", .audience), ("aud", #"["other"]"#, .audience),
            ("aud", #"["client","other"]"#, .audience),
            ("aud", #"["client",1]"#, .audience), ("aud", #"{"client":1}"#, .audience), ("azp", #""other""#, .audience),
            ("azp", "null", .audience),
            ("azp", #"["client"]"#, .audience), ("exp", nil, .expired), ("exp", "1799999940", .expired),
            ("exp", #""1800000300""#, .expired),
            ("exp", "1e20", .expired), ("exp", "-1", .expired), ("exp", "99999999999999999999", .expired), ("iat", nil, .issuedAt),
            ("iat", "1800000061", .issuedAt), ("iat", #""1800000000""#, .issuedAt), ("nonce", nil, .nonce), ("nonce", #""n-0S7""#, .nonce),
            ("nonce", #""""#, .nonce), ("nonce", "null", .nonce), ("nonce", #"["n-0S6"]"#, .nonce), ("sub", nil, .subject),
            ("sub", #""""#, .subject), ("sub", "7", .subject), ("sub", #""a\u0000""#, .subject), ("sub", #""é""#, .subject),
            ("sub", "\"\(String(repeating: "s", count: 256))\"", .subject), ("at_hash", #""x""#, .accessTokenHash),
            ("at_hash", "null", .accessTokenHash), ("at_hash", "7", .accessTokenHash),
        ] as [(String, String?, OpenIDFlaw)])
    func `a token with one wrong claim is refused for it`(name: String, json: String?, flaw: OpenIDFlaw) throws {
        let token = Self.token([name: json])
        #expect(throws: flaw) { try Self.verify(token, accessToken: "an access token") }
    }

    @Test func `several audiences need the name of the client`() throws {
        for azp in [nil, #""other""#] as [String?] {
            #expect(throws: OpenIDFlaw.audience) { try Self.verify(Self.token(["aud": #"["client","other"]"#, "azp": azp])) }
        }
    }

    @Test func `at_hash must be that of the access token, if it is there`() throws {
        // OpenID Connect Core §3.1.3.6: the left half of the hash.
        let hash = Base64.url.encode(Array(sha256("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y").bytes.prefix(16)))
        #expect(hash == "77QmUPtjPfzWtF2AnpK9RQ", "the example of RFC documents")
        let token = Self.token(["at_hash": "\"\(hash)\""])
        #expect(throws: Never.self) { try Self.verify(token, accessToken: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y") }
        for other in ["another", "", nil] as [String?] {
            #expect(throws: OpenIDFlaw.accessTokenHash) { try Self.verify(token, accessToken: other) }
        }
    }

    @Test(
        arguments: [
            ("true", true), ("false", false), (#""true""#, false), ("1", false), ("null", false), (#"["true"]"#, false), (nil, false),
        ] as [(String?, Bool)])
    func `only the boolean true verifies an address`(json: String?, isVerified: Bool) throws {
        #expect(try Self.verify(Self.token(["email_verified": json])).isEmailVerified == isVerified)
    }

    @Test(
        arguments: [
            nil, "null", "7", #""""#, #""nobody""#, #""é@example.com""#, #""a@example.com\r\nBcc: b@example.com""#, #"["a@example.com"]"#,
        ] as [String?])
    func `an address that mail of ours cannot reach is none`(json: String?) throws {
        #expect(try Self.verify(Self.token(["email": json])).email == nil)
    }

    @Test func `a name is cleaned, and cut after 200 characters`() throws {
        func name(_ json: String?) throws -> String? { try Self.verify(Self.token(["name": json])).name }
        #expect(try name(#"" \u0000 a\tb\u007f\n ""#) == "a b")
        #expect(try name("\"\(String(repeating: "é", count: 300))\"")?.unicodeScalars.count == 200)
        for json in [nil, "7", #""""#, #""  ""#] as [String?] { #expect(try name(json) == nil) }
    }

    // MARK: Signatures

    @Test func `an algorithm that is not the key's is refused`() throws {
        let (rsa, claims) = (try Self.rsa.get(), Self.claims())
        for name in ["none", "None", "NONE", "", "HS256", "HS512", "RS384", "RS512", "PS256", "ES384", "EdDSA", "es256"] {
            for kid in ["ec", "rsa"] {
                let header = #"{"alg":"\#(name)","kid":"\#(kid)"}"#
                #expect(throws: OpenIDFlaw.algorithm, "\(name)") { try Self.verify(Self.token(header, claims) { Self.pair.sign($0) }) }
                #expect(throws: OpenIDFlaw.algorithm, "\(name)") { try Self.verify(Self.token(header, claims) { _ in [] }) }
            }
        }
        for header in [#"{"kid":"ec"}"#, #"{"alg":null,"kid":"ec"}"#, #"{"alg":["ES256"],"kid":"ec"}"#] {
            #expect(throws: OpenIDFlaw.algorithm) { try Self.verify(Self.token(header: header)) }
        }
        // The public key as the secret of an HMAC.
        for secret in [rsa.publicDER, rsa.modulus, Array(Self.jwk(rsa, "rsa").utf8)] {
            let token = Self.token(#"{"alg":"HS256","kid":"rsa"}"#, claims) { hmacSHA256(key: secret, $0) }
            #expect(throws: OpenIDFlaw.algorithm) { try Self.verify(token) }
        }
        // The id of the one key with the algorithm of the other.
        #expect(throws: OpenIDFlaw.unknownKey) { try Self.verify(Self.token(header: #"{"alg":"RS256","kid":"ec"}"#)) }
        #expect(throws: OpenIDFlaw.unknownKey) { try Self.verify(Self.token(header: #"{"alg":"ES256","kid":"rsa"}"#)) }
    }

    @Test func `a signature in another scheme of RSA is refused`() throws {
        let rsa = try Self.rsa.get()
        let header = #"{"alg":"RS256","kid":"rsa"}"#
        let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
        for (digest, options) in [("sha256", pss), ("sha1", []), ("sha512", [])] {
            let token = try Self.token(header, Self.claims()) { try rsa.sign($0, digest: digest, options: options) }
            #expect(throws: OpenIDFlaw.signature, "\(digest)") { try Self.verify(token) }
        }
    }

    @Test func `the id of a key finds this key only`() throws {
        for kid in ["EC", "ec ", "", "../../dev/null", "' OR 1=1 --"] {
            #expect(throws: OpenIDFlaw.unknownKey, "\(kid)") { try Self.verify(Self.token(header: #"{"alg":"ES256","kid":"\#(kid)"}"#)) }
        }
        for kid in ["7", #"["ec"]"#, "{}"] {
            #expect(throws: OpenIDFlaw.token, "\(kid)") { try Self.verify(Self.token(header: #"{"alg":"ES256","kid":\#(kid)}"#)) }
        }
        // Another provider's key under the same id.
        let other = ES256KeyPair.generate()
        let foreign = Self.token(#"{"alg":"ES256","kid":"ec"}"#, Self.claims()) { other.sign($0) }
        #expect(throws: OpenIDFlaw.signature) { try Self.verify(foreign) }
        // A key that the token itself brings, or an address of one.
        for member in [
            #""jwk":\#(Self.jwk(other.publicKey, "ec"))"#, #""jku":"https://evil.example/keys""#, #""x5u":"https://evil.example/c""#,
        ] {
            let token = Self.token(#"{"alg":"ES256","kid":"ec",\#(member)}"#, Self.claims()) { other.sign($0) }
            #expect(throws: OpenIDFlaw.signature, "\(member)") { try Self.verify(token) }
        }
    }

    @Test func `a token without the id of a key needs the only key of its algorithm`() throws {
        let token = Self.token(header: #"{"alg":"ES256"}"#)
        #expect(throws: Never.self) { try Self.verify(token) }
        #expect(throws: Never.self) { try Self.verify(token, keys: Self.keys(Self.jwk(Self.pair.publicKey, nil))) }
        let two = try Self.keys(Self.jwk(Self.pair.publicKey, "a"), Self.jwk(ES256KeyPair.generate().publicKey, "b"))
        #expect(throws: OpenIDFlaw.unknownKey) { try Self.verify(token, keys: two) }
        #expect(throws: OpenIDFlaw.unknownKey) { try Self.verify(Self.token(), keys: Self.keys(Self.jwk(Self.pair.publicKey, nil))) }
        let twins = try Self.keys(Self.jwk(ES256KeyPair.generate().publicKey, "ec"), Self.jwk(Self.pair.publicKey, "ec"))
        #expect(throws: OpenIDFlaw.unknownKey) { try Self.verify(Self.token(), keys: twins) }
    }

    @Test func `a token that is changed or of another form is refused`() throws {
        let token = Self.token()
        let parts = token.split(separator: ".").map(String.init)
        let other = Self.encoded(Self.claims(["sub": #""another""#]))
        for changed in [
            "\(parts[0]).\(other).\(parts[2])", "\(parts[0]).\(parts[1]).\(Base64.url.encode([UInt8](repeating: 0, count: 64)))",
        ] {
            #expect(throws: OpenIDFlaw.signature) { try Self.verify(changed) }
        }
        for changed in [
            "", ".", "..", "...", "x", token + ".", "." + token, token + ".x", token + "=", " " + token, token + "\n",
            "\(parts[0])..\(parts[2])",
            "\(parts[0]).\(parts[1])", "\(parts[1]).\(parts[0]).\(parts[2])", "\(parts[0]).\(parts[1]).",
            "\(Self.encoded("[]")).\(parts[1]).\(parts[2])", "é.é.é", String(repeating: "a.", count: 100_000),
        ] {
            #expect(throws: OpenIDFlaw.self, "\(changed.prefix(60))") { try Self.verify(changed) }
        }
        #expect(throws: OpenIDFlaw.token) { try Self.verify(Self.token(header: #"{"alg":"ES256","kid":"ec","crit":["b64"],"b64":false}"#)) }
        for claims in ["[]", "x", "{", #"{"iss":"a","iss":"b"}"#, ""] {
            let token = Self.token(#"{"alg":"ES256","kid":"ec"}"#, claims) { Self.pair.sign($0) }
            #expect(throws: OpenIDFlaw.token, "\(claims)") { try Self.verify(token) }
        }
    }
}
