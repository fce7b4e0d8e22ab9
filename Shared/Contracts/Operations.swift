import Synchronization
package import Values

/// The limit of operation names that a client can add to the journal and the usage tables, by calls
/// (`x-operation`) and by deductions.
///
/// In each quarter of an hour the first ``namesMax`` names of an account are recorded. Further
/// names are recorded as ``other``. Each replica counts on its own and keeps at most
/// ``allNamesMax`` names. Beyond that, an unknown name is ``other`` too.
package final class Operations: Sendable {
    package static let namesMax = 50
    package static let allNamesMax = 100_000
    package static let other = "other"

    private struct State {
        var quarter: Int64 = 0
        /// Names by their bytes, as the tables compare them. Two strings of Swift can be equal and
        /// differ in their bytes.
        var names: [AccountID: Set<[UInt8]>] = [:]
        var count = 0
    }

    private let state = Mutex(State())

    package init() {}

    package func recorded(_ operation: String?, of account: AccountID, at now: Instant) -> String? {
        guard let operation, operation != Self.other else { return operation }
        let name = Array(operation.utf8)
        let quarter = now.seconds / 900
        return state.withLock { state in
            if quarter != state.quarter { state = State(quarter: quarter) }
            let known = state.names[account] ?? []
            if known.contains(name) { return operation }
            guard known.count < Self.namesMax, state.count < Self.allNamesMax else { return Self.other }
            state.names[account, default: []].insert(name)
            state.count += 1
            return operation
        }
    }
}
