import TestSupport
import Testing

@testable import Auth

/// With a database of its own: its clock runs ahead, and other tests' sessions would end.
@Suite(.authDatabase) struct SessionSweepTests {
    @Test func `ended sessions are deleted after a month, and live sessions stay`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let body = #"{"refresh_token":"\#(member.refreshToken)"}"#
            auth.clock.advance(.seconds(59 * 86_400))
            try await auth.sessions.sweep()
            let late = try await auth.ask("POST", "/api/auth/refresh", body)
            #expect(late.errorCode == "token_revoked")
            let living = try auth.member(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)))
            auth.clock.advance(.seconds(2 * 86_400))
            try await auth.sessions.sweep()
            let later = try await auth.ask("POST", "/api/auth/refresh", body)
            #expect(later.errorCode == "invalid_refresh_token")
            let generation = try await auth.generation(of: living.session)
            #expect(generation == 0)
        }
    }
}
