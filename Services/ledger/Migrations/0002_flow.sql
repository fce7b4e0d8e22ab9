-- The ledger's decisions belong to a request's flow like the messages of the other services: what came over the hot path is not
-- written to the inbox, since the journal has it already.

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
                WHEN 1 THEN 'hold.place.v1' WHEN 3 THEN 'charge.settle.v1' WHEN 4 THEN 'hold.void.v1' WHEN 5 THEN 'hold expired'
                WHEN 6 THEN 'charge.settle.v1' WHEN 7 THEN 'charge' WHEN 20 THEN 'purchase.fulfilled.v1'
                WHEN 21 THEN 'purchase.fulfilled.v1' ELSE 'grant'
            END,
            'charge ' || charge_id, 'handled',
            CASE status
                WHEN 0 THEN NULL WHEN 1 THEN 'insufficient_funds' WHEN 2 THEN 'account_not_found' WHEN 3 THEN 'already_resolved'
                ELSE 'out_of_range'
            END
        FROM journal
    $view$, current_schema());
END $$;
