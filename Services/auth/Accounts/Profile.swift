import Postgres
import Values

extension Accounts {
    /// A user with the sessions that can still be used.
    struct Profile: Sendable {
        var user: User
        var sessions: [LiveSessions.Output]
    }

    /// Changes what a user may change about itself.
    func changeProfile(
        of user: UserID, client: ClientInfo, _ change: @Sendable (inout User) -> Void
    ) async throws -> ProfileChangeOutcome {
        let now = clock()
        guard var asked = try await pool.withConnection({ try await $0.first(FindUser(id: user)) }) else { return .unknown }
        change(&asked)
        guard try await isTimeZone(asked.preferences.timeZone) else { return .unknownTimeZone }
        return try await pool.transaction { transaction in
            guard var row = try await transaction.first(LockUserRow(id: user)) else { return .unknown }
            change(&row)
            try await transaction.commit(
                PutProfile(user: row), AuditRecord(event: .profileChanged, userID: user, client: client, now: now))
            return .changed(row)
        }
    }

    enum ProfileChangeOutcome: Sendable {
        case changed(User)
        /// There is no such user.
        case unknown
        case unknownTimeZone
    }

    /// True for a name of the IANA database that Postgres knows.
    func isTimeZone(_ name: String) async throws -> Bool { try await zones.contains(name, pool) }

    func timeZones() async throws -> [TimeZoneRegion] { try await zones.regions(pool) }

    /// Returns the profile of a user; nil if there is no such user.
    func profile(of user: UserID) async throws -> Profile? {
        let now = clock()
        let (users, sessions) = try await pool.withConnection { connection in
            try await connection.pipeline(FindUser(id: user), LiveSessions(userID: user, now: now))
        }
        return users.first.map { Profile(user: $0, sessions: sessions) }
    }
}
