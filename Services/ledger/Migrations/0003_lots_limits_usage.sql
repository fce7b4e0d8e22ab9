-- Grants become lots with an end, accounts and API keys get spending limits, and what was used is added up as it is charged.

ALTER TABLE account
    ADD COLUMN owed              bigint      NOT NULL DEFAULT 0,  -- below the overdraft, by a clawback or a late charge
    ADD COLUMN lots_expire_at    timestamptz,                     -- when the next lot with credits left may expire
    ADD COLUMN daily_limit       bigint,
    ADD COLUMN monthly_limit     bigint,
    ADD COLUMN spent_at          timestamptz NOT NULL DEFAULT 'epoch',  -- tells which day and month (UTC) the sums are of
    ADD COLUMN spent_day         bigint      NOT NULL DEFAULT 0,
    ADD COLUMN spent_month       bigint      NOT NULL DEFAULT 0,
    ADD COLUMN counts_keys       boolean     NOT NULL DEFAULT false,    -- has rows in key_spending
    ADD COLUMN low_balance_level bigint,
    ADD COLUMN alerted           smallint    NOT NULL DEFAULT 0,  -- what the owner was told last: 1 low, 2 exhausted
    ADD CONSTRAINT account_owed_not_negative CHECK (owed >= 0),
    ADD CONSTRAINT account_limits_not_negative CHECK (daily_limit >= 0 AND monthly_limit >= 0),
    DROP CONSTRAINT account_never_overspent,
    ADD CONSTRAINT account_never_overspent CHECK (posted - held >= -(overdraft + owed));

-- The sweep looks for what is due. The column seldom changes, so updates of the balance stay in their page.
CREATE INDEX account_lots_due ON account (lots_expire_at) WHERE lots_expire_at IS NOT NULL;

ALTER TABLE journal
    ADD COLUMN grant_id   uuid,         -- the lot an entry made, let expire or took back
    ADD COLUMN expires_at timestamptz;  -- of a grant: its end

-- The few entries that are no usage, found among the many that are.
CREATE INDEX journal_grants ON journal (account_id, seq) WHERE kind >= 20;

ALTER TABLE open_hold ADD COLUMN api_key_id text;  -- the key it counts against, if that has limits

-- A lot for each grant. `remaining` is as of the account's last look at its lots: what was spent since burned them in their order
-- (soonest end first, given before paid, oldest first), and their sum minus the account's balance says how much that was.
CREATE TABLE credit_grant (
    account_id       uuid        NOT NULL,
    grant_id         uuid        NOT NULL,  -- the charge id of the grant
    kind             smallint    NOT NULL,  -- 26: a reversal that waits for its grant
    amount           bigint      NOT NULL,
    remaining        bigint      NOT NULL,
    expired          bigint      NOT NULL DEFAULT 0,
    reversed         bigint      NOT NULL DEFAULT 0,  -- taken back by refunds and disputes
    reversal_target  bigint      NOT NULL DEFAULT 0,  -- of what should be
    reversal_version bigint      NOT NULL DEFAULT 0,
    expires_at       timestamptz,
    granted_at       timestamptz NOT NULL,
    CONSTRAINT credit_grant_once PRIMARY KEY (account_id, grant_id),
    CONSTRAINT credit_grant_within_amount CHECK (remaining BETWEEN 0 AND amount AND expired >= 0 AND reversed BETWEEN 0 AND amount)
);

CREATE INDEX credit_grant_live ON credit_grant (account_id) WHERE remaining > 0;

-- API keys with limits of their own, counted from their first hold under them.
CREATE TABLE key_spending (
    account_id    uuid        NOT NULL,
    api_key_id    text        NOT NULL,
    daily_limit   bigint,
    monthly_limit bigint,
    held          bigint      NOT NULL,
    spent_at      timestamptz NOT NULL,
    spent_day     bigint      NOT NULL,
    spent_month   bigint      NOT NULL,
    CONSTRAINT key_spending_once PRIMARY KEY (account_id, api_key_id),
    CONSTRAINT key_spending_held_not_negative CHECK (held >= 0)
) WITH (fillfactor = 60);

-- Every quarter of an hour's sums: any time zone's days are made of them.
CREATE TABLE usage_quarter (
    account_id        uuid        NOT NULL,
    quarter           timestamptz NOT NULL,
    type              text        NOT NULL,
    model             text        NOT NULL,  -- '': none
    operation         text        NOT NULL,  -- '': none
    entries           bigint      NOT NULL,
    credits           bigint      NOT NULL,  -- change of the balance: below zero for usage
    overage           bigint      NOT NULL,  -- used and not collected
    prompt_tokens     bigint      NOT NULL,
    completion_tokens bigint      NOT NULL,
    CONSTRAINT usage_quarter_once PRIMARY KEY (account_id, quarter, type, model, operation)
) WITH (fillfactor = 70);

-- Everybody's sums over a time, for administrators.
CREATE INDEX usage_quarter_time ON usage_quarter USING brin (quarter);

-- What the journal knows of the time before: every grant a lot, burned by all that was spent.
UPDATE journal
SET grant_id = charge_id, expires_at = (metadata ->> 'expires_at')::timestamptz
WHERE kind BETWEEN 20 AND 25 AND posted_delta > 0 OR kind = 6 AND posted_delta > 0;

INSERT INTO credit_grant (account_id, grant_id, kind, amount, remaining, expires_at, granted_at)
SELECT account_id, charge_id, kind, posted_delta, posted_delta, expires_at, decided_at
FROM journal
WHERE grant_id IS NOT NULL;

INSERT INTO usage_quarter (
    account_id, quarter, type, model, operation, entries, credits, overage, prompt_tokens, completion_tokens)
SELECT
    account_id, date_bin('15 minutes', decided_at, 'epoch'),
    CASE kind
        WHEN 20 THEN 'purchase' WHEN 21 THEN 'plan_grant' WHEN 22 THEN 'bonus' WHEN 23 THEN 'refund' WHEN 24 THEN 'adjustment'
        WHEN 25 THEN 'topup' ELSE 'usage'
    END,
    left(coalesce(metadata ->> 'model', ''), 200), left(coalesce(metadata ->> 'operation', ''), 200),
    count(*), sum(posted_delta), sum(CASE WHEN kind IN (3, 5, 6, 7) THEN greatest(requested - amount, 0) ELSE 0 END),
    sum(coalesce((metadata ->> 'prompt_tokens')::bigint, 0)), sum(coalesce((metadata ->> 'completion_tokens')::bigint, 0))
FROM journal
WHERE status = 0 AND (kind IN (3, 5, 6, 7) OR posted_delta <> 0)
GROUP BY 1, 2, 3, 4, 5;

UPDATE account
SET lots_expire_at = (
        SELECT min(expires_at) FROM credit_grant WHERE credit_grant.account_id = account.account_id AND remaining > 0),
    spent_at = now(),
    spent_day = coalesce((
        SELECT -sum(posted_delta) FROM journal
        WHERE journal.account_id = account.account_id AND kind IN (3, 5, 6, 7) AND decided_at >= date_trunc('day', now(), 'UTC')), 0),
    spent_month = coalesce((
        SELECT -sum(posted_delta) FROM journal
        WHERE journal.account_id = account.account_id AND kind IN (3, 5, 6, 7) AND decided_at >= date_trunc('month', now(), 'UTC')), 0);

-- A month is made beside the journal and then attached, which keeps nobody from reading and writing the others.
CREATE OR REPLACE FUNCTION create_journal_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month      timestamp;
    partition  text;
    made       integer := 0;
BEGIN
    FOR ahead IN -1 .. months_ahead LOOP
        month := this_month + make_interval(months => ahead);
        partition := 'journal_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        PERFORM pg_advisory_xact_lock(hashtextextended('create_journal_partitions', 0));
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE journal INCLUDING ALL)', partition);
        EXECUTE format(
            'ALTER TABLE journal ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            partition,
            uuid_floor(month AT TIME ZONE 'UTC'),
            uuid_floor((month + interval '1 month') AT TIME ZONE 'UTC'));
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

CREATE FUNCTION journal_kind(kind smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE kind
        WHEN 1 THEN 'hold' WHEN 2 THEN 'extend' WHEN 3 THEN 'capture' WHEN 4 THEN 'void' WHEN 5 THEN 'expire' WHEN 6 THEN 'late_capture'
        WHEN 7 THEN 'charge' WHEN 20 THEN 'purchase' WHEN 21 THEN 'plan_grant' WHEN 22 THEN 'bonus' WHEN 23 THEN 'refund'
        WHEN 24 THEN 'adjustment' WHEN 25 THEN 'topup' WHEN 26 THEN 'clawback' WHEN 27 THEN 'lot_expiry'
    END
$$;

CREATE FUNCTION journal_status(status smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE status
        WHEN 0 THEN 'applied' WHEN 1 THEN 'insufficient_funds' WHEN 2 THEN 'account_not_found' WHEN 3 THEN 'already_resolved'
        WHEN 4 THEN 'out_of_range' WHEN 5 THEN 'account_daily_limit' WHEN 6 THEN 'account_monthly_limit' WHEN 7 THEN 'key_daily_limit'
        WHEN 8 THEN 'key_monthly_limit' WHEN 9 THEN 'hold_not_found' WHEN 10 THEN 'superseded'
    END
$$;

CREATE OR REPLACE VIEW journal_readable AS
SELECT
    decided_at, account_id, seq, charge_id, step, journal_kind(kind) AS kind, journal_status(status) AS status,
    requested / 1e9 AS requested, amount / 1e9 AS amount, posted_delta / 1e9 AS posted_delta, held_delta / 1e9 AS held_delta,
    posted_after / 1e9 AS posted_after, held_after / 1e9 AS held_after,
    replace(trace_id::text, '-', '') AS trace_id, conversation_id, description, metadata, grant_id, expires_at
FROM journal;

DO $$ BEGIN
    EXECUTE format($view$
        CREATE OR REPLACE VIEW v_journal (
            at, service, kind, message_id, conversation_id, causation_id, trace_id, type, destination, status, error) AS
        SELECT coalesce(sent_at, created_at), %1$L, 'sent', message_id, conversation_id, causation_id, substr(traceparent, 4, 32),
            type, exchange || ':' || routing_key,
            CASE WHEN sent_at IS NOT NULL THEN 'sent' WHEN attempts = 0 THEN 'pending' ELSE 'failing' END, last_error
        FROM outbox
        UNION ALL
        SELECT handled_at, %1$L, 'handled', message_id, conversation_id, causation_id, trace_id, type, consumer, 'handled', NULL
        FROM inbox
        UNION ALL
        SELECT last_failed_at, %1$L, 'failed', message_id, conversation_id, causation_id, substr(traceparent, 4, 32), type, consumer,
            state, error_class || ': ' || error_message
        FROM dead_letter
        UNION ALL
        SELECT decided_at, %1$L, 'handled', NULL::uuid, conversation_id, NULL::uuid, replace(trace_id::text, '-', ''),
            CASE kind
                WHEN 1 THEN 'hold.place.v1' WHEN 2 THEN 'hold.extend.v1' WHEN 3 THEN 'charge.settle.v1' WHEN 4 THEN 'hold.void.v1'
                WHEN 5 THEN 'hold expired' WHEN 6 THEN 'charge.settle.v1' WHEN 7 THEN 'charge' WHEN 20 THEN 'purchase.fulfilled.v1'
                WHEN 21 THEN 'purchase.fulfilled.v1' WHEN 26 THEN 'purchase.reversed.v1' WHEN 27 THEN 'lot expired' ELSE 'grant'
            END,
            'charge ' || charge_id, 'handled', nullif(journal_status(status), 'applied')
        FROM journal
    $view$, current_schema());
END $$;
