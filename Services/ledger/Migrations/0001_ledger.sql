-- The ledger: accounts, the journal of every decision, open holds, lots, limits, usage, audits.
-- Amounts are nano-credits. Only this database's clock counts.

CREATE TABLE account (
    account_id        uuid        PRIMARY KEY,
    posted            bigint      NOT NULL DEFAULT 0,  -- granted minus charged
    held              bigint      NOT NULL DEFAULT 0,  -- sum of the open holds
    overdraft         bigint      NOT NULL DEFAULT 0,
    debt              bigint      NOT NULL DEFAULT 0,  -- below the overdraft, by a clawback or a late charge
    seq               bigint      NOT NULL DEFAULT 0,  -- last entry of the account's chain in the journal
    lots_expire_at    timestamptz,                     -- when the next lot with credits left may expire
    daily_limit       bigint,
    monthly_limit     bigint,
    spent_at          timestamptz NOT NULL DEFAULT 'epoch',  -- tells which day and month (UTC) the sums are of
    spent_day         bigint      NOT NULL DEFAULT 0,
    spent_month       bigint      NOT NULL DEFAULT 0,
    counts_keys       boolean     NOT NULL DEFAULT false,    -- has rows in key_spending
    low_balance_level bigint,
    alerted           smallint    NOT NULL DEFAULT 0,  -- the last alert: 1 low, 2 exhausted
    CONSTRAINT account_held_not_negative CHECK (held >= 0),
    CONSTRAINT account_overdraft_not_negative CHECK (overdraft >= 0),
    CONSTRAINT account_debt_not_negative CHECK (debt >= 0),
    CONSTRAINT account_limits_not_negative CHECK (daily_limit >= 0 AND monthly_limit >= 0),
    CONSTRAINT account_never_overspent CHECK (posted - held >= -(overdraft + debt))
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The sweep reads this index. The column seldom changes, so most updates of the balance change no
-- index.
CREATE INDEX account_lots_due ON account (lots_expire_at) WHERE lots_expire_at IS NOT NULL;

-- The append-only truth: one row for each decision that changed something, and for each refused
-- charge, grant and reversal. It is partitioned by the id, which is a time (UUIDv7). So the key
-- prevents a second application over all months, and an old month is detached in one step.
CREATE TABLE journal (
    charge_id       uuid        NOT NULL,
    step            smallint    NOT NULL,  -- 0 the first row, 1 to 9999 an extension, 10000 the end of a hold, 10001 a settlement or a void after its expiry
    account_id      uuid        NOT NULL,
    seq             bigint      NOT NULL,  -- gap-free per account; 0: changed nothing
    kind            smallint    NOT NULL,
    status          smallint    NOT NULL,  -- 0 applied, else why it was refused
    requested       bigint      NOT NULL,
    amount          bigint      NOT NULL,  -- held, taken or given; balance before is after minus delta
    posted_delta    bigint      NOT NULL,
    held_delta      bigint      NOT NULL,
    posted_after    bigint      NOT NULL,
    held_after      bigint      NOT NULL,
    fingerprint     bigint      NOT NULL,  -- of the command; another command under the same id is a conflict
    decided_at      timestamptz NOT NULL,
    trace_id        uuid,
    conversation_id uuid,
    description     text,
    metadata        jsonb,
    grant_id        uuid,                  -- the lot an entry made, let expire or took back
    expires_at      timestamptz,           -- of a grant: its end
    CONSTRAINT journal_once PRIMARY KEY (charge_id, step),
    CONSTRAINT journal_refusal_moves_nothing CHECK (status = 0 OR (posted_delta = 0 AND held_delta = 0)),
    CONSTRAINT journal_chain CHECK ((seq > 0) = (posted_delta <> 0 OR held_delta <> 0))
) PARTITION BY RANGE (charge_id);

-- History pages and the auditor's replay.
CREATE INDEX journal_account_chain ON journal (account_id, seq) WHERE seq > 0;
-- This index finds the few entries that are not usage.
CREATE INDEX journal_grants ON journal (account_id, seq) WHERE kind >= 20;
-- The auditor reads the entries since a moment. An entry can be in the partition of an older month,
-- because its id was made before it was decided.
CREATE INDEX journal_decided ON journal USING brin (decided_at) WITH (autosummarize = on);
-- This index finds all decisions that one request or webhook caused.
CREATE INDEX journal_conversation ON journal (conversation_id) WHERE conversation_id IS NOT NULL;

CREATE TABLE open_hold (
    charge_id   uuid        CONSTRAINT open_hold_once PRIMARY KEY,
    account_id  uuid        NOT NULL,
    amount      bigint      NOT NULL CONSTRAINT open_hold_amount_positive CHECK (amount > 0),
    used_so_far bigint      NOT NULL DEFAULT 0,      -- as last reported; an expiry takes it
    expires_at  timestamptz NOT NULL,                -- the sweep looks from then on
    is_overdue  boolean     NOT NULL DEFAULT false,  -- an expiry found it overdue once; the next one ends it
    api_key_id  text                                 -- the key it counts against, if that has limits
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The sweep reads this index. A report leaves the column unchanged while at least half of the time
-- to live is left, so most reports change no index.
CREATE INDEX open_hold_expiry ON open_hold (expires_at);

-- A lot for each grant. `remaining` is as of the account's last look at its lots. Credits that were
-- spent since burned the lots in their order: soonest end first, given before paid, oldest first.
-- The sum of `remaining` minus the account's balance is the amount that was spent since.
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

-- API keys that have limits of their own. A key is counted from its first hold under a limit.
CREATE TABLE key_spending (
    account_id    uuid        NOT NULL,
    api_key_id    text        NOT NULL,
    daily_limit   bigint,
    monthly_limit bigint,
    held          bigint      NOT NULL,
    spent_at      timestamptz NOT NULL,
    spent_day     bigint      NOT NULL,
    spent_month   bigint      NOT NULL,
    counted_from  timestamptz NOT NULL DEFAULT clock_timestamp(),  -- the first hold under a limit came right before
    CONSTRAINT key_spending_once PRIMARY KEY (account_id, api_key_id),
    CONSTRAINT key_spending_held_not_negative CHECK (held >= 0)
) WITH (fillfactor = 60);

-- The sums of a quarter of an hour. A quarter that is older than 40 days and lies before every
-- checkpoint of the audit is folded into its half-hour. Days consist of half-hours in all time zones
-- but three. A unit has a row of its own, which costs a settlement about 4 µs of CPU. Nearly every
-- call has the units `input` and `output`, so these two are columns of the row of the entries.
CREATE TABLE usage_15m (
    account_id uuid        NOT NULL,
    quarter    timestamptz NOT NULL,             -- start of the quarter, or of the half-hour
    type       text        NOT NULL,
    model      text        NOT NULL,             -- '': none
    operation  text        NOT NULL,             -- '': none
    entries    bigint      NOT NULL,             -- 0 in the row of a unit, as are the next four
    credits    bigint      NOT NULL,             -- change of the balance: below zero for usage
    overage    bigint      NOT NULL,             -- used and not collected
    input      bigint      NOT NULL DEFAULT 0,   -- quantity of the unit `input`
    output     bigint      NOT NULL DEFAULT 0,   -- quantity of the unit `output`
    unit       text        NOT NULL DEFAULT '',  -- '': the row of the entries, else any other unit
    quantity   bigint      NOT NULL DEFAULT 0,   -- of the other unit
    CONSTRAINT usage_15m_once PRIMARY KEY (account_id, quarter, type, model, operation, unit)
) WITH (fillfactor = 70);

-- This index serves the administrators' sums over all accounts, and finds the quarters to fold. A
-- BRIN index does not fit: new rows take the place of folded ones, so rows on disk are not in the
-- order of their times.
CREATE INDEX usage_15m_time ON usage_15m (quarter);

-- The results of audits, nightly and requested ones.
CREATE TABLE audit_run (
    audit_run_id bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_run_once PRIMARY KEY,
    due          timestamptz CONSTRAINT audit_run_due_once UNIQUE,  -- when it was due; null: asked for
    started      timestamptz NOT NULL,
    finished     timestamptz NOT NULL,
    audited_from timestamptz NOT NULL,  -- the checkpoint it began at
    accounts     bigint      NOT NULL,
    entries      bigint      NOT NULL,  -- those decided since then
    open_holds   bigint      NOT NULL,
    posted       numeric     NOT NULL,  -- of all accounts: can exceed 64 bits
    held         numeric     NOT NULL,
    findings     jsonb       NOT NULL
);

-- The month starts for which the auditor wrote down the state of each account. The nightly audit
-- begins at the newest one. An audit of everything begins at the oldest one: no entry of a detached
-- month was decided after it. 'epoch' is before the first entry.
CREATE TABLE audit_checkpoint (
    at timestamptz CONSTRAINT audit_checkpoint_once PRIMARY KEY
);

INSERT INTO audit_checkpoint VALUES ('epoch');

-- The state of an account's chain after its last entry decided before a month start. An account has
-- a row only for a month start since which it was written to. An older row is valid for the later
-- month starts too.
CREATE TABLE account_checkpoint (
    account_id uuid        NOT NULL,
    at         timestamptz NOT NULL,
    seq        bigint      NOT NULL,  -- 0: the account has no entry in its chain
    posted     bigint      NOT NULL,
    held       bigint      NOT NULL,
    CONSTRAINT account_checkpoint_once PRIMARY KEY (account_id, at)
);

-- The lots of the account at the month start, with all credits burned that were spent until then. A
-- lot has a row only if it changed.
CREATE TABLE lot_checkpoint (
    account_id      uuid        NOT NULL,
    grant_id        uuid        NOT NULL,
    at              timestamptz NOT NULL,
    kind            smallint    NOT NULL,
    amount          bigint      NOT NULL,
    remaining       bigint      NOT NULL,
    expired         bigint      NOT NULL,
    reversed        bigint      NOT NULL,
    reversal_target bigint,
    reversal_at     timestamptz,  -- when the lot's last reversal was decided
    expires_at      timestamptz,
    granted_at      timestamptz NOT NULL,
    CONSTRAINT lot_checkpoint_once PRIMARY KEY (account_id, grant_id, at)
);

-- Ids of other systems (Stripe's payment intents and refunds), for ever: what they caused in the journal.
CREATE TABLE external_ref (
    source    text NOT NULL,
    ref       text NOT NULL,
    charge_id uuid NOT NULL,
    CONSTRAINT external_ref_once PRIMARY KEY (source, ref)
);

-- The smallest UUIDv7 of a moment.
CREATE FUNCTION uuid_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Makes the month partitions from last month to `months_ahead` ahead. Called at start and daily;
-- cheap when there is nothing to do. A month is made as a table of its own and then attached, so
-- that reads and writes of the other months continue.
CREATE FUNCTION create_journal_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
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

-- The first moment the journal covers: ids from before are refused, since nobody could know whether they were used.
CREATE FUNCTION journal_start() RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT to_timestamp(min(right(c.relname, 7)), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC'
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'journal'::regclass
$$;

-- The newest checkpoint that is at least seven days old. A clock that was ahead for a while can have
-- written later ones. They are not used, and the next audit without findings deletes them.
CREATE FUNCTION newest_checkpoint() RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(at) FILTER (WHERE at <= clock_timestamp() - interval '7 days'), min(at))
    FROM audit_checkpoint
$$;

-- True if the month has an entry that was decided at or after a time. Reads the BRIN index of the
-- month and the pages that it names: with the time as a literal, and without the choice of reading
-- the whole month.
CREATE FUNCTION month_has_entry_since(month timestamptz, since timestamptz) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    is_found boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %I WHERE decided_at >= %L)',
        'journal_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'), since) INTO is_found;
    RETURN is_found;
END
$$;

-- Detaches the oldest month from the journal; its table stays. Fails with serialization_failure if
-- the month has an entry that was decided after the newest checkpoint of the audit. Fails with LG001
-- if a command of a locked account waits as a row: it may have become a row while the lock was
-- waited for. Writers of that month wait for the look into its BRIN index. All writers wait for the
-- last two statements. Taking their lock waits at most two seconds for readers of the journal. An
-- audit reads for longer and locks audit_checkpoint, so the function fails at once while an audit
-- runs.
CREATE FUNCTION detach_journal_month(month timestamptz) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    partition text := 'journal_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    checkpoint   timestamptz;
    is_late   boolean := true;
BEGIN
    IF month <> journal_start() THEN
        RAISE EXCEPTION 'the journal begins %', journal_start() USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    LOCK TABLE audit_checkpoint IN ACCESS EXCLUSIVE MODE NOWAIT;
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', partition);
    FOR checkpoint IN SELECT at FROM audit_checkpoint WHERE at > month AND at <= newest_checkpoint() ORDER BY at LOOP
        is_late := month_has_entry_since(month, checkpoint);
        EXIT WHEN NOT is_late;
    END LOOP;
    IF is_late THEN
        RAISE EXCEPTION '% has entries that were decided after the newest checkpoint', partition USING ERRCODE = 'serialization_failure';
    END IF;
    DELETE FROM audit_checkpoint WHERE at < checkpoint;
    EXECUTE format('ALTER TABLE journal DETACH PARTITION %I', partition);
    IF EXISTS (SELECT FROM dead_letter WHERE state = 'replay') THEN
        RAISE EXCEPTION 'commands of locked accounts wait as rows' USING ERRCODE = 'LG001';
    END IF;
END
$$;

-- Adds two numbers. A sum that would leave 64 bits stays at their end.
CREATE FUNCTION saturating_add(a bigint, b bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT a + greatest(least(b, 9223372036854775807 - greatest(a, 0)), '-9223372036854775808' - least(a, 0))
$$;

-- Ends a transaction whose statement did not touch what it must have touched.
CREATE FUNCTION expect_rows(what text, actual bigint, expected bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF actual <> expected THEN
        RAISE EXCEPTION '%: % rows where % were expected', what, actual, expected USING ERRCODE = 'internal_error';
    END IF;
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
        WHEN 0 THEN 'applied' WHEN 1 THEN 'insufficient_funds' WHEN 2 THEN 'account_not_found'
        WHEN 4 THEN 'out_of_range' WHEN 5 THEN 'account_daily_limit' WHEN 6 THEN 'account_monthly_limit'
        WHEN 10 THEN 'superseded'
    END
$$;

-- For people: the journal with names and whole credits.
CREATE VIEW journal_readable AS
SELECT
    decided_at, account_id, seq, charge_id, step, journal_kind(kind) AS kind, journal_status(status) AS status,
    requested / 1e9 AS requested, amount / 1e9 AS amount, posted_delta / 1e9 AS posted_delta, held_delta / 1e9 AS held_delta,
    posted_after / 1e9 AS posted_after, held_after / 1e9 AS held_after,
    replace(trace_id::text, '-', '') AS trace_id, conversation_id, description, metadata, grant_id, expires_at
FROM journal;

-- This view adds the ledger's decisions to the flow of a request, next to the messages of the other
-- services. The hot path writes no inbox row, because the journal has every decision.
DO $$ BEGIN
    EXECUTE format($view$
        CREATE OR REPLACE VIEW v_journal AS
        SELECT * FROM v_messages
        UNION ALL
        SELECT decided_at, %1$L, 'handled', NULL::uuid, conversation_id, NULL::uuid, replace(trace_id::text, '-', ''),
            CASE kind
                WHEN 1 THEN 'hold.place.v1' WHEN 2 THEN 'hold.extend.v1' WHEN 3 THEN 'charge.settle.v2' WHEN 4 THEN 'hold.void.v1'
                WHEN 5 THEN 'hold expired' WHEN 6 THEN 'charge.settle.v2' WHEN 7 THEN 'charge' WHEN 20 THEN 'purchase.fulfilled.v1'
                WHEN 21 THEN 'purchase.fulfilled.v1' WHEN 26 THEN 'purchase.reversed.v1' WHEN 27 THEN 'lot expired' ELSE 'grant'
            END,
            'charge ' || charge_id, 'handled', nullif(journal_status(status), 'applied')
        FROM journal
    $view$, current_schema());
END $$;

SELECT create_journal_partitions(3);
