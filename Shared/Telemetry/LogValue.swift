package import JSON
import Values

/// A value in a log line or a span. It is never a secret, and never a text that a person wrote.
package struct LogValue: Sendable, Equatable {
    enum Storage: Sendable, Equatable {
        case string(String)
        case integer(Int64)
        case double(Double)
        case bool(Bool)
    }

    let storage: Storage

    package static func string(_ value: some StringProtocol) -> LogValue { LogValue(storage: .string(String(value))) }
    package static func integer(_ value: some BinaryInteger) -> LogValue { LogValue(storage: .integer(Int64(clamping: value))) }
    package static func double(_ value: Double) -> LogValue { LogValue(storage: .double(value)) }
    package static func bool(_ value: Bool) -> LogValue { LogValue(storage: .bool(value)) }

    /// Ids, amounts, names of cases: whatever describes itself.
    package static func describing(_ value: some CustomStringConvertible) -> LogValue { LogValue(storage: .string(value.description)) }

    /// Milliseconds with microsecond precision; name the key `…_ms`.
    package static func milliseconds(_ value: Duration) -> LogValue {
        .double(Double(value.wholeMicroseconds) / 1_000)
    }

    package func write(into json: inout JSONWriter) {
        switch storage {
        case .string(let text): json.string(text)
        case .integer(let integer): json.integer(integer)
        case .double(let double): json.raw((double.isFinite ? "\(double)" : "null").utf8)
        case .bool(let bool): json.bool(bool)
        }
    }
}

extension LogValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral {
    package init(stringLiteral value: String) { storage = .string(value) }
    package init(integerLiteral value: Int64) { storage = .integer(value) }
    package init(floatLiteral value: Double) { storage = .double(value) }
    package init(booleanLiteral value: Bool) { storage = .bool(value) }
}

/// Keys and values in the order written.
package struct LogFields: Sendable, ExpressibleByDictionaryLiteral {
    package private(set) var pairs: [(String, LogValue)]

    package init(dictionaryLiteral elements: (String, LogValue)...) { pairs = elements }

    package mutating func append(_ key: String, _ value: LogValue) { pairs.append((key, value)) }

    package static func + (left: LogFields, right: LogFields) -> LogFields {
        var fields = left
        fields.pairs.append(contentsOf: right.pairs)
        return fields
    }
}
