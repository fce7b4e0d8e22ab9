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

/// A limit that stands in the way of a hold: whose, and for which time.
struct SpendingLimit: Equatable, Sendable {
    let scope: HoldReply.Limit.Scope
    let period: HoldReply.Limit.Period
    /// What it leaves for new holds, running ones counted as spent. Can be below zero.
    let room: Credits
    /// What would be left for new holds, by every limit, if none were running.
    var roomWithoutHolds: Credits

    /// The limit that leaves least.
    static func tightest(
        of limits: SpendingLimits, _ scope: HoldReply.Limit.Scope, spent: Spending, held: Credits, at now: Instant
    ) -> SpendingLimit? {
        let spent = spent.current(at: now)
        func left(of limit: Credits, _ period: HoldReply.Limit.Period, _ spent: Credits) -> SpendingLimit {
            let left = min(limit, .countedMax) - spent
            return SpendingLimit(scope: scope, period: period, room: left - held, roomWithoutHolds: left)
        }
        let daily = limits.daily.map { left(of: $0, .day, spent.day) }
        let monthly = limits.monthly.map { left(of: $0, .month, spent.month) }
        guard let daily, let monthly else { return daily ?? monthly }
        return daily.room <= monthly.room ? daily : monthly
    }

    /// How the refusal is written in the journal.
    var status: Entry.Status {
        switch (scope, period) {
        case (.account, .day): .accountDailyLimit
        case (.account, .month): .accountMonthlyLimit
        case (.apiKey, .day): .keyDailyLimit
        case (.apiKey, .month): .keyMonthlyLimit
        }
    }
}

extension Entry {
    /// The limit that refused this, and when it begins anew.
    var limit: HoldReply.Limit? {
        switch status {
        case .accountDailyLimit: .init(scope: .account, period: .day, resetsAt: .startOf(day: at.day + 1))
        case .accountMonthlyLimit: .init(scope: .account, period: .month, resetsAt: .startOf(month: at.month + 1))
        case .keyDailyLimit: .init(scope: .apiKey, period: .day, resetsAt: .startOf(day: at.day + 1))
        case .keyMonthlyLimit: .init(scope: .apiKey, period: .month, resetsAt: .startOf(month: at.month + 1))
        case .applied, .insufficientFunds, .accountNotFound, .alreadyResolved, .outOfRange, .holdNotFound, .superseded: nil
        }
    }
}
