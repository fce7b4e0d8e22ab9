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

    /// The question that the link of a mail asks its reader.
    struct LinkOffer: Sendable {
        var email: String
        /// True if an account with another address asked for it.
        var isNewAddress: Bool
        var registeredAt: Instant
    }

    /// Returns what a link would do; nil for a link that is not valid.
    func linkOffer(_ token: String) async throws -> LinkOffer? {
        guard let digest = OneTimeLink.digest(of: token) else { return nil }
        let now = clock()
        return try await pool.withConnection { connection in
            guard let link = try await connection.first(FindLink(tokenSHA256: digest, now: now)), link.purpose != .resetPassword,
                let user = try await connection.first(FindUser(id: link.userID)), user.isActive
            else { return nil }
            return LinkOffer(email: link.email, isNewAddress: link.purpose == .changeEmail, registeredAt: user.createdAt)
        }
    }

    /// Voids the link of a mail, whose reader does not know the account.
    /// - Returns: false for a link that is not valid.
    func refuseLink(_ token: String, client: ClientInfo) async throws -> Bool {
        guard let digest = OneTimeLink.digest(of: token) else { return false }
        let now = clock()
        return try await pool.transaction { transaction in
            guard let link = try await transaction.first(UseLink(tokenSHA256: digest, now: now)) else { return false }
            try await transaction.commit(
                AuditRecord(event: .linkRefused, userID: link.userID, subject: link.email, client: client, now: now))
            return true
        }
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
            UserVerified(userID: user.id, email: user.email, verifiedAt: now), orderingKey: user.id.description, in: transaction)
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

    /// The proof that a user is the owner of the account.
    enum OwnershipProof: Sendable {
        case password(String)
        /// The caller has checked it. It proves nothing for a user who has a password.
        case recentSignIn
    }

    enum EmailChangeOutcome: Sendable {
        case accepted
        case wrongPassword
        /// The user signs in with a provider. A link of a mail sets the first password.
        case noPassword
        case throttled(Duration)
        case emailTaken
    }

    /// Mails a link to a new address. The link changes the address.
    func changeEmail(
        to email: EmailAddress, proof: OwnershipProof, of user: UserID, client: ClientInfo
    ) async throws -> EmailChangeOutcome {
        let now = clock()
        guard let owner = try await pool.withConnection({ try await $0.first(FindUser(id: user)) }) else { return .wrongPassword }
        var attempt: Attempt?
        switch (try await hasPassword(user), proof) {
        case (false, .password): return .noPassword
        case (true, .recentSignIn): return .wrongPassword
        case (false, .recentSignIn): break
        case (true, .password(let password)):
            switch try await check(password, of: owner.email, client: client) {
            case .wrong: return .wrongPassword
            case .throttled(let wait): return .throttled(wait)
            case .right(let rightAttempt, _, _): attempt = rightAttempt
            }
        }
        return try await pool.transaction { [attempt] transaction in
            // The password was right, whatever becomes of the mail.
            if let attempt { try await transaction.execute(attempt.forgotten) }
            if let wait = limits.mail(email, client, now: now) { return .throttled(wait) }
            guard try await !transaction.one(EmailIsTaken(email: email)) else { return .emailTaken }
            try await transaction.commit(
                InsertMail(template: .changeEmail, userID: user, recipient: email, now: now),
                AuditRecord(event: .emailChangeAsked, userID: user, client: client, now: now))
            return .accepted
        }
    }
}
