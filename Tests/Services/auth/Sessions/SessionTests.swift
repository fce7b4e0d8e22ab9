import Contracts
import Crypto
import HTTP
import HTTPWire
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

/// One of each `number` sessions that were revoked at a time, in the order of the ids, with the last.
private struct EverySession: Statement {
    static let sql = """
        SELECT id
        FROM (SELECT id, row_number() OVER (ORDER BY id DESC) - 1 AS place FROM session WHERE revoked_at = $2) AS s
        WHERE place % $1 = 0
        """
    var number: Int64
    var revokedAt: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(number)
        parameters.append(revokedAt)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> SessionID { try row.next() }
}

@Suite(.authDatabase) struct SessionTests {
    private func refresh(_ auth: AuthUnderTest, _ token: String) async throws -> AuthUnderTest.Answer {
        try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(token)"}"#)
    }

    @Test func `a refresh gives new tokens of the same session`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answer = try await refresh(auth, member.refreshToken)
            #expect(answer.status == 200)
            #expect(answer.header("cache-control") == "no-store")
            let next = try auth.member(answer)
            #expect(next.session == member.session)
            #expect(next.refreshToken != member.refreshToken)
            let last = try await refresh(auth, next.refreshToken)
            #expect(last.status == 200)
        }
    }

    @Test func `an answer about any number of ended sessions stays below 1 MiB, and a service learns them all`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            try await auth.pool.withConnection { connection in
                try await connection.script(
                    """
                    INSERT INTO session
                    SELECT gen_random_uuid(), user_id, client_id, scope, is_device, device_name, salt, generation, authenticated_at, rotated_at,
                        idle_expires_at, absolute_expires_at, '\(auth.clock.now)', ip, network, user_agent
                    FROM session, generate_series(1, 25000)
                    WHERE id = '\(member.session)';
                    """)
            }
            let answer = try await auth.useCases.identities.signingKeys(QuerySigningKeys())
            #expect(answer.encoded().count < 1 << 20)
            #expect(answer.hasMore)
            let other = Authenticator(
                service: "other", publicURL: AuthUnderTest.publicURL, amqp: nil,
                source: auth.useCases.identities, clock: { auth.clock.moment }, log: AuthUnderTest.log)
            let ended = try await auth.pool.query(EverySession(number: 50, revokedAt: auth.clock.now))
            #expect(ended.count == 500)
            for session in ended {
                let token = try #require(auth.token(of: session))
                let error = await #expect(throws: Problem.self) { try await other.principal(["authorization": "Bearer \(token)"]) }
                #expect(error?.code.rawValue == "token_revoked")
            }
            _ = try await other.principal(["authorization": "Bearer \(member.accessToken)"])
            auth.clock.advance(.seconds(61))
            let later = try await auth.useCases.identities.signingKeys(QuerySigningKeys(revokedSince: auth.clock.now))
            #expect(later.revokedSessions.isEmpty, "the answer to a service that has a snapshot has only later revocations")
        }
    }

    @Test func `fifty refreshes of one token at once make one rotation and get the same answer`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answers = try await withThrowingTaskGroup(of: AuthUnderTest.Answer.self) { group in
                for _ in 0..<50 { group.addTask { try await refresh(auth, member.refreshToken) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.status == 200 })
            #expect(try Set(answers.map { try $0.string("refresh_token") }).count == 1)
            let generation = try await auth.generation(of: member.session)
            #expect(generation == 1)
        }
    }

    @Test func `a used token is valid for thirty seconds, then it ends its own session only`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let elsewhere = try auth.member(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)))
            let next = try auth.member(try await refresh(auth, member.refreshToken))
            auth.clock.advance(.seconds(29))
            let again = try await refresh(auth, member.refreshToken)
            #expect(try again.string("refresh_token") == next.refreshToken)
            auth.clock.advance(.seconds(2))
            let reuse = try await refresh(auth, member.refreshToken)
            #expect((reuse.status, reuse.errorCode) == (401, "token_revoked"))
            let victim = try await refresh(auth, next.refreshToken)
            #expect((victim.status, victim.errorCode) == (401, "token_revoked"))
            let me = try await auth.ask("GET", "/api/auth/me", token: next.accessToken)
            #expect((me.status, me.errorCode) == (401, "token_revoked"))
            let other = try await refresh(auth, elsewhere.refreshToken)
            #expect(other.status == 200)
            let events = try await auth.outboxCount("session.revoked.v1", about: member.session.description)
            #expect(events == 1)
        }
    }

    @Test func `a forged, cut or foreign token is refused and ends no session`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let session = Session(of: member.id, clientID: "web", salt: randomBytes(16), now: auth.clock.now)
            let forged = Session(
                id: member.session, userID: member.id, clientID: "web", scope: "", isDevice: false, salt: session.salt, generation: 0,
                authenticatedAt: session.authenticatedAt, rotatedAt: session.rotatedAt, idleExpiresAt: session.idleExpiresAt,
                absoluteExpiresAt: session.absoluteExpiresAt, isRevoked: false)
            let hostile = [
                "", "x", String(member.refreshToken.dropLast()), member.accessToken, String(repeating: "a", count: 5_000),
                RefreshToken(of: forged, keys: RefreshTokenTests.keys()).text,
                RefreshToken(of: session, keys: RefreshTokenTests.keys()).text,
            ]
            for token in hostile {
                let answer = try await refresh(auth, token)
                #expect((answer.status, answer.errorCode) == (401, "invalid_refresh_token"))
            }
            let missing = try await auth.ask("POST", "/api/auth/refresh", "{}")
            #expect((missing.status, missing.errorCode, missing.errorParam) == (400, "missing_parameter", "refresh_token"))
            let honest = try await refresh(auth, member.refreshToken)
            #expect(honest.status == 200)
        }
    }

    @Test func `a session without use for thirty days has expired`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            auth.clock.advance(.seconds(30 * 86_400))
            let answer = try await refresh(auth, member.refreshToken)
            #expect((answer.status, answer.errorCode) == (401, "token_revoked"))
        }
    }

    @Test func `after signing out neither token works, and signing out again is 204`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            for _ in 0..<2 {
                let answer = try await auth.ask("POST", "/api/auth/logout", token: member.accessToken)
                #expect(answer.status == 204)
            }
            let me = try await auth.ask("GET", "/api/auth/me", token: member.accessToken)
            #expect((me.status, me.errorCode) == (401, "token_revoked"))
            let answer = try await refresh(auth, member.refreshToken)
            #expect((answer.status, answer.errorCode) == (401, "token_revoked"))
            let events = try await auth.outboxCount("session.revoked.v1", about: member.session.description)
            #expect(events == 1)
            let nobody = try await auth.ask("POST", "/api/auth/logout")
            #expect(nobody.status == 401)
        }
    }

    @Test func `the refresh token alone is enough to sign out`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let body = #"{"refresh_token":"\#(member.refreshToken)"}"#
            let first = try await auth.ask("POST", "/api/auth/logout", body)
            #expect(first.status == 204)
            let me = try await auth.ask("GET", "/api/auth/me", token: member.accessToken)
            #expect(me.status == 401)
            let garbage = try await auth.ask("POST", "/api/auth/logout", #"{"refresh_token":"x"}"#)
            #expect(garbage.status == 204)
        }
    }

    @Test func `no token is valid after a sign-out, in any order with refreshes`() async throws {
        try await AuthUnderTest.with { auth in
            for _ in 0..<10 {
                let member = try await auth.register()
                let refreshed = try await withThrowingTaskGroup(of: AuthUnderTest.Answer?.self) { group in
                    for index in 0..<6 {
                        group.addTask {
                            if index == 3 {
                                _ = try await auth.ask("POST", "/api/auth/logout", token: member.accessToken)
                                return nil
                            }
                            return try await refresh(auth, member.refreshToken)
                        }
                    }
                    return try await group.reduce(into: [AuthUnderTest.Answer]()) { if let answer = $1 { $0.append(answer) } }
                }
                for answer in refreshed where answer.status == 200 {
                    let next = try auth.member(answer)
                    let me = try await auth.ask("GET", "/api/auth/me", token: next.accessToken)
                    #expect(me.status == 401)
                    let again = try await refresh(auth, next.refreshToken)
                    #expect(again.status == 401)
                }
            }
        }
    }

    @Test func `an access token expires to the second`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            auth.clock.advance(.seconds(901))
            let me = try await auth.ask("GET", "/api/auth/me", token: member.accessToken)
            #expect((me.status, me.errorCode) == (401, "token_expired"))
        }
    }

    @Test func `the signing keys are published, and the metadata links to them`() async throws {
        try await AuthUnderTest.with { auth in
            let jwks = try await auth.ask("GET", "/.well-known/jwks.json")
            #expect(jwks.status == 200)
            #expect(jwks.header("cache-control") == "public, max-age=600")
            let keys = try jwks.json().array("keys").compactMap(\.object)
            #expect(keys.count == 2)
            for key in keys {
                #expect(try key.string("kty") == "EC" && key.string("crv") == "P-256" && key.string("alg") == "ES256")
                #expect(key.member("d") == nil)
                let x = try Base64.url.decode(key.string("x")) ?? []
                let y = try Base64.url.decode(key.string("y")) ?? []
                #expect(try ES256PublicKey(x: x, y: y)?.thumbprint == key.string("kid"))
            }
            for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
                let metadata = try await auth.ask("GET", path).json()
                #expect(try metadata.string("issuer") == AuthUnderTest.publicURL)
                #expect(try metadata.string("jwks_uri") == AuthUnderTest.publicURL + "/.well-known/jwks.json")
                #expect(try metadata.string("introspection_endpoint") == AuthUnderTest.publicURL + "/oauth/introspect")
                #expect(try metadata.array("introspection_endpoint_auth_methods_supported").compactMap(\.string) == ["Bearer"])
            }
        }
    }
}
