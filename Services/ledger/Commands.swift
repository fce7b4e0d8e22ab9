import AMQP
import Contracts
import JSON
import Telemetry

// What each message asks of the engine.

extension Command {
    init(_ message: PlaceHold, from delivery: Delivery) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .hold(
                amount: message.amounts.most, leastUseful: message.amounts.least,
                timeToLive: .milliseconds(message.timeToLiveMilliseconds), awaitsFunds: !message.amounts.isLastQuestion,
                keyLimits: message.keyLimits),
            key: message.apiKeyID,
            context: Context(delivery) { json in
                json.field("holder", message.holder)
                json.field(optional: "api_key_id", message.apiKeyID?.rawValue)
            })
    }

    init(_ message: ExtendHold, from delivery: Delivery) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .extend(
                step: message.step, amount: message.amounts.most, leastUseful: message.amounts.least, used: message.usedSoFar,
                timeToLive: .milliseconds(message.timeToLiveMilliseconds)),
            context: Context(delivery))
    }

    init(_ message: SettleCharge, from delivery: Delivery) {
        let call = message.call
        self.init(
            id: message.chargeID, account: message.accountID, action: .settle(amount: message.amount), key: call.apiKeyID,
            context: Context(delivery, description: call.model) { call.encode(into: &$0) })
        context.usage = Usage(
            model: call.model, operation: call.operation, promptTokens: call.promptTokens, completionTokens: call.completionTokens)
    }

    init(_ message: VoidHold, from delivery: Delivery) {
        self.init(
            id: message.chargeID, account: message.accountID, action: .void, context: Context(delivery, description: message.reason))
    }

    init(_ message: ReportUsage, from delivery: Delivery) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .report(used: message.usedSoFar, timeToLive: .milliseconds(message.timeToLiveMilliseconds)),
            context: Context(delivery))
    }

    init(_ message: PurchaseFulfilled, from delivery: Delivery) {
        let grant: Grant =
            switch message.kind {
            case .purchase: .purchase
            case .planGrant: .planGrant
            case .bonus: .bonus
            }
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .grant(grant, amount: message.amount, expiresAt: message.expiresAt),
            context: Context(delivery, description: message.description) { json in
                if let expiresAt = message.expiresAt { json.field("expires_at", expiresAt.description) }
            })
    }

    init(_ message: PurchaseReversed, from delivery: Delivery) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .reverse(grant: message.grantID, target: message.target, version: message.version),
            context: Context(delivery, description: message.description) { json in
                json.field("grant_id", message.grantID)
                json.field("reason", message.reason.rawValue)
            })
    }
}

extension Context {
    fileprivate init(_ delivery: Delivery, description: String? = nil, metadata: ((inout JSONWriter) -> Void)? = nil) {
        self.init(description: description)
        if let trace = delivery.trace { self.trace = UUIDv7(high: trace.traceHigh, low: trace.traceLow) }
        conversation = delivery.properties.header("x-conversation-id").flatMap { ConversationID($0) }
        guard let metadata else { return }
        var json = JSONWriter()
        json.object { metadata(&$0) }
        if json.bytes.count > 2 { self.metadata = String(decoding: json.bytes, as: UTF8.self) }
    }
}

extension Delivery {
    var trace: TraceContext? { properties.header("traceparent").flatMap { TraceContext(traceparent: $0) } }
}

/// A message that no repetition can make right.
enum Malformed: Error, CustomStringConvertible {
    case unknownType(String)
    case tooLarge(Int)
    case content(any Error)

    var description: String {
        switch self {
        case .unknownType(let type): "message type \(type.isEmpty ? "missing" : type) does not belong in this queue"
        case .tooLarge(let bytes): "\(bytes) bytes; at most \(Self.bytesMax) are read"
        case .content(let error): "\(error)"
        }
    }

    static let bytesMax = 64 << 10
}

extension Delivery {
    /// The message, if the AMQP type says that it is one and its content agrees.
    func decode<M: Message>(_: M.Type) throws(Malformed) -> M {
        guard properties.type == M.name else { throw .unknownType(properties.type) }
        guard body.count <= Malformed.bytesMax else { throw .tooLarge(body.count) }
        do { return try M(decoding: body) } catch { throw .content(error) }
    }
}
