import Jobs
import Postgres

/// The months of receipts. One replica at a time makes the next three and drops the old ones.
struct ReceiptMonths: Sendable {
    let pool: PostgresPool
    /// The number of months that stay, including the running month.
    let monthsKept: Int

    /// The least that leaves the receipts of the last days at the start of a month.
    static let keptRange = 2...120

    var job: Job {
        Job("receipt months", every: .seconds(3_600), leader: pool) {
            try await pool.withConnection { connection in
                // Two transactions: an old month that cannot be dropped does not keep the next one from being made.
                _ = try await connection.query(MakeReceiptMonths())
                _ = try await connection.query(DropReceiptMonths(monthsKept: monthsKept))
            }
        }
    }
}

private struct MakeReceiptMonths: Statement {
    static let sql = "SELECT receipt_create_partitions(3)"
}

private struct DropReceiptMonths: Statement {
    let monthsKept: Int

    static let sql = "SELECT receipt_drop_partitions($1::integer)"

    func bind(_ parameters: inout Parameters) { parameters.append(Int64(monthsKept)) }
}
