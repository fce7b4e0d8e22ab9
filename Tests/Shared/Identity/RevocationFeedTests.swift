import AMQP
import Contracts
import EventLoop
import HTTP
import HTTPWire
import TestSupport
import Testing
import Values

@testable import Identity

/// The events of every replica, over a real broker that drops some of them.
@Suite struct RevocationFeedTests {
    private static let loop = EventLoop.spawn(name: "test-feed")

    /// Runs an authenticator that listens next to a publisher of revocations.
    private func withFeed(
        _ body: @escaping @Sendable (Authenticator, ScriptedSource, ManualClock, AMQPPublisher) async throws -> Void
    ) async throws {
        try await TestBroker.with { broker in
            try broker.declareExchange(Topology.authEvents.name, type: "topic")
            let amqp = try AMQPConfiguration(url: broker.url, connectionName: "test:publish")
            let (source, clock) = (ScriptedSource(), ManualClock())
            try await Task(executorPreference: Self.loop) {
                let authenticator = Authenticator(
                    service: "test", publicURL: "https://gateway.example", amqp: amqp, source: source, clock: { clock.moment },
                    log: silentLog)
                let publisher = AMQPPublisher(amqp, log: silentLog)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await authenticator.run() }
                    group.addTask { await publisher.run() }
                    defer { group.cancelAll() }
                    #expect(await publisher.connected(within: .seconds(10)))
                    try await until("the feed is bound and has its snapshot") { authenticator.isListening && source.snapshots >= 2 }
                    try await body(authenticator, source, clock, publisher)
                }
            }.value
        }
    }

    @Test func `a revocation that the broker drops is noticed at the next heartbeat`() async throws {
        try await withFeed { authenticator, source, clock, publisher in
            try await publisher.publish(numbered(RevocationsHeartbeat()), within: .seconds(30))
            let session = SessionID.make()
            let headers = bearer(source.token(of: session, clock: clock))
            #expect(await refusal(authenticator, headers) == nil)
            let revoked = SessionRevoked(sessionID: session, tokensExpireAt: clock.now + .seconds(960))
            source.revoked = [revoked]
            var dropped = numbered(revoked)
            dropped.routingKey = "bound.to.nothing"
            dropped.mandatory = false
            try await publisher.publish(dropped, within: .seconds(30))
            try await publisher.publish(numbered(RevocationsHeartbeat()), within: .seconds(30))
            try await until("the snapshot has the revocation") { await refusal(authenticator, headers) == "token_revoked" }
        }
    }

    @Test func `events without a gap ask for no snapshot`() async throws {
        try await withFeed { authenticator, source, clock, publisher in
            let before = source.snapshots
            let sessions = (0..<3).map { _ in SessionID.make() }
            for session in sessions {
                let revoked = SessionRevoked(sessionID: session, tokensExpireAt: clock.now + .seconds(960))
                // A duplicate has a number of its own.
                for _ in 0..<2 { try await publisher.publish(numbered(revoked), within: .seconds(30)) }
            }
            for session in sessions {
                let headers = bearer(source.token(of: session, clock: clock))
                try await until("the event has come") { await refusal(authenticator, headers) == "token_revoked" }
            }
            #expect(source.snapshots == before)
        }
    }

    @Test func `ten seconds of silence ask for a snapshot, and thirty without an answer refuse administrators`() async throws {
        try await withFeed { authenticator, source, clock, publisher in
            try await publisher.publish(numbered(RevocationsHeartbeat()), within: .seconds(30))
            let session = SessionID.make()
            var marker = numbered(SessionRevoked(sessionID: session, tokensExpireAt: clock.now + .seconds(960)))
            marker.isNumbered = false
            try await publisher.publish(marker, within: .seconds(30))
            let marked = bearer(source.token(of: session, clock: clock))
            try await until("the heartbeat has been heard") { await refusal(authenticator, marked) == "token_revoked" }
            let headers = bearer(source.token(roles: ["user", "admin"], clock: clock))
            let principal = try await authenticator.principal(headers)
            #expect(principal.isAdmin)
            #expect(await gateRefusal(authenticator, headers) == nil)

            let before = source.snapshots
            clock.advance(.seconds(10))
            try await until("a snapshot is asked for") { source.snapshots > before }
            #expect(!authenticator.isStale)

            source.isAway = true
            clock.advance(.seconds(30))
            #expect(authenticator.isStale)
            #expect(await gateRefusal(authenticator, headers) == "unavailable")
            #expect(await refusal(authenticator, headers) == nil)

            source.isAway = false
            try await until("the next snapshot has come") { !authenticator.isStale }
            #expect(await gateRefusal(authenticator, headers) == nil)
        }
    }

    /// The error code with which the gate refuses an administrator.
    private func gateRefusal(_ authenticator: Authenticator, _ headers: HeaderBlock) async -> String? {
        do throws(Problem) {
            _ = try await authenticator.gate.caller(CallerDemand(.admin(), cookie: .ignored), headers, body: [])
            return nil
        } catch {
            return error.code.rawValue
        }
    }

    private func numbered<Event: Message>(_ event: Event) -> OutgoingMessage {
        OutgoingMessage(
            exchange: Event.exchange.name, routingKey: event.routingKey, body: event.encoded(),
            properties: MessageProperties(messageID: MessageID.make().description, type: Event.name), isNumbered: true)
    }
}
