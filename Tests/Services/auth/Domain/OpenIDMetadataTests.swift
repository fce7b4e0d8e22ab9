import Configuration
import HTTP
import Testing

@testable import Auth

struct OpenIDMetadataTests {
    static func provider(_ issuer: String = "https://idp.example") throws -> OpenIDProvider {
        let environment = Environment([
            "OIDC_PROVIDERS": "acme", "OIDC_ACME_ISSUER": issuer, "OIDC_ACME_CLIENT_ID": "id of ours", "OIDC_ACME_CLIENT_SECRET": "secret",
        ])
        return try #require(try OpenIDProviders(environment)["acme"])
    }

    private static func document(_ changes: [String: String?] = [:], base: String = "https://idp.example") -> [UInt8] {
        var members: [String: String?] = [
            "issuer": "\"\(base)\"", "authorization_endpoint": "\"\(base)/auth?tenant=1\"", "token_endpoint": "\"\(base)/token\"",
            "jwks_uri": "\"\(base)/keys\"", "userinfo_endpoint": "\"\(base)/me\"", "claims_supported": #"["sub"]"#,
        ]
        members.merge(changes) { $1 }
        return Array(("{" + members.compactMap { name, json in json.map { #""\#(name)":\#($0)"# } }.joined(separator: ",") + "}").utf8)
    }

    private static func read(_ changes: [String: String?]) throws -> OpenIDMetadata {
        try OpenIDMetadata(document(changes), of: try provider())
    }

    @Test func `the document stands below the issuer`() {
        for issuer in ["https://idp.example/a", "https://idp.example/a/"] {
            #expect(OpenIDMetadata.url(of: issuer) == "https://idp.example/a/.well-known/openid-configuration")
        }
    }

    @Test func `a browser is sent with everything that binds the answer`() throws {
        let attempt = OpenIDAttempt(nonce: "n", verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", next: "/", linker: nil)
        let url = try Self.read([:]).authorizationURL(attempt, state: "s/1", at: try Self.provider(), redirectURI: "https://gw.example/cb")
        let parts = url.split(separator: "?")
        #expect(parts[0] == "https://idp.example/auth")
        let query = try Query(parts[1].utf8)
        // The challenge is the example of RFC 7636 appendix B.
        let expected = [
            ("tenant", "1"), ("response_type", "code"), ("client_id", "id of ours"), ("redirect_uri", "https://gw.example/cb"),
            ("scope", "openid email profile"), ("state", "s/1"), ("nonce", "n"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), ("code_challenge_method", "S256"),
        ]
        #expect(query.pairs.map(\.name) == expected.map(\.0) && query.pairs.map(\.value) == expected.map(\.1))
    }

    @Test(
        arguments: [
            ("issuer", nil, .metadataIssuer), ("issuer", #""https://idp.example/""#, .metadataIssuer),
            ("issuer", #""https://evil.example""#, .metadataIssuer), ("issuer", "7", .metadataIssuer),
            ("authorization_endpoint", nil, .metadata),
            ("token_endpoint", nil, .metadata), ("jwks_uri", nil, .metadata), ("jwks_uri", "7", .metadata),
            ("jwks_uri", #""/keys""#, .metadata),
            ("token_endpoint", #""https://idp.example/to ken""#, .metadata), ("token_endpoint", #""https://idp.example/#x""#, .metadata),
            ("authorization_endpoint", #""http://idp.example/auth""#, .insecureEndpoint),
            ("authorization_endpoint", #""javascript://x""#, .insecureEndpoint),
            ("token_endpoint", #""http://idp.example/t""#, .insecureEndpoint),
            ("token_endpoint", #""http://127.0.0.1/t""#, .insecureEndpoint),
            ("token_endpoint", #""http://169.254.169.254/""#, .insecureEndpoint),
            ("jwks_uri", #""file:///etc/passwd""#, .insecureEndpoint),
            ("userinfo_endpoint", #""http://idp.example/me""#, .insecureEndpoint),
            ("token_endpoint", #""https://u:p@idp.example/t""#, .insecureEndpoint),
            ("token_endpoint_auth_methods_supported", #"["private_key_jwt"]"#, .clientAuthentication),
            ("token_endpoint_auth_methods_supported", "[]", .clientAuthentication),
            ("token_endpoint_auth_methods_supported", "7", .metadata),
            ("authorization_response_iss_parameter_supported", #""true""#, .metadata),
        ] as [(String, String?, OpenIDFlaw)])
    func `a document with one wrong member is refused for it`(name: String, json: String?, flaw: OpenIDFlaw) {
        #expect(throws: flaw) { try Self.read([name: json]) }
    }

    @Test func `the client secret stands in the header, or in the form if the provider takes it there only`() throws {
        func method(_ json: String?) throws -> OpenIDMetadata.ClientAuthentication {
            try Self.read(["token_endpoint_auth_methods_supported": json]).clientAuthentication
        }
        #expect(try method(nil) == .basic)
        #expect(try method(#"["client_secret_post","client_secret_basic"]"#) == .basic)
        #expect(try method(#"["private_key_jwt","client_secret_post"]"#) == .post)
    }

    @Test func `optional members may be missing`() throws {
        let plain = try Self.read(["userinfo_endpoint": nil])
        #expect((plain.userInfoEndpoint, plain.namesIssuer) == (nil, false))
        #expect(try Self.read(["authorization_response_iss_parameter_supported": "true"]).namesIssuer)
    }

    @Test func `http is good enough for endpoints of this machine if the issuer is of this machine`() throws {
        let base = "http://localhost:9400"
        let metadata = try OpenIDMetadata(Self.document(base: base), of: try Self.provider(base))
        #expect(metadata.tokenEndpoint == "http://localhost:9400/token")
        #expect(throws: OpenIDFlaw.insecureEndpoint) {
            try OpenIDMetadata(Self.document(["token_endpoint": #""http://idp.example/t""#], base: base), of: try Self.provider(base))
        }
    }

    @Test(arguments: ["", "x", "[]", "null", "<html>", #"{"issuer":"#, #"{"issuer":"a","issuer":"b"}"#])
    func `a text that is no document is refused`(text: String) throws {
        let provider = try Self.provider()
        #expect(throws: OpenIDFlaw.metadata) { try OpenIDMetadata(Array(text.utf8), of: provider) }
    }
}
