import HTTP
import Identity
import JSON
import Postgres
import Values

/// `GET /api/v1/llm/usage`: the calls of all users by model and provider, and by operation, from the receipts.
struct AdminUsage: Sendable {
    let pool: PostgresPool

    /// Sums the receipts of `from` to `to`, ISO 8601; by default of the last 30 days.
    func show(_ request: Request, administrator: Principal) async throws -> Response {
        let to = try request.query.instant("to") ?? .now()
        let from = try request.query.instant("from") ?? to - .seconds(30 * 86_400)
        guard from < to, to - from <= .seconds(Self.daysMax * 86_400) else {
            throw Problem.invalidRequest("`from` must be before `to`, by at most \(Self.daysMax) days.", param: "from")
        }
        let (models, operations) = try await Task(executorPreference: pool.loop) {
            try await (pool.query(SumByModel(from: from, to: to)), pool.query(SumByOperation(from: from, to: to)))
        }.value
        return .object(200) { json in
            json.field("from", from.description)
            json.field("to", to.description)
            json.array("models") { list in
                for row in models {
                    list.object { json in
                        json.field("model", row.model)
                        json.field("provider", row.provider)
                        row.sums.write(to: &json)
                    }
                }
            }
            json.array("operations") { list in
                for row in operations {
                    list.object { json in
                        json.field("operation", row.operation)
                        row.sums.write(to: &json)
                    }
                }
            }
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

/// The sums of a group of receipts.
private struct ReceiptSums: Sendable {
    var calls: Int64
    var estimated: Int64
    var costPicoUSD: String
    var nanoCredits: String

    static let columns =
        "count(*), count(*) FILTER (WHERE is_estimated), coalesce(sum(cost_pico_usd), 0)::text, sum(price)::text"
    /// Ids of receipts are times, so the span decides which days are read.
    static let span = "charge_id >= uuidv7_floor($1) AND charge_id < uuidv7_floor($2)"

    init(_ row: inout RowReader) throws(PostgresError) {
        (calls, estimated, costPicoUSD, nanoCredits) = try (row.next(), row.next(), row.next(), row.next())
    }

    func write(to json: inout JSONWriter) {
        json.field("calls", calls)
        json.field("estimated_calls", estimated)
        json.field("credits", raw: (Int64(nanoCredits).map { Credits(nano: $0).description } ?? "null").utf8)
        json.field("upstream_cost_usd", raw: (Int64(costPicoUSD).map { PicoUSD(value: $0).description } ?? "null").utf8)
    }
}

/// Sums the receipts of a span of time by model and provider.
private struct SumByModel: Statement {
    struct Output: Sendable {
        var model: String
        var provider: String
        var sums: ReceiptSums
    }

    static let sql = """
        SELECT model, provider, \(ReceiptSums.columns)
        FROM receipt
        WHERE \(ReceiptSums.span)
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
        Output(model: try row.next(), provider: try row.next(), sums: try ReceiptSums(&row))
    }
}

/// Sums the receipts of a span of time by the feature that asked (`x-operation`).
private struct SumByOperation: Statement {
    struct Output: Sendable {
        var operation: String?
        var sums: ReceiptSums
    }

    static let sql = """
        SELECT operation, \(ReceiptSums.columns)
        FROM receipt
        WHERE \(ReceiptSums.span)
        GROUP BY operation
        ORDER BY sum(price) DESC, operation NULLS LAST
        LIMIT 1000
        """
    var from: Instant
    var to: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(from)
        parameters.append(to)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(operation: try row.next(), sums: try ReceiptSums(&row))
    }
}
