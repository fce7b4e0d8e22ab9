import Postgres
import Values

// Accounts and holds against the journal.

/// Each entry follows from the one before it: no gap, no jump.
struct BrokenChain: JournalCheck {
    static let name = "chain"
    let from: Instant

    static let wrong = """
        SELECT
            account_id, charge_id, seq,
            format(
                'seq %s after %s, posted %s after %s %s, held %s after %s %s',
                seq, seq_before, posted_after, posted_before, posted_delta, held_after, held_before, held_delta)
        FROM (
            SELECT
                account_id, j.charge_id, j.seq, j.posted_delta, j.held_delta, j.posted_after, j.held_after,
                lag(j.seq, 1, coalesce(o.seq, 0)) OVER chain AS seq_before,
                lag(j.posted_after, 1, coalesce(o.posted, 0)) OVER chain AS posted_before,
                lag(j.held_after, 1, coalesce(o.held, 0)) OVER chain AS held_before
            FROM journal AS j
            LEFT JOIN \(Opening.accounts) AS o USING (account_id)
            WHERE j.decided_at >= $1 AND j.seq > coalesce(o.seq, 0)
            WINDOW chain AS (PARTITION BY account_id ORDER BY j.seq)
        ) AS entry
        WHERE seq <> seq_before + 1
            OR posted_after <> posted_before + posted_delta
            OR held_after <> held_before + held_delta
        """
}

/// Each account is where its journal adds up to.
struct AccountOffJournal: JournalCheck {
    static let name = "account"
    let from: Instant

    static let wrong = """
        SELECT
            account_id, NULL::uuid, a.seq,
            format(
                'account has seq %s posted %s held %s, journal has seq %s posted %s held %s',
                a.seq, a.posted, a.held, coalesce(j.seq, 0), coalesce(j.posted, 0), coalesce(j.held, 0))
        FROM account AS a
        FULL JOIN (
            SELECT
                account_id, coalesce(later.seq, o.seq) AS seq, coalesce(o.posted, 0) + coalesce(later.posted, 0) AS posted,
                coalesce(o.held, 0) + coalesce(later.held, 0) AS held
            FROM \(Opening.accounts) AS o
            FULL JOIN (
                SELECT account_id, max(j.seq) AS seq, sum(j.posted_delta) AS posted, sum(j.held_delta) AS held
                FROM journal AS j
                LEFT JOIN \(Opening.accounts) AS o USING (account_id)
                WHERE j.decided_at >= $1 AND j.seq > coalesce(o.seq, 0)
                GROUP BY account_id
            ) AS later USING (account_id)
        ) AS j USING (account_id)
        WHERE (coalesce(a.seq, -1), a.posted, a.held) IS DISTINCT FROM (coalesce(j.seq, 0), coalesce(j.posted, 0), coalesce(j.held, 0))
        """
}

/// No entry took an account below its overdraft, or further below, but for clawbacks and charges that came after their hold had
/// expired. The journal does not keep the overdraft: today's counts.
struct Overspent: JournalCheck {
    static let name = "overspent"
    let from: Instant

    static let wrong = """
        SELECT account_id, j.charge_id, j.seq, format('posted %s, held %s, overdraft %s', j.posted_after, j.held_after, a.overdraft)
        FROM journal AS j
        JOIN account AS a USING (account_id)
        WHERE j.decided_at >= $1 AND j.seq > 0 AND j.kind NOT IN (6, 26)
            AND j.posted_after - j.held_after < -a.overdraft AND j.posted_delta - j.held_delta < 0
        """
}

/// A charge moves the balance by its amount, and by no more than was used. A charge after the
/// expiry of its hold can take the balance below zero. It does so by at most the amount that the
/// hold had reserved and the expiry did not take.
struct Overcharged: JournalCheck {
    static let name = "overcharged"
    let from: Instant

    static let wrong = """
        SELECT j.account_id, j.charge_id, j.seq, format('took %s of %s, balance moved %s', j.amount, j.requested, j.posted_delta)
        FROM journal AS j
        JOIN account AS a USING (account_id)
        LEFT JOIN LATERAL (
            SELECT held_delta, amount
            FROM journal
            WHERE j.kind = 6 AND charge_id = j.charge_id AND kind = 5
            LIMIT 1
        ) AS expiry ON true
        WHERE j.decided_at >= $1 AND j.seq > 0 AND j.kind IN (3, 4, 5, 6, 7)
            AND (
                j.posted_delta <> -j.amount OR j.amount > j.requested
                OR j.kind = 6 AND j.amount > greatest(
                    -expiry.held_delta - expiry.amount, j.posted_after - j.posted_delta - j.held_after + a.overdraft, 0))
        """
}

/// An account owes the amount by which it is below its overdraft. Entries that may raise the debt
/// set it to that amount. All other entries lower it, if ``Overspent`` finds nothing.
struct Owed: AuditCheck {
    static let name = "owed"
    static let wrong = """
        SELECT account_id, NULL::uuid, seq, format('owed %s with posted %s, held %s, overdraft %s', owed, posted, held, overdraft)
        FROM account
        WHERE owed <> greatest(0, held - posted - overdraft)
        """
}

struct HeldOffHolds: AuditCheck {
    static let name = "held"
    static let wrong = """
        SELECT account_id, NULL::uuid, a.seq, format('account holds %s, its open holds %s', a.held, coalesce(h.amount, 0))
        FROM account AS a
        FULL JOIN (SELECT account_id, sum(amount) AS amount FROM open_hold GROUP BY account_id) AS h USING (account_id)
        WHERE a.held IS DISTINCT FROM coalesce(h.amount, 0)
        """
}

/// Each open hold was granted, for this amount, and has not ended.
struct HoldOffJournal: AuditCheck {
    static let name = "hold"
    static let wrong = """
        SELECT h.account_id, h.charge_id, NULL::bigint, format('open hold of %s, journal has %s', h.amount, coalesce(j.amount::text, 'none'))
        FROM open_hold AS h
        LEFT JOIN LATERAL (
            SELECT sum(held_delta)::bigint AS amount
            FROM journal
            WHERE charge_id = h.charge_id AND kind IN (1, 2) AND account_id = h.account_id
        ) AS j ON true
        WHERE j.amount IS DISTINCT FROM h.amount
            OR EXISTS (SELECT FROM journal AS ended WHERE ended.charge_id = h.charge_id AND ended.kind IN (3, 4, 5, 7))
        """
}

/// Each granted hold is open or has ended.
struct HoldWithoutRow: JournalCheck {
    static let name = "hold_missing"
    let from: Instant

    static let wrong = """
        SELECT j.account_id, j.charge_id, j.seq, 'granted, neither open nor ended'
        FROM journal AS j
        LEFT JOIN \(Opening.accounts) AS o USING (account_id)
        WHERE j.decided_at >= $1 AND j.seq > coalesce(o.seq, 0) AND j.kind = 1 AND j.status = 0
            AND NOT EXISTS (SELECT FROM open_hold AS h WHERE h.charge_id = j.charge_id)
            AND NOT EXISTS (
                SELECT FROM journal AS ended
                WHERE ended.decided_at >= $1 AND ended.charge_id = j.charge_id AND ended.kind IN (3, 4, 5))
        """
}

/// A charge ends once. Its end gives back exactly the amount that its hold took. An end at step 0
/// has no hold and gives nothing back. A late settlement gives nothing back and must follow an
/// expiry.
struct ReleaseOffHold: JournalCheck {
    static let name = "release"
    let from: Instant

    static let wrong = """
        SELECT
            ended.account_id, ended.charge_id, ended.seq,
            format(
                'released %s of a hold of %s%s', -ended.held_delta, coalesce(charge.held, 0),
                CASE WHEN charge.has_another_end THEN ', and the charge ended twice' ELSE '' END)
        FROM journal AS ended
        CROSS JOIN LATERAL (
            SELECT
                sum(held_delta) FILTER (WHERE kind IN (1, 2) AND seq < ended.seq AND ended.step > 0)::bigint AS held,
                bool_or(kind IN (3, 4, 5, 7) AND step <> ended.step) AS has_another_end, bool_or(kind = 5) AS has_expired
            FROM journal
            WHERE charge_id = ended.charge_id
        ) AS charge
        WHERE ended.decided_at >= $1 AND ended.seq > 0 AND ended.kind IN (3, 4, 5, 6, 7)
            AND CASE
                WHEN ended.kind = 6 THEN ended.held_delta <> 0 OR NOT charge.has_expired
                ELSE -ended.held_delta <> coalesce(charge.held, 0) OR charge.has_another_end
            END
        """
}
