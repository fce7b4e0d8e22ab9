import HTTP
import Identity
import JSON
import Values

extension Routes {
    /// The caller's sessions that can still be used, the last used first.
    func listSessions(_ request: Request, caller: Principal) async throws -> Response {
        let found = try await sessions.list(of: caller.userID)
        return .object(200) { json in
            json.field("object", "list")
            json.array("data") { array in
                for session in found { array.object { Self.write(session, current: caller.sessionID, to: &$0) } }
            }
        }
    }

    /// 204; 404 for a session that is not the caller's, as for one that never was.
    func endSession(_ request: Request, caller: Principal) async throws -> Response {
        try await endSession(of: caller, request)
        return .noContent
    }

    /// Ends the session that the path names.
    func endSession(of caller: Principal, _ request: Request) async throws {
        guard let id = SessionID(request.pathParameters["id"]),
            try await sessions.end(id, of: caller.userID, client: ClientInfo(request))
        else { throw Problem.notFound("This session") }
    }

    /// Ends all sessions of the caller but the one that asks.
    func endOtherSessions(_ request: Request, caller: Principal) async throws -> Response {
        try await endOtherSessions(of: caller, request)
        return .noContent
    }

    func endOtherSessions(of caller: Principal, _ request: Request) async throws {
        guard let session = caller.sessionID else { throw Problem.sessionRequired }
        try await sessions.endOthers(of: caller.userID, except: session, client: ClientInfo(request))
    }

    /// {current_password, new_password} → 200 with new tokens of the session, or 204 with new cookies if
    /// a cookie names the caller. All other sessions end.
    func changePassword(_ request: Request, caller: Principal) async throws -> Response {
        let body = try request.json()
        let (old, new) = (try body.string("current_password"), try body.string("new_password"))
        guard let profile = try await accounts.profile(of: caller.userID), let email = EmailAddress(profile.user.email) else {
            throw Problem.invalidAPIKey
        }
        if let refusal = PasswordPolicy.refusal(of: new, for: email) {
            throw Problem.invalidRequest("`new_password`: \(refusal.message)", param: "new_password")
        }
        switch try await changePassword(old, to: new, of: caller, request) {
        case .changed(let grant):
            return grant.cookie != nil
                ? Response(status: 204, headers: cookies(of: grant, ClientInfo(request)))
                : Self.answer(200, try accounts.issuer.sign(grant))
        case .wrongPassword: throw Self.wrongPassword
        case .noPassword: throw Self.noPassword
        case .throttled(let wait): throw Problem.rateLimited("Too many failed attempts.", retryAfter: wait)
        case .deactivated: throw Problem.userDeactivated
        case .sessionEnded: throw Problem.tokenRevoked
        }
    }

    /// Changes the password of a caller to one that the policy accepts.
    func changePassword(
        _ old: String, to new: String, of caller: Principal, _ request: Request
    ) async throws -> Accounts.PasswordChangeOutcome {
        guard let session = caller.sessionID else { throw Problem.sessionRequired }
        guard old.utf8.count <= PasswordPolicy.bytesMax else { return .wrongPassword }
        return try await accounts.changePassword(
            old, to: new, of: caller.userID, from: session, isBrowser: caller.csrf != nil, client: ClientInfo(request))
    }
    static let noPassword = Problem.conflict("The account has no password; ask for a link that sets one (POST /api/auth/password/forgot).")

    private static let wrongPassword = Problem.invalidRequest("`current_password` is wrong.", param: "current_password")
}
