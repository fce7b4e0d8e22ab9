import Contracts
import Values

/// Questions that are refused and redelivered. One hold has all credits, and an operator locks the
/// account's row, so questions wait at the ledger. Then the connection that brought them is closed.
/// The ledger answers but cannot acknowledge, so the broker redelivers the questions. Meanwhile the
/// hold is voided: the redelivered questions could be granted and must not be.
struct RefusalStory: Sendable {
    private let account = AccountID.make()
    private let questions: [(Ask, pause: Duration)]
    private static let patience = Duration.seconds(3)
    private static let lockTime = Duration.milliseconds(1_500)

    init(of customer: inout Customer) {
        var dice = customer.dice.split()
        let account = account
        questions = (0..<20).map { _ in (Self.hold(account), dice.milliseconds(100...500)) }
    }

    private static func hold(_ account: AccountID) -> Ask {
        let one = Credits(whole: 1)
        let amounts = HoldAmounts(most: one, usual: one, least: one)
        return Ask(id: .make(), account: account, action: .hold(amounts, takesShare: false, timeToLive: .seconds(4), key: nil))
    }

    func play(on driver: Driver) async {
        let grant = Ask(id: .make(), account: account, action: .grant(.purchase, amount: Credits(whole: 1), expiresAt: nil))
        await driver.send(grant, after: .zero)
        guard let holder = await granted(on: driver) else { return }
        await withDiscardingTaskGroup { group in
            group.addTask { await driver.lock(account, for: Self.lockTime) }
            for (question, pause) in questions {
                group.addTask {
                    _ = await driver.ask(question, isLast: true, within: Self.patience, after: pause)
                    await void(question, after: .zero, on: driver)
                }
            }
            group.addTask { await driver.closeDeliveries(of: Topology.ledgerHolds, after: .milliseconds(600)) }
            group.addTask { await void(holder, after: .milliseconds(550), on: driver) }
        }
    }

    private func void(_ hold: Ask, after pause: Duration, on driver: Driver) async {
        await driver.send(Ask(id: hold.id, account: account, action: .void), after: pause)
    }

    /// Asks until the grant has arrived, each time under a new id, because a refused id is not
    /// asked again.
    private func granted(on driver: Driver) async -> Ask? {
        for _ in 0..<20 {
            let hold = Self.hold(account)
            if await driver.ask(hold, within: Self.patience)?.status == .granted { return hold }
            await void(hold, after: .milliseconds(250), on: driver)
        }
        return nil
    }
}
