/// Appends JSON to bytes; commas are its business.
///
/// It trusts its caller with the grammar (a key before each value inside an object) and with `raw` values; everything else it
/// writes is well-formed.
package struct JSONWriter: Sendable {
    package private(set) var bytes: [UInt8]

    package init(reserving capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    // MARK: Containers

    package mutating func object(_ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(0x7B)
        body(&self)
        bytes.append(0x7D)
    }

    package mutating func array(_ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(0x5B)
        body(&self)
        bytes.append(0x5D)
    }

    package mutating func object(_ name: String, _ body: (inout JSONWriter) -> Void) {
        key(name)
        object(body)
    }

    package mutating func array(_ name: String, _ body: (inout JSONWriter) -> Void) {
        key(name)
        array(body)
    }

    package mutating func key(_ name: String) {
        string(name)
        bytes.append(0x3A)
    }

    // MARK: Members; nil writes null

    package mutating func field(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    package mutating func field(_ name: String, _ value: Int64) {
        key(name)
        integer(value)
    }

    package mutating func field(_ name: String, _ value: Int) { field(name, Int64(value)) }

    package mutating func field(_ name: String, _ value: Bool) {
        key(name)
        bool(value)
    }

    package mutating func field(_ name: String, _ value: String?) {
        key(name)
        if let value { string(value) } else { null() }
    }

    package mutating func field(_ name: String, _ value: Int64?) {
        key(name)
        if let value { integer(value) } else { null() }
    }

    /// `raw` is one JSON value already: a decimal's text, a nested document.
    package mutating func field(_ name: String, raw: some Sequence<UInt8>) {
        key(name)
        self.raw(raw)
    }

    // MARK: Bare values, in arrays or after a key

    package mutating func string(_ value: String) {
        separate()
        bytes.append(0x22)
        var value = value
        value.withUTF8 { escape($0) }
        bytes.append(0x22)
    }

    /// Literals: no String is made.
    package mutating func string(_ value: StaticString) {
        separate()
        bytes.append(0x22)
        value.withUTF8Buffer { escape($0) }
        bytes.append(0x22)
    }

    package mutating func integer(_ value: Int64) {
        separate()
        if value < 0 { bytes.append(0x2D) }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var (rest, start) = (value.magnitude, digits.count)
            repeat {
                start -= 1
                digits[start] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: digits[start...]))
        }
    }

    package mutating func bool(_ value: Bool) {
        separate()
        bytes.append(contentsOf: value ? "true".utf8 : "false".utf8)
    }

    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }

    package mutating func raw(_ value: some Sequence<UInt8>) {
        separate()
        bytes.append(contentsOf: value)
    }

    // MARK: Bytes

    /// No whole value ends in one of the three bytes after which a comma is wrong, so the last byte tells.
    @inline(__always)
    private mutating func separate() {
        guard let last = bytes.last, last != 0x7B, last != 0x5B, last != 0x3A else { return }
        bytes.append(0x2C)
    }

    private mutating func escape(_ text: UnsafeBufferPointer<UInt8>) {
        guard let base = text.baseAddress else { return }
        var start = 0
        var at = 0
        while true {
            at = JSONBytes.skip(base, from: at, to: text.count, until: JSONBytes.special)
            guard at < text.count else { break }
            let byte = base[at]
            guard byte == 0x22 || byte == 0x5C || byte < 0x20 else {
                at += 1
                continue
            }
            bytes.append(contentsOf: UnsafeBufferPointer(start: base + start, count: at - start))
            escape(byte)
            at += 1
            start = at
        }
        bytes.append(contentsOf: UnsafeBufferPointer(start: base + start, count: text.count - start))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(0x5C)
        switch byte {
        case 0x22, 0x5C: bytes.append(byte)
        case 0x08: bytes.append(0x62)
        case 0x09: bytes.append(0x74)
        case 0x0A: bytes.append(0x6E)
        case 0x0C: bytes.append(0x66)
        case 0x0D: bytes.append(0x72)
        default:
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(0x30 + byte >> 4)
            bytes.append(byte & 15 < 10 ? 0x30 + byte & 15 : 0x57 + byte & 15)
        }
    }
}

extension JSONWriter {
    /// The bytes of one object.
    package static func object(reserving capacity: Int = 256, _ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter(reserving: capacity)
        writer.object(body)
        return writer.bytes
    }
}
