import LedgerCore
import Postgres
import Values

/// The entries of one charge, as its receipt shows them.
struct Receipt: Sendable {
    struct Line: Sendable {
        let line: HistoryLine
        let trace: UUIDv7?
        let conversation: ConversationID?
    }

    let charge: ChargeID
    /// The last entries of the charge, the oldest first.
    let lines: [Line]
    /// The credits that the holds of the charge reserved; zero for a charge without a hold.
    let held: Credits

    /// The entries that changed the balance. There is at least one.
    var changes: [Line] { lines.filter { $0.line.entry.postedDelta != .zero } }
    var amount: Credits { changes.reduce(.zero) { $0 + $1.line.entry.postedDelta } }

    /// The entry that the receipt is about: it has the facts of a call.
    var main: Line { changes.last { $0.line.call != nil } ?? changes[0] }
}

extension LedgerStore {
    /// Returns nil for a charge that the account does not have, or that changed no balance.
    func receipt(of charge: ChargeID, account: AccountID) async throws -> Receipt? {
        let question = ChargeQuestion(charge: charge, account: account)
        let (lines, records) = try await reads.withConnection { connection in
            try await connection.pipeline(ReadReceipt(question: question), ReadCharges(questions: [question]))
        }
        let receipt = Receipt(charge: charge, lines: lines.reversed(), held: records.first?.held ?? .zero)
        return receipt.changes.isEmpty ? nil : receipt
    }
}

/// Reads the last entries of a charge: a long stream has thousands of extensions before its end.
struct ReadReceipt: Statement {
    let question: ChargeQuestion

    static let linesMax = 50

    static let sql = """
        SELECT
            charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after, held_after,
            fingerprint, decided_at, expires_at, description, metadata, trace_id, conversation_id
        FROM journal
        WHERE charge_id = $1 AND account_id = $2 AND status = 0
        ORDER BY step DESC
        LIMIT \(linesMax)
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(question.charge)
        parameters.append(question.account)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Receipt.Line {
        try Receipt.Line(line: HistoryLine(&row), trace: row.next(UUIDv7?.self), conversation: row.next(ConversationID?.self))
    }
}
