/// An error of Postgres or of the connection to it, with the server's own message if it sent one.
package struct PostgresError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The server refused a statement; `sqlState` is set. The connection lives on.
        case server
        /// The connection died. A statement that was under way outside a transaction may or may not have taken effect.
        case connectionLost = "connection_lost"
        /// The connection died between sending COMMIT and its answer: the transaction may or may not be in the database.
        case commitUnknown = "commit_unknown"
        /// COMMIT was answered by ROLLBACK: an earlier error was swallowed inside the transaction.
        case rolledBack = "rolled_back"
        case connectFailed = "connect_failed"
        /// No connection came free in time; `cause` says why the last attempt to open one failed, if it did.
        case poolTimedOut = "pool_timed_out"
        /// More tasks wait for a connection than `waitersMax`.
        case poolSaturated = "pool_saturated"
        case poolClosed = "pool_closed"
        /// A second statement on a connection whose first is under way: one connection serves one task at a time.
        case connectionBusy = "connection_busy"
        /// A column or a parameter does not have the type, or the NULL, that the Swift side declares.
        case typeMismatch = "type_mismatch"
        /// A statement that must give a row gave none.
        case rowMissing = "row_missing"
        /// An applied migration was changed, removed, or has a new one before it.
        case migrationRefused = "migration_refused"
    }

    package var code: Code
    package var message: String
    package var sqlState: SQLState?
    /// Name of the violated constraint, for SQLSTATE class 23.
    package var constraint: String?
    /// May quote values of the row, so it is not part of `description` and must not be logged.
    package var detail: String?
    /// The Swift type of the statement that failed.
    package var statement: String?
    package var cause: (any Error)?

    package init(
        _ code: Code, _ message: String, sqlState: SQLState? = nil, constraint: String? = nil, detail: String? = nil,
        statement: String? = nil, cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
        self.constraint = constraint
        self.detail = detail
        self.statement = statement
        self.cause = cause
    }

    /// True when the work conflicted with another transaction, or hit a time limit. The same work may
    /// succeed at once.
    package var isConflict: Bool {
        switch sqlState {
        case .serializationFailure, .deadlockDetected, .lockNotAvailable, .queryCanceled: true
        default: false
        }
    }

    /// True when another connection, now or later, is needed before anything can succeed.
    package var isDatabaseUnavailable: Bool {
        switch code {
        case .connectionLost, .connectFailed, .poolTimedOut, .poolSaturated, .commitUnknown: true
        case .server: sqlState.map { $0.errorClass == .connectionException || $0.isShutdown || Self.ofTheServer.contains($0) } ?? false
        default: false
        }
    }

    /// True when the same work, begun again from its first statement, may succeed. After
    /// ``Code/commitUnknown`` and ``Code/connectionLost`` it may have taken effect already: a caller
    /// that repeats it must know that it is idempotent.
    package var isTransient: Bool { isConflict || isDatabaseUnavailable }

    /// Read-only after a failover, full disk, too many connections, I/O error: no statement is at fault, so none may be given up for it.
    private static let ofTheServer: Set<SQLState> = [.readOnlyTransaction, .diskFull, .tooManyConnections, .ioError]

    package func isViolation(of constraint: String) -> Bool { self.constraint == constraint }

    package var description: String {
        var text = "postgres \(code.rawValue)"
        if let sqlState { text += " [\(sqlState)]" }
        text += ": \(message)"
        if let constraint { text += ", constraint \(constraint)" }
        if let statement { text += ", in \(statement)" }
        if let cause { text += ", because of: \(cause)" }
        return text
    }
}
