import Contracts
import Jobs
import Postgres
import Values

/// Grants the free credits of each month: to a new user at once, and to all others when a month begins.
struct FreeMonths: Sendable {
    let pool: PostgresPool
    let clock: @Sendable () -> Instant

    /// Small enough that a batch is a short transaction.
    static let batch: Int64 = 500

    var job: Job { Job("free credits", every: .seconds(60), within: .seconds(600)) { try await run() } }

    /// Grants what is due, batch by batch. Two replicas share the work.
    func run() async throws {
        while try await pool.transaction({ try await grant(to: nil, in: $0) }) == Self.batch { try Task.checkCancellation() }
    }

    /// Keeps a user whose address is confirmed, and grants the credits of the running month. Repeats change nothing.
    func welcome(_ user: UserVerified, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(InsertCustomer(userID: user.userID, email: user.email, verifiedAt: user.verifiedAt))
        _ = try await grant(to: user.userID, in: transaction)
    }

    /// - Returns: the number of users who had not had the credits.
    private func grant(to user: UserID?, in transaction: PostgresTransaction) async throws -> Int64 {
        let month = CalendarMonth(containing: clock())
        let due = try await transaction.query(ClaimFreeMonth(month: month, userID: user, limit: Self.batch))
        guard !due.isEmpty else { return 0 }
        let plan = try await transaction.one(ReadPlans(id: .free))
        try await transaction.record(due.map { plan.freeCredits(of: $0, for: month, chargeID: .make()) })
        return Int64(due.count)
    }
}
