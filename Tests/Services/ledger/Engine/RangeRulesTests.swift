import Testing
import Values

@testable import Ledger

/// Amounts near the end of 64 bits, from commands and from settings: refused or clamped, never a trap.
struct RangeRulesTests {
    private let most: Int64 = 1_000_000_000

    @Test func `clawbacks take a balance down to the range's end and are refused beyond it`() {
        var ledger = Scenario()
        var grants: [ChargeID] = []
        for _ in 0..<12 {
            let id = ledger.id()
            ledger.do(grant(.purchase, most), on: id)
            ledger.do(charge(most))
            grants.append(id)
        }
        let found = grants.map { seen(ledger.do(reverse($0, most, version: 1))) }
        #expect(found == Array(repeating: .applied(most), count: 4) + Array(repeating: .refused(.outOfRange), count: 8))
        #expect(ledger.posted == credits(-4_000_000_000))
        #expect(ledger.available == .zero)
        // A refused one is not forgotten by its version: there is room again, and a new statement finds it.
        ledger.do(grant(.topup, most))
        #expect(seen(ledger.do(reverse(grants[4], most, version: 1))) == .applied(most))
    }

    @Test func `credits that reversals return take no balance beyond the range`() {
        var ledger = Scenario()
        var grants: [ChargeID] = []
        for _ in 0..<3 {
            let round = (0..<4).map { _ in ledger.id() }
            for id in round { ledger.do(grant(.purchase, most), on: id) }
            for id in round { ledger.do(reverse(id, most, version: 1)) }
            grants += round
        }
        let found = grants.map { seen(ledger.do(reverse($0, 0, version: 2))) }
        #expect(found == Array(repeating: .applied(-most), count: 4) + Array(repeating: .refused(.outOfRange), count: 8))
        #expect(ledger.posted == credits(4_000_000_000))
        #expect(ledger.lots.reduce(0, +) == 4_000_000_000)
    }

    @Test func `late settlements of holds on the same credits take a balance down to the range's end and no further`() {
        var ledger = Scenario(balance: most)
        var calls: [ChargeID] = []
        for _ in 0..<12 {
            let id = ledger.id()
            ledger.do(hold(most), on: id)
            ledger.pass(.seconds(61))
            ledger.expire()
            calls.append(id)
        }
        for id in calls { ledger.do(settle(most), on: id) }
        #expect(ledger.posted == credits(-4_000_000_000))
        #expect(ledger.journal.last?.overage == credits(most))
    }

    @Test func `credits that late settlements return take no balance beyond the range`() {
        var ledger = Scenario(balance: most)
        var calls: [ChargeID] = []
        for _ in 0..<6 {
            let id = ledger.id()
            ledger.do(hold(most), on: id)
            ledger.do(report(most), on: id)
            ledger.pass(.seconds(61))
            ledger.expire()
            calls.append(id)
            ledger.do(grant(.topup, most))
        }
        for id in calls { ledger.do(settle(0), on: id) }
        #expect(ledger.posted == credits(4_000_000_000))
        #expect(ledger.lots.reduce(0, +) == 4_000_000_000)
    }

    @Test func `the largest overdraft keeps every balance within the range`() {
        var ledger = Scenario(balance: 4)
        for _ in 0..<3 { ledger.do(grant(.topup, most)) }
        ledger.set { $0.overdraft = .countedMax }
        var calls: [ChargeID] = []
        for _ in 0..<8 {
            let id = ledger.id()
            ledger.do(hold(most, least: 1), on: id)
            calls.append(id)
        }
        #expect(ledger.available == .zero)
        for id in calls { ledger.do(settle(most), on: id) }
        #expect(ledger.posted == credits(-4_000_000_000))
        #expect(seen(ledger.do(.grant(.adjustment, amount: credits(-1)))) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(hold(1))) == .refused(.insufficientFunds))
    }

    @Test func `times at the ends of their range are handled`() {
        var ledger = Scenario(balance: 10)
        #expect(seen(ledger.do(hold(1, for: .milliseconds(Int64.max)))) == .applied(1))
        #expect(
            seen(ledger.do(hold(1, for: .milliseconds(Int64.min))))
                == .invalid(.timeToLiveNotPositive))
        #expect(seen(ledger.do(grant(.bonus, 1, until: Instant(microseconds: .max)))) == .applied(1))
        #expect(seen(ledger.do(grant(.bonus, 1, until: Instant(microseconds: .min)))) == .applied(1))
        #expect(ledger.posted == credits(11))
    }
}
