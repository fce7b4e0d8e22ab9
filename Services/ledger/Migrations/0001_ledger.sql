-- What the promise rests on: accounts, the journal of every decision, open holds, and the ids of the outside world.
-- Amounts are nano-credits. Only this database's clock counts.

CREATE TABLE account (
    account_id uuid PRIMARY KEY,
    posted     bigint NOT NULL DEFAULT 0,  -- granted minus charged
    held       bigint NOT NULL DEFAULT 0,  -- sum of the open holds
    overdraft  bigint NOT NULL DEFAULT 0,
    seq        bigint NOT NULL DEFAULT 0,  -- last entry of the account's chain in the journal
    CONSTRAINT account_held_not_negative CHECK (held >= 0),
    CONSTRAINT account_overdraft_not_negative CHECK (overdraft >= 0),
    CONSTRAINT account_never_overspent CHECK (posted - held >= -overdraft)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Append-only truth: one row for each decision, refusals too. Partitioned by the id, which is time (UUIDv7): so the key that
-- keeps a message from being applied twice holds over all months, and an old month leaves in one DROP.
CREATE TABLE journal (
    charge_id       uuid        NOT NULL,
    step            smallint    NOT NULL,  -- 0 opening, 10000 the end, 10001 settled after its expiry
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
    CONSTRAINT journal_once PRIMARY KEY (charge_id, step),
    CONSTRAINT journal_refusal_moves_nothing CHECK (status = 0 OR (posted_delta = 0 AND held_delta = 0)),
    CONSTRAINT journal_chain CHECK ((seq > 0) = (posted_delta <> 0 OR held_delta <> 0))
) PARTITION BY RANGE (charge_id);

-- History pages and the auditor's replay.
CREATE INDEX journal_account_chain ON journal (account_id, seq) WHERE seq > 0;
-- What one request or webhook set in motion.
CREATE INDEX journal_conversation ON journal (conversation_id) WHERE conversation_id IS NOT NULL;

CREATE TABLE open_hold (
    charge_id  uuid        CONSTRAINT open_hold_once PRIMARY KEY,
    account_id uuid        NOT NULL,
    amount     bigint      NOT NULL CONSTRAINT open_hold_amount_positive CHECK (amount > 0),
    reported   bigint      NOT NULL DEFAULT 0,  -- usage so far; what an expiry takes
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX open_hold_expiry ON open_hold (expires_at);
CREATE INDEX open_hold_account ON open_hold (account_id, expires_at);

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

-- Makes the month partitions from last month to `months_ahead` ahead. Called at start and daily; cheap when there is nothing to do.
CREATE FUNCTION create_journal_partitions(months_ahead integer) RETURNS integer
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
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF journal FOR VALUES FROM (%L) TO (%L)',
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

-- Ends a transaction whose statement did not touch what it must have touched.
CREATE FUNCTION expect_rows(what text, actual bigint, expected bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF actual <> expected THEN
        RAISE EXCEPTION '%: % rows where % were expected', what, actual, expected USING ERRCODE = 'internal_error';
    END IF;
END
$$;

-- For people: the journal with names and whole credits.
CREATE VIEW journal_readable AS
SELECT
    decided_at, account_id, seq, charge_id, step,
    CASE kind
        WHEN 1 THEN 'hold' WHEN 3 THEN 'capture' WHEN 4 THEN 'void' WHEN 5 THEN 'expire' WHEN 6 THEN 'late_capture'
        WHEN 7 THEN 'charge' WHEN 20 THEN 'purchase' WHEN 21 THEN 'plan_grant' WHEN 22 THEN 'bonus' WHEN 23 THEN 'refund'
        WHEN 24 THEN 'adjustment' WHEN 25 THEN 'topup'
    END AS kind,
    CASE status
        WHEN 0 THEN 'applied' WHEN 1 THEN 'insufficient_funds' WHEN 2 THEN 'account_not_found' WHEN 3 THEN 'already_resolved'
        WHEN 4 THEN 'out_of_range'
    END AS status,
    requested / 1e9 AS requested, amount / 1e9 AS amount, posted_delta / 1e9 AS posted_delta, held_delta / 1e9 AS held_delta,
    posted_after / 1e9 AS posted_after, held_after / 1e9 AS held_after,
    replace(trace_id::text, '-', '') AS trace_id, conversation_id, description, metadata
FROM journal;

SELECT create_journal_partitions(3);
