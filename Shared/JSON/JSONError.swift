/// Why bytes were not the JSON that was asked for. Offsets count from the first byte handed in.
package enum JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    case notAnObject
    case syntax(at: Int)
    /// Nested deeper than ``JSONObject/depthMax``.
    case depth
    /// An object with more members than ``JSONObject/membersMax``.
    case tooManyMembers
    /// A name of more than ``JSONObject/nameBytesMax`` bytes.
    case nameTooLong
    /// A text with more values than its reader allows.
    case tooManyValues(max: Int)
    /// A member that stands twice would mean one thing to us and another to the next reader.
    case duplicateKey(String)
    case missing(String)
    case wrongType(String, expected: String)

    package var description: String {
        switch self {
        case .notAnObject: "not a JSON object"
        case .syntax(let offset): "malformed JSON at byte \(offset)"
        case .depth: "JSON nested deeper than \(JSONObject.depthMax) levels"
        case .tooManyMembers: "an object has more than \(JSONObject.membersMax) members; send fewer"
        case .nameTooLong: "an object has a name of more than \(JSONObject.nameBytesMax) bytes; use a shorter one"
        case .tooManyValues(let max): "the JSON has more than \(max) values; send fewer"
        case .duplicateKey(let name): "'\(name)' is given more than once; send it once"
        case .missing(let name): "'\(name)' is missing"
        case .wrongType(let name, let expected): "'\(name)' must be \(expected)"
        }
    }
}
