import Crypto
import EventLoop
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct RegistrationLimitTests {
    private func register(_ auth: AuthUnderTest, from address: String?) async throws -> AuthUnderTest.Answer {
        try await auth.ask(
            "POST", "/api/auth/register", AuthUnderTest.credentials("user-\(UUIDv7.make())@example.com"),
            headers: address.map { [("x-forwarded-for", $0)] } ?? [])
    }

    private static let limits = [
        "REGISTER_BURST": "3", "REGISTER_PER_MINUTE": "6", "REGISTER_PER_SECOND_TOTAL": "100",
    ]

    @Test func `a network has its burst of registrations, then its rate`() async throws {
        try await AuthUnderTest.with(variables: Self.limits) { auth in
            var statuses: [Int] = []
            for _ in 0..<4 { statuses.append(try await register(auth, from: "192.0.2.1").status) }
            #expect(statuses == [201, 201, 201, 429])
            let before = auth.passwords.hashesComputed
            let refused = try await register(auth, from: "192.0.2.1")
            #expect((refused.status, refused.errorCode, refused.header("retry-after")) == (429, "rate_limited", "11"))
            #expect(auth.passwords.hashesComputed == before)
            #expect(try await register(auth, from: "192.0.2.2").status == 201)
            auth.clock.advance(.seconds(10))
            #expect(try await register(auth, from: "192.0.2.1").status == 201)
            #expect(try await register(auth, from: "192.0.2.1").status == 429)
        }
    }

    @Test func `a refused registration waits for its answer`() async throws {
        try await AuthUnderTest.with(variables: Self.limits) { auth in
            for _ in 0..<3 { _ = try await register(auth, from: "192.0.2.1") }
            let begun = MonotonicInstant.current()
            let refused = try await register(auth, from: "192.0.2.1")
            let took = MonotonicInstant.current() - begun
            #expect(refused.status == 429)
            #expect(took >= Routes.refusalDelay)
        }
    }

    @Test func `the addresses of an IPv6 network share its registrations`() async throws {
        try await AuthUnderTest.with(variables: Self.limits) { auth in
            var statuses: [Int] = []
            for host in 0..<4 { statuses.append(try await register(auth, from: "2001:db8:1:2::\(host)").status) }
            statuses.append(try await register(auth, from: "2001:db8:1:3::1").status)
            #expect(statuses == [201, 201, 201, 429, 201])
        }
    }

    @Test func `all networks together have a limit, which uses nothing of a network`() async throws {
        try await AuthUnderTest.with(variables: Self.limits.merging(["REGISTER_PER_SECOND_TOTAL": "2"]) { $1 }) { auth in
            var statuses: [Int] = []
            for host in 1...3 { statuses.append(try await register(auth, from: "192.0.2.\(host)").status) }
            for _ in 0..<5 { statuses.append(try await register(auth, from: "192.0.2.9").status) }
            #expect(statuses == [201, 201, 429, 429, 429, 429, 429, 429])
            for _ in 0..<3 {
                auth.clock.advance(.seconds(1))
                #expect(try await register(auth, from: "192.0.2.9").status == 201)
            }
        }
    }

    @Test func `a taken address counts like a free one`() async throws {
        try await AuthUnderTest.with(variables: Self.limits) { auth in
            let member = try await auth.register()
            var statuses: [Int] = []
            for _ in 0..<4 {
                statuses.append(
                    try await auth.ask(
                        "POST", "/api/auth/register", AuthUnderTest.credentials(member.email), headers: [("x-forwarded-for", "192.0.2.1")]
                    ).status)
            }
            #expect(statuses == [409, 409, 409, 429])
        }
    }

    @Test func `a full queue of new users does not keep a user from signing in`() async throws {
        try await AuthUnderTest.with(hashing: .standard, hashThreads: 1, hashQueueMax: 4) { auth in
            let member = try await auth.register()
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 { group.addTask { try await register(auth, from: nil).status } }
                var statuses: [Int] = []
                for _ in 0..<5 {
                    let answer = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email))
                    #expect(answer.status == 200)
                }
                for try await status in group { statuses.append(status) }
                return statuses
            }
            #expect(statuses.contains(503))
        }
    }
}
