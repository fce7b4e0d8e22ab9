import Postgres
import Values

/// Adds a mail to a user. It leaves with the transaction's commit.
struct InsertMail: Statement {
    static let sql = """
        INSERT INTO mail (id, template, facts, user_id, recipient, created_at, next_try_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        """
    let id = MailID.make()
    var template: MailTemplate
    /// Nil if only the address is known. No account may have it.
    var userID: UserID?
    var recipient: EmailAddress
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(template.name)
        parameters.append(template.facts.map { JSONText($0) })
        parameters.append(userID)
        parameters.append(recipient.text)
        parameters.append(now)
    }
}

/// Notes when a user got a mail of a template last. Changes no row if that was after `notSince`.
struct NoteMail: Statement {
    static let sql = """
        INSERT INTO last_mail (user_id, template, accepted_at)
        VALUES ($1, $2, $3)
        ON CONFLICT ON CONSTRAINT last_mail_pkey DO UPDATE
        SET accepted_at = excluded.accepted_at
        WHERE last_mail.accepted_at <= $4
        """
    var template: MailTemplate
    var userID: UserID
    var now: Instant
    var notSince: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(template.name)
        parameters.append(now)
        parameters.append(notSince)
    }
}

/// Forgets when a user got a mail of a template last.
struct ForgetMail: Statement {
    static let sql = "DELETE FROM last_mail WHERE user_id = $1 AND template = $2"
    var templateName: String
    var userID: UserID

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(templateName)
    }
}

/// A mail that is due, with its user.
struct DueMail: Sendable {
    var id: MailID
    var templateName: String
    /// Nil if this version does not know the template or its facts.
    var template: MailTemplate?
    var recipient: EmailAddress
    var createdAt: Instant
    var tries: Int64
    /// Nil if no account has the address.
    var user: User?
}

/// Takes the mails that are due, at most ``countMax``. Another replica takes others.
///
/// The next attempt is due after 15 s, 30 s … 1 h, so that a crash loses no mail.
struct ClaimMails: Statement {
    static let countMax = 16

    static let sql = """
        UPDATE mail
        SET tries = mail.tries + 1,
            next_try_at = $1::timestamptz + least(interval '1 hour', interval '15 seconds' * (2 ^ least(mail.tries, 10)))
        FROM mail AS due
        LEFT JOIN LATERAL (
            SELECT * FROM users WHERE users.id = due.user_id
            UNION ALL
            SELECT * FROM users WHERE due.user_id IS NULL AND users.email = due.recipient
        ) AS users ON true
        WHERE mail.id = due.id AND due.id IN (
                SELECT id
                FROM mail
                WHERE next_try_at <= $1
                ORDER BY next_try_at
                LIMIT \(countMax)
                FOR UPDATE SKIP LOCKED
            )
        RETURNING mail.id, mail.template, mail.facts, mail.recipient, mail.created_at, mail.tries, users.id IS NOT NULL, \(User.columns)
        """
    var now: Instant
    func bind(_ parameters: inout Parameters) { parameters.append(now) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> DueMail {
        let id: MailID = try row.next()
        let (templateName, facts, recipientText): (String, JSONText?, String) = (try row.next(), try row.next(), try row.next())
        guard let recipient = EmailAddress(recipientText) else {
            throw PostgresError(.typeMismatch, "mail \(id) has no recipient of ours")
        }
        let (createdAt, tries): (Instant, Int64) = (try row.next(), try row.next())
        let hasUser: Bool = try row.next()
        return DueMail(
            id: id, templateName: templateName, template: MailTemplate(name: templateName, facts: facts?.bytes), recipient: recipient,
            createdAt: createdAt, tries: tries, user: hasUser ? try row.nextUser() : nil)
    }
}

struct DeleteMail: Statement {
    static let sql = "DELETE FROM mail WHERE id = $1"
    var id: MailID
    func bind(_ parameters: inout Parameters) { parameters.append(id) }
}

/// Makes a link the only one of its user and purpose, unless a newer one is. A mail that is sent again
/// has the same link, or another one after a change of the master key. A link that was used stays used.
struct PutLink: Statement {
    static let sql = """
        INSERT INTO one_time_link (user_id, purpose, token_sha256, email, expires_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT ON CONSTRAINT one_time_link_pkey DO UPDATE
        SET token_sha256 = excluded.token_sha256, email = excluded.email, expires_at = excluded.expires_at, used_at = NULL
        WHERE one_time_link.expires_at < excluded.expires_at
            OR (one_time_link.expires_at = excluded.expires_at AND one_time_link.used_at IS NULL)
        """
    var userID: UserID
    var purpose: OneTimeLink.Purpose
    var tokenSHA256: [UInt8]
    var email: EmailAddress
    var expiresAt: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(purpose.rawValue)
        parameters.append(tokenSHA256)
        parameters.append(email.text)
        parameters.append(expiresAt)
    }
}

/// A link that can still be used.
struct LiveLink: Sendable {
    var userID: UserID
    var purpose: OneTimeLink.Purpose
    var email: String
}

struct FindLink: Statement {
    static let sql = """
        SELECT user_id, purpose, email
        FROM one_time_link
        WHERE token_sha256 = $1 AND used_at IS NULL AND expires_at > $2
        """
    var tokenSHA256: [UInt8]
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(tokenSHA256)
        parameters.append(now)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> LiveLink { try LiveLink(&row) }
}

/// Uses a link. Returns nothing if it was used before, replaced, or has expired.
struct UseLink: Statement {
    static let sql = """
        UPDATE one_time_link
        SET used_at = $2
        WHERE token_sha256 = $1 AND used_at IS NULL AND expires_at > $2
        RETURNING user_id, purpose, email
        """
    var tokenSHA256: [UInt8]
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(tokenSHA256)
        parameters.append(now)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> LiveLink { try LiveLink(&row) }
}

extension LiveLink {
    fileprivate init(_ row: inout RowReader) throws(PostgresError) {
        userID = try row.next()
        let name: String = try row.next()
        guard let purpose = OneTimeLink.Purpose(rawValue: name) else {
            throw PostgresError(.typeMismatch, "one_time_link.purpose holds no purpose: \(name)")
        }
        self.purpose = purpose
        email = try row.next()
    }
}

/// Notes that a user owns the mailbox of the account. Changes no row if it was noted before, or the
/// account has another address now.
struct VerifyUser: Statement {
    static let sql = "UPDATE users SET email_verified_at = $3 WHERE id = $1 AND email = $2 AND email_verified_at IS NULL"
    var userID: UserID
    var email: String
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(email)
        parameters.append(now)
    }
}

/// Gives an account another address.
/// - Throws: a unique violation if another account has it.
struct ChangeEmail: Statement {
    static let sql = "UPDATE users SET email = $2 WHERE id = $1"
    var userID: UserID
    var email: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(email)
    }
}

struct EmailIsTaken: Statement {
    static let sql = "SELECT EXISTS (SELECT FROM users WHERE email = $1)"
    typealias Output = Bool
    var email: EmailAddress
    func bind(_ parameters: inout Parameters) { parameters.append(email.text) }
}
