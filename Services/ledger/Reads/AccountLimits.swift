import LedgerCore
import Values

/// The limits of an account and of its keys, and what counts against them.
struct AccountLimits: Sendable {
    /// At zero for an account without a row.
    var account: Account
    var keys: [KeySpending]
    var now: Instant
}

extension LedgerStore {
    /// Returns limits and what counts against them, as a hold would find them now.
    func limits(of id: AccountID) async throws -> AccountLimits {
        let (state, now) = try await state(of: [id], over: reads)
        let keys = try await countedKeys(of: id).map { state.keys[$0.id] ?? $0 }
        return AccountLimits(account: state.accounts[id] ?? Account(id: id), keys: keys, now: now)
    }
}
