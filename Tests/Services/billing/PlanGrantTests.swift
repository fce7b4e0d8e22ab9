import Contracts
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"))
struct PlanGrantTests {
    static func registration(plan: String = "free") -> UserVerified {
        UserVerified(userID: .make(), email: "a@example.com", plan: plan, verifiedAt: Instant(microseconds: 1_795_167_000_000_000))
    }

    @Test func `a new user gets the free plan's ten credits for thirty days`() throws {
        let user = Self.registration()
        let fulfilment = try #require(firstGrant(for: user, chargeID: .make())).fulfilment
        #expect(fulfilment.accountID == AccountID(user.userID))
        #expect(fulfilment.kind == .planGrant)
        #expect(fulfilment.amount == Credits(whole: 10))
        #expect(fulfilment.expiresAt == user.verifiedAt + .seconds(30 * 86_400))
    }

    @Test func `a paid plan grants no credits before the payment`() {
        #expect(firstGrant(for: Self.registration(plan: "pro"), chargeID: .make()) == nil)
    }

    @Test func `a registration that is handled again, and twice at once, is granted and sent once`() async throws {
        let user = Self.registration()
        try await TestDatabase.current.withPool { pool in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { try await pool.transaction { try await grantFirstPeriod(to: user, in: $0) } } }
                try await group.waitForAll()
            }
            let sent = try await pool.query(SentTo(user: user.userID))
            #expect(sent.count == 1)
            #expect(try PurchaseFulfilled(decoding: sent[0]).accountID == AccountID(user.userID))
        }
    }

    @Test func `the message has the charge id of the row`() async throws {
        let user = Self.registration()
        try await TestDatabase.current.withPool { pool in
            try await pool.transaction { try await grantFirstPeriod(to: user, in: $0) }
            let sent = try PurchaseFulfilled(decoding: try #require(try await pool.query(SentTo(user: user.userID)).first))
            #expect(try await pool.query(ChargeOnRecord(user: user.userID)) == [sent.chargeID])
        }
    }
}

private struct SentTo: Statement {
    static let sql = "SELECT body FROM outbox WHERE ordering_key = $1 AND type = 'purchase.fulfilled.v1'"
    typealias Output = [UInt8]
    var user: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(user.description) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> [UInt8] { try row.next([UInt8].self) }
}

private struct ChargeOnRecord: Statement {
    static let sql = "SELECT charge_id FROM plan_grant WHERE user_id = $1"
    var user: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(user) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}
