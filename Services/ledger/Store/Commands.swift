package import AMQP
import Contracts
import JSON
package import Messaging
import Telemetry
package import Values

// The command that each message asks of the engine.

/// The origin of a message, as the journal keeps it.
package struct CommandOrigin: Sendable {
    var trace: TraceContext?
    var conversation: ConversationID?
}

/// One command of a durable message, or the flaw of one of its items.
package struct DurableItem: Sendable {
    package let command: Result<Command, Malformed>
    /// The account that the content names, also if the rest cannot be read.
    package let account: AccountID?
    /// Nil: the message has one command.
    package let item: DurableMessage.Item?
}

extension DurableItem {
    fileprivate init(_ command: Command) { self.init(command: .success(command), account: command.account, item: nil) }
}

extension Command {
    /// Reads a durable message of any queue. Of several items each is read by itself.
    package static func durable(_ type: String, _ body: [UInt8], _ origin: CommandOrigin) throws(Malformed) -> [DurableItem] {
        guard type == SettleCharges.name else {
            return [DurableItem(try single(type, body, origin))]
        }
        let items: [[UInt8]]
        do { items = try SettleCharges.items(in: body) } catch { throw .content(error) }
        if items.count == 1 { return [DurableItem(try settlement(items[0], origin))] }
        return items.enumerated().map { index, bytes in
            let command = Result { () throws(Malformed) in try settlement(bytes, origin) }
            return DurableItem(
                command: command, account: (try? command.get().account) ?? (try? JSONObject(bytes).id("account_id")),
                item: DurableMessage.Item(index: index, body: Array(#"{"items":["#.utf8) + bytes + Array("]}".utf8)))
        }
    }

    /// Reads the command of a row, which has one.
    static func one(_ type: String, _ body: [UInt8], _ origin: CommandOrigin) throws(Malformed) -> Command {
        let items = try durable(type, body, origin)
        guard items.count == 1 else { throw .content(MessageError(field: "items", expected: "one item in a row")) }
        return try items[0].command.get()
    }

    private static func settlement(_ item: [UInt8], _ origin: CommandOrigin) throws(Malformed) -> Command {
        do {
            let charge = try SettleCharge(from: JSONObject(item))
            guard charge.lease == nil else { throw MessageError(field: "lease", expected: "none, because this ledger grants no leases") }
            return Command(charge, from: origin)
        } catch {
            throw .content(error)
        }
    }

    /// Reads a message that is one command.
    private static func single(_ type: String, _ body: [UInt8], _ origin: CommandOrigin) throws(Malformed) -> Command {
        switch type {
        case VoidHold.name: Command(try VoidHold(reading: body), from: origin)
        case ReportUsage.name: Command(try ReportUsage(reading: body), from: origin)
        case ExpireHold.name: Command(try ExpireHold(reading: body))
        case PurchaseFulfilled.name: Command(try PurchaseFulfilled(reading: body), from: origin)
        case PurchaseReversed.name: Command(try PurchaseReversed(reading: body), from: origin)
        default: throw .unknownType(type)
        }
    }

    /// Reads a question about a hold.
    package static func question(
        _ type: String, _ body: [UInt8], _ origin: CommandOrigin, isRedelivered: Bool
    ) throws(Malformed) -> Command {
        var command =
            switch type {
            case PlaceHold.name: Command(try PlaceHold(reading: body), from: origin)
            case ExtendHold.name: Command(try ExtendHold(reading: body), from: origin)
            default: throw Malformed.unknownType(type)
            }
        command.isRedelivered = isRedelivered
        return command
    }

    init(_ message: PlaceHold, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .hold(
                message.amounts, takesShare: message.takesShare, timeToLive: .milliseconds(message.timeToLiveMilliseconds),
                keyLimits: message.keyLimits),
            key: message.apiKeyID,
            context: Context(origin) { json in
                json.field("replica", message.replica)
                json.field(optional: "api_key_id", message.apiKeyID?.rawValue)
                json.field(optional: "service", message.service)
            })
    }

    init(_ message: ExtendHold, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .extend(
                step: message.step, message.amounts, usedSoFar: message.usedSoFar,
                timeToLive: .milliseconds(message.timeToLiveMilliseconds)),
            context: Context(origin))
    }

    init(_ message: SettleCharge, from origin: CommandOrigin) {
        let call = message.call
        self.init(
            id: message.chargeID, account: message.accountID, action: .settle(amount: message.amount), key: call.apiKeyID,
            context: Context(origin, description: call.model) { call.encode(into: &$0) })
        context.usage = Usage(model: call.model, operation: call.operation, units: call.usage)
    }

    init(_ message: VoidHold, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID, action: .void, key: message.apiKeyID,
            context: Context(origin, description: message.reason) { $0.field(optional: "api_key_id", message.apiKeyID?.rawValue) })
    }

    init(_ message: ReportUsage, from origin: CommandOrigin) {
        self.init(
            id: message.chargeID, account: message.accountID,
            action: .report(usedSoFar: message.usedSoFar, timeToLive: .milliseconds(message.timeToLiveMilliseconds)),
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
    package var origin: CommandOrigin { CommandOrigin(trace: trace, conversation: conversation) }
}
