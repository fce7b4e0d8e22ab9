import Crypto
import HTTP
import HTTPWire
import JSON

extension Routes {
    func jwks(_ request: Request) async throws -> Response {
        // Clients would cache an empty set for ten minutes.
        guard !keyring.published.isEmpty else { throw Problem.unavailable("No signing key is available yet; retry later.") }
        return .json(200, headers: ["cache-control": "public, max-age=600"]) { json in
            json.object { json in
                json.array("keys") { array in
                    for (id, key) in keyring.published {
                        array.object { json in
                            json.field("kty", "EC")
                            json.field("crv", "P-256")
                            json.field("x", Base64.url.encode(key.x))
                            json.field("y", Base64.url.encode(key.y))
                            json.field("kid", id)
                            json.field("use", "sig")
                            json.field("alg", "ES256")
                        }
                    }
                }
            }
        }
    }

    /// RFC 8414 and OpenID discovery, as far as there is something to discover.
    func metadata(_ request: Request) async throws -> Response {
        .object(200, headers: ["cache-control": "public, max-age=600"]) { json in
            json.field("issuer", publicURL)
            json.field("jwks_uri", publicURL + "/.well-known/jwks.json")
            json.field("token_endpoint", publicURL + "/oauth/token")
            json.field("device_authorization_endpoint", publicURL + "/oauth/device_authorization")
            json.field("revocation_endpoint", publicURL + "/oauth/revoke")
            json.field("introspection_endpoint", publicURL + "/oauth/introspect")
            json.array("response_types_supported") { _ in }
            json.array("grant_types_supported") { array in
                for type in [Self.deviceGrantType, "refresh_token"] { array.string(type) }
            }
            for endpoint in ["token", "revocation"] { json.array("\(endpoint)_endpoint_auth_methods_supported") { $0.string("none") } }
            // RFC 8414 §2: a type of access tokens, because a server sends its service token as one.
            json.array("introspection_endpoint_auth_methods_supported") { $0.string("Bearer") }
            json.array("subject_types_supported") { $0.string("public") }
            json.array("id_token_signing_alg_values_supported") { $0.string("ES256") }
            json.array("scopes_supported") { array in for scope in APIKeys.knownScopes.sorted() { array.string(scope) } }
        }
    }
}
