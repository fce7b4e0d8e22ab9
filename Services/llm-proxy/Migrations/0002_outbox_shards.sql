-- What waits from before the ledger had shards has a key that no queue is bound to any more. It gets the shard of its account:
-- FNV-1a (32 bits) over the 16 bytes of the id, modulo 4.

DO $$
DECLARE
    waiting record;
    hash    bigint;
BEGIN
    FOR waiting IN
        -- Not read as JSON, which refuses \u0000. Inside of a string the quotes would be escaped.
        SELECT seq, uuid_send(substring(convert_from(body, 'UTF8') FROM '"account_id"\s*:\s*"([^"]+)"')::uuid) AS account
        FROM outbox
        WHERE sent_at IS NULL AND exchange = 'ledger.cmd' AND routing_key IN ('charge.settle.v1', 'hold.void.v1', 'hold.report.v1')
    LOOP
        hash := 2166136261;
        FOR i IN 0..15 LOOP
            hash := ((hash # get_byte(waiting.account, i)) * 16777619) & 4294967295;
        END LOOP;
        UPDATE outbox
        SET routing_key = routing_key || '.' || hash % 4, available_at = clock_timestamp()
        WHERE seq = waiting.seq;
    END LOOP;
END $$;
