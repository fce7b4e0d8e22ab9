import Postgres
import Values

/// A call of Stripe that changes something, as it was committed before it was made.
struct StripeOperation: Sendable {
    enum Kind: String, Sendable {
        case customer, checkout, expire
        case changePlan = "change_plan"
        case cancel, resume

        /// True for an act of a user on a subscription. What the user wants may change before it is repeated.
        var isAct: Bool { [.changePlan, .cancel, .resume].contains(self) }
    }

    var id: UUIDv7
    var kind: Kind
    var subject: String
    var path: String
    /// Encoded.
    var parameters: String
    var idempotencyKey: String
    var createdAt: Instant

    fileprivate static let columns = "id, kind, subject, path, parameters, idempotency_key, created_at"

    fileprivate init(row: inout RowReader) throws(PostgresError) {
        id = try row.next()
        kind = try row.named()
        subject = try row.next()
        path = try row.next()
        parameters = try row.next()
        idempotencyKey = try row.next()
        createdAt = try row.next()
    }

    init(id: UUIDv7, kind: Kind, subject: String, path: String, parameters: String, idempotencyKey: String, createdAt: Instant) {
        (self.id, self.kind, self.subject, self.path) = (id, kind, subject, path)
        (self.parameters, self.idempotencyKey, self.createdAt) = (parameters, idempotencyKey, createdAt)
    }
}

/// Commits to a call, unless one of its kind is pending for its subject.
struct InsertOperation: Statement {
    static let sql = """
        INSERT INTO stripe_operation (id, kind, subject, method, path, parameters, idempotency_key, created_at)
        VALUES ($1, $2, $3, 'POST', $4, $5, $6, $7)
        ON CONFLICT DO NOTHING
        """
    var operation: StripeOperation

    func bind(_ parameters: inout Parameters) {
        parameters.append(operation.id)
        parameters.append(operation.kind.rawValue)
        parameters.append(operation.subject)
        parameters.append(operation.path)
        parameters.append(operation.parameters)
        parameters.append(operation.idempotencyKey)
        parameters.append(operation.createdAt)
    }
}

/// Finds the pending call of a kind for a subject. The acts on a subscription count as one kind.
struct PendingOperation: Statement {
    static let sql = """
        SELECT \(StripeOperation.columns)
        FROM stripe_operation
        WHERE CASE WHEN kind IN ('change_plan', 'cancel', 'resume') THEN 'act' ELSE kind END = $1 AND subject = $2
            AND state = 'pending'
        """
    var kind: StripeOperation.Kind
    var subject: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(kind.isAct ? "act" : kind.rawValue)
        parameters.append(subject)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> StripeOperation { try StripeOperation(row: &row) }
}

/// Counts the acts on a subscription that have ended, with and without an effect.
struct CountEndedActs: Statement {
    static let sql = """
        SELECT count(*)
        FROM stripe_operation
        WHERE subject = $1 AND kind IN ('change_plan', 'cancel', 'resume') AND state <> 'pending'
        """
    var subject: String

    func bind(_ parameters: inout Parameters) { parameters.append(subject) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Int64 { try row.next() }
}

/// Finds calls that are pending for too long, oldest first.
struct StuckOperations: Statement {
    static let sql = """
        SELECT \(StripeOperation.columns)
        FROM stripe_operation
        WHERE state = 'pending' AND created_at < $1
        ORDER BY created_at
        LIMIT 100
        """
    var createdBefore: Instant

    func bind(_ parameters: inout Parameters) { parameters.append(createdBefore) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> StripeOperation { try StripeOperation(row: &row) }
}

/// Writes how a call ended, and Stripe's customer that it made. After a customer that was not made, the next attempt has another key.
struct EndOperation: Statement {
    static let sql = """
        WITH ended AS (
            UPDATE stripe_operation
            SET state = $2, object_id = $3, error = $4, ended_at = now()
            WHERE id = $1 AND state = 'pending'
            RETURNING kind, subject, object_id
        )
        UPDATE customer
        SET stripe_customer_id = ended.object_id,
            stripe_generation = stripe_generation + CASE WHEN ended.object_id IS NULL THEN 1 ELSE 0 END
        FROM ended
        WHERE ended.kind = 'customer' AND customer.user_id = ended.subject::uuid AND stripe_customer_id IS NULL
        """
    var id: UUIDv7
    var objectID: String?
    /// Nil for a success.
    var error: String?

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(error == nil ? "succeeded" : "failed")
        parameters.append(objectID)
        parameters.append(error)
    }
}

/// Finds what a call made that succeeded.
struct ObjectOfOperation: Statement {
    static let sql = "SELECT object_id FROM stripe_operation WHERE idempotency_key = $1 AND state = 'succeeded'"
    var idempotencyKey: String

    func bind(_ parameters: inout Parameters) { parameters.append(idempotencyKey) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> String { try row.next() }
}
