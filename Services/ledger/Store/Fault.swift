import Postgres

extension PostgresError {
    /// What an error of a batch concerns.
    enum Fault {
        /// All commands: the same batch may succeed later.
        case database
        /// The commands of one account: its row or a key of it is locked, slow, or not readable by this version. Also an error that says
        /// nothing: to try again may be needless, to give up a settlement would lose it.
        case account
        /// One command, by its values: no repetition mends it.
        case command
    }

    /// A lost COMMIT is asked for again, since every command carries its id. The server's lack of memory, a right, a table or a partition
    /// (which has no constraint's name) is not the commands' fault.
    var fault: Fault {
        if isTimeout || isRace { return .account }
        if isRetriable || isDatabaseUnavailable || lacksMonth { return .database }
        switch sqlState?.prefix(2) {
        case "42", "53", "58": return .database
        case "22", "23", "P0": return .command
        default: return .account
        }
    }

    var mayHaveCommitted: Bool { code == .commitUnknown || code == .connectionLost }

    /// `statement_timeout` or `lock_timeout`.
    var isTimeout: Bool { sqlState == "57014" || sqlState == "55P03" }

    var lacksMonth: Bool { sqlState == "23514" && constraint == nil }

    var isRace: Bool { sqlState == "23505" || sqlState == "40001" || sqlState == "40P01" }
}
