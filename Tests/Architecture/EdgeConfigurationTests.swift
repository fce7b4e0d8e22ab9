import Foundation
import HTTP
import Testing

/// The locations of nginx, compared with the tables of the services.
struct EdgeConfigurationTests {
    private struct Location {
        enum Kind { case exact, prefix, pattern }

        let path: String
        let kind: Kind
        /// Nil for an answer of nginx itself.
        let upstream: String?
        let body: String

        func matches(_ sample: String) throws -> Bool {
            switch kind {
            case .exact: sample == path
            case .prefix: sample.hasPrefix(path)
            case .pattern: try sample.firstMatch(of: Regex(path)) != nil
            }
        }
    }

    private static let template = Result {
        try String(contentsOf: SourceTree.root.appending(path: "deploy/nginx/edge.conf.template"), encoding: .utf8)
    }

    private static func locations() throws -> [Location] {
        try template.get().matches(of: /location (= |~ )?(\^?\/\S*) \{((?:[^{}]|\$\{\w+\})*)\}/).map { match in
            let upstream = match.output.3.firstMatch(of: /proxy_pass http:\/\/(\w+);/)?.output.1
            return Location(
                path: String(match.output.2), kind: match.output.1.map { $0 == "= " ? .exact : .pattern } ?? .prefix,
                upstream: upstream.map { String($0.replacing("_", with: "-")) }, body: String(match.output.3))
        }
    }

    /// The location that nginx takes: an exact one, else the first pattern, else the longest prefix.
    private static func location(of path: String, among locations: [Location]) throws -> Location? {
        let matching = try locations.filter { try $0.matches(path) }
        return matching.first { $0.kind == .exact } ?? matching.first { $0.kind == .pattern }
            ?? matching.max { $0.path.count < $1.path.count }
    }

    @Test(arguments: RouteTables.services)
    func `nginx sends every path of a table to its service`(service: RouteTables.Service) throws {
        let locations = try Self.locations()
        #expect(locations.count > 10)
        for path in service.rows.flatMap(\.paths) {
            let sample = path.replacing(/\{[^}]*\}/, with: "x.y")
            #expect(try Self.location(of: sample, among: locations)?.upstream == service.name, "\(path)")
        }
    }

    @Test func `every location of nginx leads to a route`() throws {
        let locations = try Self.locations()
        // The pattern of uploads stands before its routes do.
        for location in locations where location.upstream != nil && location.kind != .pattern {
            let rows = try #require(RouteTables.services.first { $0.name == location.upstream }).rows
            let leads = try rows.flatMap(\.paths).contains { path in
                try Self.location(of: path, among: locations)?.path == location.path
            }
            #expect(leads, "\(location.path) leads to no route of \(location.upstream ?? "")")
        }
    }

    @Test func `nginx limits the rate of every route of the class credentials`() throws {
        let locations = try Self.locations()
        for row in RouteTables.services.flatMap(\.rows) where row.rate == .credentials {
            for path in row.paths {
                let location = try Self.location(of: path, among: locations)
                #expect(location?.body.contains("limit_req zone=auth ") == true, "\(path)")
            }
        }
    }

    @Test func `nginx slows a device down that polls too often, and does not refuse it`() throws {
        let locations = try Self.locations()
        for row in RouteTables.services.flatMap(\.rows) where row.rate == .polls {
            for path in row.paths {
                let location = try Self.location(of: path, among: locations)
                #expect(location?.body.contains("error_page 429 =400 /edge/slow_down;") == true, "\(path)")
            }
        }
    }

    @Test func `nginx accepts the longest body of every route`() throws {
        func limit(_ text: String) -> Int? { text.firstMatch(of: /client_max_body_size (\d+)m;/).flatMap { Int($0.output.1) } }
        let general = try #require(limit(Self.template.get()))
        let locations = try Self.locations()
        for row in RouteTables.services.flatMap(\.rows) {
            for path in row.paths {
                let own = try Self.location(of: path, among: locations).flatMap { limit($0.body) }
                #expect(row.bodyBytesMax <= (own ?? general) << 20, "\(path)")
            }
        }
        #expect(
            try ["/v1/audio/transcriptions", "/v1/images/edits"].map {
                try Self.location(of: $0, among: locations).flatMap { limit($0.body) }
            } == [64, 64])
        #expect(try Self.location(of: "/v1/images/editsx", among: locations)?.path == "/v1/")
    }
}
