import Postgres
import Values

extension ExternalIdentities {
    enum UnlinkOutcome: Sendable {
        case unlinked
        /// The account has no password and no other identity of a provider that is configured.
        case lastWayIn
        /// The identity does not exist, or is another user's.
        case unknown
    }

    /// Takes an identity from a user, who is told by mail. Sessions that began with it go on.
    func unlink(issuer: String, subject: String, of userID: UserID, client info: ClientInfo) async throws -> UnlinkOutcome {
        let now = clock()
        return try await pool.transaction { transaction in
            // The lock makes two who count at once take turns.
            let users = try await transaction.query(LockUserRow(id: userID))
            let (passwords, identities) = try await transaction.pipeline(HasPassword(userID: userID), IdentitiesOfUser(userID: userID))
            guard let identity = identities.first(where: { ($0.issuer, $0.subject) == (issuer, subject) }), let user = users.first else {
                return .unknown
            }
            let others = identities.filter { other in other != identity && providers.all.contains { $0.issuer == other.issuer } }
            guard passwords == [true] || !others.isEmpty else { return .lastWayIn }
            if let address = EmailAddress(user.email) {
                let template = MailTemplate.identityUnlinked(provider: providers[identity.providerID]?.name ?? identity.providerID)
                try await transaction.execute(InsertMail(template: template, userID: userID, recipient: address, now: now))
            }
            try await transaction.commit(
                DeleteIdentity(issuer: issuer, subject: subject, userID: userID),
                AuditRecord(event: .identityUnlinked, userID: userID, subject: identity.providerID, client: info, now: now))
            return .unlinked
        }
    }
}
