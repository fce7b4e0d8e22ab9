import CPostgres
package import Values

/// Reads the columns of one row in the order the statement names them. Valid only inside `decode`.
package struct RowReader {
    private let result: OpaquePointer
    private let row: Int32
    private let columns: Int32
    private var column: Int32 = 0

    init(_ result: OpaquePointer, row: Int32, columns: Int32) {
        self.result = result
        self.row = row
        self.columns = columns
    }

    /// - Throws: `typeMismatch` when the column has another type, holds NULL or does not exist.
    package mutating func next<Value: PostgresValue>(_: Value.Type = Value.self) throws(PostgresError) -> Value {
        guard let value = try next(Value?.self) else { throw mismatch(column - 1, "is NULL, \(Value.self) expected") }
        return value
    }

    /// NULL reads as nil.
    package mutating func next<Value: PostgresValue>(_: Value?.Type = Value?.self) throws(PostgresError) -> Value? {
        guard let bytes = try take(Value.reads, expecting: "\(Value.self)") else { return nil }
        guard let value = Value(postgres: bytes) else { throw mismatch(column - 1, "holds no \(Value.self)") }
        return value
    }

    package mutating func next<ID: TypedID>(_: ID.Type = ID.self) throws(PostgresError) -> ID {
        ID(rawValue: try next(UUIDv7.self))
    }

    package mutating func next<ID: TypedID>(_: ID?.Type = ID?.self) throws(PostgresError) -> ID? {
        try next(UUIDv7?.self).map { ID(rawValue: $0) }
    }

    /// A one-dimensional array without NULLs.
    package mutating func next<Value: PostgresValue>(_: [Value].Type = [Value].self) throws(PostgresError) -> [Value] {
        guard let values = try next([Value]?.self) else { throw mismatch(column - 1, "is NULL, [\(Value.self)] expected") }
        return values
    }

    /// A one-dimensional array without NULLs in it. NULL reads as nil.
    package mutating func next<Value: PostgresValue>(_: [Value]?.Type = [Value]?.self) throws(PostgresError) -> [Value]? {
        guard let bytes = try take({ $0 == Value.arrayTypeID }, expecting: "[\(Value.self)]") else { return nil }
        guard let values = Self.elements(bytes, Value.self) else { throw mismatch(column - 1, "holds no [\(Value.self)]") }
        return values
    }

    static func elements<Value: PostgresValue>(_ bytes: UnsafeRawBufferPointer, _: Value.Type) -> [Value]? {
        func integer(at offset: Int) -> Int? {
            guard offset + 4 <= bytes.count else { return nil }
            return Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)))
        }
        guard let dimensions = integer(at: 0) else { return nil }
        if dimensions == 0 { return [] }
        // An element has at least its length, in four bytes.
        guard dimensions == 1, let count = integer(at: 12), count >= 0, count <= (bytes.count - 20) / 4 else { return nil }
        var values: [Value] = []
        values.reserveCapacity(count)
        var offset = 20
        for _ in 0..<count {
            guard let length = integer(at: offset), length >= 0, offset + 4 + length <= bytes.count,
                let value = Value(postgres: UnsafeRawBufferPointer(rebasing: bytes[offset + 4..<offset + 4 + length]))
            else { return nil }
            values.append(value)
            offset += 4 + length
        }
        return values
    }

    /// The bytes of the next column, nil for NULL.
    private mutating func take(
        _ reads: (TypeID) -> Bool, expecting type: @autoclosure () -> String
    ) throws(PostgresError) -> UnsafeRawBufferPointer? {
        guard column < columns else {
            throw PostgresError(.typeMismatch, "the statement gives \(columns) columns, a further \(type()) was expected")
        }
        defer { column += 1 }
        let found = TypeID(PQftype(result, column))
        guard reads(found) else { throw mismatch(column, "is \(found), \(type()) expected") }
        if PQgetisnull(result, row, column) != 0 { return nil }
        return UnsafeRawBufferPointer(start: PQgetvalue(result, row, column), count: Int(PQgetlength(result, row, column)))
    }

    private func mismatch(_ column: Int32, _ what: String) -> PostgresError {
        let name = PQfname(result, column).map { String(cString: $0) } ?? "?"
        return PostgresError(.typeMismatch, "column \(column + 1) \"\(name)\" \(what)")
    }
}
