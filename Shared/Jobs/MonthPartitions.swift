package import Postgres

/// The months of a table that is partitioned by the UTC month of a UUIDv7. One replica at a time
/// makes the next three months and drops the old ones.
package struct MonthPartitions: Sendable {
    private let table: String
    private let monthsKept: Int
    private let pool: PostgresPool

    /// The least that leaves the rows of the last days at the start of a month.
    package static let keptRange = 2...120

    /// - Parameters:
    ///   - table: the name of the table, which `create_month_partitions` knows.
    ///   - monthsKept: the number of months that stay, including the running month.
    package init(of table: String, monthsKept: Int, in pool: PostgresPool) {
        (self.table, self.monthsKept, self.pool) = (table, monthsKept, pool)
    }

    package var job: Job {
        Job("\(table) months", every: .seconds(3_600), leader: pool) {
            try await pool.withConnection { connection in
                // Two transactions: an old month that cannot be dropped does not keep the next one from being made.
                _ = try await connection.query(CreateMonths(table: table))
                _ = try await connection.query(DropMonths(table: table, monthsKept: monthsKept))
            }
        }
    }
}

private struct CreateMonths: Statement {
    let table: String

    static let sql = "SELECT create_month_partitions($1, 3)"

    func bind(_ parameters: inout Parameters) { parameters.append(table) }
}

private struct DropMonths: Statement {
    let table: String
    let monthsKept: Int

    static let sql = "SELECT drop_month_partitions($1, $2::integer)"

    func bind(_ parameters: inout Parameters) {
        parameters.append(table)
        parameters.append(Int64(monthsKept))
    }
}
