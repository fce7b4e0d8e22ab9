import Contracts
import Postgres
import Values

/// Reads plans in the order of their positions.
struct ReadPlans: Statement {
    static let sql = """
        SELECT id, name, position, monthly_credits, features, is_popular, is_active,
            endpoints, requests_per_minute, tokens_per_minute, concurrency, priority
        FROM plan
        WHERE $1::text IS NULL OR id = $1
        ORDER BY position
        """
    /// Nil for all plans.
    var id: Plan.ID?

    func bind(_ parameters: inout Parameters) { parameters.append(id?.text) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Plan {
        Plan(
            id: Plan.ID(text: try row.next()), name: try row.next(), position: try row.next(),
            monthlyCredits: Credits(whole: try row.next(Int64.self)), features: try row.next(), isPopular: try row.next(),
            isActive: try row.next(),
            limits: PlanFeatures(
                endpoints: try row.next(), requestsPerMinute: try row.next(), tokensPerMinute: try row.next(),
                concurrency: try row.next(), priority: try row.next()))
    }
}
