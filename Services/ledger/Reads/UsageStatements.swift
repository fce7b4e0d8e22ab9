import Contracts
import LedgerCore
import Postgres
import Values

/// The sums over the quarters of a period. Credits are decimal text, exact at any size: the sum of
/// all users may be more than 64 bits of nano-credits. Units and tokens stop at the end of 64 bits.
struct UsageSums: Equatable, Sendable {
    var entries: Int64 = 0
    /// The change of balances: below zero for usage.
    var credits = "0"
    /// Used and not collected.
    var overage = "0"
    var units: [MeteredUnit: Int64] = [:]

    static let none = UsageSums()

    /// The credits that were used, positive for usage.
    var used: String { credits == "0" ? credits : credits.hasPrefix("-") ? String(credits.dropFirst()) : "-" + credits }

    var promptTokens: Int64 { sum(\.isPromptToken) }
    var completionTokens: Int64 { sum(\.isCompletionToken) }

    private func sum(_ isCounted: (MeteredUnit) -> Bool) -> Int64 {
        units.reduce(0) { sum, unit in
            guard isCounted(unit.key) else { return sum }
            let (next, overflowed) = sum.addingReportingOverflow(unit.value)
            return overflowed ? .max : next
        }
    }

    /// Sums of rows of ``ofUnits``. The row without a unit has `input` and `output`.
    fileprivate static let columns = """
        coalesce(sum(entries), 0)::bigint AS entries, trim_scale(coalesce(sum(credits), 0) * 0.000000001)::text AS credits,
            trim_scale(coalesce(sum(overage), 0) * 0.000000001)::text AS overage,
            concat_ws(
                ' ', 'input=' || nullif(least(sum(input), 9223372036854775807), 0),
                'output=' || nullif(least(sum(output), 9223372036854775807), 0),
                string_agg(unit || '=' || least(quantity, 9223372036854775807), ' ') FILTER (WHERE unit <> '')) AS units
        """

    /// Sums of rows of `usage_15m`, grouped by unit and what else the statement groups by.
    fileprivate static let ofUnits = """
        unit, sum(entries) AS entries, sum(credits) AS credits, sum(overage) AS overage, sum(input) AS input, sum(output) AS output,
            sum(quantity) AS quantity
        """
}

/// The accounts of a usage report: one account, by the primary key of `usage_15m`, or all, by the index on time.
protocol UsageScope: Sendable {
    /// A condition on $1.
    static var condition: String { get }
    var account: AccountID? { get }
}

struct OfAccount: UsageScope {
    static let condition = "account_id = $1"
    let id: AccountID
    var account: AccountID? { id }
}

struct OfEverybody: UsageScope {
    static let condition = "$1::uuid IS NULL"
    var account: AccountID? { nil }
}

struct UsageOfType: Sendable {
    var type: String
    var sums: UsageSums
}

extension [UsageOfType] {
    var usage: UsageSums { first { $0.type == "usage" }?.sums ?? .none }
}

/// Sums the changes of balances by their type.
struct UsageByType<Scope: UsageScope>: Statement {
    let scope: Scope
    let period: Period

    static var sql: String {
        """
        SELECT type, \(UsageSums.columns)
        FROM (
            SELECT type, \(UsageSums.ofUnits)
            FROM usage_15m
            WHERE \(Scope.condition) AND quarter >= $2 AND quarter < $3
            GROUP BY type, unit
        ) AS units
        GROUP BY type
        ORDER BY type
        """
    }

    func bind(_ parameters: inout Parameters) { period.bind(&parameters, scope) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UsageOfType {
        try UsageOfType(type: row.next(), sums: UsageSums(&row))
    }
}

struct UsageOfDay: Sendable {
    /// `2026-11-20`
    var day: String
    /// Nil on a day without anything.
    var type: String?
    var sums: UsageSums
}

/// The same for each day of a time zone, days without anything among them.
struct UsageByDay<Scope: UsageScope>: Statement {
    let scope: Scope
    let period: Period
    let zone: String

    static var sql: String {
        """
        WITH
            units AS (
                SELECT (quarter AT TIME ZONE $4)::date AS day, type, \(UsageSums.ofUnits)
                FROM usage_15m
                WHERE \(Scope.condition) AND quarter >= $2 AND quarter < $3
                GROUP BY 1, type, unit
            ),
            sums AS (
                SELECT day, type, \(UsageSums.columns)
                FROM units
                GROUP BY day, type
            )
        SELECT
            to_char(day, 'YYYY-MM-DD'), type, coalesce(entries, 0), coalesce(credits, '0'), coalesce(overage, '0'),
            coalesce(units, '')
        FROM (
            SELECT day::date
            FROM generate_series(
                ($2 AT TIME ZONE $4)::date::timestamp, (($3 - interval '1 microsecond') AT TIME ZONE $4)::date, interval '1 day') AS day
        ) AS days
        LEFT JOIN sums USING (day)
        ORDER BY day, type
        """
    }

    func bind(_ parameters: inout Parameters) {
        period.bind(&parameters, scope)
        parameters.append(zone)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UsageOfDay {
        try UsageOfDay(day: row.next(), type: row.next(String?.self), sums: UsageSums(&row))
    }
}

/// The column by which usage is grouped besides its day.
protocol UsageGroup: Sendable {
    static var column: String { get }
}

enum ByModel: UsageGroup { static let column = "model" }
enum ByOperation: UsageGroup { static let column = "operation" }

struct UsageOfName: Sendable {
    /// False: the rest of them.
    var isNamed: Bool
    /// Empty where the call named none.
    var name: String
    var sums: UsageSums
}

/// Usage by model or operation, those that cost most first; all beyond `limit` together at the end.
struct UsageByName<Scope: UsageScope, Group: UsageGroup>: Statement {
    let scope: Scope
    let period: Period
    let limit: Int

    static var sql: String {
        """
        WITH
            usage AS (
                SELECT \(Group.column) AS name, \(UsageSums.ofUnits)
                FROM usage_15m
                WHERE \(Scope.condition) AND quarter >= $2 AND quarter < $3 AND type = 'usage'
                GROUP BY \(Group.column), unit
            ),
            ranked AS (
                SELECT name, least(row_number() OVER (ORDER BY sum(credits), name), $4 + 1) AS place
                FROM usage
                GROUP BY name
            ),
            placed AS (
                SELECT place, CASE WHEN place <= $4 THEN min(name) ELSE '' END AS name, \(UsageSums.ofUnits)
                FROM usage
                JOIN ranked USING (name)
                GROUP BY place, unit
            )
        SELECT place <= $4, min(name), \(UsageSums.columns)
        FROM placed
        GROUP BY place
        ORDER BY place
        """
    }

    func bind(_ parameters: inout Parameters) {
        period.bind(&parameters, scope)
        parameters.append(limit)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UsageOfName {
        try UsageOfName(isNamed: row.next(), name: row.next(), sums: UsageSums(&row))
    }
}

/// The balances of all accounts together; `owed` is the sum of those below zero.
struct AccountTotals: Sendable {
    var accounts: Int64
    var balance: String
    var held: String
    var owed: String
}

extension LedgerStore {
    func totals() async throws -> AccountTotals { try await reads.withConnection { try await $0.one(ReadTotals()) } }
}

struct ReadTotals: Statement {
    static let sql = """
        SELECT
            count(*), trim_scale(coalesce(sum(posted), 0) * 0.000000001)::text, trim_scale(coalesce(sum(held), 0) * 0.000000001)::text,
            trim_scale(coalesce(sum(greatest(-posted, 0)), 0) * 0.000000001)::text
        FROM account
        WHERE seq > 0
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountTotals {
        try AccountTotals(accounts: row.next(), balance: row.next(), held: row.next(), owed: row.next())
    }
}

extension UsageSums {
    fileprivate init(_ row: inout RowReader) throws(PostgresError) {
        try self.init(entries: row.next(), credits: row.next(), overage: row.next())
        for sum in try row.next(String.self).split(separator: " ") {
            let parts = sum.split(separator: "=")
            guard parts.count == 2, let unit = MeteredUnit(rawValue: String(parts[0])), let quantity = Int64(parts[1]) else {
                throw PostgresError(.typeMismatch, "usage_15m has no unit and quantity \(sum)")
            }
            units[unit] = quantity
        }
    }
}

extension Period {
    /// $1 to $3.
    fileprivate func bind(_ parameters: inout Parameters, _ scope: some UsageScope) {
        parameters.append(scope.account)
        parameters.append(from)
        parameters.append(to)
    }
}
