/// Any JSON value, for the few places where the shape is not known beforehand. Numbers keep their own characters.
package enum JSONValue: Sendable {
    case string(String)
    case number(String)
    case bool(Bool)
    case null
    case object(JSONObject)
    case array([JSONValue])

    /// Checks like ``JSONObject``. A name that an object inside has twice is refused when that
    /// object is read.
    package init(_ bytes: [UInt8]) throws(JSONError) {
        self = try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) in
            guard !buffer.isEmpty else { throw .syntax(at: 0) }
            var reader = JSONReader(buffer)
            reader.skipSpace()
            let start = reader.at
            let kind = try reader.value(depth: 0)
            let range = start..<reader.at
            reader.skipSpace()
            guard reader.at == reader.end else { throw .syntax(at: reader.at) }
            return try Self.make(kind, buffer, range)
        }
    }

    /// `bytes` is an array that stood inside checked text.
    static func elements(_ bytes: [UInt8]) throws(JSONError) -> [JSONValue] {
        try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) in
            var reader = JSONReader(buffer)
            var values: [JSONValue] = []
            try reader.array(depth: 0) { (range, kind) throws(JSONError) in values.append(try make(kind, buffer, range)) }
            return values
        }
    }

    private static func make(_ kind: JSONKind, _ buffer: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) throws(JSONError) -> JSONValue {
        switch kind {
        case .string: .string(JSONLiteral.decode(buffer, range))
        case .number: .number(String(decoding: UnsafeBufferPointer(rebasing: buffer[range]), as: UTF8.self))
        case .true: .bool(true)
        case .false: .bool(false)
        case .null: .null
        case .object: .object(try JSONObject(Array(buffer[range])))
        case .array: .array(try elements(Array(buffer[range])))
        }
    }

    package var string: String? { if case .string(let text) = self { text } else { nil } }
    package var object: JSONObject? { if case .object(let object) = self { object } else { nil } }
    package var array: [JSONValue]? { if case .array(let values) = self { values } else { nil } }
    package var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }

    /// Nil unless it is a number without fraction or exponent that fits.
    package var integer: Int64? { if case .number(let text) = self { Int64(text) } else { nil } }
}

/// Turns the text of checked values into Swift's.
enum JSONLiteral {
    /// `range` includes the quotes.
    static func decode(_ buffer: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> String {
        let text = UnsafeBufferPointer(rebasing: buffer[range.lowerBound + 1..<range.upperBound - 1])
        guard text.contains(0x5C) else { return String(decoding: text, as: UTF8.self) }
        return unescape(text)
    }

    /// No fraction, no exponent, within 64 bits; else nil.
    static func integer(_ buffer: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Int64? {
        let negative = buffer[range.lowerBound] == 0x2D
        let digits = negative ? range.dropFirst() : range
        guard !digits.isEmpty else { return nil }
        var value: Int64 = 0
        for index in digits {
            let digit = Int64(buffer[index]) - 0x30
            guard digit >= 0, digit <= 9 else { return nil }
            let (shifted, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (next, overflow) = negative ? shifted.subtractingReportingOverflow(digit) : shifted.addingReportingOverflow(digit)
            guard !tooLarge, !overflow else { return nil }
            value = next
        }
        return value
    }

    private static func unescape(_ text: UnsafeBufferPointer<UInt8>) -> String {
        // Unescaping never lengthens: six bytes of \uXXXX become three at most.
        String(unsafeUninitializedCapacity: text.count) { output in
            var read = 0
            var written = 0
            while read < text.count {
                let byte = text[read]
                read += 1
                guard byte == 0x5C else {
                    output[written] = byte
                    written += 1
                    continue
                }
                let kind = text[read]
                read += 1
                guard kind == 0x75 else {
                    output[written] = character(kind)
                    written += 1
                    continue
                }
                var code = UInt32(codeUnit(text, read))
                read += 4
                if code & 0xFC00 == 0xD800 {
                    code = 0x10000 + (code & 0x3FF) << 10 + UInt32(codeUnit(text, read + 2) & 0x3FF)
                    read += 6
                }
                // The reader has refused lone surrogates, so this is a scalar.
                for byte in String(Unicode.Scalar(code)!).utf8 {
                    output[written] = byte
                    written += 1
                }
            }
            return written
        }
    }

    private static func character(_ kind: UInt8) -> UInt8 {
        switch kind {
        case 0x62: 0x08
        case 0x66: 0x0C
        case 0x6E: 0x0A
        case 0x72: 0x0D
        case 0x74: 0x09
        default: kind
        }
    }

    private static func codeUnit(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> UInt16 {
        JSONBytes.codeUnit(text.baseAddress!, start) ?? 0
    }
}
