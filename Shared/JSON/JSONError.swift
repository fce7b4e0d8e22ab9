/// Why bytes were not the JSON that was asked for. Offsets count from the first byte handed in.
package enum JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    case notAnObject
    case syntax(at: Int)
    /// Nested deeper than ``JSONObject/depthMax``.
    case depth
    /// A member that stands twice would mean one thing to us and another to the next reader.
    case duplicateKey(String)
    case missing(String)
    case wrongType(String, expected: String)

    package var description: String {
        switch self {
        case .notAnObject: "not a JSON object"
        case .syntax(let offset): "malformed JSON at byte \(offset)"
        case .depth: "JSON nested deeper than \(JSONObject.depthMax) levels"
        case .duplicateKey(let name): "'\(name)' stands twice"
        case .missing(let name): "'\(name)' is missing"
        case .wrongType(let name, let expected): "'\(name)' must be \(expected)"
        }
    }
}
