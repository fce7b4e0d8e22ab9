import Postgres

// What was added up as it was charged, against the journal. Where a time's entries may have left with their month, its sums are not
// compared.

/// The quarters' sums are the journal's, neither more nor less.
struct UsageOffJournal: AuditCheck {
    static let name = "usage"
    static let sql = """
        SELECT
            account_id, NULL::uuid, NULL::bigint,
            format(
                'quarter %s type %s model "%s" operation "%s": entries, credits, overage, prompt and completion tokens are %s, journal has %s',
                quarter, type, model, operation,
                CASE WHEN u.entries IS NULL THEN 'none' ELSE concat_ws(' ', u.entries, u.credits, u.overage, u.prompt_tokens, u.completion_tokens) END,
                CASE WHEN j.entries IS NULL THEN 'none' ELSE concat_ws(' ', j.entries, j.credits, j.overage, j.prompt_tokens, j.completion_tokens) END)
        FROM usage_quarter AS u
        FULL JOIN (
            SELECT
                account_id, date_bin('15 minutes', decided_at, 'epoch') AS quarter,
                CASE WHEN kind IN (3, 5, 6, 7) THEN 'usage' WHEN kind = 27 THEN 'expiry' ELSE journal_kind(kind) END AS type,
                left(coalesce(metadata ->> 'model', ''), 200) AS model, left(coalesce(metadata ->> 'operation', ''), 200) AS operation,
                count(*) AS entries, sum(posted_delta) AS credits,
                sum(CASE WHEN kind IN (3, 5, 6, 7) THEN greatest(requested - amount, 0) ELSE 0 END) AS overage,
                sum(least(greatest((metadata ->> 'prompt_tokens')::bigint, 0), 1000000000000)) AS prompt_tokens,
                sum(least(greatest((metadata ->> 'completion_tokens')::bigint, 0), 1000000000000)) AS completion_tokens
            FROM journal
            WHERE status = 0 AND (kind IN (3, 5, 6, 7) OR posted_delta <> 0)
            GROUP BY 1, 2, 3, 4, 5
        ) AS j USING (account_id, quarter, type, model, operation)
        LEFT JOIN account_opening AS o USING (account_id)
        WHERE (o.at IS NULL OR quarter > o.at)
            AND (u.entries, u.credits, u.overage, u.prompt_tokens, u.completion_tokens)
                IS DISTINCT FROM (j.entries, j.credits, j.overage, j.prompt_tokens, j.completion_tokens)
        ORDER BY account_id, quarter, type, model, operation
        LIMIT 1
        """
}

/// An account's spending of the day and the month of its last charge. What a late settlement gives back lowers only the sums in which its
/// expiry was counted.
struct SpentOffJournal: AuditCheck {
    static let name = "spent"
    static let sql = """
        SELECT
            account_id, NULL::uuid, a.seq,
            format(
                'account last charged %s: day %s, month %s; journal has %s: %s, %s',
                a.spent_at, a.spent_day, a.spent_month, j.at, coalesce(j.day, 0), coalesce(j.month, 0))
        FROM account AS a
        LEFT JOIN account_opening AS o USING (account_id)
        LEFT JOIN (
            SELECT
                account_id, max(j.at) AS at,
                sum(j.amount) FILTER (WHERE least(j.at, j.charged_at) >= date_trunc('day', a.spent_at, 'UTC')) AS day,
                sum(j.amount) FILTER (WHERE least(j.at, j.charged_at) >= date_trunc('month', a.spent_at, 'UTC')) AS month
            FROM (
                SELECT account_id, decided_at AS at, decided_at AS charged_at, -posted_delta AS amount
                FROM journal
                WHERE kind IN (3, 5, 7) AND seq > 0
                UNION ALL
                SELECT
                    late.account_id, late.decided_at, CASE WHEN late.posted_delta > 0 THEN expiry.decided_at ELSE late.decided_at END,
                    -late.posted_delta
                FROM journal AS late
                LEFT JOIN journal AS expiry ON expiry.charge_id = late.charge_id AND expiry.kind = 5
                WHERE late.kind = 6 AND late.seq > 0
            ) AS j
            JOIN account AS a USING (account_id)
            GROUP BY account_id
        ) AS j USING (account_id)
        WHERE CASE WHEN o.at IS NULL OR j.at > o.at THEN a.spent_at <> coalesce(j.at, 'epoch') ELSE a.spent_at > o.at END
            OR (o.at IS NULL OR date_trunc('day', a.spent_at, 'UTC') > o.at) AND a.spent_day <> coalesce(j.day, 0)
            OR (o.at IS NULL OR date_trunc('month', a.spent_at, 'UTC') > o.at) AND a.spent_month <> coalesce(j.month, 0)
        ORDER BY account_id
        LIMIT 1
        """
}

/// An API key holds what its open holds do, and its account knows that it counts keys.
struct KeyHeldOffHolds: AuditCheck {
    static let name = "key_held"
    static let sql = """
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
        ORDER BY account_id, api_key_id
        LIMIT 1
        """
}

/// An API key's spending of the day and the month in which it was last counted.
///
/// A key is counted from its first hold under a limit on. The journal does not say which hold that was, the row nearly does: it was made
/// (`counted_from`) right after, so the last of the key's decisions before it is that hold. From then on everything counts that a hold
/// of the key or a settlement that names the key has charged. Not compared: rows from before `counted_from` was kept; in its month, a
/// first hold that was decided in one batch with others of the key, of which some may not count; a month in which something
/// was given back that was never counted.
struct KeySpentOffJournal: AuditCheck {
    static let name = "key_spent"
    static let sql = """
        WITH
            named AS (
                SELECT k.account_id, k.api_key_id, k.counted_from, j.charge_id, j.kind, j.decided_at AS at, j.posted_delta
                FROM key_spending AS k
                JOIN journal AS j ON j.account_id = k.account_id AND j.metadata ->> 'api_key_id' = k.api_key_id
                WHERE j.kind IN (1, 3, 6) AND j.status = 0 AND k.counted_from IS NOT NULL
            ),
            first AS (
                SELECT DISTINCT ON (account_id, api_key_id) account_id, api_key_id, at, count(*) AS decisions
                FROM named
                WHERE at <= counted_from
                GROUP BY account_id, api_key_id, at
                ORDER BY account_id, api_key_id, at DESC
            ),
            held AS (
                SELECT named.*
                FROM named
                LEFT JOIN first USING (account_id, api_key_id)
                WHERE kind = 1 AND named.at >= coalesce(first.at, '-infinity')
            ),
            counted AS (
                SELECT
                    held.account_id, held.api_key_id, ended.decided_at AS at, ended.decided_at AS charged_at, -ended.posted_delta AS amount,
                    false AS is_unsure
                FROM held
                JOIN journal AS ended ON ended.charge_id = held.charge_id AND ended.kind IN (3, 4, 5)
                UNION ALL
                SELECT
                    named.account_id, named.api_key_id, named.at,
                    CASE WHEN named.posted_delta > 0 THEN expiry.decided_at ELSE named.at END,
                    -named.posted_delta, named.posted_delta > 0 AND held.charge_id IS NULL
                FROM named
                LEFT JOIN first USING (account_id, api_key_id)
                LEFT JOIN held
                    ON held.account_id = named.account_id AND held.api_key_id = named.api_key_id AND held.charge_id = named.charge_id
                LEFT JOIN journal AS expiry ON expiry.charge_id = named.charge_id AND expiry.kind = 5
                WHERE named.at > coalesce(first.at, '-infinity') AND (named.kind = 6 OR named.kind = 3 AND held.charge_id IS NULL)
            )
        SELECT
            account_id, NULL::uuid, NULL::bigint,
            format(
                'key %s last counted %s: day %s, month %s; journal has %s: %s, %s',
                api_key_id, k.spent_at, k.spent_day, k.spent_month, j.at, coalesce(j.day, 0), coalesce(j.month, 0))
        FROM key_spending AS k
        LEFT JOIN first USING (account_id, api_key_id)
        LEFT JOIN account_opening AS o USING (account_id)
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
        WHERE k.counted_from IS NOT NULL AND j.is_unsure IS NOT true
            AND (o.at IS NULL OR date_trunc('month', k.spent_at, 'UTC') > o.at)
            AND (first.decisions IS NULL OR first.decisions = 1 OR date_trunc('month', k.spent_at, 'UTC') > first.at)
            AND (k.spent_at, k.spent_day, k.spent_month)
                IS DISTINCT FROM (coalesce(j.at, 'epoch'), coalesce(j.day, 0), coalesce(j.month, 0))
        ORDER BY account_id, api_key_id
        LIMIT 1
        """
}
