import HTTP
import Identity
import JSON
import Values
import Web

extension Routes {
    /// The user, its credits, and the credential that asks.
    func me(_ request: Request, caller: Principal) async throws -> Response {
        async let known = mayReadCredits(caller) ? balance(caller.accountID) : nil
        let profile = try await accounts.profile(of: caller.userID)
        guard let profile else { throw caller.service == nil ? Problem.invalidAPIKey : .unknownUser }
        guard profile.user.isActive else { throw Problem.userDeactivated }
        let available = await known?.available
        return .object(200) { json in
            Self.write(profile.user, to: &json)
            json.field("name", profile.user.fullName)
            Self.writePreferences(profile.user, to: &json)
            json.field("created_at", profile.user.createdAt.description)
            json.field("credits", credits: available)
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

    /// {full_name?, locale?, time_zone?, low_balance_mail?} → 200 with the user. A member that is left
    /// out stays; null takes the default.
    func changeMe(_ request: Request, caller: Principal) async throws -> Response {
        let body = try request.json()
        let changes = try Changes(body)
        switch try await accounts.changeProfile(of: caller.userID, client: ClientInfo(request), { changes.apply(to: &$0) }) {
        case .changed(let user):
            return .object(200) { json in
                Self.write(user, to: &json)
                Self.writePreferences(user, to: &json)
            }
        case .unknown: throw Problem.invalidAPIKey
        case .unknownTimeZone:
            throw Problem.invalidRequest("`time_zone` must be a name of the IANA database, like Asia/Bangkok.", param: "time_zone")
        }
    }

    private static func writePreferences(_ user: User, to json: inout JSONWriter) {
        json.field("email_verified", user.isEmailVerified)
        json.field("locale", user.preferences.locale)
        json.field("time_zone", user.preferences.timeZone)
        json.field("low_balance_mail", user.preferences.lowBalanceMail)
    }

    /// The changed members of a profile. Nil: the member was left out. Null takes the default.
    private struct Changes: Sendable {
        let fullName: String??
        let locale: String?
        let timeZone: String?
        let lowBalanceMail: Bool?

        init(_ body: JSONObject) throws {
            fullName = body.member("full_name") == nil ? nil : .some(try Routes.fullName(try body.optionalString("full_name")))
            let defaults = User.Preferences()
            locale = body.member("locale") == nil ? nil : try body.optionalString("locale") ?? defaults.locale
            timeZone = body.member("time_zone") == nil ? nil : try body.optionalString("time_zone") ?? defaults.timeZone
            lowBalanceMail = try body.optionalBool("low_balance_mail")
            if let locale, !User.Preferences.locales.contains(locale) {
                throw Problem.invalidRequest(
                    "`locale` must be one of: \(User.Preferences.locales.joined(separator: ", ")).", param: "locale")
            }
        }

        func apply(to user: inout User) {
            if let fullName { user.fullName = fullName }
            if let locale { user.preferences.locale = locale }
            if let timeZone { user.preferences.timeZone = timeZone }
            if let lowBalanceMail { user.preferences.lowBalanceMail = lowBalanceMail }
        }
    }

    /// A key without the scope must not learn by this route what the ledger refuses it.
    private func mayReadCredits(_ caller: Principal) -> Bool {
        (try? caller.check(.credential(scope: "credits"))) != nil
    }
}
