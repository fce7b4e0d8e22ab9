import Crypto
import HTTPWire
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

/// The polls of a device (RFC 8628 §3.4, §3.5).
@Suite(.authDatabase) struct DevicePollTests {
    @Test func `T40, T41, T46, T58: pending, then tokens of a session like any other`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            let pending = try await auth.poll(codes.deviceCode)
            #expect((pending.status, pending.oauthError) == (400, "authorization_pending"))
            _ = try await auth.decide(codes.userCode, "approve", member)
            let answer = try await auth.poll(codes.deviceCode)
            #expect(answer.status == 200)
            #expect(answer.header("cache-control") == "no-store")
            #expect(try answer.string("token_type") == "Bearer")
            #expect(try answer.string("scope") == "credits llm models profile storage")
            let device = try auth.member(answer)
            #expect(device.id == member.id)
            #expect(device.session != member.session)
            let me = try await auth.ask("GET", "/api/auth/me", token: device.accessToken)
            #expect(try me.json().array("sessions").count == 2)
            let refreshed = try await auth.post(
                "/oauth/token",
                [("grant_type", "refresh_token"), ("refresh_token", device.refreshToken), ("client_id", "smartspec-desktop")])
            #expect(refreshed.status == 200)
            #expect(try auth.member(refreshed).session == device.session)
        }
    }

    @Test func `T42, T43: a poll at once is slowed down, and a client that waits longer is not`() async throws {
        try await AuthUnderTest.with { auth in
            let codes = try await auth.requestDeviceCode()
            #expect(try await auth.poll(codes.deviceCode).oauthError == "authorization_pending")
            let second = try await auth.poll(codes.deviceCode)
            #expect((second.status, second.oauthError) == (400, "slow_down"))
            #expect(try second.json().integer("interval") == 10)
            auth.clock.advance(.seconds(10))
            #expect(try await auth.poll(codes.deviceCode).oauthError == "authorization_pending")
        }
    }

    @Test func `T42b: a client that tries the header first is not slowed down by its own second request`() async throws {
        try await AuthUnderTest.with { auth in
            let codes = try await auth.requestDeviceCode()
            let header = ("authorization", "Basic \(Base64.standard.encode(Array("smartspec-desktop:".utf8)))")
            for _ in 0..<5 {
                #expect(try await auth.poll(codes.deviceCode, headers: [header]).oauthError == "authorization_pending")
                #expect(try await auth.poll(codes.deviceCode).oauthError == "authorization_pending")
                auth.clock.advance(.seconds(5))
            }
        }
    }

    @Test func `T45: an impatient client gets its tokens as soon as they are approved`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            for _ in 0..<30 {
                _ = try await auth.poll(codes.deviceCode)
                auth.clock.advance(.seconds(1))
            }
            _ = try await auth.decide(codes.userCode, "approve", member)
            #expect(try await auth.poll(codes.deviceCode).status == 200)
        }
    }

    @Test func `T46, T47, T48: denied and expired codes say so`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let (denied, pending, approved) = (
                try await auth.requestDeviceCode(), try await auth.requestDeviceCode(), try await auth.requestDeviceCode()
            )
            _ = try await auth.decide(denied.userCode, "deny", member)
            for _ in 0..<2 { #expect(try await auth.poll(denied.deviceCode).oauthError == "access_denied") }
            _ = try await auth.decide(approved.userCode, "approve", member)
            auth.clock.advance(.seconds(600))
            for codes in [pending, approved] {
                let answer = try await auth.poll(codes.deviceCode)
                #expect((answer.status, answer.oauthError) == (400, "expired_token"))
            }
            auth.clock.advance(.seconds(86_000))
            try await auth.useCases.devices.sweep()
            #expect(try await auth.poll(pending.deviceCode).oauthError == "expired_token")
            auth.clock.advance(.seconds(401))
            try await auth.useCases.devices.sweep()
            #expect(try await auth.poll(pending.deviceCode).oauthError == "invalid_grant")
        }
    }

    @Test func `T49, T51: a code is good once, and a replay ends the session it made`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            _ = try await auth.decide(codes.userCode, "approve", member)
            let device = try auth.member(try await auth.poll(codes.deviceCode))
            auth.clock.advance(.seconds(9))
            let second = try await auth.poll(codes.deviceCode)
            #expect((second.status, second.oauthError) == (400, "invalid_grant"))
            #expect(try await auth.ask("GET", "/api/auth/me", token: device.accessToken).status == 200)
            auth.clock.advance(.seconds(2))
            #expect(try await auth.poll(codes.deviceCode).oauthError == "invalid_grant")
            let ended = try await auth.ask("GET", "/api/auth/me", token: device.accessToken)
            #expect((ended.status, ended.errorCode) == (401, "token_revoked"))
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 200)
        }
    }

    @Test func `T50: fifty polls at once redeem a code once`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            _ = try await auth.decide(codes.userCode, "approve", member)
            let answers = try await withThrowingTaskGroup(of: AuthUnderTest.Answer.self) { group in
                for _ in 0..<50 { group.addTask { try await auth.poll(codes.deviceCode) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count { $0.status == 200 } == 1)
            #expect(answers.count { $0.status == 400 && $0.oauthError == "invalid_grant" } == 49)
            #expect(try await auth.useCases.accounts.profile(of: member.id)?.sessions.count == 2)
        }
    }

    @Test func `T52, T53, T54: another client, a missing one, and another grant type`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            _ = try await auth.decide(codes.userCode, "approve", member)
            let foreign = try await auth.poll(codes.deviceCode, client: "smartspec-cli")
            #expect((foreign.status, foreign.oauthError) == (400, "invalid_grant"))
            let type = "urn:ietf:params:oauth:grant-type:device_code"
            let missing = try await auth.post("/oauth/token", [("grant_type", type), ("device_code", codes.deviceCode)])
            #expect((missing.status, missing.oauthError) == (400, "invalid_request"))
            for path in ["/oauth/token", "/api/auth/device/token"] {
                let other = try await auth.post(
                    path, [("grant_type", "password"), ("username", "a"), ("password", "b"), ("client_id", "smartspec-desktop")])
                #expect((other.status, other.oauthError) == (400, "unsupported_grant_type"))
                let none = try await auth.post(path, [("device_code", codes.deviceCode), ("client_id", "smartspec-desktop")])
                #expect((none.status, none.oauthError) == (400, "invalid_request"))
            }
            let app = try await auth.ask(
                "POST", "/api/auth/device/token", #"{"grant_type":"\#(type)","device_code":"\#(codes.deviceCode)"}"#)
            #expect(app.status == 200)
        }
    }

    @Test func `T55: a user who was deactivated or changed the password meanwhile gets no tokens`() async throws {
        for change in ["active = false", "token_version = token_version + 1"] {
            try await AuthUnderTest.with { auth in
                let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
                _ = try await auth.decide(codes.userCode, "approve", member)
                try await auth.pool.withConnection { try await $0.script("UPDATE users SET \(change) WHERE id = '\(member.id)'") }
                let answer = try await auth.poll(codes.deviceCode)
                #expect((answer.status, answer.oauthError) == (400, "invalid_grant"))
                #expect(try await auth.useCases.accounts.profile(of: member.id)?.sessions.count == 1)
            }
        }
    }

    @Test func `T56, T57: no text is an error of ours, and the query is not read`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            _ = try await auth.decide(codes.userCode, "approve", member)
            let texts = [
                "x", "ssd_", "ssd_" + String(repeating: "a", count: 43), "'; DROP TABLE users; --", "😀", "\u{1}\u{7F}",
                String(repeating: "a", count: 2_000), codes.deviceCode + "a", codes.userCode,
            ]
            for (index, text) in texts.enumerated() {
                let answer = try await auth.poll(text, headers: [("x-forwarded-for", "198.51.100.\(index)")])
                #expect((answer.status, answer.oauthError) == (400, "invalid_grant"), "\(text.prefix(20))")
            }
            let queried = try await auth.ask(
                "POST", "/oauth/token?device_code=\(codes.deviceCode)",
                "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=smartspec-desktop",
                headers: [("content-type", "application/x-www-form-urlencoded")])
            #expect((queried.status, queried.oauthError) == (400, "invalid_request"))
        }
    }

    @Test func `unknown codes of a network are slowed down, and known ones are not`() async throws {
        try await AuthUnderTest.with { auth in
            let codes = try await auth.requestDeviceCode()
            let unknown = "ssd_" + String(repeating: "a", count: 43)
            var errors: [String] = []
            for _ in 0..<12 { errors.append(try await auth.poll(unknown).oauthError) }
            #expect(errors == Array(repeating: "invalid_grant", count: 10) + ["slow_down", "slow_down"])
            #expect(try await auth.poll(codes.deviceCode).oauthError == "authorization_pending")
        }
    }

    @Test func `T59: the scopes of a device stay, and do not grow at a refresh`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let codes = try await auth.requestDeviceCode([("client_id", "smartspec-desktop"), ("scope", "llm credits")])
            _ = try await auth.decide(codes.userCode, "approve", member)
            let answer = try await auth.poll(codes.deviceCode)
            #expect(try answer.string("scope") == "credits llm")
            func refresh(_ token: String, _ scope: String) async throws -> AuthUnderTest.Answer {
                try await auth.post(
                    "/oauth/token",
                    [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "smartspec-desktop"), ("scope", scope)])
            }
            let token = try answer.string("refresh_token")
            let wide = try await refresh(token, "llm storage")
            #expect((wide.status, wide.oauthError) == (400, "invalid_scope"))
            let same = try await refresh(token, "llm")
            #expect(try same.string("scope") == "credits llm")
            let me = try await auth.ask("GET", "/api/auth/me", token: try same.string("access_token"))
            #expect((me.status, me.errorCode) == (403, "insufficient_scope"))
            let keys = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: try same.string("access_token"))
            #expect((keys.status, keys.errorCode) == (403, "insufficient_scope"))
        }
    }

    @Test func `a device of an administrator does not administer`() async throws {
        try await AuthUnderTest.with { auth in
            let email = try #require(EmailAddress("admin-\(UUIDv7.make())@example.com"))
            _ = try await auth.accounts.bootstrapAdmin(email: email, password: "operator's word")
            let admin = try auth.member(
                try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email.text, "operator's word")))
            let codes = try await auth.requestDeviceCode()
            _ = try await auth.decide(codes.userCode, "approve", admin)
            let device = try auth.member(try await auth.poll(codes.deviceCode))
            #expect(try await auth.authenticator.principal(["authorization": "Bearer \(admin.accessToken)"]).isAdmin)
            #expect(try await !auth.authenticator.principal(["authorization": "Bearer \(device.accessToken)"]).isAdmin)
        }
    }

    @Test func `T63, T64: a code of one replica is approved at another, and redeemed at a third that started later`() async throws {
        try await AuthUnderTest.with { first in
            let (member, codes) = (try await first.register(), try await first.requestDeviceCode())
            try await AuthUnderTest.with { second in
                #expect(try await second.poll(codes.deviceCode).oauthError == "authorization_pending")
                let decided = try await second.decide(codes.userCode, "approve", member)
                #expect(decided.status == 200)
            }
            try await AuthUnderTest.with { third in
                let tokens = try await third.poll(codes.deviceCode)
                #expect(tokens.status == 200)
                #expect(try await first.poll(codes.deviceCode).oauthError == "invalid_grant")
                #expect(try await first.ask("GET", "/api/auth/me", token: tokens.string("access_token")).status == 200)
            }
        }
    }

    @Test func `T66: the database has no usable code`() async throws {
        try await AuthUnderTest.with { auth in
            let codes = try await auth.requestDeviceCode()
            let dump = try await auth.pool.withConnection { try await $0.query(DumpGrants()).joined() }
            #expect(dump.contains("smartspec-desktop"))
            for secret in [codes.deviceCode, codes.userCode] { #expect(!dump.contains(secret)) }
        }
    }
}

private struct DumpGrants: Statement {
    static let sql = "SELECT device_grant::text FROM device_grant"
    typealias Output = String
}
