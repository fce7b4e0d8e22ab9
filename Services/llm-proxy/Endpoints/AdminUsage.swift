import HTTP
import Identity
import JSON
import Postgres
import Values

/// `GET /api/v1/llm/usage`: the calls of all users by model and provider, from the receipts.
struct AdminUsage: Sendable {
    let pool: PostgresPool

    /// Sums the receipts of `from` to `to`, ISO 8601; by default of the last 30 days.
    func show(_ request: Request, administrator: Principal) async throws -> Response {
        let to = try request.query.instant("to") ?? .now()
        let from = try request.query.instant("from") ?? to - .seconds(30 * 86_400)
        guard from < to, to - from <= .seconds(Self.daysMax * 86_400) else {
            throw Problem.invalidRequest("`from` must be before `to`, by at most \(Self.daysMax) days.", param: "from")
        }
        let rows = try await Task(executorPreference: pool.loop) { try await pool.query(SumReceipts(from: from, to: to)) }.value
        return .object(200) { json in
            json.field("from", from.description)
            json.field("to", to.description)
            json.array("models") { list in for row in rows { list.object { row.write(to: &$0) } } }
        }
    }

    private static let daysMax: Int64 = 92
}

extension Query {
    fileprivate func instant(_ name: String) throws(Problem) -> Instant? {
        guard let text = try optionalString(name) else { return nil }
        guard let instant = Instant(text) else {
            throw Problem.invalidRequest("`\(name)` must be a time like 2027-01-01T00:00:00Z.", param: name)
        }
        return instant
    }
}

/// Sums the receipts of a span of time. Their ids are times, so the span decides which days are read.
private struct SumReceipts: Statement {
    struct Output: Sendable {
        var model: String
        var provider: String
        var calls: Int64
        var estimated: Int64
        var costPicoUSD: String
        var nanoCredits: String
    }

    static let sql = """
        SELECT model, provider, count(*), count(*) FILTER (WHERE is_estimated), coalesce(sum(cost_pico_usd), 0)::text, sum(price)::text
        FROM receipt
        WHERE charge_id >= uuidv7_floor($1) AND charge_id < uuidv7_floor($2)
        GROUP BY model, provider
        ORDER BY sum(price) DESC, model, provider
        LIMIT 1000
        """
    var from: Instant
    var to: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(from)
        parameters.append(to)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(
            model: try row.next(), provider: try row.next(), calls: try row.next(), estimated: try row.next(),
            costPicoUSD: try row.next(), nanoCredits: try row.next())
    }
}

extension SumReceipts.Output {
    fileprivate func write(to json: inout JSONWriter) {
        json.field("model", model)
        json.field("provider", provider)
        json.field("calls", calls)
        json.field("estimated_calls", estimated)
        json.field("credits", raw: (Int64(nanoCredits).map { Credits(nano: $0).description } ?? "null").utf8)
        json.field("upstream_cost_usd", raw: (Int64(costPicoUSD).map { PicoUSD(value: $0).description } ?? "null").utf8)
    }
}
