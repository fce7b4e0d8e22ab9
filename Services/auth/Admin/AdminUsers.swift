import Postgres
import Values

/// The users, for administrators. Each act of an administrator has an audit row.
struct AdminUsers: Sendable {
    let pool: PostgresPool
    let revocations: Revocations
    let clock: @Sendable () -> Instant

    /// Users in the order of their registration, the newest first.
    /// - Parameters:
    ///   - search: the beginning of the email address, or an id. Nil for all.
    ///   - before: the last user of the page before.
    func list(_ search: String?, before: UserID?, limit: Int) async throws -> [User] {
        try await pool.withConnection { connection in
            guard let search, !search.isEmpty else { return try await connection.query(NewestUsers(before: before, limit: limit)) }
            if let id = UserID(search) { return before == nil ? try await connection.query(FindUser(id: id)) : [] }
            return try await connection.query(UsersByEmail(beginning: search.lowercased(), before: before, limit: limit))
        }
    }

    func find(_ id: UserID) async throws -> Accounts.Profile? {
        let now = clock()
        let (users, sessions) = try await pool.withConnection { connection in
            try await connection.pipeline(FindUser(id: id), LiveSessions(userID: id, now: now))
        }
        return users.first.map { Accounts.Profile(user: $0, sessions: sessions) }
    }

    /// The audit rows of a user, the newest first.
    func audit(of user: UserID, before: AuditID?, limit: Int) async throws -> [AuditRow] {
        try await pool.withConnection { try await $0.query(AuditOfUser(userID: user, before: before, limit: limit)) }
    }
}
