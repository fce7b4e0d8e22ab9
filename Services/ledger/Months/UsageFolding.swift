import LedgerCore
import Postgres
import Values

/// Folds quarters of an hour in `usage_15m` into half-hours. Folds only quarters that are older
/// than 40 days and lie before the newest checkpoint of the audit. About half of the rows disappear.
/// Days stay exact in every zone whose offset is a multiple of 30 minutes.
///
/// A batch writes the running quarter only, so no batch waits for a row that is folded. Each step
/// is a transaction of its own. A reader sees the rows of two quarters or their sum. The next night
/// continues a folding that was interrupted. Several foldings at once are harmless.
struct UsageFolding: Sendable {
    let pool: PostgresPool
    /// The most rows that one step deletes.
    var rowsPerStep: Int64 = 1_000

    /// The end of folded time, at the start of a half-hour. Quarters before it are folded, or will
    /// be.
    static let end = """
        least(newest_checkpoint(), date_bin('30 minutes', clock_timestamp() - interval '40 days', 'epoch'))
        """

    /// - Returns: the number of rows that were folded.
    @discardableResult
    func run() async throws -> Int64 {
        var folded: Int64 = 0
        for quarter in try await pool.withConnection({ try await $0.query(FindFoldable()) }) {
            while true {
                let rows = try await pool.withConnection { try await $0.one(FoldQuarter(quarter: quarter, rowsMax: rowsPerStep)) }
                folded += rows
                if rows < rowsPerStep { break }
            }
        }
        return folded
    }
}

/// Reads the second quarters of half-hours that have rows to fold, with one look into the index for
/// each half-hour.
private struct FindFoldable: Statement {
    typealias Output = Instant

    static let sql = """
        SELECT second
        FROM generate_series(
            date_bin('30 minutes', (SELECT min(quarter) FROM usage_15m), 'epoch') + interval '15 minutes',
            \(UsageFolding.end) - interval '15 minutes', interval '30 minutes') AS second
        WHERE (SELECT true FROM usage_15m WHERE quarter = second LIMIT 1)
        ORDER BY second
        """
}

/// Adds rows of a half-hour's second quarter to the rows of its first. Sums stop at the end of 64
/// bits, as in ``WriteBatch``.
struct FoldQuarter: Statement {
    typealias Output = Int64
    let quarter: Instant
    let rowsMax: Int64

    static let sql = """
        WITH
            folded AS (
                DELETE FROM usage_15m
                WHERE quarter = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM usage_15m WHERE quarter = $1 LIMIT $2))
                RETURNING account_id, type, model, operation, entries, credits, overage, input, output, unit, quantity
            ),
            added AS (
                INSERT INTO usage_15m AS sum (
                    account_id, quarter, type, model, operation, entries, credits, overage, input, output, unit, quantity)
                SELECT
                    account_id, $1 - interval '15 minutes', type, model, operation, entries, credits, overage, input, output, unit,
                    quantity
                FROM folded
                ON CONFLICT (account_id, quarter, type, model, operation, unit) DO UPDATE
                SET entries = sum.entries + excluded.entries, credits = saturating_add(sum.credits, excluded.credits),
                    overage = saturating_add(sum.overage, excluded.overage), input = saturating_add(sum.input, excluded.input),
                    output = saturating_add(sum.output, excluded.output), quantity = saturating_add(sum.quantity, excluded.quantity)
            )
        SELECT count(*) FROM folded
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(quarter)
        parameters.append(rowsMax)
    }
}
