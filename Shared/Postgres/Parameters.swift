package import Values

/// The values of one statement, `$1` first, already in Postgres's binary format.
///
/// The types appended must be the same for every instance of a statement: the server fixes them when it prepares.
package struct Parameters {
    private(set) var types: [UInt32] = []
    private(set) var bytes: [UInt8] = []
    /// Offset of each value in `bytes`, and its length; -1 is NULL.
    private(set) var offsets: [Int] = []
    private(set) var lengths: [Int32] = []

    var count: Int { types.count }

    package mutating func append<Value: PostgresValue>(_ value: Value) {
        add(Value.typeID) { value.encode(into: &$0) }
    }

    package mutating func append<Value: PostgresValue>(_ value: Value?) {
        if let value { append(value) } else { addNull(Value.typeID) }
    }

    package mutating func append<Value: PostgresValue>(_ values: [Value]) {
        add(Value.arrayTypeID) { bytes in
            Self.arrayHeader(Value.typeID, count: values.count, hasNull: false, into: &bytes)
            for value in values { Self.element(into: &bytes) { value.encode(into: &$0) } }
        }
    }

    package mutating func append<Value: PostgresValue>(_ values: [Value]?) {
        if let values { append(values) } else { addNull(Value.arrayTypeID) }
    }

    package mutating func append(_ array: EncodedArray) {
        add(array.arrayType) { bytes in
            Self.arrayHeader(array.elementType, count: array.count, hasNull: array.hasNull, into: &bytes)
            bytes.append(contentsOf: array.elements)
        }
    }

    /// An array with NULLs in it.
    package mutating func append<Value: PostgresValue>(_ values: [Value?]) {
        add(Value.arrayTypeID) { bytes in
            Self.arrayHeader(Value.typeID, count: values.count, hasNull: values.contains { $0 == nil }, into: &bytes)
            for value in values {
                Self.element(into: &bytes) { value?.encode(into: &$0) }
            }
        }
    }

    package mutating func append<ID: TypedID>(_ id: ID) { append(id.rawValue) }
    package mutating func append<ID: TypedID>(_ id: ID?) { append(id?.rawValue) }
    package mutating func append<ID: TypedID>(_ ids: [ID]) { append(ids.map(\.rawValue)) }
    package mutating func append<ID: TypedID>(_ ids: [ID?]) { append(ids.map { $0?.rawValue }) }

    private mutating func add(_ type: TypeID, _ encode: (inout [UInt8]) -> Void) {
        let start = bytes.count
        encode(&bytes)
        types.append(type.rawValue)
        offsets.append(start)
        lengths.append(Int32(bytes.count - start))
    }

    private mutating func addNull(_ type: TypeID) {
        types.append(type.rawValue)
        offsets.append(0)
        lengths.append(-1)
    }

    static func arrayHeader(_ type: TypeID, count: Int, hasNull: Bool, into bytes: inout [UInt8]) {
        Int32(count == 0 ? 0 : 1).appendBigEndian(to: &bytes)  // dimensions
        Int32(hasNull ? 1 : 0).appendBigEndian(to: &bytes)
        type.rawValue.appendBigEndian(to: &bytes)
        guard count > 0 else { return }
        Int32(count).appendBigEndian(to: &bytes)
        Int32(1).appendBigEndian(to: &bytes)  // lower bound
    }

    /// - Parameter encode: writes the element, or returns nil for NULL.
    static func element(into bytes: inout [UInt8], _ encode: (inout [UInt8]) -> Void?) {
        let lengthAt = bytes.count
        Int32(-1).appendBigEndian(to: &bytes)
        guard encode(&bytes) != nil else { return }
        let length = UInt32(bytes.count - lengthAt - 4)
        for index in 0..<4 { bytes[lengthAt + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(index))) }
    }
}
