package import Postgres

/// The partitions of a table by the UTC day or month of a UUIDv7. One replica at a time makes the
/// next ones and drops the old ones.
package struct TimePartitions: Sendable {
    package enum Unit: String, Sendable {
        case day, month

        /// The number of partitions that are made ahead: a database without the job works that long.
        fileprivate var ahead: Int64 {
            switch self {
            case .day: 7
            case .month: 3
            }
        }

        /// The numbers of partitions that can be kept. The least leaves the rows of the last hours at the
        /// start of a day or a month.
        package var keptRange: ClosedRange<Int> {
            switch self {
            case .day: 2...3_660
            case .month: 2...120
            }
        }
    }

    private let table: String
    private let unit: Unit
    private let kept: Int
    private let pool: PostgresPool

    /// - Parameters:
    ///   - table: the name of the table, whose migration calls `create_partitions`.
    ///   - kept: the number of days or months that stay, including the running one.
    package init(of table: String, by unit: Unit, kept: Int, in pool: PostgresPool) {
        (self.table, self.unit, self.kept, self.pool) = (table, unit, kept, pool)
    }

    package var job: Job {
        Job("\(table) \(unit)s", every: .seconds(3_600), leader: pool) {
            try await pool.withConnection { connection in
                // Two transactions: an old partition that cannot be dropped does not keep the next one from being made.
                _ = try await connection.query(CreatePartitions(table: table, unit: unit))
                _ = try await connection.query(DropPartitions(table: table, unit: unit, kept: kept))
            }
        }
    }
}

private struct CreatePartitions: Statement {
    let table: String
    let unit: TimePartitions.Unit

    static let sql = "SELECT create_partitions($1, $2, $3::integer)"

    func bind(_ parameters: inout Parameters) {
        parameters.append(table)
        parameters.append(unit.rawValue)
        parameters.append(unit.ahead)
    }
}

private struct DropPartitions: Statement {
    let table: String
    let unit: TimePartitions.Unit
    let kept: Int

    static let sql = "SELECT drop_partitions($1, $2, $3::integer)"

    func bind(_ parameters: inout Parameters) {
        parameters.append(table)
        parameters.append(unit.rawValue)
        parameters.append(Int64(kept))
    }
}
