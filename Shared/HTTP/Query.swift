import Text

/// Decoded `name=value` pairs of a query string or a form body (WHATWG URL §5.1), strictly: a broken escape or malformed
/// UTF-8 is refused, never guessed.
package struct Query: Sendable {
    package let pairs: [(name: String, value: String)]

    package init(_ bytes: some Collection<UInt8>) throws(Problem) {
        var pairs: [(String, String)] = []
        for part in bytes.split(separator: UInt8(ascii: "&")) {
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let rawValue = equals == part.endIndex ? part[equals...] : part[part.index(after: equals)...]
            guard let name = PercentEncoding.decode(part[..<equals], plusIsSpace: true) else {
                throw .invalidRequest("A name in the query or form is not properly percent-encoded UTF-8.")
            }
            guard let value = PercentEncoding.decode(rawValue, plusIsSpace: true) else {
                throw .invalidRequest("The value of '\(name)' is not properly percent-encoded UTF-8.", param: name)
            }
            pairs.append((name, value))
        }
        self.pairs = pairs
    }

    /// The first value of that name.
    package subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }

    package func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

    /// - Throws: when it is missing, or stands more than once and so says nothing.
    package func string(_ name: String) throws(Problem) -> String {
        guard let value = try optionalString(name) else { throw .missingParameter(name) }
        return value
    }

    package func optionalString(_ name: String) throws(Problem) -> String? {
        let values = all(name)
        guard values.count <= 1 else { throw .invalidRequest("Parameter '\(name)' is given more than once.", param: name) }
        return values.first
    }

    package func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws(Problem) -> Int {
        guard let text = try optionalString(name) else { return fallback }
        guard let number = Int(text), range.contains(number) else {
            throw .invalidRequest("'\(name)' must be a whole number from \(range.lowerBound) to \(range.upperBound).", param: name)
        }
        return number
    }
}
