-- Tables partitioned by the UTC month of a UUIDv7, such as receipts and audit rows. Dropping a month is how old rows are deleted.

-- Makes the partitions of `parent` from last month to `months_ahead` ahead; returns how many were missing. A month is made as a table of
-- its own and then attached, so that reads and writes of the other months continue.
CREATE FUNCTION create_month_partitions(parent text, months_ahead integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month      timestamp;
    partition  text;
    made       integer := 0;
BEGIN
    FOR ahead IN -1 .. months_ahead LOOP
        month := this_month + make_interval(months => ahead);
        partition := parent || '_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, partition,
            uuidv7_floor(month AT TIME ZONE 'UTC'), uuidv7_floor((month + interval '1 month') AT TIME ZONE 'UTC'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops the partitions of all months but the last `months_kept`, of which the running month is one; returns how many.
CREATE FUNCTION drop_month_partitions(parent text, months_kept integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    oldest     text := parent || '_' || to_char(this_month - make_interval(months => months_kept - 1), 'YYYY_MM');
    child      regclass;
    dropped    integer := 0;
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
