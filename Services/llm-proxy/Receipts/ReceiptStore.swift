import Contracts
import JSON
import Postgres
import Values

/// Writes many receipts in one statement. A receipt that is there already stays as it is.
struct WriteReceipts: Statement {
    let receipts: [Receipt]

    static let sql = """
        INSERT INTO receipt (\(columns.map(\.name).joined(separator: ", ")))
        SELECT *
        FROM unnest(\(columns.enumerated().map { "$\($0.offset + 1)::\($0.element.type)[]" }.joined(separator: ", ")))
        ON CONFLICT ON CONSTRAINT receipt_once DO NOTHING
        """

    /// The columns in the order of the parameters, and of ``FindReceipt``.
    fileprivate static let columns: [(name: String, type: String, bind: @Sendable ([Receipt], inout Parameters) -> Void)] = [
        ("charge_id", "uuid", { $1.append($0.map(\.charge)) }),
        ("account_id", "uuid", { $1.append($0.map(\.account)) }),
        ("api_key_id", "text", { $1.append($0.map { $0.call.apiKeyID?.rawValue }) }),
        ("service", "text", { $1.append($0.map(\.call.service)) }),
        ("request_id", "text", { $1.append($0.map(\.requestID)) }),
        ("model", "text", { $1.append($0.map(\.call.model)) }),
        ("provider", "text", { $1.append($0.map(\.call.provider)) }),
        ("provider_request_id", "text", { $1.append($0.map(\.providerRequestID)) }),
        ("operation", "text", { $1.append($0.map(\.call.operation)) }),
        ("usage", "jsonb", { $1.append($0.map { JSONText($0.call.usage.json) }) }),
        ("is_estimated", "boolean", { $1.append($0.map(\.call.isEstimated)) }),
        ("is_stream", "boolean", { $1.append($0.map(\.isStream)) }),
        ("is_skipped", "boolean", { $1.append($0.map(\.isSkipped)) }),
        ("ended_by", "text", { $1.append($0.map(\.call.end.rawValue)) }),
        ("price_version", "bigint", { $1.append($0.map(\.call.priceVersion)) }),
        ("cost_pico_usd", "bigint", { $1.append($0.map(\.call.costPicoUSD)) }),
        ("held", "bigint", { $1.append($0.map(\.held)) }),
        ("price", "bigint", { $1.append($0.map(\.price)) }),
        ("started_at", "timestamptz", { $1.append($0.map(\.startedAt)) }),
        ("first_token_ms", "bigint", { $1.append($0.map(\.firstTokenMilliseconds)) }),
        ("duration_ms", "bigint", { $1.append($0.map(\.durationMilliseconds)) }),
    ]

    func bind(_ parameters: inout Parameters) {
        for column in Self.columns { column.bind(receipts, &parameters) }
    }
}

/// Reads a receipt for its account. Another account's receipt is not found.
struct FindReceipt: Statement {
    let charge: ChargeID
    let account: AccountID

    static let sql = """
        SELECT \(WriteReceipts.columns.map(\.name).joined(separator: ", "))
        FROM receipt
        WHERE charge_id = $1 AND account_id = $2
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(charge)
        parameters.append(account)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Receipt {
        let (charge, account) = try (row.next(ChargeID.self), row.next(AccountID.self))
        let (apiKeyID, service) = try (row.next(String?.self).map(APIKeyID.init(rawValue:)), row.next(String?.self))
        let (requestID, model, provider) = try (row.next(String.self), row.next(String.self), row.next(String.self))
        let (providerRequestID, operation) = try (row.next(String?.self), row.next(String?.self))
        let usage = try UnitQuantities(stored: row.next())
        let (isEstimated, isStream, isSkipped) = try (row.next(Bool.self), row.next(Bool.self), row.next(Bool.self))
        let end = try row.next(String.self)
        guard let end = CallFacts.End(rawValue: end) else {
            throw PostgresError(.typeMismatch, "receipt.ended_by holds no end: \(end)")
        }
        let call = CallFacts(
            model: model, provider: provider, usage: usage, isEstimated: isEstimated, end: end, priceVersion: try row.next(),
            costPicoUSD: try row.next(Int64?.self), operation: operation, apiKeyID: apiKeyID,
            service: service)
        return try Receipt(
            charge: charge, account: account, call: call, requestID: requestID, providerRequestID: providerRequestID, isStream: isStream,
            isSkipped: isSkipped, held: row.next(), price: row.next(), startedAt: row.next(), firstTokenMilliseconds: row.next(Int64?.self),
            durationMilliseconds: row.next())
    }
}

/// Reads the markup of a price version. It is null for a rule without a markup.
struct ReadMarkup: Statement {
    let version: Int64

    static let sql = "SELECT markup_basis_points FROM price WHERE version = $1"

    func bind(_ parameters: inout Parameters) { parameters.append(version) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Int64? { try row.next(Int64?.self) }
}

extension UnitQuantities {
    fileprivate init(stored: JSONText) throws(PostgresError) {
        do {
            try self.init(from: JSONObject(stored.bytes))
        } catch {
            throw PostgresError(.typeMismatch, "receipt.usage holds no quantities", cause: error)
        }
    }

    fileprivate var json: [UInt8] { JSONWriter.object { encode(into: &$0) } }
}
