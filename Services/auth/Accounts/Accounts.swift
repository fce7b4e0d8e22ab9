import Postgres
import Telemetry
import Values

/// Accounts of people. Each use case is a file of this folder.
///
/// Each change commits together with its event for the other services and its audit row.
struct Accounts: Sendable {
    let pool: PostgresPool
    let passwords: Passwords
    let issuer: Issuer
    let revocations: Revocations
    let limits: AccountLimits
    let browserKeys: BrowserCookieKeys
    /// True if `user.verified.v1` waits for the proof of the mailbox. It leaves at registration otherwise.
    let requiresVerifiedEmail: Bool
    let zones = TimeZones()
    let metrics: AuthMetrics
    let log: Logger
    let clock: @Sendable () -> Instant

    static let freePlan = "free"
    /// The session of a sign-in by password, whose client gets tokens.
    static let order = Issuer.SessionOrder(clientID: "web")
    /// The session of a sign-in by the form of a page, whose browser gets a cookie.
    static let browserOrder = Issuer.SessionOrder(clientID: "browser", hasCookie: true)

    /// Adds a session to the transaction, and ends the one that it replaces.
    func begin(
        _ order: Issuer.SessionOrder, for user: User, _ client: ClientInfo, now: Instant, in transaction: PostgresTransaction
    ) async throws -> Result<Issuer.Grant, MintGate.Refusal> {
        let grant = try await issuer.begin(order, for: user, client, now: now, in: transaction)
        if case .success = grant, let replaced = order.replaced,
            let owner = try await revocations.end(replaced, now: now, in: transaction)
        {
            try await transaction.execute(
                AuditRecord(event: .logout, userID: owner, subject: replaced.description, client: client, now: now))
        }
        return grant
    }

    /// Makes the cookie by which a browser is known that signed in to an account.
    func browserCookie(for user: User, _ client: ClientInfo) -> BrowserCookie {
        let known = client.browser.flatMap { $0.isGenuine(for: user, keys: browserKeys) ? $0.id : nil }
        return .make(id: known, for: user, keys: browserKeys)
    }

    /// Adds a user, and tells the other services unless that waits for the proof of the mailbox.
    /// - Returns: false if another account has the address.
    func add(_ user: User, now: Instant, in transaction: PostgresTransaction) async throws -> Bool {
        guard try await transaction.first(InsertUser(user: user)) != nil else { return false }
        if !requiresVerifiedEmail { try await publishVerified(user, now: now, in: transaction) }
        return true
    }

    /// Deletes attempts to sign in that no longer count.
    func sweepAttempts() async throws {
        let now = clock()
        _ = try await pool.withConnection {
            try await $0.execute(SweepSignInAttempts(before: now - SignInThrottle.forgottenAfter))
        }
    }
}

extension EmailAddress {
    /// No client can register it: the domain is reserved (RFC 2606).
    static let nobody = EmailAddress(reserved: "nobody@invalid")

    private init(reserved text: String) { self.text = text }
}
