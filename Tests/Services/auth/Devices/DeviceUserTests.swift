import JSON
import TestSupport
import Testing
import Values

@testable import Auth

/// The user's side of a device: finding it, and deciding about it.
@Suite(.authDatabase) struct DeviceUserTests {
    private func lookUp(_ auth: AuthUnderTest, _ code: String, _ token: String?, from address: String = "192.0.2.1") async throws
        -> AuthUnderTest.Answer
    {
        let code = code.utf8.map { "%" + String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return try await auth.ask(
            "GET", "/api/auth/device/verify?user_code=\(code)", token: token, headers: [("x-forwarded-for", address)])
    }

    @Test func `T20, T21: a signed-in user finds the device by its code, however it is typed`() async throws {
        try await AuthUnderTest.with { auth in
            let codes = try await auth.requestDeviceCode(
                [("client_id", "smartspec-desktop"), ("scope", "llm credits"), ("device_name", "  Anna's  laptop ")])
            let nobody = try await lookUp(auth, codes.userCode, nil)
            #expect((nobody.status, nobody.oauthError) == (401, "invalid_token"))
            let member = try await auth.register()
            let typed = codes.userCode.lowercased()
            for code in [codes.userCode, typed, "\(typed.prefix(4))-\(typed.suffix(4))", " \(typed.prefix(2)) \(typed.dropFirst(2)) "] {
                let answer = try await lookUp(auth, code, member.accessToken)
                #expect(answer.status == 200)
                #expect(try answer.string("user_code") == codes.userCode)
            }
            let device = try await lookUp(auth, typed, member.accessToken, from: "198.51.100.1").json()
            #expect(try device.string("status") == "pending")
            #expect(try device.string("client_name") == "SmartSpec Desktop")
            #expect(try device.string("scope") == "credits llm")
            #expect(try device.string("device_name") == "Anna's laptop")
            #expect(try device.string("requested_ip") == "192.0.2.1")
            #expect(try device.bool("same_network") == false)
            #expect(try await lookUp(auth, typed, member.accessToken).json().bool("same_network"))
            #expect(try device.integer("expires_in") == 600)
        }
    }

    @Test func `T22: wrong, expired, decided and redeemed codes get the same answer`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let (used, denied, old) = (
                try await auth.requestDeviceCode(), try await auth.requestDeviceCode(), try await auth.requestDeviceCode()
            )
            _ = try await auth.decide(used.userCode, "approve", member)
            #expect(try await auth.poll(used.deviceCode).status == 200)
            _ = try await auth.decide(denied.userCode, "deny", member)
            var answers: [AuthUnderTest.Answer] = []
            for code in ["BCDFGHJK", used.userCode, denied.userCode, "no code at all"] {
                answers.append(try await lookUp(auth, code, member.accessToken, from: "203.0.113.1"))
            }
            auth.clock.advance(.seconds(601))
            answers.append(try await lookUp(auth, old.userCode, member.accessToken, from: "203.0.113.1"))
            #expect(Set(answers.map(\.body)).count == 1)
            #expect(answers.allSatisfy { $0.status == 400 && $0.oauthError == "invalid_request" })
        }
    }

    @Test func `T23, T24: the sixth wrong code is 429, even if it is right, and polls go on`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            for _ in 0..<5 { #expect(try await lookUp(auth, "BCDFGHJK", member.accessToken).status == 400) }
            let sixth = try await lookUp(auth, codes.userCode, member.accessToken)
            #expect((sixth.status, sixth.header("retry-after")) == (429, "121"))
            #expect(try await auth.decide(codes.userCode, "approve", member).status == 429)
            #expect(try await auth.poll(codes.deviceCode).oauthError == "authorization_pending")
            auth.clock.advance(.seconds(121))
            #expect(try await auth.decide(codes.userCode, "approve", member).status == 200)
        }
    }

    @Test func `ten wrong codes of a network are a limit for all its users`() async throws {
        try await AuthUnderTest.with { auth in
            let members = [try await auth.register(), try await auth.register(), try await auth.register()]
            for member in members.prefix(2) {
                for _ in 0..<5 { #expect(try await lookUp(auth, "BCDFGHJK", member.accessToken).status == 400) }
            }
            #expect(try await lookUp(auth, "BCDFGHJK", members[2].accessToken).status == 429)
            #expect(try await lookUp(auth, "BCDFGHJK", members[2].accessToken, from: "192.0.2.2").status == 400)
        }
    }

    @Test func `T25: looking at a device changes nothing`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            for _ in 0..<20 { #expect(try await lookUp(auth, codes.userCode, member.accessToken).status == 200) }
            #expect(try await auth.poll(codes.deviceCode).oauthError == "authorization_pending")
        }
    }

    @Test func `T28: no API key decides about a device, and no sign-in older than twelve hours`() async throws {
        try await AuthUnderTest.with { auth in
            let codes = try await auth.requestDeviceCode()
            var member = try await auth.register()
            let owner = member
            member.accessToken = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: owner.accessToken).string("key")
            let keyed = try await auth.decide(codes.userCode, "approve", member)
            #expect(keyed.status == 403)
            auth.clock.advance(.seconds(12 * 3_600 + 1))
            let later = try await auth.requestDeviceCode(from: "192.0.2.9")
            let refreshed = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(owner.refreshToken)"}"#)
            member.accessToken = try refreshed.string("access_token")
            let stale = try await auth.decide(later.userCode, "approve", member)
            #expect((stale.status, stale.oauthError) == (403, "login_required"))
        }
    }

    @Test func `T29, T30: the same decision again is 200, another one 409`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let other = try await auth.register()
            for (first, second) in [("approve", "deny"), ("deny", "approve")] {
                let codes = try await auth.requestDeviceCode()
                for _ in 0..<2 {
                    let answer = try await auth.decide(codes.userCode, first, member)
                    #expect(answer.status == 200)
                    #expect(try answer.string("status") == (first == "approve" ? "approved" : "denied"))
                }
                let changed = try await auth.decide(codes.userCode, second, member)
                let foreign = try await auth.decide(codes.userCode, first, other)
                #expect((changed.status, foreign.status) == (409, 409))
                let poll = try await auth.poll(codes.deviceCode)
                #expect(first == "approve" ? poll.status == 200 : poll.oauthError == "access_denied")
            }
        }
    }

    @Test func `T31: of two users who decide at once, one does`() async throws {
        try await AuthUnderTest.with { auth in
            for _ in 0..<10 {
                let codes = try await auth.requestDeviceCode(from: "192.0.2.\(Int.random(in: 1...250))")
                let members = [try await auth.register(), try await auth.register()]
                let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                    for member in members { group.addTask { try await auth.decide(codes.userCode, "approve", member).status } }
                    return try await group.reduce(into: []) { $0.append($1) }.sorted()
                }
                #expect(statuses == [200, 409])
            }
        }
    }

    @Test func `T32, T33: a code is not decided after its end, or in its last two seconds`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, codes) = (try await auth.register(), try await auth.requestDeviceCode())
            auth.clock.advance(.milliseconds(598_500))
            let late = try await auth.decide(codes.userCode, "approve", member)
            #expect((late.status, late.oauthError) == (400, "invalid_request"))
            auth.clock.advance(.seconds(10))
            let over = try await auth.decide(codes.userCode, "approve", member)
            #expect((over.status, over.body) == (400, late.body))
        }
    }

    @Test(arguments: [#"{"user_code":"BCDFGHJK"}"#, #"{"user_code":"BCDFGHJK","action":"yes"}"#, #"{"action":"approve"}"#, "{}", "[]"])
    func `a decision without a code or a known action is 400 and decides nothing`(body: String) async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answer = try await auth.ask("POST", "/api/auth/device/authorize", body, token: member.accessToken)
            #expect((answer.status, answer.oauthError) == (400, "invalid_request"))
        }
    }
}
