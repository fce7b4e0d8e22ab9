package import EventLoop
package import Telemetry

/// A bounded set of connections to one database, on one loop.
///
/// A task borrows a connection and is the only one to use it until it gives it back; those that find none wait in order. A dead
/// connection is replaced; attempts to open one back off with jitter, from 100 ms to 5 s. Confined to its loop: call it from tasks
/// that prefer the loop.
package final class PostgresPool: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop.

    package struct Configuration: Sendable {
        /// A libpq URL, `postgresql://user:password@host:port/database?sslmode=verify-full`. Several
        /// hosts are tried in order until one takes writes. After a failed attempt the next one
        /// begins at the next address.
        package var url: String
        package var connectionsMax = 8
        package var connectWithin: Duration = .seconds(5)
        package var acquireWithin: Duration = .seconds(5)
        /// Tasks that may wait for a connection; one more is refused with `poolSaturated`.
        package var waitersMax = 4096
        /// `statement_timeout`; the server cancels what takes longer (57014).
        package var statementTimeout: Duration = .seconds(30)
        /// The time by which an answer may be later than the server's limit for the statement. Then
        /// the server is taken for dead, and the connection is closed. Checked once a second.
        package var answerMargin: Duration = .seconds(5)
        /// `idle_in_transaction_session_timeout`: a task that hangs inside a transaction loses its connection and its locks.
        package var idleInTransactionTimeout: Duration = .seconds(30)
        /// How long a connection whose borrower left in the middle may take to come to rest before it is closed.
        package var resetWithin: Duration = .seconds(5)
        package var applicationName: String
        /// Instead of the role's own search path.
        package var searchPath: String?

        package init(url: String, applicationName: String) {
            self.url = url
            self.applicationName = applicationName
        }
    }

    package let loop: EventLoop
    private let configuration: Configuration
    private let log: Logger
    private let metrics: PoolMetrics

    private var idle: [PostgresSession] = []
    private var lent = 0 { didSet { metrics.used.add(Int64(lent - oldValue)) } }
    private var opening = 0
    private var waiters: [Waiter] = []
    private var failures = 0
    private var lastFailure: PostgresError?
    private var retryTimer: TimerID?
    private var keepsOne = false
    private var isClosed = false
    private var whenEmpty: [() -> Void] = []
    private var runWait: Promise<Void>?

    private struct Waiter {
        let id: ObjectIdentifier
        let wait: Promise<PostgresSession>
    }

    package init(loop: EventLoop, configuration: Configuration, log: Logger, metrics: Metrics = .shared) {
        self.loop = loop
        self.configuration = configuration
        self.log = log
        self.metrics = PoolMetrics(metrics)
    }

    /// True while a connection is open and the last attempt to open one did not fail.
    package var isReady: Bool { !isClosed && idle.count + lent > 0 && failures == 0 }

    package var connectionsOpen: Int { idle.count + lent }
    package var connectionsIdle: Int { idle.count }
    package var tasksWaiting: Int { waiters.count }

    // MARK: Life

    /// Keeps at least one connection open until ``close(within:)`` or cancellation. The pool also works without it, opening on demand.
    package func run() async throws {
        loop.preconditionCurrent()
        keepsOne = true
        openIfNeeded()
        let wait = Promise<Void>(on: loop)
        runWait = wait
        if isClosed { return }
        do {
            try await wait.value()
        } catch {
            await close()
        }
    }

    /// Refuses new borrowers, fails those that wait, closes idle connections at once and lent ones as they come back, but waits no
    /// longer than `limit`.
    package func close(within limit: Duration = .seconds(5)) async {
        loop.preconditionCurrent()
        isClosed = true
        if let retryTimer { loop.cancel(retryTimer) }
        for waiter in waiters { waiter.wait.fail(PostgresError(.poolClosed, "the pool is closed")) }
        waiters = []
        for session in idle { session.close() }
        idle = []
        if lent + opening > 0 {
            let empty = Promise<Void>(on: loop)
            whenEmpty.append { empty.succeed(()) }
            let timer = loop.schedule(after: limit) { empty.succeed(()) }
            // Cancellation ends the waiting only: everything is closed either way.
            try? await empty.value()
            loop.cancel(timer)
        }
        runWait?.succeed(())
    }

    // MARK: Borrowing

    /// Lends a connection to `body`. Left in the middle of something (an error, a cancelled task), it is rolled back before
    /// another task gets it.
    package func withConnection<Value>(_ body: (PostgresConnection) async throws -> Value) async throws -> Value {
        let session = try await acquire()
        defer { giveBack(session) }
        return try await body(PostgresConnection(session))
    }

    /// See ``PostgresConnection/transaction(isolation:_:)``.
    package func transaction<Value>(
        isolation: Isolation = .readCommitted, _ body: (PostgresTransaction) async throws -> Value
    ) async throws -> Value {
        try await withConnection { try await $0.transaction(isolation: isolation, body) }
    }

    private func acquire() async throws -> PostgresSession {
        loop.preconditionCurrent()
        try Task.checkCancellation()
        guard !isClosed else { throw PostgresError(.poolClosed, "the pool is closed") }
        if waiters.isEmpty, let session = idle.popLast() {
            lent += 1
            return session
        }
        guard waiters.count < configuration.waitersMax else {
            throw PostgresError(.poolSaturated, "\(waiters.count) tasks wait for a connection already")
        }
        let since = MonotonicInstant.current()
        metrics.pending.add(1)
        defer {
            metrics.pending.add(-1)
            metrics.waitSeconds.observe(MonotonicInstant.current() - since)
        }
        let wait = Promise<PostgresSession>(on: loop)
        let waiter = Waiter(id: ObjectIdentifier(wait), wait: wait)
        waiters.append(waiter)
        openIfNeeded()
        do {
            return try await wait.value(
                within: configuration.acquireWithin,
                elseThrow: PostgresError(
                    .poolTimedOut, "no connection within \(self.configuration.acquireWithin)", cause: self.lastFailure))
        } catch {
            waiters.removeAll { $0.id == waiter.id }
            if (error as? PostgresError)?.code == .poolTimedOut { metrics.timeouts.add() }
            throw error
        }
    }

    private func giveBack(_ session: PostgresSession) {
        if session.isDead {
            lent -= 1
            return openOrRetry()
        }
        if !session.isBusy, !session.isInTransaction { return lend(session) }
        let timer = loop.schedule(after: configuration.resetWithin) { session.close() }
        session.reset { [self] error in
            loop.cancel(timer)
            guard error == nil else {
                lent -= 1
                return openOrRetry()
            }
            lend(session)
        }
    }

    /// Hands a lent session that is at rest to the first who waits, or puts it away.
    private func lend(_ session: PostgresSession) {
        guard !isClosed else {
            session.close()
            lent -= 1
            return openOrRetry()
        }
        while !waiters.isEmpty {
            // False: the waiter ran out of time or was cancelled, and is about to find out.
            if waiters.removeFirst().wait.succeed(session) { return }
        }
        lent -= 1
        idle.append(session)
    }

    // MARK: Opening

    private func openIfNeeded() {
        guard !isClosed, retryTimer == nil else { return }
        while idle.count + lent + opening < configuration.connectionsMax, opening < wanted { open() }
    }

    private var wanted: Int { max(waiters.count, keepsOne && idle.isEmpty && lent == 0 ? 1 : 0) }

    private func open() {
        opening += 1
        // Ends by itself: a look-up, then the session's own time limit. It counts as `opening` until then.
        Task(executorPreference: loop) { [self] in
            do throws(PostgresError) {
                let hosts = try Hosts(configuration.url)
                connect(try await options + hosts.options(attempt: failures, within: configuration.connectWithin, on: loop))
            } catch {
                openFailed(error)
            }
        }
    }

    private func connect(_ options: [(String, String)]) {
        let session = PostgresSession(
            loop: loop, statementTimeout: configuration.statementTimeout, answerMargin: configuration.answerMargin)
        session.connect(options, within: configuration.connectWithin) { [self] error in
            if let error { return openFailed(error) }
            session.submit([Request(SessionSettings(configuration: configuration))]) { [self] result in
                switch result {
                case .failure(let error):
                    session.close()
                    openFailed(error)
                case .success:
                    opened(session)
                }
            }
        }
    }

    private func opened(_ session: PostgresSession) {
        if failures > 0 { log.info("database connected again", ["attempts": .integer(failures + 1)]) }
        opening -= 1
        failures = 0
        lastFailure = nil
        session.onDeath = { [self, unowned session] error in
            log.warning("database connection lost", ["connections": .integer(connectionsOpen)], error: error)
            if session.othersAreSuspect { closeIdle() }
            // A lent one is counted out when its borrower gives it back.
            if let index = idle.firstIndex(where: { $0 === session }) {
                idle.remove(at: index)
                openOrRetry()
            }
        }
        lent += 1
        lend(session)
        openIfNeeded()
    }

    private func closeIdle() {
        let sessions = idle.filter { !$0.isDead }
        idle.removeAll { !$0.isDead }
        for session in sessions { session.close() }
    }

    private func openFailed(_ error: PostgresError) {
        opening -= 1
        failures += 1
        lastFailure = PostgresError(
            .connectFailed, error.message, sqlState: error.sqlState, cause: error.code == .connectFailed ? nil : error)
        // Once when it begins, then now and then: an outage of an hour is not a thousand lines.
        if failures == 1 || failures % 20 == 0 {
            log.warning("database connection failed", ["attempts": .integer(failures)], error: lastFailure)
        }
        openOrRetry()
    }

    /// After a connection was lost or not got: opens what is still wanted, later if the server seems down.
    private func openOrRetry() {
        if isClosed {
            guard lent + opening == 0 else { return }
            for action in whenEmpty { action() }
            whenEmpty = []
            return
        }
        guard failures > 0 else { return openIfNeeded() }
        guard retryTimer == nil, wanted > 0 else { return }
        let ceiling = min(5_000, 100 << min(failures, 6))
        retryTimer = loop.schedule(after: .milliseconds(Int.random(in: ceiling / 2...ceiling))) { [self] in
            retryTimer = nil
            openIfNeeded()
        }
    }

    private var options: [(String, String)] {
        [
            ("dbname", configuration.url),
            ("application_name", configuration.applicationName),
            ("target_session_attrs", "read-write"),
            ("client_encoding", "UTF8"),
            // A server that vanished without a word is noticed after ten seconds.
            ("keepalives_idle", "5"), ("keepalives_interval", "2"), ("keepalives_count", "3"), ("tcp_user_timeout", "10000"),
        ]
    }
}

extension PostgresPool: PostgresExecutor {
    package func send(_ batch: StatementBatch) async throws -> StatementResults {
        try await withConnection { try await $0.send(batch) }
    }
}

/// The metrics of all pools of the process together.
private struct PoolMetrics {
    let used: Gauge
    let pending: Gauge
    let waitSeconds: Histogram
    let timeouts: Counter

    init(_ metrics: Metrics) {
        used = metrics.gauge("db_client_connection_used", help: "Database connections lent to a task")
        pending = metrics.gauge("db_client_connection_pending_requests", help: "Tasks that wait for a database connection")
        waitSeconds = metrics.histogram("db_client_connection_wait_seconds", help: "How long those waited that found none idle")
        timeouts = metrics.counter("db_client_connection_timeouts_total", help: "Tasks that got no database connection in time")
    }
}

/// Set once per connection, by name, so that they work behind any URL and any pooler that keeps sessions.
private struct SessionSettings: Statement {
    let configuration: PostgresPool.Configuration

    static let sql = """
        SELECT set_config('statement_timeout', $1, false),
            set_config('idle_in_transaction_session_timeout', $2, false),
            set_config('search_path', coalesce($3, current_setting('search_path')), false),
            set_config('TimeZone', 'UTC', false)
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append("\(Int(configuration.statementTimeout.milliseconds))")
        parameters.append("\(Int(configuration.idleInTransactionTimeout.milliseconds))")
        parameters.append(configuration.searchPath)
    }
}
