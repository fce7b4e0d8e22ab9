import LedgerCore
import Postgres
import Values

/// The usage of one account or of all accounts over some days, as pages show it.
struct UsageReport: Sendable {
    /// `2026-11-20`; days without usage among them, the newest last.
    var days: [(day: String, sums: UsageSums)]
    var models: [UsageOfName]
    var operations: [UsageOfName]
    /// All changes of balances over the same days.
    var types: [UsageOfType]

    /// The credits that one of the last seven days costs on average.
    var pace: Double { days.suffix(7).reduce(0) { $0 + (Double($1.sums.used) ?? 0) } / 7 }
}

/// An account, as its first page shows it.
struct Overview: Sendable {
    let standing: Standing
    let report: UsageReport
    /// Charges since the start of the month in UTC, in which the spending limits count.
    let chargesThisMonth: Int64
    let recent: [HistoryLine]

    /// The whole days that the credits last at the pace of the last week, at most 366. Nil without usage.
    var daysLeft: Int64? {
        guard report.pace > 0 else { return nil }
        return Int64(min(Double(standing.account.available.nano) / 1e9 / report.pace, 366))
    }
}

extension LedgerStore {
    /// - Parameters:
    ///   - period: whole days of `zone`.
    ///   - names: the number of models and of operations that are named; the others stand together in one more row.
    func report(_ scope: some UsageScope, _ period: Period, zone: String, names: Int) async throws -> UsageReport {
        let (days, models, operations, types) = try await reads.withConnection { connection in
            try await connection.pipeline(
                UsageByDay(scope: scope, period: period, zone: zone), UsageByName<_, ByModel>(scope: scope, period: period, limit: names),
                UsageByName<_, ByOperation>(scope: scope, period: period, limit: names), UsageByType(scope: scope, period: period))
        }
        return UsageReport(days: days.usage, models: models, operations: operations, types: types)
    }

    /// - Parameter recent: the number of the newest lines of the history.
    func overview(of account: AccountID, _ period: Period, zone: String, names: Int, recent: Int, now: Instant) async throws -> Overview {
        let standing = try await standing(of: account, lots: true) ?? Standing(account: Account(id: account), lots: [])
        let report = try await report(OfAccount(id: account), period, zone: zone, names: names)
        let month = Period(from: .startOf(month: now.month), to: .startOf(month: now.month + 1))
        let types = try await reads.withConnection { try await $0.query(UsageByType(scope: OfAccount(id: account), period: month)) }
        // A page that begins at a cursor counts no lines.
        let history = try await history(of: account, HistoryFilter(), before: .max, offset: 0, limit: recent)
        return Overview(standing: standing, report: report, chargesThisMonth: types.usage.entries, recent: history.lines)
    }
}

extension [UsageOfDay] {
    /// The usage of each day, without the other changes of balances.
    fileprivate var usage: [(day: String, sums: UsageSums)] {
        var days: [(day: String, sums: UsageSums)] = []
        for row in self {
            if days.last?.day != row.day { days.append((row.day, .none)) }
            if row.type == "usage" { days[days.count - 1].sums = row.sums }
        }
        return days
    }
}
