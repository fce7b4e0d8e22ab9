import HTTP
import Identity
import JSON
import Values

extension Routes {
    /// The user, its credits, and the credential that asks.
    func me(_ request: Request, caller: Principal) async throws -> Response {
        async let available = mayReadCredits(caller) ? credits(caller.accountID) : nil
        let profile = try await accounts.profile(of: caller.userID)
        guard let profile else { throw caller.service == nil ? Problem.invalidAPIKey : .unknownUser }
        guard profile.user.isActive else { throw Problem.userDeactivated }
        let balance = await available
        return .object(200) { json in
            Self.write(profile.user, to: &json)
            json.field("name", profile.user.fullName)
            json.field("created_at", profile.user.createdAt.description)
            json.field("credits", credits: balance)
            json.object("auth") { json in
                json.field("type", Self.credential(of: caller))
                json.field("session_id", caller.sessionID?.description)
                json.field("api_key_id", caller.apiKeyID?.description)
                json.field("service", caller.service)
            }
            // A key or a service token may leak. It must not show where its user signs in.
            let sessions = caller.sessionID == nil ? [] : profile.sessions
            json.array("sessions") { array in
                for session in sessions { array.object { Self.write(session, current: caller.sessionID, to: &$0) } }
            }
        }
    }

    private static func credential(of caller: Principal) -> String {
        switch caller.kind {
        case .session: "access_token"
        case .apiKey: "api_key"
        case .service: "service_token"
        }
    }

    /// A key without the scope must not learn by this route what the ledger refuses it.
    private func mayReadCredits(_ caller: Principal) -> Bool {
        (try? caller.check(.credential(scope: "credits"))) != nil
    }
}
