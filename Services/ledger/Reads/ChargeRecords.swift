import Contracts
import JSON
import LedgerCore
import Postgres
import Values

/// A question for one charge, with the account that asks.
struct ChargeQuestion: Hashable, Sendable {
    let charge: ChargeID
    let account: AccountID
}

extension LedgerStore {
    /// Sums up the journal's entries of each charge, in one statement.
    /// - Returns: no record of a charge that the account does not have.
    func records(of questions: [ChargeQuestion]) async throws -> [ChargeQuestion: ChargeRecord] {
        let records = try await reads.withConnection { try await $0.query(ReadCharges(questions: questions)) }
        return Dictionary(records.map { ($0.question, $0) }, uniquingKeysWith: { first, _ in first })
    }
}

/// The entries of one charge, summed up.
struct ChargeRecord: Sendable {
    let question: ChargeQuestion
    let held: Credits
    let charged: Credits
    let openedAt: Instant
    let endedAt: Instant?
    /// The kind of the entry that ended the charge; nil while its hold is open.
    let end: Entry.Kind?
    /// The metadata of the entry that charged usage.
    let facts: JSONText?
}

/// Reads at most 10,002 entries a charge, by the journal's primary key.
struct ReadCharges: Statement {
    let questions: [ChargeQuestion]

    /// Kinds of entries, as ``Entry/Kind`` numbers them: 1 and 2 hold, 3 to 7 end a charge or
    /// follow its end, and 3, 6 and 7 carry the facts of a call. 20 to 22 are the grants of billing.
    static let sql = """
        SELECT
            asked.charge_id, asked.account_id,
            coalesce(sum(amount) FILTER (WHERE kind IN (1, 2)), 0)::bigint,
            coalesce(-sum(posted_delta) FILTER (WHERE kind <= 7), 0)::bigint,
            min(decided_at),
            max(decided_at) FILTER (WHERE kind >= 3),
            (array_agg(kind ORDER BY step DESC) FILTER (WHERE kind >= 3))[1],
            (array_agg(metadata ORDER BY step DESC) FILTER (WHERE kind IN (3, 6, 7)))[1]
        FROM unnest($1::uuid[], $2::uuid[]) AS asked (charge_id, account_id)
        JOIN journal USING (charge_id, account_id)
        WHERE (kind BETWEEN 1 AND 7 OR kind BETWEEN 20 AND 22) AND status = 0
        GROUP BY asked.charge_id, asked.account_id
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(questions.map(\.charge))
        parameters.append(questions.map(\.account))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeRecord {
        let question = try ChargeQuestion(charge: row.next(), account: row.next())
        return try ChargeRecord(
            question: question, held: row.next(), charged: row.next(), openedAt: row.next(), endedAt: row.next(Instant?.self),
            end: row.next(Int16?.self).flatMap(Entry.Kind.init(rawValue:)), facts: row.next(JSONText?.self))
    }
}

extension ChargeReply {
    /// Returns the reply to a question. A charge without a record is unknown.
    init(_ question: ChargeQuestion, _ record: ChargeRecord?) {
        guard let record else {
            self.init(chargeID: question.charge, state: .unknown)
            return
        }
        let call = record.facts.flatMap { try? JSONObject($0.bytes) }.flatMap { try? CallFacts(from: $0) }
        let state: State =
            switch record.end {
            case nil: .open
            case .void?: .voided
            case .expire?: .expired
            case .purchase?, .planGrant?, .bonus?: .granted
            // A void after the expiry is a late settlement without the facts of a call.
            case .lateCapture? where call == nil: .voided
            default: .settled
            }
        self.init(
            chargeID: question.charge, state: state, held: record.held, charged: record.charged, openedAt: record.openedAt,
            endedAt: record.endedAt, call: call)
    }
}
