-- Messages of this service: what it sends (outbox), what it has handled (inbox), what it could not handle yet (dead_letter),
-- and one journal over the three. Sending and handling are part of the transaction whose effect they belong to.

CREATE TABLE outbox (
    seq             bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
    message_id      uuid        NOT NULL CONSTRAINT outbox_message_id_key UNIQUE,
    -- Messages of one key are sent in the order of seq; NULL: in any order. The relay walks over
    -- the keys greater than ''.
    ordering_key    text        CONSTRAINT outbox_ordering_key_check CHECK (ordering_key <> ''),
    exchange        text        NOT NULL,
    routing_key     text        NOT NULL,
    type            text        NOT NULL,
    conversation_id uuid        NOT NULL,
    causation_id    uuid,
    traceparent     text        NOT NULL,
    body            bytea       NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Not sent before this time. The relay moves it ahead after a failed attempt.
    available_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts        integer     NOT NULL DEFAULT 0,
    last_error      text,
    sent_at         timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX outbox_pending ON outbox (seq) WHERE sent_at IS NULL;
-- Failed messages have an index of their own, so that they never delay new ones.
CREATE INDEX outbox_new ON outbox (available_at) WHERE sent_at IS NULL AND attempts = 0 AND ordering_key IS NULL;
CREATE INDEX outbox_failed ON outbox (available_at) WHERE sent_at IS NULL AND attempts > 0;
CREATE INDEX outbox_pending_key ON outbox (ordering_key, seq) WHERE sent_at IS NULL AND ordering_key IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX outbox_conversation ON outbox (conversation_id);

-- Claimed in the transaction of the effect. Ranges of UUIDv7 are ranges of time, so uniqueness holds over partitions and cleaning up
-- is DROP TABLE. There is no default partition: an id older than what is kept is refused, never let in a second time.
CREATE TABLE inbox (
    message_id      uuid        NOT NULL,
    consumer        text        NOT NULL,
    type            text        NOT NULL,
    source          text        NOT NULL,
    conversation_id uuid        NOT NULL,
    causation_id    uuid,
    trace_id        text,
    handled_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT inbox_pkey PRIMARY KEY (message_id, consumer)
) PARTITION BY RANGE (message_id);

CREATE INDEX inbox_conversation ON inbox (conversation_id);

-- The smallest UUIDv7 of an instant.
CREATE FUNCTION uuidv7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- Makes the partitions of the UTC days from `back` days ago to `ahead` days from now; returns how many were missing.
CREATE FUNCTION inbox_create_partitions(back integer, ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    day   date;
    made  integer := 0;
BEGIN
    FOR day IN SELECT generate_series(today - back, today + ahead, interval '1 day')::date LOOP
        IF to_regclass(format('inbox_%s', to_char(day, 'YYYYMMDD'))) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE inbox_%s PARTITION OF inbox FOR VALUES FROM (%L) TO (%L)', to_char(day, 'YYYYMMDD'),
                uuidv7_floor(day::timestamp AT TIME ZONE 'UTC'), uuidv7_floor((day + 1)::timestamp AT TIME ZONE 'UTC'));
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Drops the partitions of days more than `keep` days ago; returns how many.
CREATE FUNCTION inbox_drop_partitions(keep integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    oldest  text := 'inbox_' || to_char((now() AT TIME ZONE 'UTC')::date - keep, 'YYYYMMDD');
    child   regclass;
    dropped integer := 0;
BEGIN
    FOR child IN
        SELECT c.oid
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'inbox'::regclass AND c.relname < oldest
    LOOP
        EXECUTE format('DROP TABLE %s', child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

SELECT inbox_create_partitions(15, 14);

CREATE TABLE dead_letter (
    message_id      uuid        NOT NULL,
    consumer        text        NOT NULL,
    exchange        text        NOT NULL,
    routing_key     text        NOT NULL,
    type            text        NOT NULL,
    source          text        NOT NULL,
    conversation_id uuid        NOT NULL,
    causation_id    uuid,
    traceparent     text,
    sent_at         timestamptz,
    body            bytea       NOT NULL,
    -- How often a handler was started on it.
    attempts        integer     NOT NULL,
    error_class     text        NOT NULL,
    error_message   text        NOT NULL,
    -- retry: the service tries again at next_attempt_at. parked: waits for a person, who sets replay or discarded.
    state           text        NOT NULL CONSTRAINT dead_letter_state_check
                                CHECK (state IN ('retry', 'parked', 'replay', 'resolved', 'discarded')),
    first_failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_failed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz,
    -- The order of arrival. For rows of one key it is also the order of commit, if each writer
    -- locks the thing that the key names.
    seq             bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- The service itself replays rows of one key in the order of seq. NULL: the retry sweep takes
    -- the row, in any order. Ids are written in small letters.
    ordering_key    text CONSTRAINT dead_letter_ordering_key_check CHECK (ordering_key = lower(ordering_key)),
    CONSTRAINT dead_letter_pkey PRIMARY KEY (message_id, consumer),
    CONSTRAINT dead_letter_due_check CHECK (state NOT IN ('retry', 'replay') OR next_attempt_at IS NOT NULL)
);

CREATE INDEX dead_letter_due ON dead_letter (next_attempt_at) WHERE state IN ('retry', 'replay') AND ordering_key IS NULL;
CREATE INDEX dead_letter_ordered ON dead_letter (ordering_key, seq) WHERE state = 'replay' AND ordering_key IS NOT NULL;
CREATE INDEX dead_letter_parked ON dead_letter (consumer, error_class) WHERE state = 'parked';

-- "Where is message X": every message this service sent, handled or failed to handle.
DO $$ BEGIN
    EXECUTE format($view$
        CREATE VIEW v_messages (
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
    $view$, current_schema());
END $$;

-- The steps of each request's flow in this service. The ledger replaces this view: its decisions are
-- in its journal, not in these tables.
CREATE VIEW v_journal AS SELECT * FROM v_messages;
