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
        guard let found = try await reader.find(id, of: caller.accountID) else { throw Problem.notFound("This call") }
        return .json(200) { json in
            json.object { answer in
                answer.object("data") { data in
                    data.field("id", id.description)
                    if let receipt = found.receipt { data.write(receipt, found.record) } else { found.record.map { data.write($0) } }
                    if let call = found.receipt?.call ?? found.record?.call { data.write(call, found.markupBasisPoints) }
                }
            }
        }
    }
}

extension JSONWriter {
    /// - Parameter record: the ledger's record of a charge whose price is above its hold. It is
    ///   unknown if the ledger does not keep entries of that age.
    fileprivate mutating func write(_ receipt: Receipt, _ record: ChargeReply?) {
        field("source", "receipt")
        let state = receipt.isSkipped ? "skipped" : receipt.call.usage.all.isEmpty ? "voided" : "settled"
        switch record?.state {
        case nil:
            field("state", state)
            field("credits", credits: receipt.price)
        case .unknown?:
            field("state", state)
            field("credits", nil as String?)
        case let known?:
            field("state", known.rawValue)
            field("credits", credits: record?.charged ?? .zero)
        }
        field("price", credits: receipt.price)
        field("held", credits: receipt.held)
        field("streamed", receipt.isStream)
        field("request_id", receipt.requestID)
        field("provider_request_id", receipt.providerRequestID)
        field("created_at", receipt.startedAt.description)
        field("first_token_ms", receipt.firstTokenMilliseconds)
        field("duration_ms", receipt.durationMilliseconds)
    }

    fileprivate mutating func write(_ record: ChargeReply) {
        field("source", "journal")
        field("state", record.state.rawValue)
        field("credits", credits: record.charged)
        field("held", credits: record.held)
        field("created_at", record.openedAt?.description)
        field("ended_at", record.endedAt?.description)
    }

    fileprivate mutating func write(_ call: CallFacts, _ markupBasisPoints: Int64?) {
        field("model", call.model)
        field("provider", call.provider)
        field("estimated", call.isEstimated)
        field("end", call.end.rawValue)
        object("usage") { call.usage.encode(into: &$0) }
        field("upstream_cost_usd", raw: (call.costPicoUSD.map { PicoUSD(value: $0).description } ?? "null").utf8)
        field("markup_basis_points", markupBasisPoints)
        field("price_version", call.priceVersion)
        field("operation", call.operation)
        field("api_key_id", call.apiKeyID?.rawValue)
        field("service", call.service)
    }

    private mutating func field(_ name: String, credits: Credits) { field(name, raw: credits.description.utf8) }
}
