import Identity
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct AdminUsagePageTests {
    @Test func `the page shows all accounts, their usage, and the last nightly audit`() async throws {
        try await withServer { server in
            let admin = server.browser(isAdmin: true)
            let empty = try await server.open("/admin/usage", admin)
            #expect(empty.text.contains("No nightly audit has run yet."))
            #expect(empty.text.contains("Nobody used credits in this time."))
            for cost in [Int64(2), 3] {
                let person = server.browser()
                try await server.grant(.topup, 20, to: person)
                try await server.call(person, cost: credits(cost), model: "gpt-5.4", operation: "chat")
            }
            let auditor = Auditor(pool: server.ledger.pool, log: silent)
            _ = try await auditor.run()
            #expect(try await server.open("/admin/usage", admin).text.contains("No nightly audit has run yet."))
            _ = try await auditor.run(due: .now())
            let page = try await server.open("/admin/usage?days=90", admin)
            for fact in [
                "<dt>Accounts</dt><dd>2</dd>", "<dt>Balance</dt><dd><span class=\"amount\" title=\"35 credits\">",
                "<span class=\"tag\">consistent</span>",
                "<dt>Entries</dt><dd>6</dd>", "<td class=\"long\"><bdi>gpt-5.4</bdi></td><td class=\"figures\">2</td>",
                "<td><span class=\"tag\">Top-up</span></td><td class=\"figures\">2</td>", "title=\"40 credits\">40</span>",
                "All changes in 90 days",
                "aria-current=\"true\">90 days</a>",
            ] {
                #expect(page.text.contains(fact), "\(fact)")
            }
        }
    }

    @Test func `findings of the audit are shown, each with its account`() async throws {
        try await withUnauditedServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            try await server.grant(.topup, 20, to: person)
            try await server.tamper("UPDATE account SET posted = 21000000000 WHERE account_id = '\(person.accountID)'")
            _ = try await Auditor(pool: server.ledger.pool, log: silent).run(due: .now() + .seconds(60))
            let page = try await server.open("/admin/usage", admin)
            #expect(page.text.firstMatch(of: /<span class="tag warning">\d+ findings?<\/span>/) != nil)
            #expect(page.text.contains("Journal and tables differ."))
            #expect(page.text.contains("<a href=\"/admin/credits/\(person.userID)\">"))
        }
    }
}
