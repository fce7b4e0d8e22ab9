import Contracts
import Testing
import Values

@testable import Ledger

struct GrantRulesTests {
    @Test func `the first grant opens the account`() {
        var ledger = Scenario()
        #expect(seen(ledger.do(.grant(.planGrant, amount: credits(10)))) == .applied(10))
        #expect(ledger.available == credits(10))
    }

    @Test func `the same purchase a hundred times is one grant`() {
        var ledger = Scenario()
        let id = ledger.id()
        #expect(seen(ledger.do(.grant(.purchase, amount: credits(50)), on: id)) == .applied(50))
        for _ in 0..<99 { #expect(seen(ledger.do(.grant(.purchase, amount: credits(50)), on: id)) == .duplicate(50)) }
        #expect(ledger.posted == credits(50))
    }

    @Test func `the same purchase with another amount, kind or account is a conflict`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(.grant(.purchase, amount: credits(50)), on: id)
        #expect(seen(ledger.do(.grant(.purchase, amount: credits(51)), on: id)) == .conflict)
        #expect(seen(ledger.do(.grant(.bonus, amount: credits(50)), on: id)) == .conflict)
        #expect(seen(ledger.do(.grant(.purchase, amount: credits(50)), on: id, account: .make())) == .conflict)
        #expect(seen(ledger.do(settle(1), on: id)) == .conflict)
        #expect(ledger.posted == credits(50))
        #expect(ledger.state.accounts.count == 1)
    }

    @Test func `an adjustment may take credits, but not those that are held`() {
        var ledger = Scenario(balance: 10)
        ledger.do(hold(6))
        #expect(seen(ledger.do(.grant(.adjustment, amount: credits(-5)))) == .awaiting(4))
        #expect(seen(ledger.do(.grant(.adjustment, amount: credits(-11)))) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(.grant(.adjustment, amount: credits(-4)))) == .applied(-4))
        #expect(ledger.available == .zero)
    }

    @Test func `a balance beyond the range of the unit is refused`() {
        var ledger = Scenario()
        for _ in 0..<4 { ledger.do(.grant(.topup, amount: credits(1_000_000_000))) }
        #expect(seen(ledger.do(.grant(.topup, amount: credits(1)))) == .refused(.outOfRange))
        #expect(ledger.posted == credits(4_000_000_000))
    }

    @Test func `every change of an account is the next entry of its chain`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(20))
        ledger.do(hold(4), on: id)
        ledger.do(settle(3), on: id)
        ledger.do(.void)
        #expect(ledger.journal.map(\.seq) == [1, 2, 3, 0])
        #expect(ledger.journal.map(\.postedAfter) == [10, 10, 7, 7].map(credits))
        #expect(ledger.journal.map(\.heldAfter) == [0, 4, 0, 0].map(credits))
    }
}
