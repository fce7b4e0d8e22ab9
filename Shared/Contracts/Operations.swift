import Synchronization

/// Bounds the operations that a caller can add to the journal and the usage tables: of calls (`x-operation`) and of deductions.
///
/// In each quarter of an hour the first ``namesMax`` names of an account stand; further ones are recorded as ``other``. Each replica counts
/// on its own and keeps at most ``allNamesMax`` names; beyond that, a name not yet known is ``other`` too.
package final class Operations: Sendable {
    package static let namesMax = 50
    package static let allNamesMax = 100_000
    package static let other = "other"

    private struct State {
        var quarter: Int64 = 0
        var names: [AccountID: Set<String>] = [:]
        var count = 0
    }

    private let state = Mutex(State())

    package init() {}

    package func recorded(_ operation: String?, of account: AccountID, at now: Instant) -> String? {
        guard let operation, operation != Self.other else { return operation }
        let quarter = now.seconds / 900
        return state.withLock { state in
            if quarter != state.quarter { state = State(quarter: quarter) }
            let known = state.names[account] ?? []
            if known.contains(operation) { return operation }
            guard known.count < Self.namesMax, state.count < Self.allNamesMax else { return Self.other }
            state.names[account, default: []].insert(operation)
            state.count += 1
            return operation
        }
    }
}
