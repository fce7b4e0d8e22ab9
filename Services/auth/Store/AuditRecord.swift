import Postgres
import Values

/// An append-only row that says which user did what. It never holds a secret.
struct AuditRecord: Statement {
    enum Event: String, Sendable, CaseIterable {
        case register
        case login
        case refreshReuse = "refresh_reuse"
        case logout
        case openIDLogin = "openid_login"
        case identityLinked = "identity_linked"
        case identityUnlinked = "identity_unlinked"
        case profileChanged = "profile_changed"
        case emailVerified = "email_verified"
        case emailChangeAsked = "email_change_asked"
        case emailChanged = "email_changed"
        case linkRefused = "link_refused"
        case passwordForgotten = "password_forgotten"
        case passwordReset = "password_reset"
        case passwordChanged = "password_changed"
        case sessionEnded = "session_ended"
        case otherSessionsEnded = "other_sessions_ended"
        case userDeactivated = "user_deactivated"
        case userReactivated = "user_reactivated"
        case userMadeAdmin = "user_made_admin"
        case userMadeUser = "user_made_user"
        case userSessionsEnded = "user_sessions_ended"
        case adminDeactivatedUser = "admin_deactivated_user"
        case adminReactivatedUser = "admin_reactivated_user"
        case adminMadeAdmin = "admin_made_admin"
        case adminMadeUser = "admin_made_user"
        case adminEndedSessions = "admin_ended_sessions"
        case planChanged = "plan_changed"
        case deviceApproved = "device_approved"
        case deviceDenied = "device_denied"
        case deviceRedeemed = "device_redeemed"
        case deviceCodeReplayed = "device_code_replayed"
        case apiKeyCreated = "api_key_created"
        case apiKeyRevoked = "api_key_revoked"
        case signingKeyChanged = "signing_key_changed"
        case adminBootstrapped = "admin_bootstrapped"
    }

    static let sql = """
        INSERT INTO audit (id, at, event, outcome, user_id, subject, ip, user_agent)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """
    var event: Event
    var succeeded = true
    var userID: UserID?
    /// The session, key, address, provider or other user it was about.
    var subject: String?
    var client: ClientInfo
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(UUIDv7.make())
        parameters.append(now)
        parameters.append(event.rawValue)
        parameters.append(succeeded ? "success" : "failure")
        parameters.append(userID)
        parameters.append(subject)
        parameters.append(client.address)
        parameters.append(client.userAgent)
    }
}
