import AMQP
import Contracts
import EventLoop
import HTTPClient
import JSON
import LedgerCore
import Postgres
import Telemetry
import Values

/// The soak's connections:
///
/// - to the broker as a proxy, as billing, and as an operator who reads the dead letters
/// - to the ledgers as a server
/// - to the database as an operator
final class Wire: Sendable {
    private let requests: RPCClient
    private let charges: AMQPPublisher
    private let purchases: AMQPPublisher
    private let deadLetters: [AMQPConsumer]
    private let client: HTTPClient
    private let ledgers: [String]
    private let operators: PostgresPool

    private let broker: BrokerAPI

    init(_ stack: SoakStack, on loop: EventLoop) throws {
        let log = Logger(service: "soak", level: .error)
        func broker(_ user: String, _ role: String) throws -> AMQPConfiguration {
            var configuration = try AMQPConfiguration(url: try stack.broker(user), connectionName: "soak:\(role)")
            configuration.reconnectWithin = .seconds(1)
            return configuration
        }
        requests = RPCClient(
            try broker("llm-proxy", "rpc"), service: "llm-proxy", repliesThrough: Topology.rpcReply.name, answeredBy: "ledger", log: log)
        charges = AMQPPublisher(try broker("llm-proxy", "charges"), log: log)
        purchases = AMQPPublisher(try broker("billing", "purchases"), log: log)
        deadLetters = try [Topology.ledgerCharges, Topology.ledgerPurchases].compactMap(\.deadLetterQueue).map { queue in
            AMQPConsumer(try broker("url", queue), source: .queue(queue), prefetch: 100, log: log)
        }
        client = HTTPClient(loop: loop)
        self.broker = try BrokerAPI(client, stack)
        ledgers = try SoakStack.Component.ledgers.map { try stack.url(of: $0) }
        var operators = PostgresPool.Configuration(url: try stack.databaseURL, applicationName: "operator")
        operators.idleInTransactionTimeout = .seconds(600)
        operators.connectionsMax = 32
        self.operators = PostgresPool(loop: loop, configuration: operators, log: log)
    }

    func close() async {
        client.close()
        await operators.close()
    }

    /// Runs until cancelled and reports each dead letter by its message id.
    func run(onDeadLetter: @escaping @Sendable (MessageID?) -> Void) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.requests.run() }
            for publisher in [charges, purchases] { group.addTask { await publisher.run() } }
            for consumer in deadLetters {
                group.addTask { await consumer.run() }
                group.addTask {
                    while let deliveries = try? await consumer.next(max: 100) {
                        for delivery in deliveries {
                            onDeadLetter(MessageID(delivery.properties.messageID))
                            consumer.ack(delivery)
                        }
                    }
                }
            }
        }
    }

    func connected() async -> Bool {
        for publisher in [charges, purchases] where !(await publisher.connected(within: .seconds(30))) { return false }
        for consumer in deadLetters where !(await consumer.connected(within: .seconds(30))) { return false }
        return await requests.connected(within: .seconds(30))
    }

    /// - Returns: nil if no answer came. The ledger may or may not have decided.
    func ask(_ ask: Ask, isLast: Bool, as id: MessageID, within limit: Duration) async -> HoldReply? {
        let message = ask.message(isLast: isLast)
        let answer = try? await requests.call(
            exchange: type(of: message).exchange.name, routingKey: message.routingKey, type: type(of: message).name,
            body: message.encoded(), messageID: id.description, within: limit)
        return answer.flatMap { try? HoldReply(decoding: $0.body) }
    }

    /// Returns when the broker has confirmed. After an error the broker may or may not have the
    /// message.
    func send(_ ask: Ask, as id: MessageID) async throws(PublishError) {
        let message = ask.message()
        let properties = MessageProperties(
            messageID: id.description, type: type(of: message).name, timestamp: UInt64(Instant.now().seconds))
        let publisher = message is PurchaseFulfilled || message is PurchaseReversed ? purchases : charges
        try await publisher.publish(
            OutgoingMessage(
                exchange: type(of: message).exchange.name, routingKey: message.routingKey, body: message.encoded(),
                properties: properties),
            within: .seconds(5))
    }

    /// Asks one of the ledgers over HTTP.
    /// - Returns: the status of the answer; nil if none came.
    func deduct(_ deduction: Deduction, at ledger: Int) async -> Int? {
        let body = JSONWriter.object { json in
            json.field("user_id", deduction.account.description)
            json.field("amount", raw: Array(deduction.amount.description.utf8))
            json.field("description", "soak")
            json.field("idempotency_key", deduction.key)
        }
        var request = ClientRequest(
            "POST", ledgers[ledger % ledgers.count] + "/api/credits/deduct",
            headers: [("content-type", "application/json"), ("authorization", "Bearer " + SoakStack.serviceToken)], body: body)
        request.timeout = .seconds(15)
        return try? await client.request(request).status
    }

    /// Closes the connections that bring the messages of the queue to the ledgers. Does nothing
    /// without a broker.
    func closeDeliveries(of queue: Queue) async {
        for connection in (try? await broker.connections(role: "\(queue.name):")) ?? [] { try? await broker.close(connection) }
    }

    /// Locks the account's row for `time`, as an open session of psql does. The lock ends earlier
    /// if the database dies.
    func lock(_ account: AccountID, for time: Duration, on loop: EventLoop) async {
        try? await operators.transaction { transaction in
            _ = try await transaction.query(LockRow(account: account))
            try await loop.sleep(for: time)
        }
    }
}

extension Ask {
    /// - Parameter isLast: true if the question is the last one of its call.
    fileprivate func message(isLast: Bool = false) -> any Message {
        func amounts(_ amounts: HoldAmounts) -> HoldAmounts {
            HoldAmounts(most: amounts.most, usual: amounts.usual, least: amounts.least, isLastQuestion: isLast)
        }
        switch action {
        case .hold(let asked, let takesShare, let timeToLive, let key):
            return PlaceHold(
                chargeID: id, accountID: account, amounts: amounts(asked), takesShare: takesShare,
                timeToLiveMilliseconds: timeToLive.wholeMilliseconds, replica: "soak", apiKeyID: key?.id, keyLimits: key?.limits)
        case .extend(let step, let asked, let used, let timeToLive):
            return ExtendHold(
                chargeID: id, accountID: account, step: step, amounts: amounts(asked), usedSoFar: used,
                timeToLiveMilliseconds: timeToLive.wholeMilliseconds)
        case .report(let used, let timeToLive):
            return ReportUsage(
                chargeID: id, accountID: account, usedSoFar: used, timeToLiveMilliseconds: timeToLive.wholeMilliseconds)
        case .settle(let amount, let key):
            return SettleCharges([SettleCharge(chargeID: id, accountID: account, amount: amount, call: CallFacts(key: key?.id))])
        case .void: return VoidHold(chargeID: id, accountID: account, reason: "soak")
        case .grant(let kind, let amount, let expiresAt):
            return PurchaseFulfilled(
                chargeID: id, accountID: account, kind: kind, amount: amount, description: "soak", expiresAt: expiresAt)
        case .reverse(let grant, let target, let version):
            return PurchaseReversed(
                chargeID: id, accountID: account, grantID: grant, target: target, version: version, reason: .refund, description: "soak")
        case .deduct: preconditionFailure("a deduction is no message")
        }
    }
}

extension CallFacts {
    fileprivate init(key: APIKeyID?) {
        self.init(
            model: "sim-fast", provider: "simulator", usage: [.input: 10, .output: 10], isEstimated: false, end: .completed,
            priceVersion: 1, costPicoUSD: 50_000_000, operation: nil, apiKeyID: key)
    }
}
