/// A strictly checked JSON object (RFC 8259) over its own bytes: one pass, members found by offset, nothing copied until asked.
///
/// Refused: anything before or after the object but white space, malformed UTF-8, lone surrogates,
/// nesting beyond ``depthMax``, more top-level members than ``membersMax``, a top-level name of
/// more than ``nameBytesMax`` bytes, and a duplicate name. Numbers stay text until a caller asks
/// for an integer.
package struct JSONObject: Sendable {
    package typealias Kind = JSONKind

    package struct Member: Sendable {
        package let name: String
        /// The place of the member, from the opening quote of its name to the end of its value.
        package let range: Range<Int>
        package let valueRange: Range<Int>
        package let kind: Kind
    }

    /// Containers within containers; the object itself is the first.
    package static let depthMax = 64

    /// Members of the object itself. Each takes memory as long as the object lives.
    package static let membersMax = 256
    /// The bytes of a member's name as it is written. Each name is compared with all others.
    package static let nameBytesMax = 256

    package let bytes: [UInt8]
    /// In the order of the text.
    package let members: [Member]
    /// The bytes of the text with its escapes decoded: `\u0e01` counts three.
    package let decodedCount: Int

    /// - Parameter valuesMax: the most values in the text, nested ones included. Tiny values cost the
    ///   readers more time than a string of the same bytes.
    package init(_ bytes: [UInt8], valuesMax: Int = .max) throws(JSONError) {
        self.bytes = bytes
        (members, decodedCount) = try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) in
            try Self.read(buffer, valuesMax: valuesMax)
        }
    }

    private static func read(
        _ buffer: UnsafeBufferPointer<UInt8>, valuesMax: Int
    ) throws(JSONError) -> (members: [Member], decodedCount: Int) {
        guard !buffer.isEmpty else { throw .notAnObject }
        var reader = JSONReader(buffer, valuesMax: valuesMax)
        reader.skipSpace()
        guard let first = reader.peek, first == 0x7B else { throw .notAnObject }
        var members: [Member] = []
        members.reserveCapacity(16)
        try reader.object(depth: 0) { (keyStart, keyEnd, value, kind) throws(JSONError) in
            guard members.count < Self.membersMax else { throw .tooManyMembers }
            guard keyEnd - keyStart - 2 <= Self.nameBytesMax else { throw .nameTooLong }
            let name = JSONLiteral.decode(buffer, keyStart..<keyEnd)
            guard !members.contains(where: { $0.name.hasSameBytes(as: name) }) else { throw .duplicateKey(name) }
            members.append(Member(name: name, range: keyStart..<value.upperBound, valueRange: value, kind: kind))
        }
        reader.skipSpace()
        guard reader.at == reader.end else { throw .syntax(at: reader.at) }
        return (members, buffer.count - reader.escapeBytes)
    }

    package func member(_ name: String) -> Member? {
        members.first { $0.name.hasSameBytes(as: name) }
    }

    /// Present and not null.
    package func has(_ name: String) -> Bool { present(name) != nil }

    /// Returns the member's name as it is written, with escapes and without its quotes.
    package func writtenName(of member: Member) -> ArraySlice<UInt8> {
        let key = bytes[member.range.lowerBound + 1..<member.valueRange.lowerBound]
        return key[..<(key.lastIndex(of: 0x22) ?? key.endIndex)]
    }

    /// The value's own bytes, null included; nil when the member is absent.
    package func raw(_ name: String) -> ArraySlice<UInt8>? { member(name).map { bytes[$0.valueRange] } }

    // MARK: Required members

    package func string(_ name: String) throws(JSONError) -> String { try required(name, optionalString(name)) }

    /// Refuses fractions, exponents and what does not fit 64 bits.
    package func integer(_ name: String) throws(JSONError) -> Int64 { try required(name, optionalInteger(name)) }
    package func bool(_ name: String) throws(JSONError) -> Bool { try required(name, optionalBool(name)) }

    /// The number's own characters: exact, whatever its size.
    package func decimalText(_ name: String) throws(JSONError) -> String { try required(name, optionalDecimalText(name)) }
    package func object(_ name: String) throws(JSONError) -> JSONObject { try required(name, optionalObject(name)) }
    package func array(_ name: String) throws(JSONError) -> [JSONValue] { try required(name, optionalArray(name)) }

    /// The bytes of each element of an array, so that a flaw in one element does not spoil the others.
    package func rawArray(_ name: String) throws(JSONError) -> [[UInt8]] {
        guard let range = try value(name, .array, "an array") else { throw .missing(name) }
        return try JSONValue.rawElements(Array(bytes[range]))
    }

    // MARK: Optional members: absent and null are nil

    package func optionalString(_ name: String) throws(JSONError) -> String? {
        guard let range = try value(name, .string, "a string") else { return nil }
        return bytes.withUnsafeBufferPointer { JSONLiteral.decode($0, range) }
    }

    package func optionalInteger(_ name: String) throws(JSONError) -> Int64? {
        guard let text = try value(name, .number, "an integer") else { return nil }
        guard let integer = bytes.withUnsafeBufferPointer({ JSONLiteral.integer($0, text) }) else {
            throw .wrongType(name, expected: "an integer")
        }
        return integer
    }

    package func optionalBool(_ name: String) throws(JSONError) -> Bool? {
        switch present(name)?.kind {
        case nil: return nil
        case .true: return true
        case .false: return false
        default: throw .wrongType(name, expected: "true or false")
        }
    }

    package func optionalDecimalText(_ name: String) throws(JSONError) -> String? {
        guard let range = try value(name, .number, "a number") else { return nil }
        return String(decoding: bytes[range], as: UTF8.self)
    }

    package func optionalObject(_ name: String) throws(JSONError) -> JSONObject? {
        guard let range = try value(name, .object, "an object") else { return nil }
        return try JSONObject(Array(bytes[range]))
    }

    package func optionalArray(_ name: String) throws(JSONError) -> [JSONValue]? {
        guard let range = try value(name, .array, "an array") else { return nil }
        return try JSONValue.elements(Array(bytes[range]))
    }

    // MARK: Finding

    private func present(_ name: String) -> Member? {
        guard let member = member(name), member.kind != .null else { return nil }
        return member
    }

    private func value(_ name: String, _ kind: Kind, _ expected: String) throws(JSONError) -> Range<Int>? {
        guard let member = present(name) else { return nil }
        guard member.kind == kind else { throw .wrongType(name, expected: expected) }
        return member.valueRange
    }

    private func required<Value>(_ name: String, _ value: Value?) throws(JSONError) -> Value {
        guard let value else { throw .missing(name) }
        return value
    }
}

extension String {
    /// Compares names as other readers do. Swift's `==` takes U+212A for "K", and "e\u{301}" for "é".
    func hasSameBytes(as other: String) -> Bool { utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8) }
}
