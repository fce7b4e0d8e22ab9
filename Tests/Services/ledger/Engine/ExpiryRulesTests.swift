import Contracts
import Testing

@testable import Ledger

struct ExpiryRulesTests {
    @Test func `an expired hold nobody reported on is free again`() {
        var ledger = Scenario(balance: 10)
        ledger.do(hold(6, for: .seconds(60)))
        ledger.pass(.seconds(60) - .microseconds(1))
        ledger.sweep()
        #expect(ledger.held == credits(6))
        ledger.pass(.microseconds(1))
        ledger.sweep()
        #expect(ledger.held == .zero)
        #expect(ledger.posted == credits(10))
    }

    @Test func `an expired hold is settled at the last reported usage, once`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(3), on: id)
        ledger.do(report(2), on: id)
        ledger.pass(.seconds(61))
        ledger.sweep()
        ledger.sweep()
        #expect(ledger.posted == credits(7))
        #expect(ledger.held == .zero)
        #expect(ledger.journal.filter { $0.kind == .expire }.count == 1)
    }

    @Test func `a report above the hold expires at what is there, and the rest is overage`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(12), on: id)
        ledger.pass(.seconds(61))
        ledger.sweep()
        #expect(ledger.posted == .zero)
        #expect(ledger.journal.last?.overage == credits(2))
    }

    @Test func `a report keeps the hold alive`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        for _ in 0..<5 {
            ledger.pass(.seconds(59))
            ledger.do(report(1), on: id)
        }
        #expect(ledger.held == credits(6))
        #expect(seen(ledger.do(settle(5), on: id)) == .applied(5))
    }

    @Test func `an expired hold never causes a refusal, though the sweep has not come by`() {
        var ledger = Scenario(balance: 10)
        ledger.do(hold(10))
        ledger.pass(.seconds(60))
        #expect(seen(ledger.do(hold(10))) == .applied(10))
    }

    @Test func `a settlement after the expiry charges the difference and is flagged as late`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(2), on: id)
        ledger.pass(.seconds(61))
        let late = ledger.do(settle(5), on: id)
        #expect(seen(late) == .applied(3))
        #expect(late.entry?.kind == .lateCapture)
        #expect(ledger.posted == credits(5))
        #expect(seen(ledger.do(settle(5), on: id)) == .duplicate(3))
        #expect(seen(ledger.do(settle(6), on: id)) == .conflict)
        #expect(ledger.posted == credits(5))
    }

    @Test func `a late settlement below what the expiry took gives the difference back`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(4), on: id)
        ledger.pass(.seconds(61))
        #expect(seen(ledger.do(settle(1), on: id)) == .applied(-3))
        #expect(ledger.posted == credits(9))
    }

    @Test func `a late settlement takes what its hold had put aside, below zero if need be, and no more`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(61))
        ledger.do(hold(9))
        let late = ledger.do(settle(8), on: id)
        #expect(seen(late) == .applied(6))
        #expect(late.entry?.overage == credits(2))
        #expect(ledger.posted - ledger.held == credits(-5))
        #expect(ledger.available == .zero)
        ledger.do(.grant(.purchase, amount: credits(7)))
        #expect(ledger.available == credits(2))
    }

    @Test func `void and report after the expiry change nothing`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.do(report(2), on: id)
        ledger.pass(.seconds(61))
        #expect(seen(ledger.do(report(5), on: id)) == .noted)
        #expect(seen(ledger.do(.void, on: id)) == .superseded)
        #expect(ledger.posted == credits(8))
    }

    @Test func `a report to the wrong account is a conflict while the hold runs and too late after`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        let stranger = AccountID.make()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(report(2), on: id, account: stranger)) == .conflict)
        ledger.pass(.seconds(61))
        // What the store loads for the stranger: the hold by its id, and not the account it belongs to.
        let command = Command(id: id, account: stranger, action: report(2))
        let slice = ledger.state.slice(for: [command], now: ledger.now).slice
        #expect(slice.apply([command], now: ledger.now).decisions == [.noted])
    }

    @Test func `the hold again after its expiry answers with the first and holds nothing`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(61))
        #expect(seen(ledger.do(hold(6), on: id)) == .duplicate(6))
        #expect(ledger.held == .zero)
    }

    @Test func `holds expire oldest first`() {
        var ledger = Scenario(balance: 10)
        let (later, sooner) = (ledger.id(), ledger.id())
        ledger.do(hold(5, for: .seconds(20)), on: later)
        ledger.do(hold(5, for: .seconds(10)), on: sooner)
        ledger.pass(.seconds(30))
        ledger.sweep()
        #expect(ledger.journal.suffix(2).map(\.charge) == [sooner, later])
    }

    @Test func `after an outage a hold lives on until its queued report and settlement are heard`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(8), on: id)
        ledger.pass(.seconds(600))
        ledger.expires = false
        ledger.sweep()
        // What is held is still not for others.
        #expect(seen(ledger.do(hold(5))) == .refused(.insufficientFunds))
        ledger.do(report(7), on: id)
        #expect(seen(ledger.do(settle(8), on: id)) == .applied(8))
        ledger.expires = true
        ledger.sweep()
        #expect(ledger.posted == credits(2))
        #expect(ledger.journal.filter { $0.kind == .expire || $0.kind == .lateCapture }.isEmpty)
    }

    @Test func `a hold whose call is not heard of after an outage expires when that is made up for`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(8), on: id)
        ledger.do(report(3), on: id)
        ledger.pass(.seconds(600))
        ledger.expires = false
        ledger.sweep()
        #expect(ledger.held == credits(8))
        ledger.expires = true
        ledger.sweep()
        #expect(ledger.held == .zero)
        #expect(ledger.posted == credits(7))
    }
}
