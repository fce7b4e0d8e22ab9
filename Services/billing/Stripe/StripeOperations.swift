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
    /// A call has ended by this time, with its repetitions and its waits.
    static let callTime = Duration.seconds(180)

    /// An act that was decided before another act on its subject ended. Decide it again.
    struct OldDecision: Error {}

    /// Counts the ended acts on a subscription. Ask for it before Stripe is asked, and give it to ``perform``.
    func acts(on subject: String) async throws -> Int64 { try await pool.one(CountEndedActs(subject: subject)) }

    /// Makes a call, or repeats the pending call with the same parameters. A subject has at most one pending call of a kind.
    ///
    /// The caller stores the object: another process may have created it at Stripe and died before it stored it.
    /// - Parameters:
    ///   - key: the idempotency key of a call that makes an object at `path`, once for ever; nil derives it from the id of the operation.
    ///   - acts: for an act of a user, ``acts(on:)`` from before it was decided.
    /// - Throws: ``OldDecision`` if another act has ended since.
    func perform(
        _ kind: StripeOperation.Kind, subject: String, path: String, form: StripeForm, key: String? = nil, acts: Int64? = nil
    ) async throws -> JSONObject {
        let id = UUIDv7.make()
        let wanted = StripeOperation(
            id: id, kind: kind, subject: subject, path: path, parameters: form.encoded, idempotencyKey: key ?? "\(kind.rawValue)-\(id)",
            createdAt: clock())
        // Further rounds are for an operation that ended between the two statements, or came too late.
        for _ in 0..<3 {
            try await pool.execute(InsertOperation(operation: wanted))
            guard let pending = try await pool.first(PendingOperation(kind: kind, subject: subject)) else {
                if let made = try await pool.first(ObjectOfOperation(idempotencyKey: wanted.idempotencyKey)) {
                    return try await stripe.get("\(path)/\(made)")
                }
                continue
            }
            // No other act can begin while this row is pending.
            if pending.id == id, let acts, try await self.acts(on: subject) != acts {
                try await pool.execute(EndOperation(id: id, error: "decided before another act ended"))
                throw OldDecision()
            }
            let isSame = (pending.kind, pending.path, pending.parameters) == (kind, path, wanted.parameters)
            let age = clock() - pending.createdAt
            if isSame, age < (kind.isAct ? Self.callTime : Self.keyLife) { return try await call(pending) }
            guard age > Self.callTime else { throw StripeError.unavailable("another call on \(subject) is under way") }
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
