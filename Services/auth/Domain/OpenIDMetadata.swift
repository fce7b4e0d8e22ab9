import Configuration
import JSON
import Text

/// The discovery document of a provider (OpenID Connect Discovery 1.0 §3), as far as a sign-in needs it.
struct OpenIDMetadata: Sendable, Equatable {
    /// The way in which auth sends its client secret (RFC 6749 §2.3.1).
    enum ClientAuthentication: String, Sendable {
        case basic = "client_secret_basic"
        case post = "client_secret_post"
    }

    let authorizationEndpoint: String
    let tokenEndpoint: String
    let keysURL: String
    /// Nil if the provider has none.
    let userInfoEndpoint: String?
    let clientAuthentication: ClientAuthentication
    /// True if each answer names its issuer (RFC 9207 §3).
    let namesIssuer: Bool

    /// The address of the document (§4.1).
    static func url(of issuer: String) -> String {
        (issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer) + "/.well-known/openid-configuration"
    }

    init(_ body: [UInt8], of provider: OpenIDProvider) throws(OpenIDFlaw) {
        let json: JSONObject
        let methods: [String]
        do {
            json = try JSONObject(body)
            // A missing list stands for client_secret_basic.
            methods = try json.optionalArray("token_endpoint_auth_methods_supported")?.compactMap(\.string) ?? ["client_secret_basic"]
            namesIssuer = try json.optionalBool("authorization_response_iss_parameter_supported") ?? false
        } catch { throw .metadata }
        guard (try? json.string("issuer")) == provider.issuer else { throw .metadataIssuer }
        let mayBeLoopback = URLText(provider.issuer)?.isLoopback ?? false
        func endpoint(_ name: String) throws(OpenIDFlaw) -> String? {
            guard json.has(name) else { return nil }
            guard let text = try? json.string(name), let url = URLText(text) else { throw .metadata }
            guard url.isOpenID(loopback: mayBeLoopback) else { throw .insecureEndpoint }
            return text
        }
        guard let authorization = try endpoint("authorization_endpoint"), let token = try endpoint("token_endpoint"),
            let keys = try endpoint("jwks_uri")
        else { throw .metadata }
        (authorizationEndpoint, tokenEndpoint, keysURL) = (authorization, token, keys)
        userInfoEndpoint = try endpoint("userinfo_endpoint")
        guard let method = [ClientAuthentication.basic, .post].first(where: { methods.contains($0.rawValue) }) else {
            throw .clientAuthentication
        }
        clientAuthentication = method
    }

    /// The address that a browser is sent to for an attempt (OpenID Connect Core §3.1.2.1, RFC 7636 §4.3).
    func authorizationURL(_ attempt: OpenIDAttempt, state: String, at provider: OpenIDProvider, redirectURI: String) -> String {
        var fields = [
            ("response_type", "code"), ("client_id", provider.clientID), ("redirect_uri", redirectURI), ("scope", "openid email profile"),
            ("state", state), ("nonce", attempt.nonce), ("code_challenge", attempt.challenge), ("code_challenge_method", "S256"),
        ]
        // With `max_age` the ID token must have `auth_time` (§2).
        if attempt.freshSince != nil { fields += [("prompt", "login"), ("max_age", "0")] }
        return authorizationEndpoint + (authorizationEndpoint.contains("?") ? "&" : "?") + Self.form(fields)
    }

    /// Returns the text of a form.
    static func form(_ fields: [(name: String, value: String)]) -> String {
        fields.map { "\($0.name)=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
    }
}
