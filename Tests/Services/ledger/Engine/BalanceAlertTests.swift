import Contracts
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

struct BalanceAlertTests {
    private func scenario(balance: Int64, level: Int64?) -> Scenario {
        var ledger = Scenario(balance: balance)
        ledger.set { $0.lowBalanceLevel = level.map(credits) }
        return ledger
    }

    @Test func `the alert level is that of the owner, else that of the service, else zero, and an account without a grant has none`() {
        var account = Account(id: .make())
        #expect(account.alertLevel(default: credits(1)) == nil)
        account.seq = 1
        #expect(account.alertLevel(default: nil) == .zero)
        #expect(account.alertLevel(default: credits(1)) == credits(1))
        account.lowBalanceLevel = credits(5)
        #expect(account.alertLevel(default: credits(1)) == credits(5))
    }

    @Test func `low is sent once when the balance falls below the level, and not at the level`() {
        var ledger = scenario(balance: 10, level: 5)
        ledger.do(charge(5))
        #expect(ledger.alerts == [])
        ledger.do(charge(1))
        #expect(ledger.alerts == [ledger.alert(.low(level: credits(5)), 4)])
        ledger.do(charge(1))
        #expect(ledger.alerts.count == 1)
    }

    @Test func `low is sent again only after the balance was at the level again`() {
        var ledger = scenario(balance: 10, level: 5)
        ledger.do(charge(7))
        ledger.do(grant(.purchase, 1))
        ledger.do(charge(2))
        #expect(ledger.alerts.map(\.balance) == [credits(3)])
        ledger.do(grant(.purchase, 3))
        ledger.do(charge(1))
        #expect(ledger.alerts.map(\.balance) == [3, 4].map(credits))
    }

    @Test func `a hold sends no alert, because only usage counts`() {
        var ledger = scenario(balance: 10, level: 5)
        let id = ledger.id()
        ledger.do(hold(10), on: id)
        ledger.do(.void, on: id)
        #expect(ledger.alerts == [])
    }

    @Test func `exhausted is sent once when no credits are left, without low if one charge took all`() {
        var ledger = scenario(balance: 10, level: 5)
        ledger.do(charge(10))
        #expect(ledger.alerts == [ledger.alert(.exhausted, 0)])
        #expect(seen(ledger.do(charge(1))) == .refused(.insufficientFunds))
        #expect(ledger.alerts.count == 1)
    }

    @Test func `low and exhausted are sent again after credits came in`() {
        var ledger = scenario(balance: 10, level: 5)
        for _ in 0..<2 {
            ledger.do(charge(7))
            ledger.do(charge(3))
            ledger.do(grant(.purchase, 10))
        }
        #expect(ledger.alerts.map(\.balance) == [3, 0, 3, 0].map(credits))
    }

    @Test func `exhausted is sent again after a top-up below the level, and low is not`() {
        var ledger = scenario(balance: 10, level: 5)
        ledger.do(charge(10))
        ledger.do(grant(.purchase, 3))
        ledger.do(charge(1))
        #expect(ledger.alerts.count == 1)
        ledger.do(charge(2))
        #expect(ledger.alerts.map(\.what) == [.exhausted, .exhausted])
    }

    @Test func `an account that is low is exhausted by a call that it could not pay with no other call running`() {
        var ledger = scenario(balance: 10, level: 12)
        ledger.do(charge(1))
        #expect(ledger.alerts == [])
        ledger.do(hold(8))
        ledger.do(hold(5))
        #expect(ledger.alerts == [])
        ledger.do(hold(11))
        #expect(ledger.alerts == [ledger.alert(.exhausted, 9)])
        ledger.do(charge(12))
        ledger.do(hold(11))
        #expect(ledger.alerts.count == 1)
        ledger.do(grant(.bonus, 1))
        ledger.do(charge(12))
        #expect(ledger.alerts.count == 2)
    }

    @Test func `a refused expensive call does not exhaust an account with many credits`() {
        var ledger = scenario(balance: 100, level: 5)
        ledger.do(hold(115))
        ledger.do(charge(115))
        #expect(ledger.alerts == [])
        ledger.do(charge(96))
        #expect(ledger.alerts == [ledger.alert(.low(level: credits(5)), 4)])
    }

    @Test func `a refusal for a limit sends no alert`() {
        var ledger = scenario(balance: 10, level: 5)
        ledger.set { $0.limits.daily = credits(1) }
        ledger.do(hold(2))
        ledger.do(charge(2))
        #expect(ledger.alerts == [])
    }

    @Test func `a level set above the balance is no crossing, and neither is a grant that stays below it`() {
        var ledger = scenario(balance: 10, level: 5)
        ledger.set { $0.lowBalanceLevel = credits(20) }
        ledger.do(charge(1))
        ledger.do(grant(.bonus, 2))
        ledger.do(charge(1))
        #expect(ledger.alerts == [])
        ledger.do(grant(.bonus, 10))
        ledger.do(charge(1))
        #expect(ledger.alerts == [ledger.alert(.low(level: credits(20)), 19)])
    }

    @Test func `a level lowered below the balance can be crossed again`() {
        var ledger = scenario(balance: 10, level: 9)
        ledger.do(charge(2))
        ledger.set { $0.lowBalanceLevel = credits(5) }
        ledger.do(charge(2))
        #expect(ledger.alerts.count == 1)
        ledger.do(charge(2))
        #expect(ledger.alerts.last == ledger.alert(.low(level: credits(5)), 4))
        #expect(ledger.alerts.count == 2)
    }

    @Test func `an account without a level has the service's, and with neither only exhausted is sent`() {
        var ledger = scenario(balance: 10, level: nil)
        ledger.do(charge(9))
        #expect(ledger.alerts == [])
        ledger.limits.lowBalanceLevel = credits(2)
        ledger.do(charge(1))
        #expect(ledger.alerts.map(\.what) == [.exhausted])

        var other = scenario(balance: 10, level: nil)
        other.limits.lowBalanceLevel = credits(2)
        other.do(charge(9))
        #expect(other.alerts.map(\.what) == [.low(level: credits(2))])
    }

    @Test func `a lot's expiry, a clawback, an expired hold and a negative adjustment send alerts like charges`() {
        for change in 0..<4 {
            var ledger = scenario(balance: 10, level: 5)
            let (id, call) = (ledger.id(), ledger.id())
            ledger.do(.grant(.adjustment, amount: credits(-8)))
            ledger.do(grant(.planGrant, 8, until: ledger.now + .seconds(60)), on: id)
            ledger.alerts = []
            switch change {
            case 0: ledger.pass(.seconds(60))
            case 1: ledger.do(reverse(id, 8, version: 1))
            case 2:
                ledger.do(hold(8, for: .seconds(10)), on: call)
                ledger.do(.report(usedSoFar: credits(8), timeToLive: .seconds(1)), on: call)
                ledger.pass(.seconds(11))
                ledger.sweep()
                ledger.pass(ledger.limits.expiryGrace)
            default: ledger.do(.grant(.adjustment, amount: credits(-8)))
            }
            ledger.sweep()
            #expect(ledger.alerts == [ledger.alert(.low(level: credits(5)), 2)], "change \(change)")
        }
    }

    @Test func `each crossing inside one batch is sent, in order`() {
        var ledger = scenario(balance: 10, level: 5)
        let actions = [charge(6), charge(4), grant(.purchase, 10), charge(6)]
        ledger.apply(actions.map { Command(id: ledger.id(), account: ledger.account, action: $0) })
        #expect(ledger.alerts.map(\.balance) == [4, 0, 4].map(credits))
    }
}

extension Scenario {
    fileprivate func alert(_ what: BalanceAlert.What, _ balance: Int64) -> BalanceAlert {
        BalanceAlert(account: account, what: what, balance: credits(balance), at: now)
    }
}
