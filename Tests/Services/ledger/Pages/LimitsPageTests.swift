import Contracts
import Identity
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

extension PagesTests {
    @Test func `limits are saved, shown, and removed by an empty field`() async throws {
        try await withServer { server in
            let person = server.browser()
            func set(_ fields: [String: String]) async throws -> [String?] {
                let answer = try await server.send("/settings/limits", fields, person)
                #expect((answer.status, answer.header("location")) == (303, "/settings/limits?done=saved"))
                let limits = try await server.object("/api/credits/limits", as: person)
                return ["daily", "monthly", "low_balance_level"].map { limits.text(of: $0) }
            }
            #expect(try await set(["daily": "2.5", "monthly": " 100 ", "low_balance_level": "3"]) == ["2.5", "100", "3"])
            let page = try await server.open("/settings/limits?done=saved", person)
            #expect(page.text.contains("<p>Your limits are saved.</p>"))
            for value in ["2.5", "100", "3"] { #expect(page.text.contains("value=\"\(value)\""), "\(value)") }
            // The same form again changes nothing.
            #expect(try await set(["daily": "2.5", "monthly": "100", "low_balance_level": "3"]) == ["2.5", "100", "3"])
            #expect(try await set(["daily": "0", "monthly": "", "low_balance_level": ""]) == ["0", "null", "null"])
            #expect(try await set([:]) == ["null", "null", "null"])
        }
    }

    @Test(arguments: ["-1", "1e3", "1,000", "12,5", "4000000000.000000001", "99999999999999999999999", "0.0000000001", "x", "٣", "1 0"])
    func `a bad limit is named next to its field, kept, and changes nothing`(text: String) async throws {
        try await withServer { server in
            let person = server.browser()
            _ = try await server.send("/settings/limits", ["daily": "7"], person)
            for field in ["daily", "monthly", "low_balance_level"] {
                let page = try await server.send("/settings/limits", [field: text], person)
                #expect(page.status == 400)
                #expect(
                    page.error(of: field) == "Enter a number from 0 to 4,000,000,000, like 1000 or 12.5, with at most 9 fraction digits.")
                #expect(page.text.contains("id=\"\(field)\" name=\"\(field)\" type=\"text\""))
                #expect(page.text.contains("value=\"\(text)\""))
            }
            #expect(try await server.object("/api/credits/limits", as: person).text(of: "daily") == "7")
        }
    }

    @Test func `the page shows what counts against the limits, the keys with limits, and where the mail is set`() async throws {
        var limits = Limits()
        limits.lowBalanceLevel = credits(1)
        try await withServer(limits: limits) { server in
            let person = server.browser(timeZone: "Asia/Bangkok")
            try await server.grant(.topup, 20, to: person)
            try await server.call(person, cost: credits(3), model: "m")
            _ = try await server.ledger.do([
                Command(
                    id: .make(), account: person.accountID, action: hold(2, keyLimits: SpendingLimits(daily: credits(4))),
                    key: APIKeyID(rawValue: "abcdefghij"))
            ])
            let page = try await server.open("/settings/limits", person)
            for fact in [
                "<dt>Today</dt><dd><span class=\"amount\" title=\"3 credits\">",
                "<dt>Held by running calls</dt><dd><span class=\"amount\" title=\"2 credits\">",
                "Left empty, it is 1 credit.", "<code>…ghij</code>", "title=\"4 credits\">4</span>",
                #"<a href="/settings" class="button">Change the mail setting</a>"#,
                #"<a href="/settings/limits" aria-current="page">Limits</a>"#,
            ] {
                #expect(page.text.contains(fact), "\(fact)")
            }
            // Midnight of UTC is 07:00 in Bangkok.
            #expect(page.text.matches(of: /, 07:00<\/time>/).count == 2)
        }
    }
}
