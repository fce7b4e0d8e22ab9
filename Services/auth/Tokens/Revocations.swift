import Contracts
import Identity
import Outbox
import Postgres
import Synchronization
import Values

/// Ends sessions and API keys, and changes users. Each end and each change commits together with its event for the other services.
/// The authenticator of this process learns of it with the commit, before the broker brings the event.
final class Revocations: Sendable {
    private let tokenLife: Duration
    private let state = Mutex<Authenticator?>(nil)

    init(tokenLife: Duration) { self.tokenLife = tokenLife }

    /// The authenticator of this process.
    var listener: Authenticator? {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }

    /// Ends a session.
    /// - Returns: its user; nil if it is unknown or has ended before.
    func end(_ session: SessionID, now: Instant, in transaction: PostgresTransaction) async throws -> UserID? {
        guard let user = try await transaction.first(RevokeSession(id: session, now: now)) else { return nil }
        try await publish(session, now: now, in: transaction)
        return user
    }

    /// Ends all sessions of a user, but one if it is given.
    func endSessions(
        of user: UserID, except kept: SessionID? = nil, now: Instant, in transaction: PostgresTransaction
    ) async throws {
        for session in try await transaction.query(RevokeSessions(userID: user, except: kept, now: now)) {
            try await publish(session, now: now, in: transaction)
        }
    }

    /// Ends a key.
    /// - Returns: false for a key that is unknown, has ended before, or belongs to another user.
    func end(_ key: APIKeyID, of user: UserID, now: Instant, in transaction: PostgresTransaction) async throws -> Bool {
        guard try await transaction.first(RevokeAPIKey(id: key, userID: user, now: now)) != nil else { return false }
        try await publish(key, in: transaction)
        return true
    }

    /// Ends all keys of a user.
    func endKeys(of user: UserID, now: Instant, in transaction: PostgresTransaction) async throws {
        for key in try await transaction.query(RevokeAPIKeys(userID: user, now: now)) {
            try await publish(APIKeyID(rawValue: key), in: transaction)
        }
    }

    /// Publishes the change of a user, which has raised `token_version`.
    func publish(_ change: UserChanged, in transaction: PostgresTransaction) async throws {
        try await Outbox.add(change, orderingKey: change.userID.description, in: transaction)
        transaction.onCommit { [self] in listener?.learn(change) }
    }

    /// Writes a user whose row the transaction has locked. Access tokens from before are refused, and
    /// every replica asks about the user's keys again.
    /// - Returns: the user with its next token version.
    func put(_ user: User, now: Instant, in transaction: PostgresTransaction) async throws -> User {
        var user = user
        user.tokenVersion += 1
        try await transaction.execute(PutUser(user: user, now: now))
        let change = UserChanged(userID: user.id, tokenVersion: user.tokenVersion, isActive: user.isActive)
        try await publish(change, in: transaction)
        return user
    }

    /// Returns the event of a session that ended at a time.
    ///
    /// It counts for a minute longer than a token can live that was made just before, because the
    /// clocks of two replicas differ.
    func event(of session: SessionID, at instant: Instant) -> SessionRevoked {
        SessionRevoked(sessionID: session, tokensExpireAt: instant + tokenLife + .seconds(60))
    }

    private func publish(_ session: SessionID, now: Instant, in transaction: PostgresTransaction) async throws {
        let event = event(of: session, at: now)
        try await Outbox.add(event, orderingKey: session.description, in: transaction)
        transaction.onCommit { [self] in listener?.revoke(event) }
    }

    private func publish(_ key: APIKeyID, in transaction: PostgresTransaction) async throws {
        let event = APIKeyRevoked(apiKeyID: key)
        try await Outbox.add(event, orderingKey: key.description, in: transaction)
        transaction.onCommit { [self] in listener?.revoke(event) }
    }
}
