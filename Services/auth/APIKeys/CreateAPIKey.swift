import Contracts
import Crypto
import Identity
import Outbox
import Postgres
import Values

extension APIKeys {
    /// A key as a client asks for it.
    struct Order: Sendable {
        var name: String
        var scopes: [String]
        var expiresAt: Instant?
        var limits: SpendingLimits
        /// The form of a page that asks. It makes one key, even if it is sent twice.
        var formID: KeyFormID?
    }

    enum CreationOutcome: Sendable {
        /// `key` is the only copy: it is shown now or never.
        case created(APIKeyRecord, key: String)
        /// The form has made this key before. Its text is not known any more.
        case createdBefore(APIKeyRecord)
        /// The user has ``perUserMax`` keys.
        case tooMany
        case deactivated
        case sessionEnded
    }

    /// Makes a key from a session.
    func create(
        _ order: Order, for user: UserID, from session: SessionID, client: ClientInfo
    ) async throws -> CreationOutcome {
        let now = clock()
        let (key, text) = APIKey.make()
        let record = APIKeyRecord(
            id: key.id, name: order.name, last4: key.last4, scopes: order.scopes, limits: order.limits, createdAt: now,
            expiresAt: order.expiresAt, lastUsedAt: nil)
        return try await pool.transaction { transaction in
            // The lock makes two who count at once take turns.
            let (_, count) = try await transaction.pipeline(LockUserRow(id: user), CountAPIKeys(userID: user))
            switch try await issuer.admitCredential(from: session, of: user, now: now, in: transaction) {
            case .userDeactivated: return .deactivated
            case .sessionEnded, .foreignSession: return .sessionEnded
            case nil: break
            }
            if let form = order.formID, let made = try await transaction.first(FindAPIKeyOfForm(userID: user, formID: form)) {
                return .createdBefore(made)
            }
            guard count.first ?? 0 < Self.perUserMax else { return .tooMany }
            try await Outbox.add(
                APIKeyCreated(apiKeyID: key.id, fingerprint: key.fingerprint), orderingKey: key.id.description, in: transaction)
            try await transaction.commit(
                InsertAPIKey(
                    record: record, secretSHA256: key.secretDigest.bytes, userID: user, sessionID: session, formID: order.formID),
                AuditRecord(event: .apiKeyCreated, userID: user, subject: key.id.description, client: client, now: now))
            return .created(record, key: text)
        }
    }
}
