import Identity
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

extension PagesTests {
    @Test func `the dashboard shows the credits by lot, in the order of their use`() async throws {
        try await withServer { server in
            let person = server.browser()
            try await server.grant(.topup, 200, to: person)
            try await server.grant(.bonus, 20, to: person, expiresAt: .now() + .seconds(3 * 86_400))
            try await server.grant(.planGrant, 70, to: person, expiresAt: .now() + .seconds(20 * 86_400))
            let page = try await server.open("/dashboard", person)
            #expect(page.text.contains(#"<p class="figure"><span class="amount" title="290 credits">290</span>"#))
            let sources = page.text.matches(of: /<\/svg>([A-Za-z-]+)<\/span><\/td><td class="figures"><span[^>]*>(\d+)/)
            #expect(sources.map { "\($0.output.1) \($0.output.2)" } == ["Bonus 20", "Plan 70", "Top-up 200"])
            #expect(page.text.contains(#"<span class="tag warning">soon</span>"#))
            #expect(page.text.contains(#"<rect x="0" y="0" width="69" height="1" class="share soon">"#))
            #expect(page.text.contains(">never</span>"))
        }
    }

    @Test func `many lots are shown in few rows`() async throws {
        try await withServer { server in
            let person = server.browser()
            for _ in 0..<9 { try await server.grant(.topup, 1, to: person) }
            let page = try await server.open("/dashboard", person)
            #expect(page.text.contains("4 more grants</span></td><td class=\"figures\"><span class=\"amount\" title=\"4 credits\">"))
        }
    }

    @Test func `the dashboard shows what is held, the month, the limits and the plan`() async throws {
        try await withServer { server in
            let person = server.browser()
            try await server.grant(.topup, 100, to: person)
            try await server.call(person, cost: credits(7), model: "gpt-5.4", operation: "chat")
            try await server.call(person, cost: credits(7), model: "gpt-5.4")
            _ = try await server.send("/settings/limits", ["monthly": "400", "daily": "50"], person)
            try await server.ledger.do(hold(3), account: person.accountID)
            let page = try await server.open("/dashboard", person)
            for fact in [
                "<dt>Held by running calls</dt><dd><span class=\"amount\" title=\"3 credits\">",
                "<dt>Used</dt><dd><span class=\"amount\" title=\"14 credits\">", "<dt>Charges</dt><dd>2</dd>",
                "<dt>Plan</dt><dd><bdi>free</bdi></dd>", "title=\"400 credits\">400 credits</span> a month · ",
                // 14 credits in a week; 83 are left.
                "<dt>Lasts</dt><dd>about 41 days at this pace</dd>",
                "<td class=\"long\"><bdi>gpt-5.4</bdi></td><td class=\"figures\">2</td>",
                "<td class=\"long\"><bdi>chat</bdi></td>", "without a name", "<span class=\"muted\"> · <bdi>chat</bdi></span>",
            ] {
                #expect(page.text.contains(fact), "\(fact)")
            }
            #expect(page.text.contains("class=\"newest\"><title>"))
            #expect(page.text.matches(of: /<tr><td>\d+ \w+ \d{4}<\/td>/).count == 30)
            let long = try await server.open("/dashboard?days=90", person)
            #expect(long.text.matches(of: /<tr><td>\d+ \w+ \d{4}<\/td>/).count == 90)
            #expect(long.text.contains(#"<a href="/dashboard?days=90" aria-current="true">90 days</a>"#))
        }
    }

    @Test func `a low balance comes with the days that it lasts`() async throws {
        try await withServer { server in
            let person = server.browser()
            try await server.grant(.topup, 21, to: person)
            try await server.call(person, cost: credits(7), model: "m")
            _ = try await server.send("/settings/limits", ["low_balance_level": "20"], person)
            #expect(try await server.open("/dashboard", person).text.contains("At this pace they last about 14 days."))
            try await server.call(person, cost: credits(13), model: "m")
            #expect(try await server.open("/dashboard", person).text.contains("At this pace they last less than a day."))
        }
    }

    @Test func `days and times are those of the viewer's zone`() async throws {
        try await withServer { server in
            for zone in ["UTC", "Asia/Bangkok", "America/Los_Angeles"] {
                let person = server.browser(timeZone: zone)
                try await server.grant(.topup, 9, to: person)
                try await server.call(person, cost: credits(1), model: "m")
                let page = try await server.open("/dashboard", person)
                // The newest bar is today's.
                #expect(page.text.contains("class=\"newest\""), "\(zone)")
            }
        }
    }

    @Test func `the dashboard of a newcomer names the next useful step`() async throws {
        try await withServer { server in
            let page = try await server.open("/dashboard", server.browser())
            #expect(page.status == 200)
            for step in [
                "You have no credits yet.", #"<a href="/settings" class="button primary">See my email address</a>"#,
                #"<a href="/settings/keys" class="button">Create a key</a>"#, "Each change of your balance will stand here.",
            ] {
                #expect(page.text.contains(step), "\(step)")
            }
            #expect(!page.text.contains(#"<aside class="low""#))
        }
    }

    @Test func `debt and overdraft are said`() async throws {
        try await withServer { server in
            let person = server.browser()
            try await server.grant(.topup, 5, to: person)
            try await server.tamper("UPDATE account SET overdraft = 2000000000 WHERE account_id = '\(person.accountID)'")
            try await server.call(person, cost: credits(6), model: "m")
            let page = try await server.open("/dashboard", person)
            #expect(page.text.contains("<dt>Owed</dt><dd><span class=\"amount\" title=\"1 credit\">"))
            #expect(page.text.contains("<dt>Overdraft</dt><dd><span class=\"amount\" title=\"2 credits\">"))
        }
    }

    @Test(arguments: ["0", "31", "x", "-1", "999999999999999999999"])
    func `a length that the switch does not have is refused`(days: String) async throws {
        try await withServer { server in
            let page = try await server.open("/dashboard?days=\(days)", server.browser())
            #expect(page.status == 400)
            #expect(page.isError("This request cannot be read"))
        }
    }
}
