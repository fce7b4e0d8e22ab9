import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct AdminUserTests {
    private static let password = "operator's word"

    @Test func `an administrator finds users by the beginning of the address and by id, page by page`() async throws {
        try await AuthUnderTest.with { auth in
            let admin = try await auth.administrator()
            let prefix = "find-\(UUIDv7.make())"
            var ids: [String] = []
            for index in 0..<5 { ids.append(try await auth.register("\(prefix)-\(index)@example.com").id.description) }
            var found: [String] = []
            var cursor: String?
            repeat {
                let query = "q=\(prefix.uppercased())&limit=2" + (cursor.map { "&cursor=\($0)" } ?? "")
                let page = try await auth.ask("GET", "/api/admin/users?\(query)", token: admin.accessToken)
                #expect(page.status == 200)
                found += try page.json().array("data").compactMap(\.object).map { try $0.string("id") }
                cursor = try page.json().optionalString("next_cursor")
            } while cursor != nil
            #expect(found == ids, "in the order of the addresses")
            let one = try await auth.ask("GET", "/api/admin/users?q=\(ids[0])&limit=1", token: admin.accessToken)
            #expect(try one.json().array("data").count == 1)
            #expect(try one.json().optionalString("next_cursor") == nil)
            for query in ["limit=", "limit=0", "limit=101", "cursor=x", "q=%00", "q=a&cursor=\(ids[0])", "q=\(ids[0])&cursor=\(ids[0])"] {
                let answer = try await auth.ask("GET", "/api/admin/users?\(query)", token: admin.accessToken)
                #expect((answer.status, answer.errorCode) == (400, "invalid_request"), "\(query)")
            }
        }
    }

    @Test func `all users come page by page, the newest first, and the last page has no cursor`() async throws {
        try await AuthUnderTest.with { auth in
            let admin = try await auth.administrator()
            for _ in 0..<3 { _ = try await auth.register() }
            var found: [String] = []
            var path: String? = "/api/admin/users?limit=2"
            while let asked = path {
                let page = try await auth.ask("GET", asked, token: admin.accessToken).json()
                let ids = try page.array("data").compactMap(\.object).map { try $0.string("id") }
                #expect(!ids.isEmpty)
                found += ids
                path = try page.optionalString("next_cursor").map { "/api/admin/users?limit=2&cursor=\($0)" }
            }
            #expect(found.count >= 4)
            #expect(found == found.sorted().reversed())
        }
    }

    @Test func `a deactivated user is refused everywhere until reactivated, and both are in the audit trail`() async throws {
        try await AuthUnderTest.with { auth in
            let (admin, member) = (try await auth.administrator(), try await auth.register())
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken).string("key")
            #expect(try await auth.ask("GET", "/api/auth/me", token: key).status == 200)
            let off = try await auth.ask("POST", "/api/admin/users/\(member.id)/deactivate", token: admin.accessToken)
            #expect(off.status == 200)
            #expect(try off.json().bool("active") == false)
            #expect([401, 403].contains(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status))
            let signIn = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email))
            #expect((signIn.status, signIn.errorCode) == (403, "user_deactivated"))
            #expect(try await auth.outboxCount("user.changed.v1", about: member.id.description) == 1)
            #expect(try await auth.outboxCount("session.revoked.v1", about: member.session.description) == 1)
            let on = try await auth.ask("POST", "/api/admin/users/\(member.id)/reactivate", token: admin.accessToken)
            #expect(on.status == 200)
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)).status == 200)
            let audit = try await auth.ask("GET", "/api/admin/users/\(member.id)/audit", token: admin.accessToken)
            let rows = try audit.json().array("data").compactMap(\.object)
            let events = try rows.map { try $0.string("event") }
            #expect(events == ["login", "user_reactivated", "login", "user_deactivated", "api_key_created", "register"])
            let acts = try await auth.ask("GET", "/api/admin/users/\(admin.id)/audit?limit=1", token: admin.accessToken).json()
            #expect(try acts.array("data").first?.object?.string("subject") == member.id.description)
            #expect(try acts.array("data").first?.object?.string("event") == "admin_reactivated_user", "who acted on whom")
        }
    }

    @Test func `a user becomes administrator and user again, and older tokens say so`() async throws {
        try await AuthUnderTest.with { auth in
            let (admin, member) = (try await auth.administrator(), try await auth.register())
            func role(_ role: String, of user: UserID, _ token: String) async throws -> AuthUnderTest.Answer {
                try await auth.ask("POST", "/api/admin/users/\(user)/role", #"{"role":"\#(role)"}"#, token: token)
            }
            #expect(try await role("admin", of: member.id, member.accessToken).errorCode == "admin_required")
            let promoted = try await role("admin", of: member.id, admin.accessToken)
            #expect(try promoted.string("role") == "admin")
            let refreshed = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            let token = try refreshed.string("access_token")
            #expect(try await auth.ask("GET", "/api/admin/users", token: token).status == 200)
            #expect(try await role("user", of: member.id, admin.accessToken).status == 200)
            #expect(try await role("boss", of: member.id, admin.accessToken).errorParam == "role")
            #expect(try await role("user", of: admin.id, admin.accessToken).status == 409)
            #expect(try await role("user", of: UserID.make(), admin.accessToken).status == 404)
        }
    }

    @Test func `no token that a refresh gives next to a demotion administers`() async throws {
        try await AuthUnderTest.with { auth in
            let (admin, other) = (try await auth.administrator(), try await auth.administrator())
            let refresh = #"{"refresh_token":"\#(other.refreshToken)"}"#
            let tokens = try await withThrowingTaskGroup(of: String?.self) { group in
                for index in 0..<20 {
                    group.addTask {
                        guard index == 10 else {
                            return try await auth.ask("POST", "/api/auth/refresh", refresh).string("access_token")
                        }
                        let path = "/api/admin/users/\(other.id)/role"
                        #expect(try await auth.ask("POST", path, #"{"role":"user"}"#, token: admin.accessToken).status == 200)
                        return nil
                    }
                }
                return try await group.reduce(into: []) { tokens, token in token.map { tokens.append($0) } }
            }
            #expect(tokens.count == 19)
            for token in tokens + [other.accessToken] {
                #expect([401, 403].contains(try await auth.ask("GET", "/api/admin/users", token: token).status))
            }
        }
    }

    @Test func `sensitive acts need a sign-in of the last quarter of an hour`() async throws {
        try await AuthUnderTest.with { auth in
            let (admin, member) = (try await auth.administrator(), try await auth.register())
            auth.clock.advance(.seconds(901))
            let refreshed = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(admin.refreshToken)"}"#)
            let token = try refreshed.string("access_token")
            #expect(try await auth.ask("GET", "/api/admin/users", token: token).status == 200)
            for (method, act) in [("POST", "deactivate"), ("POST", "reactivate"), ("DELETE", "sessions")] {
                let answer = try await auth.ask(method, "/api/admin/users/\(member.id)/\(act)", token: token)
                #expect((answer.status, answer.errorCode) == (403, "reauthentication_required"))
            }
        }
    }

    @Test func `an administrator ends the sessions of a user`() async throws {
        try await AuthUnderTest.with { auth in
            let (admin, member) = (try await auth.administrator(), try await auth.register())
            #expect(try await auth.ask("DELETE", "/api/admin/users/\(member.id)/sessions", token: admin.accessToken).status == 200)
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 401)
            let shown = try await auth.ask("GET", "/api/admin/users/\(member.id)", token: admin.accessToken)
            #expect(try shown.json().array("sessions").isEmpty)
        }
    }
}

extension AuthUnderTest {
    /// A new administrator who has just signed in.
    func administrator() async throws -> Member {
        let member = try await register()
        try await pool.withConnection { try await $0.script("UPDATE users SET role = 'admin' WHERE id = '\(member.id)'") }
        return try self.member(try await ask("POST", "/api/auth/login", Self.credentials(member.email)))
    }
}
