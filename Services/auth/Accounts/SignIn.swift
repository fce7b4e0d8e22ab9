import Crypto
import Postgres
import Telemetry
import Values

extension Accounts {
    enum SignInOutcome: Sendable {
        case signedIn(Issuer.Tokens)
        /// The password is wrong, or no account has the address: a client cannot tell the two apart.
        case wrongCredentials
        /// Only after the right password.
        case deactivated
        /// Too many failures. An attempt after this time is admitted.
        case throttled(Duration)
    }

    /// Signs a user in. An attempt counts as a failure from its start, and its success takes that back.
    func signIn(email text: String, password: String, client: ClientInfo) async throws -> SignInOutcome {
        let now = clock()
        if let wait = limits.signIn(client, now: now) { return throttled(wait) }
        // A malformed address has no account. It takes the same time nevertheless.
        let email = EmailAddress(text)
        let attempt = Attempt(digest: sha256(email?.text ?? text).bytes, place: client.network ?? "unknown")
        let found: FindLogin.Output
        switch try await admit(attempt, email, client, now: now) {
        case .success(let login): found = login
        case .failure(let wait):
            limits.signInDidNotCount(client, now: now)
            return throttled(wait.duration)
        }
        let verdict = try await passwords.check(password, against: found.known.map { ($0.user.id, $0.sealedPassword) })
        guard case .right(let needsRehash) = verdict, let user = found.known?.user else {
            metrics.signInsFailed.add()
            _ = try await pool.transaction { transaction in
                try await transaction.commit(
                    CountAccountFailure(digest: attempt.digest, now: now),
                    AuditRecord(event: .login, succeeded: false, userID: found.known?.user.id, client: client, now: now))
            }
            return .wrongCredentials
        }
        let outcome = try await begin(user, attempt, newPassword: needsRehash ? password : nil, client: client)
        if case .signedIn = outcome { limits.signInDidNotCount(client, now: now) }
        return outcome
    }

    /// The account and the place whose attempts count together.
    private struct Attempt: Sendable {
        let digest: [UInt8]
        let place: String
    }

    private struct Wait: Error { let duration: Duration }

    private func throttled(_ wait: Duration) -> SignInOutcome {
        metrics.signInsThrottled.add()
        return .throttled(wait)
    }

    /// Counts the attempt and reads the account.
    private func admit(
        _ attempt: Attempt, _ email: EmailAddress?, _ client: ClientInfo, now: Instant
    ) async throws -> Result<FindLogin.Output, Wait> {
        try await pool.transaction { transaction in
            let (_, places, logins) = try await transaction.pipeline(
                OpenPlace(digest: attempt.digest, place: attempt.place), LockPlace(digest: attempt.digest, place: attempt.place),
                FindLogin(email: email ?? .nobody, digest: attempt.digest, network: client.network, now: now))
            guard let place = places.first, let login = logins.first else {
                throw PostgresError(.typeMismatch, "a sign-in found no row of its attempts")
            }
            let decision = SignInThrottle.decide(
                place, accountFailures: login.accountFailures, isKnown: login.isKnownNetwork, now: now)
            switch decision {
            case .admit(let attempts):
                try await transaction.commit(PutPlace(digest: attempt.digest, place: attempt.place, attempts: attempts))
                return .success(login)
            case .wait(let duration, let attempts?):
                try await transaction.commit(PutPlace(digest: attempt.digest, place: attempt.place, attempts: attempts))
                return .failure(Wait(duration: duration))
            case .wait(let duration, nil): return .failure(Wait(duration: duration))
            }
        }
    }

    private func begin(
        _ user: User, _ attempt: Attempt, newPassword: String?, client: ClientInfo
    ) async throws -> SignInOutcome {
        let now = clock()
        let resealed: [UInt8]? = if let newPassword { try await passwords.seal(newPassword, for: user.id) } else { nil }
        let grant = try await pool.transaction { transaction in
            let grant = try await issuer.begin(Self.order, for: user, client, now: now, in: transaction)
            guard case .success(let granted) = grant else { return grant }
            if let resealed { try await transaction.execute(PutPassword(userID: user.id, sealed: resealed, now: now)) }
            try await transaction.commit(
                ForgetPlace(digest: attempt.digest, place: attempt.place),
                AuditRecord(event: .login, userID: user.id, subject: granted.session.id.description, client: client, now: now))
            return grant
        }
        switch grant {
        case .success(let grant):
            metrics.signInsSucceeded.add()
            return .signedIn(try issuer.sign(grant))
        case .failure(.userDeactivated): return .deactivated
        case .failure: return .wrongCredentials
        }
    }
}
