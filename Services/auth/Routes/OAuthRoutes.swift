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
}
