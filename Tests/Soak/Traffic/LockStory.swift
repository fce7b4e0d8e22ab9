import Contracts
import Values

/// A hold that becomes overdue while an operator's session has the account's row locked. 10 credits
/// are granted, 8 are held, 7 are used. The settlement is in the queue in time, so it is not late.
/// Deductions of 9 over HTTP must not get the held credits.
struct LockStory: Sendable {
    private let account = AccountID.make()
    private let timeToLive: Duration
    /// The time from the hold's answer to the lock.
    private let lockStarts: Duration
    /// The time from the hold's answer to the settlement.
    private let settleStarts: Duration
    private let lockTime: Duration
    /// False if the call dies. Two expiries then end its hold at the report.
    private let isSettled: Bool
    private let deductions: [(Deduction, ledger: Int, pause: Duration)]
    /// The calls that find the account locked.
    private let others: [(Ask, pause: Duration)]

    init(of customer: inout Customer, lockMax: Duration) {
        var dice = customer.dice.split()
        let (account, longest) = (account, Int(lockMax.wholeMilliseconds))
        timeToLive = dice.milliseconds(1_500...4_000)
        lockStarts = dice.milliseconds(0...1_400)
        settleStarts = dice.milliseconds(100...1_450)
        lockTime = dice.milliseconds(longest / 10...longest)
        isSettled = dice.chance(80)
        let lockTime = lockTime
        deductions = (0..<3).map { number in
            let pause = dice.chance(50) ? dice.milliseconds(0...4_000) : lockTime + dice.milliseconds(0...1_500)
            return (Deduction(key: "\(account)-\(number)", account: account, amount: Credits(whole: 9)), Int(dice.next() % 2), pause)
        }
        others = (0..<4).map { _ in
            let amount = dice.credits(0.1...1)
            let amounts = HoldAmounts(most: amount, usual: amount, least: amount)
            let hold = Ask.Action.hold(amounts, takesShare: false, timeToLive: .seconds(2), key: nil)
            return (Ask(id: .make(), account: account, action: hold), dice.milliseconds(0...5_000))
        }
    }

    func play(on driver: Driver) async {
        await driver.send(
            Ask(id: .make(), account: account, action: .grant(.purchase, amount: Credits(whole: 10), expiresAt: nil)), after: .zero)
        guard let hold = await granted(on: driver) else { return }
        func ask(_ action: Ask.Action) -> Ask { Ask(id: hold, account: account, action: action) }
        await withDiscardingTaskGroup { group in
            group.addTask {
                await driver.pause(for: lockStarts)
                await driver.lock(account, for: lockTime)
            }
            group.addTask { await driver.send(ask(.report(used: Credits(whole: 1), timeToLive: timeToLive)), after: .zero) }
            if isSettled {
                group.addTask { await driver.send(ask(.settle(amount: Credits(whole: 7), key: nil)), after: settleStarts) }
            }
            for (deduction, ledger, pause) in deductions {
                group.addTask { await driver.deduct(deduction, at: ledger, after: lockStarts + pause) }
            }
            for (other, pause) in others {
                group.addTask {
                    _ = await driver.ask(other, isLast: true, within: .seconds(2), after: lockStarts + pause)
                    await driver.send(
                        Ask(id: other.id, account: account, action: .settle(amount: Credits(nano: 1), key: nil)), after: .zero)
                }
            }
        }
    }

    /// Asks until the grant has arrived, each time under a new id, because a refused id is not
    /// asked again.
    private func granted(on driver: Driver) async -> ChargeID? {
        let amounts = HoldAmounts(most: Credits(whole: 8), usual: Credits(whole: 8), least: Credits(whole: 8))
        for _ in 0..<20 {
            let hold = Ask(
                id: .make(), account: account, action: .hold(amounts, takesShare: false, timeToLive: timeToLive, key: nil))
            if await driver.ask(hold, within: .seconds(3))?.status == .granted { return hold.id }
            await driver.send(Ask(id: hold.id, account: account, action: .void), after: .milliseconds(250))
        }
        return nil
    }
}
