import AMQP
import Contracts
import Messaging
import TestSupport
import Values

/// A ledger that answers as the test says, and records what it receives. It grants every question by
/// default.
final class ScriptedLedger: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    private(set) var holds: [PlaceHold] = []
    private(set) var extends: [ExtendHold] = []
    private(set) var settlements: [SettleCharge] = []
    private(set) var voids: [VoidHold] = []
    private(set) var reports: [ReportUsage] = []
    private(set) var replied = 0

    /// The reply to a hold; nil: no answer.
    var answerHold: @Sendable (PlaceHold) async -> HoldReply? = { granted($0.amounts.most, to: $0.chargeID) }
    /// The reply to an extension; nil: no answer.
    var answerExtend: @Sendable (ExtendHold) async -> HoldReply? = { granted($0.amounts.most, to: $0.chargeID) }

    /// The record of a charge.
    var answerCharge: @Sendable (QueryCharge) -> ChargeReply = { ChargeReply(chargeID: $0.chargeID, state: .unknown) }

    static let available = Credits(whole: 5)
    static func granted(_ amount: Credits, to charge: ChargeID) -> HoldReply {
        granted(amount, spendable: available, to: charge)
    }
    static func granted(_ amount: Credits, spendable: Credits, to charge: ChargeID) -> HoldReply {
        HoldReply(chargeID: charge, status: .granted, granted: amount, available: spendable, spendable: spendable)
    }
    static func refused(_ status: HoldReply.Status, _ charge: ChargeID, limit: HoldReply.Limit? = nil) -> HoldReply {
        HoldReply(chargeID: charge, status: status, granted: .zero, available: Credits(nano: 7), spendable: Credits(nano: 7), limit: limit)
    }

    private let questions: AMQPConsumer
    private let commands: AMQPConsumer

    init(questions: AMQPConsumer, commands: AMQPConsumer) {
        (self.questions, self.commands) = (questions, commands)
    }

    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await self.questions.run() }
            group.addTask { await self.commands.run() }
            group.addTask { while true { for delivery in try await self.commands.next(max: 100) { try self.hear(delivery) } } }
            while true {
                for delivery in try await questions.next(max: 100) { group.addTask { try await self.answer(delivery) } }
            }
        }
    }

    private func hear(_ delivery: Delivery) throws {
        switch delivery.properties.type {
        case SettleCharges.name: settlements += try SettleCharges(decoding: delivery.body).items
        case VoidHold.name: voids.append(try VoidHold(decoding: delivery.body))
        case ReportUsage.name: reports.append(try ReportUsage(decoding: delivery.body))
        default: break
        }
        commands.ack(delivery)
    }

    private func answer(_ delivery: Delivery) async throws {
        if delivery.properties.type == QueryCharge.name {
            let question = try QueryCharge(decoding: delivery.body)
            questions.answer(answerCharge(question), to: delivery)
            return
        }
        let reply: HoldReply?
        if delivery.properties.type == PlaceHold.name {
            let question = try PlaceHold(decoding: delivery.body)
            holds.append(question)
            reply = await answerHold(question)
        } else {
            let question = try ExtendHold(decoding: delivery.body)
            extends.append(question)
            reply = await answerExtend(question)
        }
        if let reply {
            questions.answer(reply, to: delivery)
        } else {
            questions.ack(delivery)
        }
        replied += 1
    }
}
