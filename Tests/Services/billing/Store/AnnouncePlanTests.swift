import Contracts
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"))
struct AnnouncePlanTests {
    private static let pro = Plan.ID(text: "pro")
    private static let end = Instant(microseconds: 1_796_083_200_000_000)

    private func with(_ body: @escaping @Sendable (PostgresPool, UserID) async throws -> Void) async throws {
        try await TestDatabase.current.withPool { pool in
            let user = UserID.make()
            _ = try await pool.transaction { transaction in
                try await transaction.execute(InsertCustomer(userID: user, email: "a@example.com", verifiedAt: Self.end))
            }
            try await body(pool, user)
        }
    }

    private func announced(to user: UserID, _ pool: PostgresPool) async throws -> [PlanChanged] {
        try await pool.query(Announced(user: user)).map { try PlanChanged(decoding: $0) }
    }

    @Test func `a changed plan is announced with its limits, its end and the next number`() async throws {
        try await with { pool, user async throws in
            #expect(try await pool.transaction { try await $0.announcePlan(of: user, plan: Self.pro, until: Self.end) })
            #expect(try await pool.transaction { try await $0.announcePlan(of: user, plan: Self.pro, until: Self.end + .seconds(1)) })
            #expect(try await pool.transaction { try await $0.announcePlan(of: user, plan: .free, until: nil) })
            let (free, pro) = (Catalogue.atStart.plans[0].limits, Catalogue.atStart.plans[1].limits)
            #expect(
                try await announced(to: user, pool) == [
                    PlanChanged(userID: user, plan: "pro", features: pro, validUntil: Self.end, seq: 1),
                    PlanChanged(userID: user, plan: "pro", features: pro, validUntil: Self.end + .seconds(1), seq: 2),
                    PlanChanged(userID: user, plan: "free", features: free, validUntil: nil, seq: 3),
                ])
        }
    }

    @Test func `the plan that a customer has is not announced again`() async throws {
        try await with { pool, user async throws in
            #expect(try await !pool.transaction { try await $0.announcePlan(of: user, plan: .free, until: nil) })
            #expect(try await pool.transaction { try await $0.announcePlan(of: user, plan: Self.pro, until: Self.end) })
            #expect(try await !pool.transaction { try await $0.announcePlan(of: user, plan: Self.pro, until: Self.end) })
            #expect(try await announced(to: user, pool).map(\.seq) == [1])
        }
    }

    @Test func `eight transactions at once announce in the order of their numbers`() async throws {
        try await with { pool, user async throws in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<8 {
                    group.addTask {
                        _ = try await pool.transaction { transaction in
                            try await transaction.announcePlan(of: user, plan: Self.pro, until: Self.end + .seconds(Int64(index)))
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await announced(to: user, pool).map(\.seq) == Array(1...8))
        }
    }

    @Test func `a plan of a transaction that fails is not announced, and its number is used again`() async throws {
        struct Fault: Error {}
        try await with { pool, user async throws in
            await #expect(throws: Fault.self) {
                try await pool.transaction { transaction in
                    _ = try await transaction.announcePlan(of: user, plan: Self.pro, until: nil)
                    throw Fault()
                }
            }
            #expect(try await announced(to: user, pool).isEmpty)
            #expect(try await pool.transaction { try await $0.announcePlan(of: user, plan: Self.pro, until: nil) })
            #expect(try await announced(to: user, pool).map(\.seq) == [1])
        }
    }

    @Test func `an unknown customer has no plan, and an unknown plan is an error`() async throws {
        try await with { pool, user async throws in
            let stranger = UserID.make()
            #expect(try await !pool.transaction { try await $0.announcePlan(of: stranger, plan: Self.pro, until: nil) })
            #expect(try await announced(to: stranger, pool).isEmpty)
            let error = await #expect(throws: PostgresError.self) {
                try await pool.transaction { try await $0.announcePlan(of: user, plan: Plan.ID(text: "gold"), until: nil) }
            }
            #expect(error?.sqlState == SQLState("23503"))
        }
    }
}

private struct Announced: Statement {
    static let sql = "SELECT body FROM outbox WHERE ordering_key = $1 AND type = 'plan.changed.v1' ORDER BY seq"
    typealias Output = [UInt8]
    var user: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(user.description) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> [UInt8] { try row.next([UInt8].self) }
}
