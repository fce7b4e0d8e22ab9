import HTTP
import HTTPWire
import TestSupport
import Testing
import Values

@testable import Web

struct SiteTests {
    /// Asks a page that shows what the site knows about its viewer.
    private func ask(_ target: String, headers: [(name: String, value: String)] = [], isSignedIn: Bool = false) async throws -> String {
        let site = Site(service: "test", publicURL: "http://gateway", clock: { Instant(microseconds: 0) })
        let server = try await PageServer { router in
            router.on(.get, "/page") { request in
                let viewer = site.viewer(request, isSignedIn ? .person(locale: "th", timeZone: "Asia/Bangkok") : nil)
                return .text(200, "\(viewer.language) \(viewer.timeZone) \(viewer.here) \(viewer.now)")
            }
        }
        return try await server.ask("GET", target, headers: headers).body
    }

    @Test func `a person without a session sees English, UTC, and gets back to the page`() async throws {
        #expect(try await ask("/page?a=b%20c&d") == "en UTC /page?a=b%20c&d 1970-01-01T00:00:00.000000Z")
        #expect(try await ask("/page", headers: [("accept-language", "th")]) == "th UTC /page 1970-01-01T00:00:00.000000Z")
    }

    @Test func `an account has a language and a zone, and the browser may choose another language`() async throws {
        #expect(try await ask("/page", isSignedIn: true) == "th Asia/Bangkok /page 1970-01-01T00:00:00.000000Z")
        let chosen = try await ask("/page", headers: [("cookie", "language=en")], isSignedIn: true)
        #expect(chosen == "en Asia/Bangkok /page 1970-01-01T00:00:00.000000Z")
    }

    @Test func `the way back from an address that is no link is the first page`() async throws {
        #expect(try await ask("/page?" + String(repeating: "a", count: 2_000)) == "en UTC / 1970-01-01T00:00:00.000000Z")
    }
}
