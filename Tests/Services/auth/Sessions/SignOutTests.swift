import Identity
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct SignOutTests {
    @Test func `an expired access token ends its session`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            auth.clock.advance(.seconds(16 * 60))
            let answer = try await auth.ask("POST", "/api/auth/logout", token: member.accessToken)
            #expect(answer.status == 204)
            let refresh = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            #expect((refresh.status, refresh.errorCode) == (401, "token_revoked"))
        }
    }

    @Test func `an expired token with another signature ends no session`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            auth.clock.advance(.seconds(16 * 60))
            let forged = String(member.accessToken.dropLast(4)) + "AAAA"
            let answer = try await auth.ask("POST", "/api/auth/logout", token: forged)
            #expect(answer.status == 401)
            let refresh = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            #expect(refresh.status == 200)
        }
    }
}
