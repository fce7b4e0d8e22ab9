import AMQP
import Contracts
import Crypto
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Telemetry
import TestSupport
import Testing
import Values

@Suite struct AuthenticatorTests {
    private static let loop = EventLoop.spawn(name: "test-identity")
    private static let log = Logger(service: "test", level: .error)
    private static let publicURL = "https://gateway.example"

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await Task(executorPreference: Self.loop) { try await body() }.value
    }

    private func authenticator(_ source: ScriptedSource, clock: ManualClock, amqp: AMQPConfiguration? = nil) -> Authenticator {
        Authenticator(
            service: "test", publicURL: Self.publicURL + "/", amqp: amqp, source: source, clock: { clock.moment }, log: Self.log)
    }

    private func token(_ pair: ES256KeyPair, clock: ManualClock, session: SessionID = .make(), user: UserID = .make()) -> String {
        let claims = AccessTokenClaims(
            issuer: Self.publicURL, audience: AccessToken.audience, userID: user, clientID: "web", sessionID: session, generation: 0,
            version: 0, tokenID: .make(), issuedAt: clock.now.seconds, expiresAt: clock.now.seconds + 900,
            authenticatedAt: clock.now.seconds, roles: ["user"], scope: "", plan: "free")
        return AccessToken.sign(claims, with: pair, keyID: pair.publicKey.thumbprint)
    }

    @Test func `a token is verified once and then known without suspending`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let user = UserID.make()
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            let headers = bearer(token(source.pair, clock: clock, user: user))
            #expect(authenticator.cached(headers) == nil)
            let principal = try await authenticator.principal(headers)
            #expect(principal.userID == user)
            #expect(authenticator.cached(headers) == principal)
            #expect(source.questions == 1)
            clock.advance(.seconds(900))
            #expect(authenticator.cached(headers) == nil)
            #expect(await refusal(authenticator, headers) == "token_expired")
        }
    }

    @Test func `the scheme is read in any case, and Anthropic's header too`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            let text = token(source.pair, clock: clock)
            for headers: HeaderBlock in [["Authorization": "bEaReR \(text)"], ["x-api-key": text]] {
                #expect(await refusal(authenticator, headers) == nil)
            }
            let hostile: [HeaderBlock] = [
                [:], ["authorization": ""], ["authorization": "Bearer"], ["authorization": "Bearer "], ["authorization": text],
                ["authorization": "Basic \(text)"], ["authorization": "Bearer  \(text)"], ["authorization": "Bearer \(text) x"],
                ["x-api-key": ""],
            ]
            for headers in hostile {
                #expect(await refusal(authenticator, headers) == "invalid_api_key")
            }
        }
    }

    @Test func `a refusal is 401 and challenges`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            do throws(Problem) {
                _ = try await authenticator.principal([:])
                Issue.record("accepted nobody")
            } catch {
                #expect(error.status == 401)
                #expect(error.headers.string(for: "www-authenticate")?.hasPrefix("Bearer") == true)
            }
        }
    }

    @Test func `a thousand made-up key ids cost one question`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            #expect(await refusal(authenticator, bearer(token(source.pair, clock: clock))) == nil)
            let before = source.questions
            for _ in 0..<1_000 {
                let made = ES256KeyPair.generate()
                #expect(await refusal(authenticator, bearer(token(made, clock: clock))) == "invalid_api_key")
            }
            #expect(source.questions == before)
            clock.advance(.seconds(31))
            #expect(await refusal(authenticator, bearer(token(.generate(), clock: clock))) == "invalid_api_key")
            #expect(source.questions == before + 1)
        }
    }

    @Test func `a new signing key is found when its first token comes`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            #expect(await refusal(authenticator, bearer(token(source.pair, clock: clock))) == nil)
            clock.advance(.seconds(40))
            source.rotate()
            #expect(await refusal(authenticator, bearer(token(source.pair, clock: clock))) == nil)
        }
    }

    @Test func `a new token is 503 and not 401 while auth is unavailable, and known keys keep working`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            source.isAway = true
            let headers = bearer(token(source.pair, clock: clock))
            #expect(await refusal(authenticator, headers) == "unavailable")
            source.isAway = false
            #expect(await refusal(authenticator, headers) == nil)
            source.isAway = true
            #expect(await refusal(authenticator, bearer(token(source.pair, clock: clock))) == nil)
        }
    }

    @Test func `a hundred first requests with one API key ask once`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let text = source.addKey()
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            source.hold()
            let answers = await withTaskGroup(of: String?.self) { group in
                for _ in 0..<100 { group.addTask { await refusal(authenticator, bearer(text)) } }
                group.addTask {
                    await source.release(onceAsked: 1)
                    return nil
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0 == nil })
            #expect(source.introspections == 1)
            #expect(authenticator.cached(bearer(text))?.apiKeyID != nil)
        }
    }

    @Test func `a known API key is valid for five minutes while auth is unavailable`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let text = source.addKey()
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            #expect(await refusal(authenticator, bearer(token(source.pair, clock: clock))) == nil)
            #expect(await refusal(authenticator, bearer(text)) == nil)
            source.isAway = true
            clock.advance(.seconds(299))
            #expect(authenticator.cached(bearer(text)) != nil)
            #expect(await refusal(authenticator, bearer(text)) == nil)
            clock.advance(.seconds(1))
            #expect(await refusal(authenticator, bearer(text)) == "unavailable")
        }
    }

    @Test func `five thousand stale API keys are used at once, while auth is asked about a few`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let keys = (0..<5_000).map { _ in source.addKey() }
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            #expect(await refusal(authenticator, bearer(token(source.pair, clock: clock))) == nil)
            for key in keys { #expect(await refusal(authenticator, bearer(key)) == nil) }
            clock.advance(.seconds(61))
            source.hold()
            let before = source.questions
            let refused = await withTaskGroup(of: String?.self) { group in
                for key in keys { group.addTask { await refusal(authenticator, bearer(key)) } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(refused.allSatisfy { $0 == nil })
            await source.release(onceAsked: 64)
            #expect(source.questions == before + 64)
        }
    }

    @Test func `an API key that was revoked while no events came is refused after the next snapshot`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let (kept, revoked) = (source.addKey(), source.addKey())
        try await TestBroker.with { broker in
            try broker.declareExchange(Topology.authEvents.name, type: "topic")
            let amqp = try AMQPConfiguration(url: broker.url, connectionName: "test:revocations")
            try await onLoop {
                let authenticator = authenticator(source, clock: clock, amqp: amqp)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await authenticator.run() }
                    defer { group.cancelAll() }
                    try await until { authenticator.isListening && source.questions >= 2 }
                    #expect(await refusal(authenticator, bearer(kept)) == nil)
                    #expect(await refusal(authenticator, bearer(revoked)) == nil)
                    source.revokedKeys = [try #require(APIKey(Array(revoked.utf8))).id]
                    let before = source.questions
                    try await broker.closeConnections(until: { !authenticator.isListening || source.questions > before })
                    try await until { source.questions > before }
                    #expect(await refusal(authenticator, bearer(revoked)) == "token_revoked")
                    #expect(await refusal(authenticator, bearer(kept)) == nil)
                }
            }
        }
    }

    @Test func `a snapshot from before the last time without events lets no API key be used`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let text = source.addKey()
        try await TestBroker.with { broker in
            try broker.declareExchange(Topology.authEvents.name, type: "topic")
            let amqp = try AMQPConfiguration(url: broker.url, connectionName: "test:revocations")
            try await onLoop {
                let authenticator = authenticator(source, clock: clock, amqp: amqp)
                func reconnect() async throws {
                    clock.advance(.seconds(1))
                    try await broker.closeConnections(until: { !authenticator.isListening })
                    try await until { authenticator.isListening }
                    clock.advance(.seconds(1))
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await authenticator.run() }
                    defer { group.cancelAll() }
                    try await until { authenticator.isListening && source.questions >= 2 }
                    #expect(await refusal(authenticator, bearer(text)) == nil)
                    source.hold()
                    try await reconnect()
                    // Asks for the snapshot again at once when it has failed, before the authenticator does.
                    let caller = Task(executorPreference: Self.loop) {
                        var answer: String?
                        repeat { answer = await refusal(authenticator, bearer(text)) } while answer == "unavailable"
                        return answer
                    }
                    await source.failNext()
                    await source.waitUntilAsked()
                    try await reconnect()
                    source.removeKeys()
                    await source.release(onceAsked: 1)
                    #expect(await caller.value == "invalid_api_key")
                }
            }
        }
    }

    @Test func `a wrong key is asked about once in five seconds, a mistyped one never`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            let unknown = APIKey.make().text
            for _ in 0..<10 { #expect(await refusal(authenticator, bearer(unknown)) == "invalid_api_key") }
            #expect(source.introspections == 1)
            #expect(await refusal(authenticator, bearer(String(unknown.dropLast()) + "!")) == "invalid_api_key")
            #expect(source.introspections == 1)
            clock.advance(.seconds(5))
            #expect(await refusal(authenticator, bearer(unknown)) == "invalid_api_key")
            #expect(source.introspections == 2)
        }
    }

    @Test func `a second form of a signature verifies, and ends with its session`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let session = SessionID.make()
        try await onLoop {
            let authenticator = authenticator(source, clock: clock)
            let text = token(source.pair, clock: clock, session: session)
            let twin = try #require(withTwinSignature(text))
            #expect(twin != text)
            #expect(await refusal(authenticator, bearer(text)) == nil)
            #expect(await refusal(authenticator, bearer(twin)) == nil)
            authenticator.revoke(SessionRevoked(sessionID: session, tokensExpireAt: clock.now + .seconds(960)))
            #expect(await refusal(authenticator, bearer(text)) == "token_revoked")
            #expect(await refusal(authenticator, bearer(twin)) == "token_revoked")
        }
    }

    @Test func `revocations come as events, and missed ones with the snapshot`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let (early, late) = (SessionID.make(), SessionID.make())
        let text = source.addKey()
        source.revoked = [SessionRevoked(sessionID: early, tokensExpireAt: clock.now + .seconds(960))]
        try await TestBroker.with { broker in
            try broker.declareExchange(Topology.authEvents.name, type: "topic")
            let url = broker.url
            try await onLoop {
                let authenticator = authenticator(
                    source, clock: clock, amqp: try AMQPConfiguration(url: url, connectionName: "test:revocations"))
                let publisher = AMQPPublisher(try AMQPConfiguration(url: url, connectionName: "test:publish"), log: Self.log)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await authenticator.run() }
                    group.addTask { await publisher.run() }
                    defer { group.cancelAll() }
                    #expect(await publisher.connected(within: .seconds(10)))
                    let earlyToken = bearer(token(source.pair, clock: clock, session: early))
                    try await until { await refusal(authenticator, earlyToken) == "token_revoked" && authenticator.isListening }

                    let lateToken = bearer(token(source.pair, clock: clock, session: late))
                    #expect(await refusal(authenticator, lateToken) == nil)
                    #expect(await refusal(authenticator, bearer(text)) == nil)
                    let key = try #require(APIKey(Array(text.utf8)))
                    try await publish(SessionRevoked(sessionID: late, tokensExpireAt: clock.now + .seconds(960)), by: publisher)
                    try await publish(APIKeyRevoked(apiKeyID: key.id), by: publisher)
                    try await until { await refusal(authenticator, lateToken) == "token_revoked" }
                    try await until { await refusal(authenticator, bearer(text)) == "token_revoked" }
                }
            }
        }
    }

    private func publish<Event: Message>(_ event: Event, by publisher: AMQPPublisher) async throws {
        let properties = MessageProperties(messageID: MessageID.make().description, type: Event.name)
        let message = OutgoingMessage(
            exchange: Event.exchange.name, routingKey: event.routingKey, body: event.encoded(), properties: properties)
        try await publisher.publish(message, within: .seconds(30))
    }

    /// r, n − s in place of r, s.
    private func withTwinSignature(_ token: String) -> String? {
        let parts = token.split(separator: ".")
        guard let signature = Base64.url.decode(parts[2]) else { return nil }
        let order: [UInt8] = [
            0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E,
            0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
        ]
        var twin = Array(signature.prefix(32)) + order
        var borrow = 0
        for index in (32..<64).reversed() {
            let difference = Int(twin[index]) - Int(signature[index]) - borrow
            borrow = difference < 0 ? 1 : 0
            twin[index] = UInt8(difference & 0xFF)
        }
        return "\(parts[0]).\(parts[1]).\(Base64.url.encode(twin))"
    }
}
