import Crypto
import Identity
import Postgres
import Values

/// Makes sessions, access tokens, refresh tokens and API keys. Each passes ``MintGate`` in the
/// transaction that makes it, with the rows of its session and its user locked.
struct Issuer: Sendable {
    let keyring: SigningKeyring
    let gate: MintGate
    private let refreshKeys: RefreshKeys

    init(keyring: SigningKeyring, gate: MintGate, masterKeys: MasterKeyRing) {
        self.keyring = keyring
        self.gate = gate
        refreshKeys = RefreshKeys(masterKeys)
    }

    /// The tokens that a client gets on every way in.
    struct Tokens: Sendable {
        var accessToken: String
        /// Seconds.
        var expiresIn: Int64
        var refreshToken: String
        /// Names of scopes, separated by blanks. Empty for all.
        var scope: String
        var user: User
    }

    /// The permission to sign tokens for a session, given in a transaction.
    struct Grant: Sendable {
        let user: User
        let session: Session
        fileprivate let claims: AccessTokenClaims
        /// The text of the browser's new cookie.
        fileprivate(set) var cookie: String?
    }

    /// No token can be signed yet. Auth is not ready then.
    struct NoSigningKey: Error {}

    /// A session to begin.
    struct SessionOrder: Sendable {
        var clientID: String
        /// Names of scopes, separated by blanks. Empty for all.
        var scope = ""
        /// True for a device that was connected by a code. It never administers.
        var isDevice = false
        /// The name of the device, if it has one.
        var deviceName: String?
        /// True for a browser.
        var hasCookie = false
        /// The session of the browser until now. It ends with the begin of the new one, so that none is left
        /// without a way to sign out.
        var replaced: SessionID?
        /// The time at which the person was asked. Nil for now.
        var authenticatedAt: Instant?
    }

    /// Adds a session of `user` to the transaction.
    ///
    /// The user's row stays as it is until the transaction ends, so that no session begins next to a
    /// change that ends them all.
    /// - Parameter user: as its credential was checked. A user that has changed since is refused like
    ///   one with an ended session.
    func begin(
        _ order: SessionOrder, for user: User, _ client: ClientInfo, now: Instant, in transaction: PostgresTransaction
    ) async throws -> Result<Grant, MintGate.Refusal> {
        guard let current = try await transaction.first(ShareUser(id: user.id)), current.tokenVersion == user.tokenVersion else {
            return .failure(.sessionEnded)
        }
        var session = Session(
            of: user.id, clientID: order.clientID, scope: order.scope, isDevice: order.isDevice, salt: randomBytes(16), now: now)
        session.authenticatedAt = order.authenticatedAt ?? now
        let cookie = order.hasCookie ? SessionCookie.make(for: session.id) : nil
        var grant = grant(current, session, now: now)
        if case .success(var granted) = grant {
            let digest = cookie?.cookie.secretDigest
            try await transaction.execute(
                InsertSession(session: session, client: client, cookieSHA256: digest?.bytes, deviceName: order.deviceName))
            granted.cookie = cookie?.text
            grant = .success(granted)
        }
        return grant
    }

    /// Gives the browser of a session that goes on another cookie. The old one is refused from the commit
    /// on, in every replica that has heard of it.
    func renewCookie(_ grant: Grant, in transaction: PostgresTransaction) async throws -> Grant {
        let (cookie, text) = SessionCookie.make(for: grant.session.id)
        try await transaction.execute(PutCookie(session: grant.session.id, secretSHA256: cookie.secretDigest.bytes))
        var grant = grant
        grant.cookie = text
        return grant
    }

    /// Admits tokens for a session whose row the transaction has locked.
    func grant(_ user: User, _ session: Session, now: Instant) -> Result<Grant, MintGate.Refusal> {
        do throws(MintGate.Refusal) {
            return .success(Grant(user: user, session: session, claims: try gate.admit(user, session, now: now)))
        } catch {
            return .failure(error)
        }
    }

    /// Admits an API key or an identity that a session gives its user. Locks both rows until the
    /// transaction ends: neither is made a moment after the revocation of the session.
    func admitCredential(
        from session: SessionID, of user: UserID, now: Instant, in transaction: PostgresTransaction
    ) async throws -> MintGate.Refusal? {
        guard let found = try await transaction.first(ShareSession(id: session)), found.user.id == user else { return .sessionEnded }
        return MintGate.refusal(found.user, found.session, now: now)
    }

    /// Signs the tokens of a grant whose transaction has committed.
    /// - Throws: ``NoSigningKey``.
    func sign(_ grant: Grant) throws(NoSigningKey) -> Tokens {
        guard let token = keyring.sign(grant.claims) else { throw NoSigningKey() }
        return Tokens(
            accessToken: token, expiresIn: grant.claims.expiresAt - grant.claims.issuedAt,
            refreshToken: RefreshToken(of: grant.session, keys: refreshKeys).text, scope: grant.session.scope, user: grant.user)
    }

    /// Decides about a refresh token that names `session`.
    func decide(_ token: RefreshToken, _ session: Session, now: Instant) -> RefreshDecision {
        RefreshDecision.decide(token, session, keys: refreshKeys, now: now)
    }

    func isAuthentic(_ token: RefreshToken, for session: Session) -> Bool { token.isAuthentic(for: session, keys: refreshKeys) }
}
