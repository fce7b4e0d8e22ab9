import JSON
import TestSupport
import Testing
import Values

@testable import Auth

/// The revocation of tokens by OAuth clients (RFC 7009).
@Suite(.authDatabase) struct RevokeTests {
    private static let client = "smartspec-cli"

    /// Signs a device of the client in.
    private func signIn(_ auth: AuthUnderTest) async throws -> AuthUnderTest.Member {
        let codes = try await auth.requestDeviceCode([("client_id", Self.client)])
        #expect(try await auth.decide(codes.userCode, "approve", try await auth.register()).status == 200)
        return try auth.member(try await auth.poll(codes.deviceCode, client: Self.client))
    }

    private func revoke(
        _ auth: AuthUnderTest, _ token: String, client: String = client, hint: String? = nil
    ) async throws -> AuthUnderTest.Answer {
        let hint = hint.map { [("token_type_hint", $0)] } ?? []
        return try await auth.post("/oauth/revoke", [("token", token), ("client_id", client)] + hint)
    }

    private func isSignedIn(_ auth: AuthUnderTest, _ device: AuthUnderTest.Member) async throws -> Bool {
        try await auth.ask("GET", "/api/auth/me", token: device.accessToken).status == 200
    }

    @Test(arguments: [nil, "access_token", "refresh_token", "nonsense"])
    func `either token ends the session, with any hint, and a second time is 200`(hint: String?) async throws {
        try await AuthUnderTest.with { auth in
            for token in [\AuthUnderTest.Member.accessToken, \.refreshToken] {
                let device = try await signIn(auth)
                #expect(try await isSignedIn(auth, device))
                for _ in 0..<2 {
                    let answer = try await revoke(auth, device[keyPath: token], hint: hint)
                    #expect((answer.status, answer.body) == (200, []))
                    #expect(answer.header("cache-control") == "no-store")
                }
                #expect(try await !isSignedIn(auth, device))
                let refresh = [("grant_type", "refresh_token"), ("client_id", Self.client), ("refresh_token", device.refreshToken)]
                #expect(try await auth.post("/oauth/token", refresh).oauthError == "invalid_grant")
            }
        }
    }

    @Test func `an access token that has expired ends its session`() async throws {
        try await AuthUnderTest.with { auth in
            let device = try await signIn(auth)
            auth.clock.advance(.seconds(901))
            #expect(try await revoke(auth, device.accessToken).status == 200)
            let refresh = [("grant_type", "refresh_token"), ("client_id", Self.client), ("refresh_token", device.refreshToken)]
            #expect(try await auth.post("/oauth/token", refresh).oauthError == "invalid_grant")
        }
    }

    @Test func `a client ends no session of another, and learns nothing about it`() async throws {
        try await AuthUnderTest.with { auth in
            let device = try await signIn(auth)
            for token in [device.accessToken, device.refreshToken] {
                let answer = try await revoke(auth, token, client: "smartspec-desktop")
                #expect((answer.status, answer.body) == (200, []))
            }
            #expect(try await isSignedIn(auth, device))
        }
    }

    @Test func `a text that is no token of a session is 200 and ends nothing`() async throws {
        try await AuthUnderTest.with { auth in
            let device = try await signIn(auth)
            let owner = try await auth.register()
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: owner.accessToken).string("key")
            let texts = [
                "x", "ssr_", "a.b.c", "😀", "'; DROP TABLE session; --", String(repeating: "x", count: 2_000),
                String(device.accessToken.dropLast()), String(device.refreshToken.dropLast()), device.session.description,
                AuthUnderTest.serviceToken, key,
            ]
            for text in texts { #expect(try await revoke(auth, text).status == 200, "\(text.prefix(40))") }
            #expect(try await isSignedIn(auth, device))
            #expect(try await auth.ask("GET", "/api/auth/me", token: key).status == 200)
        }
    }

    @Test func `a request without a token or a known client is refused`() async throws {
        try await AuthUnderTest.with { auth in
            let device = try await signIn(auth)
            let refused: [([(String, String)], String)] = [
                ([("client_id", Self.client)], "invalid_request"), ([("token", ""), ("client_id", Self.client)], "invalid_request"),
                ([("token", device.accessToken)], "invalid_request"),
                ([("token", device.accessToken), ("client_id", "other")], "invalid_client"),
                ([("token", device.accessToken), ("token", "x"), ("client_id", Self.client)], "invalid_request"),
            ]
            for (fields, error) in refused {
                let answer = try await auth.post("/oauth/revoke", fields)
                #expect((answer.status, answer.oauthError) == (400, error))
            }
            #expect(try await isSignedIn(auth, device))
        }
    }
}
