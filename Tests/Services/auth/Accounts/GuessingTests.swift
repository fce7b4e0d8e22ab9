import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct GuessingTests {
    private func signIn(
        _ auth: AuthUnderTest, _ email: String, _ password: String = AuthUnderTest.password, from address: String
    ) async throws -> AuthUnderTest.Answer {
        try await auth.ask(
            "POST", "/api/auth/login", AuthUnderTest.credentials(email, password), headers: [("x-forwarded-for", address)])
    }

    @Test func `a guess a second for ten minutes does not delay the owner at another place`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            var statuses: [Int: Int] = [:]
            for _ in 0..<600 {
                statuses[try await signIn(auth, member.email, "wrong password", from: "198.51.100.7").status, default: 0] += 1
                auth.clock.advance(.seconds(1))
            }
            #expect(statuses[401] == 14)
            #expect(statuses[429] == 586)
            #expect(try await signIn(auth, member.email, from: "192.0.2.1").status == 200)
        }
    }

    @Test func `guesses from many places delay a new place of the owner by five seconds, and a known place not at all`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            #expect(try await signIn(auth, member.email, from: "192.0.2.1").status == 200)
            for host in 1...250 {
                _ = try await signIn(auth, member.email, "wrong password", from: "198.51.100.\(host)")
                auth.clock.advance(.seconds(1))
            }
            #expect(try await signIn(auth, member.email, from: "192.0.2.1").status == 200)
            let first = try await signIn(auth, member.email, from: "203.0.113.1")
            #expect((first.status, first.header("retry-after")) == (429, "5"))
            for host in 1...5 {
                _ = try await signIn(auth, member.email, "wrong password", from: "198.51.100.\(host)")
                auth.clock.advance(.seconds(1))
            }
            #expect(try await signIn(auth, member.email, from: "203.0.113.1").status == 200)
        }
    }

    @Test func `programs that sign in with the right password at one time all get in`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let statuses = try await withThrowingTaskGroup(of: [Int].self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        var statuses: [Int] = []
                        for _ in 0..<25 { statuses.append(try await signIn(auth, member.email, from: "192.0.2.1").status) }
                        return statuses
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(statuses == Array(repeating: 200, count: 100))
        }
    }

    @Test func `an unknown address under attack is answered like a known one`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            var answers: [[String]] = [[], []]
            for (index, email) in [member.email, "nobody-\(UUIDv7.make())@example.com"].enumerated() {
                for host in 1...30 {
                    let answer = try await signIn(auth, email, "wrong password", from: "198.51.100.\(host)")
                    answers[index].append("\(answer.status) \(answer.errorCode)")
                }
            }
            #expect(answers[0] == answers[1])
            #expect(answers[0].count { $0 == "401 invalid_credentials" } == 20)
        }
    }

    @Test func `guesses that are refused without a check do not use up the network's attempts`() async throws {
        try await AuthUnderTest.with { auth in
            let (target, other) = (try await auth.register(), try await auth.register())
            for _ in 0..<100 { _ = try await signIn(auth, target.email, "wrong password", from: "192.0.2.1") }
            #expect(try await signIn(auth, other.email, from: "192.0.2.1").status == 200)
        }
    }
}
