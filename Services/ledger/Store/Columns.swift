import Postgres
import Values

/// A column of rows that a statement writes: its name, its type, and its value in each row.
struct Column<Row>: Sendable {
    let name: String
    fileprivate let type: String
    fileprivate let append: @Sendable (inout Parameters, [Row]) -> Void

    init<Value: PostgresValue>(_ name: String, _ type: String, _ value: @escaping @Sendable (Row) -> Value) {
        (self.name, self.type) = (name, type)
        append = { $0.append($1.map(value)) }
    }

    init<Value: PostgresValue>(nullable name: String, _ type: String, _ value: @escaping @Sendable (Row) -> Value?) {
        (self.name, self.type) = (name, type)
        append = { $0.append($1.map(value)) }
    }

    init<ID: TypedID>(id name: String, _ value: @escaping @Sendable (Row) -> ID) {
        (self.name, type) = (name, "uuid")
        append = { $0.append($1.map(value)) }
    }

    init<ID: TypedID>(nullableID name: String, _ value: @escaping @Sendable (Row) -> ID?) {
        (self.name, type) = (name, "uuid")
        append = { $0.append($1.map(value)) }
    }
}

/// The columns of some rows, listed once. The text of a statement and its parameters both come from
/// the list, so their positions agree.
struct ColumnList<Row>: Sendable {
    private let columns: [Column<Row>]
    private let first: Int

    /// - Parameter first: the position of the first parameter.
    init(from first: Int = 1, _ columns: [Column<Row>]) { (self.first, self.columns) = (first, columns) }

    /// The position of the parameter after the last.
    var next: Int { first + columns.count }

    /// `a, b`
    var names: String { columns.map(\.name).joined(separator: ", ") }

    /// `unnest($1::uuid[]) AS a, unnest($2::bigint[]) AS b`
    var rows: String {
        columns.enumerated().map { "unnest($\(first + $0)::\($1.type)[]) AS \($1.name)" }.joined(separator: ", ")
    }

    /// `a = excluded.a, b = excluded.b`, without the columns of a key.
    func assignments(from source: String, except key: Set<String>) -> String {
        columns.map(\.name).filter { !key.contains($0) }.map { "\($0) = \(source).\($0)" }.joined(separator: ", ")
    }

    func bind(_ rows: [Row], _ parameters: inout Parameters) {
        for column in columns { column.append(&parameters, rows) }
    }
}
