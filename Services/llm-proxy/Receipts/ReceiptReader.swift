import Contracts
import Postgres
import Values

/// Finds the receipt of a call for its account.
struct ReceiptReader: Sendable {
    /// The sources of what is known about one call. At least one of them is there.
    struct Found: Sendable {
        /// Nil where no proxy wrote a receipt.
        var receipt: Receipt?
        /// The ledger's record; nil if the receipt needs none.
        var record: ChargeReply?
        /// The markup of the price version; nil for a rule without a markup.
        var markupBasisPoints: Int64?
    }

    let pool: PostgresPool
    /// Asks the ledger. The record of another account's charge is unknown.
    let record: @Sendable (QueryCharge) async throws -> ChargeReply

    /// Asks the ledger where no proxy wrote a receipt, and for a price above the hold, because the
    /// ledger takes no more than the balance leaves.
    /// - Returns: nil if the account has no such charge, and for a grant.
    func find(_ charge: ChargeID, of account: AccountID) async throws -> Found? {
        var found = Found(receipt: try await read(FindReceipt(charge: charge, account: account)).first)
        if found.receipt.map({ $0.price > $0.held }) ?? true {
            found.record = try await record(QueryCharge(chargeID: charge, accountID: account))
        }
        if found.receipt == nil, let state = found.record?.state, [.unknown, .granted].contains(state) { return nil }
        if let call = found.receipt?.call ?? found.record?.call {
            found.markupBasisPoints = try await read(ReadMarkup(version: call.priceVersion)).first ?? nil
        }
        return found
    }

    private func read<Rows: Statement>(_ statement: Rows) async throws -> [Rows.Output] {
        let pool = pool
        // The pool serves its own loop only.
        return try await Task(executorPreference: pool.loop) {
            try await pool.withConnection { try await $0.query(statement) }
        }.value
    }
}
