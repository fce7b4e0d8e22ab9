import Postgres
import Values

extension Accounts {
    /// A user with the sessions that can still be used.
    struct Profile: Sendable {
        var user: User
        var sessions: [LiveSessions.Output]
    }

    /// Returns the profile of a user; nil if there is no such user.
    func profile(of user: UserID) async throws -> Profile? {
        let now = clock()
        let (users, sessions) = try await pool.withConnection { connection in
            try await connection.pipeline(FindUser(id: user), LiveSessions(userID: user, now: now))
        }
        return users.first.map { Profile(user: $0, sessions: sessions) }
    }
}
