package import Values

/// A type of ours and the type of Postgres it travels as, in binary format.
///
/// Parameters are declared to the server with `typeID`: a `bigint` bound to a `text` column fails when it is prepared, not when
/// the first odd value comes. Where the column is an enum, write the cast in the statement: `$1::text::hold_state`.
package protocol PostgresValue: Sendable {
    static var typeID: TypeID { get }
    static var arrayTypeID: TypeID { get }
    /// Types of columns this can be read from.
    static func reads(_ type: TypeID) -> Bool
    func encode(into bytes: inout [UInt8])
    /// Nil when the bytes are not a value of this type.
    init?(postgres bytes: UnsafeRawBufferPointer)
}

extension PostgresValue {
    package static func reads(_ type: TypeID) -> Bool { type == typeID }
}

/// An object id out of `pg_type`; the built-in ones never change.
package struct TypeID: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt32
    package init(_ rawValue: UInt32) { self.rawValue = rawValue }

    static let bool = TypeID(16)
    static let bytea = TypeID(17)
    static let name = TypeID(19)
    static let bigint = TypeID(20)
    static let smallint = TypeID(21)
    static let integer = TypeID(23)
    static let text = TypeID(25)
    static let double = TypeID(701)
    static let character = TypeID(1042)
    static let varchar = TypeID(1043)
    static let timestamptz = TypeID(1184)
    static let uuid = TypeID(2950)
    static let jsonb = TypeID(3802)
    static let firstUserDefined: UInt32 = 16384

    package var description: String {
        switch self {
        case .bool: "boolean"
        case .bytea: "bytea"
        case .bigint: "bigint"
        case .smallint: "smallint"
        case .integer: "integer"
        case .text: "text"
        case .double: "double precision"
        case .varchar: "varchar"
        case .timestamptz: "timestamptz"
        case .uuid: "uuid"
        case .jsonb: "jsonb"
        default: "type \(rawValue)"
        }
    }
}

extension FixedWidthInteger {
    /// Network byte order.
    func appendBigEndian(to bytes: inout [UInt8]) {
        Swift.withUnsafeBytes(of: bigEndian) { bytes.append(contentsOf: $0) }
    }

    init?(bigEndianBytes bytes: UnsafeRawBufferPointer) {
        guard bytes.count == MemoryLayout<Self>.size else { return nil }
        self.init(bigEndian: bytes.loadUnaligned(as: Self.self))
    }
}

extension Int64: PostgresValue {
    package static var typeID: TypeID { .bigint }
    package static var arrayTypeID: TypeID { TypeID(1016) }
    package static func reads(_ type: TypeID) -> Bool { type == .bigint || type == .integer || type == .smallint }
    package func encode(into bytes: inout [UInt8]) { appendBigEndian(to: &bytes) }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        switch bytes.count {
        case 8: self.init(bigEndianBytes: bytes)
        case 4: self = Int64(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self)))
        case 2: self = Int64(Int16(bigEndian: bytes.loadUnaligned(as: Int16.self)))
        default: return nil
        }
    }
}

extension Int: PostgresValue {
    package static var typeID: TypeID { Int64.typeID }
    package static var arrayTypeID: TypeID { Int64.arrayTypeID }
    package static func reads(_ type: TypeID) -> Bool { Int64.reads(type) }
    package func encode(into bytes: inout [UInt8]) { Int64(self).encode(into: &bytes) }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard let value = Int64(postgres: bytes) else { return nil }
        self = Int(value)
    }
}

extension Int32: PostgresValue {
    package static var typeID: TypeID { .integer }
    package static var arrayTypeID: TypeID { TypeID(1007) }
    package static func reads(_ type: TypeID) -> Bool { type == .integer || type == .smallint }
    package func encode(into bytes: inout [UInt8]) { appendBigEndian(to: &bytes) }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard let value = Int64(postgres: bytes) else { return nil }
        self.init(exactly: value)
    }
}

extension Int16: PostgresValue {
    package static var typeID: TypeID { .smallint }
    package static var arrayTypeID: TypeID { TypeID(1005) }
    package func encode(into bytes: inout [UInt8]) { appendBigEndian(to: &bytes) }
    package init?(postgres bytes: UnsafeRawBufferPointer) { self.init(bigEndianBytes: bytes) }
}

extension Double: PostgresValue {
    package static var typeID: TypeID { .double }
    package static var arrayTypeID: TypeID { TypeID(1022) }
    package func encode(into bytes: inout [UInt8]) { bitPattern.appendBigEndian(to: &bytes) }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard let bits = UInt64(bigEndianBytes: bytes) else { return nil }
        self.init(bitPattern: bits)
    }
}

extension Bool: PostgresValue {
    package static var typeID: TypeID { .bool }
    package static var arrayTypeID: TypeID { TypeID(1000) }
    package func encode(into bytes: inout [UInt8]) { bytes.append(self ? 1 : 0) }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 1 else { return nil }
        self = bytes[0] != 0
    }
}

extension String: PostgresValue {
    package static var typeID: TypeID { .text }
    package static var arrayTypeID: TypeID { TypeID(1009) }

    /// Enum labels are text too; their types are the user's, so their ids lie above the built-in ones.
    package static func reads(_ type: TypeID) -> Bool {
        type == .text || type == .varchar || type == .character || type == .name || type.rawValue >= TypeID.firstUserDefined
    }

    package func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: utf8) }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        self = text
    }
}

extension [UInt8]: PostgresValue {
    package static var typeID: TypeID { .bytea }
    package static var arrayTypeID: TypeID { TypeID(1001) }
    package func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: self) }
    package init?(postgres bytes: UnsafeRawBufferPointer) { self.init(bytes) }
}

extension UUIDv7: PostgresValue {
    package static var typeID: TypeID { .uuid }
    package static var arrayTypeID: TypeID { TypeID(2951) }

    package func encode(into bytes: inout [UInt8]) {
        high.appendBigEndian(to: &bytes)
        low.appendBigEndian(to: &bytes)
    }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16 else { return nil }
        self.init(
            high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
}

extension Instant: PostgresValue {
    package static var typeID: TypeID { .timestamptz }
    package static var arrayTypeID: TypeID { TypeID(1185) }

    /// Postgres counts from 2000-01-01 UTC.
    private static let epochMicroseconds: Int64 = 946_684_800_000_000

    package func encode(into bytes: inout [UInt8]) { (microseconds - Self.epochMicroseconds).appendBigEndian(to: &bytes) }

    /// `infinity`, `-infinity` and times after the year 294246 are not instants.
    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard let value = Int64(bigEndianBytes: bytes), value != .min else { return nil }
        let (microseconds, overflowed) = value.addingReportingOverflow(Self.epochMicroseconds)
        guard !overflowed else { return nil }
        self.init(microseconds: microseconds)
    }
}

/// A `jsonb` value: its text on the way in, Postgres's rendering of it (key order and spacing its own) on the way out.
package struct JSONText: PostgresValue, Equatable {
    package var bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    package init(_ text: String) { bytes = Array(text.utf8) }

    package static var typeID: TypeID { .jsonb }
    package static var arrayTypeID: TypeID { TypeID(3807) }

    package func encode(into bytes: inout [UInt8]) {
        bytes.append(1)
        bytes.append(contentsOf: self.bytes)
    }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard bytes.first == 1 else { return nil }
        self.bytes = Array(bytes.dropFirst())
    }
}

/// Nano-credits in a `bigint`.
extension Credits: PostgresValue {
    package static var typeID: TypeID { .bigint }
    package static var arrayTypeID: TypeID { Int64.arrayTypeID }
    package func encode(into bytes: inout [UInt8]) { nano.encode(into: &bytes) }

    package init?(postgres bytes: UnsafeRawBufferPointer) {
        guard let nano = Int64(bigEndianBytes: bytes) else { return nil }
        self.init(nano: nano)
    }
}
