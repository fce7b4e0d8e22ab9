import Contracts
import JSON
import TestSupport
import Testing

@testable import Ledger

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct AuditRouteTests {
    @Test func `the last audit is told as it was found then`() async throws {
        try await withServer { server in
            let admin = server.person(isAdmin: true)
            let none = try await server.ask("GET", "/api/admin/credits/audit?last=true", as: admin)
            #expect(none.status == 404)

            let now = try await server.ask("GET", "/api/admin/credits/audit", as: admin)
            #expect(now.json?.text(of: "accounts") == "0")
            _ = try await server.ledger.account(10)
            let last = try await server.ask("GET", "/api/admin/credits/audit?last=true", as: admin)
            #expect(last.status == 200)
            #expect(last.json?.bytes == now.json?.bytes)

            let malformed = try await server.ask("GET", "/api/admin/credits/audit?last=yes", as: admin)
            #expect(malformed.status == 400)
            #expect(malformed.param == "last")
        }
    }
}
