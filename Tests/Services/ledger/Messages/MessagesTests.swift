import AMQP
import Contracts
import EventLoop
import Messaging
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct MessagesTests {
    @Test func `a call is granted, held, settled and asked about over the broker`() async throws {
        try await withBrokeredLedgers { peers, _, _ in
            let (account, id) = (AccountID.make(), ChargeID.make())
            try await peers.grant(10, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            let reply = try await peers.hold(6, on: id, account: account)
            #expect(reply.status == .granted)
            #expect(reply.granted == credits(6))
            #expect(reply.available == credits(4))
            try await peers.settle(2, on: id, account: account)
            try await until("the charge is settled") { try await peers.balance(of: account).posted == credits(8) }
            #expect(try await peers.balance(of: account).held == .zero)
            #expect(try await peers.balance(of: account).alertLevel == .zero)
        }
    }

    @Test func `a charge is answered from the journal, to its account only`() async throws {
        try await withBrokeredLedgers { peers, _, _ in
            let (account, id) = (AccountID.make(), ChargeID.make())
            func record(_ charge: ChargeID, of account: AccountID) async throws -> ChargeReply {
                try await peers.ask(
                    QueryCharge(chargeID: charge, accountID: account), ChargeReply.self, id: MessageID.make().description,
                    within: .seconds(10))
            }
            let grant = ChargeID.make()
            try await peers.grant(10, on: grant, account: account)
            try await until("the grant is there") { try await record(grant, of: account).state == .granted }
            #expect(try await record(grant, of: account).charged == .zero)
            #expect(try await record(grant, of: .make()).state == .unknown)
            #expect(try await peers.balance(of: account).available == credits(10))
            #expect(try await record(id, of: account).state == .unknown)
            _ = try await peers.hold(6, on: id, account: account)
            let open = try await record(id, of: account)
            #expect(open.state == .open && open.held == credits(6) && open.charged == .zero && open.endedAt == nil)
            try await peers.settle(2, on: id, account: account)
            try await until("the charge is settled") { try await record(id, of: account).state == .settled }
            let settled = try await record(id, of: account)
            #expect(settled.held == credits(6) && settled.charged == credits(2) && settled.endedAt != nil)
            #expect(settled.call?.priceVersion == 1)
            #expect(try await record(id, of: .make()).state == .unknown)
        }
    }

    @Test func `a question about a charge that takes long delays no balance`() async throws {
        try await withBrokeredLedgers { peers, _, ledgers in
            let account = AccountID.make()
            try await peers.grant(10, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            let pool = ledgers[0].ledger.pool
            let asked = try await pool.transaction { transaction in
                try await transaction.script("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE")
                let asked = Task(executorPreference: TestDatabase.loop) {
                    try await peers.ask(
                        QueryCharge(chargeID: .make(), accountID: account), ChargeReply.self, id: MessageID.make().description,
                        within: .seconds(10))
                }
                try await until("the question waits for the journal") { try await pool.one(CountWaitsForJournal()) > 0 }
                for _ in 0..<3 { #expect(try await peers.balance(of: account).available == credits(10)) }
                return asked
            }
            #expect(try await asked.value.state == .unknown)
        }
    }

    @Test func `a charge that was voided after its expiry is answered as voided`() async throws {
        try await withBrokeredLedgers { peers, _, ledgers in
            let (account, id) = (AccountID.make(), ChargeID.make())
            try await peers.grant(10, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            _ = try await peers.hold(6, on: id, account: account)
            try await peers.send(ReportUsage(chargeID: id, accountID: account, usedSoFar: credits(5), timeToLiveMilliseconds: 60_000))
            func record() async throws -> ChargeReply {
                try await peers.ask(
                    QueryCharge(chargeID: id, accountID: account), ChargeReply.self, id: MessageID.make().description, within: .seconds(10))
            }
            let ledger = ledgers[0].ledger
            try await until("the report is there") {
                try await ledger.pool.script("UPDATE open_hold SET expires_at = now() WHERE used_so_far > 0 AND charge_id = '\(id)'")
                try await ledger.expireOverdue(of: account)
                return try await record().state == .expired
            }
            #expect(try await record().charged == credits(5))
            try await peers.send(VoidHold(chargeID: id, accountID: account, reason: "no token"))
            try await until("the void is decided") { try await record().state == .voided }
            #expect(try await record().charged == .zero)
            #expect(try await peers.balance(of: account).posted == credits(10))
        }
    }

    @Test func `an unknown account has no credits and gets no hold`() async throws {
        try await withBrokeredLedgers { peers, _, _ in
            let stranger = AccountID.make()
            #expect(try await peers.balance(of: stranger).available == .zero)
            #expect(try await peers.balance(of: stranger).alertLevel == nil)
            let reply = try await peers.hold(1, account: stranger)
            #expect(reply.status == .insufficientFunds)
        }
    }

    @Test func `two ledgers on the same queues grant 200 simultaneous holds exactly the available credits`() async throws {
        try await withBrokeredLedgers(2) { peers, _, _ in
            let account = AccountID.make()
            try await peers.grant(50, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(50) }
            let replies = try await concurrently(200) { _ in try await peers.hold(1, account: account) }
            #expect(replies.filter { $0.status == .granted }.count == 50)
            #expect(replies.filter { $0.status == .awaitingFunds }.count == 150)
        }
    }

    @Test func `the same hold eight times at once is one hold with eight equal answers`() async throws {
        try await withBrokeredLedgers(2) { peers, _, _ in
            let account = AccountID.make()
            try await peers.grant(50, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(50) }
            for _ in 0..<5 {
                let id = ChargeID.make()
                let replies = try await concurrently(8) { _ in try await peers.hold(2, on: id, account: account) }
                #expect(replies.allSatisfy { $0.status == .granted && $0.granted == credits(2) })
            }
            #expect(try await peers.balance(of: account).held == credits(10))
        }
    }

    @Test func `a conflict and an unreadable message are dead-lettered and affect no other message`() async throws {
        try await withBrokeredLedgers { peers, broker, _ in
            let (account, id) = (AccountID.make(), ChargeID.make())
            try await peers.grant(10, on: id, account: account)
            try await peers.grant(11, on: id, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            let good = SettleCharges([SettleCharge(chargeID: .make(), accountID: account, amount: credits(1), call: .sample)])
            let (commands, key) = (Topology.ledgerCommands, good.routingKey)
            try await peers.send(commands, key, SettleCharges.name, Array("not json".utf8))
            try await peers.send(commands, key, SettleCharges.name, Array(#"{"charge_id":"17"}"#.utf8))
            try await peers.send(commands, key, PurchaseFulfilled.name, good.encoded())
            try await peers.send(commands, key, "", good.encoded())
            try await peers.send(commands, key, SettleCharges.name, [UInt8](repeating: 0x20, count: 70_000) + good.encoded())
            try await peers.settle(-1, on: .make(), account: account)
            try await peers.send(
                VoidHold(chargeID: .make(), accountID: account, reason: "text that Postgres has no character for: \0"))
            try await peers.send(good)
            try await until("the good one is settled") { try await peers.balance(of: account).posted == credits(9) }

            #expect(try await broker.deadLetters(of: Topology.ledgerCharges, count: 7).count == 7)
            #expect(try await broker.deadLetters(of: Topology.ledgerPurchases, count: 1).count == 1)
        }
    }

    @Test func `a malformed hold is dropped, and the holds next to it are answered`() async throws {
        try await withBrokeredLedgers { peers, _, _ in
            let account = AccountID.make()
            try await peers.grant(10, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            try await peers.send(Topology.ledgerRPC, "hold", PlaceHold.name, Array("{}".utf8))
            let zero = try await peers.hold(0, account: account)
            #expect(zero.status == .invalid)
            #expect(zero.message == "amount_not_positive")
            let id = ChargeID.make()
            #expect(try await peers.hold(1, on: id, account: account).status == .granted)
            #expect(try await peers.hold(2, on: id, account: account).status == .conflict)
        }
    }

    @Test func `all entries of one request are found by its conversation and its trace`() async throws {
        try await withBrokeredLedgers { peers, _, ledgers in
            let (account, id) = (AccountID.make(), ChargeID.make())
            let (conversation, trace) = (ConversationID.make(), TraceContext.new())
            try await peers.grant(10, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            let headers = [("traceparent", trace.traceparent), ("x-conversation-id", conversation.description)]
            let message = PlaceHold(
                chargeID: id, accountID: account, amounts: HoldAmounts(most: credits(1), usual: credits(1), least: credits(1)),
                timeToLiveMilliseconds: 60_000,
                replica: "llm-proxy-1", apiKeyID: nil)
            let reply = try await peers.rpc.call(
                exchange: PlaceHold.exchange.name, routingKey: message.routingKey, type: PlaceHold.name, body: message.encoded(),
                headers: headers, messageID: id.description, within: .seconds(10))
            #expect(reply.trace?.traceIDText == trace.traceIDText)
            let settlement = SettleCharges([SettleCharge(chargeID: id, accountID: account, amount: credits(1), call: .sample)])
            try await peers.publisher.publish(
                OutgoingMessage(
                    exchange: SettleCharges.exchange.name, routingKey: settlement.routingKey, body: settlement.encoded(),
                    properties: MessageProperties(messageID: MessageID.make().description, type: SettleCharges.name, headers: headers)),
                within: .seconds(10))
            try await until("the charge is settled") { try await peers.balance(of: account).posted == credits(9) }
            let flow = try await ledgers[0].ledger.pool.withConnection { try await $0.query(ReadFlow(conversation: conversation)) }
            #expect(flow == ["hold.place.v1 \(trace.traceIDText)", "charge.settle.v2 \(trace.traceIDText)"])
        }
    }

    @Test func `the entries of a server's call name the server, and its usage counts for the user`() async throws {
        try await withBrokeredLedgers { peers, _, ledgers in
            let (account, id) = (AccountID.make(), ChargeID.make())
            try await peers.grant(10, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            let hold = PlaceHold(
                chargeID: id, accountID: account, amounts: HoldAmounts(most: credits(2), usual: credits(2), least: credits(2)),
                timeToLiveMilliseconds: 60_000, replica: "llm-proxy-1", apiKeyID: nil, service: "web-gateway")
            #expect(try await peers.ask(hold, HoldReply.self, id: id.description, within: .seconds(10)).status == .granted)
            var call = CallFacts.sample
            (call.service, call.operation) = ("web-gateway", "tests.service")
            try await peers.send(SettleCharges([SettleCharge(chargeID: id, accountID: account, amount: credits(1), call: call)]))
            try await until("the charge is settled") { try await peers.balance(of: account).posted == credits(9) }
            let names = try await ledgers[0].ledger.pool.withConnection { try await $0.query(ReadServices(charge: id)) }
            #expect(names == ["web-gateway", "web-gateway"])
            let usage = try await ledgers[0].ledger.pool.withConnection { try await $0.query(ReadOperations(account: account)) }
            #expect(usage == ["sim-fast tests.service"])
            let record = try await peers.ask(
                QueryCharge(chargeID: id, accountID: account), ChargeReply.self, id: MessageID.make().description, within: .seconds(10))
            #expect(record.call == call)
        }
    }

    @Test func `a hold is decided with any timestamp of its message`() async throws {
        try await withBrokeredLedgers { peers, _, _ in
            let account = AccountID.make()
            try await peers.grant(10, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            for hours in [-24, 24] as [Int64] {
                let message = PlaceHold(
                    chargeID: .make(), accountID: account, amounts: HoldAmounts(most: credits(1), usual: credits(1), least: credits(1)),
                    timeToLiveMilliseconds: 60_000,
                    replica: "llm-proxy-1", apiKeyID: nil)
                var properties = MessageProperties(
                    messageID: message.chargeID.description, type: PlaceHold.name,
                    timestamp: UInt64(Instant.now().seconds + hours * 3_600))
                properties.expirationMilliseconds = 5_000
                try await peers.publisher.publish(
                    OutgoingMessage(
                        exchange: PlaceHold.exchange.name, routingKey: message.routingKey, body: message.encoded(), properties: properties),
                    within: .seconds(10))
            }
            // Behind them in the queue.
            #expect(try await peers.hold(2, account: account).available == credits(6))
        }
    }

    @Test func `an id is refused by name if its maker's clock is more than five minutes ahead of the database's`() async throws {
        try await withBrokeredLedgers { peers, broker, _ in
            let account = AccountID.make()
            try await peers.grant(10, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).available == credits(10) }
            func id(secondsAhead: Int64) -> ChargeID {
                var random = SystemRandomNumberGenerator()
                return ChargeID(rawValue: .make(milliseconds: (Instant.now().seconds + secondsAhead) * 1_000, using: &random))
            }
            #expect(try await peers.hold(1, on: id(secondsAhead: 240), account: account).status == .granted)
            let ahead = try await peers.hold(1, on: id(secondsAhead: 360), account: account)
            #expect(ahead.status == .invalid)
            #expect(ahead.message == "id_out_of_range")
            try await peers.settle(1, on: id(secondsAhead: 360), account: account)
            #expect(try await broker.deadLetters(of: Topology.ledgerCharges, count: 1).count == 1)
            #expect(try await peers.balance(of: account).posted == credits(10))
        }
    }
}

private struct CountWaitsForJournal: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM pg_locks WHERE relation = 'journal'::regclass AND NOT granted"
}

private struct ReadFlow: Statement {
    typealias Output = String
    let conversation: ConversationID
    static let sql = "SELECT type || ' ' || trace_id FROM v_journal WHERE conversation_id = $1 ORDER BY at"
    func bind(_ parameters: inout Parameters) { parameters.append(conversation) }
}

/// Reads the server that each entry of a charge names.
private struct ReadServices: Statement {
    typealias Output = String
    let charge: ChargeID
    static let sql = "SELECT coalesce(metadata ->> 'service', '') FROM journal WHERE charge_id = $1 ORDER BY step"
    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
}

/// Reads the models and operations by which the usage of an account is summed up.
private struct ReadOperations: Statement {
    typealias Output = String
    let account: AccountID
    static let sql = """
        SELECT model || ' ' || operation
        FROM usage_15m
        WHERE account_id = $1 AND type = 'usage' AND unit = ''
        """
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}
