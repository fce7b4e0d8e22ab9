import Contracts

extension Credits {
    /// 4,000,000,000 credits. What a limit or a sum of spending has beyond it makes no difference: no balance is larger.
    static let countedMax = Credits(whole: 4_000_000_000)
}

/// What was charged in the current day and the current month of UTC.
struct Spending: Equatable, Sendable {
    /// When last counted: tells which day and which month the sums are of.
    var at = Instant(microseconds: 0)
    var day: Credits = .zero
    var month: Credits = .zero

    /// As of `now`: a sum whose day or month is over is zero again.
    func current(at now: Instant) -> Spending {
        Spending(at: now, day: at.day == now.day ? day : .zero, month: at.month == now.month ? month : .zero)
    }

    /// - Parameters:
    ///   - amount: below zero for what is given back: that lowers only the sums in which it was counted.
    ///   - chargedAt: of what is given back.
    mutating func add(_ amount: Credits, at now: Instant, chargedAt: Instant) {
        self = current(at: now)
        if chargedAt.day == now.day { day = min(max(.zero, day + amount), .countedMax) }
        if chargedAt.month == now.month { month = min(max(.zero, month + amount), .countedMax) }
    }
}

/// What one API key with limits of its own has spent and holds. Counted from its first hold that carried limits.
struct KeySpending: Equatable, Sendable {
    struct ID: Hashable, Sendable {
        let account: AccountID
        let key: APIKeyID
    }

    let id: ID
    /// As its last hold carried them.
    var limits = SpendingLimits()
    var held: Credits = .zero
    var spending = Spending()
}

/// One spending limit of an account or of an API key, and how much of it is left.
struct SpendingLimit: Equatable, Sendable {
    let scope: HoldReply.Limit.Scope
    let period: HoldReply.Limit.Period
    /// The limit less what was spent. Can be below zero.
    let left: Credits
    /// What running holds keep of it.
    let held: Credits

    static func of(
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

    /// As a refused caller is answered.
    func reply(at now: Instant) -> HoldReply.Limit {
        HoldReply.Limit(
            scope: scope, period: period, resetsAt: period == .day ? .startOf(day: now.day + 1) : .startOf(month: now.month + 1))
    }
}

/// What an account can put aside or pay, by its credits and by every limit that counts.
struct Funds: Equatable, Sendable {
    /// What credits and overdraft leave; limits not counted.
    let available: Credits
    /// What credits, overdraft and every limit leave.
    let spendable: Credits
    /// What credits and overdraft would leave with no other hold open.
    let availableAlone: Credits
    /// The limit that would leave the least with no other hold open.
    let limitAlone: SpendingLimit?
    /// Other holds of the account are open.
    let othersHold: Bool
    private let own: Credits

    /// - Parameter own: the amount of the hold that asks for more; it stays held.
    init(_ account: Account, _ limits: [SpendingLimit], own: Credits = .zero) {
        available = account.available
        spendable = max(.zero, limits.reduce(account.available) { min($0, $1.left - $1.held) })
        availableAlone = account.posted + account.overdraft - own
        limitAlone = limits.min { $0.left < $1.left }
        othersHold = account.held > own
        self.own = own
    }

    /// What would be spendable with no other hold open. Can be below zero.
    var spendableAlone: Credits { limitAlone.map { min(availableAlone, $0.left - own) } ?? availableAlone }

    /// How much of what is asked for can be granted now (SPEC §2); nil if other holds keep the rest, or nothing will do.
    ///
    /// While other holds are open the asker waits for the usual amount, or for all that there will be if that is less.
    func granted(_ amounts: HoldAmounts, takesShare: Bool) -> Credits? {
        let share = Credits(nano: spendable.nano / (othersHold ? 16 : 4))
        let granted = min(takesShare ? min(amounts.most, max(share, amounts.usual)) : amounts.most, spendable)
        let insistsOn = othersHold && !amounts.isLastQuestion ? max(amounts.least, min(amounts.usual, spendableAlone)) : amounts.least
        return granted >= insistsOn ? granted : nil
    }
}
