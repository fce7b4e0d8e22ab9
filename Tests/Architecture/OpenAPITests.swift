import Foundation
import HTTP
import HTTPWire
import Testing

/// The `openapi.json` of each service as a document, compared with the table of its routes. The tests
/// of the service compare it with real answers.
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

    /// Returns the path as a document writes it, which has no form for a parameter of several segments.
    private static func documented(_ path: String) -> String { path.replacingOccurrences(of: "...}", with: "}") }

    @Test(arguments: RouteTables.services)
    func `a document names every route of the table and no other`(service: RouteTables.Service) throws {
        let promised = try Self.document(of: service.name).paths.flatMap { path, operations in
            operations.keys.map { "\($0.uppercased()) \(path)" }
        }
        let served = (service.rows.filter { !$0.isPage } + RouteTables.common + RouteTables.health).flatMap(\.operations)
        #expect(Set(promised) == Set(served.map(Self.documented)))
    }

    @Test(arguments: RouteTables.services)
    func `a document asks for a credential where the table does`(service: RouteTables.Service) throws {
        let document = try Self.document(of: service.name)
        for row in service.rows where !row.isPage {
            for path in row.paths {
                let security =
                    document.paths[Self.documented(path)]?[row.method.rawValue.lowercased()]?["security"] as? [[String: Any]] ?? []
                let isOptional = security.isEmpty || security.contains { $0.isEmpty }
                #expect(isOptional == !row.needsCredential, "\(row.method.rawValue) \(path)")
            }
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

extension RouteRow {
    fileprivate var needsCredential: Bool {
        switch access {
        case .public, .sessionOrBody: false
        case .serviceWithoutUser, .caller: true
        }
    }
}
