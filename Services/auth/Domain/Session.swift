import Values

/// A person, as far as tokens are concerned.
struct User: Sendable, Equatable {
    enum Role: String, Sendable, CaseIterable { case user, admin }

    var id: UserID
    var email: String
    var fullName: String?
    var role: Role
    var plan: String
    var isActive: Bool
    /// Raised to invalidate everything that was issued before.
    var tokenVersion: Int64
    var createdAt: Instant

    var roles: [String] { role == .admin ? ["user", "admin"] : ["user"] }
}

/// One sign-in on one device. It lives on as long as it is refreshed, and never beyond `absoluteExpiresAt`.
struct Session: Sendable, Equatable {
    static let idleLife: Duration = .seconds(30 * 86_400)
    static let absoluteLife: Duration = .seconds(90 * 86_400)

    var id: SessionID
    var userID: UserID
    var clientID: String
    /// The secret of this session's refresh tokens, used together with the server's own key.
    var salt: [UInt8]
    /// Counts refreshes; only the token of the current one refreshes again.
    var generation: Int64
    var authenticatedAt: Instant
    var rotatedAt: Instant
    var idleExpiresAt: Instant
    var absoluteExpiresAt: Instant
    var isRevoked: Bool

    func isOver(at now: Instant) -> Bool { isRevoked || now >= idleExpiresAt || now >= absoluteExpiresAt }
}

extension Session {
    /// Makes a session that begins now.
    init(of user: UserID, clientID: String, salt: [UInt8], now: Instant) {
        self.init(
            id: .make(), userID: user, clientID: clientID, salt: salt, generation: 0, authenticatedAt: now, rotatedAt: now,
            idleExpiresAt: now + Self.idleLife, absoluteExpiresAt: now + Self.absoluteLife, isRevoked: false)
    }
}
