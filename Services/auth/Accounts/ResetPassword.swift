import Crypto
import Postgres
import Values

extension Accounts {
    /// Mails a link that chooses a new password, if an account has the address. The work is the same
    /// for every address: the account is looked up when the mail is sent.
    func forgotPassword(_ email: EmailAddress, client: ClientInfo) async throws -> MailOutcome {
        let now = clock()
        if let wait = limits.mail(email, client, now: now) { return .throttled(wait) }
        _ = try await pool.transaction { transaction in
            try await transaction.commit(
                InsertMail(template: .resetPassword, userID: nil, recipient: email, now: now),
                AuditRecord(event: .passwordForgotten, subject: email.text, client: client, now: now))
        }
        return .accepted
    }

    /// Replaces the password of the user who has the mail, or sets the first one. All sessions end, and
    /// none begins.
    func resetPassword(
        _ token: String, to new: String, client: ClientInfo
    ) async throws -> PasswordResetOutcome {
        let now = clock()
        guard let digest = OneTimeLink.digest(of: token),
            let link = try await pool.withConnection({ try await $0.first(FindLink(tokenSHA256: digest, now: now)) }),
            link.purpose == .resetPassword, let email = EmailAddress(link.email)
        else { return .invalid }
        if let refusal = PasswordPolicy.refusal(of: new, for: email) { return .refused(refusal) }
        let sealed = try await passwords.seal(new, for: link.userID)
        return try await pool.transaction { transaction in
            guard let used = try await transaction.first(UseLink(tokenSHA256: digest, now: now)), used.userID == link.userID,
                let user = try await transaction.first(LockUserRow(id: link.userID)), user.isActive, user.email == link.email
            else { return .invalid }
            let changed = try await revocations.put(user, now: now, in: transaction)
            try await revocations.endSessions(of: user.id, now: now, in: transaction)
            // Without a proof of the mailbox, an attacker may have registered this address, made the keys
            // and linked the identities.
            if try await verified(changed, now: now, in: transaction) {
                try await revocations.endKeys(of: user.id, now: now, in: transaction)
                try await transaction.execute(DeleteIdentities(userID: user.id))
            }
            try await transaction.commit(
                PutPassword(userID: user.id, sealed: sealed, now: now),
                InsertMail(template: .passwordChanged, userID: user.id, recipient: email, now: now),
                AuditRecord(event: .passwordReset, userID: user.id, client: client, now: now))
            return .changed
        }
    }

    enum PasswordResetOutcome: Sendable {
        case changed
        /// The link is unknown, used, replaced or expired.
        case invalid
        case refused(PasswordPolicy.Refusal)
    }
}
