import Contracts
import Crypto
import EventLoop
import HTTP
import HTTPWire
import Identity
import Outbox
import Postgres
import Synchronization
import Telemetry
import Values

/// The use cases of an account: register, sign in, refresh, sign out. Each change commits together with the event for the
/// other services and its audit row.
final class Accounts: Sendable {
    let pool: PostgresPool
    let passwords: Passwords
    let keyring: SigningKeyring
    let gate: MintGate
    private let log: Logger
    private let metrics = AuthMetrics()
    private let refreshKey: [UInt8]
    /// Told of a revocation here, before the event has gone round.
    private let onRevocation: @Sendable (SessionRevoked) -> Void
    private let addresses = Mutex(AddressThrottle())
    let clock: @Sendable () -> Instant

    init(
        pool: PostgresPool, passwords: Passwords, keyring: SigningKeyring, gate: MintGate, masterKey: MasterKey, log: Logger,
        clock: @escaping @Sendable () -> Instant = Instant.now, onRevocation: @escaping @Sendable (SessionRevoked) -> Void = { _ in }
    ) {
        self.pool = pool
        self.passwords = passwords
        self.keyring = keyring
        self.gate = gate
        self.log = log
        self.clock = clock
        self.onRevocation = onRevocation
        refreshKey = masterKey.derived(for: "refresh token v1")
    }

    /// The tokens that a client gets on every way in.
    struct Issued: Sendable {
        var accessToken: String
        var expiresIn: Int64
        var refreshToken: String
        var user: User
    }

    static let freePlan = "free"
    static let clientID = "web"

    // MARK: Register

    /// Nil when the address is taken, after the same work as for a free one.
    func register(email: EmailAddress, password: String, fullName: String?, client: ClientInfo) async throws -> Issued? {
        let now = clock()
        let user = User(
            id: .make(), email: email.text, fullName: fullName, role: .user, plan: Self.freePlan, isActive: true, tokenVersion: 0,
            createdAt: now)
        let sealed = try await passwords.seal(password, for: user.id)
        let session = Session(of: user.id, clientID: Self.clientID, salt: randomBytes(16), now: now)
        let claims = try gate.admit(user, session, now: now)
        let isNew = try await pool.transaction { transaction in
            guard try await transaction.first(InsertUser(user: user)) != nil else {
                try await transaction.commit(
                    AuditRecord(event: .register, succeeded: false, subject: email.text, client: client, now: now))
                return false
            }
            try await Outbox.add(
                UserRegistered(userID: user.id, email: user.email, plan: user.plan, registeredAt: now), orderingKey: user.id.description,
                in: transaction)
            try await transaction.commit(
                PutPassword(userID: user.id, sealed: sealed, now: now), InsertSession(session: session, client: client),
                AuditRecord(event: .register, userID: user.id, subject: session.id.description, client: client, now: now))
            return true
        }
        guard isNew else { return nil }
        metrics.registrations.add()
        log.info("user registered", ["user.id": .describing(user.id)])
        return try issue(claims, session, user)
    }

    // MARK: Sign in

    /// - Throws: `Problem`: 401 `invalid_credentials` for a wrong password and for an unknown address alike, 403 `user_deactivated` only
    ///   after the right password, 429 after too many failures, 503 when too many passwords are being hashed.
    func signIn(email text: String, password: String, client: ClientInfo) async throws -> Issued {
        let now = clock()
        if let key = client.rateLimitKey, let wait = addresses.withLock({ $0.wait(key, now: now) }) { throw tooManyFailures(wait) }
        // A malformed address has no account. It takes the same time nevertheless.
        let email = EmailAddress(text)
        let digest = sha256(email?.text ?? text).bytes
        let found = try await checkThrottle(email, digest, now: now)
        let verdict = try await passwords.check(password, against: found.known.map { ($0.user.id, $0.sealedPassword) })
        // Many guesses at once have all been welcome: those that come out after the fifth failure learn nothing either.
        _ = try await checkThrottle(email, digest, now: clock())
        switch verdict {
        case .right(let needsRehash):
            guard let user = found.known?.user else { preconditionFailure("only a known user has a right password") }
            return try await signedIn(user, digest: digest, newPassword: needsRehash ? password : nil, client: client)
        case .wrong:
            if let key = client.rateLimitKey { addresses.withLock { $0.failed(key, now: now) } }
            let failures = try await pool.transaction { transaction in
                let failures = try await transaction.one(CountLoginFailure(digest: digest, now: now))
                try await transaction.commit(
                    AuditRecord(event: .login, succeeded: false, userID: found.known?.user.id, client: client, now: now))
                return failures
            }
            metrics.signInsFailed.add()
            let isOvertaken = failures > found.failures + 1 && failures > LoginThrottle.backoffThreshold
            guard !isOvertaken else { throw tooManyFailures(LoginThrottle.delay(after: failures)) }
            throw Problem.invalidCredentials
        }
    }

    private func checkThrottle(_ email: EmailAddress?, _ digest: [UInt8], now: Instant) async throws -> FindLogin.Output {
        let found = try await pool.withConnection { connection in
            try await connection.one(FindLogin(email: email ?? .nobody, digest: digest))
        }
        let wait = LoginThrottle.wait(failures: found.failures, lastFailedAt: found.lastFailedAt, now: now)
        guard wait == .zero else { throw tooManyFailures(wait) }
        return found
    }

    private func signedIn(_ user: User, digest: [UInt8], newPassword: String?, client: ClientInfo) async throws -> Issued {
        let now = clock()
        let session = Session(of: user.id, clientID: Self.clientID, salt: randomBytes(16), now: now)
        let claims: AccessTokenClaims
        do { claims = try gate.admit(user, session, now: now) } catch { throw Problem.userDeactivated }
        let resealed: [UInt8]? = if let newPassword { try await passwords.seal(newPassword, for: user.id) } else { nil }
        try await pool.transaction { transaction in
            guard try await transaction.first(ConfirmUser(user: user)) == true else { throw Problem.invalidCredentials }
            if let resealed { try await transaction.execute(PutPassword(userID: user.id, sealed: resealed, now: now)) }
            try await transaction.commit(
                InsertSession(session: session, client: client), ForgetLoginFailures(digest: digest),
                AuditRecord(event: .login, userID: user.id, subject: session.id.description, client: client, now: now))
        }
        metrics.signInsSucceeded.add()
        return try issue(claims, session, user)
    }

    private func tooManyFailures(_ wait: Duration) -> Problem {
        metrics.signInsThrottled.add()
        return .rateLimited("Too many failed attempts to sign in.", retryAfter: wait)
    }

    // MARK: Refresh

    func refresh(_ text: String, client: ClientInfo) async throws -> Issued {
        guard let token = RefreshToken(text) else { throw refused(.invalidRefreshToken) }
        let now = clock()
        let outcome: (claims: AccessTokenClaims, session: Session, user: User)? = try await pool.transaction { transaction in
            let (_, found) = try await transaction.pipeline(LimitLockWait(), LockSession(id: token.sessionID))
            guard let row = found.first else { throw refused(.invalidRefreshToken) }
            switch RefreshDecision.decide(token, row.session, key: refreshKey, now: now) {
            case .refuse: throw refused(.invalidRefreshToken)
            case .over: throw refused(.tokenRevoked)
            case .rotate:
                let next = row.session.rotated(now: now)
                let claims = try Self.admit(gate, row.user, next, now: now)
                try await transaction.commit(RotateSession(session: next))
                return (claims, next, row.user)
            case .repeatSuccessor:
                return (try Self.admit(gate, row.user, row.session, now: now), row.session, row.user)
            case .reuse:
                try await revoke(row.session.id, of: row.user.id, as: .refreshReuse, client: client, now: now, in: transaction)
                return nil
            }
        }
        guard let outcome else {
            metrics.refreshesReused.add()
            log.warning("refresh token reused: session ended", ["session.id": .describing(token.sessionID)])
            throw Problem.tokenRevoked
        }
        metrics.refreshesSucceeded.add()
        return try issue(outcome.claims, outcome.session, outcome.user)
    }

    private func refused(_ problem: Problem) -> Problem {
        metrics.refreshesRefused.add()
        return problem
    }

    private static func admit(_ gate: MintGate, _ user: User, _ session: Session, now: Instant) throws -> AccessTokenClaims {
        do throws(MintGate.Refusal) {
            return try gate.admit(user, session, now: now)
        } catch {
            throw error == .userDeactivated ? Problem.userDeactivated : Problem.tokenRevoked
        }
    }

    // MARK: Sign out

    /// Idempotent. Does not wait for the broker: the event goes out with the outbox.
    func signOut(_ session: SessionID, client: ClientInfo) async throws {
        let now = clock()
        try await pool.transaction { transaction in
            try await revoke(session, of: nil, as: .logout, client: client, now: now, in: transaction)
        }
    }

    /// Returns the session of a refresh token, so that it can be ended; nil for any other text.
    func session(of text: String) async throws -> SessionID? {
        guard let token = RefreshToken(text) else { return nil }
        let found = try await pool.transaction { try await $0.first(LockSession(id: token.sessionID)) }
        guard let found, token.isAuthentic(for: found.session, key: refreshKey) else { return nil }
        return found.session.id
    }

    private func revoke(
        _ session: SessionID, of user: UserID?, as event: AuditRecord.Event, client: ClientInfo, now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard let owner = try await transaction.first(RevokeSession(id: session, now: now)) else { return }
        let message = revocation(of: session, at: now)
        try await Outbox.add(message, orderingKey: session.description, in: transaction)
        try await transaction.execute(
            AuditRecord(event: event, userID: user ?? owner, subject: session.description, client: client, now: now))
        transaction.onCommit { [onRevocation] in onRevocation(message) }
    }

    /// A minute longer than a token can live that was made just before: clocks of two replicas differ.
    func revocation(of session: SessionID, at instant: Instant) -> SessionRevoked {
        SessionRevoked(sessionID: session, tokensExpireAt: instant + gate.tokenLife + .seconds(60))
    }

    // MARK: The first administrator

    /// Makes `email` an administrator with this password, unless there is one already. Idempotent; replicas take turns. A user who had
    /// registered the address before loses password, sessions and keys: the operator's word counts, not the squatter's.
    func bootstrapAdmin(email: EmailAddress, password: String) async throws -> Bool {
        let now = clock()
        let count = try await pool.withConnection { try await $0.one(CountAdmins()) }
        guard count == 0 else { return false }
        return try await pool.transaction { transaction in
            try await transaction.execute(LockForBootstrap())
            guard try await transaction.one(CountAdmins()) == 0 else { return false }
            let user = User(
                id: .make(), email: email.text, fullName: nil, role: .admin, plan: Self.freePlan, isActive: true, tokenVersion: 0,
                createdAt: now)
            var id = user.id
            if try await transaction.first(InsertUser(user: user)) != nil {
                try await Outbox.add(
                    UserRegistered(userID: id, email: user.email, plan: user.plan, registeredAt: now), orderingKey: id.description,
                    in: transaction)
            } else {
                id = try await transaction.one(PromoteToAdmin(email: email))
                for session in try await transaction.query(RevokeSessions(userID: id, now: now)) {
                    try await Outbox.add(revocation(of: session, at: now), orderingKey: session.description, in: transaction)
                }
                for key in try await transaction.query(RevokeAPIKeys(userID: id, now: now)) {
                    try await Outbox.add(APIKeyRevoked(apiKeyID: APIKeyID(rawValue: key)), orderingKey: key, in: transaction)
                }
            }
            let sealed = try await passwords.seal(password, for: id)
            try await transaction.commit(
                PutPassword(userID: id, sealed: sealed, now: now),
                AuditRecord(event: .adminBootstrapped, userID: id, client: .itself, now: now))
            return true
        }
    }

    /// Deletes rows that are not needed any more: failures after a day, sessions a month after their end, so that a late refresh is
    /// told from a forged one.
    func sweep() async throws {
        let now = clock()
        _ = try await pool.withConnection { connection in
            try await connection.pipeline(
                SweepLoginFailures(before: now + .seconds(-86_400)), SweepSessions(endedBefore: now + .seconds(-30 * 86_400)))
        }
    }

    // MARK: Tokens

    private func issue(_ claims: AccessTokenClaims, _ session: Session, _ user: User) throws -> Issued {
        guard let token = keyring.sign(claims) else { throw Problem.unavailable("No signing key is available yet; retry later.") }
        return Issued(
            accessToken: token, expiresIn: claims.expiresAt - claims.issuedAt,
            refreshToken: RefreshToken(of: session, key: refreshKey).text, user: user)
    }
}

/// A locked session makes the next one wait two seconds, then 503: a refresh must not hang.
struct LimitLockWait: Statement {
    static let sql = "SELECT set_config('lock_timeout', '2s', true)"
}

extension EmailAddress {
    /// No client can register it: the domain is reserved (RFC 2606).
    static let nobody = EmailAddress(reserved: "nobody@invalid")

    private init(reserved text: String) { self.text = text }
}
