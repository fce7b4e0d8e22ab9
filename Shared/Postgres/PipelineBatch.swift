import CPostgres

/// A statement with its values, erased to what goes over the wire.
struct Request {
    /// The Swift type of a statement that is prepared once per connection; nil for BEGIN, COMMIT and ROLLBACK.
    let key: ObjectIdentifier?
    let sql: String
    let origin: StatementName
    let parameters: Parameters
    /// See ``Statement/statementTimeout``.
    let statementTimeout: Duration?

    init<S: Statement>(_ statement: S) {
        statementTimeout = statement.statementTimeout
        var parameters = Parameters()
        statement.bind(&parameters)
        key = ObjectIdentifier(S.self)
        sql = S.sql
        origin = .statement(S.self)
        self.parameters = parameters
    }

    private init(control sql: String) {
        key = nil
        statementTimeout = nil
        self.sql = sql
        origin = .control(sql)
        parameters = Parameters()
    }

    static func begin(_ isolation: Isolation) -> Request { Request(control: isolation.begin) }
    static let commit = Request(control: "COMMIT")
    static let rollback = Request(control: "ROLLBACK")
}

/// The origin that an error names. Its text is made only for an error.
enum StatementName {
    case statement(any Statement.Type)
    case control(String)

    var name: String {
        switch self {
        case .statement(let type): "\(type)"
        case .control(let sql): sql
        }
    }
}

/// The isolation of a transaction from the others (PostgreSQL manual 13.2).
package enum Isolation: Sendable {
    case readCommitted, repeatableRead, serializable, repeatableReadOnly

    var begin: String {
        switch self {
        case .readCommitted: "BEGIN"
        case .repeatableRead: "BEGIN ISOLATION LEVEL REPEATABLE READ"
        case .serializable: "BEGIN ISOLATION LEVEL SERIALIZABLE"
        case .repeatableReadOnly: "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        }
    }
}

/// Requests that went out behind each other with one sync at their end, and what has come back so far.
///
/// Everything after the first error is skipped by the server, up to the sync; so there is at most one error to keep.
struct PipelineBatch {
    enum Step {
        case prepare(ObjectIdentifier, StatementName)
        /// A statement; `isKept` is true if an earlier batch prepared its plan.
        case execute(StatementName, isKept: Bool)
        case commit
    }

    var steps: [Step]
    let completion: (Result<[QueryResult], PostgresError>) -> Void
    /// The step whose result comes next.
    var cursor = 0
    var results: [QueryResult] = []
    var failure: PostgresError?
    /// True if the server refused a kept plan: a migration changed the type of a result (0A000), or
    /// the plan was deallocated (26000). Every further use would fail in the same way.
    var isPlanStale = false

    init(_ steps: [Step], completion: @escaping (Result<[QueryResult], PostgresError>) -> Void) {
        self.steps = steps
        self.completion = completion
    }

    /// True when losing the connection now leaves open whether the transaction was committed.
    var commitIsUnknown: Bool {
        if failure != nil, cursor <= steps.count, case .commit? = steps[..<cursor].last {
            return true  // the COMMIT itself was answered by the error that ends the connection
        }
        guard failure == nil else { return false }
        return steps[min(cursor, steps.count)...].contains { if case .commit = $0 { true } else { false } }
    }
}

/// Owns a `PGresult`; decoded on the loop by the task that asked.
final class QueryResult: @unchecked Sendable {
    // @unchecked Sendable: libpq never touches a result it has handed out, and only the asking task reads it.
    private let raw: OpaquePointer
    private let origin: StatementName

    init(_ raw: OpaquePointer, _ origin: StatementName) {
        self.raw = raw
        self.origin = origin
    }

    deinit { PQclear(raw) }

    /// Rows touched by INSERT, UPDATE, DELETE, or given by SELECT.
    var rowsAffected: Int { Int(String(cString: PQcmdTuples(raw))) ?? 0 }

    var command: String { String(cString: PQcmdStatus(raw)) }

    func rows<S: Statement>(_: S.Type) throws(PostgresError) -> [S.Output] {
        let count = PQntuples(raw)
        let columns = PQnfields(raw)
        var rows: [S.Output] = []
        rows.reserveCapacity(Int(count))
        for index in 0..<count {
            var reader = RowReader(raw, row: index, columns: columns)
            do {
                rows.append(try S.decode(&reader))
            } catch {
                var error = error
                error.statement = origin.name
                throw error
            }
        }
        return rows
    }
}
