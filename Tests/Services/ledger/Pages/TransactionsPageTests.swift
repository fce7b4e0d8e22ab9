import Contracts
import Identity
import TestSupport
import Testing
import Text
import Values

@testable import Ledger
@testable import LedgerCore

extension PagesTests {
    private static func amounts(_ page: Answer) -> [String] {
        page.text.matches(of: /<td class="figures"><span class="amount[^>]*>([^<]*)<\/span><\/td><td class="minor/).map {
            String($0.output.1)
        }
    }

    @Test func `transactions stand newest first, with their type, what they were for, and the balance after them`() async throws {
        try await withServer { server in
            let person = server.browser()
            let charge = try await server.grant(.topup, 20, to: person, reason: "Package of 20")
            let call = try await server.call(person, cost: credits(3), model: "gpt-5.4", operation: "chat")
            let page = try await server.open("/transactions", person)
            #expect(Self.amounts(page) == ["−3", "+20"])
            #expect(page.text.contains("<a href=\"/transactions/\(charge)\">"))
            #expect(page.text.contains("<a href=\"/transactions/\(call)\">"))
            #expect(page.text.contains("<span class=\"tag\">Top-up</span></td><td class=\"long\"><bdi>Package of 20</bdi>"))
            #expect(page.text.contains("<bdi>gpt-5.4</bdi><span class=\"muted\"> · <bdi>chat</bdi></span>"))
            #expect(page.text.contains("title=\"17 credits\">17</span>"))
            #expect(!page.text.contains("class=\"pager\""))
        }
    }

    @Test func `a filter finds by type, day and text, and is kept by the pages and the file`() async throws {
        try await withServer { server in
            let person = server.browser(timeZone: "Asia/Bangkok")
            try await server.grant(.topup, 20, to: person, reason: "Package")
            try await server.grant(.bonus, 5, to: person, reason: "Welcome")
            try await server.call(person, cost: credits(3), model: "gpt-5.4")
            for (query, expected) in [
                ("type=topup", ["+20"]), ("type=usage", ["−3"]), ("q=WELCOME", ["+5"]), ("q=%20gpt-5.4%20", ["−3"]), ("type=refund", []),
                ("from=2199-01-01", []), ("to=2000-01-01", []), ("from=2000-01-01&to=2199-12-31&type=&q=", ["−3", "+5", "+20"]),
            ] {
                #expect(Self.amounts(try await server.open("/transactions?\(query)", person)) == expected, "\(query)")
            }
            let page = try await server.open("/transactions?type=topup&q=pack&from=2026-01-01", person)
            #expect(page.text.contains(#"<option value="topup" selected>Top-up</option>"#))
            #expect(page.text.contains(#"value="pack""#) && page.text.contains(#"value="2026-01-01""#))
            let file = "/api/credits/history?format=csv&amp;type=topup&amp;from=2026-01-01&amp;q=pack&amp;tz=Asia%2FBangkok"
            #expect(page.text.contains("<a href=\"\(file)\" class=\"button\">"))
            let export = try await server.open(file.replacing("&amp;", with: "&"), person)
            #expect(export.status == 200)
            #expect(export.text.split(separator: "\r\n").count == 2)
            let none = try await server.open("/transactions?type=refund", person)
            #expect(none.text.contains("No transaction matches."))
            #expect(none.text.contains(#"<a href="/transactions" class="button">Show all transactions</a>"#))
        }
    }

    @Test func `the pager leads through all pages and back, by the cursor of the page before`() async throws {
        try await withServer { server in
            let person = server.browser()
            for amount in 1...120 { try await server.grant(.topup, Int64(amount), to: person) }
            var (path, seen, pages): (String?, [String], Int) = ("/transactions?type=topup", [], 0)
            while let next = path {
                let page = try await server.open(next, person)
                seen += Self.amounts(page)
                pages += 1
                #expect(page.text.contains(#"<a href="/transactions?type=topup">First page</a>"#) == (pages > 1))
                path = page.text.firstMatch(of: /<a href="([^"]*)">Next page<\/a>/).map {
                    String($0.output.1).replacing("&amp;", with: "&")
                }
            }
            #expect(pages == 3)
            #expect(seen == (1...120).reversed().map { "+\($0)" })
        }
    }

    @Test(arguments: [
        ("from=2026-13-01", "from", "Enter a day like 2026-11-20, from 2000 to 2199."),
        ("to=x", "to", "Enter a day like 2026-11-20, from 2000 to 2199."),
        ("from=1999-12-31", "from", "Enter a day like 2026-11-20, from 2000 to 2199."),
        ("to=2200-01-01", "to", "Enter a day like 2026-11-20, from 2000 to 2199."),
        ("from=2026-11-20T00:00:00Z", "from", "Enter a day like 2026-11-20, from 2000 to 2199."),
        ("from=2026-11-21&to=2026-11-20", "from", "Enter a day that is not after the other one."),
        ("q=%07", "q", "Enter at most 200 characters, all of them visible."),
        ("q=\(String(repeating: "a", count: 201))", "q", "Enter at most 200 characters, all of them visible."),
    ])
    func `a bad filter is named next to its field, and kept`(query: String, field: String, error: String) async throws {
        try await withServer { server in
            let page = try await server.open("/transactions?\(query)", server.browser())
            #expect(page.status == 400)
            #expect(page.error(of: field) == error)
            #expect(page.text.contains("<a href=\"#\(field)\">\(error)</a>"))
            #expect(!page.text.contains("format=csv"))
        }
    }

    @Test(arguments: [
        "cursor=x", "cursor=0", "cursor=-1", "cursor=99999999999999999999", "cursor=1&cursor=2", "type=hold", "type=void", "type=x",
        "type=usage,topup", "q=%ff", "from=2026-01-01&from=2026-01-02",
    ])
    func `a query that no page of ours makes is refused`(query: String) async throws {
        try await withServer { server in
            let page = try await server.open("/transactions?\(query)", server.browser())
            #expect(page.status == 400)
            #expect(page.isError("This request cannot be read"))
        }
    }

    @Test func `an empty list leads on`() async throws {
        try await withServer { server in
            let page = try await server.open("/transactions", server.browser())
            #expect(page.text.contains("There is no transaction yet."))
            #expect(page.text.contains(#"<a href="/dashboard" class="button">To the dashboard</a>"#))
        }
    }

    @Test func `no text of a program becomes markup`() async throws {
        try await withServer { server in
            let (person, admin) = (server.browser(), server.browser(isAdmin: true))
            let charge = try await server.grant(.topup, 20, to: person, reason: RouteServer.script)
            let call = try await server.call(person, cost: credits(1), model: "m", operation: RouteServer.script)
            let search = "q=\(PercentEncoding.encode(RouteServer.script))"
            let account = "/admin/credits/\(person.userID)"
            let paths = [
                (person, "/dashboard"), (person, "/transactions"), (person, "/transactions?\(search)"), (person, "/transactions/\(charge)"),
                (person, "/transactions/\(call)"), (admin, account), (admin, "\(account)/transactions"),
                (admin, "\(account)/transactions/\(charge)"), (admin, "/admin/usage"),
            ]
            for (viewer, path) in paths {
                let page = try await server.open(path, viewer)
                #expect(page.status == 200, "\(path)")
                #expect(!page.text.contains("<script>"), "\(path)")
                #expect(page.text.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "\(path)")
            }
        }
    }
}
