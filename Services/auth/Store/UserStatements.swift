import Postgres
import Values

/// Answers nothing when the address is taken: two who register it at once meet in the unique index.
struct InsertUser: Statement {
    static let sql = """
        INSERT INTO users (id, email, full_name, role, plan, active, token_version, created_at)
        VALUES ($1, $2, $3, $4, $5, true, 0, $6)
        ON CONFLICT ON CONSTRAINT users_email_key DO NOTHING
        RETURNING id
        """
    typealias Output = UserID
    var user: User

    func bind(_ parameters: inout Parameters) {
        parameters.append(user.id)
        parameters.append(user.email)
        parameters.append(user.fullName)
        parameters.append(user.role.rawValue)
        parameters.append(user.plan)
        parameters.append(user.createdAt)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}

struct FindUser: Statement {
    static let sql = """
        SELECT id, email, full_name, role, plan, active, token_version, created_at
        FROM users
        WHERE id = $1
        """
    var id: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> User { try row.nextUser() }
}

/// Whether a person is still whom the password was checked for. The row stays as it is until the transaction ends, so that no
/// session begins next to a change that ends them all.
struct ConfirmUser: Statement {
    static let sql = "SELECT active AND token_version = $2 FROM users WHERE id = $1 FOR SHARE"
    typealias Output = Bool
    var user: User

    func bind(_ parameters: inout Parameters) {
        parameters.append(user.id)
        parameters.append(user.tokenVersion)
    }
}

/// Reads what a sign-in needs, in one row that is there whether or not an account has the address.
struct FindLogin: Statement {
    static let sql = """
        SELECT failure.failures, failure.last_failed_at, credential.sealed,
            users.id, users.email, users.full_name, users.role, users.plan, users.active, users.token_version, users.created_at
        FROM (VALUES ($1::text, $2::bytea)) AS asked (email, digest)
        LEFT JOIN users ON users.email = asked.email
        LEFT JOIN password_credential AS credential ON credential.user_id = users.id
        LEFT JOIN login_failure AS failure ON failure.email_sha256 = asked.digest
        """
    struct Output: Sendable {
        var failures: Int64
        var lastFailedAt: Instant?
        var known: (user: User, sealedPassword: [UInt8])?
    }
    var email: EmailAddress
    var digest: [UInt8]

    func bind(_ parameters: inout Parameters) {
        parameters.append(email.text)
        parameters.append(digest)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        let failures: Int64? = try row.next()
        let lastFailedAt: Instant? = try row.next()
        let sealed: [UInt8]? = try row.next()
        return Output(
            failures: failures ?? 0, lastFailedAt: lastFailedAt,
            known: try sealed.map { sealed throws(PostgresError) in (try row.nextUser(), sealed) })
    }
}

struct PutPassword: Statement {
    static let sql = """
        INSERT INTO password_credential (user_id, sealed, updated_at)
        VALUES ($1, $2, $3)
        ON CONFLICT ON CONSTRAINT password_credential_pkey DO UPDATE
        SET sealed = excluded.sealed, updated_at = excluded.updated_at
        """
    var userID: UserID
    var sealed: [UInt8]
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(sealed)
        parameters.append(now)
    }
}

/// One more failure; a day without any makes the account innocent again.
struct CountLoginFailure: Statement {
    static let sql = """
        INSERT INTO login_failure (email_sha256, failures, last_failed_at)
        VALUES ($1, 1, $2)
        ON CONFLICT ON CONSTRAINT login_failure_pkey DO UPDATE
        SET failures = CASE
                WHEN login_failure.last_failed_at < excluded.last_failed_at - interval '1 day' THEN 1
                ELSE login_failure.failures + 1
            END,
            last_failed_at = excluded.last_failed_at
        RETURNING failures
        """
    typealias Output = Int64
    var digest: [UInt8]
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(digest)
        parameters.append(now)
    }
}

struct ForgetLoginFailures: Statement {
    static let sql = "DELETE FROM login_failure WHERE email_sha256 = $1"
    var digest: [UInt8]
    func bind(_ parameters: inout Parameters) { parameters.append(digest) }
}

struct SweepLoginFailures: Statement {
    static let sql = "DELETE FROM login_failure WHERE last_failed_at < $1"
    var before: Instant
    func bind(_ parameters: inout Parameters) { parameters.append(before) }
}

// MARK: The first administrator

/// One replica at a time; the others wait and then find the work done. Held until the transaction ends.
struct LockForBootstrap: Statement {
    static let sql = "SELECT pg_advisory_xact_lock(hashtext('auth.bootstrap'))"
}

struct CountAdmins: Statement {
    static let sql = "SELECT count(*) FROM users WHERE role = 'admin'"
    typealias Output = Int64
}

/// Makes an existing person administrator, and everything issued to them before worthless.
struct PromoteToAdmin: Statement {
    static let sql = """
        UPDATE users
        SET role = 'admin', active = true, token_version = token_version + 1
        WHERE email = $1
        RETURNING id
        """
    var email: EmailAddress
    func bind(_ parameters: inout Parameters) { parameters.append(email.text) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}

extension RowReader {
    /// The eight columns of `users`, in the order of the table.
    mutating func nextUser() throws(PostgresError) -> User {
        let id: UserID = try next()
        let email: String = try next()
        let fullName: String? = try next()
        let roleName: String = try next()
        let plan: String = try next()
        let isActive: Bool = try next()
        let tokenVersion: Int64 = try next()
        let createdAt: Instant = try next()
        guard let role = User.Role(rawValue: roleName) else {
            throw PostgresError(.typeMismatch, "users.role holds no role: \(roleName)")
        }
        return User(
            id: id, email: email, fullName: fullName, role: role, plan: plan, isActive: isActive, tokenVersion: tokenVersion,
            createdAt: createdAt)
    }
}
