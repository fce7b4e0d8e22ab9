import Postgres
import Telemetry
import Values

extension Accounts {
    enum SignInOutcome: Sendable {
        case signedIn(Issuer.Grant)
        /// The password is wrong, or no account with a password has the address: a client cannot tell the two
        /// apart.
        case wrongCredentials
        /// Only after the right password.
        case deactivated
        /// Too many failures. An attempt after this time is admitted.
        case throttled(Duration)
    }

    /// Signs a user in.
    func signIn(
        email: String, password: String, as order: Issuer.SessionOrder = order, client: ClientInfo
    ) async throws -> SignInOutcome {
        switch try await check(password, of: email, client: client) {
        case .wrong: return .wrongCredentials
        case .throttled(let wait): return .throttled(wait)
        case .right(let attempt, let user, let needsRehash):
            return try await begin(order, user, attempt, newPassword: needsRehash ? password : nil, client: client)
        }
    }

    private func begin(
        _ order: Issuer.SessionOrder, _ user: User, _ attempt: Attempt, newPassword: String?, client: ClientInfo
    ) async throws -> SignInOutcome {
        let now = clock()
        let resealed: [UInt8]? = if let newPassword { try await passwords.seal(newPassword, for: user.id) } else { nil }
        let grant = try await pool.transaction { transaction in
            let grant = try await begin(order, for: user, client, now: now, in: transaction)
            guard case .success(let granted) = grant else {
                try await transaction.commit(
                    AuditRecord(event: .login, succeeded: false, userID: user.id, client: client, now: now))
                return grant
            }
            if let resealed { try await transaction.execute(PutPassword(userID: user.id, sealed: resealed, now: now)) }
            try await transaction.commit(
                attempt.forgotten,
                AuditRecord(event: .login, userID: user.id, subject: granted.session.id.description, client: client, now: now))
            return grant
        }
        switch grant {
        case .success(let grant):
            metrics.signInsSucceeded.add()
            return .signedIn(grant)
        case .failure(.userDeactivated): return .deactivated
        case .failure: return .wrongCredentials
        }
    }
}
