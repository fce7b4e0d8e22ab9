-- Tables partitioned by the UTC day or month of a UUIDv7, such as receipts and audit rows. Dropping a partition is how old rows are deleted.

-- Returns the name of the partition of `parent` that has a moment. Names sort by time.
CREATE FUNCTION partition_name(parent text, unit text, moment timestamp) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT parent || '_' || to_char(moment, CASE unit WHEN 'day' THEN 'YYYY_MM_DD' ELSE 'YYYY_MM' END)
$$;

-- Makes the partitions of `parent` from the last `unit` ('day' or 'month') to `ahead` units ahead; returns how many were missing. A
-- partition is made as a table of its own and then attached, so that reads and writes of the other partitions continue.
CREATE FUNCTION create_partitions(parent text, unit text, ahead integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    step      interval  := ('1 ' || unit)::interval;
    start     timestamp;
    partition text;
    made      integer   := 0;
BEGIN
    FOR offset_in_units IN -1 .. ahead LOOP
        start := date_trunc(unit, now() AT TIME ZONE 'UTC') + offset_in_units * step;
        partition := partition_name(parent, unit, start);
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, partition,
            uuidv7_floor(start AT TIME ZONE 'UTC'), uuidv7_floor((start + step) AT TIME ZONE 'UTC'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops all partitions but those of the last `kept` units, of which the running one is one; returns how many.
CREATE FUNCTION drop_partitions(parent text, unit text, kept integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    oldest  text    := partition_name(parent, unit, date_trunc(unit, now() AT TIME ZONE 'UTC') - (kept - 1) * ('1 ' || unit)::interval);
    child   regclass;
    dropped integer := 0;
BEGIN
    FOR child IN
        SELECT c.oid
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent::regclass AND c.relname < oldest
    LOOP
        EXECUTE format('DROP TABLE %s', child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
