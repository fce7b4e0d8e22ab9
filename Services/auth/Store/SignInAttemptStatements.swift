import Postgres
import Values

/// Reads the attempts of a place. The row, which is made if it is missing, stays locked until the
/// transaction ends: attempts from one place take turns.
struct LockPlace: Statement {
    static let sql = """
        INSERT INTO sign_in_attempt (email_sha256, place, failures, last_at)
        VALUES ($1, $2, 0, NULL)
        ON CONFLICT ON CONSTRAINT sign_in_attempt_pkey DO UPDATE
        SET failures = sign_in_attempt.failures
        RETURNING failures, last_at
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

/// Takes an attempt back whose password was not checked.
struct TakeAttemptBack: Statement {
    static let sql = "UPDATE sign_in_attempt SET failures = failures - 1 WHERE email_sha256 = $1 AND place = $2 AND failures > 0"
    var digest: [UInt8]
    var place: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(digest)
        parameters.append(place)
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
