import Postgres
import Values

/// Looks into the tables of a running stack, as an auditor does: by the superuser, past every service.
extension Gateway {
    struct Charge: Sendable, Equatable {
        var charge: ChargeID
        var amount: Credits
        var postedDelta: Credits
        var traceID: String?
        var kind: Int16
        var metadata: String?
    }

    /// Returns the charges of an account in the order of its chain: captures, expiries, late
    /// captures.
    func charges(of account: Account) async throws -> [Charge] { try await database.query(ChargesOf(account: account.id)) }

    enum End: Int16, Sendable { case capture = 3, void, expire, lateCapture }

    /// Returns the ends of the calls of an account, in the order of its chain.
    func ends(of account: Account) async throws -> [End] {
        try await database.query(EndsOf(account: account.id)).compactMap(End.init)
    }

    /// Returns the conversations of an account's charges.
    func conversations(of account: Account) async throws -> [String] {
        try await database.query(ConversationsOf(account: account.id))
    }

    /// The trace that an account's grants were written in.
    func grantTraces(of account: Account) async throws -> [String?] { try await database.query(GrantTraces(account: account.id)) }

    /// Types of the messages that a service sent through its outbox in a trace.
    func messagesSent(by service: String, in trace: String) async throws -> [String] {
        try await database.query(MessagesSent(service: service, trace: trace))
    }

    func openHolds(of account: Account? = nil) async throws -> Int64 {
        try await database.first(OpenHolds(account: account?.id)) ?? 0
    }

    /// Returns the number of open holds whose time to live is over.
    func overdueHolds(of account: Account) async throws -> Int64 {
        try await database.first(OverdueHolds(account: account.id)) ?? 0
    }

    /// The sums of one account: its journal, its row, and the lowest balance that it ever had.
    struct Books: Sendable, Equatable {
        var journal: Credits
        var posted: Credits
        var held: Credits
        var lowest: Credits
        /// Charges with more than one entry that took credits.
        var chargedTwice: Int64
    }

    func books(of account: Account) async throws -> Books {
        guard let books = try await database.first(BooksOf(account: account.id)) else {
            throw Stack.Failure(description: "no books of \(account.id)")
        }
        return books
    }
}

private struct ChargesOf: Statement {
    static let sql = """
        SELECT charge_id, amount, posted_delta, replace(trace_id::text, '-', ''), kind, metadata::text
        FROM ledger.journal
        WHERE account_id = $1 AND seq > 0 AND kind IN (3, 5, 6, 7)
        ORDER BY seq
        """
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Gateway.Charge {
        Gateway.Charge(
            charge: try row.next(), amount: Credits(nano: try row.next()), postedDelta: Credits(nano: try row.next()),
            traceID: try row.next(), kind: try row.next(), metadata: try row.next())
    }
}

private struct EndsOf: Statement {
    static let sql = "SELECT kind FROM ledger.journal WHERE account_id = $1 AND kind BETWEEN 3 AND 6 ORDER BY seq"
    typealias Output = Int16
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct OpenHolds: Statement {
    static let sql = "SELECT count(*) FROM ledger.open_hold WHERE $1::uuid IS NULL OR account_id = $1"
    typealias Output = Int64
    var account: AccountID?

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct OverdueHolds: Statement {
    static let sql = "SELECT count(*) FROM ledger.open_hold WHERE account_id = $1 AND expires_at < now()"
    typealias Output = Int64
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct BooksOf: Statement {
    static let sql = """
        SELECT coalesce(sum(j.posted_delta), 0)::bigint, a.posted, a.held, min(j.posted_after - j.held_after),
               (SELECT count(*) FROM (
                    SELECT charge_id FROM ledger.journal
                    WHERE account_id = $1 AND kind IN (3, 5, 7) AND status = 0
                    GROUP BY charge_id HAVING count(*) > 1) AS twice)
        FROM ledger.account a
        JOIN ledger.journal j ON j.account_id = a.account_id AND j.seq > 0
        WHERE a.account_id = $1
        GROUP BY a.account_id
        """
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Gateway.Books {
        Gateway.Books(
            journal: Credits(nano: try row.next()), posted: Credits(nano: try row.next()), held: Credits(nano: try row.next()),
            lowest: Credits(nano: try row.next()), chargedTwice: try row.next())
    }
}

private struct ConversationsOf: Statement {
    static let sql = "SELECT DISTINCT conversation_id::text FROM ledger.journal WHERE account_id = $1 AND kind = 3"
    typealias Output = String
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct GrantTraces: Statement {
    static let sql = "SELECT replace(trace_id::text, '-', '') FROM ledger.journal WHERE account_id = $1 AND kind = 21"
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> String? { try row.next(String?.self) }
}

private struct MessagesSent: Statement {
    static let sql = """
        SELECT type
        FROM (
            SELECT 'auth' AS service, type, traceparent FROM auth.outbox
            UNION ALL
            SELECT 'billing', type, traceparent FROM billing.outbox) AS sent
        WHERE service = $1 AND split_part(traceparent, '-', 2) = $2
        """
    typealias Output = String
    var service: String
    var trace: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(service)
        parameters.append(trace)
    }
}
