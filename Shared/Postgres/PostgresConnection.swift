import EventLoop

/// A connection or a transaction, on which statements run. One statement or pipeline at a time.
package protocol PostgresExecutor {
    /// Sends `requests` in one round trip and gives their results, in order.
    func send(_ batch: StatementBatch) async throws -> StatementResults
}

/// Statements on their way out; opaque outside this module.
package struct StatementBatch {
    var requests: [Request] = []
    mutating func append(_ statement: some Statement) { requests.append(Request(statement)) }
}

/// Their results; opaque outside this module.
package struct StatementResults {
    var results: ArraySlice<QueryResult>
    mutating func next<S: Statement>(_: S.Type) throws -> [S.Output] { try results.removeFirst().rows(S.self) }
}

extension PostgresExecutor {
    package func query<S: Statement>(_ statement: S) async throws -> [S.Output] {
        try await pipeline(statement)
    }

    /// - Throws: `PostgresError` code `rowMissing` when there is none.
    package func one<S: Statement>(_ statement: S) async throws -> S.Output {
        guard let row = try await first(statement) else { throw PostgresError(.rowMissing, "no row", statement: "\(S.self)") }
        return row
    }

    package func first<S: Statement>(_ statement: S) async throws -> S.Output? {
        try await query(statement).first
    }

    /// - Returns: rows inserted, updated, deleted, or selected.
    @discardableResult
    package func execute<S: Statement>(_ statement: S) async throws -> Int {
        var batch = StatementBatch()
        batch.append(statement)
        return try await send(batch).results.first?.rowsAffected ?? 0
    }

    /// Runs several statements in one round trip, in order. The first error skips the rest and, outside a transaction, undoes all.
    package func pipeline<each S: Statement>(_ statements: repeat each S) async throws -> (repeat [(each S).Output]) {
        var batch = StatementBatch()
        for statement in repeat each statements { batch.append(statement) }
        var incoming = try await send(batch)
        return (repeat try incoming.next((each S).self))
    }

    /// The same statement with other values, many times in one round trip. With `unnest` it would be one statement: prefer that.
    package func pipeline<S: Statement>(_ statements: [S]) async throws -> [[S.Output]] {
        guard !statements.isEmpty else { return [] }
        var batch = StatementBatch()
        for statement in statements { batch.append(statement) }
        var incoming = try await send(batch)
        return try statements.map { _ in try incoming.next(S.self) }
    }
}

/// A connection lent by the pool to one task, until the closure it was lent to returns.
package final class PostgresConnection: PostgresExecutor {
    let session: PostgresSession

    init(_ session: PostgresSession) { self.session = session }

    package func send(_ batch: StatementBatch) async throws -> StatementResults {
        StatementResults(results: try await session.run(batch.requests)[...])
    }

    /// Runs `body` in a transaction: commits when it returns, rolls back when it throws.
    ///
    /// BEGIN travels with the first statement; a body that runs none costs no round trip. A
    /// cancelled task rolls back, unless it had begun to commit: then it waits for the answer to
    /// COMMIT.
    /// - Throws: what `body` throws; ``PostgresError/Code/commitUnknown`` when the connection died on COMMIT.
    package func transaction<Value>(
        isolation: Isolation = .readCommitted, _ body: (PostgresTransaction) async throws -> Value
    ) async throws -> Value {
        let transaction = PostgresTransaction(session, isolation)
        let value: Value
        do {
            value = try await body(transaction)
        } catch {
            await transaction.rollback()
            throw error
        }
        try await transaction.commit()
        return value
    }

    /// Runs a text of many statements by the simple protocol: migrations and test set-up only.
    package func script(_ sql: String) async throws {
        try await session.run(script: sql)
    }
}

extension PostgresSession {
    /// A cancelled task goes on at once; the batch runs to its end without it, and the pool waits for that.
    func run(_ requests: [Request]) async throws -> [QueryResult] {
        loop.preconditionCurrent()
        try Task.checkCancellation()
        let wait = Promise<[QueryResult]>(on: loop)
        submit(requests) { wait.resolve($0.mapError { $0 }) }
        return try await wait.value()
    }

    /// Like ``run(_:)``, but a cancelled task waits too: for COMMIT and ROLLBACK, whose outcome must be known.
    /// Bounded by the session's limit for an answer.
    func runToEnd(_ requests: [Request]) async throws -> [QueryResult] {
        loop.preconditionCurrent()
        return try await withCheckedThrowingContinuation { continuation in
            submit(requests) { continuation.resume(with: $0) }
        }
    }

    func run(script sql: String) async throws {
        loop.preconditionCurrent()
        try Task.checkCancellation()
        let wait = Promise<Void>(on: loop)
        script(sql) { wait.resolve($0.mapError { $0 }) }
        try await wait.value()
    }
}
