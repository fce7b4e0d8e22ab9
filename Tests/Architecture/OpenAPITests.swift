import Foundation
import Testing

/// What a service says it serves in `openapi.json` is what its `Routes.swift` registers, route by route.
struct OpenAPITests {
    static let services = ["auth", "ledger", "llm-proxy", "billing"]

    @Test(arguments: services)
    func `a service's document names the routes it serves, all of them and no others`(service: String) throws {
        let document = try Self.document(of: service)
        let files = try SourceTree.files(in: ["Services/\(service)"], endingWith: ".swift").filter { $0.path.contains("/Routes") }
        let served = files.reduce(into: try Self.healthRoutes()) { $0.formUnion(Self.routes(in: $1)) }
        let promised = Set(
            document.paths.flatMap { path, operations in operations.keys.map { "\($0.uppercased()) \(path)" } })
        #expect(
            promised == served,
            "only promised: \(promised.subtracting(served).sorted()); only served: \(served.subtracting(promised).sorted())")
    }

    @Test func `the routes of a service are found in its source`() throws {
        let found = try ["auth", "ledger", "llm-proxy"].map { service in
            Self.routes(in: try #require(try SourceTree.files(in: ["Services/\(service)"], endingWith: "Routes.swift").first))
        }
        #expect(found[0].isSuperset(of: ["POST /register", "POST /api/auth/register", "GET /me", "DELETE /api/keys/{id}"]))
        #expect(found[1].contains("POST /api/admin/credits/adjust"))
        #expect(found[2].contains("POST /v1/chat/completions"))
        #expect(try Self.healthRoutes() == ["GET /livez", "GET /readyz", "GET /metrics", "GET /openapi.json"])
    }

    @Test(arguments: services)
    func `a document refers only to what stands in it, and names each operation once`(service: String) throws {
        let document = try Self.document(of: service)
        #expect(document.version == "3.1.0")
        let identifiers = document.paths.values.flatMap(\.values).compactMap { $0["operationId"] as? String }
        #expect(identifiers.count == document.paths.values.map(\.count).reduce(0, +))
        #expect(Set(identifiers).count == identifiers.count)
        for reference in document.references {
            var place: Any? = document.root
            for part in reference.dropFirst(2).split(separator: "/") { place = (place as? [String: Any])?[String(part)] }
            #expect(place != nil, "\(service): \(reference)")
        }
    }

    private static func healthRoutes() throws -> Set<String> {
        let file = try SourceTree.files(in: ["Shared/Bootstrap"], endingWith: "HealthRoutes.swift")[0]
        return routes(in: file)
    }

    /// `on(.get, "/me"` and `onExchange(…`; also a loop over aliases, which stands on one line: `for path in ["/a", "/b"] { … on(.get, path`.
    private static func routes(in file: SourceTree.File) -> Set<String> {
        var routes: Set<String> = []
        for line in file.lines {
            for found in line.matches(of: /[ .]on(?:Exchange)?\(\.([a-z]+), "([^"]+)"/) {
                routes.insert("\(found.output.1.uppercased()) \(found.output.2)")
            }
            guard let loop = line.firstMatch(of: /for path in \[([^\]]+)\] \{.*[ .]on(?:Exchange)?\(\.([a-z]+), path,/) else { continue }
            for path in loop.output.1.matches(of: /"([^"]+)"/) {
                routes.insert("\(loop.output.2.uppercased()) \(path.output.1)")
            }
        }
        return routes
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
