import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct AuditRouteTests {
    @Test func `the last audit is returned as it was recorded`() async throws {
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

            for (query, param) in [("last=yes", "last"), ("all=1", "all"), ("all=true&last=true", "last")] {
                let malformed = try await server.ask("GET", "/api/admin/credits/audit?\(query)", as: admin)
                #expect(malformed.status == 400)
                #expect(malformed.param == param)
            }
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct AuditAtOnceRouteTests {
    @Test func `an audit is refused while another one runs in this ledger`() async throws {
        try await withServer { server in
            let admin = server.person(isAdmin: true)
            let first = try await server.ledger.pool.transaction { holder in
                try await holder.script("LOCK TABLE audit_opening IN ACCESS EXCLUSIVE MODE")
                let first = Task(executorPreference: TestDatabase.loop) {
                    try await server.ask("GET", "/api/admin/credits/audit?all=true", as: admin)
                }
                try await until("the audit has begun") { try await server.ledger.reads.one(CountWaitingAudits()) == 1 }
                for query in ["", "?all=true"] {
                    let second = try await server.ask("GET", "/api/admin/credits/audit\(query)", as: admin)
                    #expect(second.status == 409, "\(query)")
                    #expect(second.code == "conflict", "\(query)")
                    #expect(second.text.contains("`ledger audit --all`"), "\(query)")
                }
                return first
            }
            #expect(try await first.value.status == 200)
            #expect(try await server.ask("GET", "/api/admin/credits/audit?all=true", as: admin).status == 200)
        }
    }
}

private struct CountWaitingAudits: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM pg_locks WHERE relation = 'audit_opening'::regclass AND NOT granted"
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct AuditFromOpeningRouteTests {
    @Test func `an audit reads the entries since the newest opening, and all of them with all=true`() async throws {
        try await withMovedClock { ledgers in
            try await serve(ledgers[0]) { server in
                let admin = server.person(isAdmin: true)
                _ = try await server.ledger.account(10)
                let opening = (JournalMonth(of: Instant.now()) + 1).start
                #expect(try await server.ledger.night(opening + .days(7)) == [])

                let audit = try await server.object("/api/admin/credits/audit", as: admin)
                #expect(audit.text(of: "audited_from") == "\"\(opening)\"")
                #expect(audit.text(of: "entries") == "0")
                let all = try await server.object("/api/admin/credits/audit?all=true", as: admin)
                #expect(all.text(of: "audited_from") == "null")
                #expect(all.text(of: "entries") == "1")
                #expect(try await server.object("/api/admin/credits/audit?last=true", as: admin).bytes == all.bytes)
            }
        }
    }
}
