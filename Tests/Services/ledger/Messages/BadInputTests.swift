import AMQP
import Contracts
import EventLoop
import Telemetry
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// Messages that our services never send. Each is refused by name, kept if an operator may need it,
/// and affects no other message.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct BadInputTests {
    private static let tooMuch = credits(1_000_000_001)
    private static let endless = Credits(nano: .max)

    @Test func `a hold of an impossible amount or time is refused by name`() async throws {
        try await withBrokeredLedgers { peers, _, _ in
            let account = try await richAccount(peers)
            typealias Case = (amount: Credits, least: Credits, timeToLive: Int64, flaw: String)
            let cases: [Case] = [
                (.zero, .zero, 60_000, "amount_not_positive"), (credits(-1), credits(-1), 60_000, "amount_not_positive"),
                (Credits(nano: .min), Credits(nano: .min), 60_000, "amount_not_positive"),
                (Self.tooMuch, credits(1), 60_000, "amount_too_large"), (Self.endless, Self.endless, 60_000, "amount_too_large"),
                (credits(1), credits(2), 60_000, "amounts_out_of_order"), (credits(1), .zero, 60_000, "amounts_out_of_order"),
                (credits(1), Credits(nano: .min), 60_000, "amounts_out_of_order"),
                (credits(1), credits(1), 0, "time_to_live_not_positive"), (credits(1), credits(1), .min, "time_to_live_not_positive"),
            ]
            for bad in cases {
                let hold = PlaceHold(
                    chargeID: .make(), accountID: account, amounts: HoldAmounts(most: bad.amount, usual: bad.least, least: bad.least),
                    timeToLiveMilliseconds: bad.timeToLive, replica: "llm-proxy-1", apiKeyID: nil)
                let reply = try await peers.ask(hold, HoldReply.self, id: hold.chargeID.description, within: .seconds(10))
                #expect(reply.status == .invalid && reply.message == bad.flaw, "\(bad): \(reply)")
            }
            // Cut to the longest allowed, and no overflow on the way.
            let long = PlaceHold(
                chargeID: .make(), accountID: account, amounts: HoldAmounts(most: credits(1), usual: credits(1), least: credits(1)),
                timeToLiveMilliseconds: .max,
                replica: "llm-proxy-1", apiKeyID: nil)
            #expect(try await peers.ask(long, HoldReply.self, id: long.chargeID.description, within: .seconds(10)).status == .granted)
            let early = PlaceHold(
                chargeID: ChargeID("00000000-0000-7000-8000-000000000001")!, accountID: account,
                amounts: HoldAmounts(most: credits(1), usual: credits(1), least: credits(1)), timeToLiveMilliseconds: 60_000,
                replica: "llm-proxy-1", apiKeyID: nil)
            let reply = try await peers.ask(early, HoldReply.self, id: early.chargeID.description, within: .seconds(10))
            #expect(reply.status == .invalid && reply.message == "id_out_of_range")
            #expect(try await peers.balance(of: account).available == credits(99))
        }
    }

    @Test func `an unreadable hold is dropped, and the holds next to it are answered`() async throws {
        try await withBrokeredLedgers { peers, _, _ in
            let account = try await richAccount(peers)
            let malformed = outcome("malformed", of: Topology.ledgerHolds)
            for body in Self.unreadable {
                try await peers.send(Topology.ledgerRPC, "hold", PlaceHold.name, body)
            }
            let settlement = SettleCharges([SettleCharge(chargeID: .make(), accountID: account, amount: credits(1), call: .sample)])
            try await peers.send(Topology.ledgerRPC, "hold", SettleCharges.name, settlement.encoded())
            let reply = try await peers.hold(1, account: account)
            #expect(reply.status == .granted && reply.available == credits(99))
            #expect(outcome("malformed", of: Topology.ledgerHolds) - malformed == Int64(Self.unreadable.count + 1))
        }
    }

    @Test func `durable commands that cannot take effect are dead-lettered, and the commands next to them take effect`() async throws {
        try await withBrokeredLedgers { peers, broker, _ in
            let account = try await richAccount(peers)
            let before = (outcome("invalid", of: Topology.ledgerCharges), outcome("malformed", of: Topology.ledgerCharges))
            let commands = Topology.ledgerCommands
            var refused: [ChargeID] = []
            for amount in [credits(-1), Credits(nano: .min), Self.tooMuch, Self.endless] {
                refused += [.make(), .make()]
                try await peers.send(
                    SettleCharges([SettleCharge(chargeID: refused[refused.count - 2], accountID: account, amount: amount, call: .sample)]))
                try await peers.send(
                    ReportUsage(
                        chargeID: refused[refused.count - 1], accountID: account, usedSoFar: amount, timeToLiveMilliseconds: 60_000))
            }
            refused.append(.make())
            try await peers.send(
                ReportUsage(chargeID: refused.last!, accountID: account, usedSoFar: .zero, timeToLiveMilliseconds: 0))
            let good = SettleCharges([SettleCharge(chargeID: .make(), accountID: account, amount: credits(1), call: .sample)])
            for body in Self.unreadable { try await peers.send(commands, good.routingKey, SettleCharges.name, body) }
            // The right key with another message's type, or with an unknown type.
            for type in [PurchaseFulfilled.name, HoldReply.name, "charge.settle.v9", ""] {
                try await peers.send(commands, good.routingKey, type, good.encoded())
            }
            try await peers.send(good)
            // A settlement of zero, or of an unknown account, is valid: it is decided and is no
            // dead letter.
            try await peers.settle(0, on: .make(), account: account)
            try await peers.settle(1, on: .make(), account: AccountID.make())
            try await until("the good one is settled") { try await peers.balance(of: account).posted == credits(99) }

            let dead = try await broker.deadLetters(of: Topology.ledgerCharges, count: refused.count + Self.unreadable.count + 4)
            #expect(dead.count == refused.count + Self.unreadable.count + 4)
            #expect(dead.allSatisfy { $0.properties.header("x-first-death-reason") == "rejected" })
            #expect(outcome("invalid", of: Topology.ledgerCharges) - before.0 == Int64(refused.count))
            #expect(outcome("malformed", of: Topology.ledgerCharges) - before.1 == Int64(Self.unreadable.count + 4))
            #expect(try await peers.balance(of: account).available == credits(99))
        }
    }

    @Test func `purchases of zero, of a negative and of a too large amount grant nothing`() async throws {
        try await withBrokeredLedgers { peers, broker, _ in
            let account = try await richAccount(peers)
            let invalid = outcome("invalid", of: Topology.ledgerPurchases)
            let amounts = [Credits.zero, credits(-1), Credits(nano: .min), Self.tooMuch, Self.endless]
            for amount in amounts { try await peers.send(purchase(amount, for: account)) }
            for body in Self.unreadable {
                try await peers.send(Topology.ledgerCommands, PurchaseFulfilled.name, PurchaseFulfilled.name, body)
            }
            // Each possible, but not all of them: the balance has a bound, and the one above it is refused for good.
            for _ in 0..<4 { try await peers.send(purchase(credits(1_000_000_000), for: account)) }
            try await peers.grant(1, account: account)
            try await until("the last is there") { try await peers.balance(of: account).posted == credits(3_000_000_101) }
            let dead = try await broker.deadLetters(of: Topology.ledgerPurchases, count: amounts.count + Self.unreadable.count)
            #expect(dead.count == amounts.count + Self.unreadable.count)
            #expect(outcome("invalid", of: Topology.ledgerPurchases) - invalid == Int64(amounts.count))
        }
    }

    // MARK:

    /// No JSON, JSON of another shape, numbers outside 64 bits or with a fraction, a text for a number, and more than 64 KB.
    private static let unreadable: [[UInt8]] = {
        let ids = #""charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001""#
        let bodies = [
            "", "not json", "[]", "{}", #"{"charge_id":"17"}"#, "{\(ids)}", #"{\#(ids),"amount":"1"}"#, #"{\#(ids),"amount":1.5}"#,
            #"{\#(ids),"amount":9223372036854775808}"#, #"{\#(ids),"amount":-9223372036854775809}"#, #"{\#(ids),"amount":1e30}"#,
            #"{\#(ids),"amount":null}"#, "{\(ids)", String(repeating: "[", count: 20_000),
        ]
        return bodies.map { Array($0.utf8) } + [[0xFF, 0xFE, 0x00], Array("{\(ids)}".utf8) + [UInt8](repeating: 0x20, count: 70_000)]
    }()

    private func richAccount(_ peers: Peers) async throws -> AccountID {
        let account = AccountID.make()
        try await peers.grant(100, account: account)
        try await until("the grant is there") { try await peers.balance(of: account).available == credits(100) }
        return account
    }

    private func purchase(_ amount: Credits, for account: AccountID) -> PurchaseFulfilled {
        PurchaseFulfilled(
            chargeID: .make(), accountID: account, kind: .purchase, amount: amount, description: "odd", expiresAt: nil)
    }
}

/// The ledger's counter, whose process this is.
func outcome(_ outcome: String, of queue: Queue) -> Int64 {
    Metrics.shared.counter("ledger_commands_total", help: "Commands by outcome.", labels: ["queue": queue.name, "outcome": outcome]).count
}
