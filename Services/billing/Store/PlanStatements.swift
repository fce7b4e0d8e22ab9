import Postgres
import Values

/// Reads a plan.
struct FindPlan: Statement {
    static let sql = "SELECT name, monthly_credits FROM plan WHERE id = $1"
    var id: String

    func bind(_ parameters: inout Parameters) { parameters.append(id) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Plan {
        Plan(name: try row.next(), monthlyCredits: Credits(whole: try row.next(Int64.self)))
    }
}
