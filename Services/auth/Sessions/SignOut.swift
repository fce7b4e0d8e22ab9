import Postgres
import Values

extension Sessions {
    /// Ends a session. Idempotent. Does not wait for the broker: the event leaves with the outbox.
    /// - Parameter clientID: if given, the session of another client stays.
    func signOut(_ session: SessionID, of clientID: String? = nil, client: ClientInfo) async throws {
        let now = clock()
        try await pool.transaction { transaction in
            if let clientID, try await transaction.first(LockSession(id: session))?.session.clientID != clientID { return }
            try await end(session, as: .logout, client: client, now: now, in: transaction)
        }
    }

    /// Returns the session of a refresh token, so that it can be ended; nil for any other text.
    func session(of text: String) async throws -> SessionID? {
        guard let token = RefreshToken(text) else { return nil }
        let found = try await pool.withConnection { try await $0.first(FindSession(id: token.sessionID)) }
        guard let found, issuer.isAuthentic(token, for: found.session) else { return nil }
        return found.session.id
    }

    func end(
        _ session: SessionID, as event: AuditRecord.Event, client: ClientInfo, now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard let user = try await revocations.end(session, now: now, in: transaction) else { return }
        try await transaction.execute(
            AuditRecord(event: event, userID: user, subject: session.description, client: client, now: now))
    }
}
