import Crypto
import JSON
import Postgres
import Values

extension ExternalIdentities {
    /// An identity that the signed-in user may link, once the user has confirmed it.
    struct LinkOffer: Sendable {
        /// The time in which the user may confirm.
        static let life: Duration = .seconds(600)

        var provider: OpenIDProvider
        /// The address that the provider reports.
        var email: String?
        /// Proves to ``link(_:for:in:client:)`` that the user signed in at the provider. Only the same
        /// session of the same user can use it.
        var token: String
    }

    enum LinkOutcome: Sendable, Equatable {
        case linked(ExternalIdentity)
        case alreadyLinkedToYou
        case linkedToAnother
        /// The user has ``ExternalIdentity/countMax`` identities.
        case tooMany
        /// The token is too old, or of another session.
        case expired
        case deactivated
        case sessionEnded
    }

    func offer(_ arrival: Arrival, to linker: OpenIDAttempt.Linker) -> LinkOffer {
        let facts = JSONWriter.object { json in
            json.field("provider", arrival.provider.id)
            json.field("subject", arrival.claims.subject)
            json.field("email", arrival.claims.email?.text)
            json.field("expires_at", (arrival.now + LinkOffer.life).seconds)
        }
        let token = Base64.url.encode(masterKeys.seal(facts, as: Self.context(linker)))
        return LinkOffer(provider: arrival.provider, email: arrival.claims.email?.text, token: token)
    }

    /// Links the identity of an offer to the user, who is told by mail.
    func link(_ token: String, for linker: OpenIDAttempt.Linker, client info: ClientInfo) async throws -> LinkOutcome {
        let now = clock()
        guard let (identity, provider) = read(token, linker, now: now) else { return .expired }
        return try await pool.transaction { transaction in
            try await transaction.execute(LockIdentity(issuer: identity.issuer, subject: identity.subject))
            // The lock makes two links of a user take turns.
            let (users, identities) = try await transaction.pipeline(
                LockUserRow(id: linker.userID), IdentitiesOfUser(userID: linker.userID))
            switch try await accounts.issuer.admitCredential(from: linker.sessionID, of: linker.userID, now: now, in: transaction) {
            case .userDeactivated: return .deactivated
            case .sessionEnded, .foreignSession: return .sessionEnded
            case nil: break
            }
            if let owner = try await transaction.first(FindUserByIdentity(issuer: identity.issuer, subject: identity.subject)) {
                return owner.id == linker.userID ? .alreadyLinkedToYou : .linkedToAnother
            }
            guard identities.count < ExternalIdentity.countMax else { return .tooMany }
            if let user = users.first, let address = EmailAddress(user.email) {
                let template = MailTemplate.identityLinked(provider: provider.name)
                try await transaction.execute(InsertMail(template: template, userID: user.id, recipient: address, now: now))
            }
            try await transaction.commit(
                InsertIdentity(identity: identity, userID: linker.userID),
                AuditRecord(event: .identityLinked, userID: linker.userID, subject: provider.id, client: info, now: now))
            return .linked(identity)
        }
    }

    private func read(
        _ token: String, _ linker: OpenIDAttempt.Linker, now: Instant
    ) -> (identity: ExternalIdentity, provider: OpenIDProvider)? {
        guard let sealed = Base64.url.decode(token), let facts = try? masterKeys.open(sealed, as: Self.context(linker)),
            let json = try? JSONObject(facts), let expiresAt = try? json.integer("expires_at"), now.seconds < expiresAt,
            let provider = (try? json.string("provider")).flatMap({ providers[$0] }), let subject = try? json.string("subject")
        else { return nil }
        let identity = ExternalIdentity(
            issuer: provider.issuer, subject: subject, providerID: provider.id, email: try? json.string("email"), createdAt: now,
            lastUsedAt: now)
        return (identity, provider)
    }

    private static func context(_ linker: OpenIDAttempt.Linker) -> String { "openid link/\(linker.userID)/\(linker.sessionID)" }
}
