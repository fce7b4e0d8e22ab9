import Contracts
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

struct SpendingTests {
    private let key = APIKeyID(rawValue: "key-1")
    private let oneNano = Credits(nano: 1)

    private func hold(_ amount: Int64, least: Int64? = nil, daily: Int64? = nil, monthly: Int64? = nil) -> Command.Action {
        .hold(
            amounts(amount, least: least), timeToLive: .seconds(60),
            keyLimits: SpendingLimits(daily: daily.map(credits), monthly: monthly.map(credits)))
    }

    private func exactly(_ amount: Credits) -> Command.Action {
        .hold(HoldAmounts(most: amount, usual: amount, least: amount), timeToLive: .seconds(60))
    }

    @Test func `exactly a daily limit can be spent and not a nano-credit more`() {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits.daily = credits(10) }
        let tooMuch = credits(10) + oneNano
        let refused = ledger.do(exactly(tooMuch))
        #expect(seen(refused) == .refused(.accountDailyLimit))
        guard case .refused(.limit(let limit, _)) = refused else { return }
        #expect(limit == .init(scope: .account, period: .day, resetsAt: .startOf(day: ledger.now.day + 1)))
        #expect(seen(ledger.do(hold(10))) == .applied(10))
        #expect(seen(ledger.do(exactly(oneNano))) == .awaiting(0))
    }

    @Test func `a repeated hold or extension says what is spendable now, within the limits of account and key`() throws {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits.daily = credits(20) }
        let id = ledger.id()
        ledger.do(hold(4, daily: 10), on: id, key: key)
        ledger.do(hold(2))
        #expect(ledger.do(hold(4, daily: 10), on: id, key: key).spendableAgain == credits(6))
        ledger.do(extend(by: 1), on: id)
        #expect(ledger.do(extend(by: 1), on: id).spendableAgain == credits(5))
    }

    @Test func `open holds count as spent, and released credits are available to others`() {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits.daily = credits(10) }
        let id = ledger.id()
        ledger.do(hold(6), on: id)
        #expect(seen(ledger.do(hold(5))) == .awaiting(4))
        ledger.do(settle(2), on: id)
        #expect(seen(ledger.do(hold(8))) == .applied(8))
    }

    @Test func `a hold is clamped to what the limit leaves, down to the least`() {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits.monthly = credits(10) }
        ledger.do(charge(7))
        #expect(seen(ledger.do(hold(9, least: 4))) == .refused(.accountMonthlyLimit))
        #expect(seen(ledger.do(hold(9, least: 3))) == .applied(3))
    }

    @Test func `a daily limit resets at midnight UTC and a monthly one with the month`() {
        var ledger = Scenario(balance: 100)
        ledger.now = .startOf(month: ledger.now.month + 1) + .seconds(-2 * 86_400 - 1)
        ledger.set { $0.limits = SpendingLimits(daily: credits(10), monthly: credits(15)) }
        ledger.do(charge(10))
        #expect(seen(ledger.do(charge(1))) == .refused(.accountDailyLimit))
        ledger.pass(.seconds(1))
        #expect(seen(ledger.do(charge(5))) == .applied(5))
        let refused = ledger.do(charge(1))
        #expect(seen(refused) == .refused(.accountMonthlyLimit))
        ledger.pass(.seconds(2 * 86_400) - .microseconds(1))
        #expect(seen(ledger.do(charge(1))) == .refused(.accountMonthlyLimit))
        ledger.pass(.microseconds(1))
        #expect(seen(ledger.do(charge(10))) == .applied(10))
    }

    @Test func `a call counts in the day in which it is settled`() {
        var ledger = Scenario(balance: 100)
        ledger.now = .startOf(day: ledger.now.day + 1) + .seconds(-10)
        ledger.set { $0.limits.daily = credits(10) }
        let id = ledger.id()
        ledger.do(hold(8), on: id)
        ledger.pass(.seconds(20))
        // Held over midnight, it takes up the new day's room.
        #expect(seen(ledger.do(hold(3))) == .awaiting(2))
        ledger.do(settle(8), on: id)
        #expect(seen(ledger.do(hold(3))) == .refused(.accountDailyLimit))
        #expect(seen(ledger.do(hold(2))) == .applied(2))
    }

    @Test func `a settlement is never refused for a limit`() {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits.daily = credits(10) }
        let id = ledger.id()
        ledger.do(hold(10), on: id)
        #expect(seen(ledger.do(settle(14), on: id)) == .applied(14))
        #expect(seen(ledger.do(hold(1))) == .refused(.accountDailyLimit))
    }

    @Test func `the tightest limit is named`() {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits = SpendingLimits(daily: credits(9), monthly: credits(8)) }
        #expect(seen(ledger.do(hold(10, daily: 7, monthly: 6), key: key)) == .refused(.keyMonthlyLimit))
        #expect(seen(ledger.do(hold(10, daily: 6, monthly: 7), key: key)) == .refused(.keyDailyLimit))
        #expect(seen(ledger.do(hold(10, monthly: 20), key: key)) == .refused(.accountMonthlyLimit))
    }

    @Test func `a call that the balance cannot pay is refused for credits, not for the limit`() {
        var ledger = Scenario(balance: 5)
        ledger.set { $0.limits.daily = credits(3) }
        #expect(seen(ledger.do(hold(6))) == .refused(.insufficientFunds))
        #expect(seen(ledger.do(hold(5))) == .refused(.accountDailyLimit))
    }

    @Test func `a hold waits for the part of a limit that running calls hold`() {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits.daily = credits(10) }
        let (running, waiting) = (ledger.id(), ledger.id())
        ledger.do(hold(8), on: running)
        #expect(seen(ledger.do(hold(5), on: waiting)) == .awaiting(2))
        ledger.do(settle(5), on: running)
        #expect(seen(ledger.do(hold(5), on: waiting)) == .applied(5))
        // Spent credits count until the next day.
        #expect(seen(ledger.do(hold(6))) == .refused(.accountDailyLimit))
    }

    @Test func `a hold does not wait for one limit when another leaves nothing even with no call running`() {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits.daily = credits(10) }
        ledger.do(hold(9))
        // The account's limit leaves one credit next to the nine that are held. The key's limit
        // leaves two, and the key holds nothing.
        let refused = ledger.do(hold(3, daily: 2), key: key)
        #expect(seen(refused) == .refused(.keyDailyLimit))
        #expect(seen(ledger.do(hold(3, daily: 3), key: key)) == .awaiting(1))
    }

    @Test func `a key's limit binds its own calls and no others`() {
        var ledger = Scenario(balance: 100)
        #expect(seen(ledger.do(hold(5, daily: 5), key: key)) == .applied(5))
        #expect(seen(ledger.do(hold(1, daily: 5), key: key)) == .awaiting(0))
        #expect(seen(ledger.do(hold(5, daily: 5), key: APIKeyID(rawValue: "key-2"))) == .applied(5))
        #expect(seen(ledger.do(hold(50))) == .applied(50))
    }

    @Test func `a raised limit counts from the next hold on, and a removed one no longer`() {
        var ledger = Scenario(balance: 100)
        ledger.do(hold(5, daily: 5), key: key)
        #expect(seen(ledger.do(hold(3, daily: 8), key: key)) == .applied(3))
        #expect(seen(ledger.do(hold(1, daily: 8), key: key)) == .awaiting(0))
        #expect(seen(ledger.do(hold(20), key: key)) == .applied(20))
        #expect(ledger.state.keys.values.first?.held == credits(28))
    }

    @Test func `a key is counted from its first hold under limits, with all that is settled from then on`() {
        var ledger = Scenario(balance: 100)
        let before = ledger.id()
        ledger.do(hold(4), on: before, key: key)
        #expect(ledger.state.keys.isEmpty)
        ledger.do(hold(2, daily: 10), key: key)
        ledger.do(settle(4), on: before, key: key)
        // It came without a hold, and it still counts for the key.
        ledger.do(settle(3), key: key)
        let counted = ledger.state.keys.values.first
        #expect(counted?.held == credits(2))
        #expect(counted?.spending.day == credits(7))
        #expect(seen(ledger.do(hold(2, daily: 10), key: key)) == .awaiting(1))
        #expect(seen(ledger.do(hold(1, daily: 10), key: key)) == .applied(1))
    }

    @Test func `a void, an expiry and a late settlement change the key's sums like the account's`() {
        var ledger = Scenario(balance: 100)
        let (voided, expired) = (ledger.id(), ledger.id())
        ledger.do(hold(4, daily: 50), on: voided, key: key)
        ledger.do(hold(6, daily: 50), on: expired, key: key)
        ledger.do(report(3), on: expired)
        ledger.do(.void, on: voided)
        #expect(ledger.state.keys.values.first?.held == credits(6))
        ledger.pass(.seconds(61))
        ledger.expire()
        #expect(ledger.state.keys.values.first?.held == .zero)
        #expect(ledger.state.keys.values.first?.spending.day == credits(3))
        ledger.do(settle(5), on: expired, key: key)
        #expect(ledger.state.keys.values.first?.spending.day == credits(5))
        #expect(ledger.state.accounts[ledger.account]?.spending.day == credits(5))
    }

    @Test func `returned credits raise no limit of a day in which they were not charged`() {
        var ledger = Scenario(balance: 100)
        ledger.now = .startOf(day: ledger.now.day + 1) + .seconds(-120)
        let id = ledger.id()
        ledger.do(hold(8, daily: 10), on: id, key: key)
        ledger.do(report(8), on: id)
        ledger.set { $0.limits = SpendingLimits(daily: credits(11), monthly: credits(12)) }
        ledger.pass(.seconds(61))
        ledger.expire()
        ledger.pass(.seconds(60))
        #expect(seen(ledger.do(settle(2), on: id, key: key)) == .applied(-6))
        #expect(seen(ledger.do(hold(11, daily: 10), key: key)) == .refused(.accountMonthlyLimit))
        ledger.set { $0.limits.monthly = nil }
        #expect(seen(ledger.do(hold(12, daily: 20), key: key)) == .refused(.accountDailyLimit))
        ledger.set { $0.limits.daily = nil }
        #expect(seen(ledger.do(hold(11, daily: 10), key: key)) == .refused(.keyDailyLimit))
        #expect(seen(ledger.do(hold(10, daily: 10), key: key)) == .applied(10))
    }

    @Test func `credits charged before a key was counted are not returned to it`() {
        var ledger = Scenario(balance: 100)
        let id = ledger.id()
        ledger.do(hold(8), on: id, key: key)
        ledger.do(report(8), on: id)
        ledger.pass(.seconds(61))
        ledger.expire()
        ledger.do(hold(1, daily: 10), key: key)
        ledger.do(settle(2), on: id, key: key)
        #expect(ledger.state.keys.values.first?.spending.day == .zero)
    }

    @Test func `a limit of zero refuses every call`() {
        var ledger = Scenario(balance: 100)
        ledger.set { $0.limits.daily = .zero }
        #expect(seen(ledger.do(exactly(oneNano))) == .refused(.accountDailyLimit))
    }

    @Test func `the largest limits and sums stay within 64 bits`() {
        var ledger = Scenario(balance: 1_000_000_000)
        let most = SpendingLimits(daily: Credits(nano: .max), monthly: Credits(nano: .max))
        ledger.set { $0.limits = most }
        for _ in 0..<20 {
            let id = ledger.id()
            ledger.do(
                .hold(amounts(1_000_000_000, least: 1), timeToLive: .seconds(60), keyLimits: most), on: id, key: key)
            ledger.do(settle(1_000_000_000), on: id, key: key)
            ledger.do(grant(1_000_000_000))
        }
        #expect(ledger.state.accounts[ledger.account]?.spending.month == .countedMax)
        #expect(seen(ledger.do(hold(1))) == .refused(.accountDailyLimit))
    }

    private func grant(_ amount: Int64) -> Command.Action { .grant(.topup, amount: credits(amount)) }
}

extension Decision {
    fileprivate var spendableAgain: Credits? { if case .duplicate(_, let left) = self { left.spendable } else { nil } }
}
