import Foundation
import HTTP
import HTTPWire
import Testing

/// `docs/access.md`, which is generated from the tables of the services.
struct AccessPageTests {
    /// To renew the page after a change of a table: `UPDATE_GOLDENS=1 make check`.
    @Test func `docs/access.md has every row of every table`() throws {
        let file = SourceTree.root.appending(path: "docs/access.md")
        let page = Self.page
        if ProcessInfo.processInfo.environment["UPDATE_GOLDENS"] != nil { try Data(page.utf8).write(to: file) }
        #expect(try String(contentsOf: file, encoding: .utf8) == page)
    }

    private static var page: String {
        var lines = [
            "# Access", "",
            "Each row is a route. The router checks the access before the handler runs, and refuses a longer body by",
            "its head. The body of a request is read once its caller is admitted; only the rows with the access `service`",
            "read their short bodies first, because the body may name the user. A test generates this page from the tables in `Services/*/Routes.swift` and",
            "`Shared/Bootstrap/HealthRoutes.swift`.", "",
            "| access | admitted callers | refusal |", "|---|---|---|",
            "| public | every client | |",
            "| session or body | every client; the handler reads a session, or a credential in the body | 401; 403 `session_required` for an API key |",
            "| session | a signed-in user; no API key, no service token | 401, 403 `session_required` |",
            "| credential | a session, an API key, or a service token, which names its user | 401; 400 for a service token without a user |",
            "| credential, scope | the same; a restricted key must have the scope | 401, 403 `insufficient_scope` |",
            "| service | a service token, which names the user that pays | 401, 403 `insufficient_scope`, 400 without a user |",
            "| service without user | a service token; `x-on-behalf-of` is not read | 401 `service_token_required` |",
            "| admin | an administrator who signed in; no API key, no service token | 401, 403 `admin_required` |", "",
            "A session is an access token, or the cookie of a browser. Pages and `/api/*` accept the cookie, if the request has no",
            "`Authorization` and no `x-api-key`. With another method than GET or HEAD the request needs the CSRF token of its page",
            "(header `x-csrf-token`, or field `csrf_token` of a form) and an `Origin` equal to that of `PUBLIC_URL`; without",
            "`Origin`, `Sec-Fetch-Site: same-origin`. Else 403 `csrf_failed`.", "",
            "Rate classes: `credentials` proves or changes an identity, `polls` waits for one, `calls` calls a model, `general` is the rest.",
        ]
        for service in RouteTables.services where !service.rows.isEmpty { lines += table("`\(service.name)`", service.rows) }
        lines += table("Every serving port", RouteTables.common)
        lines += table("Every health port", RouteTables.health)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func table(_ title: String, _ rows: [RouteRow]) -> [String] {
        [
            "", "## \(title)", "", "| method | path | access | scope | body limit in bytes | rate class | error shape |",
            "|---|---|---|---|---|---|---|",
        ]
            + rows.flatMap { row in
                row.paths.map { path in
                    let (access, scope) = words(of: row.access)
                    return "| \(row.method.rawValue) | `\(path)` | \(access) | \(scope) | \(row.bodyBytesMax) | \(row.rate.rawValue) "
                        + "| \(row.errors.rawValue) |"
                }
            }
    }

    private static func words(of access: Access) -> (access: String, scope: String) {
        switch access {
        case .public: ("public", "")
        case .sessionOrBody: ("session or body", "")
        case .serviceWithoutUser: ("service without user", "")
        case .caller(.session(nil)): ("session", "")
        case .caller(.session(let limit?)): ("session, signed in within \(limit.components.seconds) s", "")
        case .caller(.credential(let scope)): ("credential", scope.map { "`\($0)`" } ?? "")
        case .caller(.service): ("service", "")
        case .caller(.admin(nil)): ("admin", "")
        case .caller(.admin(let limit?)): ("admin, signed in within \(limit.components.seconds) s", "")
        }
    }
}
