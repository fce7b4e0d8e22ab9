import Postgres
import Values

/// Sums over the quarters of a period. Credits are decimals in their own characters, exact whatever their size: everybody's together may
/// be more than 64 bits of nano-credits.
struct UsageSums: Equatable, Sendable {
    var entries: Int64 = 0
    /// The change of balances: below zero for usage.
    var credits = "0"
    /// Used and not collected.
    var overage = "0"
    var promptTokens: Int64 = 0
    var completionTokens: Int64 = 0

    static let none = UsageSums()

    fileprivate static let columns = """
        coalesce(sum(entries), 0)::bigint AS entries, trim_scale(coalesce(sum(credits), 0) * 0.000000001)::text AS credits,
            trim_scale(coalesce(sum(overage), 0) * 0.000000001)::text AS overage, coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens,
            coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens
        """
}

/// The accounts of a usage report: one account, by the primary key of `usage_quarter`, or all, by the index on time.
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

/// Sums the changes of balances by their type.
struct UsageByType<Scope: UsageScope>: Statement {
    let scope: Scope
    let period: Period

    static var sql: String {
        """
        SELECT type, \(UsageSums.columns)
        FROM usage_quarter
        WHERE \(Scope.condition) AND quarter >= $2 AND quarter < $3
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
        WITH sums AS (
            SELECT (quarter AT TIME ZONE $4)::date AS day, type, \(UsageSums.columns)
            FROM usage_quarter
            WHERE \(Scope.condition) AND quarter >= $2 AND quarter < $3
            GROUP BY 1, 2
        )
        SELECT
            to_char(day, 'YYYY-MM-DD'), type, coalesce(entries, 0), coalesce(credits, '0'), coalesce(overage, '0'),
            coalesce(prompt_tokens, 0), coalesce(completion_tokens, 0)
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
                SELECT
                    \(Group.column) AS name, sum(entries) AS entries, sum(credits) AS credits, sum(overage) AS overage,
                    sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens
                FROM usage_quarter
                WHERE \(Scope.condition) AND quarter >= $2 AND quarter < $3 AND type = 'usage'
                GROUP BY \(Group.column)
            ),
            placed AS (SELECT *, row_number() OVER (ORDER BY credits, name) AS place FROM usage)
        SELECT min(place) <= $4, CASE WHEN min(place) <= $4 THEN min(name) ELSE '' END, \(UsageSums.columns)
        FROM placed
        GROUP BY least(place, $4 + 1)
        ORDER BY least(place, $4 + 1)
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

/// Everybody's balances together; `owed` is what those below zero lack.
struct AccountTotals: Sendable {
    var accounts: Int64
    var balance: String
    var held: String
    var owed: String
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
        try self.init(
            entries: row.next(), credits: row.next(), overage: row.next(), promptTokens: row.next(), completionTokens: row.next())
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
