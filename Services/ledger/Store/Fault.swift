import Postgres

extension PostgresError {
    /// The extent of an error in a batch.
    enum Fault {
        /// All commands. The same batch may succeed later.
        case database
        /// The commands of one account: its row or a key is locked or slow, or this version cannot
        /// read it. An unknown error counts here too, so that no settlement is given up.
        case account
        /// One command, by its values. No repetition can succeed.
        case command
    }

    /// Returns the extent of the error. A lost COMMIT is repeated, because every command carries
    /// its id. Missing memory, rights, tables or partitions (a check violation without a
    /// constraint's name) are no fault of the commands.
    var fault: Fault {
        if isTimeout || isRace { return .account }
        if isTransient || lacksMonth { return .database }
        switch sqlState?.errorClass {
        case .accessRuleViolation, .insufficientResources, .systemError: return .database
        case .dataException, .integrityConstraintViolation, .raisedException: return .command
        default: return .account
        }
    }

    var mayHaveCommitted: Bool { code == .commitUnknown || code == .connectionLost }

    /// `statement_timeout` or `lock_timeout`.
    var isTimeout: Bool { sqlState == .queryCanceled || sqlState == .lockNotAvailable }

    var lacksMonth: Bool { sqlState == .checkViolation && constraint == nil }

    var isRace: Bool { sqlState == .uniqueViolation || sqlState == .serializationFailure || sqlState == .deadlockDetected }
}
