import Contracts
import Testing
import Values

@testable import Ledger

struct SettlementRulesTests {
    @Test func `settling below the hold releases the rest`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(settle(2), on: id)) == .applied(2))
        #expect(ledger.posted == credits(8))
        #expect(ledger.held == .zero)
    }

    @Test func `settling above the hold takes what is available and records the rest as overage`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        let decision = ledger.do(settle(13), on: id)
        #expect(seen(decision) == .applied(10))
        #expect(decision.entry?.overage == credits(3))
        #expect(ledger.posted == .zero)
    }

    @Test func `an overage never takes credits that another call holds`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(hold(3))
        let decision = ledger.do(settle(13), on: id)
        #expect(seen(decision) == .applied(7))
        #expect(decision.entry?.overage == credits(6))
        #expect(ledger.posted == credits(3))
        #expect(ledger.held == credits(3))
    }

    @Test func `a repeated settlement gets the first answer, and another amount is a conflict`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(settle(2), on: id)
        #expect(seen(ledger.do(settle(2), on: id)) == .duplicate(2))
        #expect(seen(ledger.do(settle(3), on: id)) == .conflict)
        #expect(ledger.posted == credits(8))
    }

    @Test func `a void releases the hold and takes nothing`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(.void, on: id)) == .applied(0))
        #expect(seen(ledger.do(.void, on: id)) == .duplicate(0))
        #expect(ledger.available == credits(10))
    }

    @Test func `settle and void exclude each other in either order`() {
        var ledger = Scenario(balance: 10)
        let (first, second) = (ledger.id(), ledger.id())
        ledger.do(hold(2), on: first)
        ledger.do(hold(2), on: second)
        ledger.do(settle(2), on: first)
        #expect(seen(ledger.do(.void, on: first)) == .conflict)
        ledger.do(.void, on: second)
        #expect(seen(ledger.do(settle(2), on: second)) == .conflict)
        #expect(ledger.posted == credits(8))
    }

    @Test func `a void that overtakes its hold wins`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        #expect(seen(ledger.do(.void, on: id)) == .applied(0))
        #expect(seen(ledger.do(hold(6), on: id)) == .refused(.alreadyResolved))
        #expect(seen(ledger.do(hold(6), on: id)) == .refused(.alreadyResolved))
        #expect(ledger.available == credits(10))
    }

    @Test func `a settlement that overtakes its hold charges, and the hold is refused`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        #expect(seen(ledger.do(settle(4), on: id)) == .applied(4))
        #expect(seen(ledger.do(hold(6), on: id)) == .refused(.alreadyResolved))
        #expect(seen(ledger.do(settle(4), on: id)) == .duplicate(4))
        #expect(ledger.posted == credits(6))
        #expect(ledger.held == .zero)
    }

    @Test func `a settlement of a refused hold takes what is available`() {
        var ledger = Scenario(balance: 3)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(settle(6), on: id)) == .applied(3))
        #expect(ledger.posted == .zero)
    }

    @Test func `a settlement of zero releases the hold`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(settle(0), on: id)) == .applied(0))
        #expect(ledger.available == credits(10))
    }

    @Test func `a settlement for an unknown account is written and takes nothing`() {
        var ledger = Scenario()
        #expect(seen(ledger.do(settle(4))) == .refused(.accountNotFound))
        #expect(ledger.journal.count == 1)
    }

    @Test func `a direct charge is all or nothing`() {
        var ledger = Scenario(balance: 10)
        let (refused, taken) = (ledger.id(), ledger.id())
        #expect(seen(ledger.do(.charge(amount: credits(11)), on: refused)) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(.charge(amount: credits(4)), on: taken)) == .applied(4))
        ledger.do(.grant(.bonus, amount: credits(100)))
        #expect(seen(ledger.do(.charge(amount: credits(11)), on: refused)) == .duplicate(0))
        #expect(seen(ledger.do(.charge(amount: credits(4)), on: taken)) == .duplicate(4))
        #expect(ledger.posted == credits(106))
    }
}
