import HTTP
import HTTPWire
import Identity
import TestSupport
import Testing
import Text
import Values

@testable import Billing

/// One database for the pages; its tests stand in several files.
@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct PagesTests {
    static let ofUsers = [
        "/buy", "/buy/done?session_id=cs_1", "/plans", "/plans/change?plan=pro&interval=month", "/plans/cancel", "/billing",
    ]
    static let ofAdministrators = [
        "/admin/catalogue", "/admin/catalogue/plans/pro", "/admin/catalogue/packages/basic", "/admin/payments", "/admin/payments/evt_1",
    ]

    @Test func `these are all pages of billing`() {
        let shown = Routes.table.map(\.row).filter { $0.isPage && $0.method == .get && $0.access != .public }
        #expect(shown.count == Self.ofUsers.count + Self.ofAdministrators.count)
    }

    @Test func `a person who is not signed in is led to the sign-in and back`() async throws {
        try await BillingUnderTest.with { test in
            for path in Self.ofUsers + Self.ofAdministrators {
                let answer = try await test.open(path, nil)
                #expect(answer.leads == "/login?next=\(PercentEncoding.encode(path))")
            }
        }
    }

    @Test func `only an administrator sees the pages of administrators`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            for path in Self.ofAdministrators {
                let answer = try await test.open(path, person)
                #expect((answer.status, answer.title) == (403, "For administrators only"), "\(path)")
            }
        }
    }

    @Test func `a form without the token of its page changes nothing`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            let admin = test.browsers.signIn(.make(), isAdmin: true)
            for (path, caller) in [
                ("/buy", person), ("/plans", person), ("/plans/change", person), ("/plans/cancel", person), ("/billing", person),
                ("/admin/catalogue/plans/pro", admin), ("/admin/payments/evt_1", admin),
            ] {
                let answer = try await test.send(path, ["credits": "100"], caller, csrf: "x")
                #expect((answer.status, answer.title) == (403, "This form is out of date"), "\(path)")
            }
        }
    }

    @Test func `the navigation marks the place, the balance leads to the purchase, and a page shows the language of the viewer`()
        async throws
    {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            let admin = test.browsers.signIn(.make(), isAdmin: true)
            for (path, caller, thai) in [
                ("/buy", person, "ซื้อเครดิต"), ("/plans", person, "เปรียบเทียบแพ็กเกจ"), ("/billing", person, "วิธีชำระเงิน"),
                ("/admin/catalogue", admin, "ชุดเครดิต"), ("/admin/payments", admin, "เหตุการณ์จาก Stripe"),
            ] {
                let page = try await test.open(path, caller)
                #expect(page.status == 200, "\(path)")
                #expect(path == "/buy" || page.text.contains("<a href=\"\(path)\" aria-current=\"page\">"), "\(path)")
                #expect(page.text.contains(#"<a href="/buy" class="pill""#) == (caller == person), "\(path)")
                let translated = try await test.open(path, caller, in: "th")
                #expect(translated.text.contains(#"<html lang="th">"#) && translated.text.contains(thai), "\(path)")
            }
        }
    }

    @Test func `assets have an address of their own`() async throws {
        try await BillingUnderTest.with { test in
            let page = try await test.open("/buy", try await test.person())
            let link = try #require(page.text(after: "rel=\"stylesheet\" href=\"", before: "\""))
            #expect(link.hasPrefix("/assets/billing/"))
            #expect(try await test.open(link, nil).header("cache-control") == "public, max-age=31536000, immutable")
        }
    }
}
