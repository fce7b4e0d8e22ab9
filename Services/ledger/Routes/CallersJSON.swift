import HTTP
import JSON

/// Callers' own JSON that the journal keeps as `jsonb`. Postgres writes numbers out: `1e131071` comes back as 131,072 digits, and a few
/// kilobytes of such numbers as a hundred megabytes, in every page that shows them. It has no NUL character either.
enum CallersJSON {
    /// The largest object that is stored, as Postgres prints it, without the spaces that it puts between members.
    static let storedBytesMax = 16 << 10
    static let numberBytesMax = 40
    static let exponentMax = 300

    /// - Throws: 400 that names `param`.
    static func check(_ object: JSONObject, param: String) throws {
        let grown = try growth(.object(object), param)
        guard object.bytes.count + grown <= storedBytesMax else {
            throw Problem.invalidRequest(
                "The numbers in this object are too long when written out; use fewer digits or smaller exponents.", param: param)
        }
    }

    /// How many characters the numbers of `value` gain at most when their exponents are written out.
    private static func growth(_ value: JSONValue, _ param: String) throws -> Int {
        switch value {
        case .bool, .null: return 0
        case .string(let text):
            try checkText(text, param)
            return 0
        case .number(let text): return try growth(ofNumber: text, param)
        case .array(let values): return try values.reduce(0) { $0 + (try growth($1, param)) }
        case .object(let object):
            return try object.members.reduce(0) { sum, member in
                try checkText(member.name, param)
                return sum + (try growth(JSONValue(Array(object.bytes[member.valueRange])), param))
            }
        }
    }

    private static func checkText(_ text: String, _ param: String) throws(Problem) {
        guard !text.utf8.contains(0) else {
            throw .invalidRequest("NUL characters are not allowed; remove them.", param: param)
        }
    }

    private static func growth(ofNumber text: String, _ param: String) throws(Problem) -> Int {
        let exponent = text.split(whereSeparator: { $0 == "e" || $0 == "E" }).dropFirst().first
        guard text.utf8.count <= numberBytesMax, let size = exponent.map({ Int($0)?.magnitude }) ?? 0, size <= UInt(exponentMax) else {
            throw .invalidRequest(
                "A number has at most \(numberBytesMax) characters and an exponent of at most \(exponentMax) either way.", param: param)
        }
        return Int(size)
    }
}
