import AMQP
import Contracts
import EventLoop
import JSON
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// Tests messages with several items: each item is decided by itself, once.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct SettleItemsTests {
    @Test func `a hundred items of one account and of a hundred accounts are all settled`() async throws {
        try await withBrokeredLedgers { peers, broker, ledgers in
            let one = try await peers.rich()
            var many: [AccountID] = []
            for _ in 0..<100 { many.append(try await peers.rich()) }
            try await peers.send(SettleCharges((0..<100).map { _ in item(of: one) }))
            try await peers.send(SettleCharges(many.map { item(of: $0) }))
            try await until("the one account has paid a hundred times") { try await peers.balance(of: one).posted == .zero }
            for account in many {
                try await until("each account has paid") { try await peers.balance(of: account).posted == credits(99) }
            }
            #expect(try await left(by: ledgers[0], peers, broker) == 0)
        }
    }

    @Test func `bad items become dead letters of their own, and the items around them are decided, also when delivered again`() async throws
    {
        try await withBrokeredLedgers { peers, broker, ledgers in
            let (account, other) = (try await peers.rich(), try await peers.rich())
            let first = item(of: account)
            let malformed = outcome("malformed", of: Topology.ledgerCharges)
            var items = [first, first, item(of: other)].map(\.json)
            let bad: [(json: String, errorClass: String)] = [
                (SettleCharge(chargeID: first.chargeID, accountID: account, amount: credits(2), call: .sample).json, "refused"),
                (item(of: account, amount: credits(-1)).json, "refused"),
                (SettleCharge(chargeID: .make(), accountID: account, amount: credits(1), call: .sample, lease: .make()).json, "malformed"),
                (#"{"charge_id":"17"}"#, "malformed"), ("17", "malformed"), (#"{"a":1,"a":2}"#, "malformed"),
                (item(of: account).json.replacing(#""input":10"#, with: #""input":-1"#), "malformed"),
                (item(of: account).json.replacing(#""input":10"#, with: #""In put":1"#), "malformed"),
                (item(of: account).json.replacing("sim-fast", with: #"\u0000"#), "not_written"),
            ]
            items += bad.map(\.json)
            items.append(item(of: account).json)
            let id = MessageID.make()
            for _ in 0..<2 { try await peers.send(items, id: id) }
            try await until("the good items are settled") {
                let (mine, others) = (try await peers.balance(of: account), try await peers.balance(of: other))
                return mine.posted == credits(98) && others.posted == credits(99)
            }
            #expect(try await left(by: ledgers[0], peers, broker) == 0)
            let reader = StoreUnderTest(TestDatabase.current)
            let rows = try await reader.pool.query(ReadItemRows())
            await reader.pool.close()
            #expect(rows.map(\.body).sorted() == bad.map { #"{"items":[\#($0.json)]}"# }.sorted())
            for row in rows {
                #expect(bad.first { row.body == #"{"items":[\#($0.json)]}"# }?.errorClass == row.errorClass, "\(row)")
                #expect(row.isKeyed == row.body.contains(account.description))
            }
            #expect(outcome("malformed", of: Topology.ledgerCharges) - malformed == 12)
        }
    }

    @Test func `a malformed item is decided after an operator has repaired its row`() async throws {
        try await withBrokeredLedgers { peers, _, ledgers in
            let (account, other) = (try await peers.rich(), try await peers.rich())
            let bad = item(of: account).json.replacing(#""input":10"#, with: #""In put":10"#)
            try await peers.send([bad, item(of: other).json], id: .make())
            let pool = ledgers[0].ledger.pool
            let repair = """
                UPDATE dead_letter
                SET state = 'replay', next_attempt_at = now(),
                    body = convert_to(replace(convert_from(body, 'UTF8'), 'In put', 'input'), 'UTF8')
                WHERE state = 'parked' AND ordering_key = '\(account)'
                """
            try await until("the account has paid") {
                try await pool.script(repair)
                return try await peers.balance(of: account).posted == credits(99)
            }
        }
    }

    @Test func `a bad item whose row is locked delays its message, and no other bad item`() async throws {
        try await withBrokeredLedgers { peers, broker, ledgers in
            let account = try await peers.rich()
            let pool = ledgers[0].ledger.pool
            let first = MessageID.make()
            let bad = item(of: account, amount: credits(-1)).json
            try await peers.send([bad, bad], id: first)
            try await until("both items are rows") { try await pool.query(CountParkedRows(account: account)) == [2] }
            try await pool.script("UPDATE dead_letter SET state = 'discarded', next_attempt_at = NULL")
            try await pool.transaction { transaction in
                try await transaction.script("SELECT FROM dead_letter FOR UPDATE")
                try await peers.send([bad, bad], id: first)
                for _ in 0..<3 { try await peers.send([bad, bad], id: .make()) }
                try await until("the other items are rows") { try await pool.query(CountParkedRows(account: account)) == [6] }
            }
            try await until("the locked rows are replaced") { try await pool.query(CountParkedRows(account: account)) == [8] }
            #expect(try await left(by: ledgers[0], peers, broker) == 0)
        }
    }

    @Test(arguments: ["parked", "discarded"])
    func `a message that an operator publishes again replaces its row`(state: String) async throws {
        try await withBrokeredLedgers(keepAfter: .milliseconds(100)) { peers, broker, ledgers in
            let account = try await peers.rich()
            let id = MessageID.make()
            let pool = ledgers[0].ledger.pool
            try await pool.script(
                """
                INSERT INTO dead_letter (message_id, consumer, exchange, routing_key, type, source, conversation_id, body, attempts,
                    error_class, error_message, state)
                VALUES ('\(id)', 'ledger.cmd.charge', 'ledger.cmd', 'x', 'x', 'x', gen_random_uuid(), '', 1, 'x', 'x', '\(state)')
                """)
            try await locking(account) {
                try await peers.send([item(of: account).json], id: id)
                try await until("the message is a row of the account") { try await pool.query(CountKeptRows(account: account)) == [1] }
            }
            try await until("the account has paid") { try await peers.balance(of: account).posted == credits(99) }
            #expect(try await left(by: ledgers[0], peers, broker) == 0)
        }
    }

    @Test func `an item of a locked account delays its message, and no other item`() async throws {
        try await withBrokeredLedgers { peers, broker, ledgers in
            let (locked, other) = (try await peers.rich(), try await peers.rich())
            try await locking(locked) {
                try await peers.send(SettleCharges([item(of: other), item(of: locked), item(of: other)]))
                try await until("the other account has paid") { try await peers.balance(of: other).posted == credits(98) }
                await ledgers[0].kill()
            }
            #expect(try await peers.waiting(broker) == 1)
            let heir = try LedgerUnderTest(TestDatabase.current, broker)
            try await heir.start()
            try await until("the locked account has paid") { try await peers.balance(of: locked).posted == credits(99) }
            #expect(try await peers.balance(of: other).posted == credits(98))
            #expect(try await left(by: heir, peers, broker) == 0)
        }
    }

    @Test func `an item of an account that stays locked becomes a row, and its message is acknowledged`() async throws {
        try await withBrokeredLedgers(keepAfter: .milliseconds(100)) { peers, broker, ledgers in
            let (locked, other) = (try await peers.rich(), try await peers.rich())
            try await locking(locked) {
                try await peers.send(SettleCharges([item(of: locked), item(of: other), item(of: locked)]))
                try await until("both items are rows") {
                    try await ledgers[0].ledger.pool.query(CountKeptRows(account: locked)) == [2]
                }
            }
            try await until("the locked account has paid") { try await peers.balance(of: locked).posted == credits(98) }
            #expect(try await left(by: ledgers[0], peers, broker) == 0)
        }
    }

    @Test func `a message of no item, of too many items or of too many bytes is refused as a whole`() async throws {
        try await withBrokeredLedgers { peers, broker, _ in
            let account = try await peers.rich()
            let largest = SettleCharges((0..<SettleCharges.itemsMax).map { _ in item(of: account) })
            try await peers.send(SettleCharges([]))
            try await peers.send(SettleCharges(largest.items + [item(of: account)]))
            let key = largest.routingKey
            for bytes in [SettleCharges.bytesMax, SettleCharges.bytesMax + 1] {
                let body = SettleCharges([item(of: account)]).encoded()
                try await peers.send(
                    Topology.ledgerCommands, key, SettleCharges.name, body + [UInt8](repeating: 0x20, count: bytes - body.count))
            }
            try await until("the message of 48 KiB is decided") { try await peers.balance(of: account).posted == credits(99) }
            let dead = try await broker.deadLetters(of: Topology.ledgerCharges, count: 3)
            #expect(dead.count == 3)
            #expect(try await peers.balance(of: account).posted == credits(99))
            #expect(largest.encoded().count <= SettleCharges.bytesMax)
        }
    }

    private func item(of account: AccountID, amount: Credits = credits(1)) -> SettleCharge {
        SettleCharge(chargeID: .make(), accountID: account, amount: amount, call: .sample)
    }

    /// Stops the ledger and returns the number of messages that it did not acknowledge.
    private func left(by ledger: LedgerUnderTest, _ peers: Peers, _ broker: TestBroker) async throws -> Int {
        await ledger.stop()
        return try await peers.waiting(broker)
    }
}

extension SettleCharge {
    fileprivate var json: String { String(decoding: JSONWriter.object { encode(into: &$0) }, as: UTF8.self) }
}

extension Peers {
    fileprivate func rich() async throws -> AccountID {
        let account = AccountID.make()
        try await grant(100, account: account)
        try await until("the grant is there") { try await balance(of: account).available == credits(100) }
        return account
    }

    fileprivate func send(_ items: [String], id: MessageID) async throws {
        try await publisher.publish(
            OutgoingMessage(
                exchange: SettleCharges.exchange.name, routingKey: SettleCharges.name,
                body: Array(#"{"items":[\#(items.joined(separator: ","))]}"#.utf8),
                properties: MessageProperties(messageID: id.description, type: SettleCharges.name)),
            within: .seconds(10))
    }

    /// Returns the number of messages that wait in the queue of charges, which no ledger reads.
    fileprivate func waiting(_ broker: TestBroker) async throws -> Int {
        let last = VoidHold(chargeID: .make(), accountID: .make(), reason: "the last message")
        try await send(last)
        let consumer = AMQPConsumer(
            try AMQPConfiguration(url: broker.url, connectionName: "test:waiting"), source: .queue(Topology.ledgerCharges.name),
            prefetch: 1_000, log: Logger(service: "ledger-test", level: .error))
        async let running: Void = consumer.run()
        var found: [Delivery] = []
        while !found.contains(where: { $0.body == last.encoded() }) { found += try await consumer.next(max: 1_000) }
        for delivery in found where delivery.body == last.encoded() { consumer.ack(delivery) }
        await consumer.stop(within: .zero)
        await running
        return found.count - 1
    }
}

private struct ReadItemRows: Statement {
    static let sql = """
        SELECT convert_from(body, 'UTF8'), error_class, ordering_key IS NOT NULL
        FROM dead_letter
        WHERE state = 'parked' AND type = 'charge.settle.v2'
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> (body: String, errorClass: String, isKeyed: Bool) {
        try (row.next(), row.next(), row.next())
    }
}

private struct CountParkedRows: Statement {
    typealias Output = Int64
    let account: AccountID
    static let sql = "SELECT count(*) FROM dead_letter WHERE state = 'parked' AND ordering_key = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(account.description) }
}

private struct CountKeptRows: Statement {
    typealias Output = Int64
    let account: AccountID
    static let sql = "SELECT count(*) FROM dead_letter WHERE state = 'replay' AND ordering_key = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(account.description) }
}
