import EventLoop
import Postgres
import TestSupport
import Testing
import Values

// The statements that the suites of this directory share.

struct Echo<Value: PostgresValue>: Statement {
    typealias Output = Value?
    let value: Value?

    static var sql: String { "SELECT $1" }
    func bind(_ parameters: inout Parameters) { parameters.append(value) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Value? { try row.next() }
}

struct EchoArray<Value: PostgresValue>: Statement {
    typealias Output = [Value]
    let values: [Value]

    static var sql: String { "SELECT $1" }
    func bind(_ parameters: inout Parameters) { parameters.append(values) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> [Value] { try row.next() }
}

struct EchoOptionalArray: Statement {
    typealias Output = [String]?
    let values: [String]?

    static let sql = "SELECT $1"
    func bind(_ parameters: inout Parameters) { parameters.append(values) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> [String]? { try row.next() }
}

struct Unnest<Value: PostgresValue>: Statement {
    typealias Output = Value?
    let values: [Value?]

    static var sql: String { "SELECT v FROM unnest($1) WITH ORDINALITY AS u (v, n) ORDER BY n" }
    func bind(_ parameters: inout Parameters) { parameters.append(values) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Value? { try row.next() }
}

struct ReadTime: Statement {
    typealias Output = Instant
    let text: String

    static let sql = "SELECT CAST(CAST($1 AS text) AS timestamptz) AS time"
    func bind(_ parameters: inout Parameters) { parameters.append(text) }
}

struct DivideTen: Statement {
    typealias Output = Int64
    let by: Int64

    static let sql = "SELECT 10 / $1"
    func bind(_ parameters: inout Parameters) { parameters.append(by) }
}

struct CreateNote: Statement {
    let id: Int64
    let text: String

    static let sql = "INSERT INTO note (id, text) VALUES ($1, $2)"
    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(text)
    }
}

struct CountNotes: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM note"
}

struct Sleep: Statement {
    let seconds: Double
    static let sql = "SELECT pg_sleep($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(seconds) }
}

struct BackendID: Statement {
    typealias Output = Int32
    static let sql = "SELECT pg_backend_pid()"
}

struct Terminate: Statement {
    typealias Output = Bool
    let backend: Int32
    static let sql = "SELECT pg_terminate_backend($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(backend) }
}

struct IsAsleep: Statement {
    typealias Output = Bool
    let backend: Int32
    static let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep')"
    func bind(_ parameters: inout Parameters) { parameters.append(backend) }
}

/// Kills a backend as soon as it is seen inside `pg_sleep`.
func terminate(_ backend: Int32, onceAsleepOn pool: PostgresPool) async throws {
    try await until { try await pool.one(IsAsleep(backend: backend)) }
    #expect(try await pool.one(Terminate(backend: backend)))
}

struct ReadNullAsInteger: Statement {
    typealias Output = Int64
    static let sql = "SELECT NULL::bigint AS amount"
}

struct ReadTextAsInteger: Statement {
    typealias Output = Int64
    static let sql = "SELECT 'x'::text AS label"
}

struct ReadTwoOfOne: Statement {
    static let sql = "SELECT 1::bigint"
    static func decode(_ row: inout RowReader) throws(PostgresError) {
        _ = try row.next(Int64.self)
        _ = try row.next(Int64.self)
    }
}
