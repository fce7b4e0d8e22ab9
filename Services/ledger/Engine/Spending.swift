package import Contracts
package import Values

extension Credits {
    /// 4,000,000,000 credits. What a limit or a sum of spending has beyond it makes no difference: no balance is larger.
    package static let countedMax = Credits(whole: 4_000_000_000)
}

/// The charges of the current day and the current month in UTC.
package struct Spending: Equatable, Sendable {
    /// The time of the last charge: the day and the month that the sums belong to.
    package var at = Instant(microseconds: 0)
    package var day: Credits = .zero
    package var month: Credits = .zero

    package init(at: Instant = Instant(microseconds: 0), day: Credits = .zero, month: Credits = .zero) {
        self.at = at
        self.day = day
        self.month = month
    }

    /// Returns the sums at `now`: the sum of a day or a month that is over is zero again.
    package func current(at now: Instant) -> Spending {
        Spending(at: now, day: at.day == now.day ? day : .zero, month: at.month == now.month ? month : .zero)
    }

    /// - Parameters:
    ///   - amount: below zero for what is given back: that lowers only the sums in which it was counted.
    ///   - chargedAt: of what is given back.
    package mutating func add(_ amount: Credits, at now: Instant, chargedAt: Instant) {
        self = current(at: now)
        if chargedAt.day == now.day { day = min(max(.zero, day + amount), .countedMax) }
        if chargedAt.month == now.month { month = min(max(.zero, month + amount), .countedMax) }
    }
}

/// The spending and the holds of an API key with limits of its own, counted from its first hold that carried limits.
package struct KeySpending: Equatable, Sendable {
    package struct ID: Hashable, Sendable {
        package let account: AccountID
        package let key: APIKeyID

        package init(account: AccountID, key: APIKeyID) {
            self.account = account
            self.key = key
        }
    }

    package let id: ID
    /// The limits that its last hold carried.
    package var limits = SpendingLimits()
    package var held: Credits = .zero
    package var spending = Spending()

    package init(id: ID, limits: SpendingLimits = SpendingLimits(), held: Credits = .zero, spending: Spending = Spending()) {
        self.id = id
        self.limits = limits
        self.held = held
        self.spending = spending
    }
}

/// One spending limit of an account or of an API key, and the credits that it leaves.
package struct SpendingLimit: Equatable, Sendable {
    package let scope: HoldReply.Limit.Scope
    package let period: HoldReply.Limit.Period
    /// The limit minus the credits spent in its period. It can be below zero.
    package let left: Credits
    /// The credits that running holds reserve under this limit.
    package let held: Credits

    package static func of(
        _ limits: SpendingLimits, _ scope: HoldReply.Limit.Scope, spent: Spending, held: Credits, at now: Instant
    ) -> [SpendingLimit] {
        let spent = spent.current(at: now)
        var all: [SpendingLimit] = []
        if let daily = limits.daily {
            all.append(SpendingLimit(scope: scope, period: .day, left: min(daily, .countedMax) - spent.day, held: held))
        }
        if let monthly = limits.monthly {
            all.append(SpendingLimit(scope: scope, period: .month, left: min(monthly, .countedMax) - spent.month, held: held))
        }
        return all
    }

    /// Returns the limit as a refusal names it.
    package func reply(at now: Instant) -> HoldReply.Limit {
        HoldReply.Limit(
            scope: scope, period: period, resetsAt: period == .day ? .startOf(day: now.day + 1) : .startOf(month: now.month + 1))
    }
}

/// The credits that an account can reserve or pay, by its balance and by every limit that applies.
package struct Funds: Equatable, Sendable {
    /// The credits that balance and overdraft leave. Limits are not counted.
    package let available: Credits
    /// The credits that balance, overdraft and every limit leave.
    package let spendable: Credits
    /// The credits that balance and overdraft would leave with no other hold open.
    package let availableAlone: Credits
    /// The limit that would leave the fewest credits with no other hold open.
    package let limitAlone: SpendingLimit?
    /// True if other holds of the account are open.
    package let othersHold: Bool
    private let own: Credits

    /// - Parameter own: the amount of the hold that asks for more. It stays reserved.
    package init(_ account: Account, _ limits: [SpendingLimit], own: Credits = .zero) {
        available = account.available
        spendable = max(.zero, limits.reduce(account.available) { min($0, $1.left - $1.held) })
        availableAlone = account.posted + account.overdraft - own
        limitAlone = limits.min { $0.left < $1.left }
        othersHold = account.held > own
        self.own = own
    }

    /// The credits that would be spendable with no other hold open. The number can be below zero.
    package var spendableAlone: Credits { limitAlone.map { min(availableAlone, $0.left - own) } ?? availableAlone }

    func left(after granted: Credits) -> FundsLeft { FundsLeft(available: available - granted, spendable: spendable - granted) }

    /// Returns the amount to grant now (SPEC §2). Nil if the credits do not reach the amount that
    /// the call insists on.
    ///
    /// While other holds are open, a call insists on the usual amount, or on all that it could ever
    /// get if that is less. Otherwise, and on its last question, it insists on the least amount.
    package func granted(_ amounts: HoldAmounts, takesShare: Bool) -> Credits? {
        let share = Credits(nano: spendable.nano / (othersHold ? 16 : 4))
        let granted = min(takesShare ? min(amounts.most, max(share, amounts.usual)) : amounts.most, spendable)
        let insistsOn = othersHold && !amounts.isLastQuestion ? max(amounts.least, min(amounts.usual, spendableAlone)) : amounts.least
        return granted >= insistsOn ? granted : nil
    }
}

/// The credits that an account can reserve or pay after a decision.
package struct FundsLeft: Equatable, Sendable {
    /// The credits that balance and overdraft leave. Limits are not counted.
    package let available: Credits
    /// The credits that balance, overdraft and every limit leave.
    package let spendable: Credits

    package static let none = FundsLeft(available: .zero, spendable: .zero)
}
