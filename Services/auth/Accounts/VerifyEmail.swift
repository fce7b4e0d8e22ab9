import Contracts
import Outbox
import Postgres
import Values

extension Accounts {
    enum LinkOutcome: Sendable {
        case done
        /// Unknown, used, replaced or expired: these are not told apart.
        case invalid
        /// Another account has the new address.
        case emailTaken
    }

    /// Uses the link of a mail that confirms an address: that of the account, or a new one.
    func verifyEmail(_ token: String, client: ClientInfo) async throws -> LinkOutcome {
        guard let digest = OneTimeLink.digest(of: token) else { return .invalid }
        let now = clock()
        do {
            return try await pool.transaction { transaction in
                guard let link = try await transaction.first(UseLink(tokenSHA256: digest, now: now)),
                    let user = try await transaction.first(LockUserRow(id: link.userID)), user.isActive
                else { throw LinkRefused() }
                switch link.purpose {
                case .resetPassword: throw LinkRefused()
                case .verifyEmail:
                    guard user.email == link.email else { throw LinkRefused() }
                    _ = try await verified(user, now: now, in: transaction)
                case .changeEmail:
                    try await transaction.execute(ChangeEmail(userID: user.id, email: link.email))
                    var moved = user
                    moved.email = link.email
                    _ = try await verified(moved, now: now, in: transaction)
                    if let old = EmailAddress(user.email) {
                        try await transaction.execute(InsertMail(template: .emailChanged, userID: user.id, recipient: old, now: now))
                    }
                }
                try await transaction.commit(
                    AuditRecord(
                        event: link.purpose == .verifyEmail ? .emailVerified : .emailChanged, userID: user.id, client: client, now: now))
                return .done
            }
        } catch is LinkRefused {
            return .invalid
        } catch let error as PostgresError where error.sqlState == .uniqueViolation {
            return .emailTaken
        }
    }

    /// Ends the transaction without using the link.
    private struct LinkRefused: Error {}

    /// Notes that a user owns the mailbox, and tells the other services the first time.
    /// - Returns: false if it was known before.
    func verified(_ user: User, now: Instant, in transaction: PostgresTransaction) async throws -> Bool {
        let verify = VerifyUser(userID: user.id, email: user.email, now: now)
        guard try await transaction.execute(verify) == 1 else { return false }
        if requiresVerifiedEmail { try await publishVerified(user, now: now, in: transaction) }
        return true
    }

    func publishVerified(_ user: User, now: Instant, in transaction: PostgresTransaction) async throws {
        try await Outbox.add(
            UserVerified(userID: user.id, email: user.email, plan: user.plan, verifiedAt: now), orderingKey: user.id.description,
            in: transaction)
    }

    enum MailOutcome: Sendable {
        case accepted
        /// Too many mails. The next one is admitted after this time.
        case throttled(Duration)
    }

    /// Mails the link that verifies the account's address again. A verified user gets none.
    func resendVerification(to user: UserID, client: ClientInfo) async throws -> MailOutcome {
        let now = clock()
        guard let owner = try await pool.withConnection({ try await $0.first(FindUser(id: user)) }), let email = EmailAddress(owner.email)
        else { return .accepted }
        if let wait = limits.mail(email, client, now: now) { return .throttled(wait) }
        _ = try await pool.transaction { transaction in
            try await transaction.commit(InsertMail(template: .verifyEmail, userID: user, recipient: email, now: now))
        }
        return .accepted
    }

    enum EmailChangeOutcome: Sendable {
        case accepted
        case wrongPassword
        /// The user signs in with a provider. A link of a mail sets the first password.
        case noPassword
        case throttled(Duration)
        case emailTaken
    }

    /// Mails a link to a new address of a user who knows the password. The link changes the address.
    func changeEmail(
        to email: EmailAddress, password: String, of user: UserID, client: ClientInfo
    ) async throws -> EmailChangeOutcome {
        let now = clock()
        guard let owner = try await pool.withConnection({ try await $0.first(FindUser(id: user)) }) else { return .wrongPassword }
        guard try await hasPassword(user) else { return .noPassword }
        switch try await check(password, of: owner.email, client: client) {
        case .wrong: return .wrongPassword
        case .throttled(let wait): return .throttled(wait)
        case .right(let attempt, _, _):
            return try await pool.transaction { transaction in
                // The password was right, whatever becomes of the mail.
                try await transaction.execute(attempt.forgotten)
                if let wait = limits.mail(email, client, now: now) { return .throttled(wait) }
                guard try await !transaction.one(EmailIsTaken(email: email)) else { return .emailTaken }
                try await transaction.commit(
                    InsertMail(template: .changeEmail, userID: user, recipient: email, now: now),
                    AuditRecord(event: .emailChangeAsked, userID: user, client: client, now: now))
                return .accepted
            }
        }
    }
}
