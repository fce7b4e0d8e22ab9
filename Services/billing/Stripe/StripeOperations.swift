import EventLoop
import JSON
import Postgres
import Telemetry
import Values

/// Calls of Stripe that change something. Key and parameters are committed before the call, so that a
/// call which is repeated after a crash is the same call to Stripe.
struct StripeOperations: Sendable {
    let pool: PostgresPool
    let stripe: StripeClient
    let clock: @Sendable () -> Instant
    let log: Logger

    /// Stripe may forget a key after a day (docs.stripe.com/api/idempotent_requests). Later a key is not used any more.
    static let keyLife = Duration.seconds(23 * 3_600)

    typealias Record = @Sendable (JSONObject, PostgresTransaction) async throws -> Void

    static let nothing: Record = { _, _ in }

    /// Makes a call, or finds out what became of the same call before. Two of one kind never run at a time for a subject.
    /// - Parameters:
    ///   - key: the idempotency key of a call that makes an object at `path`, once for ever; nil derives it from the id of the operation.
    ///   - record: writes what Stripe made, in the transaction that ends the operation. It may run again.
    /// - Returns: the object.
    func perform(
        _ kind: StripeOperation.Kind, subject: String, path: String, form: StripeForm, key: String? = nil,
        record: @escaping Record = StripeOperations.nothing
    ) async throws -> JSONObject {
        let id = UUIDv7.make()
        let wanted = StripeOperation(
            id: id, kind: kind, subject: subject, path: path, parameters: form.encoded, idempotencyKey: key ?? "\(kind.rawValue)-\(id)",
            createdAt: clock())
        // A pending operation with other parameters comes first. A few rounds are enough: each ends one.
        for _ in 0..<4 {
            try await pool.execute(InsertOperation(operation: wanted))
            guard let pending = try await pool.first(PendingOperation(kind: kind, subject: subject)) else {
                // It ended between the two statements, or long ago under the same key.
                if let made = try await pool.first(ObjectOfOperation(idempotencyKey: wanted.idempotencyKey)) {
                    return try await stripe.get("\(path)/\(made)")
                }
                continue
            }
            let isSame = pending.path == wanted.path && pending.parameters == wanted.parameters
            guard pending.createdAt + Self.keyLife > clock() else {
                // The job `orders` or an event finds the object that it may have made.
                try await pool.execute(EndOperation(id: pending.id, error: "the outcome was never seen"))
                continue
            }
            do {
                let object = try await call(pending, record: isSame ? record : Self.nothing)
                if isSame { return object }
            } catch StripeError.refused where !isSame {
                continue
            }
        }
        throw StripeError.outcomeUnknown("other operations on \(subject) are pending")
    }

    private func call(
        _ operation: StripeOperation, record: @escaping Record
    ) async throws -> JSONObject {
        let object: JSONObject
        do {
            object = try await stripe.post(operation.path, form: operation.parameters, idempotencyKey: operation.idempotencyKey)
        } catch let error as StripeError {
            if case .refused(let refusal) = error {
                if refusal.type == "idempotency_error" {
                    log.error("stripe operation refused", ["kind": .string(operation.kind.rawValue)], error: error)
                }
                try await pool.execute(EndOperation(id: operation.id, error: "\(refusal)"))
            }
            throw error
        }
        let objectID = try object.stripeString("id")
        try await pool.transaction { transaction in
            try await record(object, transaction)
            try await transaction.execute(EndOperation(id: operation.id, objectID: objectID))
        }
        return object
    }
}
