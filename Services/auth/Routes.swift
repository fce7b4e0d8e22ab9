import Contracts
import Crypto
import HTTP
import HTTPWire
import Identity
import JSON
import Postgres
import Telemetry
import Values

/// The routes of auth.
struct Routes: HTTPDoor {
    let accounts: Accounts
    let keys: APIKeys
    let authenticator: Authenticator
    /// Nil when the ledger does not say.
    let credits: @Sendable (AccountID) async -> Credits?
    /// `PUBLIC_URL`, and the issuer of tokens.
    let publicURL: String

    static let table: [Route<Routes>] = [
        Route(.post, ["/api/auth/register", "/register"], access: .public, rate: .credentials, Routes.register),
        Route(.post, ["/api/auth/login", "/login"], access: .public, rate: .credentials, Routes.login),
        Route(.post, ["/api/auth/refresh"], access: .public, rate: .credentials, Routes.refresh),
        Route(.post, ["/api/auth/logout"], access: .sessionOrBody, rate: .credentials, Routes.logout),
        Route(.get, ["/api/auth/me", "/me"], access: .credential(), Routes.me),
        Route(.post, ["/api/keys"], access: .session(), Routes.createKey),
        Route(.get, ["/api/keys"], access: .session(), Routes.listKeys),
        Route(.delete, ["/api/keys/{id}"], access: .session(), Routes.revokeKey),
        Route(.get, ["/.well-known/jwks.json"], access: .public, Routes.jwks),
        Route(
            .get, ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"], access: .public, Routes.metadata),
    ]

    var gate: CallerGate<Principal> { authenticator.gate }

    /// Maps a lost or busy database to 503.
    func problem(for error: any Error, in trace: TraceContext) -> Problem? {
        guard let error = error as? PostgresError, error.isTransient else { return nil }
        return .unavailable("The account database is unavailable; retry later.")
    }

    // MARK: Signing in

    /// {email, password, full_name?} → 201 with tokens. 409 for a taken address, after the same work.
    func register(_ request: Request) async throws -> Response {
        let body = try request.json()
        guard let email = EmailAddress(try body.string("email")) else {
            throw Problem.invalidRequest("`email` must be an address like name@example.com.", param: "email")
        }
        let password = try body.string("password")
        if let refusal = PasswordPolicy.refusal(of: password, for: email) {
            throw Problem.invalidRequest(refusal.message, param: "password")
        }
        let fullName = try Self.fullName(try body.optionalString("full_name"))
        guard let issued = try await accounts.register(email: email, password: password, fullName: fullName, client: ClientInfo(request))
        else { throw Problem.emailTaken }
        return answer(201, issued)
    }

    /// {email, password} → 200 with tokens.
    func login(_ request: Request) async throws -> Response {
        let body = try request.json()
        let email = try body.string("email")
        let password = try body.string("password")
        guard email.utf8.count <= 1_024, password.utf8.count <= PasswordPolicy.bytesMax else {
            throw Problem.invalidCredentials
        }
        return answer(200, try await accounts.signIn(email: email, password: password, client: ClientInfo(request)))
    }

    /// {refresh_token} → 200 with new tokens; the old refresh token is good for another 30 seconds, with the same answer.
    func refresh(_ request: Request) async throws -> Response {
        let token = try request.json().string("refresh_token")
        return answer(200, try await accounts.refresh(token, client: ClientInfo(request)))
    }

    /// Ends the session of the access token, or of {refresh_token}. Answers 204 also if the session has
    /// ended before.
    func logout(_ request: Request, caller: Result<Principal, Problem>) async throws -> Response {
        let body = request.body.isEmpty ? nil : try request.json()
        if let token = try body?.optionalString("refresh_token") {
            guard let session = try await accounts.session(of: token) else { return .noContent }
            try await accounts.signOut(session, client: ClientInfo(request))
        } else {
            let session: SessionID?
            switch caller {
            case .success(let principal): session = principal.sessionID
            case .failure(let problem) where [.tokenRevoked, .tokenExpired].contains(problem.code): return .noContent
            case .failure(let problem): throw problem
            }
            guard let session else { throw Problem.sessionRequired }
            try await accounts.signOut(session, client: ClientInfo(request))
        }
        return .noContent
    }

    func me(_ request: Request, caller: Principal) async throws -> Response {
        async let available = mayReadCredits(caller) ? credits(caller.accountID) : nil
        let found = try await accounts.pool.withConnection { connection in
            try await connection.pipeline(
                FindUser(id: caller.userID), LiveSessions(userID: caller.userID, now: accounts.clock()))
        }
        guard let user = found.0.first else { throw Problem.invalidAPIKey }
        guard user.isActive else { throw Problem.userDeactivated }
        let balance = await available
        return .json(200) { json in
            json.object { json in
                Self.write(user, to: &json)
                json.field("name", user.fullName)
                json.field("created_at", user.createdAt.description)
                json.field("credits", credits: balance)
                json.object("auth") { json in
                    json.field("type", caller.apiKeyID == nil ? "access_token" : "api_key")
                    json.field("session_id", caller.sessionID?.description)
                    json.field("api_key_id", caller.apiKeyID?.description)
                }
                // A key may leak; it must not tell where its owner signs in.
                let sessions = caller.apiKeyID == nil ? found.1 : []
                json.array("sessions") { array in
                    for session in sessions { array.object { Self.write(session, current: caller.sessionID, to: &$0) } }
                }
            }
        }
    }

    /// A key without the scope must not learn by this route what the ledger refuses it.
    private func mayReadCredits(_ caller: Principal) -> Bool {
        (try? caller.check(.credential(scope: "credits"))) != nil
    }

    // MARK: API keys

    /// {name, scopes?, expires_at?, limit?, daily_limit?} → 201 with the key, this once. From a session only: a key must not make keys.
    func createKey(_ request: Request, caller: Principal) async throws -> Response {
        guard let session = caller.sessionID else { throw Problem.sessionRequired }
        let order = try Self.order(request.json(), now: accounts.clock())
        let (record, key) = try await keys.create(order, for: caller.userID, from: session, client: ClientInfo(request))
        return .json(201) { json in
            json.object { json in
                Self.write(record, to: &json)
                json.field("key", key)
            }
        }
    }

    func listKeys(_ request: Request, caller: Principal) async throws -> Response {
        let records = try await keys.list(of: caller.userID)
        return .json(200) { json in
            json.object { json in
                json.field("object", "list")
                json.array("data") { array in for record in records { array.object { Self.write(record, to: &$0) } } }
            }
        }
    }

    /// 204; 404 for a key that is not the caller's, as for one that never was.
    func revokeKey(_ request: Request, caller: Principal) async throws -> Response {
        let id = APIKeyID(rawValue: request.pathParameters["id"])
        guard id.rawValue.utf8.count == 10, id.rawValue.utf8.allSatisfy(Base62.isDigit),
            try await keys.revoke(id, of: caller.userID, client: ClientInfo(request))
        else { throw Problem.notFound("This key") }
        return .noContent
    }

    // MARK: Keys and metadata

    func jwks(_ request: Request) async throws -> Response {
        // Clients would cache an empty set for ten minutes.
        guard !accounts.keyring.published.isEmpty else { throw Problem.unavailable("No signing key is available yet; retry later.") }
        return .json(200, headers: ["cache-control": "public, max-age=600"]) { json in
            json.object { json in
                json.array("keys") { array in
                    for (id, key) in accounts.keyring.published {
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
        .json(200, headers: ["cache-control": "public, max-age=600"]) { json in
            json.object { json in
                json.field("issuer", publicURL)
                json.field("jwks_uri", publicURL + "/.well-known/jwks.json")
                json.array("response_types_supported") { _ in }
                json.array("grant_types_supported") { _ in }
                json.array("subject_types_supported") { $0.string("public") }
                json.array("id_token_signing_alg_values_supported") { $0.string("ES256") }
                json.array("scopes_supported") { array in for scope in APIKeys.knownScopes.sorted() { array.string(scope) } }
            }
        }
    }
}

// MARK: Reading

extension Routes {
    private static func fullName(_ text: String?) throws(Problem) -> String? {
        guard let text else { return nil }
        let name = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard name.unicodeScalars.count <= 200, name.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw .invalidRequest("`full_name` must have at most 200 characters and no control characters.", param: "full_name")
        }
        return name.isEmpty ? nil : name
    }

    private static func order(_ body: JSONObject, now: Instant) throws -> APIKeys.Order {
        guard let name = try fullName(try body.string("name")), name.unicodeScalars.count <= 64 else {
            throw Problem.invalidRequest("`name` must have 1 to 64 characters.", param: "name")
        }
        let scopes = try body.optionalArray("scopes")?.map { scope in
            guard let scope = scope.string, APIKeys.knownScopes.contains(scope) else {
                throw Problem.invalidRequest(
                    "scopes must be of: " + APIKeys.knownScopes.sorted().joined(separator: ", "), param: "scopes")
            }
            return scope
        }
        let expiresAt = try body.optionalString("expires_at").map { text in
            guard let instant = Instant(text), instant > now else {
                throw Problem.invalidRequest("`expires_at` must be a time in the future, like 2030-01-31T12:00:00Z.", param: "expires_at")
            }
            return instant
        }
        let limits = SpendingLimits(daily: try limit("daily_limit", in: body), monthly: try limit("limit", in: body))
        return APIKeys.Order(name: name, scopes: Set(scopes ?? []).sorted(), expiresAt: expiresAt, limits: limits)
    }

    private static func limit(_ name: String, in body: JSONObject) throws -> Credits? {
        guard let text = try body.optionalDecimalText(name) else { return nil }
        guard let credits = Credits(decimal: text), credits > .zero else {
            throw Problem.invalidRequest("`\(name)` must be a positive number of credits with at most 9 fraction digits.", param: name)
        }
        return credits
    }
}

extension ClientInfo {
    init(_ request: Request) {
        address = request.clientAddress?.description
        rateLimitKey = request.isFromThisMachine ? nil : request.clientAddress?.clientPrefix
        userAgent = request.headers.string(for: "user-agent").flatMap { Self.isPrintable($0) ? String($0.prefix(256)) : nil }
    }

    private static func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } }
}

// MARK: Writing

extension Routes {
    /// Answers with tokens, which no cache may store (RFC 6749 §5.1).
    private func answer(_ status: Int, _ issued: Accounts.Issued) -> Response {
        .json(status, headers: ["cache-control": "no-store", "pragma": "no-cache"]) { json in
            json.object { json in
                json.field("access_token", issued.accessToken)
                json.field("token_type", "Bearer")
                json.field("expires_in", issued.expiresIn)
                json.field("refresh_token", issued.refreshToken)
                json.object("user") { Self.write(issued.user, to: &$0) }
            }
        }
    }

    private static func write(_ user: User, to json: inout JSONWriter) {
        json.field("id", user.id.description)
        json.field("email", user.email)
        json.field("full_name", user.fullName)
        json.field("role", user.role.rawValue)
        json.field("plan", user.plan)
    }

    private static func write(_ session: LiveSessions.Output, current: SessionID?, to json: inout JSONWriter) {
        json.field("id", session.id.description)
        json.field("client_id", session.clientID)
        json.field("current", session.id == current)
        json.field("signed_in_at", session.signedInAt.description)
        json.field("last_used_at", session.lastUsedAt.description)
        json.field("ip", session.ip)
        json.field("user_agent", session.userAgent)
    }

    private static func write(_ record: APIKeyRecord, to json: inout JSONWriter) {
        json.field("id", record.id.rawValue)
        json.field("object", "api_key")
        json.field("name", record.name)
        json.field("last4", record.last4)
        json.array("scopes") { array in for scope in record.scopes { array.string(scope) } }
        json.field("limit", credits: record.limits.monthly)
        json.field("daily_limit", credits: record.limits.daily)
        json.field("created_at", record.createdAt.description)
        json.field("expires_at", record.expiresAt?.description)
        json.field("last_used_at", record.lastUsedAt?.description)
    }
}

extension JSONWriter {
    /// A number, exact; null where there is none.
    fileprivate mutating func field(_ name: String, credits: Credits?) {
        if let credits { field(name, raw: credits.description.utf8) } else { field(name, nil as String?) }
    }
}
