import Contracts
import JSON
import Postgres
import Values

/// Receipts that wait to be written, encoded as columns.
struct ReceiptRows: Sendable {
    private(set) var count = 0
    fileprivate private(set) var columns = ReceiptColumn.all.map { EncodedArray(of: $0.type) }

    mutating func append(_ receipt: Receipt) {
        count += 1
        for (index, column) in ReceiptColumn.all.enumerated() { columns[index].append { column.encode(receipt, &$0) } }
    }
}

/// A column of the table `receipt`.
private struct ReceiptColumn: Sendable {
    let name: String
    let type: any PostgresValue.Type
    /// Writes the value of a receipt, or returns nil for NULL.
    let encode: @Sendable (Receipt, inout [UInt8]) -> Void?

    init(_ name: String, _ type: any PostgresValue.Type, _ encode: @escaping @Sendable (Receipt, inout [UInt8]) -> Void?) {
        (self.name, self.type, self.encode) = (name, type, encode)
    }

    static var names: String { all.map(\.name).joined(separator: ", ") }

    /// The columns in the order of the parameters of ``WriteReceipts``, and of ``FindReceipt``.
    static let all = [
        ReceiptColumn("charge_id", UUIDv7.self) { $0.charge.rawValue.encode(into: &$1) },
        ReceiptColumn("account_id", UUIDv7.self) { $0.account.rawValue.encode(into: &$1) },
        ReceiptColumn("api_key_id", String.self) { $0.call.apiKeyID?.rawValue.encode(into: &$1) },
        ReceiptColumn("service", String.self) { $0.call.service?.encode(into: &$1) },
        ReceiptColumn("request_id", String.self) { $0.requestID.encode(into: &$1) },
        ReceiptColumn("model", String.self) { $0.call.model.encode(into: &$1) },
        ReceiptColumn("provider", String.self) { $0.call.provider.encode(into: &$1) },
        ReceiptColumn("provider_request_id", String.self) { $0.providerRequestID?.encode(into: &$1) },
        ReceiptColumn("operation", String.self) { $0.call.operation?.encode(into: &$1) },
        ReceiptColumn("usage", JSONText.self) { JSONText($0.call.usage.json).encode(into: &$1) },
        ReceiptColumn("is_estimated", Bool.self) { $0.call.isEstimated.encode(into: &$1) },
        ReceiptColumn("is_stream", Bool.self) { $0.isStream.encode(into: &$1) },
        ReceiptColumn("is_skipped", Bool.self) { $0.isSkipped.encode(into: &$1) },
        ReceiptColumn("ended_by", String.self) { $0.call.end.rawValue.encode(into: &$1) },
        ReceiptColumn("price_version", Int64.self) { $0.call.priceVersion.encode(into: &$1) },
        ReceiptColumn("cost_pico_usd", Int64.self) { $0.call.costPicoUSD?.encode(into: &$1) },
        ReceiptColumn("held", Credits.self) { $0.held.encode(into: &$1) },
        ReceiptColumn("price", Credits.self) { $0.price.encode(into: &$1) },
        ReceiptColumn("started_at", Instant.self) { $0.startedAt.encode(into: &$1) },
        ReceiptColumn("first_token_ms", Int64.self) { $0.firstTokenMilliseconds?.encode(into: &$1) },
        ReceiptColumn("duration_ms", Int64.self) { $0.durationMilliseconds.encode(into: &$1) },
    ]
}

/// Writes many receipts in one statement. A receipt that is there already stays as it is.
struct WriteReceipts: Statement {
    let rows: ReceiptRows

    static let sql = """
        INSERT INTO receipt (\(ReceiptColumn.names))
        SELECT *
        FROM unnest(\(ReceiptColumn.all.enumerated().map { "$\($0.offset + 1)::\($0.element.type.typeID)[]" }.joined(separator: ", ")))
        ON CONFLICT ON CONSTRAINT receipt_once DO NOTHING
        """

    func bind(_ parameters: inout Parameters) {
        for column in rows.columns { parameters.append(column) }
    }
}

/// Reads a receipt for its account. Another account's receipt is not found.
struct FindReceipt: Statement {
    let charge: ChargeID
    let account: AccountID

    static let sql = """
        SELECT \(ReceiptColumn.names)
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
