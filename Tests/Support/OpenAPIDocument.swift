import FoundationEssentials
import JSON

/// The `openapi.json` of a service, and the check whether an answer is what it promises.
///
/// It knows the words of JSON Schema that our documents use: `type`, `required`, `properties`,
/// `additionalProperties`, `items`, `enum`, `const`, `allOf`, `oneOf` and `$ref`.
package struct OpenAPIDocument: Sendable {
    private let root: JSONTree

    package init(of service: String) throws {
        let file = try Data(contentsOf: URL(filePath: TestDatabase.packageRoot + "/Services/\(service)/openapi.json"))
        root = JSONTree(try JSONValue(Array(file)))
    }

    /// Returns what in an answer the document does not promise: nothing, if the answer is right.
    package func differences(
        _ method: String, _ target: String, status: Int, contentType: String?, body: [UInt8]
    ) -> [String] {
        let path = String(target.split(separator: "?", omittingEmptySubsequences: false)[0])
        guard let operations = paths[path] ?? paths.members.first(where: { Self.isMatch($0.name, path) })?.value else {
            return status == 404 ? [] : ["\(path) is not promised"]
        }
        guard let operation = operations[method == "HEAD" ? "get" : method.lowercased()] else {
            return status == 405 ? [] : ["\(method) \(path) is not promised"]
        }
        let responses = operation["responses"]
        guard let response = responses?["\(status)"] ?? responses?["default"] else { return ["status \(status) is not promised"] }
        if method == "HEAD" { return body.isEmpty ? [] : ["an answer to HEAD has a body"] }
        guard let content = resolve(response)["content"] else { return body.isEmpty ? [] : ["a body is not promised"] }
        let type = String(contentType?.split(separator: ";").first ?? "")
        guard let schema = content[type]?["schema"] else { return ["content type '\(type)' is not promised"] }
        guard type == "application/json" else { return [] }
        guard let value = try? JSONValue(body) else { return ["the body is no JSON"] }
        return differences(JSONTree(value), schema, at: "body")
    }

    private var paths: JSONTree { root["paths"] ?? .null }

    private static func isMatch(_ pattern: String, _ path: String) -> Bool {
        let (names, parts) = (pattern.split(separator: "/"), path.split(separator: "/"))
        return names.count == parts.count && zip(names, parts).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
    }

    private func resolve(_ node: JSONTree) -> JSONTree {
        guard case .string(let reference) = node["$ref"] else { return node }
        return reference.dropFirst(2).split(separator: "/").reduce(root) { $0[String($1)] ?? .null }
    }

    private func differences(_ value: JSONTree, _ unresolved: JSONTree, at place: String) -> [String] {
        let schema = resolve(unresolved)
        var found: [String] = []
        if let types = schema["type"]?.list, !types.contains(where: { value.isA($0) }) { found.append("\(place) has another type") }
        if let allowed = schema["enum"], !allowed.list.contains(value) { found.append("\(place) is not one of its enum") }
        if let constant = schema["const"], constant != value { found.append("\(place) is not its constant") }
        for part in schema["allOf"]?.list ?? [] { found += differences(value, part, at: place) }
        if let choices = schema["oneOf"]?.list, !choices.contains(where: { differences(value, $0, at: place).isEmpty }) {
            found.append("\(place) matches no schema of its oneOf")
        }
        switch value {
        case .object(let members):
            for name in schema["required"]?.list ?? [] {
                if case .string(let name) = name, value[name] == nil { found.append("\(place).\(name) is missing") }
            }
            for (name, member) in members.sorted(by: { $0.name < $1.name }) {
                guard let promised = schema["properties"]?[name] ?? schema["additionalProperties"] else { continue }
                if promised == .bool(false) { found.append("\(place).\(name) is not promised") }
                found += differences(member, promised, at: "\(place).\(name)")
            }
        case .array(let elements):
            guard let items = schema["items"] else { break }
            for (index, element) in elements.enumerated() { found += differences(element, items, at: "\(place)[\(index)]") }
        default: break
        }
        return found
    }
}

extension JSONTree {
    fileprivate var members: [(name: String, value: JSONTree)] { if case .object(let members) = self { members } else { [] } }

    /// The elements of an array; anything else is a list of itself.
    fileprivate var list: [JSONTree] { if case .array(let elements) = self { elements } else { [self] } }

    fileprivate func isA(_ type: JSONTree) -> Bool {
        switch (self, type) {
        case (.string, .string("string")), (.bool, .string("boolean")), (.null, .string("null")), (.object, .string("object")),
            (.array, .string("array")), (.number, .string("number")):
            true
        case (.number(let text), .string("integer")): Int64(text) != nil
        default: false
        }
    }
}
