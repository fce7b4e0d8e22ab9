import EventLoop
import Jobs
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct ReceiptDaysTests {
    private struct Days: Statement {
        static let sql = "SELECT relname::text FROM pg_class WHERE relname ~ '^receipt_[0-9_]+$' AND relkind = 'r' ORDER BY 1"
        typealias Output = String
    }

    private struct CurrentDays: Statement {
        let from: Int64
        let to: Int64

        static let sql = """
            SELECT to_char(date_trunc('day', now() AT TIME ZONE 'UTC') + make_interval(days => day), '"receipt_"YYYY_MM_DD')
            FROM generate_series($1::integer, $2::integer) AS day
            """
        typealias Output = String

        func bind(_ parameters: inout Parameters) {
            parameters.append(from)
            parameters.append(to)
        }
    }

    @Test func `the job makes the next seven days and drops the old ones`() async throws {
        try await TestDatabase.current.withPool { pool in
            try await pool.withConnection { connection in
                try await connection.script(
                    """
                    CREATE TABLE receipt_2020_01_01 PARTITION OF receipt
                    FOR VALUES FROM (uuidv7_floor('2020-01-01Z')) TO (uuidv7_floor('2020-01-02Z'))
                    """)
                let newest = try #require(try await connection.query(Days()).last)
                try await connection.script("DROP TABLE \(newest)")
            }
            let metrics = Metrics()
            let job = TimePartitions(of: "receipt", by: .day, kept: 2, in: pool).job
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await job.run(on: pool.loop, log: ProxyUnderTest.log, metrics: metrics) }
                try await until("the job has run") { job.hasSucceeded }
                group.cancelAll()
            }
            #expect(try await pool.query(Days()) == pool.query(CurrentDays(from: -1, to: 7)))
        }
    }

    @Test func `an old day that cannot be dropped does not keep the next one from being made`() async throws {
        try await TestDatabase.current.withPool { pool in
            try await pool.withConnection { connection in
                let newest = try #require(try await connection.query(Days()).last)
                try await connection.script(
                    """
                    DROP TABLE \(newest);
                    CREATE TABLE receipt_2020_01_01 PARTITION OF receipt
                    FOR VALUES FROM (uuidv7_floor('2020-01-01Z')) TO (uuidv7_floor('2020-01-02Z'));
                    CREATE VIEW report AS SELECT * FROM receipt_2020_01_01
                    """)
            }
            let (job, metrics) = (TimePartitions(of: "receipt", by: .day, kept: 2, in: pool).job, Metrics())
            let failures = metrics.counter("job_runs_total", help: "", labels: ["job": job.name, "outcome": "failed"])
            let log = Logger(service: "x", output: LogOutput(descriptor: -1))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await job.run(on: pool.loop, log: log, metrics: metrics) }
                try await until("the job has failed") { failures.count > 0 }
                group.cancelAll()
            }
            try await pool.withConnection { try await $0.script("DROP VIEW report; DROP TABLE receipt_2020_01_01") }
            #expect(try await pool.query(Days()) == pool.query(CurrentDays(from: -1, to: 7)))
        }
    }

    @Test(arguments: ["1", "3661", "x"])
    func `a number of days out of range is refused by name`(value: String) {
        #expect {
            try ProxySettingsTests.settings(["RECEIPT_DAYS": value])
        } throws: {
            "\($0)".hasPrefix("RECEIPT_DAYS")
        }
    }
}
