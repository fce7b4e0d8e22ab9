-- Months come and go without anybody waiting for long: whoever stands behind a waiting lock waits too.

-- When the lot's last reversal was decided: those of the journal that came later go before it.
ALTER TABLE lot_opening ADD COLUMN reversal_at timestamptz;

UPDATE lot_opening SET reversal_at = o.at
FROM account_opening AS o
WHERE o.account_id = lot_opening.account_id AND reversal_target IS NOT NULL;

-- A month that cannot be made now is made a little later.
ALTER FUNCTION create_journal_partitions(integer) SET lock_timeout = '2s';

-- Takes the oldest month off the journal; its table stays. What was read of it beforehand still holds if it has as many entries, since
-- none is ever changed. Whoever writes into that month waits meanwhile; the others only for the last step, which waits itself for
-- those that read the journal just then, two seconds at most: audits, which read long, it does not even begin to wait for.
CREATE FUNCTION detach_journal_month(month timestamptz, entries_read bigint) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    partition text := 'journal_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    entries   bigint;
BEGIN
    IF month <> journal_start() THEN
        RAISE EXCEPTION 'the journal begins %', journal_start() USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('journal audit', 0)) THEN
        RAISE EXCEPTION 'an audit reads the journal' USING ERRCODE = 'lock_not_available';
    END IF;
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', partition);
    EXECUTE format('SELECT count(*) FROM %I', partition) INTO entries;
    IF entries <> entries_read THEN
        RAISE EXCEPTION '% has % entries, % were read', partition, entries, entries_read USING ERRCODE = 'serialization_failure';
    END IF;
    EXECUTE format('ALTER TABLE journal DETACH PARTITION %I', partition);
END
$$;
