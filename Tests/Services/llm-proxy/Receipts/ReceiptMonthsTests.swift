import EventLoop
import Jobs
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct ReceiptMonthsTests {
    private struct Months: Statement {
        static let sql = "SELECT relname::text FROM pg_class WHERE relname ~ '^receipt_[0-9_]+$' AND relkind = 'r' ORDER BY 1"
        typealias Output = String
    }

    private struct CurrentMonths: Statement {
        let from: Int64
        let to: Int64

        static let sql = """
            SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => month), '"receipt_"YYYY_MM')
            FROM generate_series($1::integer, $2::integer) AS month
            """
        typealias Output = String

        func bind(_ parameters: inout Parameters) {
            parameters.append(from)
            parameters.append(to)
        }
    }

    @Test func `the job makes the next three months and drops the old ones`() async throws {
        try await TestDatabase.current.withPool { pool in
            try await pool.withConnection { connection in
                try await connection.script(
                    """
                    CREATE TABLE receipt_2020_01 PARTITION OF receipt
                    FOR VALUES FROM (uuidv7_floor('2020-01-01Z')) TO (uuidv7_floor('2020-02-01Z'))
                    """)
                let newest = try #require(try await connection.query(Months()).last)
                try await connection.script("DROP TABLE \(newest)")
            }
            let metrics = Metrics()
            let job = MonthPartitions(of: "receipt", monthsKept: 2, in: pool).job
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await job.run(on: pool.loop, log: ProxyUnderTest.log, metrics: metrics) }
                try await until("the job has run") { job.hasSucceeded }
                group.cancelAll()
            }
            #expect(try await pool.query(Months()) == pool.query(CurrentMonths(from: -1, to: 3)))
        }
    }

    @Test func `an old month that cannot be dropped does not keep the next one from being made`() async throws {
        try await TestDatabase.current.withPool { pool in
            try await pool.withConnection { connection in
                let newest = try #require(try await connection.query(Months()).last)
                try await connection.script(
                    """
                    DROP TABLE \(newest);
                    CREATE TABLE receipt_2020_01 PARTITION OF receipt
                    FOR VALUES FROM (uuidv7_floor('2020-01-01Z')) TO (uuidv7_floor('2020-02-01Z'));
                    CREATE VIEW report AS SELECT * FROM receipt_2020_01
                    """)
            }
            let (job, metrics) = (MonthPartitions(of: "receipt", monthsKept: 2, in: pool).job, Metrics())
            let failures = metrics.counter("job_runs_total", help: "", labels: ["job": job.name, "outcome": "failed"])
            let log = Logger(service: "x", output: LogOutput(descriptor: -1))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await job.run(on: pool.loop, log: log, metrics: metrics) }
                try await until("the job has failed") { failures.count > 0 }
                group.cancelAll()
            }
            try await pool.withConnection { try await $0.script("DROP VIEW report; DROP TABLE receipt_2020_01") }
            #expect(try await pool.query(Months()) == pool.query(CurrentMonths(from: -1, to: 3)))
        }
    }

    @Test(arguments: ["1", "121", "x"])
    func `a number of months out of range is refused by name`(value: String) {
        #expect {
            try ProxySettingsTests.settings(["RECEIPT_MONTHS": value])
        } throws: {
            "\($0)".hasPrefix("RECEIPT_MONTHS")
        }
    }
}
