import Contracts
import Testing

@testable import Ledger

struct HoldRulesTests {
    @Test func `a hold puts credits aside and leaves them posted`() {
        var ledger = Scenario(balance: 10)
        #expect(seen(ledger.do(hold(4))) == .applied(4))
        #expect(ledger.posted == credits(10))
        #expect(ledger.held == credits(4))
        #expect(ledger.available == credits(6))
    }

    @Test func `held credits cannot be held twice`() {
        var ledger = Scenario(balance: 10)
        #expect(seen(ledger.do(hold(6))) == .applied(6))
        #expect(seen(ledger.do(hold(6))) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(hold(4))) == .applied(4))
        #expect(ledger.available == .zero)
    }

    @Test func `the exact balance is enough and one nano-credit more is not`() {
        var ledger = Scenario(balance: 10)
        let one = Credits(nano: 1)
        let tooMuch = credits(10) + one
        #expect(seen(ledger.do(.hold(amount: tooMuch, leastUseful: tooMuch, timeToLive: .seconds(1)))) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(hold(10))) == .applied(10))
    }

    @Test(arguments: [(10, 1, Seen.applied(3)), (10, 3, .applied(3)), (10, 4, .refused(.insufficientFunds)), (2, 1, .applied(2))])
    func `of 3 credits a hold gets what there is, down to the least useful`(amount: Int64, least: Int64, expected: Seen) {
        var ledger = Scenario(balance: 3)
        #expect(seen(ledger.do(hold(amount, least: least))) == expected)
    }

    @Test func `a refusal is final even when credits arrive later`() {
        var ledger = Scenario(balance: 3)
        let id = ledger.id()
        #expect(seen(ledger.do(hold(5), on: id)) == .refused(.insufficientFunds))
        ledger.do(.grant(.purchase, amount: credits(100)))
        #expect(seen(ledger.do(hold(5), on: id)) == .duplicate(0))
        #expect(ledger.held == .zero)
    }

    @Test func `the same hold again answers with the first`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        #expect(seen(ledger.do(hold(20, least: 1), on: id)) == .applied(10))
        ledger.do(.grant(.bonus, amount: credits(100)))
        #expect(seen(ledger.do(hold(20, least: 1), on: id)) == .duplicate(10))
        #expect(ledger.held == credits(10))
    }

    @Test func `the same id with another amount or another account is a conflict and changes nothing`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(4), on: id)
        let before = ledger.state
        #expect(seen(ledger.do(hold(5), on: id)) == .conflict)
        #expect(seen(ledger.do(hold(4), on: id, account: .make())) == .conflict)
        #expect(seen(ledger.do(settle(4), on: id, account: .make())) == .conflict)
        #expect(seen(ledger.do(.void, on: id, account: .make())) == .conflict)
        #expect(seen(ledger.do(report(4), on: id, account: .make())) == .conflict)
        #expect(seen(ledger.do(.grant(.purchase, amount: credits(4)), on: id)) == .conflict)
        #expect(seen(ledger.do(.charge(amount: credits(4)), on: id)) == .conflict)
        #expect(ledger.state == before)
    }

    @Test func `a hold may wait for what running calls will free, and is decided when it asks again`() {
        var ledger = Scenario(balance: 10)
        let (running, waiting) = (ledger.id(), ledger.id())
        ledger.do(hold(8), on: running)
        let before = ledger.state
        #expect(seen(ledger.do(hold(5, awaitsFunds: true), on: waiting)) == .awaiting(2))
        #expect(ledger.state == before)
        ledger.do(settle(3), on: running)
        #expect(seen(ledger.do(hold(5, awaitsFunds: true), on: waiting)) == .applied(5))
    }

    @Test func `waiting is no use when the credits are not there at all`() {
        var ledger = Scenario(balance: 10)
        ledger.do(hold(8))
        #expect(seen(ledger.do(hold(11, awaitsFunds: true))) == .refused(.insufficientFunds))
    }

    @Test func `a hold that waited in vain is refused for good when it no longer asks to wait`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(8))
        #expect(seen(ledger.do(hold(5, awaitsFunds: true), on: id)) == .awaiting(2))
        #expect(seen(ledger.do(hold(5), on: id)) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(hold(5, awaitsFunds: true), on: id)) == .duplicate(0))
    }

    @Test func `an account nobody has heard of can hold nothing`() {
        var ledger = Scenario(balance: 10)
        let stranger = AccountID.make()
        #expect(seen(ledger.do(hold(1), account: stranger)) == .refused(.accountNotFound))
        #expect(ledger.state.accounts[stranger] == nil)
    }

    @Test func `an overdraft can be held as well, and not a nano-credit beyond it`() {
        var ledger = Scenario(balance: 10)
        ledger.state.accounts[ledger.account]?.overdraft = credits(5)
        #expect(seen(ledger.do(hold(16))) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(hold(15))) == .applied(15))
        #expect(ledger.available == .zero)
    }

    @Test(
        arguments: [
            (hold(0), Decision.Flaw.amountNotPositive), (hold(-1), .amountNotPositive), (hold(1_000_000_001), .amountTooLarge),
            (hold(2, least: 0), .leastUsefulOutOfRange), (hold(2, least: 3), .leastUsefulOutOfRange),
            (hold(1, for: .zero), .timeToLiveNotPositive), (settle(-1), .amountNegative), (settle(1_000_000_001), .amountTooLarge),
            (report(-1), .amountNegative), (.charge(amount: .zero), .amountNotPositive),
            (.grant(.purchase, amount: credits(-5)), .amountNotPositive), (.grant(.adjustment, amount: .zero), .amountNotPositive),
            (.grant(.topup, amount: Credits(nano: .max)), .amountTooLarge),
            (.grant(.adjustment, amount: Credits(nano: .min)), .amountTooLarge),
        ] as [(Command.Action, Decision.Flaw)])
    func `bad content is refused by name and leaves no trace`(action: Command.Action, flaw: Decision.Flaw) {
        var ledger = Scenario(balance: 10)
        let before = ledger.state
        #expect(seen(ledger.do(action)) == .invalid(flaw))
        #expect(ledger.state == before)
    }

    @Test func `an id from before the journal or from the future is refused`() {
        var ledger = Scenario(balance: 10)
        let old = ledger.id()
        ledger.pass(.seconds(3_600))
        ledger.limits.journalStart = ledger.now
        #expect(seen(ledger.do(hold(1), on: old)) == .invalid(.idOutOfRange))
        ledger.pass(.seconds(301))
        let future = ledger.id()
        ledger.pass(.seconds(-301))
        #expect(seen(ledger.do(hold(1), on: future)) == .invalid(.idOutOfRange))
    }

    @Test func `a longer time to live than allowed is cut`() {
        var ledger = Scenario(balance: 10)
        ledger.limits.timeToLiveMax = .seconds(10)
        ledger.do(hold(4, for: .seconds(1_000)))
        ledger.pass(.seconds(10))
        ledger.sweep()
        #expect(ledger.held == .zero)
    }
}
