import Postgres
import Values

extension Accounts {
    enum PasswordChangeOutcome: Sendable {
        /// New tokens may be signed for the same session. All other sessions have ended.
        case changed(Issuer.Grant)
        case wrongPassword
        /// The user signs in with a provider. A link of a mail sets the first password.
        case noPassword
        /// Too many wrong passwords. An attempt after this time is admitted.
        case throttled(Duration)
        case deactivated
        case sessionEnded
    }

    /// Replaces the password of a signed-in user who knows the old one.
    ///
    /// All access tokens from before are refused, and all other sessions end. The keys stay.
    /// - Parameter isBrowser: true if the cookie of the session names the caller. It is replaced.
    func changePassword(
        _ old: String, to new: String, of user: UserID, from session: SessionID, isBrowser: Bool, client: ClientInfo
    ) async throws -> PasswordChangeOutcome {
        guard let owner = try await pool.withConnection({ try await $0.first(FindUser(id: user)) }) else { return .sessionEnded }
        guard let email = EmailAddress(owner.email) else { return .sessionEnded }
        guard try await hasPassword(user) else { return .noPassword }
        switch try await check(old, of: owner.email, client: client) {
        case .throttled(let wait): return .throttled(wait)
        case .wrong: return .wrongPassword
        case .right(let attempt, let known, _):
            let sealed = try await passwords.seal(new, for: user)
            let now = clock()
            let outcome = try await pool.transaction { transaction -> Result<Issuer.Grant, MintGate.Refusal> in
                guard let locked = try await transaction.first(LockUserRow(id: user)), locked.tokenVersion == known.tokenVersion,
                    let row = try await transaction.first(LockSession(id: session)), row.user.id == user
                else { return .failure(.sessionEnded) }
                let changed = try await revocations.put(locked, now: now, in: transaction)
                let next = row.session.rotated(now: now)
                let grant = issuer.grant(changed, next, now: now)
                guard case .success(let granted) = grant else { return grant }
                let renewed = isBrowser ? try await issuer.renewCookie(granted, in: transaction) : granted
                try await revocations.endSessions(of: user, except: session, now: now, in: transaction)
                try await transaction.commit(
                    PutPassword(userID: user, sealed: sealed, now: now), RotateSession(session: next),
                    attempt.forgotten, InsertMail(template: .passwordChanged, userID: user, recipient: email, now: now),
                    AuditRecord(event: .passwordChanged, userID: user, subject: session.description, client: client, now: now))
                return .success(renewed)
            }
            switch outcome {
            case .success(let grant): return .changed(grant)
            case .failure(.userDeactivated): return .deactivated
            case .failure: return .sessionEnded
            }
        }
    }
}
