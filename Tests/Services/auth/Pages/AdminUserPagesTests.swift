import Identity
import Postgres
import TestSupport
import Testing
import Text
import Values

@testable import Auth

@Suite(.authDatabase) struct AdminUserPagesTests {
    // MARK: The user

    @Test func `the page of a user shows the account, its sessions and what happened`() async throws {
        try await AuthUnderTest.with { auth in
            let ((_, admin), member) = (try await auth.adminInBrowser(), try await auth.register())
            let page = try await auth.open("/admin/users/\(member.id)", admin)
            #expect(page.status == 200)
            #expect(page.html.contains("<h1>\(member.email)</h1>"))
            for fact in ["not confirmed", "free", "Active", "English · UTC", member.id.description] {
                #expect(page.html.contains(fact), "\(fact)")
            }
            #expect(page.html.contains(#"<p><strong><span>Unknown program</span></strong></p><p class="muted">127.0.0.1 · last used "#))
            #expect(page.html.contains(#"<td class="long">Registration<div"#))
            #expect(page.html.contains(#"href="/admin/users" aria-current="page""#))
            let thai = try await auth.open("/admin/users/\(member.id)", admin, in: "th")
            for text in ["ยังไม่ได้ยืนยัน", "ใช้งานอยู่", "เซสชัน", "สมัครบัญชี", "ปิดใช้งาน"] { #expect(thai.html.contains(text), "\(text)") }
        }
    }

    @Test func `no text of a user becomes markup`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, admin) = try await auth.adminInBrowser()
            let email = "o'hara&{co}@example.com"
            let registration =
                #"{"email":"\#(email)","password":"\#(AuthUnderTest.password)","full_name":"\#(AuthUnderTest.scriptName.replacing("\"", with: "\\\""))"}"#
            let agent = [("user-agent", AuthUnderTest.scriptName)]
            let member = try auth.member(try await auth.ask("POST", "/api/auth/register", registration, headers: agent))
            let paths = ["", "/audit", "/deactivate"].map { "/admin/users/\(member.id)\($0)" }
            for path in paths + ["/admin/users?q=\(PercentEncoding.encode(AuthUnderTest.scriptName))", "/admin/users?q=o'hara"] {
                let page = try await auth.open(path, admin)
                #expect(page.status == 200, "\(path)")
                #expect(!page.html.contains("<script>"), "\(path)")
                #expect(page.html.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "\(path)")
                #expect(!page.html.contains("o'hara"), "\(path)")
            }
        }
    }

    @Test(arguments: ["", "/audit", "/deactivate", "/make-admin"])
    func `a user that is not there is 404`(path: String) async throws {
        try await AuthUnderTest.with { auth in
            let (_, admin) = try await auth.adminInBrowser()
            for id in [UserID.make().description, "me", "0"] {
                let page = try await auth.open("/admin/users/\(id)\(path)", admin)
                #expect(page.status == 404, "\(id)")
                #expect(page.html.contains("<h1>This page does not exist</h1>"))
            }
        }
    }

    @Test func `an act that does not exist is 404`() async throws {
        try await AuthUnderTest.with { auth in
            let ((_, admin), member) = (try await auth.adminInBrowser(), try await auth.register())
            let path = "/admin/users/\(member.id)/delete"
            #expect(try await auth.open(path, admin).status == 404)
            #expect(try await auth.send(path, [:], admin).status == 404)
        }
    }

    // MARK: Acts

    @Test func `each act asks once, names the user, changes it, and says so`() async throws {
        try await AuthUnderTest.with { auth in
            let ((_, admin), member) = (try await auth.adminInBrowser(), try await auth.register())
            let acts = [
                (AdminAct.endSessions, "All sessions have ended."), (.makeAdmin, "The user is an administrator now."),
                (.makeUser, "The user is no administrator any more."), (.deactivate, "The account is deactivated."),
                (.reactivate, "The account is active again."),
            ]
            for (act, notice) in acts {
                let user = "/admin/users/\(member.id)"
                let path = "\(user)/\(act.rawValue)"
                #expect(try await auth.open(user, admin).html.contains("href=\"\(path)\""), "\(act) is offered")
                let question = try await auth.open(path, admin)
                #expect(question.status == 200)
                #expect(question.html.contains("<dd>\(member.email)</dd>"))
                #expect(question.html.contains("<form action=\"\(path)\" method=\"post\""))
                let done = try await auth.send(path, [:], admin)
                #expect((done.status, done.header("location")) == (303, "\(user)?done=\(act.rawValue)"))
                let page = try await auth.open("\(user)?done=\(act.rawValue)", admin)
                #expect(page.html.contains(#"<div class="notice done" role="alert" tabindex="-1" autofocus><p>\#(notice)</p></div>"#))
                #expect(!page.html.contains("href=\"\(path)\""), "\(act) is not offered again")
                let again = try await auth.open(path, admin)
                #expect((again.status, again.header("location")) == (303, user), "\(act) would change nothing")
            }
            #expect(acts.map(\.0).count == AdminAct.allCases.count)
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 401)
        }
    }

    @Test func `a form that is sent twice changes the user once`() async throws {
        try await AuthUnderTest.with { auth in
            let ((_, admin), member) = (try await auth.adminInBrowser(), try await auth.register())
            let path = "/admin/users/\(member.id)/deactivate"
            for _ in 0..<2 { #expect(try await auth.send(path, [:], admin).status == 303) }
            #expect(try await auth.open("/admin/users/\(member.id)", admin).html.contains("Deactivated</span>"))
            #expect(try await auth.outboxCount("user.changed.v1", about: member.id.description) == 1)
        }
    }

    @Test func `a notice is not shown for an act that another one undid`() async throws {
        try await AuthUnderTest.with { auth in
            let ((_, admin), member) = (try await auth.adminInBrowser(), try await auth.register())
            for done in ["deactivate", "make-admin", "end-sessions", "x", AuthUnderTest.scriptName] {
                let page = try await auth.open("/admin/users/\(member.id)?done=\(PercentEncoding.encode(done))", admin)
                #expect(page.status == 200)
                #expect(!page.html.contains("notice"), "\(done)")
            }
        }
    }

    @Test func `the form of another session is refused, and nothing changes`() async throws {
        try await AuthUnderTest.with { auth in
            let ((_, admin), (_, other)) = (try await auth.adminInBrowser(), try await auth.adminInBrowser())
            let member = try await auth.register()
            let path = "/admin/users/\(member.id)/deactivate"
            for form in [["csrf_token": other.cookie.csrf.token()], ["csrf_token": "x"], [:]] {
                let page = try await auth.submit(path, form, headers: [("cookie", admin.text), ("origin", AuthUnderTest.publicURL)])
                #expect(page.status == 403)
                #expect(page.html.contains("<h1>This form is out of date</h1>"))
            }
            let foreign = try await auth.submit(
                path, ["csrf_token": admin.cookie.csrf.token()], headers: [("cookie", admin.text), ("origin", "https://evil.example")])
            #expect(foreign.status == 403)
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 200)
        }
    }

    @Test func `an act needs a sign-in of the last quarter of an hour, which leads back to it`() async throws {
        try await AuthUnderTest.with { auth in
            let ((own, admin), member) = (try await auth.adminInBrowser(), try await auth.register())
            auth.clock.advance(.seconds(901))
            let path = "/admin/users/\(member.id)/deactivate"
            #expect(try await auth.open("/admin/users/\(member.id)", admin).status == 200)
            let login = "/login?again=1&next=\(PercentEncoding.encode(path))"
            for answer in [try await auth.open(path, admin), try await auth.send(path, [:], admin)] {
                #expect((answer.status, answer.header("location")) == (303, login))
            }
            let form = try await auth.open(login, admin)
            #expect(form.html.contains("<h1>Sign in again</h1>"))
            #expect(form.html.contains(#"name="next" value="\#(path)""#))
            let fresh = try await auth.signInByForm(own.email)
            #expect(try await auth.open(path, fresh).status == 200)
            #expect(try await auth.send(path, [:], fresh).status == 303)
        }
    }

    @Test func `an administrator does not act on the own account`() async throws {
        try await AuthUnderTest.with { auth in
            let (own, admin) = try await auth.adminInBrowser()
            let user = "/admin/users/\(own.id)"
            let page = try await auth.open(user, admin)
            #expect(page.html.contains("This is your own account."))
            for act in AdminAct.allCases {
                #expect(!page.html.contains("\(user)/\(act.rawValue)"))
                for answer in [
                    try await auth.open("\(user)/\(act.rawValue)", admin), try await auth.send("\(user)/\(act.rawValue)", [:], admin),
                ] {
                    #expect(answer.status == 409)
                    #expect(answer.html.contains("<h1>This is your own account</h1>"))
                }
            }
            #expect(try await auth.open(user, admin).status == 200)
        }
    }

    @Test func `only an administrator sees the pages`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let user = try await auth.signInByForm(member.email)
            let paths = [
                "/admin/users", "/admin/users/\(member.id)", "/admin/users/\(member.id)/audit", "/admin/users/\(member.id)/make-admin",
            ]
            for path in paths {
                let page = try await auth.open(path, user)
                #expect(page.status == 403)
                #expect(page.html.contains("<h1>For administrators only</h1>"))
                let stranger = try await auth.ask("GET", path)
                #expect((stranger.status, stranger.header("location")) == (303, "/login?next=\(PercentEncoding.encode(path))"))
            }
            let form = ["csrf_token": user.cookie.csrf.token()]
            #expect(try await auth.submit(paths[3], form, headers: user.pageHeaders).status == 403)
            #expect(try await auth.ask("GET", "/api/admin/users", token: member.accessToken).status == 403, "the role is the old one")
        }
    }

    // MARK: The audit trail

    @Test func `the audit trail has every row in words, page by page`() async throws {
        try await AuthUnderTest.with { auth in
            let ((own, admin), member) = (try await auth.adminInBrowser(), try await auth.register())
            let client = ClientInfo(address: "192.0.2.7", userAgent: "Mozilla/5.0 (Windows NT 10.0) Firefox/145.0")
            for index in 0..<60 {
                let record = AuditRecord(
                    event: .login, succeeded: index != 59, userID: member.id, subject: "row-\(index)", client: client, now: auth.clock.now)
                try await auth.pool.execute(record)
            }
            let user = "/admin/users/\(member.id)"
            #expect(try await auth.send("\(user)/deactivate", [:], admin).status == 303)
            let first = try await auth.open(user, admin)
            #expect(first.html.contains(#"<a href="\#(user)/audit">Show the whole audit trail</a>"#))
            var (path, trail, pages): (String?, String, Int) = ("\(user)/audit", "", 0)
            while let next = path {
                let page = try await auth.open(next, admin)
                #expect(page.status == 200)
                trail += page.html
                pages += 1
                path = page.html.firstMatch(of: /<a href="([^"]+)">Next page</).map { String($0.output.1) }
                #expect(page.html.contains(">First page</a>") == (pages > 1))
            }
            #expect(pages == 2)
            let rows = trail.matches(of: /row-(\d+)/).compactMap { Int($0.output.1) }
            #expect(rows.sorted() == Array(0..<60))
            let byAdmin = #"Administrator <a href="/admin/users/\#(own.id)">\#(own.email)</a></div>"#
            #expect(trail.contains(#"<td class="long">Deactivated by an administrator<div class="small muted">\#(byAdmin)"#))
            #expect(trail.matches(of: /Sign-in <span class="tag warning">failed</).count == 1)
            let program = #"<div class="small muted" title="Mozilla/5.0 (Windows NT 10.0) Firefox/145.0">Firefox on Windows</div>"#
            #expect(trail.contains(#"<td class="long">192.0.2.7\#(program)</td>"#))
            let acts = try await auth.open("/admin/users/\(own.id)/audit", admin)
            let ofUser = #"User <a href="\#(user)">\#(member.email)</a></div>"#
            #expect(acts.html.contains(#"<td class="long">Deactivated another account<div class="small muted">\#(ofUser)"#))
            #expect(try await auth.open("\(user)/audit?cursor=x", admin).status == 400)
        }
    }
}

extension AuthUnderTest {
    /// A browser in which a new administrator has just signed in.
    func adminInBrowser() async throws -> (member: Member, browser: Browser) {
        let member = try await administrator()
        return (member, try await signInByForm(member.email))
    }
}
