import HTTP
import HTTPWire
import Identity
import JSON
import Values

/// The standard paths of OAuth 2.0, for stock clients.
extension Routes {
    /// RFC 6749 §3.2: a device code (RFC 8628 §3.4) or a refresh token (§6) for tokens.
    func token(_ request: Request) async throws -> Response {
        let parameters = try OAuthParameters(request)
        switch try parameters.required("grant_type") {
        case Self.deviceGrantType: return try await poll(parameters, request, client: nil)
        case "refresh_token":
            let client = try client(parameters, queried: nil, fallback: nil)
            let token = try parameters.required("refresh_token")
            let scopes = parameters["scope"].map { Set($0.split(separator: " ").map(String.init)) }
            switch try await sessions.refresh(token, of: client.id, scopes: scopes, client: ClientInfo(request)) {
            case .refreshed(let tokens): return Self.answer(200, tokens)
            case .wideScope: throw Problem(.invalidScope, "`scope` must be of the scopes of the sign-in.", param: "scope")
            case .invalid, .ended, .deactivated: throw Problem.invalidGrant("The refresh token is not valid; sign in again.")
            }
        default: throw Problem.unsupportedGrantType
        }
    }

    /// RFC 7009: ends the session of a refresh token or an access token. An unknown token is 200 too.
    func revoke(_ request: Request) async throws -> Response {
        let parameters = try OAuthParameters(request)
        let client = try client(parameters, queried: nil, fallback: nil)
        let token = try parameters.required("token")
        var session = try await sessions.session(of: token)
        if session == nil { session = authenticator.expiredSession(["authorization": "Bearer \(token)"]) }
        if let session { try await sessions.signOut(session, of: client.id, client: ClientInfo(request)) }
        return Response(status: 200, headers: Self.noStore)
    }

    /// RFC 7662: describes a valid token to one of our own servers. Anything else is {"active":false}.
    func introspect(_ request: Request) async throws -> Response {
        let parameters = try OAuthParameters(request)
        let found = try await introspection.find(try parameters.required("token"))
        return .object(200, headers: Self.noStore) { json in
            json.field("active", found != nil)
            if let found { write(found, to: &json) }
        }
    }

    private func write(_ token: TokenIntrospection.ValidToken, to json: inout JSONWriter) {
        // RFC 8693 §2.2.1: N_A for a token that gives no access by itself.
        json.field("token_type", token.use == .refreshToken ? "N_A" : "Bearer")
        json.field("token_use", token.use.rawValue)
        json.field("iss", publicURL)
        json.field("sub", token.user.id.description)
        json.field("username", token.user.email)
        json.field("scope", Self.scopeText(token.scope))
        json.field("iat", token.issuedAt)
        if let expiresAt = token.expiresAt { json.field("exp", expiresAt) }
        if let clientID = token.clientID { json.field("client_id", clientID) }
        if let sessionID = token.sessionID { json.field("sid", sessionID.description) }
    }
}
