/// A field value of the form `type; name=value; name="value"`.
struct FieldParameters {
    struct Value {
        /// The bytes of a token, or those between the quotes with their escapes.
        let bytes: [UInt8]
        let isQuoted: Bool
    }

    /// The text before the first semicolon, in lower case.
    let type: String
    /// The names are in lower case.
    private let parameters: [(name: String, value: Value)]

    /// Nil if the value has another form.
    /// - Parameter isUnquoted: true for a byte of a value without quotes.
    init?(_ field: some Sequence<UInt8>, isUnquoted: (UInt8) -> Bool) {
        let bytes = Array(field)
        var index = 0
        func skipSpace() { while index < bytes.count, Grammar.isSpace(bytes[index]) { index += 1 } }
        func read(while isWanted: (UInt8) -> Bool) -> [UInt8] {
            let start = index
            while index < bytes.count, isWanted(bytes[index]) { index += 1 }
            return Array(bytes[start..<index])
        }
        skipSpace()
        type = String(decoding: read { Grammar.isToken($0) || $0 == UInt8(ascii: "/") }, as: UTF8.self).lowercased()
        var parameters: [(name: String, value: Value)] = []
        skipSpace()
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: ";") else { return nil }
            index += 1
            skipSpace()
            let name = read(while: Grammar.isToken)
            guard !name.isEmpty, index < bytes.count, bytes[index] == UInt8(ascii: "=") else { return nil }
            index += 1
            let value: Value
            if index < bytes.count, bytes[index] == Self.quote {
                guard let end = Self.closingQuote(of: bytes, from: index + 1) else { return nil }
                value = Value(bytes: Array(bytes[(index + 1)..<end]), isQuoted: true)
                index = end + 1
            } else {
                value = Value(bytes: read(while: isUnquoted), isQuoted: false)
                guard !value.bytes.isEmpty else { return nil }
            }
            parameters.append((String(decoding: name, as: UTF8.self).lowercased(), value))
            skipSpace()
        }
        self.parameters = parameters
    }

    private static let quote = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")

    private static func closingQuote(of bytes: [UInt8], from start: Int) -> Int? {
        var index = start
        while index < bytes.count {
            if bytes[index] == quote { return index }
            index += isEscape(bytes, at: index) ? 2 : 1
        }
        return nil
    }

    /// True for a backslash before a quote or a backslash. Browsers send any other backslash as a
    /// character of a file name.
    private static func isEscape(_ bytes: [UInt8], at index: Int) -> Bool {
        bytes[index] == backslash && index + 1 < bytes.count && [quote, backslash].contains(bytes[index + 1])
    }

    enum Found {
        case none, one(Value), several
    }

    func find(_ name: String) -> Found {
        let values = parameters.filter { $0.name == name }
        return values.count > 1 ? .several : values.first.map { .one($0.value) } ?? .none
    }

    /// True if another spelling of the parameter stands here: `name*` or `name*0` (RFC 2231).
    func hasExtended(_ name: String) -> Bool { parameters.contains { $0.name.hasPrefix(name + "*") } }
}

extension FieldParameters.Value {
    /// True if a backslash is no escape, so that readers differ on it.
    var hasLoneBackslash: Bool { isQuoted && unescaped().hasLoneBackslash }

    /// The text without escapes. Browsers write `%22`, `%0D` and `%0A` for a quote, CR and LF (HTML,
    /// "multipart/form-data"); other clients write a backslash before a quote or a backslash.
    /// Nil if it is not UTF-8.
    var text: String? { String(validating: isQuoted ? unescaped().bytes : bytes, as: UTF8.self) }

    private func unescaped() -> (bytes: [UInt8], hasLoneBackslash: Bool) {
        var result: [UInt8] = []
        var hasLoneBackslash = false
        var index = 0
        while index < bytes.count {
            let rest = bytes[index...]
            if rest.first == UInt8(ascii: "\\") {
                if let next = rest.dropFirst().first, next == UInt8(ascii: "\"") || next == UInt8(ascii: "\\") {
                    result.append(next)
                    index += 2
                    continue
                }
                hasLoneBackslash = true
            } else if let escape = Self.escapes.first(where: { rest.starts(with: $0.text) }) {
                result.append(escape.byte)
                index += 3
                continue
            }
            result.append(bytes[index])
            index += 1
        }
        return (result, hasLoneBackslash)
    }

    /// The escapes that browsers write.
    static let escapes: [(text: [UInt8], byte: UInt8)] = [
        (Array("%22".utf8), UInt8(ascii: "\"")), (Array("%0D".utf8), Grammar.cr), (Array("%0A".utf8), Grammar.lf),
    ]
}

/// The field `content-type` of a request with a form.
enum BoundaryField {
    private static let bytesMax = 70

    static func boundary(of contentType: String) throws(MultipartError) -> [UInt8] {
        let type = "multipart/form-data"
        guard let field = FieldParameters(contentType.utf8, isUnquoted: Grammar.isBoundary) else {
            throw contentType.lowercased().hasPrefix(type) ? .boundary : .notFormData
        }
        guard field.type == type else { throw .notFormData }
        guard case .one(let value) = field.find("boundary"), !field.hasExtended("boundary"),
            (1...bytesMax).contains(value.bytes.count), value.bytes.last != 0x20,
            value.bytes.allSatisfy({ Grammar.isBoundary($0) || $0 == 0x20 })
        else { throw .boundary }
        return value.bytes
    }
}
