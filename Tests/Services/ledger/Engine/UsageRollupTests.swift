import Contracts
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

struct UsageRollupTests {
    private func usage(_ model: String?, _ operation: String? = nil, _ prompt: Int64 = 10, _ completion: Int64 = 20) -> Usage {
        Usage(model: model, operation: operation, units: [.input: prompt, .output: completion])
    }

    @Test func `settled calls are added up by quarter of an hour, model and operation`() {
        var ledger = Scenario(balance: 100)
        ledger.now = .startOf(day: ledger.now.day)
        ledger.do(settle(3), usage: usage("fast", "chat"))
        ledger.do(settle(4), usage: usage("fast", "chat"))
        ledger.do(settle(5), usage: usage("fast"))
        ledger.do(settle(6), usage: usage("deep", "chat"))
        ledger.pass(.seconds(900) - .microseconds(1))
        ledger.do(settle(1), usage: usage("fast", "chat"))
        ledger.pass(.microseconds(1))
        ledger.do(settle(2), usage: usage("fast", "chat"))
        let rows = ledger.rows("usage")
        #expect(rows.count == 4)
        let first = rows.first { $0.key.model == "fast" && $0.key.operation == "chat" && $0.key.quarter == .startOf(day: ledger.now.day) }
        #expect(first?.entries == 3)
        #expect(first?.credits == credits(-8))
        #expect(first?.units[.input] == 30)
        #expect(first?.units[.output] == 60)
        let next = rows.first { $0.key.quarter != .startOf(day: ledger.now.day) }
        #expect(next?.key.quarter == .startOf(day: ledger.now.day) + .seconds(900))
        #expect(next?.credits == credits(-2))
    }

    @Test func `names that differ in their bytes are different, as in the table`() {
        var ledger = Scenario(balance: 100)
        ledger.do(settle(3), usage: usage("caf\u{e9}"))
        ledger.do(settle(4), usage: usage("cafe\u{301}"))
        #expect(UsageRow.of(ledger.journal).count { $0.key.type == "usage" } == 2)
    }

    @Test func `the usage of a charge adds up to the taken credits, however the charge ended`() {
        var ledger = Scenario(balance: 100)
        let (settled, late, back) = (ledger.id(), ledger.id(), ledger.id())
        for id in [settled, late, back] { ledger.do(hold(6), on: id) }
        ledger.do(report(4), on: back)
        ledger.do(settle(5), on: settled, usage: usage("fast"))
        ledger.pass(.seconds(61))
        ledger.do(settle(5), on: late, usage: usage("fast"))
        ledger.do(settle(1), on: back, usage: usage("fast"))
        #expect(ledger.rows("usage").reduce(.zero) { $0 + $1.credits } == credits(-11))
        #expect(ledger.posted == credits(89))
    }

    @Test func `a call that cost nothing counts as a call, and a void, a hold and a refusal do not`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(extend(by: 1), on: id)
        ledger.do(.void, on: id)
        ledger.do(charge(50))
        ledger.do(hold(50))
        ledger.do(settle(1), account: .make(), usage: usage("fast"))
        #expect(ledger.rows("usage") == [])
        ledger.do(settle(0), usage: usage("fast"))
        #expect(ledger.rows("usage").map(\.entries) == [1])
        #expect(ledger.rows("usage").map(\.credits) == [.zero])
    }

    @Test func `overage is added up next to the taken credits`() {
        var ledger = Scenario(balance: 10)
        ledger.do(settle(14), usage: usage("fast"))
        #expect(ledger.rows("usage").map(\.credits) == [credits(-10)])
        #expect(ledger.rows("usage").map(\.overage) == [credits(4)])
    }

    @Test func `grants, clawbacks, expiries and adjustments are rows of their own type`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.purchase, 20), on: id)
        ledger.do(grant(.planGrant, 5, until: ledger.now + .seconds(10)))
        ledger.do(reverse(id, 3, version: 1))
        ledger.do(reverse(id, 1, version: 2))
        ledger.do(.grant(.adjustment, amount: credits(-2)))
        ledger.pass(.seconds(10))
        ledger.sweep()
        let sums = Dictionary(uniqueKeysWithValues: ledger.rows().map { ($0.key.type, $0.credits) })
        #expect(
            sums == [
                "purchase": credits(20), "plan_grant": credits(5), "clawback": credits(-1), "adjustment": credits(-2),
                "expiry": credits(-3),
            ])
        #expect(ledger.rows().reduce(.zero) { $0 + $1.credits } == ledger.posted)
    }

    @Test func `a repetition adds nothing`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        for _ in 0..<3 { ledger.do(settle(4), on: id, usage: usage("fast")) }
        #expect(ledger.rows("usage").map(\.entries) == [1])
    }

    @Test func `input and output stand in the row of the entries, other units in rows of their own`() {
        var ledger = Scenario(balance: 10)
        ledger.do(settle(3), usage: Usage(model: "fast", units: [.input: 1, .output: 2, .init(.image): 4]))
        ledger.do(settle(4), usage: Usage(model: "fast", units: [.output: 8]))
        ledger.do(settle(1), usage: Usage(model: "deep"))
        let rows = ledger.rows("usage").sorted { $0.key.model > $1.key.model }
        #expect(
            rows.flatMap(\.tableRows) == [
                UsageTableRow(key: rows[0].key, entries: 2, credits: credits(-7), input: 1, output: 10),
                UsageTableRow(key: rows[0].key, unit: "image", quantity: 4),
                UsageTableRow(key: rows[1].key, entries: 1, credits: credits(-1)),
            ])
    }

    @Test func `a long name is cut at whole characters`() {
        var ledger = Scenario(balance: 10)
        let name = String(repeating: "\u{0E01}", count: 250)
        ledger.do(settle(1), usage: usage(name))
        ledger.do(settle(1), usage: usage(name + "2"))
        #expect(ledger.rows("usage").map(\.key.model) == [String(repeating: "\u{0E01}", count: 200)])
    }

    @Test func `impossible counts of a provider are not used, and no sum leaves 64 bits`() {
        var ledger = Scenario(balance: 10)
        ledger.apply(
            (0..<20).map { _ in
                var command = Command(id: ledger.id(), account: ledger.account, action: settle(1_000_000_000))
                command.context.usage = usage("fast", nil, .max, .min)
                return command
            })
        let row = ledger.rows("usage").first
        #expect(row?.units[.input] == 20 * UnitQuantities.quantityMax)
        #expect(row?.units[.output] == nil)
        #expect(row?.overage == Credits(nano: .max))
    }
}

extension Scenario {
    /// Returns the rollups of all written entries.
    fileprivate func rows(_ type: String? = nil) -> [UsageRow] {
        UsageRow.of(journal).filter { type == nil || $0.key.type == type }
    }
}
