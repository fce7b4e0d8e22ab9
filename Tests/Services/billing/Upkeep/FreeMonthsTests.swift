import Contracts
import Postgres
import Synchronization
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct FreeMonthsTests {
    private final class Calendar: Sendable {
        private let moment: Mutex<Instant>
        init(_ text: String) throws { moment = Mutex(try #require(Instant(text))) }
        var now: Instant { moment.withLock { $0 } }
        func turn(to text: String) throws {
            let next = try #require(Instant(text))
            moment.withLock { $0 = next }
        }
    }

    private static func verified() -> UserVerified {
        UserVerified(userID: .make(), email: "a@example.com", verifiedAt: Instant(microseconds: 1_795_167_000_000_000))
    }

    /// Runs a test with the calendar at 22 November 2026.
    private func with(_ body: @escaping @Sendable (FreeMonths, Calendar, PostgresPool) async throws -> Void) async throws {
        try await TestDatabase.current.withPool { pool in
            let calendar = try Calendar("2026-11-22T10:00:00Z")
            // The tests of a suite share their database.
            try await pool.withConnection { try await $0.script("DELETE FROM customer") }
            try await body(FreeMonths(pool: pool, clock: { calendar.now }), calendar, pool)
        }
    }

    private func sent(to user: UserVerified, _ pool: PostgresPool) async throws -> [PurchaseFulfilled] {
        try await pool.query(SentTo(user: user.userID)).map { try PurchaseFulfilled(decoding: $0) }
    }

    @Test func `repeated messages about a user grant a month once`() async throws {
        try await with { free, calendar, pool in
            let user = Self.verified()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { try await pool.transaction { try await free.welcome(user, in: $0) } } }
                try await group.waitForAll()
            }
            var later = user
            later.verifiedAt = user.verifiedAt + .seconds(3_600)
            try await pool.transaction { [later] in try await free.welcome(later, in: $0) }
            try await free.run()
            let messages = try await sent(to: user, pool)
            #expect(messages.map(\.expiresAt) == [Instant("2026-12-01T00:00:00Z")])
            #expect(try await pool.query(Charges(user: user.userID)) == messages.map(\.chargeID))
        }
    }

    @Test func `each month gives each user its credits once, whichever replica looks`() async throws {
        try await with { free, calendar, pool in
            let users = (0..<Int(FreeMonths.batch) + 3).map { _ in Self.verified() }
            for user in users { try await pool.transaction { try await free.welcome(user, in: $0) } }
            try calendar.turn(to: "2026-12-01T00:00:00Z")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { try await free.run() } }
                try await group.waitForAll()
            }
            try await free.run()
            for user in users {
                let ends = try await sent(to: user, pool).map(\.expiresAt)
                #expect(ends == [Instant("2026-12-01T00:00:00Z"), Instant("2027-01-01T00:00:00Z")])
            }
        }
    }

    @Test func `a month that passed while billing was down is not given afterwards`() async throws {
        try await with { free, calendar, pool in
            let user = Self.verified()
            try await pool.transaction { try await free.welcome(user, in: $0) }
            try calendar.turn(to: "2027-02-03T00:00:00Z")
            try await free.run()
            #expect(try await sent(to: user, pool).map(\.expiresAt) == [Instant("2026-12-01T00:00:00Z"), Instant("2027-03-01T00:00:00Z")])
        }
    }

    @Test func `a user of a paid plan gets no free credits`() async throws {
        try await with { free, calendar, pool in
            let user = Self.verified()
            try await pool.transaction { try await free.welcome(user, in: $0) }
            try await pool.withConnection { try await $0.script("UPDATE customer SET plan = 'pro'") }
            try calendar.turn(to: "2026-12-05T00:00:00Z")
            try await free.run()
            #expect(try await sent(to: user, pool).count == 1)
        }
    }

    @Test func `a user who returns to the free plan gets the free credits of a month once`() async throws {
        try await with { free, calendar, pool in
            let (early, late) = (Self.verified(), Self.verified())
            func change(_ users: [UserVerified], to plan: Plan.ID) async throws {
                for user in users { _ = try await pool.transaction { try await $0.announcePlan(of: user.userID, plan: plan, until: nil) } }
            }
            for user in [early, late] { try await pool.transaction { try await free.welcome(user, in: $0) } }
            try await change([early, late], to: Plan.ID(text: "pro"))
            try await change([early], to: .free)
            try await free.run()
            #expect(try await sent(to: early, pool).count == 1, "November was granted before")
            try calendar.turn(to: "2026-12-05T00:00:00Z")
            try await free.run()
            #expect(try await sent(to: early, pool).count == 2)
            #expect(try await sent(to: late, pool).count == 1)
            try await change([late], to: .free)
            try await free.run()
            try await free.run()
            #expect(try await sent(to: late, pool).map(\.expiresAt) == [Instant("2026-12-01T00:00:00Z"), Instant("2027-01-01T00:00:00Z")])
        }
    }

    @Test func `the credits are those of the plan's row`() async throws {
        try await with { free, calendar, pool in
            try await pool.withConnection { try await $0.script("UPDATE plan SET monthly_credits = 25, name = 'Start' WHERE id = 'free'") }
            let user = Self.verified()
            try await pool.transaction { try await free.welcome(user, in: $0) }
            try await pool.withConnection { try await $0.script("UPDATE plan SET monthly_credits = 10, name = 'Free' WHERE id = 'free'") }
            let message = try #require(try await sent(to: user, pool).first)
            #expect((message.amount, message.description) == (Credits(whole: 25), "Start plan: credits of 2026-11"))
        }
    }

    @Test func `a grant whose transaction fails is granted by the next run`() async throws {
        try await with { free, calendar, pool in
            struct Fault: Error {}
            let user = Self.verified()
            await #expect(throws: Fault.self) {
                try await pool.transaction { transaction in
                    try await free.welcome(user, in: transaction)
                    throw Fault()
                }
            }
            #expect(try await sent(to: user, pool).isEmpty)
            try await pool.transaction { try await free.welcome(user, in: $0) }
            #expect(try await sent(to: user, pool).count == 1)
        }
    }
}

private struct SentTo: Statement {
    static let sql = "SELECT body FROM outbox WHERE ordering_key = $1 AND type = 'purchase.fulfilled.v1' ORDER BY seq"
    typealias Output = [UInt8]
    var user: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(user.description) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> [UInt8] { try row.next([UInt8].self) }
}

private struct Charges: Statement {
    static let sql = "SELECT charge_id FROM effect WHERE account_id = $1 ORDER BY created_at"
    var user: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(user) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}
