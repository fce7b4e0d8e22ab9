import AMQP
import Contracts
import EventLoop
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

private let log = Logger(service: "ledger-test", level: .error)

extension TestBroker {
    /// A virtual host as the definitions file makes it: every exchange, queue, binding and policy.
    static func withTopology(_ body: (TestBroker) async throws -> Void) async throws {
        try await with(definitions: String(decoding: Topology.definitions(), as: UTF8.self), body)
    }

    /// Waits for at least `count` dead letters of the queue's flow and takes what is there.
    /// - Throws: `ConsumeError.stopped` when they do not come in thirty seconds.
    func deadLetters(of queue: Queue, count: Int) async throws -> [Delivery] {
        let name = try #require(queue.deadLetterQueue)
        let consumer = AMQPConsumer(
            try AMQPConfiguration(url: url, connectionName: "test:dlq"), source: .queue(name), prefetch: 1_000, log: log)
        async let running: Void = consumer.run()
        let patience = Task(executorPreference: TestDatabase.loop) {
            try await TestDatabase.loop.sleep(for: .seconds(30))
            await consumer.stop(within: .zero)
        }
        defer { patience.cancel() }
        var found: [Delivery] = []
        while found.count < count {
            found += try await consumer.next(max: 1_000)
            for delivery in found { consumer.ack(delivery) }
        }
        await consumer.stop(within: .seconds(1))
        await running
        return found
    }
}

/// One ledger process without its HTTP side: what it listens to, its runner and its pool.
final class LedgerUnderTest: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    let ledger: StoreUnderTest
    private let messages: LedgerMessages
    private let events: AMQPPublisher
    private let connections: [AMQPConsumer]
    private var tasks: [Task<Void, Never>] = []
    private var handOver: Task<Void, any Error>?

    init(
        _ database: TestDatabase, _ broker: TestBroker, limits: Limits = Limits(), faults: FaultPoints = FaultPoints(),
        keepAfter: Duration = .seconds(30), configure: (inout PostgresPool.Configuration) -> Void = { _ in }
    ) throws {
        ledger = StoreUnderTest(database, limits: limits, faults: faults, keepAfter: keepAfter, configure: configure)
        events = AMQPPublisher(try AMQPConfiguration(url: broker.url, connectionName: "ledger:events"), log: log)
        var connections: [AMQPConsumer] = []
        messages = try LedgerMessages(runner: ledger.runner, store: ledger.store, log: log) { queue, prefetch in
            let connection = AMQPConsumer(
                try AMQPConfiguration(url: broker.url, connectionName: "ledger:\(queue.name)"), source: .queue(queue.name),
                prefetch: prefetch, log: log)
            connections.append(connection)
            return connection
        }
        self.connections = connections
    }

    var isConnected: Bool { connections.allSatisfy(\.isConnected) }
    /// True if this ledger reads all command queues, or stands by for them.
    var isHearing: Bool { connections.prefix(messages.consumers.count).allSatisfy(\.isConnected) }

    /// Makes a sweep that has asked for nothing yet.
    func sweeper() -> Sweeper {
        Sweeper(store: ledger.store, runner: ledger.runner, publisher: events, log: log)
    }

    func start() async throws {
        try await ledger.start()
        try await listen()
    }

    /// Connects to the broker. Until ``ledger`` starts, this is a process that has not found its
    /// database yet.
    func listen() async throws {
        let (events, messages) = (events, messages)
        let loop = TestDatabase.loop
        tasks.append(Task(executorPreference: loop) { await events.run() })
        for connection in connections { tasks.append(Task(executorPreference: loop) { await connection.run() }) }
        for consumer in messages.consumers {
            // An error here is the death that a test has arranged: the connection goes with it.
            tasks.append(Task(executorPreference: loop) { try? await consumer.run() })
        }
        tasks.append(Task(executorPreference: loop) { try? await messages.queries.run() })
        let handOver = HandOver(runner: ledger.runner, consumers: messages.consumers, log: log)
        self.handOver = Task(executorPreference: loop) { try await handOver.run() }
        let connected = await events.connected(within: .seconds(30))
        #expect(connected)
    }

    /// Ends like a process that receives SIGTERM.
    func stop() async {
        handOver?.cancel()
        for consumer in messages.consumers { await consumer.stop(within: .seconds(2)) }
        await messages.queries.stop(within: .seconds(1))
        await events.stop()
        for task in tasks { await task.value }
        await ledger.stop()
    }

    /// Ends like a killed process: nothing is finished, nothing acknowledged.
    func kill() async {
        handOver?.cancel()
        for consumer in messages.consumers { await consumer.stop(within: .zero) }
        await messages.queries.stop(within: .zero)
        await events.stop(within: .zero)
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        await ledger.stop()
    }
}

/// A proxy and a billing service as the ledger sees them.
final class Peers: Sendable {
    let rpc: RPCClient
    let publisher: AMQPPublisher

    init(_ broker: TestBroker) throws {
        let amqp = try AMQPConfiguration(url: broker.url, connectionName: "llm-proxy:rpc")
        rpc = RPCClient(amqp, service: "llm-proxy", repliesThrough: Topology.rpcReply.name, answeredBy: amqp.user, log: log)
        publisher = AMQPPublisher(try AMQPConfiguration(url: broker.url, connectionName: "llm-proxy:publisher"), log: log)
    }

    func hold(
        _ amount: Int64, least: Int64? = nil, on id: ChargeID = .make(), account: AccountID, within limit: Duration = .seconds(10)
    ) async throws -> HoldReply {
        let message = PlaceHold(
            chargeID: id, accountID: account,
            amounts: HoldAmounts(most: credits(amount), usual: credits(least ?? amount), least: credits(least ?? amount)),
            timeToLiveMilliseconds: 60_000, replica: "llm-proxy-1", apiKeyID: nil)
        return try await ask(message, HoldReply.self, id: id.description, within: limit)
    }

    func balance(of account: AccountID) async throws -> BalanceReply {
        try await ask(QueryBalance(accountID: account), BalanceReply.self, id: MessageID.make().description, within: .seconds(10))
    }

    func ask<Question: Message, Answer: Message>(
        _ message: Question, _: Answer.Type, id: String, within limit: Duration
    ) async throws -> Answer {
        let reply = try await rpc.call(
            exchange: Question.exchange.name, routingKey: message.routingKey, type: Question.name, body: message.encoded(), messageID: id,
            within: limit)
        #expect(reply.properties.type == Answer.name)
        return try Answer(decoding: reply.body)
    }

    func send<M: Message>(_ message: M) async throws { try await send(M.exchange, message.routingKey, M.name, message.encoded()) }

    func send(_ exchange: Topology.Exchange, _ routingKey: String, _ type: String, _ body: [UInt8]) async throws {
        try await publisher.publish(
            OutgoingMessage(
                exchange: exchange.name, routingKey: routingKey, body: body,
                properties: MessageProperties(messageID: MessageID.make().description, type: type)),
            within: .seconds(10))
    }

    func settle(_ amount: Int64, on id: ChargeID, account: AccountID) async throws {
        try await send(SettleCharges([SettleCharge(chargeID: id, accountID: account, amount: credits(amount), call: .sample)]))
    }

    func grant(_ amount: Int64, on id: ChargeID = .make(), account: AccountID) async throws {
        try await send(
            PurchaseFulfilled(
                chargeID: id, accountID: account, kind: .purchase, amount: credits(amount), description: "50 credits", expiresAt: nil))
    }
}

extension CallFacts {
    static let sample = CallFacts(
        model: "sim-fast", provider: "simulator", usage: [.input: 10, .output: 20], isEstimated: false, end: .completed,
        priceVersion: 1, costPicoUSD: 90_000_000, operation: nil, apiKeyID: nil)
}

/// `count` ledgers on one broker and one database, and their peers; audited at the end.
func withBrokeredLedgers(
    _ count: Int = 1, limits: Limits = Limits(), keepAfter: Duration = .seconds(30),
    _ body: @escaping @Sendable (Peers, TestBroker, [LedgerUnderTest]) async throws -> Void
) async throws {
    let database = TestDatabase.current
    try await TestBroker.withTopology { broker in
        try await TestDatabase.onLoop {
            let ledgers = try (0..<count).map { _ in try LedgerUnderTest(database, broker, limits: limits, keepAfter: keepAfter) }
            for ledger in ledgers { try await ledger.start() }
            let result: Result<Void, any Error>
            do { result = .success(try await withPeers(broker) { try await body($0, broker, ledgers) }) } catch { result = .failure(error) }
            for ledger in ledgers { await ledger.stop() }
            try await withLedgers { _ in }
            try result.get()
        }
    }
}
