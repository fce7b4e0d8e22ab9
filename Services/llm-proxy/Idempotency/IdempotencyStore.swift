import Contracts
import Crypto
import Jobs
import Postgres
import Values

/// The keys of the last 24 hours, with the answers of their calls.
///
/// A key is claimed before its call. The claim is touched while the call runs, so that the claim of a
/// replica that died can be told from a running one.
struct IdempotencyStore: Sendable {
    let pool: PostgresPool
    /// Asks the ledger what became of a charge.
    let record: @Sendable (QueryCharge) async throws -> ChargeReply

    /// The time between two touches of a running claim.
    static let touchEvery = Duration.seconds(15)
    /// The age at which a claim without a touch belongs to a replica that died.
    static let staleAfter = Duration.seconds(60)

    /// Claims a key for a charge. Two claims at once have one winner.
    func claim(_ key: IdempotencyKey, for charge: ChargeID) async throws -> IdempotencyClaim {
        while true {
            // No row: another claim was committed after this statement began.
            guard let found = try await run(ClaimKey(key: key, charge: charge)).first else { continue }
            if found.charge == charge { return .claimed }
            guard found.request == key.request else { return .otherRequest }
            guard found.isRunning else { return found.answer.map { .kept($0) } ?? .lost(found.charge) }
            guard found.isStale else { return .running(found.charge) }
            // The first call may have been charged. A second one must not be charged too.
            let record = try await record(QueryCharge(chargeID: found.charge, accountID: key.account))
            if record.state == .open { return .running(found.charge) }
            guard record.charged == .zero else { return .lost(found.charge) }
            let taken = try await run(TakeOverKey(key: key, dead: found.charge, charge: charge))
            return taken.isEmpty ? .running(found.charge) : .claimed
        }
    }

    func touch(_ key: IdempotencyKey, _ charge: ChargeID) async throws { _ = try await run(TouchKey(key: key, charge: charge)) }

    /// Keeps the answer of a call for repeated ones.
    /// - Parameter answer: nil for an answer that is too long.
    func keep(_ answer: KeptAnswer?, of key: IdempotencyKey, _ charge: ChargeID) async throws {
        _ = try await run(KeepAnswer(key: key, charge: charge, answer: answer))
    }

    /// Frees the key of a call without an answer, so that it can be repeated.
    func free(_ key: IdempotencyKey, _ charge: ChargeID) async throws { _ = try await run(FreeKey(key: key, charge: charge)) }

    /// Deletes keys that are older than 24 hours.
    var upkeep: Job {
        Job("idempotency keys", every: .seconds(600), leader: pool) {
            while try await pool.execute(DeleteOldKeys()) == DeleteOldKeys.rowsMax {}
        }
    }

    private func run<S: Statement>(_ statement: S) async throws -> [S.Output] {
        // The pool serves its own loop only.
        try await Task(executorPreference: pool.loop) { [pool] in try await pool.query(statement) }.value
    }
}
