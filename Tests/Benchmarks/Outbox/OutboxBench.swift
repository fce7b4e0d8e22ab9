import AMQP
import Contracts
import EventLoop
import Foundation
import Outbox
import Postgres
import Telemetry
import Values

/// Measures how fast one relay sends a backlog of the outbox to a quorum queue, in rows a second,
/// by the number of ordering keys that share the rows.
///
/// | variable | default | |
/// |---|---|---|
/// | `BENCH_ROWS` | `20000` | rows in the outbox when the relay starts |
/// | `BENCH_KEYS` | `0,1,100` | ordering keys that share the rows in turn; 0: rows without a key |
struct OutboxBench {
    let stack: BenchStack
    let loop: EventLoop
    private let rows = Self.numbers("BENCH_ROWS", [20_000])[0]
    private let keys = Self.numbers("BENCH_KEYS", [0, 1, 100])
    private let log = Logger(service: "bench", level: .error)

    init(stack: BenchStack, loop: EventLoop) {
        self.stack = stack
        self.loop = loop
    }

    private static func numbers(_ name: String, _ fallback: [Int]) -> [Int] {
        let given = ProcessInfo.processInfo.environment[name]?.split(separator: ",").compactMap { Int($0) } ?? []
        return given.isEmpty ? fallback : given
    }

    func run() async throws {
        try Machine(stack).describe()
        try stack.createDatabase("outbox_bench")
        var configuration = PostgresPool.Configuration(url: try stack.superuserURL(database: "outbox_bench"), applicationName: "bench")
        configuration.searchPath = "bench"
        let pool = PostgresPool(loop: loop, configuration: configuration, log: log)
        _ = try await Migrator(pool: pool).migrate(directories: ["Shared/Outbox/Migrations"], schema: "bench")
        print("\nA backlog of \(rows) rows, sent by one relay to a quorum queue.\n")
        var table = Table(header: ["ordering keys", "seconds", "rows/s"])
        for count in keys {
            try await fill(pool, keys: count)
            let seconds = try await drain(pool) / .seconds(1)
            table.rows.append([count == 0 ? "none" : "\(count)", rounded(seconds), rounded(Double(rows) / seconds, 0)])
        }
        await pool.close()
        table.print()
    }

    private func fill(_ pool: PostgresPool, keys: Int) async throws {
        for first in stride(from: 0, to: rows, by: 1_000) {
            let messages = (first..<min(rows, first + 1_000)).map { row in
                OutboxMessage(
                    UserVerified(userID: .make(), email: "\(row)@bench.local", verifiedAt: .now()),
                    orderingKey: keys == 0 ? nil : "\(row % keys)")
            }
            try await pool.transaction { try await Outbox.add(messages, in: $0) }
        }
    }

    /// Measures the time from the relay's start until no row is unsent.
    private func drain(_ pool: PostgresPool) async throws -> Duration {
        let publisher = AMQPPublisher(try AMQPConfiguration(url: try stack.broker("url"), connectionName: "bench"), log: log)
        let connection = Task { await publisher.run() }
        guard await publisher.connected(within: .seconds(10)) else { throw BenchError(description: "the broker does not answer") }
        let relay = OutboxRelay(pool: pool, publisher: publisher, log: log)
        let started = MonotonicInstant.current()
        let relaying = Task(executorPreference: loop) { try await relay.run() }
        while try await pool.one(HasUnsent()) { try await loop.sleep(for: .milliseconds(20)) }
        let took = MonotonicInstant.current() - started
        await relay.stop()
        try await relaying.value
        await publisher.stop()
        await connection.value
        return took
    }
}

private struct HasUnsent: Statement {
    typealias Output = Bool
    static let sql = "SELECT EXISTS (SELECT FROM outbox WHERE sent_at IS NULL)"
}
