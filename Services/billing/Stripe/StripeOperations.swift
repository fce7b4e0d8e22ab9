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
    /// A call has ended by this time, with its repetitions.
    static let callTime = Duration.seconds(60)

    /// Makes a call, or repeats the pending call with the same parameters. A subject has at most one pending call of a kind.
    ///
    /// The caller stores the object: another process may have created it at Stripe and died before it stored it.
    /// - Parameter key: the idempotency key of a call that makes an object at `path`, once for ever; nil derives it from the id of the
    ///   operation.
    func perform(
        _ kind: StripeOperation.Kind, subject: String, path: String, form: StripeForm, key: String? = nil
    ) async throws -> JSONObject {
        let id = UUIDv7.make()
        let wanted = StripeOperation(
            id: id, kind: kind, subject: subject, path: path, parameters: form.encoded, idempotencyKey: key ?? "\(kind.rawValue)-\(id)",
            createdAt: clock())
        // The second round is for an operation that ended between the two statements, or came too late.
        for _ in 0..<3 {
            try await pool.execute(InsertOperation(operation: wanted))
            guard let pending = try await pool.first(PendingOperation(kind: kind, subject: subject)) else {
                if let made = try await pool.first(ObjectOfOperation(idempotencyKey: wanted.idempotencyKey)) {
                    return try await stripe.get("\(path)/\(made)")
                }
                continue
            }
            let isSame = (pending.kind, pending.path, pending.parameters) == (kind, path, wanted.parameters)
            let age = clock() - pending.createdAt
            if isSame, age < Self.keyLife { return try await call(pending) }
            // The caller decided before the other call ended, so the decision may be wrong after it.
            guard age > Self.callTime else { throw StripeError.unavailable("another call on \(subject) is under way") }
            // The caller has asked Stripe since, so its decision knows the effect of the other call.
            try await pool.execute(EndOperation(id: pending.id, error: "the outcome was never seen"))
        }
        throw StripeError.outcomeUnknown("other operations on \(subject) are pending")
    }

    private func call(_ operation: StripeOperation) async throws -> JSONObject {
        do {
            let object = try await stripe.post(operation.path, form: operation.parameters, idempotencyKey: operation.idempotencyKey)
            try await pool.execute(EndOperation(id: operation.id, objectID: try object.stripeString("id")))
            return object
        } catch StripeError.refused(let refusal) {
            if refusal.type == "idempotency_error" {
                log.error("stripe operation refused", ["kind": .string(operation.kind.rawValue)], error: StripeError.refused(refusal))
            }
            try await pool.execute(EndOperation(id: operation.id, error: "\(refusal)"))
            throw StripeError.refused(refusal)
        }
    }
}
