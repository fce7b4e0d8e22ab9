import HTTP
import Identity
import JSON
import Values

extension Routes {
    // MARK: The device

    /// RFC 8628 §3.1, with the client named.
    func requestDeviceCode(_ request: Request) async throws -> Response {
        try await requestCode(request, client: nil)
    }

    /// RFC 8628 §3.1 for the product's own app, which may leave `client_id` out.
    func requestDesktopCode(_ request: Request) async throws -> Response {
        try await requestCode(request, client: OAuthClients.desktop)
    }

    private func requestCode(_ request: Request, client fallback: OAuthClient?) async throws -> Response {
        let parameters = try OAuthParameters(request)
        // oauthlib's client sends these two in the query.
        let queried = (client: try request.query.optionalString("client_id"), scope: try request.query.optionalString("scope"))
        let client = try client(parameters, queried: queried.client, fallback: fallback)
        let name = try Self.deviceName(parameters["device_name"])
        let order = Devices.CodeRequest(client: client, scopes: try Self.scopes(parameters["scope"] ?? queried.scope), deviceName: name)
        switch try await devices.requestCode(order, client: ClientInfo(request)) {
        case .throttled(let wait): throw Problem.rateLimited("Too many device codes; retry later.", retryAfter: wait)
        case .requested(let codes):
            let page = publicURL + "/auth/device"
            return .object(200, headers: Self.noStore) { json in
                json.field("device_code", codes.deviceCode)
                json.field("user_code", codes.userCode.shown)
                json.field("verification_uri", page)
                json.field("verification_uri_complete", page + "?user_code=" + codes.userCode.shown)
                json.field("expires_in", codes.expiresIn.components.seconds)
                json.field("interval", codes.interval.components.seconds)
            }
        }
    }

    /// RFC 8628 §3.4 for the product's own app, which may leave `client_id` out.
    func pollDesktop(_ request: Request) async throws -> Response {
        let parameters = try OAuthParameters(request)
        guard try parameters.required("grant_type") == Self.deviceGrantType else { throw Problem.unsupportedGrantType }
        return try await poll(parameters, request, client: OAuthClients.desktop)
    }

    func poll(_ parameters: OAuthParameters, _ request: Request, client fallback: OAuthClient?) async throws -> Response {
        let client = try client(parameters, queried: nil, fallback: fallback)
        let code = try parameters.required("device_code")
        // A client of golang.org/x/oauth2 tries each poll twice: with the header first, then without.
        let isProbe = parameters.basicClientID != nil
        switch try await devices.poll(code, of: client, isProbe: isProbe, client: ClientInfo(request)) {
        case .signedIn(let tokens): return Self.answer(200, tokens)
        case .pending: throw Problem(.authorizationPending, "The user has not decided yet.")
        case .slowDown(let interval):
            throw Problem(
                .slowDown, "Wait longer between two polls.", fields: [("interval", .integer(interval.components.seconds))])
        case .denied: throw Problem(.accessDenied, "The user denied the device.")
        case .expired: throw Problem(.expiredToken, "The device code has expired; ask for a new one.")
        case .invalid: throw Problem.invalidGrant("The device code is not valid; ask for a new one.")
        }
    }

    // MARK: The user

    /// The pending device of `user_code`. It changes nothing.
    func lookUpDevice(_ request: Request, caller: Principal) async throws -> Response {
        let code = try request.query.string("user_code")
        switch try await devices.lookUp(code, user: caller.userID, client: ClientInfo(request)) {
        case .throttled(let wait): throw Problem.rateLimited("Too many wrong codes; retry later.", retryAfter: wait)
        case .invalid: throw Self.wrongUserCode
        case .found(let device):
            return .object(200) { json in
                json.field("user_code", device.userCode.shown)
                json.field("status", device.grant.state.rawValue)
                json.field("client_id", device.grant.clientID)
                json.field("client_name", device.client?.name)
                json.field("scope", Self.scopeText(device.grant.scope))
                json.field("device_name", device.grant.deviceName)
                json.field("requested_ip", device.grant.requestedBy.address)
                json.field("requested_user_agent", device.grant.requestedBy.userAgent)
                json.field("same_network", device.isSameNetwork)
                json.field("requested_at", device.grant.createdAt.description)
                json.field("expires_in", max(0, device.expiresIn.components.seconds))
            }
        }
    }

    /// {user_code, action: approve | deny} → 200 {status}.
    func decideDevice(_ request: Request, caller: Principal) async throws -> Response {
        let parameters = try OAuthParameters(request)
        let code = try parameters.required("user_code")
        let approve: Bool
        switch try parameters.required("action") {
        case "approve": approve = true
        case "deny": approve = false
        default: throw Problem.invalidRequest("`action` must be approve or deny.", param: "action")
        }
        switch try await devices.decide(code, approve: approve, by: caller.userID, client: ClientInfo(request)) {
        case .decided: return .object(200) { $0.field("status", approve ? "approved" : "denied") }
        case .invalid: throw Self.wrongUserCode
        case .conflict: throw Problem.conflict("The device was decided before; ask the app for a new code.")
        case .throttled(let wait): throw Problem.rateLimited("Too many wrong codes; retry later.", retryAfter: wait)
        case .deactivated: throw Problem.userDeactivated
        }
    }

    // MARK: Reading

    static let deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code"

    private static let wrongUserCode = Problem.invalidRequest(
        "`user_code` is not valid or has expired; ask the app for a new code.", param: "user_code")

    func client(_ parameters: OAuthParameters, queried: String?, fallback: OAuthClient?) throws(Problem) -> OAuthClient {
        let named = parameters["client_id"] ?? queried
        if let basic = parameters.basicClientID, let named, basic != named {
            throw .invalidRequest("`client_id` must be that of the Authorization header.", param: "client_id")
        }
        guard let id = parameters.basicClientID ?? named else {
            guard let fallback else { throw .missingParameter("client_id") }
            return fallback
        }
        guard let client = devices.clients[id] else { throw parameters.basicClientID == nil ? .unknownClient : .invalidClient }
        return client
    }

    private static func scopes(_ text: String?) throws(Problem) -> [String] {
        let asked = Set((text ?? "").split(separator: " ").map(String.init))
        guard asked.isSubset(of: APIKeys.knownScopes) else {
            throw Problem(
                .invalidScope, "`scope` must be of: \(APIKeys.knownScopes.sorted().joined(separator: ", ")). Leave it out for all.",
                param: "scope")
        }
        // Written out, so that a device is never more than what its user was asked about.
        return (asked.isEmpty ? APIKeys.knownScopes : asked).sorted()
    }

    private static func deviceName(_ text: String?) throws(Problem) -> String? {
        guard let text else { return nil }
        guard let name = DisplayName(text, lengthMax: 64) else {
            throw .invalidRequest("`device_name` must have at most 64 characters, all of them visible.", param: "device_name")
        }
        return name.text.isEmpty ? nil : name.text
    }
}
