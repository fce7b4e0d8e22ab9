import Contracts
import Postgres
import Values

/// Answers nothing when the address is taken: two who register it at once meet in the unique index.
struct InsertUser: Statement {
    static let sql = """
        INSERT INTO users (id, email, full_name, role, plan, active, token_version, created_at, locale, time_zone)
        VALUES ($1, $2, $3, $4, $5, true, 0, $6, $7, $8)
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
        parameters.append(user.preferences.locale)
        parameters.append(user.preferences.timeZone)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}

struct FindUser: Statement {
    static let sql = """
        SELECT \(User.columns)
        FROM users
        WHERE id = $1
        """
    var id: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> User { try row.nextUser() }
}

/// Reads a user. The row stays locked until the transaction ends.
struct LockUserRow: Statement {
    static let sql = """
        SELECT \(User.columns)
        FROM users
        WHERE id = $1
        FOR UPDATE
        """
    var id: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> User { try row.nextUser() }
}

/// Writes what a user may change about itself.
struct PutProfile: Statement {
    static let sql = """
        UPDATE users
        SET full_name = $2, locale = $3, time_zone = $4, low_balance_mail = $5
        WHERE id = $1
        """
    var user: User

    func bind(_ parameters: inout Parameters) {
        parameters.append(user.id)
        parameters.append(user.fullName)
        parameters.append(user.preferences.locale)
        parameters.append(user.preferences.timeZone)
        parameters.append(user.preferences.lowBalanceMail)
    }
}

/// Writes what an administrator or a new password changes. The row is locked by the transaction.
struct PutUser: Statement {
    static let sql = """
        UPDATE users
        SET role = $2, active = $3, token_version = $4, changed_at = $5
        WHERE id = $1
        """
    var user: User
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(user.id)
        parameters.append(user.role.rawValue)
        parameters.append(user.isActive)
        parameters.append(user.tokenVersion)
        parameters.append(now)
    }
}

/// Copies a plan. Changes no row if a message with this number or a greater one was applied before.
struct PutPlan: Statement {
    static let sql = """
        UPDATE users
        SET plan = $2, plan_seq = $3
        WHERE id = $1 AND plan_seq < $3
        """
    var userID: UserID
    var plan: String
    var seq: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(plan)
        parameters.append(seq)
    }
}

/// Reads a user. The row stays as it is until the transaction ends.
struct ShareUser: Statement {
    static let sql = """
        SELECT \(User.columns)
        FROM users
        WHERE id = $1
        FOR SHARE
        """
    var id: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> User { try row.nextUser() }
}

struct FindUserByEmail: Statement {
    static let sql = "SELECT \(User.columns) FROM users WHERE email = $1"
    var email: EmailAddress

    func bind(_ parameters: inout Parameters) { parameters.append(email.text) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> User { try row.nextUser() }
}

/// Reads the account of an address, in one row that is there whether or not there is an account. Without
/// one it looks for the password and the sessions of the id zero, so that both take the same time. An
/// account without a password is like none.
struct FindLogin: Statement {
    private static let user = "COALESCE(users.id, '00000000-0000-0000-0000-000000000000')"

    static let sql = """
        SELECT COALESCE(
                account.failures, 0) AS account_failures,
            EXISTS (
                SELECT
                FROM session
                WHERE session.user_id = \(user) AND session.network = $3 AND session.revoked_at IS NULL
                    AND session.idle_expires_at > $4
            ) AS is_known,
            credential.sealed,
            \(User.columns)
        FROM (VALUES ($1::text, $2::bytea)) AS asked (email, digest)
        LEFT JOIN users ON users.email = asked.email
        LEFT JOIN password_credential AS credential ON credential.user_id = \(user)
        LEFT JOIN sign_in_attempt AS account
            ON account.email_sha256 = asked.digest AND account.place = '' AND account.last_at > $4::timestamptz - interval '1 hour'
        """
    struct Output: Sendable {
        /// Failures at all places, with no hour between two of them.
        var accountFailures: Int64
        /// True if a live session of the account began in the client's network.
        var isKnownNetwork: Bool
        var known: (user: User, sealedPassword: [UInt8])?
    }
    var email: EmailAddress
    var digest: [UInt8]
    var network: String?
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(email.text)
        parameters.append(digest)
        parameters.append(network)
        parameters.append(now)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        let failures: Int64 = try row.next()
        let isKnown: Bool = try row.next()
        let sealed: [UInt8]? = try row.next()
        return Output(
            accountFailures: failures, isKnownNetwork: isKnown,
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

struct HasPassword: Statement {
    static let sql = "SELECT EXISTS (SELECT FROM password_credential WHERE user_id = $1)"
    typealias Output = Bool
    var userID: UserID
    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
}

// MARK: The first administrator

/// Claims the making of the first administrator. A second replica waits for the first and then
/// changes no row.
struct ClaimFirstAdmin: Statement {
    static let sql = """
        INSERT INTO first_admin (made_at)
        VALUES ($1)
        ON CONFLICT ON CONSTRAINT first_admin_pkey DO NOTHING
        """
    var now: Instant
    func bind(_ parameters: inout Parameters) { parameters.append(now) }
}

/// Makes an existing person administrator, and everything issued to them before worthless.
struct PromoteToAdmin: Statement {
    static let sql = """
        UPDATE users
        SET role = 'admin', active = true, token_version = token_version + 1, changed_at = $2
        WHERE email = $1
        RETURNING id, token_version, active
        """
    var email: EmailAddress
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(email.text)
        parameters.append(now)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserChanged { try UserChanged(&row) }
}

extension User {
    /// The columns of `users` that ``RowReader/nextUser()`` reads.
    static let columns = """
        users.id, users.email, users.full_name, users.role, users.plan, users.active, users.token_version, users.created_at,
            users.email_verified_at IS NOT NULL, users.locale, users.time_zone, users.low_balance_mail
        """
}

extension RowReader {
    /// The columns of ``User/columns``.
    mutating func nextUser() throws(PostgresError) -> User {
        let id: UserID = try next()
        let email: String = try next()
        let fullName: String? = try next()
        let roleName: String = try next()
        let plan: String = try next()
        let isActive: Bool = try next()
        let tokenVersion: Int64 = try next()
        let createdAt: Instant = try next()
        let isEmailVerified: Bool = try next()
        let preferences = User.Preferences(locale: try next(), timeZone: try next(), lowBalanceMail: try next())
        guard let role = User.Role(rawValue: roleName) else {
            throw PostgresError(.typeMismatch, "users.role holds no role: \(roleName)")
        }
        return User(
            id: id, email: email, fullName: fullName, role: role, plan: plan, isActive: isActive, tokenVersion: tokenVersion,
            createdAt: createdAt, isEmailVerified: isEmailVerified, preferences: preferences)
    }
}

/// Reads password hashes that another key than the current one has sealed, a hundred at most, and
/// locks them. Bytes 1 to 4 of a sealed value name its key.
struct LockForeignPasswords: Statement {
    static let countMax = 100

    static let sql = """
        SELECT user_id, sealed
        FROM password_credential
        WHERE substring(sealed FROM 2 FOR 4) <> $1
        LIMIT \(countMax)
        FOR UPDATE SKIP LOCKED
        """
    struct Output: Sendable {
        var userID: UserID
        var sealed: [UInt8]
    }
    var keyID: [UInt8]

    func bind(_ parameters: inout Parameters) { parameters.append(keyID) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(userID: try row.next(), sealed: try row.next([UInt8].self))
    }
}
