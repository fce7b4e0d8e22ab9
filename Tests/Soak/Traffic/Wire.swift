import AMQP
import Contracts
import EventLoop
import Telemetry

/// The soak's connections to the broker: those of a proxy, of billing, and of a person who reads the dead letters.
final class Wire: Sendable {
    private let requests: RPCClient
    private let charges: AMQPPublisher
    private let purchases: AMQPPublisher
    private let deadLetters: [AMQPConsumer]

    init(_ stack: SoakStack) throws {
        let log = Logger(service: "soak", level: .error)
        func broker(_ user: String, _ role: String) throws -> AMQPConfiguration {
            var configuration = try AMQPConfiguration(url: try stack.broker(user), connectionName: "soak:\(role)")
            configuration.reconnectWithin = .seconds(1)
            return configuration
        }
        requests = RPCClient(try broker("llm-proxy", "rpc"), service: "llm-proxy", log: log)
        charges = AMQPPublisher(try broker("llm-proxy", "charges"), log: log)
        purchases = AMQPPublisher(try broker("billing", "purchases"), log: log)
        deadLetters = try [Topology.ledgerCharges, Topology.ledgerPurchases].compactMap(\.deadLetterQueue).map { queue in
            AMQPConsumer(try broker("url", queue), source: .queue(queue), prefetch: 100, log: log)
        }
    }

    /// Until cancelled; tells of each dead letter by its message id.
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

    /// - Returns: nil when no answer came: the ledger may or may not have decided.
    func ask(_ ask: Ask, as id: MessageID, within limit: Duration) async -> HoldReply? {
        let message = ask.message
        let answer = try? await requests.call(
            exchange: type(of: message).exchange.name, routingKey: message.routingKey, type: type(of: message).name,
            body: message.encoded(), messageID: id.description, within: limit)
        return answer.flatMap { try? HoldReply(decoding: $0.body) }
    }

    /// Returns when the broker has confirmed; anything thrown leaves open whether it has the message.
    func send(_ ask: Ask, as id: MessageID) async throws(PublishError) {
        let message = ask.message
        let properties = MessageProperties(
            messageID: id.description, type: type(of: message).name, timestamp: UInt64(Instant.now().seconds))
        let publisher = message is PurchaseFulfilled || message is PurchaseReversed ? purchases : charges
        try await publisher.publish(
            OutgoingMessage(
                exchange: type(of: message).exchange.name, routingKey: message.routingKey, body: message.encoded(),
                properties: properties),
            within: .seconds(5))
    }
}

extension Ask {
    fileprivate var message: any Message {
        switch action {
        case .hold(let amount, let least, let timeToLive, let awaitsFunds, let key):
            PlaceHold(
                chargeID: id, accountID: account,
                amounts: HoldAmounts(most: amount, usual: least, least: least, isLastQuestion: !awaitsFunds),
                timeToLiveMilliseconds: timeToLive.wholeMilliseconds, holder: "soak", apiKeyID: key?.id, keyLimits: key?.limits)
        case .extend(let step, let amount, let least, let used, let timeToLive):
            ExtendHold(
                chargeID: id, accountID: account, step: step, amounts: HoldAmounts(most: amount, usual: least, least: least),
                usedSoFar: used,
                timeToLiveMilliseconds: timeToLive.wholeMilliseconds)
        case .report(let used, let timeToLive):
            ReportUsage(
                chargeID: id, accountID: account, usedSoFar: used, timeToLiveMilliseconds: timeToLive.wholeMilliseconds)
        case .settle(let amount, let key):
            SettleCharge(chargeID: id, accountID: account, amount: amount, call: CallFacts(key: key?.id))
        case .void: VoidHold(chargeID: id, accountID: account, reason: "soak")
        case .grant(let kind, let amount, let expiresAt):
            PurchaseFulfilled(chargeID: id, accountID: account, kind: kind, amount: amount, description: "soak", expiresAt: expiresAt)
        case .reverse(let grant, let target, let version):
            PurchaseReversed(
                chargeID: id, accountID: account, grantID: grant, target: target, version: version, reason: .refund, description: "soak")
        }
    }
}

extension CallFacts {
    fileprivate init(key: APIKeyID?) {
        self.init(
            model: "sim-fast", provider: "simulator", promptTokens: 10, completionTokens: 10, isEstimated: false, end: .completed,
            priceVersion: 1, costPicoUSD: 50_000_000, markupBasisPoints: 1_500, operation: nil, apiKeyID: key)
    }
}

extension Duration {
    fileprivate var wholeMilliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
