import Contracts
import Crypto
import EventLoop
import HTTP
import HTTPWire
import Identity
import Synchronization
import Telemetry
import Values

let silentLog = Logger(service: "test", level: .error)

func bearer(_ credential: String) -> HeaderBlock { ["authorization": "Bearer \(credential)"] }

/// The error code that a credential is refused with; nil when it is accepted.
func refusal(_ authenticator: Authenticator, _ headers: HeaderBlock) async -> String? {
    do {
        _ = try await authenticator.principal(headers)
        return nil
    } catch {
        return error.code.rawValue
    }
}

/// Stands in for auth where what matters is how often, and whether, it is asked.
final class ScriptedSource: IdentitySource {
    private struct State {
        var pair = ES256KeyPair.generate()
        var retired: [ES256KeyPair] = []
        var owners: [APIKeyID: (digest: String, owner: APIKeyReply.Owner)] = [:]
        var sessions: [SessionID: (digest: String, owner: SessionReply.Owner)] = [:]
        var revoked: [SessionRevoked] = []
        var revokedKeys: [APIKeyID] = []
        var changed: [UserChanged] = []
        var created: [APIKeyCreated] = []
        var isAway = false
        var questions = 0
        var snapshots = 0
        var gate: [Promise<Void>]?
    }
    private struct Away: Error {}
    private let state = Mutex(State())

    var pair: ES256KeyPair { state.withLock(\.pair) }
    var questions: Int { state.withLock(\.questions) }
    /// The questions for a snapshot among all questions.
    var snapshots: Int { state.withLock(\.snapshots) }
    /// The questions about API keys and cookies among all questions.
    var introspections: Int { state.withLock { $0.questions - $0.snapshots } }
    var isAway: Bool {
        get { state.withLock(\.isAway) }
        set { state.withLock { $0.isAway = newValue } }
    }
    var revoked: [SessionRevoked] {
        get { state.withLock(\.revoked) }
        set { state.withLock { $0.revoked = newValue } }
    }

    var revokedKeys: [APIKeyID] {
        get { state.withLock(\.revokedKeys) }
        set { state.withLock { $0.revokedKeys = newValue } }
    }

    /// A token of the current key.
    func token(
        of session: SessionID = .make(), user: UserID = .make(), version: Int64 = 0, roles: [String] = ["user"], clock: ManualClock
    ) -> String {
        let claims = AccessTokenClaims(
            issuer: "https://gateway.example", audience: AccessToken.audience, userID: user, clientID: "web", sessionID: session,
            generation: 0, version: version, tokenID: .make(), issuedAt: clock.now.seconds, expiresAt: clock.now.seconds + 900,
            authenticatedAt: clock.now.seconds, roles: roles, scope: "", plan: "free")
        return AccessToken.sign(claims, with: pair, keyID: pair.publicKey.thumbprint)
    }

    var changed: [UserChanged] {
        get { state.withLock(\.changed) }
        set { state.withLock { $0.changed = newValue } }
    }

    func rotate() {
        state.withLock { state in
            state.retired.append(state.pair)
            state.pair = .generate()
        }
    }

    func addKey() -> String {
        let (key, text) = APIKey.make()
        let owner = APIKeyReply.Owner(userID: .make(), roles: ["user"], scopes: [], plan: "free", expiresAt: nil)
        state.withLock { state in
            state.owners[key.id] = (key.secretDigest.hexadecimal, owner)
            state.created.append(APIKeyCreated(apiKeyID: key.id, fingerprint: key.fingerprint))
        }
        return text
    }

    /// Adds the session of a browser. Returns the text of its cookie.
    func addSession(_ id: SessionID = .make(), user: UserID = .make(), clock: ManualClock) -> String {
        let (cookie, text) = SessionCookie.make(for: id)
        let owner = SessionReply.Owner(
            userID: user, sessionID: id, roles: ["user"], plan: "free", locale: "th", timeZone: "Asia/Bangkok", authenticatedAt: clock.now,
            expiresAt: clock.now + .seconds(86_400))
        state.withLock { $0.sessions[id] = (cookie.secretDigest.hexadecimal, owner) }
        return text
    }

    /// Lets questions wait until ``release(onceAsked:)``.
    func hold() { state.withLock { $0.gate = [] } }

    func waitUntilAsked(_ count: Int = 1) async {
        while state.withLock({ ($0.gate ?? []).count < count }) { await Task.yield() }
    }

    /// Fails the questions that wait, once there is one. Later ones wait too.
    func failNext() async {
        await waitUntilAsked()
        let waiting = state.withLock { state in
            defer { state.gate = [] }
            return state.gate ?? []
        }
        for wait in waiting { wait.fail(Away()) }
    }

    func removeKeys() { state.withLock { $0.owners = [:] } }

    func release(onceAsked count: Int) async {
        await waitUntilAsked(count)
        let waiting = state.withLock { state in
            defer { state.gate = nil }
            return state.gate ?? []
        }
        for wait in waiting { wait.succeed(()) }
    }

    private func ask() async throws {
        let wait: Promise<Void>? = state.withLock { state in
            state.questions += 1
            guard state.gate != nil, let loop = EventLoop.current else { return nil }
            let wait = Promise<Void>(on: loop)
            state.gate?.append(wait)
            return wait
        }
        try await wait?.value()
        if isAway { throw Away() }
    }

    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply {
        state.withLock { $0.snapshots += 1 }
        try await ask()
        return state.withLock { state in
            SigningKeysReply(
                keys: ([state.pair] + state.retired).map(\.publicKey).map { key in
                    .init(keyID: key.thumbprint, x: Base64.url.encode(key.x), y: Base64.url.encode(key.y))
                },
                revokedSessions: state.revoked, revokedAPIKeys: state.revokedKeys, changedUsers: state.changed,
                createdAPIKeys: state.created, readAt: .init(microseconds: 0))
        }
    }

    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? {
        try await ask()
        return state.withLock { state in
            guard let known = state.owners[key.apiKeyID], known.digest == key.secretSHA256 else { return nil }
            return known.owner
        }
    }

    func owner(of cookie: IntrospectSession) async throws -> SessionReply.Owner? {
        try await ask()
        return state.withLock { state in
            guard let known = state.sessions[cookie.sessionID], known.digest == cookie.secretSHA256 else { return nil }
            return known.owner
        }
    }
}

final class ManualClock: Sendable {
    private let instant = Mutex(Instant(microseconds: 1_800_000_000_000_000))
    var now: Instant { instant.withLock { $0 } }
    var moment: Moment { Moment(wall: now, monotonic: MonotonicInstant(nanoseconds: UInt64(now.microseconds) * 1_000)) }
    func advance(_ duration: Duration) { instant.withLock { $0 = $0 + duration } }
}
