import HTTP
import HTTPWire
import Identity
import TestSupport
import Testing
import Text
import Values

@testable import Ledger
@testable import LedgerCore

/// One database for the pages; its tests stand in several files.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct PagesTests {
    private static let account = UserID.make().description

    static let ofUsers = ["/dashboard", "/transactions", "/transactions/\(ChargeID.make())", "/settings/limits"]
    static let ofAdministrators = [
        "/admin/credits", "/admin/credits/\(account)", "/admin/credits/\(account)/transactions",
        "/admin/credits/\(account)/transactions/\(ChargeID.make())", "/admin/credits/\(account)/adjust", "/admin/usage",
    ]

    @Test func `these are all pages of the ledger`() {
        let shown = Routes.table.map(\.row).filter { $0.isPage && $0.method == .get && $0.access != .public }
        #expect(shown.count == Self.ofUsers.count + Self.ofAdministrators.count)
    }

    @Test func `a person who is not signed in is led to the sign-in and back`() async throws {
        try await withServer { server in
            for path in Self.ofUsers + Self.ofAdministrators + ["/transactions?type=usage&q=a%20b"] {
                let answer = try await server.open(path, nil)
                #expect(answer.status == 303, "\(path)")
                #expect(answer.header("location") == "/login?next=\(PercentEncoding.encode(path))")
            }
            let answer = try await server.send("/settings/limits", ["daily": "5"], nil)
            #expect((answer.status, answer.header("location")) == (303, "/login?next=%2Fsettings%2Flimits"))
        }
    }

    @Test func `only an administrator sees the pages of administrators`() async throws {
        try await withServer { server in
            let person = server.browser()
            for path in Self.ofAdministrators {
                let page = try await server.open(path, person)
                #expect(page.status == 403, "\(path)")
                #expect(page.isError("For administrators only"))
            }
            #expect(try await server.send(Self.ofAdministrators[4], [:], person).status == 403)
        }
    }

    @Test func `an adjustment needs a sign-in of the last quarter of an hour, which leads back to it`() async throws {
        try await withServer { server in
            let admin = server.browser(isAdmin: true)
            server.signIn(admin, before: .seconds(901))
            let path = Self.ofAdministrators[4]
            for answer in [try await server.open(path, admin), try await server.send(path, [:], admin)] {
                #expect((answer.status, answer.header("location")) == (303, "/login?again=1&next=\(PercentEncoding.encode(path))"))
            }
            #expect(try await server.open("/admin/usage", admin).status == 200)
        }
    }

    @Test func `a form without the proof of a page of ours is refused, and nothing changes`() async throws {
        try await withServer { server in
            let (person, other) = (server.browser(), server.browser())
            let old = try await server.send("/settings/limits", ["daily": "5"], person, csrf: other.csrf?.token())
            #expect(old.status == 403)
            #expect(old.isError("This form is out of date"))
            #expect(old.hidden("daily") == "5")
            let foreign = try await server.send("/settings/limits", ["daily": "5"], person, origin: "https://evil.example")
            #expect(foreign.status == 403)
            #expect(foreign.isError("This address is not ours"))
            #expect(foreign.hidden("daily") == nil)
            #expect(try await server.ask("GET", "/api/credits/limits", as: person).json?.text(of: "daily") == "null")
        }
    }

    @Test func `every page has the places of its navigation with its own marked, and the balance`() async throws {
        try await withServer { server in
            let (person, admin) = (server.browser(), server.browser(isAdmin: true))
            let charge = try await server.grant(.topup, 5, to: person)
            for (path, place) in [
                ("/dashboard", "/dashboard"), ("/transactions", "/transactions"), ("/transactions/\(charge)", "/transactions"),
                ("/settings/limits", "/settings"),
            ] {
                let page = try await server.open(path, person)
                #expect(page.status == 200, "\(path)")
                #expect(page.text.contains("<a href=\"\(place)\" aria-current=\"page\">"), "\(path)")
                #expect(page.text.contains(#"class="pill""#), "\(path)")
                #expect(!page.text.contains(#"<aside class="low""#), "\(path)")
                #expect(page.header("cache-control") == "no-store")
            }
            let account = "/admin/credits/\(person.userID)"
            for (path, place) in [
                ("/admin/credits", "/admin/credits"), (account, "/admin/credits"), ("\(account)/transactions", "/admin/credits"),
                ("\(account)/transactions/\(charge)", "/admin/credits"), ("\(account)/adjust", "/admin/credits"),
                ("/admin/usage", "/admin/usage"),
            ] {
                let page = try await server.open(path, admin)
                #expect(page.status == 200, "\(path)")
                #expect(page.text.contains("<a href=\"\(place)\" aria-current=\"page\">"), "\(path)")
            }
        }
    }

    @Test func `a page warns at the alert level of the account`() async throws {
        try await withServer { server in
            let person = server.browser()
            try await server.grant(.topup, 5, to: person)
            for (level, warns) in [("4", false), ("5", true), ("9", true), ("", false)] {
                #expect(try await server.send("/settings/limits", ["low_balance_level": level], person).status == 303)
                for path in ["/dashboard", "/transactions", "/settings/limits"] {
                    let page = try await server.open(path, person)
                    #expect(
                        page.text.contains("Your credits have reached your alert level of \(level) credits.") == warns, "\(path) \(level)")
                }
            }
            try await server.call(person, cost: credits(5), model: "m")
            #expect(try await server.open("/dashboard", person).text.contains("You have no credits left."))
        }
    }

    @Test func `a page shows the language of the viewer`() async throws {
        try await withServer { server in
            let (person, admin) = (server.browser(), server.browser(isAdmin: true))
            try await server.grant(.topup, 5, to: person)
            for (path, text) in [
                ("/dashboard", "เครดิตที่ใช้ได้"), ("/transactions", "ทุกประเภท"), ("/settings/limits", "วงเงินการใช้"),
                ("/dashboard?days=90", "90 วัน"),
            ] {
                let page = try await server.open(path, person, in: "th")
                #expect(page.text.contains(#"<html lang="th">"#) && page.text.contains(text), "\(path)")
            }
            for (path, text) in [
                ("/admin/credits", "รหัสผู้ใช้"), ("/admin/credits/\(person.userID)", "บัญชี"),
                ("/admin/credits/\(person.userID)/adjust", "ปรับเครดิต"), ("/admin/usage", "ทุกบัญชี"),
            ] {
                #expect(try await server.open(path, admin, in: "th").text.contains(text), "\(path)")
            }
        }
    }

    @Test func `assets have an address of their own`() async throws {
        try await withServer { server in
            let page = try await server.open("/dashboard", server.browser())
            let link = try #require(page.text(after: "rel=\"stylesheet\" href=\"", before: "\""))
            #expect(link.hasPrefix("/assets/ledger/"))
            #expect(try await server.open(link, nil).header("cache-control") == "public, max-age=31536000, immutable")
            #expect(try await server.open("/assets/ledger/none", nil).isError("This page does not exist"))
        }
    }
}
