import Contracts
import Crypto
import EventLoop
import Identity
import Synchronization
import Telemetry
import TestSupport
import Testing
import Values

/// Tests the start of a new installation, whose auth has no signing key yet.
@Suite(.timeLimit(.minutes(1)))
struct FirstKeysTests {
    private static let loop = EventLoop.spawn(name: "test-first-keys")

    /// The limit is below the minute between two snapshots.
    @Test func `keys that were not made yet are asked for again within seconds`() async throws {
        let source = LateKeys()
        let authenticator = Authenticator(
            service: "test", publicURL: "https://gateway.example", amqp: nil, source: source,
            log: Logger(service: "test", level: .error))
        try await Task(executorPreference: Self.loop) {
            let running = Task(executorPreference: Self.loop) { try await authenticator.run() }
            defer { running.cancel() }
            try await until("the first answer has come") { source.answers.load(ordering: .relaxed) > 0 }
            #expect(!authenticator.hasSigningKeys)
            try await until("a key has come", within: .seconds(40)) { authenticator.hasSigningKeys }
        }.value
    }
}

/// Answers without a key the first time.
private final class LateKeys: IdentitySource {
    let answers = Atomic(0)
    private let pair = ES256KeyPair.generate()

    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply {
        let isFirst = answers.add(1, ordering: .relaxed).oldValue == 0
        let key = pair.publicKey
        return SigningKeysReply(
            keys: isFirst ? [] : [.init(keyID: key.thumbprint, x: Base64.url.encode(key.x), y: Base64.url.encode(key.y))],
            revokedSessions: [], revokedAPIKeys: [], readAt: .now())
    }

    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? { nil }
    func owner(of cookie: IntrospectSession) async throws -> SessionReply.Owner? { nil }
}
