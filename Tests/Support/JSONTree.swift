package import JSON

/// A JSON value with everything inside it read. Strings are compared byte for byte.
package indirect enum JSONTree: Equatable, Sendable {
    case string(String), number(String), bool(Bool), null
    case array([JSONTree])
    /// The members in the order of the text.
    case object([(name: String, value: JSONTree)])

    /// Reads a value. Null stands for an object inside that cannot be read.
    package init(_ value: JSONValue) {
        switch value {
        case .string(let text): self = .string(text)
        case .number(let text): self = .number(text)
        case .bool(let bool): self = .bool(bool)
        case .null: self = .null
        case .array(let elements): self = .array(elements.map(JSONTree.init))
        case .object(let object):
            self = .object(
                object.members.map { member in
                    (member.name, (try? JSONValue(Array(object.bytes[member.valueRange]))).map(JSONTree.init) ?? .null)
                })
        }
    }

    package static func == (left: JSONTree, right: JSONTree) -> Bool {
        switch (left, right) {
        case (.string(let a), .string(let b)), (.number(let a), .number(let b)): a.utf8.elementsEqual(b.utf8)
        case (.bool(let a), .bool(let b)): a == b
        case (.null, .null): true
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a.elementsEqual(b) { $0.name.utf8.elementsEqual($1.name.utf8) && $0.value == $1.value }
        default: false
        }
    }

    /// The value of a member, if this is an object that has it.
    package subscript(name: String) -> JSONTree? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }
}
