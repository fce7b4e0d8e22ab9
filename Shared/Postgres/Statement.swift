/// One SQL statement: its text, what it binds and how a row of it reads, together.
///
/// The text is prepared on first use per connection, in the same round trip, and stays prepared. The SQL must be the same for
/// all values of one type.
package protocol Statement: Sendable {
    associatedtype Output: Sendable = Void
    static var sql: String { get }
    func bind(_ parameters: inout Parameters)
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output
}

extension Statement {
    package func bind(_ parameters: inout Parameters) {}
}

extension Statement where Output == Void {
    package static func decode(_ row: inout RowReader) throws(PostgresError) {}
}

extension Statement where Output: PostgresValue {
    package static func decode(_ row: inout RowReader) throws(PostgresError) -> Output { try row.next(Output.self) }
}
