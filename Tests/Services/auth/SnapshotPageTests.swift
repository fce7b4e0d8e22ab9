import Contracts
import HTTP
import HTTPWire
import Identity
import Outbox
import Postgres
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct SnapshotPageTests {
    /// All answers of a first snapshot.
    private func pages(_ auth: AuthUnderTest) async throws -> [SigningKeysReply] {
        var pages = [try await auth.useCases.identities.signingKeys(QuerySigningKeys())]
        var question = QuerySigningKeys()
        while let last = pages.last, last.hasMore {
            question = question.following(last)
            pages.append(try await auth.useCases.identities.signingKeys(question))
        }
        return pages
    }

    @Test func `a service learns any number of changed users, page by page`() async throws {
        try await AuthUnderTest.with { auth in
            let count = SigningKeysReply.pageMax * 2 + 1_000
            try await auth.pool.withConnection { connection in
                try await connection.script(
                    """
                    INSERT INTO users (id, email, role, plan, active, token_version, created_at, changed_at)
                    SELECT gen_random_uuid(), 'changed-' || n || '@example.com', 'user', 'free', n % 2 = 0, 7, '\(auth.clock.now)',
                        '\(auth.clock.now)'
                    FROM generate_series(1, \(count)) AS n;
                    """)
            }
            let pages = try await self.pages(auth)
            #expect(pages.map(\.changedUsers.count) == [SigningKeysReply.pageMax, SigningKeysReply.pageMax, 1_000])
            #expect(Set(pages.flatMap(\.changedUsers).map(\.userID)).count == count)

            let other = Authenticator(
                service: "other", publicURL: AuthUnderTest.publicURL, amqp: nil,
                source: auth.useCases.identities, clock: { auth.clock.moment }, log: AuthUnderTest.log)
            for user in pages.flatMap(\.changedUsers) where user.userID.rawValue.low % 400 == 0 {
                let expected = user.isActive ? "token_expired" : "user_deactivated"
                let token = try #require(auth.token(of: .make(), user: user.userID, version: 6))
                let error = await #expect(throws: Problem.self) { try await other.principal(["authorization": "Bearer \(token)"]) }
                #expect(error?.code.rawValue == expected)
                guard user.isActive else { continue }
                let later = try #require(auth.token(of: .make(), user: user.userID, version: 7))
                _ = try await other.principal(["authorization": "Bearer \(later)"])
            }

            auth.clock.advance(.seconds(61))
            let later = try await auth.useCases.identities.signingKeys(QuerySigningKeys(revokedSince: auth.clock.now))
            #expect(later.changedUsers.isEmpty, "a service that has a snapshot gets later changes only")
        }
    }

    @Test func `a service learns any number of API keys, page by page, and later the new ones`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let count = SigningKeysReply.pageMax + 1_000
            try await auth.pool.withConnection { connection in
                try await connection.script(
                    """
                    INSERT INTO api_key (id, user_id, secret_sha256, last4, name, scopes, created_at, created_by_session)
                    SELECT to_char(n, 'FM0000000000'), '\(member.id)', sha256(n::text::bytea), 'last', 'k', '{llm}', '\(auth.clock.now)',
                        '\(member.session)'
                    FROM generate_series(1, \(count)) AS n;
                    UPDATE api_key SET revoked_at = '\(auth.clock.now)' WHERE id = '0000000001';
                    UPDATE api_key SET expires_at = '\(auth.clock.now)' WHERE id = '0000000002';
                    """)
            }
            let pages = try await self.pages(auth)
            #expect(pages[0].createdAPIKeys.count == SigningKeysReply.pageMax)
            let ids = pages.flatMap(\.createdAPIKeys).map(\.apiKeyID.rawValue)
            #expect(ids.count == count - 2)
            #expect(ids.first == "0000000003")
            #expect(ids == ids.sorted())

            auth.clock.advance(.seconds(3_600))
            let other = try await auth.register()
            let text = try await auth.ask("POST", "/api/keys", #"{"name":"new"}"#, token: other.accessToken).string("key")
            let key = try #require(APIKey(Array(text.utf8)))
            let later = try await auth.useCases.identities.signingKeys(QuerySigningKeys(revokedSince: auth.clock.now + .seconds(-3_000)))
            #expect(later.createdAPIKeys == [APIKeyCreated(apiKeyID: key.id, fingerprint: key.fingerprint)])
            let events = try await auth.outboxCount(APIKeyCreated.name, about: key.id.rawValue)
            #expect(events == 1)
        }
    }
}

extension AuthUnderTest {
    /// Changes a user as a use case does: row and event in one transaction.
    func change(_ user: UserID, isActive: Bool = true) async throws {
        try await pool.transaction { [clock] transaction in
            let version = try await transaction.one(ChangeUser(id: user, isActive: isActive, now: clock.now))
            try await Outbox.add(
                UserChanged(userID: user, tokenVersion: version, isActive: isActive), orderingKey: user.description, in: transaction)
        }
    }
}

private struct ChangeUser: Statement {
    static let sql = """
        UPDATE users
        SET active = $2, token_version = token_version + 1, changed_at = $3
        WHERE id = $1
        RETURNING token_version
        """
    typealias Output = Int64
    var id: UserID
    var isActive: Bool
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(isActive)
        parameters.append(now)
    }
}
