import Contracts
import Outbox
import Postgres
import Values

/// Gives a customer a plan. Changes no row if the customer has the plan until that time already.
private struct PutCustomerPlan: Statement {
    static let sql = """
        UPDATE customer
        SET plan = $2, plan_until = $3, plan_seq = plan_seq + 1
        WHERE user_id = $1 AND (plan, plan_until) IS DISTINCT FROM ($2, $3)
        RETURNING plan_seq
        """
    var userID: UserID
    var plan: Plan.ID
    var until: Instant?

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(plan.text)
        parameters.append(until)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Int64 { try row.next() }
}

extension PostgresTransaction {
    /// Gives a customer a plan and announces it to the other services. Repeats change and announce
    /// nothing.
    ///
    /// The row of the customer stays locked until the transaction ends. So messages about a customer
    /// leave in the order of their `seq`.
    /// - Parameter until: the end of the plan unless a payment prolongs it. Nil: no end.
    /// - Returns: false if the customer has the plan until that time already, or is unknown.
    /// - Throws: SQLSTATE 23503 for an unknown plan.
    func announcePlan(of user: UserID, plan id: Plan.ID, until: Instant?) async throws -> Bool {
        guard let seq = try await first(PutCustomerPlan(userID: user, plan: id, until: until)) else { return false }
        let plan = try await one(ReadPlans(id: id))
        try await Outbox.add(
            PlanChanged(userID: user, plan: id.text, features: plan.limits, validUntil: until, seq: seq),
            orderingKey: user.description, in: self)
        return true
    }
}
