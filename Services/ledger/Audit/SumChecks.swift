import Postgres
import Values

// These checks compare sums, which each decision updates, with the journal. A checkpoint is a month
// start, so a sum is compared whole or not at all.

/// The sums of the quarters of an hour equal the journal's. A half-hour without a row for its
/// second quarter may be folded: its first row is compared with the journal's half-hour.
struct UsageOffJournal: JournalCheck {
    static let name = "usage"
    let from: Instant

    static let wrong = """
        SELECT
            account_id, NULL::uuid, NULL::bigint,
            format(
                'quarter %s type %s model "%s" operation "%s" unit "%s": '
                    || 'entries, credits, overage, input, output and quantity are %s, journal has %s',
                quarter, type, model, operation, unit, coalesce(array_to_string(u.sums, ' '), 'none'),
                coalesce(array_to_string(j.sums, ' '), 'none'))
        FROM (
            SELECT
                account_id, quarter, type, model, operation, unit,
                ARRAY[entries, credits, overage, input, output, quantity]::numeric[] AS sums
            FROM usage_15m
            WHERE quarter >= $1
        ) AS u
        FULL JOIN (
            SELECT
                account_id, CASE WHEN second.entries IS NULL THEN date_bin('30 minutes', j.quarter, 'epoch') ELSE j.quarter END AS quarter,
                type, model, operation, unit,
                ARRAY[sum(j.entries), sum(j.credits), sum(j.overage), sum(j.input), sum(j.output), sum(j.quantity)] AS sums
            FROM (
                SELECT
                    account_id, date_bin('15 minutes', decided_at, 'epoch') AS quarter,
                    date_bin('30 minutes', decided_at, 'epoch') + interval '15 minutes' AS second_quarter,
                    CASE WHEN kind IN (3, 5, 6, 7) THEN 'usage' WHEN kind = 27 THEN 'expiry' ELSE journal_kind(kind) END AS type,
                    left(coalesce(metadata ->> 'model', ''), 200) AS model, left(coalesce(metadata ->> 'operation', ''), 200) AS operation,
                    part.unit, sum(part.entries) AS entries, sum(part.credits) AS credits, sum(part.overage) AS overage,
                    sum(part.input) AS input, sum(part.output) AS output, sum(part.quantity) AS quantity
                FROM journal
                CROSS JOIN LATERAL (
                    SELECT
                        '' AS unit, 1 AS entries, posted_delta AS credits,
                        CASE WHEN kind IN (3, 5, 6, 7) THEN greatest(requested - amount, 0) ELSE 0 END AS overage,
                        coalesce((metadata -> 'usage' ->> 'input')::bigint, 0) AS input,
                        coalesce((metadata -> 'usage' ->> 'output')::bigint, 0) AS output, 0::bigint AS quantity
                    UNION ALL
                    SELECT key, 0, 0, 0, 0, 0, value::bigint
                    FROM jsonb_each_text(coalesce(metadata -> 'usage', '{}'))
                    WHERE key NOT IN ('input', 'output') AND value::bigint > 0
                ) AS part
                WHERE decided_at >= $1 AND status = 0 AND (kind IN (3, 5, 6, 7) OR posted_delta <> 0)
                GROUP BY 1, 2, 3, 4, 5, 6, 7
            ) AS j
            LEFT JOIN (
                SELECT account_id, quarter AS second_quarter, type, model, operation, unit, entries
                FROM usage_15m
                WHERE quarter >= $1
            ) AS second USING (account_id, second_quarter, type, model, operation, unit)
            GROUP BY 1, 2, 3, 4, 5, 6
        ) AS j USING (account_id, quarter, type, model, operation, unit)
        WHERE u.sums IS DISTINCT FROM j.sums
        """
}

/// An account's spending in the day and the month of its last charge. Credits that a late
/// settlement returns lower only the sums that counted its expiry. An account that was last charged
/// before the checkpoint has no charge after it.
struct SpentOffJournal: JournalCheck {
    static let name = "spent"
    let from: Instant

    static let wrong = """
        SELECT
            account_id, NULL::uuid, a.seq,
            format(
                'account last charged %s: day %s, month %s; journal has %s: %s, %s',
                a.spent_at, a.spent_day, a.spent_month, j.at, coalesce(j.day, 0), coalesce(j.month, 0))
        FROM account AS a
        LEFT JOIN (
            SELECT
                account_id, max(j.at) AS at,
                sum(j.amount) FILTER (WHERE least(j.at, j.charged_at) >= date_trunc('day', a.spent_at, 'UTC')) AS day,
                sum(j.amount) FILTER (WHERE least(j.at, j.charged_at) >= date_trunc('month', a.spent_at, 'UTC')) AS month
            FROM (
                SELECT
                    account_id, decided_at AS at, -posted_delta AS amount,
                    CASE WHEN kind = 6 AND posted_delta > 0 THEN \(timeOfExpiry(of: "late")) ELSE decided_at END AS charged_at
                FROM journal AS late
                WHERE decided_at >= $1 AND kind IN (3, 5, 6, 7) AND seq > 0
            ) AS j
            JOIN account AS a USING (account_id)
            GROUP BY account_id
        ) AS j USING (account_id)
        WHERE (a.spent_at >= $1 OR j.at IS NOT NULL)
            AND (a.spent_at, a.spent_day, a.spent_month)
                IS DISTINCT FROM (coalesce(j.at, 'epoch'), coalesce(j.day, 0), coalesce(j.month, 0))
        """
}

/// Returns SQL for the time at which a late settlement's hold expired.
private func timeOfExpiry(of late: String) -> String {
    "(SELECT expiry.decided_at FROM journal AS expiry WHERE expiry.charge_id = \(late).charge_id AND expiry.kind = 5 LIMIT 1)"
}

/// An API key holds what its open holds do, and its account knows that it counts keys.
struct KeyHeldOffHolds: AuditCheck {
    static let name = "key_held"
    static let wrong = """
        SELECT
            account_id, NULL::uuid, NULL::bigint,
            format(
                'key %s holds %s, its open holds %s%s', api_key_id, k.held, coalesce(h.amount, 0),
                CASE WHEN a.counts_keys THEN '' ELSE ', its account counts no keys' END)
        FROM key_spending AS k
        FULL JOIN (
            SELECT account_id, api_key_id, sum(amount) AS amount FROM open_hold WHERE api_key_id IS NOT NULL GROUP BY 1, 2
        ) AS h USING (account_id, api_key_id)
        LEFT JOIN account AS a USING (account_id)
        WHERE k.held IS DISTINCT FROM coalesce(h.amount, 0) OR a.counts_keys IS DISTINCT FROM true
        """
}

/// An API key's spending of the day and the month in which it was last counted.
///
/// A key is counted from its first hold under a limit. The journal does not name that hold. The
/// ledger makes the key's row (`counted_from`) right after it, so the hold is the key's last
/// decision before `counted_from`. From then on each charge counts that ends a hold of the key or
/// names the key.
///
/// Two cases are not compared:
///
/// - The key's first month, if one batch decided its first hold together with other commands of the
///   key.
/// - A month in which a late settlement returned credits that were not counted.
struct KeySpentOffJournal: JournalCheck {
    static let name = "key_spent"
    let from: Instant

    static let wrong = """
        WITH
            ended AS (
                SELECT
                    j.account_id, j.charge_id, j.kind, j.decided_at AS at, j.posted_delta, j.metadata ->> 'api_key_id' AS named_key,
                    hold.key AS held_key
                FROM journal AS j
                LEFT JOIN LATERAL (
                    SELECT k.api_key_id AS key
                    FROM journal AS hold
                    JOIN key_spending AS k ON k.account_id = hold.account_id AND k.api_key_id = hold.metadata ->> 'api_key_id'
                    WHERE hold.charge_id = j.charge_id AND hold.account_id = j.account_id AND hold.kind = 1 AND hold.status = 0
                        AND (
                            hold.decided_at > k.counted_from
                            OR NOT EXISTS (
                                SELECT FROM journal AS later
                                WHERE later.account_id = k.account_id AND later.seq > hold.seq AND later.decided_at > hold.decided_at
                                    AND later.decided_at <= k.counted_from AND later.kind IN (1, 3, 6)
                                    AND later.metadata ->> 'api_key_id' = k.api_key_id))
                    LIMIT 1
                ) AS hold ON true
                WHERE j.decided_at >= $1 AND j.kind IN (3, 4, 5, 6) AND j.status = 0
                    AND j.account_id IN (SELECT account_id FROM key_spending)
            ),
            counted AS (
                SELECT account_id, held_key AS api_key_id, at, at AS charged_at, -posted_delta AS amount, false AS is_unsure
                FROM ended
                WHERE held_key IS NOT NULL AND kind <> 6
                UNION ALL
                SELECT
                    e.account_id, k.api_key_id, e.at,
                    CASE WHEN e.posted_delta > 0 THEN \(timeOfExpiry(of: "e")) ELSE e.at END,
                    -e.posted_delta, e.posted_delta > 0 AND e.held_key IS DISTINCT FROM k.api_key_id
                FROM ended AS e
                JOIN key_spending AS k ON k.account_id = e.account_id AND k.api_key_id = e.named_key
                WHERE e.at > k.counted_from AND (e.kind = 6 OR e.kind = 3 AND e.held_key IS DISTINCT FROM k.api_key_id)
            ),
            first AS (
                SELECT DISTINCT ON (account_id, api_key_id) account_id, api_key_id, j.decided_at AS at, count(*) AS decisions
                FROM key_spending AS k
                JOIN journal AS j USING (account_id)
                WHERE j.decided_at >= $1 AND j.decided_at <= k.counted_from AND j.kind IN (1, 3, 6) AND j.status = 0
                    AND j.metadata ->> 'api_key_id' = k.api_key_id
                GROUP BY account_id, api_key_id, j.decided_at
                ORDER BY account_id, api_key_id, j.decided_at DESC
            )
        SELECT
            account_id, NULL::uuid, NULL::bigint,
            format(
                'key %s last counted %s: day %s, month %s; journal has %s: %s, %s',
                api_key_id, k.spent_at, k.spent_day, k.spent_month, j.at, coalesce(j.day, 0), coalesce(j.month, 0))
        FROM key_spending AS k
        LEFT JOIN first USING (account_id, api_key_id)
        LEFT JOIN (
            SELECT
                account_id, api_key_id, max(c.at) AS at,
                sum(c.amount) FILTER (WHERE least(c.at, c.charged_at) >= date_trunc('day', k.spent_at, 'UTC')) AS day,
                sum(c.amount) FILTER (WHERE least(c.at, c.charged_at) >= date_trunc('month', k.spent_at, 'UTC')) AS month,
                bool_or(c.is_unsure AND c.at >= date_trunc('month', k.spent_at, 'UTC')) AS is_unsure
            FROM counted AS c
            JOIN key_spending AS k USING (account_id, api_key_id)
            GROUP BY account_id, api_key_id
        ) AS j USING (account_id, api_key_id)
        WHERE (k.spent_at >= $1 OR j.at IS NOT NULL) AND j.is_unsure IS NOT true
            AND (first.decisions IS NULL OR first.decisions = 1 OR date_trunc('month', k.spent_at, 'UTC') > first.at)
            AND (k.spent_at, k.spent_day, k.spent_month)
                IS DISTINCT FROM (coalesce(j.at, 'epoch'), coalesce(j.day, 0), coalesce(j.month, 0))
        """
}
