import Crypto
import Postgres
import Telemetry
import Values

extension Accounts {
    /// The account and the place whose attempts count together.
    struct Attempt: Sendable {
        fileprivate let digest: [UInt8]
        fileprivate let place: String
        /// True if the place is a known browser.
        fileprivate let isKnown: Bool

        /// The statement that takes the count of a successful attempt back.
        var forgotten: ForgetPlace { ForgetPlace(digest: digest, place: place) }
    }

    /// Returns false for a user who signs in with providers only.
    func hasPassword(_ user: UserID) async throws -> Bool {
        try await pool.withConnection { try await $0.one(HasPassword(userID: user)) }
    }

    enum PasswordCheck: Sendable {
        case right(Attempt, User, needsRehash: Bool)
        /// The password is wrong, or no account with a password has the address.
        case wrong
        /// Too many failures. An attempt after this time is admitted.
        case throttled(Duration)
    }

    /// Checks a password. An attempt counts as a failure from its start, until the caller commits
    /// ``Attempt/forgotten``.
    /// - Parameter text: an email address. A malformed one has no account and takes the same time.
    func check(_ password: String, of text: String, client: ClientInfo) async throws -> PasswordCheck {
        let now = clock()
        let email = EmailAddress(text)
        let digest = sha256(email?.text ?? text).bytes
        let browser = try await knownBrowser(client, email)
        let attempt = Attempt(
            digest: digest, place: browser.map { "browser \($0.id)" } ?? client.network ?? "unknown", isKnown: browser != nil)
        // A known browser is a place of its own, so that others in its network do not keep its owner out.
        if browser == nil, let wait = limits.signIn(client, now: now) { return throttled(wait) }
        func didNotCount() { if browser == nil { limits.signInDidNotCount(client, now: now) } }
        let found: FindLogin.Output
        let verdict: Passwords.Verdict
        do {
            switch try await admit(attempt, email, client, now: now) {
            case .success(let login): found = login
            case .failure(let wait):
                didNotCount()
                return throttled(wait.duration)
            }
            do {
                verdict = try await passwords.check(password, against: found.known.map { ($0.user.id, $0.sealedPassword) })
            } catch {
                try await pool.execute(TakeAttemptBack(digest: attempt.digest, place: attempt.place))
                throw error
            }
        } catch {
            didNotCount()
            throw error
        }
        if case .right(let needsRehash) = verdict, let user = found.known?.user {
            didNotCount()
            return .right(attempt, user, needsRehash: needsRehash)
        }
        metrics.signInsFailed.add()
        _ = try await pool.transaction { transaction in
            try await transaction.commit(
                CountAccountFailure(digest: attempt.digest, now: now),
                AuditRecord(event: .login, succeeded: false, userID: found.known?.user.id, client: client, now: now))
        }
        return .wrong
    }

    /// Returns the browser's cookie if it was made for the account, and no password was changed since.
    private func knownBrowser(_ client: ClientInfo, _ email: EmailAddress?) async throws -> BrowserCookie? {
        guard let cookie = client.browser, let email,
            let user = try await pool.withConnection({ try await $0.first(FindUserByEmail(email: email)) })
        else { return nil }
        return cookie.isGenuine(for: user, keys: browserKeys) ? cookie : nil
    }

    private struct Wait: Error { let duration: Duration }

    private func throttled(_ wait: Duration) -> PasswordCheck {
        metrics.signInsThrottled.add()
        return .throttled(wait)
    }

    /// Counts the attempt and reads the account.
    private func admit(
        _ attempt: Attempt, _ email: EmailAddress?, _ client: ClientInfo, now: Instant
    ) async throws -> Result<FindLogin.Output, Wait> {
        try await pool.transaction { transaction in
            let (places, logins) = try await transaction.pipeline(
                LockPlace(digest: attempt.digest, place: attempt.place),
                FindLogin(email: email ?? .nobody, digest: attempt.digest, network: client.network, now: now))
            guard let place = places.first, let login = logins.first else {
                throw PostgresError(.typeMismatch, "a sign-in found no row of its attempts")
            }
            let decision = SignInThrottle.decide(
                place, accountFailures: login.accountFailures, isKnown: attempt.isKnown || login.isKnownNetwork, now: now)
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
}
