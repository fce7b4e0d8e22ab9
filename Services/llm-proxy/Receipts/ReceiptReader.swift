import Contracts
import Postgres
import Values

/// Finds the receipt of a call for its account.
struct ReceiptReader: Sendable {
    enum Found: Sendable {
        case receipt(Receipt)
        /// The ledger's record, where no proxy wrote a receipt.
        case record(ChargeReply)
    }

    let pool: PostgresPool
    /// Asks the ledger. The record of another account's charge is unknown.
    let record: @Sendable (QueryCharge) async throws -> ChargeReply

    /// - Returns: nil if the account has no such charge.
    func find(_ charge: ChargeID, of account: AccountID) async throws -> Found? {
        let pool = pool
        // The pool serves its own loop only.
        let written = try await Task(executorPreference: pool.loop) {
            try await pool.withConnection { try await $0.query(FindReceipt(charge: charge, account: account)) }
        }.value
        if let receipt = written.first { return .receipt(receipt) }
        let reply = try await record(QueryCharge(chargeID: charge, accountID: account))
        return reply.state == .unknown ? nil : .record(reply)
    }
}
