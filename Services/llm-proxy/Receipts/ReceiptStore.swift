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

    /// The columns in the order of the parameters.
    private static let columns: [(name: String, type: String, bind: @Sendable ([Receipt], inout Parameters) -> Void)] = [
        ("charge_id", "uuid", { $1.append($0.map(\.charge)) }),
        ("account_id", "uuid", { $1.append($0.map(\.account)) }),
        ("api_key_id", "text", { $1.append($0.map { $0.apiKeyID?.rawValue }) }),
        ("request_id", "text", { $1.append($0.map(\.requestID)) }),
        ("model", "text", { $1.append($0.map(\.model)) }),
        ("provider", "text", { $1.append($0.map(\.provider)) }),
        ("provider_request_id", "text", { $1.append($0.map(\.providerRequestID)) }),
        ("operation", "text", { $1.append($0.map(\.operation)) }),
        ("usage", "jsonb", { $1.append($0.map { JSONText($0.usage.json) }) }),
        ("is_estimated", "boolean", { $1.append($0.map(\.isEstimated)) }),
        ("is_stream", "boolean", { $1.append($0.map(\.isStream)) }),
        ("ended_by", "text", { $1.append($0.map(\.end.rawValue)) }),
        ("price_version", "bigint", { $1.append($0.map(\.priceVersion)) }),
        ("cost_pico_usd", "bigint", { $1.append($0.map(\.costPicoUSD)) }),
        ("held", "bigint", { $1.append($0.map(\.held)) }),
        ("charged", "bigint", { $1.append($0.map(\.charged)) }),
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
        SELECT
            charge_id, account_id, api_key_id, request_id, model, provider, provider_request_id, operation, usage, is_estimated, is_stream,
            ended_by, price_version, cost_pico_usd, held, charged, started_at, first_token_ms, duration_ms
        FROM receipt
        WHERE charge_id = $1 AND account_id = $2
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(charge)
        parameters.append(account)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Receipt {
        try Receipt(
            charge: row.next(), account: row.next(), apiKeyID: row.next(String?.self).map(APIKeyID.init(rawValue:)),
            requestID: row.next(), model: row.next(), provider: row.next(), providerRequestID: row.next(String?.self),
            operation: row.next(String?.self), usage: Usage(json: row.next(JSONText.self).bytes), isEstimated: row.next(),
            isStream: row.next(), end: CallFacts.End(rawValue: row.next()) ?? .completed, priceVersion: row.next(),
            costPicoUSD: row.next(Int64?.self), held: row.next(),
            charged: row.next(), startedAt: row.next(), firstTokenMilliseconds: row.next(Int64?.self), durationMilliseconds: row.next())
    }
}

extension Usage {
    /// Reads what ``json`` wrote. Units that this version does not know are left out.
    init(json: [UInt8]) {
        self.init()
        guard let object = try? JSONObject(json) else { return }
        for unit in UsageUnit.allCases { self[unit] = (try? object.optionalInteger(unit.rawValue)) ?? 0 }
    }

    /// `{"input":12,"output":30}`: the units with a quantity above zero.
    var json: [UInt8] {
        JSONWriter.object { json in for (unit, quantity) in quantities { json.field(unit.rawValue, quantity) } }
    }
}
