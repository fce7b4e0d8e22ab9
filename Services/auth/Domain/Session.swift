import Values

/// One sign-in on one device. It lives on as long as it is refreshed, and never beyond `absoluteExpiresAt`.
struct Session: Sendable, Equatable {
    static let idleLife: Duration = .seconds(30 * 86_400)
    static let absoluteLife: Duration = .seconds(90 * 86_400)

    var id: SessionID
    var userID: UserID
    var clientID: String
    /// Names of scopes, separated by blanks. Empty for all.
    var scope: String
    /// True for a device that was connected by a code. It never administers.
    var isDevice: Bool
    /// The secret of this session's refresh tokens, used together with the server's own key.
    var salt: [UInt8]
    /// Counts refreshes; only the token of the current one refreshes again.
    var generation: Int64
    var authenticatedAt: Instant
    var rotatedAt: Instant
    var idleExpiresAt: Instant
    var absoluteExpiresAt: Instant
    var isRevoked: Bool

    /// True if a client may ask for these scopes again.
    func covers(_ scopes: Set<String>) -> Bool {
        scope.isEmpty || scopes.isSubset(of: scope.split(separator: " ").map(String.init))
    }

    func isOver(at now: Instant) -> Bool { isRevoked || now >= idleExpiresAt || now >= absoluteExpiresAt }
}

extension Session {
    /// Makes a session that begins now.
    init(
        of user: UserID, clientID: String, scope: String = "", isDevice: Bool = false, salt: [UInt8], now: Instant
    ) {
        self.init(
            id: .make(), userID: user, clientID: clientID, scope: scope, isDevice: isDevice, salt: salt, generation: 0,
            authenticatedAt: now, rotatedAt: now,
            idleExpiresAt: now + Self.idleLife, absoluteExpiresAt: now + Self.absoluteLife, isRevoked: false)
    }
}
