import HTTP
import HTTPWire
import Testing

/// The rows that accept the cookie of a browser.
struct CookieRowTests {
    @Test(arguments: RouteTables.services)
    func `a row has paths that accept the cookie, or paths that do not`(service: RouteTables.Service) {
        for row in service.rows {
            let accepting = row.paths.filter(RouteRow.acceptsCookie)
            #expect(accepting.isEmpty || accepting == row.paths, "\(row.operations): make two rows")
        }
    }

    @Test(arguments: RouteTables.services)
    func `no path under v1 accepts the cookie, and every change needs its proof`(service: RouteTables.Service) {
        for row in service.rows {
            if row.paths.contains(where: { $0.hasPrefix("/v1/") }) {
                #expect(row.cookie == .ignored, "\(row.operations)")
            } else if row.paths.allSatisfy({ $0.hasPrefix("/api/") }) {
                #expect(row.cookie == (row.method == .get ? .accepted : .acceptedWithProof), "\(row.operations)")
            } else if row.method != .get {
                #expect(row.cookie != .accepted, "\(row.operations)")
            }
        }
    }

    @Test func `the tables have rows of each kind`() {
        let uses = RouteTables.services.flatMap(\.rows).map(\.cookie)
        for use in [CookieUse.ignored, .accepted, .acceptedWithProof] { #expect(uses.contains(use)) }
    }
}
