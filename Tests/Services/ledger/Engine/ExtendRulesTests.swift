import Contracts
import Testing
import Values

@testable import Ledger

struct ExtendRulesTests {
    @Test func `an extension adds to the hold, and settling releases the rest of both`() {
        var ledger = Scenario(balance: 20)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(extend(1, by: 5), on: id)) == .applied(5))
        #expect(seen(ledger.do(extend(2, by: 4), on: id)) == .applied(4))
        #expect(ledger.held == credits(15))
        #expect(seen(ledger.do(settle(12), on: id)) == .applied(12))
        #expect(ledger.held == .zero)
        #expect(ledger.posted == credits(8))
    }

    @Test func `an extension gets the available credits, down to the least`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(7), on: id)
        #expect(seen(ledger.do(extend(1, by: 9, least: 4), on: id)) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(extend(2, by: 9, least: 3), on: id)) == .applied(3))
        #expect(ledger.held == credits(10))
    }

    @Test func `an extension waits for credits of other holds, like a hold`() {
        var ledger = Scenario(balance: 10)
        let (id, other) = (ledger.id(), ledger.id())
        ledger.do(hold(3), on: id)
        ledger.do(hold(5), on: other)
        let before = ledger.state
        #expect(seen(ledger.do(extend(1, by: 6, usual: 4, least: 1), on: id)) == .awaiting(2))
        #expect(ledger.state == before)
        // The hold itself stays reserved, so seven credits would be available with no other hold
        // open.
        #expect(seen(ledger.do(extend(1, by: 9, least: 8), on: id)) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(extend(1, by: 6, usual: 4, least: 1, isLast: true), on: id)) == .applied(2))
        ledger.do(.void, on: other)
        #expect(seen(ledger.do(extend(2, by: 6, usual: 6, least: 1), on: id)) == .applied(5))
    }

    @Test func `a redelivered extension is answered from its row or not decided`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(3), on: id)
        var again = Command(id: id, account: ledger.account, action: extend(1, by: 2))
        again.isRedelivered = true
        #expect(ledger.apply([again]).map(seen) == [.undecided])
        ledger.do(extend(1, by: 2), on: id)
        #expect(ledger.apply([again]).map(seen) == [.duplicate(2)])
        #expect(ledger.held == credits(5))
    }

    @Test func `a refused extension leaves the hold unchanged, writes no row, and still reports`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(10), on: id)
        ledger.pass(.seconds(59))
        #expect(seen(ledger.do(extend(1, by: 1, used: 8), on: id)) == .refused(.insufficientFunds))
        #expect(!ledger.journal.contains { $0.kind == .extend })
        ledger.pass(.seconds(59))
        ledger.sweep()
        #expect(ledger.state.holds[id]?.isOverdue == false)
        ledger.pass(.seconds(1))
        ledger.expire()
        #expect(ledger.posted == credits(2))
    }

    @Test func `a repeated step gets the first answer, other content is a conflict, and steps come in any order`() {
        var ledger = Scenario(balance: 20)
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(extend(7, by: 5), on: id)) == .applied(5))
        #expect(seen(ledger.do(extend(7, by: 5, used: 3), on: id)) == .duplicate(5))
        #expect(seen(ledger.do(extend(7, by: 4), on: id)) == .conflict)
        #expect(seen(ledger.do(extend(2, by: 4), on: id)) == .applied(4))
        #expect(ledger.held == credits(15))
    }

    @Test func `a charge has no hold to extend before its hold, after a refused one, or after its end`() {
        var ledger = Scenario(balance: 10)
        let (early, refused, ended) = (ledger.id(), ledger.id(), ledger.id())
        #expect(seen(ledger.do(extend(1, by: 1), on: early)) == .refused(.notHeld))
        ledger.do(hold(4), on: early)
        #expect(seen(ledger.do(extend(2, by: 1), on: early)) == .applied(1))
        ledger.do(hold(50), on: refused)
        #expect(seen(ledger.do(extend(1, by: 1), on: refused)) == .refused(.notHeld))
        ledger.do(hold(2), on: ended)
        ledger.do(settle(1), on: ended)
        #expect(seen(ledger.do(extend(1, by: 1), on: ended)) == .refused(.alreadyResolved))
    }

    @Test func `an extension prolongs the hold and raises the charge of an expiry`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(4), on: id)
        ledger.pass(.seconds(50))
        ledger.do(extend(1, by: 2, used: 3), on: id)
        ledger.pass(.seconds(50))
        ledger.sweep()
        #expect(ledger.held == credits(6))
        ledger.pass(.seconds(10))
        ledger.expire()
        #expect(ledger.posted == credits(7))
        #expect(ledger.journal.last?.heldDelta == credits(-6))
    }

    @Test func `an overdue hold can be extended until it has ended`() {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(4), on: id)
        ledger.pass(.seconds(600))
        ledger.sweep()
        #expect(seen(ledger.do(extend(1, by: 2), on: id)) == .applied(2))
        ledger.pass(.seconds(600))
        ledger.expire()
        #expect(ledger.held == .zero)
        #expect(seen(ledger.do(extend(2, by: 2), on: id)) == .refused(.alreadyResolved))
    }

    @Test func `an extension under another account is a conflict in every state of the hold`() {
        var ledger = Scenario(balance: 10)
        let (id, granted, ended) = (ledger.id(), ledger.id(), ledger.id())
        let stranger = AccountID.make()
        func attempt(_ id: ChargeID) -> Seen {
            // The store loads the hold by its id, without the account that it belongs to.
            let command = Command(id: id, account: stranger, action: extend(1, by: 1))
            return seen(ledger.state.slice(for: [command], now: ledger.now).apply([command], now: ledger.now).decisions[0])
        }
        ledger.do(hold(4), on: id)
        ledger.do(grant(.purchase, 5), on: granted)
        ledger.do(settle(1), on: ended)
        #expect(attempt(id) == .conflict)
        ledger.pass(.seconds(60))
        #expect(attempt(id) == .conflict)
        ledger.expire()
        #expect(attempt(id) == .conflict)
        #expect(attempt(granted) == .conflict)
        #expect(attempt(ended) == .conflict)
        #expect(seen(ledger.do(extend(1, by: 1), on: granted)) == .conflict)
    }

    @Test func `an extension obeys the limits like a hold, with the key's limits of its hold`() {
        var ledger = Scenario(balance: 100)
        let key = APIKeyID(rawValue: "key-1")
        let id = ledger.id()
        let limits = SpendingLimits(daily: credits(10))
        ledger.do(hold(6, keyLimits: limits), on: id, key: key)
        #expect(seen(ledger.do(extend(1, by: 5), on: id)) == .refused(.keyDailyLimit))
        #expect(seen(ledger.do(extend(2, by: 5, least: 1), on: id)) == .applied(4))
        #expect(ledger.state.keys.values.first?.held == credits(10))
        ledger.set { $0.limits.monthly = credits(10) }
        #expect(seen(ledger.do(extend(3, by: 1), on: id)) == .refused(.accountMonthlyLimit))
    }

    @Test func `a hold grows to the largest amount of a command and no further`() {
        var ledger = Scenario(balance: 1_000_000_000)
        ledger.do(grant(.topup, 1_000_000_000))
        let id = ledger.id()
        ledger.do(hold(1_000_000_000), on: id)
        let one = Credits(nano: 1)
        let more = HoldAmounts(most: one, usual: one, least: one)
        #expect(seen(ledger.do(.extend(step: 1, more, used: .zero, timeToLive: .seconds(1)), on: id)) == .refused(.outOfRange))
    }

    @Test(
        arguments: [
            (extend(0, by: 1), Decision.Flaw.stepOutOfRange), (extend(10_000, by: 1), .stepOutOfRange),
            (extend(.max, by: 1), .stepOutOfRange),
            (extend(.min, by: 1), .stepOutOfRange), (extend(by: 0), .amountNotPositive), (extend(by: 2, least: 3), .amountsOutOfOrder),
            (extend(by: 2, least: 0), .amountsOutOfOrder), (extend(by: 1, used: -1), .amountNegative),
            (extend(by: 1, for: .zero), .timeToLiveNotPositive), (extend(by: 1_000_000_001), .amountTooLarge),
        ] as [(Command.Action, Decision.Flaw)])
    func `bad content is refused by name and leaves no trace`(action: Command.Action, flaw: Decision.Flaw) {
        var ledger = Scenario(balance: 10)
        let id = ledger.id()
        ledger.do(hold(4), on: id)
        let before = ledger.state
        #expect(seen(ledger.do(action, on: id)) == .invalid(flaw))
        #expect(ledger.state == before)
    }
}
