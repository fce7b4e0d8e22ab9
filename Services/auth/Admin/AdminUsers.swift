import Postgres
import Values

/// The users, for administrators. Each act of an administrator has an audit row.
struct AdminUsers: Sendable {
    let pool: PostgresPool
    let revocations: Revocations
    let clock: @Sendable () -> Instant

    /// A search for users, and the last user of the page before.
    enum Search: Sendable {
        /// All users in the order of their registration, the newest first.
        case all(before: UserID?)
        case id(UserID)
        /// The users whose address begins with a text in lower case, in the order of the addresses.
        case address(beginning: String, after: EmailAddress?)
    }

    func list(_ search: Search, limit: Int) async throws -> ListPage<User> {
        try await pool.withConnection { connection in
            let found =
                switch search {
                case .all(let before): try await connection.query(NewestUsers(before: before, limit: limit + 1))
                case .id(let id): try await connection.query(FindUser(id: id))
                case .address(let beginning, let after):
                    try await connection.query(UsersByEmail(beginning: beginning, after: after, limit: limit + 1))
                }
            return ListPage(found, limit: limit)
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
    func audit(of user: UserID, before: AuditID?, limit: Int) async throws -> ListPage<AuditRow> {
        let query = AuditOfUser(userID: user, before: before, limit: limit + 1)
        return ListPage(try await pool.withConnection { try await $0.query(query) }, limit: limit)
    }
}
