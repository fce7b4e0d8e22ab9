import Contracts
import HTTP
import Identity
import JSON
import Postgres
import Telemetry
import Values

extension Routes {
    /// {user_id, amount, description, idempotency_key, operation?, metadata?}, from servers of ours: charges the user for something other
    /// than a model call. All or nothing, once for its key.
    func deduct(_ request: Request, caller: Principal) async throws -> Response {
        guard let service = caller.service else { throw Problem.serviceRequired }
        let deduction = try Deduction(request.json())
        guard deduction.user == nil || deduction.user == caller.userID else {
            throw Problem.invalidRequest("`user_id` and x-on-behalf-of must name the same user.", param: "user_id")
        }
        let operation = operations.recorded(deduction.operation, of: caller.accountID, at: .now())
        let posting = try await post(source: "deduct:\(service)", ref: deduction.idempotencyKey, for: request) {
            deduction.command($0, from: caller.accountID, by: service, operation: operation)
        }
        log.info(
            posting.isNew ? "credits deducted" : "duplicate deduction",
            [
                "account.id": .describing(caller.accountID), "charge.id": .describing(posting.line.entry.charge),
                "credits": .describing(posting.line.entry.amount), "service": .string(service),
            ], trace: request.trace)
        return posting.response
    }
}

/// A deduction as a service asks for it.
private struct Deduction: Sendable {
    let user: UserID?
    let amount: Credits
    let description: String
    let idempotencyKey: String
    let operation: String?
    let metadata: JSONText?

    static let metadataBytesMax = 8 << 10

    init(_ json: JSONObject) throws {
        user = try json.optionalString("user_id").map { text in
            guard let user = UserID(text) else { throw Problem.invalidRequest("Expected a UUID.", param: "user_id") }
            return user
        }
        amount = try json.credits("amount")
        guard amount > .zero else { throw Problem.invalidRequest("`amount` must be greater than 0.", param: "amount") }
        description = try json.text("description", lengthMax: 500)
        idempotencyKey = try json.text("idempotency_key", lengthMax: 200)
        operation = try json.optionalText("operation", lengthMax: UsageRow.nameScalarsMax)
        metadata = try json.optionalObject("metadata").map { object in
            guard object.bytes.count <= Self.metadataBytesMax else {
                throw Problem.invalidRequest("Expected at most \(Self.metadataBytesMax) bytes.", param: "metadata")
            }
            try CallersJSON.check(object, param: "metadata")
            return JSONText(object.bytes)
        }
    }

    /// The caller's own metadata stands inside, where it cannot be taken for what the ledger itself reads.
    func command(_ charge: ChargeID, from account: AccountID, by service: String, operation: String?) -> Command {
        let known = JSONWriter.object { json in
            json.field("service", service)
            json.field("idempotency_key", idempotencyKey)
            if let operation { json.field("operation", operation) }
            if let metadata { json.field("metadata", raw: metadata.bytes) }
        }
        return Command(
            id: charge, account: account, action: .charge(amount: amount),
            context: Context(
                description: description, metadata: String(decoding: known, as: UTF8.self), usage: Usage(operation: operation)))
    }
}
