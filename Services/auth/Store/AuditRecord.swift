import Postgres
import Values

/// The address and the program of a client, as far as they are recorded.
struct Origin: Sendable {
    var ip: String?
    var userAgent: String?

    /// Nil for this machine itself: where no edge says who asks, everybody would share one bucket.
    var throttledIP: String? { ip == "127.0.0.1" || ip == "::1" ? nil : ip }

    static let itself = Origin(ip: nil, userAgent: nil)
}

/// An append-only row that says which user did what. It never holds a secret.
struct AuditRecord: Statement {
    enum Event: String, Sendable {
        case register
        case login
        case refreshReuse = "refresh_reuse"
        case logout
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
    /// The session, key or address it was about.
    var subject: String?
    var origin: Origin
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(UUIDv7.make())
        parameters.append(now)
        parameters.append(event.rawValue)
        parameters.append(succeeded ? "success" : "failure")
        parameters.append(userID)
        parameters.append(subject)
        parameters.append(origin.ip)
        parameters.append(origin.userAgent)
    }
}
