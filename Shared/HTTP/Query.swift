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
        guard values.count <= 1 else { throw .invalidRequest("'\(name)' stands more than once.", param: name) }
        return values.first
    }

    package func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws(Problem) -> Int {
        guard let text = try optionalString(name), !text.isEmpty else { return fallback }
        guard let number = Int(text), range.contains(number) else {
            throw .invalidRequest("'\(name)' must be a whole number from \(range.lowerBound) to \(range.upperBound).", param: name)
        }
        return number
    }
}

package enum PercentEncoding {
    /// Nil for a broken escape, malformed UTF-8, or an encoded NUL.
    package static func decode(_ bytes: some Sequence<UInt8>, plusIsSpace: Bool = false) -> String? {
        var output: [UInt8] = []
        var iterator = bytes.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = iterator.next().flatMap(hexDigit), let low = iterator.next().flatMap(hexDigit), high | low != 0 else {
                    return nil
                }
                output.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: output.append(0x20)
            default: output.append(byte)
            }
        }
        return String(validating: output, as: UTF8.self)
    }

    /// Everything but RFC 3986's unreserved characters becomes an escape.
    package static func encode(_ text: String) -> String {
        var output: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: output.append(byte)
            default: output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
