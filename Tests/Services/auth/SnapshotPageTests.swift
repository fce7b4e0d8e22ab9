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
