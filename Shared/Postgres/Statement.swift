import EventLoop

/// One SQL statement: its text, what it binds and how a row of it reads, together.
///
/// The text is prepared on first use per connection, in the same round trip, and stays prepared. The SQL must be the same for
/// all values of one type.
package protocol Statement: Sendable {
    associatedtype Output: Sendable = Void
    static var sql: String { get }
    func bind(_ parameters: inout Parameters)
    /// The `statement_timeout` that this statement sets for its transaction; nil if it sets none.
    /// The client then waits as long for the transaction's statements, and a margin.
    var statementTimeout: Duration? { get }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output
}

extension Statement {
    package func bind(_ parameters: inout Parameters) {}
    package var statementTimeout: Duration? { nil }
}

extension Statement where Output == Void {
    package static func decode(_ row: inout RowReader) throws(PostgresError) {}
}

extension Statement where Output: PostgresValue {
    package static func decode(_ row: inout RowReader) throws(PostgresError) -> Output { try row.next(Output.self) }
}

/// Allows the statements of a transaction another time than the pool's `statementTimeout`.
package struct LimitStatements: Statement {
    private let within: Duration

    package init(within: Duration) { self.within = within }

    package static let sql = "SELECT set_config('statement_timeout', $1, true)"
    package func bind(_ parameters: inout Parameters) { parameters.append("\(Int(within.milliseconds))") }
    package var statementTimeout: Duration? { within }
}
