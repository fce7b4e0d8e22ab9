import Contracts
import Testing
import Values

@testable import Ledger

struct HoldRulesTests {
    @Test func `a hold reserves credits and does not charge them`() {
        var ledger = Scenario(balance: 10)
        #expect(seen(ledger.do(hold(4))) == .applied(4))
        #expect(ledger.posted == credits(10))
        #expect(ledger.held == credits(4))
        #expect(ledger.available == credits(6))
    }

    @Test func `held credits cannot be held twice`() {
        var ledger = Scenario(balance: 10)
        #expect(seen(ledger.do(hold(6))) == .applied(6))
        #expect(seen(ledger.do(hold(6))) == .awaiting(4))
        #expect(seen(ledger.do(hold(4))) == .applied(4))
        #expect(ledger.available == .zero)
    }

    @Test func `the exact balance is enough and one nano-credit more is not`() {
        var ledger = Scenario(balance: 10)
        let one = Credits(nano: 1)
        let tooMuch = credits(10) + one
        #expect(
            seen(ledger.do(.hold(HoldAmounts(most: tooMuch, usual: tooMuch, least: tooMuch), timeToLive: .seconds(1))))
                == .refused(.insufficientFunds))
        #expect(seen(ledger.do(hold(10))) == .applied(10))
    }

    @Test(arguments: [(10, 1, Seen.applied(3)), (10, 3, .applied(3)), (10, 4, .refused(.insufficientFunds)), (2, 1, .applied(2))])
    func `a hold gets the available credits, down to the least`(amount: Int64, least: Int64, expected: Seen) {
        var ledger = Scenario(balance: 3)
        #expect(seen(ledger.do(hold(amount, least: least))) == expected)
    }

    @Test func `a refused hold leaves no row`() {
        var ledger = Scenario(balance: 3)
        let before = ledger.state
        #expect(seen(ledger.do(hold(5))) == .refused(.insufficientFunds))
        #expect(ledger.state.entries == before.entries)
        #expect(ledger.journal.count == 1)
    }

    @Test func `a redelivered hold is answered from its row or not decided`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        var again = Command(id: id, account: ledger.account, action: hold(4))
        again.isRedelivered = true
        #expect(ledger.apply([again]).map(seen) == [.undecided])
        #expect(ledger.held == .zero)
        ledger.do(hold(4), on: id)
        #expect(ledger.apply([again]).map(seen) == [.duplicate(4)])
    }

    @Test func `a repeated hold gets the first answer`() {
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

    // MARK: Waiting and sharing (SPEC §2)

    @Test func `a hold waits for credits that other holds keep, and is decided when it asks again`() {
        var ledger = Scenario(balance: 10)
        let (running, waiting) = (ledger.id(), ledger.id())
        ledger.do(hold(8), on: running)
        let before = ledger.state
        #expect(seen(ledger.do(hold(5), on: waiting)) == .awaiting(2))
        // The last question waits too: credits that other calls hold are no reason for a 402.
        #expect(seen(ledger.do(hold(5, isLast: true), on: waiting)) == .awaiting(2))
        #expect(ledger.state == before)
        ledger.do(settle(3), on: running)
        #expect(seen(ledger.do(hold(5), on: waiting)) == .applied(5))
    }

    @Test func `a hold is refused exactly if the least could not be paid with no other hold`() {
        var ledger = Scenario(balance: 10)
        ledger.do(hold(8))
        #expect(seen(ledger.do(hold(20, least: 11))) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(hold(20, least: 10))) == .awaiting(2))
    }

    @Test func `a hold needs the usual amount while other holds keep the rest, and its last question takes less`() {
        var ledger = Scenario(balance: 10)
        let (running, id) = (ledger.id(), ledger.id())
        ledger.do(hold(8), on: running)
        #expect(seen(ledger.do(hold(9, usual: 4, least: 1), on: id)) == .awaiting(2))
        #expect(seen(ledger.do(hold(9, usual: 4, least: 1, isLast: true), on: id)) == .applied(2))
    }

    @Test func `a hold without other holds takes the least at once`() {
        var ledger = Scenario(balance: 2)
        #expect(seen(ledger.do(hold(9, usual: 4, least: 1))) == .applied(2))
    }

    @Test func `a hold does not need more than would be available with nothing held`() {
        var ledger = Scenario(balance: 3)
        let other = ledger.id()
        ledger.do(hold(1), on: other)
        #expect(seen(ledger.do(hold(9, usual: 5, least: 1))) == .awaiting(2))
        var limited = Scenario(balance: 100)
        limited.set { $0.limits.daily = credits(3) }
        limited.do(hold(1))
        #expect(seen(limited.do(hold(9, usual: 5, least: 1))) == .awaiting(2))
        #expect(seen(limited.do(hold(9, usual: 5, least: 1, isLast: true))) == .applied(2))
    }

    @Test(
        arguments: [
            (100, 0, 1_000, 1, 25), (100, 20, 1_000, 1, 5), (100, 0, 10, 1, 10), (100, 0, 1_000, 40, 40), (100, 20, 1_000, 40, 40),
            (30, 0, 1_000, 40, 30),
        ] as [(Int64, Int64, Int64, Int64, Int64)])
    func `a hold without a client's limit takes a share, at least the usual amount or all that is available`(
        balance: Int64, held: Int64, most: Int64, usual: Int64, expected: Int64
    ) {
        var ledger = Scenario(balance: balance)
        if held > 0 { ledger.do(hold(held)) }
        #expect(seen(ledger.do(hold(most, usual: usual, least: 1, share: true))) == .applied(expected))
    }

    @Test func `a share is a part of what credits and every limit leave`() {
        var ledger = Scenario(balance: 1_000)
        ledger.set { $0.limits.daily = credits(8) }
        #expect(seen(ledger.do(hold(500, usual: 1, least: 1, share: true))) == .applied(2))
        let key = APIKeyID(rawValue: "key-1")
        let limits = SpendingLimits(monthly: credits(4))
        #expect(seen(ledger.do(hold(500, usual: 1, least: 1, share: true, keyLimits: limits), key: key)) == .applied(1))
    }

    @Test func `forty calls without a limit share ten credits, and each gets at least the usual while there is enough`() {
        var ledger = Scenario(balance: 1_000)
        var granted: [Int64] = []
        for _ in 0..<40 {
            if case .applied(let amount) = seen(ledger.do(hold(754, usual: 24, least: 2, share: true))) { granted.append(amount) }
        }
        #expect(granted.first == 250)
        #expect(granted.count >= 27)
        #expect(granted.allSatisfy { $0 >= 24 })
    }

    @Test func `an unknown account can hold nothing`() {
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
            (hold(2, least: 0), .amountsOutOfOrder), (hold(2, least: 3), .amountsOutOfOrder),
            (hold(2, usual: 3, least: 1), .amountsOutOfOrder), (hold(3, usual: 1, least: 2), .amountsOutOfOrder),
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
        ledger.expire()
        #expect(ledger.held == .zero)
    }
}
