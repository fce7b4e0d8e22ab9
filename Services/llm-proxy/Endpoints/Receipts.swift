import Contracts
import HTTP
import HTTPWire
import Identity
import JSON
import Values

/// `GET /v1/generation?id=`: the receipt of one call.
struct Receipts: Sendable {
    let reader: ReceiptReader

    /// The field of an answer that names its charge.
    static let idHeader: StaticString = "x-generation-id"

    /// Answers from the receipt of the call. If no proxy wrote one, the ledger's journal has the
    /// charge.
    /// - Throws: 404 for a call of another account, as for one that never was.
    func show(_ request: Request, caller: Principal) async throws -> Response {
        guard let id = ChargeID(try request.query.string("id")) else {
            throw Problem.invalidRequest("`id` must be the value of an `\(Receipts.idHeader)` field.", param: "id")
        }
        switch try await reader.find(id, of: caller.accountID) {
        case nil: throw Problem.notFound("This call")
        case .receipt(let receipt): return answer { $0.write(receipt) }
        case .record(let record): return answer { $0.write(record) }
        }
    }

    private func answer(_ write: (inout JSONWriter) -> Void) -> Response {
        .json(200) { json in json.object { $0.object("data", write) } }
    }
}

extension JSONWriter {
    fileprivate mutating func write(_ receipt: Receipt) {
        field("id", receipt.charge.description)
        field("source", "receipt")
        field("state", receipt.call.usage.all.isEmpty ? "voided" : "settled")
        field("credits", credits: receipt.charged)
        field("held", credits: receipt.held)
        write(receipt.call)
        field("streamed", receipt.isStream)
        field("request_id", receipt.requestID)
        field("provider_request_id", receipt.providerRequestID)
        field("created_at", receipt.startedAt.description)
        field("first_token_ms", receipt.firstTokenMilliseconds)
        field("duration_ms", receipt.durationMilliseconds)
    }

    fileprivate mutating func write(_ record: ChargeReply) {
        field("id", record.chargeID.description)
        field("source", "journal")
        field("state", record.state.rawValue)
        field("credits", credits: record.charged)
        field("held", credits: record.held)
        field("created_at", record.openedAt?.description)
        field("ended_at", record.endedAt?.description)
        if let call = record.call { write(call) }
    }

    private mutating func write(_ call: CallFacts) {
        field("model", call.model)
        field("provider", call.provider)
        field("estimated", call.isEstimated)
        field("end", call.end.rawValue)
        object("usage") { call.usage.encode(into: &$0) }
        field("upstream_cost_usd", picoUSD: call.costPicoUSD)
        field("price_version", call.priceVersion)
        field("operation", call.operation)
        field("api_key_id", call.apiKeyID?.rawValue)
    }

    /// Writes a decimal, exact to the pico-dollar.
    private mutating func field(_ name: String, picoUSD: Int64?) {
        guard let picoUSD else { return field(name, nil as String?) }
        let fraction = String(picoUSD % PicoUSD.perUSD)
        let padded = String(repeating: "0", count: 12 - fraction.utf8.count) + fraction
        field(name, raw: "\(picoUSD / PicoUSD.perUSD).\(padded)".utf8)
    }

    private mutating func field(_ name: String, credits: Credits) { field(name, raw: credits.description.utf8) }
}
