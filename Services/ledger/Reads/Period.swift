import LedgerCore
import Postgres
import Values

/// A span of time from its first moment up to, and without, its last.
struct Period: Equatable, Sendable {
    var from: Instant
    var to: Instant

    /// Returns the period with its bounds moved outward to multiples of `minutes`.
    func rounded(to minutes: Int64) -> Period {
        let unit = minutes * 60_000_000
        return Period(
            from: Instant(microseconds: from.microseconds / unit * unit),
            to: Instant(microseconds: (to.microseconds + unit - 1) / unit * unit))
    }
}

/// A period as people ask for it, in moments or in days of a time zone. A day at its end belongs to it; a moment does not.
struct AskedPeriod: Sendable {
    enum Bound: Sendable {
        case moment(Instant)
        /// `2026-11-20`, a day that exists.
        case day(String)
    }

    var from: Bound?
    var to: Bound?
    /// The IANA name of a zone that Postgres knows.
    var zone: String
    /// The length of a period without a beginning.
    var days: Int32 = 30

    var isUnbounded: Bool { from == nil && to == nil }
}

extension LedgerStore {
    /// Days become moments by the database's calendar and clock. A bound that is missing: to the end of today; from the beginning of
    /// the first of its last days, 30 of them unless `asked` says otherwise.
    func period(_ asked: AskedPeriod) async throws -> Period {
        try await reads.withConnection { try await $0.one(ReadPeriod(asked: asked)) }
    }

    /// Returns the period that the rollups can answer for. Moves its bounds outward to whole
    /// quarters of an hour. In folded time moves moments to whole half-hours, and leaves the bounds
    /// of days.
    func covered(_ period: Period, _ asked: AskedPeriod) async throws -> Period {
        var covered = period.rounded(to: 15)
        let folded = period.rounded(to: 30)
        guard covered != folded, asked.from.isMoment || asked.to.isMoment else { return covered }
        let end = try await reads.withConnection { try await $0.one(ReadEndOfFolding()) }
        if asked.from.isMoment, covered.from < end { covered.from = folded.from }
        if asked.to.isMoment, covered.to < end { covered.to = folded.to }
        return covered
    }
}

extension AskedPeriod.Bound? {
    fileprivate var isMoment: Bool { if case .moment = self { true } else { false } }
}

private struct ReadEndOfFolding: Statement {
    typealias Output = Instant
    static let sql = "SELECT \(UsageFolding.end)"
}

struct ReadPeriod: Statement {
    let asked: AskedPeriod

    static let sql = """
        WITH ending AS (
            SELECT coalesce($3, \(start(of: "coalesce($4::date, (clock_timestamp() AT TIME ZONE $5)::date) + 1"))) AS at
        )
        SELECT
            coalesce($1, \(start(of: "$2::date")), \(start(of: "((at - interval '1 microsecond') AT TIME ZONE $5)::date - ($6::int - 1)"))),
            at
        FROM ending
        """

    /// The first moment of a day. Where clocks are put back over midnight there are two midnights, and Postgres means the later. A day that a
    /// zone left out has no moment, and begins with the next.
    private static func start(of day: String) -> String {
        """
        (
            SELECT coalesce(min(moment) FILTER (WHERE (moment AT TIME ZONE $5)::date = day), max(moment))
            FROM (SELECT \(day)) AS asked (day),
                LATERAL (
                    SELECT (day::timestamp AT TIME ZONE $5) - earlier
                    FROM unnest(ARRAY[interval '0', interval '30 minutes', interval '1 hour']) AS earlier
                ) AS tried (moment)
        )
        """
    }

    func bind(_ parameters: inout Parameters) {
        Self.append(asked.from, to: &parameters)
        Self.append(asked.to, to: &parameters)
        parameters.append(asked.zone)
        parameters.append(asked.days)
    }

    private static func append(_ bound: AskedPeriod.Bound?, to parameters: inout Parameters) {
        var moment: Instant?
        var day: String?
        switch bound {
        case .moment(let at): moment = at
        case .day(let text): day = text
        case nil: break
        }
        parameters.append(moment)
        parameters.append(day)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Period { try Period(from: row.next(), to: row.next()) }
}
