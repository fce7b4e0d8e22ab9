import AMQP
import Contracts
import JSON
import Telemetry
import Values

// The command that each message asks of the engine.

/// The origin of a message, as the journal keeps it.
struct CommandOrigin: Sendable {
    var trace: TraceContext?
    var conversation: ConversationID?
}

extension Command {
    /// Reads a durable command of any queue.
    static func durable(_ type: String, _ body: [UInt8], _ origin: CommandOrigin) throws(Malformed) -> Command {
        switch type {
        case SettleCharge.name: Command(try read(SettleCharge.self, body), from: origin)
        case VoidHold.name: Command(try read(VoidHold.self, body), from: origin)
        case ReportUsage.name: Command(try read(ReportUsage.self, body), from: origin)
        case ExpireHold.name: Command(try read(ExpireHold.self, body))
        case PurchaseFulfilled.name: Command(try read(PurchaseFulfilled.self, body), from: origin)
        case PurchaseReversed.name: Command(try read(PurchaseReversed.self, body), from: origin)
        default: throw .unknownType(type)
        }
    }

    /// Reads a question about a hold.
    static func question(
        _ type: String, _ body: [UInt8], _ origin: CommandOrigin, isRedelivered: Bool
    ) throws(Malformed) -> Command {
        var command =
            switch type {
            case PlaceHold.name: Command(try read(PlaceHold.self, body), from: origin)
            case ExtendHold.name: Command(try read(ExtendHold.self, body), from: origin)
            default: throw Malformed.unknownType(type)
            }
        command.isRedelivered = isRedelivered
        return command
    }

    private static func read<M: Message>(_: M.Type, _ body: [UInt8]) throws(Malformed) -> M {
        guard body.count <= Malformed.bytesMax else { throw .tooLarge(body.count) }
        do { return try M(decoding: body) } catch { throw .content(error) }
    }

    init(_ message: PlaceHold, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .hold(
                message.amounts, takesShare: message.takesShare, timeToLive: .milliseconds(message.timeToLiveMilliseconds),
                keyLimits: message.keyLimits),
            key: message.apiKeyID,
            context: Context(origin) { json in
                json.field("holder", message.holder)
                json.field(optional: "api_key_id", message.apiKeyID?.rawValue)
            })
    }

    init(_ message: ExtendHold, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .extend(
                step: message.step, message.amounts, used: message.usedSoFar,
                timeToLive: .milliseconds(message.timeToLiveMilliseconds)),
            context: Context(origin))
    }

    init(_ message: SettleCharge, from origin: CommandOrigin) {
        let call = message.call
        self.init(
            id: message.chargeID, account: message.accountID, action: .settle(amount: message.amount), key: call.apiKeyID,
            context: Context(origin, description: call.model) { call.encode(into: &$0) })
        context.usage = Usage(
            model: call.model, operation: call.operation, promptTokens: call.promptTokens, completionTokens: call.completionTokens)
    }

    init(_ message: VoidHold, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID, action: .void, context: Context(origin, description: message.reason))
    }

    init(_ message: ReportUsage, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .report(used: message.usedSoFar, timeToLive: .milliseconds(message.timeToLiveMilliseconds)),
            context: Context(origin))
    }

    init(_ message: ExpireHold) {
        self.init(id: message.chargeID, account: message.accountID, action: .expire(due: message.expiresAt))
    }

    init(_ message: PurchaseFulfilled, from origin: CommandOrigin) {
        let grant: Grant =
            switch message.kind {
            case .purchase: .purchase
            case .planGrant: .planGrant
            case .bonus: .bonus
            }
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .grant(grant, amount: message.amount, expiresAt: message.expiresAt),
            context: Context(origin, description: message.description) { json in
                if let expiresAt = message.expiresAt { json.field("expires_at", expiresAt.description) }
            })
    }

    init(_ message: PurchaseReversed, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .reverse(grant: message.grantID, target: message.target, version: message.version),
            context: Context(origin, description: message.description) { json in
                json.field("grant_id", message.grantID)
                json.field("reason", message.reason.rawValue)
            })
    }
}

extension Context {
    fileprivate init(_ origin: CommandOrigin, description: String? = nil, metadata: ((inout JSONWriter) -> Void)? = nil) {
        self.init(description: description)
        trace = origin.trace.map { UUIDv7(high: $0.traceHigh, low: $0.traceLow) }
        conversation = origin.conversation
        guard let metadata else { return }
        var json = JSONWriter()
        json.object { metadata(&$0) }
        if json.bytes.count > 2 { self.metadata = String(decoding: json.bytes, as: UTF8.self) }
    }
}

extension Delivery {
    var trace: TraceContext? { properties.header("traceparent").flatMap { TraceContext(traceparent: $0) } }
    var conversation: ConversationID? { properties.header("x-conversation-id").flatMap { ConversationID($0) } }
    var origin: CommandOrigin { CommandOrigin(trace: trace, conversation: conversation) }
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
