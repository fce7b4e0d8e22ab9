import HTTP
import Identity
import JSON
import Values

extension Routes {
    /// The user, its credits, and the credential that asks.
    func me(_ request: Request, caller: Principal) async throws -> Response {
        async let available = mayReadCredits(caller) ? credits(caller.accountID) : nil
        let profile = try await accounts.profile(of: caller.userID)
        guard let profile else { throw Problem.invalidAPIKey }
        guard profile.user.isActive else { throw Problem.userDeactivated }
        let balance = await available
        return .object(200) { json in
            Self.write(profile.user, to: &json)
            json.field("name", profile.user.fullName)
            json.field("created_at", profile.user.createdAt.description)
            json.field("credits", credits: balance)
            json.object("auth") { json in
                json.field("type", caller.apiKeyID == nil ? "access_token" : "api_key")
                json.field("session_id", caller.sessionID?.description)
                json.field("api_key_id", caller.apiKeyID?.description)
            }
            // A key may leak; it must not tell where its owner signs in.
            let sessions = caller.apiKeyID == nil ? profile.sessions : []
            json.array("sessions") { array in
                for session in sessions { array.object { Self.write(session, current: caller.sessionID, to: &$0) } }
            }
        }
    }

    /// A key without the scope must not learn by this route what the ledger refuses it.
    private func mayReadCredits(_ caller: Principal) -> Bool {
        (try? caller.check(.credential(scope: "credits"))) != nil
    }
}
