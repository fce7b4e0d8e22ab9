-- The auditor keeps its results, begins where an account's older months left off, and knows since when an API key is counted.

-- Results of audits: the nightly ones and those that were asked for.
CREATE TABLE audit_run (
    audit_run_id bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_run_once PRIMARY KEY,
    due          timestamptz CONSTRAINT audit_run_due_once UNIQUE,  -- when it was due; null: asked for
    started      timestamptz NOT NULL,
    finished     timestamptz NOT NULL,
    accounts     bigint      NOT NULL,
    entries      bigint      NOT NULL,
    open_holds   bigint      NOT NULL,
    posted       bigint      NOT NULL,
    held         bigint      NOT NULL,
    findings     jsonb       NOT NULL
);

-- Where an account's chain begins for the auditor: after its last entry in the months that have left the journal. Entries up to
-- `seq` are not looked at any more, wherever they are; sums are not compared for times up to `at`.
CREATE TABLE account_opening (
    account_id uuid        CONSTRAINT account_opening_once PRIMARY KEY,
    seq        bigint      NOT NULL,
    posted     bigint      NOT NULL,
    held       bigint      NOT NULL,
    at         timestamptz NOT NULL  -- of the last decision that may have left, refusals too
);

-- The account's lots as they were then, everything spent until then burned.
CREATE TABLE lot_opening (
    account_id      uuid        NOT NULL,
    grant_id        uuid        NOT NULL,
    kind            smallint    NOT NULL,
    amount          bigint      NOT NULL,
    remaining       bigint      NOT NULL,
    expired         bigint      NOT NULL,
    reversed        bigint      NOT NULL,
    reversal_target bigint,
    expires_at      timestamptz,
    granted_at      timestamptz NOT NULL,
    CONSTRAINT lot_opening_once PRIMARY KEY (account_id, grant_id)
);

-- A key is counted from its first hold under a limit. Null: from before this was kept.
ALTER TABLE key_spending ADD COLUMN counted_from timestamptz;
ALTER TABLE key_spending ALTER COLUMN counted_from SET DEFAULT clock_timestamp();

-- Nothing is decided while accounts are brought up to what the auditor expects of them.
LOCK TABLE account IN EXCLUSIVE MODE;

-- Accounts from before there were lots said of their last charge when the migration was.
UPDATE account
SET spent_at = charged.at, spent_day = charged.day, spent_month = charged.month
FROM (
    SELECT
        a.account_id, coalesce(last.at, 'epoch') AS at,
        coalesce(-sum(j.posted_delta) FILTER (WHERE j.decided_at >= date_trunc('day', last.at, 'UTC')), 0) AS day,
        coalesce(-sum(j.posted_delta), 0) AS month
    FROM account AS a
    LEFT JOIN (
        SELECT account_id, max(decided_at) AS at FROM journal WHERE kind IN (3, 5, 6, 7) AND seq > 0 GROUP BY account_id
    ) AS last USING (account_id)
    LEFT JOIN journal AS j
        ON j.account_id = a.account_id AND j.kind IN (3, 5, 6, 7) AND j.seq > 0 AND j.decided_at >= date_trunc('month', last.at, 'UTC')
    GROUP BY a.account_id, last.at
) AS charged (account_id, at, day, month)
WHERE account.account_id = charged.account_id AND account.spent_at <> charged.at;

-- Their lots were burned when lots came, by all that had been spent, and not charge by charge: their chains begin here.
INSERT INTO account_opening (account_id, seq, posted, held, at)
SELECT account_id, seq, posted, held, clock_timestamp()
FROM account
WHERE EXISTS (
    SELECT FROM journal
    WHERE journal.account_id = account.account_id AND grant_id IS NOT NULL
        AND decided_at < (SELECT applied_at FROM schema_migration WHERE name LIKE '0003%lots%'));

INSERT INTO lot_opening (account_id, grant_id, kind, amount, remaining, expired, reversed, reversal_target, expires_at, granted_at)
SELECT
    account_id, grant_id, kind, amount, greatest(0, least(remaining, through - (total - greatest(0, posted)))), expired, reversed,
    CASE WHEN reversal_version > 0 THEN reversal_target END, expires_at, granted_at
FROM (
    SELECT
        g.*, o.posted, sum(remaining) OVER (PARTITION BY g.account_id) AS total,
        sum(remaining) OVER (
            PARTITION BY g.account_id ORDER BY expires_at NULLS LAST, kind NOT IN (21, 22), granted_at, grant_id) AS through
    FROM credit_grant AS g
    JOIN account_opening AS o USING (account_id)
) AS lot;
