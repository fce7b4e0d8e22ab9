import Crypto
import TestSupport
import Testing

@testable import Auth

struct OpenIDKeysTests {
    private static let ec = IDTokenTests.pair.publicKey

    @Test func `a key for another use, of another kind or with another algorithm is left out`() throws {
        let rsa = try IDTokenTests.rsa.get()
        let digits = Base64.url.encode(Array(rsa.modulus.prefix(128)))
        for jwk in [
            IDTokenTests.jwk(Self.ec, "k", #","use":"enc""#), IDTokenTests.jwk(Self.ec, "k", #","key_ops":["sign"]"#),
            IDTokenTests.jwk(Self.ec, "k", #","alg":"ES384""#), IDTokenTests.jwk(Self.ec, "k", #","use":7"#),
            IDTokenTests.jwk(rsa, "k", #","alg":"PS256""#), IDTokenTests.jwk(rsa, "k", #","alg":"RS512""#),
            #"{"kty":"oct","k":"c2VjcmV0","kid":"k"}"#,
            #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"k"}"#,
            #"{"kty":"EC","crv":"P-384","x":"AA","y":"AA","kid":"k"}"#, #"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"k"}"#,
            #"{"kty":"RSA","n":"\#(digits)","e":"AQAB","kid":"k"}"#, #"{"kty":"RSA","kid":"k"}"#, "7", "null", "{}",
        ] {
            let keys = try IDTokenTests.keys(jwk)
            #expect(keys.key("k", algorithm: "ES256") == nil && keys.key("k", algorithm: "RS256") == nil, "\(jwk)")
        }
    }

    @Test func `a key that may verify is taken, next to others`() throws {
        let rsa = try IDTokenTests.rsa.get()
        let keys = try IDTokenTests.keys(
            "7", IDTokenTests.jwk(Self.ec, "a", #","use":"sig","key_ops":["verify"],"alg":"ES256""#),
            IDTokenTests.jwk(rsa, "b", #","use":"sig","x5c":["x"],"x5t":"y""#), #"{"kty":"oct","k":"c2VjcmV0","kid":"c"}"#)
        #expect(keys.key("a", algorithm: "ES256") != nil)
        #expect(keys.key("b", algorithm: "RS256") != nil)
        #expect(keys.key("c", algorithm: "HS256") == nil)
    }

    @Test func `a text that is no set of keys, or of too many, is refused`() {
        let key = IDTokenTests.jwk(Self.ec, "k")
        let tooMany = Array(repeating: key, count: OpenIDKeys.countMax + 1).joined(separator: ",")
        for text in ["", "x", "[]", "{}", #"{"keys":{}}"#, #"{"keys":null}"#, #"{"keys":[\#(tooMany)]}"#, "[\(key)]", "<html>"] {
            #expect(throws: OpenIDFlaw.keys, "\(text.prefix(60))") { try OpenIDKeys(Array(text.utf8)) }
        }
    }
}
