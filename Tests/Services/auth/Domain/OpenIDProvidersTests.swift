import Configuration
import Testing

@testable import Auth

struct OpenIDProvidersTests {
    private static let right = [
        "OIDC_PROVIDERS": "google, my-idp", "OIDC_GOOGLE_ISSUER": "https://accounts.google.com", "OIDC_GOOGLE_CLIENT_ID": "1.apps",
        "OIDC_GOOGLE_CLIENT_SECRET": "hush hush", "OIDC_MY_IDP_ISSUER": "https://login.example:8443/realms/x/",
        "OIDC_MY_IDP_CLIENT_ID": "gw", "OIDC_MY_IDP_CLIENT_SECRET": "hush", "OIDC_MY_IDP_NAME": "บริษัท Acme",
    ]

    @Test func `providers are read in their order, and a name is made of the id`() throws {
        let providers = try OpenIDProviders(Environment(Self.right))
        #expect(providers.all.map(\.id) == ["google", "my-idp"])
        #expect(providers.all.map(\.name) == ["Google", "บริษัท Acme"])
        #expect(providers["google"]?.issuer == "https://accounts.google.com")
        #expect(providers["my-idp"]?.clientSecret.reveal() == "hush")
        #expect(providers["Google"] == nil)
        #expect(try OpenIDProviders(Environment([:])).all.isEmpty)
    }

    @Test(arguments: [
        ("OIDC_PROVIDERS", "Google"), ("OIDC_PROVIDERS", "google,google"), ("OIDC_PROVIDERS", "my_idp"), ("OIDC_PROVIDERS", "a/b"),
        ("OIDC_PROVIDERS", (1...17).map { "p\($0)" }.joined(separator: ",")), ("OIDC_GOOGLE_ISSUER", ""),
        ("OIDC_GOOGLE_ISSUER", "accounts.google.com"), ("OIDC_GOOGLE_ISSUER", "http://accounts.google.com"),
        ("OIDC_GOOGLE_ISSUER", "http://10.0.0.1"), ("OIDC_GOOGLE_ISSUER", "https://u:hush@accounts.google.com"),
        ("OIDC_GOOGLE_ISSUER", "https://accounts.google.com?x"), ("OIDC_GOOGLE_ISSUER", "https://accounts.google.com#x"),
        ("OIDC_GOOGLE_ISSUER", "https:///x"), ("OIDC_GOOGLE_ISSUER", "https://a.example/" + String(repeating: "x", count: 255)),
        ("OIDC_GOOGLE_CLIENT_ID", ""), ("OIDC_GOOGLE_CLIENT_ID", "ä"), ("OIDC_GOOGLE_CLIENT_ID", "a\nb"),
        ("OIDC_GOOGLE_CLIENT_SECRET", ""), ("OIDC_GOOGLE_CLIENT_SECRET", "hush\u{7F}"), ("OIDC_MY_IDP_CLIENT_SECRET", "hüsh"),
        ("OIDC_MY_IDP_NAME", "a\u{7}b"), ("OIDC_MY_IDP_NAME", String(repeating: "x", count: 65)),
        ("OIDC_MY_IDP_ISSUER", "https://accounts.google.com"),
    ])
    func `a missing or malformed value is named in one line, and no secret is shown`(variable: String, value: String) throws {
        #expect {
            try OpenIDProviders(Environment(Self.right.merging([variable: value]) { $1 }))
        } throws: { error in
            let line = "\(error)"
            return line.hasPrefix(variable + " ") && !line.contains("\n") && !line.contains("hush")
        }
    }

    @Test(arguments: ["http://localhost:9400", "http://127.0.0.1:9400", "http://[::1]:9400/x"])
    func `an issuer of this machine needs no TLS`(issuer: String) throws {
        let providers = try OpenIDProviders(Environment(Self.right.merging(["OIDC_GOOGLE_ISSUER": issuer]) { $1 }))
        #expect(providers["google"]?.issuer == issuer)
    }
}
