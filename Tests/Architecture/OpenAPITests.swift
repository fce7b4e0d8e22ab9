import Foundation
import Testing

/// The `openapi.json` of each service as a document. The tests of the service compare it with the
/// router and with real answers.
struct OpenAPITests {
    static let services = ["auth", "ledger", "llm-proxy", "billing"]

    @Test(arguments: services)
    func `a document refers only to its own parts, and names each operation once`(service: String) throws {
        let document = try Self.document(of: service)
        #expect(document.version == "3.1.0")
        for path in ["/livez", "/readyz", "/metrics", "/openapi.json"] {
            #expect(document.paths[path]?.keys.sorted() == ["get"], "\(path)")
        }
        let identifiers = document.paths.values.flatMap(\.values).compactMap { $0["operationId"] as? String }
        #expect(identifiers.count == document.paths.values.map(\.count).reduce(0, +))
        #expect(Set(identifiers).count == identifiers.count)
        for reference in document.references {
            var place: Any? = document.root
            for part in reference.dropFirst(2).split(separator: "/") { place = (place as? [String: Any])?[String(part)] }
            #expect(place != nil, "\(service): \(reference)")
        }
    }

    private struct Document {
        var root: [String: Any]
        var version: String?
        /// Path, then method.
        var paths: [String: [String: [String: Any]]]

        var references: [String] { Self.references(in: root) }

        private static func references(in value: Any) -> [String] {
            if let object = value as? [String: Any] {
                return object.flatMap { key, value in
                    if key == "$ref", let text = value as? String { [text] } else { references(in: value) }
                }
            }
            return (value as? [Any])?.flatMap(references) ?? []
        }
    }

    private static func document(of service: String) throws -> Document {
        let data = try Data(contentsOf: SourceTree.root.appending(path: "Services/\(service)/openapi.json"))
        let root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let paths = try #require(root["paths"] as? [String: [String: [String: Any]]])
        return Document(root: root, version: root["openapi"] as? String, paths: paths)
    }
}
