import EventLoop
import Jobs
import Postgres
import Telemetry

/// Makes and drops partitions of the inbox, deletes old rows, and measures what waits.
struct MessageUpkeep: Sendable {
    let pool: PostgresPool
    let metrics: MessageMetrics

    var jobs: [Job] {
        [
            Job("message tables", every: .seconds(600), within: .seconds(300), leader: pool) { try await tidy() },
            Job("message gauges", every: .seconds(10)) { try await measure() },
        ]
    }

    /// Deletes in steps, so that no lock is held for long.
    private func tidy() async throws {
        try await pool.transaction { transaction in
            try await transaction.execute(LimitLockWait())
            try await transaction.execute(TendInbox())
        }
        while try await pool.execute(DeleteSentMessages()) == DeleteSentMessages.step {}
        while try await pool.execute(DeleteClosedDeadLetters()) == DeleteSentMessages.step {}
    }

    private func measure() async throws {
        let (outbox, letters) = try await pool.pipeline(MeasureOutbox(), MeasureDeadLetters())
        if let outbox = outbox.first {
            metrics.pending.set(outbox.count)
            metrics.oldestAge.set(outbox.oldestSeconds)
        }
        if let letters = letters.first {
            metrics.retryPending.set(letters.retry)
            metrics.parked.set(letters.parked)
            metrics.deadLetterOldestAge.set(letters.oldestSeconds)
        }
    }
}

/// Attaching and dropping partitions lock the whole inbox for a moment. All handlers would wait
/// behind a lock that is not free.
private struct LimitLockWait: Statement {
    static let sql = "SELECT set_config('lock_timeout', '2s', true)"
}

/// Makes and drops partitions, so that handled messages are remembered for fourteen days.
private struct TendInbox: Statement {
    static let sql = "SELECT inbox_create_partitions(0, 14), inbox_drop_partitions(15)"
}

private struct DeleteSentMessages: Statement {
    static let step = 5_000
    static let sql = """
        DELETE FROM outbox
        WHERE seq IN (
            SELECT seq
            FROM outbox
            WHERE sent_at < clock_timestamp() - interval '14 days'
            LIMIT 5000
            FOR UPDATE SKIP LOCKED)
        """
}

private struct DeleteClosedDeadLetters: Statement {
    static let sql = """
        DELETE FROM dead_letter
        WHERE ctid IN (
            SELECT ctid
            FROM dead_letter
            WHERE state IN ('resolved', 'discarded') AND last_failed_at < clock_timestamp() - interval '90 days'
            LIMIT 5000
            FOR UPDATE SKIP LOCKED)
        """
}

private struct MeasureOutbox: Statement {
    static let sql = """
        SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::bigint
        FROM (SELECT created_at FROM outbox WHERE sent_at IS NULL ORDER BY seq LIMIT 100000) AS pending
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> (count: Int64, oldestSeconds: Int64) {
        (try row.next(), try row.next())
    }
}

private struct MeasureDeadLetters: Statement {
    static let sql = """
        SELECT count(*) FILTER (WHERE state <> 'parked'), count(*) FILTER (WHERE state = 'parked'),
            coalesce(extract(epoch FROM clock_timestamp() - min(first_failed_at) FILTER (WHERE state = 'parked')), 0)::bigint
        FROM dead_letter
        WHERE state IN ('retry', 'replay', 'parked')
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> (retry: Int64, parked: Int64, oldestSeconds: Int64) {
        (try row.next(), try row.next(), try row.next())
    }
}
