import Foundation
import HTTP
import Testing

/// The locations of nginx, compared with the tables of the services.
struct EdgeConfigurationTests {
    private struct Location {
        let path: String
        let isExact: Bool
        /// Nil for an answer of nginx itself.
        let upstream: String?
        let body: String
    }

    private static let template = Result {
        try String(contentsOf: SourceTree.root.appending(path: "deploy/nginx/edge.conf.template"), encoding: .utf8)
    }

    private static func locations() throws -> [Location] {
        try template.get().matches(of: /location (= )?(\/\S*) \{((?:[^{}]|\$\{\w+\})*)\}/).map { match in
            let upstream = match.output.3.firstMatch(of: /proxy_pass http:\/\/(\w+);/)?.output.1
            return Location(
                path: String(match.output.2), isExact: match.output.1 != nil,
                upstream: upstream.map { String($0.replacing("_", with: "-")) }, body: String(match.output.3))
        }
    }

    /// The location that nginx takes: an exact one, else the longest prefix.
    private static func location(of path: String, among locations: [Location]) -> Location? {
        let exact = locations.first { $0.isExact && $0.path == path }
        return exact ?? locations.filter { !$0.isExact && path.hasPrefix($0.path) }.max { $0.path.count < $1.path.count }
    }

    @Test(arguments: RouteTables.services)
    func `nginx sends every path of a table to its service`(service: RouteTables.Service) throws {
        let locations = try Self.locations()
        #expect(locations.count > 10)
        for path in service.rows.flatMap(\.paths) {
            let sample = path.replacing(/\{[^}]*\}/, with: "x.y")
            #expect(Self.location(of: sample, among: locations)?.upstream == service.name, "\(path)")
        }
    }

    @Test func `every location of nginx leads to a route`() throws {
        let locations = try Self.locations()
        for location in locations where location.upstream != nil {
            let rows = try #require(RouteTables.services.first { $0.name == location.upstream }).rows
            let leads = rows.flatMap(\.paths).contains { path in
                Self.location(of: path, among: locations)?.path == location.path
            }
            #expect(leads, "\(location.path) leads to no route of \(location.upstream ?? "")")
        }
    }

    @Test func `nginx limits the rate of every route of the class credentials`() throws {
        let locations = try Self.locations()
        for row in RouteTables.services.flatMap(\.rows) where row.rate == .credentials {
            for path in row.paths {
                let location = Self.location(of: path, among: locations)
                #expect(location?.body.contains("limit_req zone=auth ") == true, "\(path)")
            }
        }
    }

    @Test func `nginx slows a device down that polls too often, and does not refuse it`() throws {
        let locations = try Self.locations()
        for row in RouteTables.services.flatMap(\.rows) where row.rate == .polls {
            for path in row.paths {
                let location = Self.location(of: path, among: locations)
                #expect(location?.body.contains("error_page 429 =400 /edge/slow_down;") == true, "\(path)")
            }
        }
    }

    @Test func `nginx accepts the longest body of every route`() throws {
        let limit = try #require(try Self.template.get().firstMatch(of: /client_max_body_size (\d+)m;/).flatMap { Int($0.output.1) })
        for row in RouteTables.services.flatMap(\.rows) { #expect(row.bodyBytesMax <= limit << 20, "\(row.paths)") }
    }
}
