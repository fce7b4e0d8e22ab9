import Testing
import Values

@testable import Ledger
@testable import LedgerCore

struct ReversalRulesTests {
    @Test func `a reversal takes back its target, from its own lot first`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(grant(.bonus, 20), on: id)
        #expect(seen(ledger.do(reverse(id, 15, version: 1))) == .applied(15))
        #expect(ledger.lots == [5, 10])
        #expect(ledger.lot(id)?.reversed == credits(15))
        #expect(ledger.journal.last?.grant == id)
    }

    @Test func `a reversal takes the rest from the other lots in their order, then below zero`() {
        var ledger = Scenario(balance: 4)
        let id = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(60)), on: id)
        ledger.do(grant(.bonus, 3))
        ledger.do(charge(8))
        #expect(ledger.lots == [2, 3, 4])
        ledger.do(reverse(id, 6, version: 1))
        #expect(ledger.lots == [3])
        ledger.do(reverse(id, 10, version: 2))
        #expect(ledger.posted == credits(-1))
        #expect(ledger.state.accounts[ledger.account]?.debt == credits(1))
        #expect(seen(ledger.do(hold(1))) == .refused(.insufficientFunds))
        ledger.do(grant(.purchase, 3))
        #expect(ledger.available == credits(2))
        #expect(ledger.state.accounts[ledger.account]?.debt == .zero)
    }

    @Test func `a target is a total: repeated it takes nothing, raised the difference, and lowered it returns credits`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.purchase, 20), on: id)
        #expect(seen(ledger.do(reverse(id, 5, version: 1))) == .applied(5))
        #expect(seen(ledger.do(reverse(id, 5, version: 2))) == .applied(0))
        #expect(seen(ledger.do(reverse(id, 12, version: 3))) == .applied(7))
        #expect(seen(ledger.do(reverse(id, 0, version: 4))) == .applied(-12))
        #expect(ledger.posted == credits(20))
        #expect(ledger.lots == [20])
    }

    @Test func `the highest version of several reversals counts, in any order`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.purchase, 20), on: id)
        #expect(seen(ledger.do(reverse(id, 3, version: 7))) == .applied(3))
        #expect(seen(ledger.do(reverse(id, 20, version: 6))) == .refused(.superseded))
        #expect(seen(ledger.do(reverse(id, 20, version: 7))) == .refused(.superseded))
        #expect(ledger.posted == credits(17))
    }

    @Test func `a repeated reversal gets the first answer, and other content under its id is a conflict`() {
        var ledger = Scenario()
        let (id, reversal) = (ledger.id(), ledger.id())
        ledger.do(grant(.purchase, 20), on: id)
        #expect(seen(ledger.do(reverse(id, 5, version: 1), on: reversal)) == .applied(5))
        #expect(seen(ledger.do(reverse(id, 5, version: 1), on: reversal)) == .duplicate(5))
        #expect(seen(ledger.do(reverse(id, 6, version: 1), on: reversal)) == .conflict)
        #expect(seen(ledger.do(reverse(id, 5, version: 2), on: reversal)) == .conflict)
        #expect(seen(ledger.do(reverse(ledger.id(), 5, version: 1), on: reversal)) == .conflict)
        #expect(seen(ledger.do(reverse(id, 5, version: 1), on: id)) == .conflict)
        #expect(ledger.posted == credits(15))
    }

    @Test func `a reversal that comes before its grant waits for it, and the highest version waits`() {
        var ledger = Scenario()
        let id = ledger.id()
        #expect(seen(ledger.do(reverse(id, 20, version: 1))) == .applied(0))
        #expect(seen(ledger.do(reverse(id, 4, version: 3))) == .applied(0))
        #expect(seen(ledger.do(reverse(id, 9, version: 2))) == .refused(.superseded))
        #expect(ledger.available == .zero)
        #expect(seen(ledger.do(grant(.purchase, 20), on: id)) == .applied(16))
        #expect(ledger.posted == credits(16))
        #expect(seen(ledger.do(reverse(id, 0, version: 4))) == .applied(-4))
        #expect(ledger.lots == [20])
    }

    @Test func `a grant that was reversed before it came opens no account until the reversal is undone`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(reverse(id, 50, version: 1))
        #expect(seen(ledger.do(grant(.purchase, 20), on: id)) == .applied(0))
        #expect(seen(ledger.do(hold(1))) == .refused(.accountNotFound))
        #expect(seen(ledger.do(reverse(id, 0, version: 2))) == .applied(-20))
        #expect(seen(ledger.do(hold(20))) == .applied(20))
    }

    @Test func `more than was granted cannot be taken back`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(grant(.purchase, 20), on: id)
        #expect(seen(ledger.do(reverse(id, 500, version: 1))) == .applied(20))
        #expect(ledger.posted == credits(10))
    }

    @Test func `expired credits are not taken back again`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(grant(.planGrant, 20, until: ledger.now + .seconds(60)), on: id)
        ledger.do(charge(5))
        ledger.pass(.seconds(60))
        ledger.sweep()
        #expect(ledger.lot(id)?.expired == credits(15))
        #expect(seen(ledger.do(reverse(id, 20, version: 1))) == .applied(5))
        #expect(ledger.posted == credits(5))
    }

    @Test func `credits that are returned after the end of their lot have no end`() {
        var ledger = Scenario(balance: 10)
        let (id, returned) = (ledger.id(), ledger.id())
        ledger.do(grant(.planGrant, 20, until: ledger.now + .seconds(60)), on: id)
        ledger.do(reverse(id, 8, version: 1))
        ledger.pass(.seconds(60))
        ledger.sweep()
        #expect(ledger.posted == credits(10))
        #expect(seen(ledger.do(reverse(id, 0, version: 2), on: returned)) == .applied(-8))
        #expect(ledger.lot(returned)?.expiresAt == nil)
        #expect(ledger.lot(id)?.expired == credits(12))
        ledger.pass(.seconds(86_400))
        ledger.sweep()
        #expect(ledger.posted == credits(18))
        #expect(ledger.lots == [8, 10])
    }

    @Test func `a dispute that is won after the month leaves the bought credits that it had taken`() {
        var ledger = Scenario(balance: 1_000)
        let id = ledger.id()
        ledger.do(grant(.planGrant, 500, until: ledger.now + .seconds(60)), on: id)
        ledger.do(charge(500))
        ledger.do(reverse(id, 500, version: 1))
        #expect(ledger.lots == [500])
        ledger.pass(.seconds(60))
        ledger.sweep()
        #expect(seen(ledger.do(reverse(id, 0, version: 2))) == .applied(-500))
        ledger.sweep()
        #expect(ledger.posted == credits(1_000))
        #expect(ledger.lots == [500, 500])
    }

    @Test func `credits that were returned after the end of their lot can be taken back again, and returned again`() {
        var ledger = Scenario(balance: 4)
        let id = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(60)), on: id)
        ledger.do(charge(6))
        ledger.do(reverse(id, 10, version: 1))
        #expect(ledger.posted == credits(-2))
        ledger.pass(.seconds(60))
        #expect(seen(ledger.do(reverse(id, 0, version: 2))) == .applied(-10))
        #expect(ledger.lots == [8])
        #expect(seen(ledger.do(reverse(id, 7, version: 3))) == .applied(7))
        #expect(ledger.lots == [1])
        #expect(seen(ledger.do(reverse(id, 10, version: 4))) == .applied(3))
        #expect(ledger.posted == credits(-2))
        #expect(ledger.state.accounts[ledger.account]?.debt == credits(2))
        #expect(seen(ledger.do(reverse(id, 0, version: 3))) == .refused(.superseded))
        #expect(seen(ledger.do(reverse(id, 4, version: 5))) == .applied(-6))
        #expect(ledger.lots == [4])
        #expect(ledger.lot(id)?.reversed == credits(4))
    }

    @Test func `credits that an open hold keeps past their end expire once returned credits cover the hold`() {
        var ledger = Scenario()
        let (id, call) = (ledger.id(), ledger.id())
        ledger.do(grant(.planGrant, 20, until: ledger.now + .seconds(30)), on: id)
        ledger.do(hold(8), on: call)
        ledger.do(reverse(id, 12, version: 1))
        ledger.pass(.seconds(30))
        ledger.sweep()
        #expect(seen(ledger.do(reverse(id, 0, version: 2))) == .applied(-12))
        #expect(ledger.lot(id)?.expired == credits(8))
        ledger.do(.void, on: call)
        #expect(ledger.lots == [12])
        #expect(seen(ledger.do(reverse(id, 20, version: 3))) == .applied(12))
        #expect(ledger.posted == .zero)
    }

    @Test func `an open hold keeps its credits, and credits that it releases lower the debt`() {
        var ledger = Scenario()
        let (id, call) = (ledger.id(), ledger.id())
        ledger.do(grant(.purchase, 10), on: id)
        ledger.do(hold(8), on: call)
        ledger.do(reverse(id, 10, version: 1))
        #expect(ledger.posted == .zero)
        #expect(ledger.state.accounts[ledger.account]?.debt == credits(8))
        #expect(seen(ledger.do(extend(1, by: 1), on: call)) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(settle(9), on: call)) == .applied(8))
        #expect(ledger.posted == credits(-8))
        #expect(ledger.state.accounts[ledger.account]?.debt == credits(8))
    }

    @Test func `a won dispute after all was spent returns spendable credits`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.purchase, 10), on: id)
        ledger.do(charge(10))
        ledger.do(reverse(id, 10, version: 1))
        #expect(ledger.posted == credits(-10))
        #expect(seen(ledger.do(reverse(id, 0, version: 2))) == .applied(-10))
        #expect(ledger.posted == .zero)
        #expect(ledger.lots == [])
        #expect(ledger.state.accounts[ledger.account]?.debt == .zero)
    }

    @Test func `a reversal under another account waits there and takes nothing`() {
        var ledger = Scenario()
        let id = ledger.id()
        let stranger = AccountID.make()
        ledger.do(grant(.purchase, 10), on: id)
        #expect(seen(ledger.do(reverse(id, 10, version: 1), account: stranger)) == .applied(0))
        #expect(ledger.posted == credits(10))
        #expect(ledger.state.accounts[stranger]?.isOpen == false)
    }

    @Test(
        arguments: [
            (-1, 1, Decision.Flaw.amountNegative), (1_000_000_001, 1, .amountTooLarge), (1, 0, .versionNotPositive),
            (1, -1, .versionNotPositive),
        ]
            as [(Int64, Int64, Decision.Flaw)])
    func `bad content is refused by name and leaves no trace`(target: Int64, version: Int64, flaw: Decision.Flaw) {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.purchase, 10), on: id)
        let before = ledger.state
        #expect(seen(ledger.do(reverse(id, target, version: version))) == .invalid(flaw))
        #expect(ledger.state == before)
    }
}
