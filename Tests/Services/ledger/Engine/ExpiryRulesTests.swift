import Contracts
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

struct ExpiryRulesTests {
    @Test func `an overdue hold ends at the second expiry, a grace after the first`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6, for: .seconds(60)), on: id)
        ledger.pass(.seconds(60) - .microseconds(1))
        #expect(seen(ledger.do(ledger.expiry(of: id), on: id)) == .noted)
        ledger.pass(.microseconds(1))
        for _ in 0..<3 { #expect(seen(ledger.do(ledger.expiry(of: id), on: id)) == .noted) }
        ledger.pass(ledger.limits.expiryGrace - .microseconds(1))
        #expect(seen(ledger.do(ledger.expiry(of: id), on: id)) == .noted)
        #expect(ledger.held == credits(6))
        ledger.pass(.microseconds(1))
        #expect(seen(ledger.do(ledger.expiry(of: id), on: id)) == .applied(0))
        #expect(ledger.held == .zero)
        #expect(ledger.posted == credits(10))
        #expect(seen(ledger.do(ledger.expiry(of: id), on: id)) == .noted)
    }

    @Test func `a redelivered first expiry is never the second one, however late it comes`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(60))
        let first = ledger.expiry(of: id)
        #expect(seen(ledger.do(first, on: id)) == .noted)
        ledger.pass(ledger.limits.expiryGrace)
        #expect(seen(ledger.do(first, on: id)) == .noted)
        #expect(ledger.held == credits(6))
        ledger.do(report(2), on: id)
        ledger.pass(.seconds(60))
        ledger.expire()
        #expect(ledger.posted == credits(8))
    }

    @Test func `a hold without an expiry never ends by time`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(8), on: id)
        ledger.pass(.seconds(86_400))
        #expect(seen(ledger.do(hold(5))) == .awaiting(2))
        #expect(seen(ledger.do(settle(7), on: id)) == .applied(7))
        #expect(!ledger.journal.contains { $0.kind == .expire || $0.kind == .lateCapture })
    }

    @Test func `an expired hold is settled at the largest report, once`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(3), on: id)
        ledger.do(report(2), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        ledger.expire()
        #expect(ledger.posted == credits(7))
        #expect(ledger.held == .zero)
        #expect(ledger.journal.filter { $0.kind == .expire }.count == 1)
    }

    @Test func `a hold with a report above it expires at the available credits, and the rest is overage`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(12), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        #expect(ledger.posted == .zero)
        #expect(ledger.journal.last?.overage == credits(2))
    }

    @Test(arguments: [report(1), extend(by: 1, used: 1), extend(by: 100, used: 1)])
    func `a report between two expiries keeps the hold, and so does an extension, granted or refused`(action: Command.Action) {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(60))
        ledger.do(ledger.expiry(of: id), on: id)
        ledger.pass(.seconds(29))
        ledger.do(action, on: id)
        ledger.pass(.seconds(59))
        ledger.do(ledger.expiry(of: id), on: id)
        #expect(ledger.state.holds[id]?.isOverdue == false)
        ledger.pass(.seconds(1))
        ledger.expire()
        #expect(ledger.held == .zero)
        #expect(ledger.posted == credits(9))
    }

    @Test func `a report moves the expiry only when half of its time has passed`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        let first = ledger.state.holds[id]?.expiresAt
        ledger.pass(.seconds(30))
        ledger.do(report(1), on: id)
        #expect(ledger.state.holds[id]?.expiresAt == first)
        #expect(ledger.state.holds[id]?.usedSoFar == credits(1))
        ledger.pass(.microseconds(1))
        ledger.do(report(2), on: id)
        #expect(ledger.state.holds[id]?.expiresAt == ledger.now + .seconds(60))
    }

    @Test func `a settlement after the expiry charges the difference and is flagged as late`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(2), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        let late = ledger.do(settle(5), on: id)
        #expect(seen(late) == .applied(3))
        #expect(late.entry?.kind == .lateCapture)
        #expect(ledger.posted == credits(5))
        #expect(seen(ledger.do(settle(5), on: id)) == .duplicate(3))
        #expect(seen(ledger.do(settle(6), on: id)) == .conflict)
        #expect(ledger.posted == credits(5))
    }

    @Test func `a late settlement below the expiry's amount returns the difference`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(4), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        #expect(seen(ledger.do(settle(1), on: id)) == .applied(-3))
        #expect(ledger.posted == credits(9))
    }

    @Test func `a late settlement takes the amount that its hold had reserved, even below zero, and no more`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        ledger.do(hold(9))
        let late = ledger.do(settle(8), on: id)
        #expect(seen(late) == .applied(6))
        #expect(late.entry?.overage == credits(2))
        #expect(ledger.posted - ledger.held == credits(-5))
        #expect(ledger.available == .zero)
        ledger.do(.grant(.purchase, amount: credits(7)))
        #expect(ledger.available == credits(2))
    }

    @Test func `a void after the expiry gives back what the expiry took`() {
        var ledger = Scenario(balance: 10)
        let key = APIKeyID(rawValue: "key")
        let id = ledger.id()
        ledger.do(hold(6, keyLimits: SpendingLimits(daily: credits(20), monthly: nil)), on: id, key: key)
        ledger.do(report(5), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        #expect(ledger.posted == credits(5))
        #expect(seen(ledger.do(.void, on: id, key: key)) == .applied(-5))
        #expect(ledger.posted == credits(10))
        #expect(ledger.state.accounts[ledger.account]?.spending.day == .zero)
        #expect(ledger.state.keys[KeySpending.ID(account: ledger.account, key: key)]?.spending.day == .zero)
        #expect(seen(ledger.do(.void, on: id, key: key)) == .duplicate(-5))
        #expect(seen(ledger.do(settle(3), on: id, key: key)) == .conflict)
        #expect(ledger.posted == credits(10))
    }

    @Test func `a void after an expiry that took nothing leaves the balance`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        #expect(seen(ledger.do(.void, on: id)) == .applied(0))
        #expect(seen(ledger.do(.void, on: id)) == .duplicate(0))
        #expect(ledger.available == credits(10))
    }

    @Test func `a void under another account after the expiry is a conflict`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(5), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        #expect(seen(ledger.do(.void, on: id, account: .make())) == .conflict)
        #expect(ledger.posted == credits(5))
    }

    @Test func `a report after the expiry has no effect`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(2), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        #expect(seen(ledger.do(report(5), on: id)) == .noted)
        #expect(ledger.posted == credits(8))
    }

    @Test func `an expiry or a report under another account has no effect`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        let stranger = AccountID.make()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(report(2), on: id, account: stranger)) == .conflict)
        ledger.pass(.seconds(61))
        let before = ledger.state
        #expect(seen(ledger.do(ledger.expiry(of: id), on: id, account: stranger)) == .noted)
        #expect(ledger.state == before)
    }

    @Test func `a repeated hold after its expiry gets the first answer and reserves nothing`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        #expect(seen(ledger.do(hold(6), on: id)) == .duplicate(6))
        #expect(ledger.held == .zero)
    }
}
