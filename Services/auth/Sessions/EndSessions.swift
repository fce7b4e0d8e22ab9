import Postgres
import Values

extension Sessions {
    func list(of user: UserID) async throws -> [LiveSessions.Output] {
        let now = clock()
        return try await pool.withConnection { try await $0.query(LiveSessions(userID: user, now: now)) }
    }

    /// Ends a session of a user.
    /// - Returns: false for a session that is unknown, has ended before, or belongs to another user.
    func end(_ session: SessionID, of user: UserID, client: ClientInfo) async throws -> Bool {
        let now = clock()
        return try await pool.transaction { transaction in
            guard try await transaction.first(LockSession(id: session))?.session.userID == user,
                try await revocations.end(session, now: now, in: transaction) != nil
            else { return false }
            try await transaction.commit(
                AuditRecord(event: .sessionEnded, userID: user, subject: session.description, client: client, now: now))
            return true
        }
    }

    /// Ends all sessions of a user but one.
    func endOthers(of user: UserID, except session: SessionID, client: ClientInfo) async throws {
        let now = clock()
        try await pool.transaction { transaction in
            try await revocations.endSessions(of: user, except: session, now: now, in: transaction)
            try await transaction.commit(
                AuditRecord(event: .otherSessionsEnded, userID: user, subject: session.description, client: client, now: now))
        }
    }
}
