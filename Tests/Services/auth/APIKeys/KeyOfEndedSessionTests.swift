import Contracts
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct KeyOfEndedSessionTests {
    private static let order = APIKeys.Order(name: "k", scopes: ["llm"], expiresAt: nil, limits: SpendingLimits())

    @Test func `a session that ended at another replica makes no key`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            // This replica has not heard of the revocation, and accepts the token.
            try await auth.pool.withConnection {
                try await $0.script("UPDATE session SET revoked_at = now() WHERE id = '\(member.session)'")
            }
            let answer = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken)
            #expect((answer.status, answer.errorCode) == (401, "token_revoked"))
        }
    }

    @Test func `a session of another user makes no key`() async throws {
        try await AuthUnderTest.with { auth in
            let (owner, other) = (try await auth.register(), try await auth.register())
            let outcome = try await auth.useCases.keys.create(Self.order, for: owner.id, from: other.session, client: .itself)
            guard case .sessionEnded = outcome else {
                Issue.record("a foreign session made a key")
                return
            }
        }
    }

    @Test func `no key outlives the takeover of its account by the first administrator`() async throws {
        try await AuthUnderTest.with { auth in
            let squatter = try await auth.register("squatter-\(UUIDv7.make())@example.com")
            let email = try #require(EmailAddress(squatter.email))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        _ = try await auth.useCases.keys.create(Self.order, for: squatter.id, from: squatter.session, client: .itself)
                    }
                }
                group.addTask { _ = try await auth.accounts.bootstrapAdmin(email: email, password: "operator's word") }
                try await group.waitForAll()
            }
            #expect(try await auth.useCases.keys.list(of: squatter.id).isEmpty)
        }
    }

    @Test func `a sign-out next to the making of keys leaves no key made after it`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            // The sign-out holds the session's row, and the key waits for it.
            let outcome = try await auth.pool.transaction { transaction in
                _ = try await transaction.one(LockSession(id: member.session))
                async let made = auth.useCases.keys.create(Self.order, for: member.id, from: member.session, client: .itself)
                try await auth.waitForLock()
                _ = try await transaction.commit(RevokeSession(id: member.session, now: auth.clock.now))
                return try await made
            }
            guard case .sessionEnded = outcome else {
                Issue.record("a key was made after the sign-out")
                return
            }
        }
    }
}

extension AuthUnderTest {
    /// Waits until a statement of this database waits for a lock.
    func waitForLock() async throws {
        try await until("a statement waits for a lock") { try await self.pool.withConnection { try await $0.one(CountWaiting()) } > 0 }
    }
}

private struct CountWaiting: Statement {
    static let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    typealias Output = Int64
}
