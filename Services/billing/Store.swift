import Postgres
import Values

/// Records a grant unless the person's period has one already; then no row comes back and nothing is to be sent.
struct InsertPlanGrant: Statement {
    static let sql = """
        INSERT INTO plan_grant (user_id, period_start, plan, charge_id, amount_nano, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (user_id, period_start) DO NOTHING
        RETURNING charge_id
        """
    var grant: PlanGrant

    func bind(_ parameters: inout Parameters) {
        parameters.append(grant.userID)
        parameters.append(grant.period.start)
        parameters.append(grant.plan.name)
        parameters.append(grant.chargeID)
        parameters.append(grant.plan.monthlyCredits.nano)
        parameters.append(grant.period.end)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}
