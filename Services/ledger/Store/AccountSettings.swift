import Contracts
import Postgres
import Values

/// The settings of an account that its owner may change.
struct AccountSettings: Equatable, Sendable {
    var limits = SpendingLimits()
    /// Nil leaves it to the service's default.
    var lowBalanceLevel: Credits?
}

extension LedgerStore {
    /// Changes an account's settings under its lock. An account without a grant gets a row and
    /// stays unopened. Uses a connection of the pages, so that a locked account takes no connection
    /// from a decision.
    /// - Throws: `PostgresError`, retriable, if the account stays locked for ``lineWithin``.
    func changeSettings(of id: AccountID, _ change: (inout AccountSettings) -> Void) async throws {
        try await reads.transaction { transaction in
            _ = try await transaction.pipeline(BeginBatch(lockWithin: Self.lineWithin), OpenAccounts(ids: [id]))
            var account = try await transaction.one(LockAccount(id: id))
            var settings = AccountSettings(limits: account.limits, lowBalanceLevel: account.lowBalanceLevel)
            change(&settings)
            account.limits = settings.limits
            if settings.lowBalanceLevel != account.lowBalanceLevel {
                account.setLowBalanceLevel(settings.lowBalanceLevel, defaultLevel: limits.lowBalanceLevel)
            }
            try await transaction.commit(WriteSettings(account: account))
        }
    }
}

struct WriteSettings: Statement {
    let account: Account

    static let sql = """
        UPDATE account
        SET daily_limit = $2, monthly_limit = $3, low_balance_level = $4, alerted = $5
        WHERE account_id = $1
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(account.id)
        parameters.append(account.limits.daily)
        parameters.append(account.limits.monthly)
        parameters.append(account.lowBalanceLevel)
        parameters.append(account.alerted.rawValue)
    }
}
