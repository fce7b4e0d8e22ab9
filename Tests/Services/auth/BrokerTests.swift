import AMQP
import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Jobs
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

/// Auth as the other services meet it: over the broker only. One test at a time: the relay of one would send the others' events.
@Suite(.authDatabase, .serialized) struct BrokerTests {
    private static let otherLoop = EventLoop.spawn(name: "test-other-service")

    /// A virtual host with all of the topology, auth on it, and another service's authenticator on a loop of its own.
    private func withOtherService(
        _ body: @escaping @Sendable (AuthUnderTest, OtherService) async throws -> Void
    ) async throws {
        try await TestBroker.with { broker in
            try broker.declareTopology()
            try await AuthUnderTest.with(broker: broker) { auth in
                let other = try OtherService(url: broker.url, loop: Self.otherLoop)
                let running = Task(executorPreference: Self.otherLoop) { try await other.run() }
                defer { running.cancel() }
                try await until("the other service hears revocations") { other.authenticator.isListening }
                try await body(auth, other)
            }
        }
    }

    @Test func `another service knows a token without asking, and refuses it after the sign-out`() async throws {
        try await withOtherService { auth, other in
            let member = try await auth.register()
            let principal = try await other.principal(member.accessToken)
            #expect(principal.userID == member.id)
            #expect(principal.kind == .session(member.session))
            #expect(await other.refusal(member.accessToken) == nil)
            let out = try await auth.ask("POST", "/api/auth/logout", token: member.accessToken)
            #expect(out.status == 204)
            try await until("the other service refuses the token") { await other.refusal(member.accessToken) == "token_revoked" }
        }
    }

    @Test func `another service asks about an API key once, and refuses it after its revocation`() async throws {
        try await withOtherService { auth, other in
            let member = try await auth.register()
            let made = try await auth.ask("POST", "/api/keys", #"{"name":"k","scopes":["llm"]}"#, token: member.accessToken)
            let (id, text) = (try made.string("id"), try made.string("key"))
            let principal = try await other.principal(text)
            #expect(principal.userID == member.id)
            #expect(principal.kind == .apiKey(APIKeyID(rawValue: id)))
            #expect(principal.scopes == ["llm"])
            let gone = try await auth.ask("DELETE", "/api/keys/\(id)", token: member.accessToken)
            #expect(gone.status == 204)
            try await until("the other service refuses the key") { await other.refusal(text) == "token_revoked" }
            let unknown = await other.refusal(APIKey.make().text)
            #expect(unknown == "invalid_api_key")
        }
    }

    @Test func `another service refuses a token from before a change of its user, and accepts the refreshed one`() async throws {
        try await withOtherService { auth, other in
            let member = try await auth.register()
            #expect(await other.refusal(member.accessToken) == nil)
            try await auth.change(member.id)
            try await until("the token has expired") { await other.refusal(member.accessToken) == "token_expired" }
            let answer = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            let next = try auth.member(answer)
            #expect(await other.refusal(next.accessToken) == nil)
            try await auth.change(member.id, isActive: false)
            try await until("the user is refused") { await other.refusal(next.accessToken) == "user_deactivated" }
        }
    }

    @Test func `another service refuses an API key after its owner was deactivated`() async throws {
        try await withOtherService { auth, other in
            let member = try await auth.register()
            let text = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken).string("key")
            #expect(await other.refusal(text) == nil)
            try await auth.change(member.id, isActive: false)
            try await until("the key is refused") { await other.refusal(text) == "invalid_api_key" }
        }
    }

    @Test func `another service asks about a cookie, and refuses it after the sign-out`() async throws {
        try await withOtherService { auth, other in
            let member = try await auth.register()
            let browser = try await auth.signInByForm(member.email)
            let text = browser.value
            let principal = try await other.principal(cookie: text)
            #expect(principal.userID == member.id)
            #expect(principal.kind == .session(browser.cookie.sessionID))
            #expect((principal.locale, principal.timeZone, principal.plan) == ("en", "UTC", "free"))
            #expect(principal.authenticatedAt == auth.clock.now.seconds)
            let out = try await auth.ask("POST", "/api/auth/logout", headers: browser.pageHeaders)
            #expect(out.status == 204)
            try await until("the cookie is refused") { (try? await other.principal(cookie: text)) == nil }
        }
    }

    @Test func `another service sees a new plan in refreshed tokens, API keys and cookies`() async throws {
        try await withOtherService { auth, other in
            let member = try await auth.register()
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken).string("key")
            let cookie = try await auth.signInByForm(member.email).value
            #expect(try await other.principal(key).plan == "free")
            #expect(try await other.principal(cookie: cookie).plan == "free")
            #expect(try await other.principal(member.accessToken).plan == "free")
            let features = PlanFeatures(endpoints: nil, requestsPerMinute: nil, tokensPerMinute: nil, concurrency: nil, priority: 1)
            try await auth.copy(PlanChanged(userID: member.id, plan: "pro", features: features, validUntil: nil, seq: 1))
            try await until("the token has expired") { await other.refusal(member.accessToken) == "token_expired" }
            let answer = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            #expect(try await other.principal(auth.member(answer).accessToken).plan == "pro")
            try await until("the key has the plan") { try await other.principal(key).plan == "pro" }
            try await until("the cookie has the plan") { try await other.principal(cookie: cookie).plan == "pro" }
        }
    }

    @Test(arguments: [
        (#"{"name":"k"}"#, nil), (#"{"name":"k","limit":30}"#, SpendingLimits(monthly: Credits(whole: 30))),
        (#"{"name":"k","limit":null,"daily_limit":1.5}"#, SpendingLimits(daily: Credits(nano: 1_500_000_000))),
        (#"{"name":"k","limit":30,"daily_limit":1}"#, SpendingLimits(daily: Credits(whole: 1), monthly: Credits(whole: 30))),
    ])
    func `another service learns the limits of a key and caches them`(order: String, limits: SpendingLimits?) async throws {
        try await withOtherService { auth, other in
            let member = try await auth.register()
            let text = try await auth.ask("POST", "/api/keys", order, token: member.accessToken).string("key")
            let principal = try await other.principal(text)
            #expect(principal.keyLimits == limits)
            #expect(other.authenticator.cached(["authorization": "Bearer \(text)"]) == principal)
            let person = try await other.principal(member.accessToken)
            #expect(person.keyLimits == nil)
        }
    }

    @Test func `each heartbeat has the next number of its publisher`() async throws {
        try await TestBroker.with { broker in
            try broker.declareTopology()
            try broker.declareQueue("heard")
            try broker.bind(queue: "heard", exchange: Topology.authEvents.name, routingKey: RevocationsHeartbeat.name)
            try await AuthUnderTest.with(broker: broker) { auth in
                let amqp = try AMQPConfiguration(url: broker.url, connectionName: "test:heartbeats")
                let publisher = AMQPPublisher(amqp, log: AuthUnderTest.log)
                let consumer = AMQPConsumer(amqp, source: .queue("heard"), prefetch: 10, log: AuthUnderTest.log)
                let job = RevocationHeartbeats(publisher: publisher, authenticator: auth.authenticator).job
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await publisher.run() }
                    group.addTask { await consumer.run() }
                    defer { group.cancelAll() }
                    #expect(await publisher.connected(within: .seconds(10)))
                    group.addTask { try await job.run(on: auth.pool.loop, log: AuthUnderTest.log) }
                    var numbers: [PublishNumber] = []
                    while numbers.count < 2 { numbers += try await consumer.next(max: 1).compactMap(\.publishNumber) }
                    #expect(numbers.map(\.number) == [1, 2])
                    #expect(numbers[0].publisher == numbers[1].publisher)
                }
            }
        }
    }

    @Test func `a registration is sent to billing once, with the request's trace`() async throws {
        try await TestBroker.with { broker in
            try broker.declareTopology()
            try await AuthUnderTest.with(broker: broker) { auth in
                let consumer = AMQPConsumer(
                    try AMQPConfiguration(url: broker.url, connectionName: "test:billing"), source: .queue(Topology.billingUsers.name),
                    prefetch: 10, log: AuthUnderTest.log)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await consumer.run() }
                    defer { group.cancelAll() }
                    let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
                    let answer = try await auth.ask(
                        "POST", "/api/auth/register", AuthUnderTest.credentials("told@example.com"),
                        headers: [("traceparent", "00-\(trace)-00f067aa0ba902b7-01")])
                    let member = try auth.member(answer)
                    var delivery = try #require(try await consumer.next(max: 1).first)
                    // An event of an earlier test may come first.
                    while try UserVerified(decoding: delivery.body).userID != member.id {
                        delivery = try #require(try await consumer.next(max: 1).first)
                    }
                    let event = try UserVerified(decoding: delivery.body)
                    #expect(event.email == "told@example.com")
                    #expect(delivery.properties.type == UserVerified.name)
                    #expect(delivery.properties.header("traceparent")?.contains(trace) == true)
                }
            }
        }
    }
}

/// The parts of ledger, billing and llm-proxy that handle credentials.
private final class OtherService: Sendable {
    let authenticator: Authenticator
    private let rpc: RPCClient
    private let loop: EventLoop

    init(url: String, loop: EventLoop) throws {
        self.loop = loop
        let amqp = try AMQPConfiguration(url: url, connectionName: "other:rpc")
        rpc = RPCClient(amqp, service: "other", repliesThrough: Topology.rpcReply.name, answeredBy: amqp.user, log: AuthUnderTest.log)
        authenticator = Authenticator(service: "other", publicURL: AuthUnderTest.publicURL, amqp: amqp, rpc: rpc, log: AuthUnderTest.log)
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.rpc.run() }
            group.addTask { try await self.authenticator.run() }
            try await group.next()
        }
    }

    func principal(_ credential: String) async throws -> Principal {
        try await Task(executorPreference: loop) { [authenticator] in
            try await authenticator.principal(["authorization": "Bearer \(credential)"])
        }.value
    }

    func principal(cookie text: String) async throws -> Principal {
        try await Task(executorPreference: loop) { [authenticator] in
            try await authenticator.principal(["cookie": "__Host-session=\(text)"], cookie: .accepted)
        }.value
    }

    func refusal(_ credential: String) async -> String? {
        await Task(executorPreference: loop) { [authenticator] () -> String? in
            do throws(Problem) {
                _ = try await authenticator.principal(["authorization": "Bearer \(credential)"])
                return nil
            } catch {
                return error.code.rawValue
            }
        }.value
    }
}

extension TestBroker {
    /// All exchanges, queues and bindings, without the policies that bound them.
    func declareTopology() throws {
        for exchange in Topology.exchanges { try declareExchange(exchange.name, type: exchange.kind.rawValue) }
        for queue in Topology.queues {
            try declareQueue(queue.name)
            for binding in queue.bindings { try bind(queue: queue.name, exchange: binding.exchange.name, routingKey: binding.routingKey) }
        }
    }
}
