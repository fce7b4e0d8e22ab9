import Glibc

/// The header fields of one message: one run of bytes plus offsets, in the order they came.
///
/// Nothing here is a `String` until a caller asks: names compare in place, case-insensitively, and values are handed out as
/// bytes. Values hold no CR, LF or NUL: the parser refuses them, and ``add(_:_:)-(StaticString,String)`` turns them into spaces,
/// so no value can start a header of its own.
package struct HeaderBlock: Sendable {
    private struct Field {
        var nameStart: Int32
        var nameEnd: Int32
        var valueStart: Int32
        var valueEnd: Int32
    }

    private var bytes: [UInt8] = []
    private var fields: [Field] = []

    package init() {}

    package var count: Int { fields.count }
    package var isEmpty: Bool { fields.isEmpty }

    // MARK: Reading

    /// Index of the first field of that name.
    package func find(_ name: StaticString) -> Int? {
        bytes.withUnsafeBufferPointer { buffer in
            var index = 0
            while index < fields.count {
                let field = fields[index]
                if Int(field.nameEnd - field.nameStart) == name.utf8CodeUnitCount, Self.matches(buffer, field, name) { return index }
                index += 1
            }
            return nil
        }
    }

    package func contains(_ name: StaticString) -> Bool { find(name) != nil }

    package func isNamed(_ name: StaticString, at index: Int) -> Bool {
        let field = fields[index]
        guard Int(field.nameEnd - field.nameStart) == name.utf8CodeUnitCount else { return false }
        return bytes.withUnsafeBufferPointer { Self.matches($0, field, name) }
    }

    @inline(__always)
    private static func matches(_ buffer: UnsafeBufferPointer<UInt8>, _ field: Field, _ name: StaticString) -> Bool {
        let count = name.utf8CodeUnitCount
        guard count > 0, let base = buffer.baseAddress else { return count == 0 }
        let left = UnsafeRawPointer(base + Int(field.nameStart)).assumingMemoryBound(to: CChar.self)
        let right = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        return strncasecmp(left, right, count) == 0
    }

    /// The value's bytes where they lie; the pointer is valid inside `body` only.
    package func withValue<Result, Failure: Error>(
        at index: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withBytes(Int(fields[index].valueStart)..<Int(fields[index].valueEnd), body)
    }

    package func withName<Result, Failure: Error>(
        at index: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withBytes(Int(fields[index].nameStart)..<Int(fields[index].nameEnd), body)
    }

    private func withBytes<Result, Failure: Error>(
        _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try bytes.withUnsafeBufferPointer { (buffer) throws(Failure) in
            try body(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[range])))
        }
    }

    package func value(at index: Int) -> ArraySlice<UInt8> {
        bytes[Int(fields[index].valueStart)..<Int(fields[index].valueEnd)]
    }

    package func valueCount(at index: Int) -> Int { Int(fields[index].valueEnd - fields[index].valueStart) }

    /// The first value of that name as text; malformed UTF-8 is repaired with U+FFFD.
    package func string(for name: StaticString) -> String? {
        find(name).map { String(decoding: value(at: $0), as: UTF8.self) }
    }

    package func strings(for name: StaticString) -> [String] {
        fields.indices.filter { isNamed(name, at: $0) }.map { String(decoding: value(at: $0), as: UTF8.self) }
    }

    package func name(at index: Int) -> String {
        String(decoding: bytes[Int(fields[index].nameStart)..<Int(fields[index].nameEnd)], as: UTF8.self)
    }

    /// Every field as text, for tests and tools.
    package var pairs: [(name: String, value: String)] {
        fields.indices.map { (name(at: $0), String(decoding: value(at: $0), as: UTF8.self)) }
    }

    /// Fields that concern one connection, or frame the body on it, and are never copied to another (RFC 9110 §7.6.1).
    /// Returns true for a field of one connection (RFC 9110 §7.6.1). The caller drops further fields that `Connection` names.
    package func isHopByHop(at index: Int) -> Bool {
        switch fields[index].nameEnd - fields[index].nameStart {
        case 2: isNamed("te", at: index)
        case 6: isNamed("expect", at: index)
        case 7: isNamed("trailer", at: index) || isNamed("upgrade", at: index)
        case 10: isNamed("connection", at: index) || isNamed("keep-alive", at: index)
        case 14: isNamed("content-length", at: index)
        case 16: isNamed("proxy-connection", at: index)
        case 17: isNamed("transfer-encoding", at: index)
        default: false
        }
    }

    // MARK: Building

    package mutating func reserve(bytes byteCount: Int, fields fieldCount: Int) {
        bytes.reserveCapacity(byteCount)
        fields.reserveCapacity(fieldCount)
    }

    package mutating func add(_ name: StaticString, _ value: StaticString) {
        add(Self.bytes(of: name), Self.bytes(of: value))
    }

    package mutating func add(_ name: StaticString, _ value: UnsafeRawBufferPointer) { add(Self.bytes(of: name), value) }

    package mutating func add(_ name: StaticString, _ value: [UInt8]) {
        value.withUnsafeBytes { add(Self.bytes(of: name), $0) }
    }

    /// CR, LF and NUL in `value` become spaces.
    @_disfavoredOverload
    package mutating func add(_ name: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { text in
            if text.contains(where: { $0 == 0x0D || $0 == 0x0A || $0 == 0 }) {
                add(name, text.map { $0 == 0x0D || $0 == 0x0A || $0 == 0 ? 0x20 : $0 })
            } else {
                add(name, UnsafeRawBufferPointer(text))
            }
        }
    }

    package mutating func add(_ name: StaticString, _ value: Int) {
        let start = Int32(bytes.count)
        bytes.append(name)
        let valueStart = Int32(bytes.count)
        bytes.append(decimal: value)
        fields.append(Field(nameStart: start, nameEnd: valueStart, valueStart: valueStart, valueEnd: Int32(bytes.count)))
    }

    package mutating func add(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let start = Int32(bytes.count)
        bytes.append(contentsOf: name)
        let valueStart = Int32(bytes.count)
        bytes.append(contentsOf: value)
        fields.append(Field(nameStart: start, nameEnd: valueStart, valueStart: valueStart, valueEnd: Int32(bytes.count)))
    }

    /// Copies one field of another block.
    package mutating func add(_ other: HeaderBlock, at index: Int) {
        other.withName(at: index) { name in other.withValue(at: index) { value in add(name, value) } }
    }

    /// Copies every field of another block.
    package mutating func add(_ other: HeaderBlock) {
        for index in 0..<other.count { add(other, at: index) }
    }

    /// Replaces every field of that name.
    @_disfavoredOverload
    package mutating func set(_ name: StaticString, _ value: String) {
        remove(name)
        add(name, value)
    }

    package mutating func remove(_ name: StaticString) {
        let kept = fields.indices.filter { !isNamed(name, at: $0) }
        guard kept.count != fields.count else { return }
        fields = kept.map { fields[$0] }
    }

    // MARK: The parser's pieces

    /// Starts a field with the first piece of its name.
    mutating func beginName(_ piece: UnsafeRawBufferPointer) {
        let start = Int32(bytes.count)
        bytes.append(contentsOf: piece)
        let end = Int32(bytes.count)
        fields.append(Field(nameStart: start, nameEnd: end, valueStart: end, valueEnd: end))
    }

    mutating func continueName(_ piece: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: piece)
        let (last, end) = (fields.count - 1, Int32(bytes.count))
        fields[last].nameEnd = end
        fields[last].valueStart = end
        fields[last].valueEnd = end
    }

    mutating func continueValue(_ piece: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: piece)
        fields[fields.count - 1].valueEnd = Int32(bytes.count)
    }

    /// Drops white space at the end of the last value: it is not part of it (RFC 9112 §5.1).
    mutating func endValue() {
        guard let last = fields.indices.last else { return }
        while fields[last].valueEnd > fields[last].valueStart {
            let byte = bytes[Int(fields[last].valueEnd) - 1]
            guard byte == 0x20 || byte == 0x09 else { return }
            fields[last].valueEnd -= 1
        }
    }

    // MARK: Writing

    /// Appends `name: value CRLF` for the field.
    package func write(at index: Int, to output: inout [UInt8]) {
        let field = fields[index]
        bytes.withUnsafeBufferPointer { buffer in
            output.append(contentsOf: UnsafeBufferPointer(rebasing: buffer[Int(field.nameStart)..<Int(field.nameEnd)]))
            output.append(": ")
            output.append(contentsOf: UnsafeBufferPointer(rebasing: buffer[Int(field.valueStart)..<Int(field.valueEnd)]))
        }
        output.append("\r\n")
    }

    /// Appends every field that is not hop-by-hop.
    package func writeEndToEnd(to output: inout [UInt8]) {
        for index in fields.indices where !isHopByHop(at: index) { write(at: index, to: &output) }
    }

    private static func bytes(of text: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }
}

extension HeaderBlock: ExpressibleByDictionaryLiteral {
    /// `["retry-after": "1"]`; repeated names stay repeated.
    package init(dictionaryLiteral elements: (StaticString, String)...) {
        guard !elements.isEmpty else { return }
        reserve(bytes: 256, fields: 8)
        for (name, value) in elements { add(name, value) }
    }
}
