import Crypto
import Identity
import Jobs
import Postgres
import Synchronization
import Telemetry
import Values

/// The keys tokens are signed with, as this replica last saw them in the database. Private keys are sealed there under
/// "signing_key/<id>" and open only in memory.
final class SigningKeyring: Sendable {
    private struct Loaded {
        var current: (id: String, pair: ES256KeyPair)?
        var published: [(id: String, key: ES256PublicKey)] = []
    }

    private let pool: PostgresPool
    private let masterKeys: MasterKeyRing
    private let schedule: SigningKeySchedule
    private let log: Logger
    private let loaded = Mutex(Loaded())

    init(pool: PostgresPool, masterKeys: MasterKeyRing, tokenLife: Duration, log: Logger) {
        self.pool = pool
        self.masterKeys = masterKeys
        schedule = SigningKeySchedule(tokenLife: tokenLife)
        self.log = log
    }

    /// Nil until ``refresh(now:)`` has succeeded once.
    func sign(_ claims: AccessTokenClaims) -> String? {
        guard let (id, pair) = loaded.withLock(\.current) else { return nil }
        return AccessToken.sign(claims, with: pair, keyID: id)
    }

    /// Standby, current and retired: all that a valid token may be signed with, now or soon.
    var published: [(id: String, key: ES256PublicKey)] { loaded.withLock(\.published) }

    /// Reads the keys and does what is due. Replicas that start at once take turns; one makes the keys, the others find them.
    /// Loop only.
    func refresh(now: Instant = .now()) async throws {
        var records = try await pool.withConnection { try await $0.query(AllSigningKeys()) }
        if !schedule.steps(records.map(\.key), now: now).isEmpty {
            records = try await pool.transaction { transaction in
                try await transaction.execute(LockSigningKeys())
                let found = try await transaction.query(AllSigningKeys())
                for step in schedule.steps(found.map(\.key), now: now) { try await perform(step, now: now, in: transaction) }
                return try await transaction.query(AllSigningKeys())
            }
        }
        try load(records)
    }

    enum RotationOutcome: Sendable, Equatable {
        /// The id of the key that signs now.
        case rotated(String)
        /// A verifier may not know the standby key before this time.
        case tooNew(Instant)
    }

    /// Lets the standby key sign at once.
    /// - Parameter isForced: true if the current key must not sign any longer, even if a verifier does not know the next.
    func rotate(isForced: Bool, now: Instant) async throws -> RotationOutcome {
        try await refresh(now: now)
        let outcome = try await pool.transaction { transaction -> RotationOutcome in
            try await transaction.execute(LockSigningKeys())
            guard let standby = try await transaction.query(AllSigningKeys()).first(where: { $0.key.state == .standby })?.key else {
                throw KeyUnusable(id: "(none)", reason: "there is no standby key")
            }
            let readyAt = standby.since + SigningKeySchedule.standbyFor
            guard isForced || now >= readyAt else { return .tooNew(readyAt) }
            for step in [SigningKeySchedule.Step.promote(standby.id), .make(.standby)] {
                try await perform(step, now: now, in: transaction)
            }
            return .rotated(standby.id)
        }
        try await refresh(now: now)
        return outcome
    }

    private func perform(_ step: SigningKeySchedule.Step, now: Instant, in transaction: PostgresTransaction) async throws {
        let subject: String
        switch step {
        case .make(let state):
            let pair = ES256KeyPair.generate()
            subject = pair.publicKey.thumbprint
            try await transaction.execute(
                InsertSigningKey(
                    record: SigningKeyRecord(
                        key: SigningKeySchedule.Key(id: subject, state: state, since: now), x: pair.publicKey.x, y: pair.publicKey.y,
                        privateSealed: masterKeys.seal(pair.privateDER, as: Self.context(subject)))))
            log.info("signing key created", ["signing_key.id": .string(subject), "state": .string(state.rawValue)])
        case .promote(let id):
            subject = id
            try await transaction.execute(RetireSigningKey(now: now))
            try await transaction.execute(PromoteSigningKey(id: id, now: now))
            log.info("signing key promoted", ["signing_key.id": .string(id)])
        case .delete(let id):
            subject = id
            try await transaction.execute(DeleteSigningKey(id: id))
            log.info("signing key deleted", ["signing_key.id": .string(id)])
        }
        try await transaction.execute(AuditRecord(event: .signingKeyChanged, subject: subject, client: .itself, now: now))
    }

    /// Seals again, with the current master key, every private key that an older one has sealed.
    /// - Returns: the number of keys.
    func reseal() async throws -> Int {
        let keyID = masterKeys.ids[0]
        return try await pool.transaction { transaction in
            try await transaction.execute(LockSigningKeys())
            let foreign = try await transaction.query(AllSigningKeys()).filter { Array($0.privateSealed.dropFirst().prefix(4)) != keyID }
            for record in foreign {
                let der = try open(record)
                let sealed = masterKeys.seal(der, as: Self.context(record.key.id))
                try await transaction.execute(ResealSigningKey(id: record.key.id, privateSealed: sealed))
            }
            return foreign.count
        }
    }

    private static func context(_ id: String) -> String { "signing_key/\(id)" }

    private func open(_ record: SigningKeyRecord) throws(KeyUnusable) -> [UInt8] {
        do throws(MasterKey.Failure) {
            return try masterKeys.open(record.privateSealed, as: Self.context(record.key.id))
        } catch {
            throw KeyUnusable(id: record.key.id, reason: "it does not open with MASTER_KEY: \(error)")
        }
    }

    private func load(_ records: [SigningKeyRecord]) throws {
        var fresh = Loaded()
        for record in records {
            guard let key = ES256PublicKey(x: record.x, y: record.y), key.thumbprint == record.key.id else {
                throw KeyUnusable(id: record.key.id, reason: "its public half is damaged")
            }
            fresh.published.append((record.key.id, key))
            guard record.key.state == .current else { continue }
            guard let pair = ES256KeyPair(privateDER: try open(record)), pair.publicKey == key else {
                throw KeyUnusable(id: record.key.id, reason: "its halves do not belong together")
            }
            fresh.current = (record.key.id, pair)
        }
        loaded.withLock { $0 = fresh }
    }
}

/// A signing key in the database that cannot be used: it was sealed with another MASTER_KEY, or its
/// row is damaged. No retry makes it usable.
struct KeyUnusable: JobEndingError, CustomStringConvertible {
    let id: String
    let reason: String
    var description: String { "signing key \(id): \(reason)" }
}
