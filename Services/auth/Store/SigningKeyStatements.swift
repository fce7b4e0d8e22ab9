import Postgres
import Values

/// One replica at a time decides about signing keys. Held until the transaction ends.
struct LockSigningKeys: Statement {
    static let sql = "SELECT pg_advisory_xact_lock(hashtext('auth.signing_key'))"
}

struct SigningKeyRecord: Sendable {
    var key: SigningKeySchedule.Key
    var x: [UInt8]
    var y: [UInt8]
    var privateSealed: [UInt8]
}

struct AllSigningKeys: Statement {
    static let sql = "SELECT id, state, since, x, y, private_sealed FROM signing_key ORDER BY created_at, id"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> SigningKeyRecord {
        let id: String = try row.next()
        let stateName: String = try row.next()
        guard let state = SigningKeySchedule.State(rawValue: stateName) else {
            throw PostgresError(.typeMismatch, "signing_key.state holds no state: \(stateName)")
        }
        return SigningKeyRecord(
            key: SigningKeySchedule.Key(id: id, state: state, since: try row.next()), x: try row.next([UInt8].self),
            y: try row.next([UInt8].self), privateSealed: try row.next([UInt8].self))
    }
}

struct InsertSigningKey: Statement {
    static let sql = """
        INSERT INTO signing_key (id, state, since, x, y, private_sealed, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $3)
        """
    var record: SigningKeyRecord

    func bind(_ parameters: inout Parameters) {
        parameters.append(record.key.id)
        parameters.append(record.key.state.rawValue)
        parameters.append(record.key.since)
        parameters.append(record.x)
        parameters.append(record.y)
        parameters.append(record.privateSealed)
    }
}

/// Before ``PromoteSigningKey``: there is never more than one current key, not even within a transaction.
struct RetireSigningKey: Statement {
    static let sql = "UPDATE signing_key SET state = 'retired', since = $1 WHERE state = 'current'"
    var now: Instant
    func bind(_ parameters: inout Parameters) { parameters.append(now) }
}

struct PromoteSigningKey: Statement {
    static let sql = "UPDATE signing_key SET state = 'current', since = $2 WHERE id = $1"
    var id: String
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(now)
    }
}

struct DeleteSigningKey: Statement {
    static let sql = "DELETE FROM signing_key WHERE id = $1"
    var id: String
    func bind(_ parameters: inout Parameters) { parameters.append(id) }
}

struct ResealSigningKey: Statement {
    static let sql = "UPDATE signing_key SET private_sealed = $2 WHERE id = $1"
    var id: String
    var privateSealed: [UInt8]

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(privateSealed)
    }
}
