/// A transaction under way. Valid until the closure it was handed to returns, or until ``commit(_:)``.
package final class PostgresTransaction: PostgresExecutor {
    private enum State { case notBegun, open, ended }

    private let session: PostgresSession
    private let isolation: Isolation
    private var state = State.notBegun
    private var commitActions: [() -> Void] = []

    init(_ session: PostgresSession, _ isolation: Isolation) {
        self.session = session
        self.isolation = isolation
    }

    package func send(_ batch: StatementBatch) async throws -> StatementResults {
        StatementResults(results: try await send(batch.requests))
    }

    private func send(_ requests: [Request]) async throws -> ArraySlice<QueryResult> {
        switch state {
        case .open: return try await session.run(requests)[...]
        case .notBegun:
            try Task.checkCancellation()
            state = .open
            return try await session.run([.begin(isolation)] + requests).dropFirst()
        case .ended: preconditionFailure("a transaction is used after its end")
        }
    }

    /// Runs `action` on the loop right after a COMMIT that the server confirmed; not after a rollback or an unknown outcome.
    package func onCommit(_ action: @escaping () -> Void) { commitActions.append(action) }

    /// Sends the last statements and COMMIT in one round trip, and ends the transaction.
    ///
    /// An error in a statement skips the COMMIT and is thrown; the transaction is then rolled back.
    /// A cancelled task commits all the same, so that what it did before is recorded.
    @discardableResult
    package func commit<each S: Statement>(_ statements: repeat each S) async throws -> (repeat [(each S).Output]) {
        var requests: [Request] = []
        for statement in repeat each statements { requests.append(Request(statement)) }
        var incoming = StatementResults(results: try await commit(after: requests))
        return (repeat try incoming.next((each S).self))
    }

    /// Commits what is open; nothing when nothing was sent or ``commit(_:)`` ran already.
    func commit() async throws {
        _ = try await commit(after: [])
    }

    private func commit(after requests: [Request]) async throws -> ArraySlice<QueryResult> {
        var sent = requests + [.commit]
        switch state {
        case .notBegun where requests.isEmpty:
            state = .ended
            finish()
            return []
        case .notBegun: sent.insert(.begin(isolation), at: 0)
        case .open: break
        case .ended where requests.isEmpty: return []
        case .ended: preconditionFailure("a transaction is used after its end")
        }
        let begins = sent.count - requests.count - 1
        do {
            state = .open
            let results = try await session.runToEnd(sent)
            state = .ended
            guard results.last?.command == "COMMIT" else {
                throw PostgresError(.rolledBack, "an earlier statement of this transaction failed")
            }
            finish()
            return results.dropFirst(begins).dropLast()
        } catch {
            if state != .ended { await rollback() }
            throw error
        }
    }

    private func finish() {
        let actions = commitActions
        commitActions = []
        for action in actions { action() }
    }

    /// Undoes everything and ends the transaction; the closure may still return a value.
    ///
    /// Waits for ROLLBACK where that is possible; a busy connection is rolled back by the pool when it comes back.
    package func rollback() async {
        guard state == .open else {
            state = .ended
            return
        }
        state = .ended
        guard !session.isBusy, !session.isDead, session.isInTransaction else { return }
        // An error here is the connection's death, which ends the transaction as well.
        _ = try? await session.runToEnd([.rollback])
    }

    /// Runs a text of many statements by the simple protocol inside the transaction: for migrations.
    package func script(_ sql: String) async throws {
        if state == .notBegun { _ = try await send([]) }
        try await session.run(script: sql)
    }
}
