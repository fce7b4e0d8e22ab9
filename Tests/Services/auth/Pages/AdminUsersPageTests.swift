import Identity
import Postgres
import TestSupport
import Testing
import Text
import Values

@testable import Auth

@Suite(.authDatabase) struct AdminUsersPageTests {
    private func addresses(_ page: AuthUnderTest.Answer) -> [String] {
        page.html.matches(of: /<td class="long"><a href="\/admin\/users\/[^"]+">([^<]+)<\/a>/).map { String($0.output.1) }
    }

    private func next(_ page: AuthUnderTest.Answer) -> String? {
        page.html.firstMatch(of: /<a href="([^"]+)">Next page</).map { String($0.output.1).replacing("&amp;", with: "&") }
    }

    @Test func `a search shows the users in the order of their addresses, page by page`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, admin) = try await auth.adminInBrowser()
            try await auth.addUsers(120)
            var (path, found, pages): (String?, [String], Int) = ("/admin/users?q=%20LIST-0", [], 0)
            while let asked = path {
                let page = try await auth.open(asked, admin)
                #expect(page.status == 200)
                pages += 1
                found += addresses(page)
                #expect(page.html.contains(#"<a href="/admin/users?q=LIST-0">First page</a>"#) == (pages > 1))
                #expect(page.html.contains(#"type="search" autocomplete="off" spellcheck="false" maxlength="254" value="LIST-0""#))
                path = next(page)
            }
            #expect(pages == 2)
            #expect(found.count == 99)
            #expect(found == found.sorted())
            #expect(found.first == "list-001@example.com")
        }
    }

    @Test func `all users stand in the order of their registration, the newest first`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, admin) = try await auth.adminInBrowser()
            try await auth.addUsers(60)
            let newest = try await auth.register()
            let first = try await auth.open("/admin/users", admin)
            #expect(addresses(first).first == newest.email)
            #expect(addresses(first).count == 50)
            let second = try await auth.open(try #require(next(first)), admin)
            #expect(!addresses(second).isEmpty)
            #expect(Set(addresses(first)).isDisjoint(with: addresses(second)))
        }
    }

    @Test func `a row has the account at a glance`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, admin) = try await auth.adminInBrowser()
            let member = try await auth.register()
            _ = try await auth.send("/admin/users/\(member.id)/make-admin", [:], admin)
            _ = try await auth.send("/admin/users/\(member.id)/deactivate", [:], admin)
            let page = try await auth.open("/admin/users?q=\(member.id)", admin)
            #expect(addresses(page) == [member.email])
            #expect(page.html.contains(#"<td class="minor"><bdi>free</bdi></td>"#))
            #expect(page.html.contains(#"<td class="minor"><span class="tag">Administrator</span></td>"#))
            #expect(page.html.contains(#"<td><span class="tag warning">Deactivated</span></td><td class="minor"><time"#))
            #expect(page.html.contains("<title>Users · SmartSpec</title>"))
            let thai = try await auth.open("/admin/users?q=\(member.id)", admin, in: "th")
            for text in ["<h1>ผู้ใช้</h1>", "ปิดใช้งาน", "ผู้ดูแลระบบ", "สมัครเมื่อ", "ส่วนต้นของที่อยู่อีเมล"] {
                #expect(thai.html.contains(text), "\(text)")
            }
        }
    }

    @Test(arguments: ["nobody@", "\u{0E01}", "%", "_", "0192d3b0-0000-7000-8000-000000000000"])
    func `a search without a match leads to all users`(text: String) async throws {
        try await AuthUnderTest.with { auth in
            let (_, admin) = try await auth.adminInBrowser()
            let page = try await auth.open("/admin/users?q=\(PercentEncoding.encode(text))", admin)
            #expect(page.status == 200)
            #expect(page.html.contains("No address begins with “\(text)”, and no user has this id."))
            #expect(page.html.contains(#"<a href="/admin/users" class="button">Show all users</a>"#))
            #expect(!page.html.contains("<table>"))
        }
    }

    @Test(arguments: ["cursor=x", "q=a&cursor=x", "q=a&q=b", "q=%ff", "q=\(String(repeating: "a", count: 255))", "cursor=a%40example.com"])
    func `a malformed search is 400`(query: String) async throws {
        try await AuthUnderTest.with { auth in
            let (_, admin) = try await auth.adminInBrowser()
            let page = try await auth.open("/admin/users?\(query)", admin)
            #expect(page.status == 400)
            #expect(page.html.contains("<h1>This request cannot be read</h1>"))
        }
    }
}

extension AuthUnderTest {
    /// Adds users who registered long ago, with the addresses list-001@example.com and so on, unless they are there.
    fileprivate func addUsers(_ count: Int) async throws {
        try await pool.withConnection { [clock] connection in
            try await connection.script(
                """
                INSERT INTO users (id, email, role, plan, active, token_version, created_at)
                SELECT ('00000000-0000-7000-8000-' || to_char(n, 'FM000000000000'))::uuid, 'list-' || to_char(n, 'FM000') || '@example.com', 'user', 'free', true, 0, '\(clock.now)'
                FROM generate_series(1, \(count)) AS n
                ON CONFLICT DO NOTHING;
                """)
        }
    }
}
