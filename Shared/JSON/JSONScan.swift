import Text

/// A JSON value inside bytes that need no check: the provider's answers on the hot path.
///
/// It finds members at exactly the level asked for, skipping what is nested, and never reads outside the buffer; on malformed
/// or cut-off text it answers nil or something arbitrary, never traps. Names are compared byte for byte, so an escaped name is
/// not found. Valid only while the buffer is.
package struct JSONScan {
    /// Starts at the value's first byte. Ends with the value, or, for the outermost one, with the buffer.
    package let bytes: UnsafeRawBufferPointer

    package init(_ bytes: UnsafeRawBufferPointer) {
        var start = 0
        while start < bytes.count, JSONBytes.isSpace(bytes[start]) { start += 1 }
        self.bytes = UnsafeRawBufferPointer(rebasing: bytes[start...])
    }

    /// The first member of that name, when this is an object that has it.
    package subscript(name: StaticString) -> JSONScan? {
        var found: JSONScan?
        forEachMember { key, value in
            guard name ~= key else { return true }
            found = value
            return false
        }
        return found
    }

    /// Calls `body` with each member's raw name (without quotes) and value until it answers false: several members, one pass.
    package func forEachMember(_ body: (_ name: UnsafeRawBufferPointer, _ value: JSONScan) -> Bool) {
        guard let base = bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count > 1, base[0] == 0x7B else { return }
        let end = bytes.count
        var at = Self.skipSpace(base, 1, end)
        while at < end, base[at] == 0x22 {
            let nameEnd = Self.skipString(base, at, end)
            guard nameEnd <= end, nameEnd > at + 1 else { return }
            let name = UnsafeRawBufferPointer(rebasing: bytes[at + 1..<nameEnd - 1])
            at = Self.skipSpace(base, nameEnd, end)
            guard at < end, base[at] == 0x3A else { return }
            at = Self.skipSpace(base, at + 1, end)
            let valueStart = at
            at = Self.skipValue(base, at, end)
            guard at > valueStart else { return }
            guard body(name, JSONScan(UnsafeRawBufferPointer(rebasing: bytes[valueStart..<at]))) else { return }
            at = Self.skipSpace(base, at, end)
            guard at < end, base[at] == 0x2C else { return }
            at = Self.skipSpace(base, at + 1, end)
        }
    }

    /// Calls `body` with each element of an array until it returns false.
    package func forEachElement(_ body: (JSONScan) -> Bool) {
        guard let base = bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count > 1, base[0] == 0x5B else { return }
        let end = bytes.count
        var at = Self.skipSpace(base, 1, end)
        while at < end {
            let valueEnd = Self.skipValue(base, at, end)
            guard valueEnd > at else { return }
            guard body(JSONScan(UnsafeRawBufferPointer(rebasing: bytes[at..<valueEnd]))) else { return }
            at = Self.skipSpace(base, valueEnd, end)
            guard at < end, base[at] == 0x2C else { return }
            at = Self.skipSpace(base, at + 1, end)
        }
    }

    package var isNull: Bool { bytes.first == 0x6E }
    package var isObject: Bool { bytes.first == 0x7B }
    package var isString: Bool { bytes.first == 0x22 }

    /// Nil unless it is a whole number that fits.
    package var integer: Int64? {
        bytes.isEmpty ? nil : JSONLiteral.integer(bytes.bindMemory(to: UInt8.self), 0..<bytes.count)
    }

    /// Unescaped; nil unless this is a well-formed string.
    package var string: String? {
        guard bytes.first == 0x22 else { return nil }
        return try? JSONValue(Array(bytes)).string
    }

    /// The bytes of this value with its escapes decoded. The text must be well-formed.
    package var decodedCount: Int {
        guard !bytes.isEmpty else { return 0 }
        var reader = JSONReader(UnsafeBufferPointer(rebasing: bytes.bindMemory(to: UInt8.self)[...]))
        _ = try? reader.value(depth: 0)
        return bytes.count - reader.escapeBytes
    }

    // MARK: Skipping; every function answers an offset of at most `end`

    @inline(__always)
    private static func skipSpace(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        var at = start
        while at < end, JSONBytes.isSpace(base[at]) { at += 1 }
        return at
    }

    /// Skips a string, from its opening quote to just behind the closing one. Returns `end` if the string does not
    /// end.
    @inline(__always)
    private static func skipString(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        var at = start + 1
        while true {
            at = JSONBytes.skip(base, from: at, to: end, until: JSONBytes.quoteOrBackslash)
            guard at < end else { return end }
            switch base[at] {
            case 0x22: return at + 1
            case 0x5C: repeat { at += at + 1 < end && base[at + 1] == 0x75 ? 6 : 2 } while at < end && base[at] == 0x5C
            default: at += 1
            }
        }
    }

    private static func skipValue(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        guard start < end else { return end }
        switch base[start] {
        case 0x22: return skipString(base, start, end)
        case 0x7B, 0x5B: return skipNested(base, start, end)
        default: return skipLiteral(base, start, end)
        }
    }

    /// Counts brackets without pairing their kinds: enough for text that is well-formed, harmless for text that is not.
    private static func skipNested(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        var at = start + 1
        var depth = 1
        while at < end {
            // Both kinds of a bracket differ in one bit.
            switch base[at] | 0x20 {
            case 0x22 where base[at] == 0x22:
                at = skipString(base, at, end)
                continue
            case 0x7B: depth += 1
            case 0x7D: depth -= 1
            default: break
            }
            at += 1
            if depth == 0 { return at }
        }
        return end
    }

    /// Skips a number or a name, up to what may stand behind it.
    private static func skipLiteral(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        var at = start
        while at < end, !JSONBytes.isSpace(base[at]), base[at] != 0x2C, base[at] != 0x7D, base[at] != 0x5D { at += 1 }
        return at
    }
}
