import Contracts
import Values

/// One grant as billing sends it to the ledger, with its reversals in any order, and the same id
/// with other content. It is drawn before it begins.
struct GrantStory: Sendable {
    private let sends: [(Ask, Duration)]

    /// A purchase that never expires.
    init(of account: AccountID, _ amount: Credits) {
        sends = [(Ask(id: .make(), account: account, action: .grant(.purchase, amount: amount, expiresAt: nil)), .zero)]
    }

    init(of customer: inout Customer, at now: Instant = .now()) {
        var dice = customer.dice.split()
        let (id, account) = (ChargeID.make(), customer.account)
        let amount = dice.credits(customer.habit.grant)
        let kind: PurchaseFulfilled.Kind = dice.pick([(50, .purchase), (25, .planGrant), (25, .bonus)])
        let expires = dice.chance(customer.habit == .expiring ? 85 : customer.habit == .rich ? 0 : 30)
        let expiresAt = expires ? now + dice.milliseconds(-500...20_000) : nil
        let grant = Ask(id: id, account: account, action: .grant(kind, amount: amount, expiresAt: expiresAt))
        let begins = dice.chance(50) ? Duration.zero : dice.milliseconds(0...3_000)
        var sends = dice.copies().map { (grant, begins + $0) }
        if dice.chance(4) {
            let other = Ask(
                id: id, account: account, action: .grant(kind, amount: amount + Credits(nano: 1), expiresAt: expiresAt))
            sends.append((other, dice.milliseconds(0...4_000)))
        }
        guard dice.chance(customer.habit == .disputed ? 70 : 10) else {
            self.sends = sends
            return
        }
        for version in 1...Int.random(in: 1...4, using: &dice) {
            let target = dice.pick([(20, .zero), (60, dice.share(of: amount, percent: 1...100)), (20, amount + amount)])
            // Two statements may carry one version: only the first of them counts.
            let number = Int64(dice.chance(15) ? max(1, version - 1) : version)
            let reversal = Ask(id: .make(), account: account, action: .reverse(grant: id, target: target, version: number))
            let starts = dice.milliseconds(0...7_000)
            sends += dice.copies().map { (reversal, starts + $0) }
            guard dice.chance(4) else { continue }
            let other = Ask(
                id: reversal.id, account: account,
                action: .reverse(grant: id, target: target + Credits(nano: 1), version: number))
            sends.append((other, starts + dice.milliseconds(0...3_000)))
        }
        self.sends = sends
    }

    func play(on driver: Driver) async {
        await withDiscardingTaskGroup { group in
            for (ask, pause) in sends { group.addTask { await driver.send(ask, after: pause) } }
        }
    }
}
