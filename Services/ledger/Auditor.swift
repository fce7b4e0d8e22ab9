import Contracts
import Postgres

/// Recomputes every account and hold from the journal, and names the first row where truth and table part.
///
/// Reads one snapshot; the services go on meanwhile. Cost: a pass over the journal.
struct Audit: Sendable {
    var accounts: Int64
    var entries: Int64
    var holds: Int64
    var posted: Credits
    var held: Credits
    var findings: [Finding]

    struct Finding: Sendable, Equatable {
        let check: String
        let account: AccountID?
        let charge: ChargeID?
        let seq: Int64?
        let detail: String
    }

    static func run(on pool: PostgresPool) async throws -> Audit {
        try await pool.transaction(isolation: .repeatableReadOnly) { transaction in
            let (totals, chain, tails, overspent, held, unheld, unended, twice) = try await transaction.pipeline(
                Totals(), BrokenChain(), AccountOffJournal(), Overspent(), HeldOffHolds(), HoldOffJournal(), HoldWithoutRow(), EndedTwice())
            var audit = totals[0]
            audit.findings = chain + tails + overspent + held + unheld + unended + twice
            return audit
        }
    }
}

/// A check answers with the first row it finds wrong, in the order of accounts and their chains.
private protocol Check: Statement where Output == Audit.Finding {
    static var name: String { get }
}

extension Check {
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Audit.Finding {
        try Audit.Finding(
            check: name, account: row.next(AccountID?.self), charge: row.next(ChargeID?.self), seq: row.next(Int64?.self),
            detail: row.next())
    }
}

private struct Totals: Statement {
    static let sql = """
        SELECT
            (SELECT count(*) FROM account),
            (SELECT count(*) FROM journal),
            (SELECT count(*) FROM open_hold),
            (SELECT coalesce(sum(posted), 0)::bigint FROM account),
            (SELECT coalesce(sum(held), 0)::bigint FROM account)
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Audit {
        try Audit(accounts: row.next(), entries: row.next(), holds: row.next(), posted: row.next(), held: row.next(), findings: [])
    }
}

/// Each entry follows from the one before it: no gap, no jump.
private struct BrokenChain: Check {
    static let name = "chain"
    static let sql = """
        SELECT
            account_id, charge_id, seq,
            format(
                'seq %s after %s, posted %s after %s %s, held %s after %s %s',
                seq, seq_before, posted_after, posted_before, posted_delta, held_after, held_before, held_delta)
        FROM (
            SELECT
                *,
                lag(seq, 1, 0::bigint) OVER chain AS seq_before,
                lag(posted_after, 1, 0::bigint) OVER chain AS posted_before,
                lag(held_after, 1, 0::bigint) OVER chain AS held_before
            FROM journal
            WHERE seq > 0
            WINDOW chain AS (PARTITION BY account_id ORDER BY seq)
        ) AS entry
        WHERE seq <> seq_before + 1
            OR posted_after <> posted_before + posted_delta
            OR held_after <> held_before + held_delta
        ORDER BY account_id, seq
        LIMIT 1
        """
}

/// Each account is where its journal adds up to.
private struct AccountOffJournal: Check {
    static let name = "account"
    static let sql = """
        SELECT
            a.account_id, NULL::uuid, a.seq,
            format(
                'account has seq %s posted %s held %s, journal has seq %s posted %s held %s',
                a.seq, a.posted, a.held, coalesce(j.seq, 0), coalesce(j.posted, 0), coalesce(j.held, 0))
        FROM account AS a
        FULL JOIN (
            SELECT account_id, max(seq) AS seq, sum(posted_delta) AS posted, sum(held_delta) AS held
            FROM journal
            WHERE seq > 0
            GROUP BY account_id
        ) AS j USING (account_id)
        WHERE (coalesce(a.seq, -1), a.posted, a.held) IS DISTINCT FROM (coalesce(j.seq, 0), coalesce(j.posted, 0), coalesce(j.held, 0))
        ORDER BY 1
        LIMIT 1
        """
}

/// No entry took an account below its overdraft, but for clawbacks and charges that came after their hold had expired.
private struct Overspent: Check {
    static let name = "overspent"
    static let sql = """
        SELECT account_id, j.charge_id, j.seq, format('posted %s, held %s, overdraft %s', j.posted_after, j.held_after, a.overdraft)
        FROM journal AS j
        JOIN account AS a USING (account_id)
        WHERE j.seq > 0 AND j.posted_after - j.held_after < -a.overdraft AND j.posted_delta - j.held_delta < 0 AND j.kind NOT IN (6, 26)
        ORDER BY account_id, j.seq
        LIMIT 1
        """
}

private struct HeldOffHolds: Check {
    static let name = "held"
    static let sql = """
        SELECT account_id, NULL::uuid, a.seq, format('account holds %s, its open holds %s', a.held, coalesce(h.amount, 0))
        FROM account AS a
        FULL JOIN (SELECT account_id, sum(amount) AS amount FROM open_hold GROUP BY account_id) AS h USING (account_id)
        WHERE a.held IS DISTINCT FROM coalesce(h.amount, 0)
        ORDER BY account_id
        LIMIT 1
        """
}

/// Each open hold was granted, for this amount, and has not ended.
private struct HoldOffJournal: Check {
    static let name = "hold"
    static let sql = """
        SELECT h.account_id, h.charge_id, NULL::bigint, format('open hold of %s, journal has %s', h.amount, coalesce(j.amount::text, 'none'))
        FROM open_hold AS h
        LEFT JOIN LATERAL (
            SELECT sum(held_delta)::bigint AS amount
            FROM journal
            WHERE charge_id = h.charge_id AND step < 10000 AND kind IN (1, 2) AND account_id = h.account_id
        ) AS j ON true
        WHERE j.amount IS DISTINCT FROM h.amount
            OR EXISTS (SELECT FROM journal AS ended WHERE ended.charge_id = h.charge_id AND ended.step = 10000)
        ORDER BY h.account_id, h.charge_id
        LIMIT 1
        """
}

/// Each granted hold is open or has ended.
private struct HoldWithoutRow: Check {
    static let name = "hold_missing"
    static let sql = """
        SELECT j.account_id, j.charge_id, j.seq, 'granted, neither open nor ended'
        FROM journal AS j
        WHERE j.step = 0 AND j.kind = 1 AND j.status = 0
            AND NOT EXISTS (SELECT FROM open_hold AS h WHERE h.charge_id = j.charge_id)
            AND NOT EXISTS (SELECT FROM journal AS ended WHERE ended.charge_id = j.charge_id AND ended.step = 10000)
        ORDER BY j.account_id, j.seq
        LIMIT 1
        """
}

/// What ends a hold gives back exactly what the hold took; a late settlement stands only behind an expiry.
private struct EndedTwice: Check {
    static let name = "release"
    static let sql = """
        SELECT ended.account_id, ended.charge_id, ended.seq, format('released %s of a hold of %s', -ended.held_delta, hold.held_delta)
        FROM journal AS ended
        LEFT JOIN LATERAL (
            SELECT sum(held_delta)::bigint AS held_delta
            FROM journal
            WHERE charge_id = ended.charge_id AND step < 10000 AND kind IN (1, 2) AND seq < ended.seq
        ) AS hold ON true
        WHERE ended.step >= 10000 AND ended.seq > 0
            AND (
                ended.step = 10000 AND -ended.held_delta <> coalesce(hold.held_delta, 0)
                OR ended.step = 10001 AND NOT EXISTS (
                    SELECT FROM journal AS expiry
                    WHERE expiry.charge_id = ended.charge_id AND expiry.step = 10000 AND expiry.kind = 5))
        ORDER BY ended.account_id, ended.seq
        LIMIT 1
        """
}
