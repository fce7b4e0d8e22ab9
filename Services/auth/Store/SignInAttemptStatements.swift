import Postgres
import Values

/// Makes sure that a place has a row, so that ``LockPlace`` finds one to lock.
struct OpenPlace: Statement {
    static let sql = """
        INSERT INTO sign_in_attempt (email_sha256, place, failures, last_at)
        VALUES ($1, $2, 0, NULL)
        ON CONFLICT ON CONSTRAINT sign_in_attempt_pkey DO NOTHING
        """
    var digest: [UInt8]
    var place: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(digest)
        parameters.append(place)
    }
}

/// Reads the attempts of a place. The row stays locked until the transaction ends: attempts from one
/// place take turns.
struct LockPlace: Statement {
    static let sql = """
        SELECT failures, last_at
        FROM sign_in_attempt
        WHERE email_sha256 = $1 AND place = $2
        FOR UPDATE
        """
    var digest: [UInt8]
    var place: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(digest)
        parameters.append(place)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> SignInThrottle.Place {
        SignInThrottle.Place(failures: try row.next(), lastAttemptAt: try row.next())
    }
}

struct PutPlace: Statement {
    static let sql = """
        UPDATE sign_in_attempt
        SET failures = $3, last_at = $4
        WHERE email_sha256 = $1 AND place = $2
        """
    var digest: [UInt8]
    var place: String
    var attempts: SignInThrottle.Place

    func bind(_ parameters: inout Parameters) {
        parameters.append(digest)
        parameters.append(place)
        parameters.append(attempts.failures)
        parameters.append(attempts.lastAttemptAt)
    }
}

/// Counts a failure of an account at any place. An hour without one starts the count again.
struct CountAccountFailure: Statement {
    static let sql = """
        INSERT INTO sign_in_attempt (email_sha256, place, failures, last_at)
        VALUES ($1, '', 1, $2)
        ON CONFLICT ON CONSTRAINT sign_in_attempt_pkey DO UPDATE
        SET failures = CASE
                WHEN sign_in_attempt.last_at < excluded.last_at - interval '1 hour' THEN 1
                ELSE sign_in_attempt.failures + 1
            END,
            last_at = excluded.last_at
        """
    var digest: [UInt8]
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(digest)
        parameters.append(now)
    }
}

struct ForgetPlace: Statement {
    static let sql = "DELETE FROM sign_in_attempt WHERE email_sha256 = $1 AND place = $2"
    var digest: [UInt8]
    var place: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(digest)
        parameters.append(place)
    }
}

/// Deletes at most ten thousand rows, so that a backlog locks nothing for long.
struct SweepSignInAttempts: Statement {
    static let sql = """
        DELETE FROM sign_in_attempt
        WHERE ctid IN (
            SELECT ctid
            FROM sign_in_attempt
            WHERE last_at < $1
            LIMIT 10000
            FOR UPDATE SKIP LOCKED
        )
        """
    var before: Instant
    func bind(_ parameters: inout Parameters) { parameters.append(before) }
}
