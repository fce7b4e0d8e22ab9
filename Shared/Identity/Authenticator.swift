package import AMQP
package import Contracts
import Crypto
package import HTTP
package import HTTPWire
package import Telemetry
package import Values

/// Tells who calls, from the `Authorization: Bearer` header (or `x-api-key`): an access token, verified here, an API key, or the token
/// of a server of ours, where the service lets those in. Where a row accepts it, the cookie of a browser names the caller of a request
/// without these headers.
///
/// A credential seen before is answered from memory by ``cached(_:cookie:)`` without suspending;
/// ``principal(_:cookie:)`` asks auth for what is missing. Revocations reach every replica as events.
/// A snapshot each minute, after each new connection and after each lost event has those that were
/// missed. When auth does not answer, tokens stay good until they expire (15 minutes at most), and API
/// keys and cookies for five minutes after the last snapshot or answer. Administrators are refused when
/// revocations are 30 s old.
///
/// One for the whole process: callable from any loop.
package final class Authenticator: Sendable {
    private let feed: RevocationFeed?
    private let verifier: TokenVerifier
    private let serviceTokens: ServiceTokens
    private let clock: @Sendable () -> Moment
    private let state: SharedIdentityState
    private let snapshots: Snapshots
    private let introspections: Introspections
    private let screened = Metrics.shared.counter(
        "identity_api_keys_screened_total", help: "API keys refused without a question to auth.")
    /// The name of the browser's cookie.
    package let cookieName: String
    /// The origin of the gateway's pages.
    let origin: String

    /// - Parameters:
    ///   - service: the AMQP user; names the exclusive queue `<service>.inst.<instance>.<epoch>`.
    ///   - publicURL: `PUBLIC_URL` of the installation: the issuer of its tokens, and the origin of its pages.
    ///   - serviceTokens: the servers that are let in.
    ///   - rpc: started and stopped by the caller.
    package convenience init(
        service: String, publicURL: String, serviceTokens: ServiceTokens = .none, amqp: AMQPConfiguration, rpc: RPCClient, log: Logger
    ) {
        self.init(
            service: service, publicURL: publicURL, serviceTokens: serviceTokens, amqp: amqp, source: RemoteIdentitySource(rpc: rpc),
            log: log)
    }

    /// - Parameter amqp: nil for no event feed: revocations then come by ``revoke(_:)-(SessionRevoked)`` only.
    package init(
        service: String, publicURL: String, serviceTokens: ServiceTokens = .none, amqp: AMQPConfiguration?, source: any IdentitySource,
        clock: @escaping @Sendable () -> Moment = Moment.now, log: Logger
    ) {
        self.serviceTokens = serviceTokens
        self.clock = clock
        verifier = TokenVerifier(issuer: AccessToken.issuer(publicURL: publicURL))
        cookieName = SessionCookie.name(publicURL: publicURL)
        origin = Identity.origin(ofURL: publicURL)
        let state = SharedIdentityState()
        self.state = state
        let snapshots = Snapshots(source: source, state: state, clock: clock, log: log)
        self.snapshots = snapshots
        introspections = Introspections(source: source, state: state, clock: clock, log: log)
        feed = amqp.map { amqp in
            RevocationFeed(service: service, amqp: amqp, state: state, clock: clock, log: log, onGap: { snapshots.askSoon() })
        }
    }

    // MARK: Asking

    /// The answer if it is known, without suspending: 0.3 µs for an API key, 0.6 µs for a token. Nil says nothing; ask
    /// ``principal(_:cookie:)`` then.
    package func cached(_ headers: HeaderBlock, cookie: CookieUse = .ignored) -> Principal? {
        withCredential(in: headers, cookie) { credential, kind in
            let digest = sha256(credential)
            if kind != .cookie, let service = serviceTokens.name(of: digest) {
                return try? principal(of: service, headers)
            }
            switch find(digest, kind) {
            case .known(let principal): return principal
            case .stale(let principal):
                refresh(Array(credential), kind, digest)
                return principal
            case .refused, .unknown: return nil
            }
        } ?? nil
    }

    /// - Throws: 401 with `WWW-Authenticate` for a credential that is missing, wrong, expired or revoked; 403 for a deactivated user;
    ///   400 for a service token that names no user; 503 when only auth could tell and does not answer.
    package func principal(_ headers: HeaderBlock, cookie: CookieUse = .ignored) async throws(Problem) -> Principal {
        guard let (credential, kind) = withCredential(in: headers, cookie, { (Array($0), $1) }) else { throw .invalidAPIKey }
        let digest = sha256(credential)
        if kind != .cookie, let service = serviceTokens.name(of: digest) {
            return try principal(of: service, headers)
        }
        var finding = find(digest, kind)
        if case .unknown(missesSnapshot: true) = finding {
            guard await snapshots.refresh() else { throw Self.unavailable }
            finding = find(digest, kind)
        }
        if case .unknown = finding {
            finding = kind == .token ? try await verify(credential, digest) : try await introspect(credential, kind, digest)
        }
        switch finding {
        case .known(let principal): return principal
        case .stale(let principal):
            refresh(credential, kind, digest)
            return principal
        case .refused(let refusal): throw refusal.problem
        case .unknown: throw Self.unavailable
        }
    }

    /// - Throws: 400 unless `headers` name one user; 403 for a deactivated user.
    private func principal(of service: String, _ headers: HeaderBlock) throws(Problem) -> Principal {
        let principal = try Principal(service: service, onBehalfOf: headers)
        guard !state.withLock({ $0.isDeactivated(principal.userID) }) else { throw .userDeactivated }
        return principal
    }

    /// Returns the name of the server whose token the headers have. Nil for any other credential.
    package func service(_ headers: HeaderBlock) -> String? {
        withCredential(in: headers, .ignored) { credential, _ in serviceTokens.name(of: sha256(credential)) } ?? nil
    }

    private static var unavailable: Problem { .unavailable("Credentials cannot be checked at the moment.") }

    private func find(_ digest: SHA256Digest, _ kind: CredentialKind) -> IdentityState.Finding {
        let now = clock()
        return state.withLock { kind == .token ? $0.findToken(digest, now: now) : $0.findAnswer(digest, now: now) }
    }

    private enum CredentialKind { case token, apiKey, cookie }

    // RFC 6750 §2.1; the scheme is case-insensitive (RFC 9110 §11.1). Anthropic's SDKs send the bare key as x-api-key. A header
    // wins over the cookie, which a browser adds by itself.
    private func withCredential<Value>(
        in headers: HeaderBlock, _ cookie: CookieUse, _ body: (UnsafeRawBufferPointer, CredentialKind) -> Value
    ) -> Value? {
        func withText(_ text: UnsafeRawBufferPointer) -> Value { body(text, text.starts(with: APIKey.prefix.utf8) ? .apiKey : .token) }
        if let index = headers.find("authorization") {
            return headers.withValue(at: index) { value in
                guard value.count > 7, value[6] == UInt8(ascii: " "), Self.isBearer(value) else { return nil }
                return withText(UnsafeRawBufferPointer(rebasing: value[7...]))
            }
        }
        if let index = headers.find("x-api-key") { return headers.withValue(at: index) { $0.isEmpty ? nil : withText($0) } }
        guard cookie != .ignored else { return nil }
        return headers.cookie(cookieName)?.withUnsafeBytes { body($0, .cookie) }
    }

    /// True if the cookie of a browser names the caller of a request.
    package func isByCookie(_ headers: HeaderBlock) -> Bool {
        withCredential(in: headers, .accepted) { _, kind in kind == .cookie } ?? false
    }

    private static func isBearer(_ value: UnsafeRawBufferPointer) -> Bool {
        let word: StaticString = "bearer"
        return word.withUTF8Buffer { word in word.indices.allSatisfy { value[$0] | 0x20 == word[$0] } }
    }

    /// The time by the clock of this authenticator.
    var now: Instant { clock().wall }

    // MARK: Tokens

    private func verify(_ token: [UInt8], _ digest: SHA256Digest) async throws(Problem) -> IdentityState.Finding {
        do {
            return try learn(token, digest)
        } catch .unknownKey {
            let (mayAsk, hasKeys) = state.withLock { ($0.mayAskForKeys(now: clock()), !$0.keys.isEmpty) }
            guard mayAsk || !hasKeys else { return .refused(.invalid) }
            guard await snapshots.refresh() else { return .unknown(missesSnapshot: false) }
            do { return try learn(token, digest) } catch { return .refused(error == .expired ? .expired : .invalid) }
        } catch {
            return .refused(error == .expired ? .expired : .invalid)
        }
    }

    private func learn(_ token: [UInt8], _ digest: SHA256Digest) throws(TokenVerifier.Refusal) -> IdentityState.Finding {
        let keys = state.withLock(\.keys)
        // Outside the lock: a verification takes as long as a hundred and fifty look-ups.
        let claims = try verifier.verify(token, keys: keys, now: clock().wall)
        return state.withLock { $0.learn(claims, digest: digest) }
    }

    /// Returns the session of a genuine access token, expired or not, so that it can be ended. Nil for
    /// any other credential.
    package func expiredSession(_ headers: HeaderBlock) -> SessionID? {
        guard let (token, _) = withCredential(in: headers, .ignored, { (Array($0), $1) }) else { return nil }
        let keys = state.withLock(\.keys)
        return try? verifier.verify(token, keys: keys, now: clock().wall, mayHaveExpired: true).sessionID
    }

    // MARK: API keys and cookies

    private func introspect(_ text: [UInt8], _ kind: CredentialKind, _ digest: SHA256Digest) async throws(Problem) -> IdentityState.Finding
    {
        guard let credential = Self.opaque(text, kind) else { return .refused(.invalid) }
        if case .apiKey(let key) = credential, let finding = await screen(key) { return finding }
        return try await introspections.finding(for: credential, digest)
    }

    /// Returns the refusal of a key that does not exist, or nil to ask auth about it.
    private func screen(_ key: APIKey) async -> IdentityState.Finding? {
        var finding = state.withLock { $0.screen(key, now: clock()) }
        if case .unknown(missesSnapshot: true) = finding, await snapshots.refresh() {
            finding = state.withLock { $0.screen(key, now: clock()) }
        }
        if case .refused = finding { screened.add() }
        return finding
    }

    private func refresh(_ text: [UInt8], _ kind: CredentialKind, _ digest: SHA256Digest) {
        guard let credential = Self.opaque(text, kind) else { return }
        introspections.refresh(credential, digest)
    }

    private static func opaque(_ text: [UInt8], _ kind: CredentialKind) -> OpaqueCredential? {
        switch kind {
        case .token: nil
        case .apiKey: APIKey(text).map { .apiKey($0) }
        case .cookie: SessionCookie(text).map { .cookie($0) }
        }
    }

    // MARK: Revocations

    package func learn(_ key: APIKeyCreated) { state.withLock { $0.learn(key) } }
    package func revoke(_ session: SessionRevoked) { state.withLock { $0.revoke(session, now: clock()) } }
    package func revoke(_ key: APIKeyRevoked) { state.withLock { $0.revoke(key.apiKeyID, now: clock()) } }
    package func learn(_ change: UserChanged) { state.withLock { $0.learn(change, now: clock()) } }

    /// Listens for revocations and keeps the keys fresh until cancelled or ``stop()``ped.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.snapshots.run() }
            if let feed { group.addTask { try await feed.run() } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    package func stop() async { await feed?.stop() }

    /// True once auth has sent a signing key. Before, no token can be verified.
    package var hasSigningKeys: Bool { state.withLock { !$0.keys.isEmpty } }

    /// True when revocations arrive.
    package var isListening: Bool { feed?.isConnected ?? true }

    /// True if revocations may be missing since 30 s. Tokens and keys are then accepted for a while,
    /// administrators are not.
    package var isStale: Bool { feed != nil && state.withLock { $0.isStale(now: clock()) } }
}

extension IdentityState.Refusal {
    fileprivate var problem: Problem {
        switch self {
        case .invalid: .invalidAPIKey
        case .expired: .tokenExpired
        case .revoked: .tokenRevoked
        case .userDeactivated: .userDeactivated
        }
    }
}
