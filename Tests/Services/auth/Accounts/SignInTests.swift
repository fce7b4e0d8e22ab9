import Crypto
import Identity
import JSON
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct SignInTests {
    @Test func `a registered user is signed in and known`() async throws {
        try await AuthUnderTest.with(credits: Credits(decimal: "9.885")) { auth in
            let answer = try await auth.ask(
                "POST", "/api/auth/register",
                #"{"email":" Anna@Example.com ","password":"correct horse battery","full_name":" Anna  Lee ","unknown":1}"#)
            #expect(answer.status == 201)
            #expect(answer.header("cache-control") == "no-store")
            let json = try answer.json()
            #expect(try json.string("token_type") == "Bearer")
            #expect(try json.integer("expires_in") == 900)
            let user = try json.object("user")
            #expect(try user.string("email") == "anna@example.com")
            #expect(try user.string("full_name") == "Anna Lee")
            #expect(try user.string("role") == "user")
            #expect(try user.string("plan") == "free")

            let me = try await auth.ask("GET", "/api/auth/me", token: try json.string("access_token"))
            #expect(me.status == 200)
            let profile = try me.json()
            #expect(try profile.string("id") == user.string("id"))
            #expect(try profile.string("name") == "Anna Lee")
            #expect(try profile.decimalText("credits") == "9.885")
            #expect(try profile.array("sessions").count == 1)
            #expect(try await auth.ask("GET", "/me", token: try json.string("access_token")).status == 200)
        }
    }

    @Test func `credits are null when the ledger does not answer`() async throws {
        try await AuthUnderTest.with { auth in
            let me = try await auth.ask("GET", "/api/auth/me", token: try await auth.register().accessToken)
            #expect(me.status == 200)
            #expect(try me.json().member("credits")?.kind == .null)
        }
    }

    @Test func `sign-in accepts the right password in any spelling of the address, also under the alias`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register("bob@example.com")
            for path in ["/api/auth/login", "/login"] {
                let answer = try await auth.ask("POST", path, AuthUnderTest.credentials("BOB@example.com "))
                #expect(answer.status == 200)
                let again = try auth.member(answer)
                #expect(again.id == member.id)
                #expect(again.session != member.session)
            }
        }
    }

    @Test func `a wrong password and an unknown address get the same answer after the same work`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            var answers: [AuthUnderTest.Answer] = []
            for email in [member.email, "nobody-\(UUIDv7.make())@example.com", "no address at all"] {
                let before = auth.passwords.hashesComputed
                answers.append(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email, "wrong password")))
                #expect(auth.passwords.hashesComputed == before + 1)
            }
            #expect(answers.map(\.status) == [401, 401, 401])
            #expect(answers.map(\.errorCode) == ["invalid_credentials", "invalid_credentials", "invalid_credentials"])
            #expect(Set(answers.map(\.body)).count == 1)
            #expect(answers.allSatisfy { $0.header("www-authenticate") != nil })
        }
    }

    @Test func `a registration of a taken address computes a hash too and is 409`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let before = auth.passwords.hashesComputed
            let answer = try await auth.ask("POST", "/register", AuthUnderTest.credentials(member.email.uppercased()))
            #expect(answer.status == 409)
            #expect(answer.errorCode == "email_taken")
            #expect(auth.passwords.hashesComputed == before + 1)
        }
    }

    @Test func `fifty registrations of one address at once make one user`() async throws {
        try await AuthUnderTest.with(hashQueueMax: 128) { auth in
            let email = "race-\(UUIDv7.make())@example.com"
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<50 {
                    let spelling = index % 2 == 0 ? email : email.uppercased()
                    group.addTask { try await auth.ask("POST", "/api/auth/register", AuthUnderTest.credentials(spelling)).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 201 } == 1)
            #expect(statuses.count { $0 == 409 } == 49)
            #expect(try await auth.outboxCount("user.verified.v1", about: email) == 1)
        }
    }

    @Test func `an account waits after five failures, whether it exists or not, and the answer is 429`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            for email in [member.email, "nobody-\(UUIDv7.make())@example.com"] {
                for _ in 0..<5 {
                    let answer = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email, "wrong password"))
                    #expect(answer.status == 401)
                }
                let before = auth.passwords.hashesComputed
                let answer = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email))
                #expect(answer.status == 429)
                #expect(answer.errorCode == "rate_limited")
                #expect(answer.header("retry-after") == "1")
                #expect(auth.passwords.hashesComputed == before)
            }
            auth.clock.advance(.seconds(2))
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)).status == 200)
        }
    }

    @Test func `forty guesses at once test no more passwords than a few in turn`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<40 {
                    let guess = AuthUnderTest.credentials(member.email, "wrong password \(number)")
                    group.addTask { try await auth.ask("POST", "/api/auth/login", guess).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 401 } == 5)
            #expect(statuses.count { $0 == 429 } == 35)
        }
    }

    @Test func `a network waits after a hundred failures, and no other network does`() async throws {
        try await AuthUnderTest.with { auth in
            func attempt(from address: String) async throws -> Int {
                try await auth.ask(
                    "POST", "/api/auth/login", AuthUnderTest.credentials("nobody-\(UUIDv7.make())@example.com"),
                    headers: [("x-forwarded-for", address)]
                ).status
            }
            for _ in 0..<100 {
                let status = try await attempt(from: "192.0.2.7")
                #expect(status == 401)
            }
            let (stopped, other) = (try await attempt(from: "192.0.2.7"), try await attempt(from: "192.0.2.8"))
            #expect((stopped, other) == (429, 401))
            for host in 0..<100 {
                let status = try await attempt(from: "2001:db8:1:2::\(host)")
                #expect(status == 401)
            }
            let (neighbour, network) = (try await attempt(from: "2001:db8:1:2:ff::"), try await attempt(from: "2001:db8:1:3::"))
            #expect((neighbour, network) == (429, 401))
        }
    }

    @Test func `a hash of older parameters is replaced at the next sign-in`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let old = Passwords(
                masterKeys: AuthUnderTest.masterKeys, hashing: PasswordHashing(passes: 2, memoryKiB: 32), metrics: Metrics())
            let sealed = try await old.seal(AuthUnderTest.password, for: member.id)
            _ = try await auth.pool.withConnection {
                try await $0.execute(PutPassword(userID: member.id, sealed: sealed, now: auth.clock.now))
            }
            for hashes in [2, 1] {
                let before = auth.passwords.hashesComputed
                let answer = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email))
                #expect(answer.status == 200)
                #expect(auth.passwords.hashesComputed - before == hashes)
            }
        }
    }

    @Test func `a body above the limit is 413`() async throws {
        try await AuthUnderTest.with { auth in
            let body = AuthUnderTest.credentials("a@example.com", String(repeating: "p", count: 10_000))
            let answer = try await auth.ask("POST", "/api/auth/register", body)
            #expect((answer.status, answer.errorCode) == (413, "payload_too_large"))
        }
    }

    @Test func `a deactivated user learns it only with the right password, and gets no token`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            try await auth.pool.withConnection { try await $0.script("UPDATE users SET active = false WHERE id = '\(member.id)'") }
            let right = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email))
            #expect((right.status, right.errorCode) == (403, "user_deactivated"))
            let wrong = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email, "wrong password"))
            #expect((wrong.status, wrong.errorCode) == (401, "invalid_credentials"))
            let refresh = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            #expect((refresh.status, refresh.errorCode) == (403, "user_deactivated"))
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 403)
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken)
            #expect(key.status == 403)
        }
    }

    @Test func `sign-ins that the hashing queue refuses do not count as failures`() async throws {
        try await AuthUnderTest.with(hashing: .standard, hashThreads: 1, hashQueueMax: 2) { auth in
            let member = try await auth.register()
            for _ in 0..<4 {
                let answers = try await withThrowingTaskGroup(of: AuthUnderTest.Answer.self) { group in
                    for index in 0..<12 {
                        group.addTask {
                            // Each from a place of its own, so that they wait for the queue only.
                            try await auth.ask(
                                "POST", "/api/auth/login", AuthUnderTest.credentials(member.email),
                                headers: [("x-forwarded-for", "192.0.2.\(index)")])
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.contains { $0.status == 503 })
                #expect(answers.allSatisfy { $0.status == 200 || $0.status == 503 })
            }
            let counted = try await auth.pool.query(FailuresOfPlaces(digest: sha256(member.email).bytes))
            #expect(counted.allSatisfy { $0 == 0 }, "\(counted)")
        }
    }

    @Test func `passwords beyond the hashing queue are refused with 503 before any work`() async throws {
        try await AuthUnderTest.with(hashing: .standard, hashThreads: 1, hashQueueMax: 2) { auth in
            let answers = try await withThrowingTaskGroup(of: AuthUnderTest.Answer.self) { group in
                for index in 0..<40 {
                    group.addTask {
                        try await auth.ask("POST", "/api/auth/register", AuthUnderTest.credentials("shed\(index)@example.com"))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let shed = answers.filter { $0.status == 503 }
            #expect(!shed.isEmpty)
            #expect(shed.allSatisfy { $0.errorCode == "overloaded" && $0.header("retry-after") != nil })
            #expect(answers.allSatisfy { $0.status == 201 || $0.status == 503 })
        }
    }

    @Test(
        arguments: [
            ("", "invalid_json"), ("null", "invalid_json"), ("[]", "invalid_json"), ("\"x\"", "invalid_json"), ("{", "invalid_json"),
            ("{}", "missing_parameter"), (#"{"email":"a@example.com"}"#, "missing_parameter"),
            (#"{"email":"a@example.com","email":"b@example.com","password":"long enough pw"}"#, "invalid_request"),
            (#"{"email":7,"password":"long enough pw"}"#, "invalid_request"),
            (#"{"email":"a@example.com","password":12345678}"#, "invalid_request"),
            (#"{"email":"a@example.com","password":null}"#, "missing_parameter"),
            (#"{"email":"no address","password":"long enough pw"}"#, "invalid_request"),
            (#"{"email":"a\u0000@example.com","password":"long enough pw"}"#, "invalid_request"),
            (#"{"email":"a@example.com","password":"short"}"#, "invalid_request"),
            (#"{"email":"a@example.com","password":"password123"}"#, "invalid_request"),
            (#"{"email":"a@example.com","password":"\ud800 long enough"}"#, "invalid_json"),
            (#"{"email":"a@example.com","password":"long enough pw","full_name":"\u0000"}"#, "invalid_request"),
            (#"{"email":"a@example.com","password":"long enough pw","full_name":7}"#, "invalid_request"),
            (#"{"email":"a@example.com","password":"long enough pw","n":1e400x}"#, "invalid_json"),
            (String(repeating: "[", count: 8_000), "invalid_json"),
            ("\u{FEFF}{}", "invalid_json"),
        ])
    func `a malformed body is 400 in the gateway's shape`(body: String, code: String) async throws {
        try await AuthUnderTest.with { auth in
            let answer = try await auth.ask("POST", "/api/auth/register", body)
            #expect(answer.status == 400)
            #expect(answer.errorCode == code)
        }
    }

    @Test func `unusual but valid strings are accepted unchanged`() async throws {
        try await AuthUnderTest.with { auth in
            for (index, password) in ["\\u0000\\u0000 nul nul", "éé composed", "e\u{301} combining", "👍🏽👍🏽👍🏽👍🏽"].enumerated() {
                let body = #"{"email":"awkward\#(index)@example.com","password":"\#(password)"}"#
                let registered = try await auth.ask("POST", "/api/auth/register", body)
                let signedIn = try await auth.ask("POST", "/api/auth/login", body)
                #expect((registered.status, signedIn.status) == (201, 200))
            }
            let cut = try await auth.ask("POST", "/api/auth/login", #"{"email":"awkward0@example.com","password":"\u0000"}"#)
            #expect(cut.status == 401)
        }
    }

    @Test func `every byte of a password counts, up to 1,024`() async throws {
        try await AuthUnderTest.with { auth in
            let password = String(repeating: "0123456789abcdef", count: 64)
            let email = "long-\(UUIDv7.make())@example.com"
            let registered = try await auth.ask("POST", "/api/auth/register", AuthUnderTest.credentials(email, password))
            #expect(registered.status == 201)
            for wrong in [String(password.prefix(72)), String(password.dropLast()), String(password.dropLast()) + "g", password + "0"] {
                #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email, wrong)).status == 401)
            }
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email, password)).status == 200)
        }
    }

    @Test func `an unknown path is 404 and a wrong method 405, in the gateway's shape`() async throws {
        try await AuthUnderTest.with { auth in
            let missing = try await auth.ask("GET", "/api/auth/nothing")
            #expect((missing.status, missing.errorCode) == (404, "not_found"))
            let wrong = try await auth.ask("GET", "/api/auth/login")
            #expect((wrong.status, wrong.errorCode) == (405, "method_not_allowed"))
            let nobody = try await auth.ask("GET", "/api/auth/me")
            #expect((nobody.status, nobody.errorCode) == (401, "invalid_api_key"))
            #expect(nobody.header("www-authenticate") != nil)
        }
    }

    @Test func `users sign in while the broker is unavailable, and the events wait`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answer = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email))
            #expect(answer.status == 200)
            let events = try await auth.outboxCount("user.verified.v1", about: member.email)
            #expect(events == 1)
        }
    }

    @Test func `the database has no secret in the clear`() async throws {
        try await AuthUnderTest.with { auth in
            let canary = "canary-\(UUIDv7.make())"
            let answer = try await auth.ask("POST", "/api/auth/register", AuthUnderTest.credentials("canary@example.com", canary))
            let member = try auth.member(answer)
            let made = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken)
            let secrets = [canary, member.refreshToken, member.accessToken, try made.string("key"), "argon2id"]
            let dump = try await auth.dump()
            #expect(dump.contains("canary@example.com"))
            for secret in secrets { #expect(!dump.contains(secret)) }
        }
    }
}

extension AuthUnderTest {
    func outboxCount(_ type: String, about text: String) async throws -> Int64 {
        try await pool.withConnection { try await $0.one(CountOutbox(type: type, text: text)) }
    }

    /// Every row of the tables that hold anything personal, as text.
    func dump() async throws -> String {
        try await pool.withConnection { try await $0.query(DumpTables()).joined(separator: "\n") }
    }
}

private struct CountOutbox: Statement {
    static let sql = "SELECT count(*) FROM outbox WHERE type = $1 AND convert_from(body, 'UTF8') LIKE '%' || $2 || '%'"
    typealias Output = Int64
    var type: String
    var text: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(type)
        parameters.append(text)
    }
}

private struct DumpTables: Statement {
    static let sql = """
        SELECT users::text FROM users
        UNION ALL SELECT password_credential.user_id::text || encode(sealed, 'escape') FROM password_credential
        UNION ALL SELECT external_identity::text FROM external_identity
        UNION ALL SELECT openid_attempt::text FROM openid_attempt
        UNION ALL SELECT session::text FROM session
        UNION ALL SELECT api_key::text FROM api_key
        UNION ALL SELECT audit::text FROM audit
        UNION ALL SELECT encode(body, 'escape') FROM outbox
        """
    typealias Output = String
}

private struct FailuresOfPlaces: Statement {
    static let sql = "SELECT failures FROM sign_in_attempt WHERE email_sha256 = $1"
    var digest: [UInt8]

    func bind(_ parameters: inout Parameters) { parameters.append(digest) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Int64 { try row.next() }
}
