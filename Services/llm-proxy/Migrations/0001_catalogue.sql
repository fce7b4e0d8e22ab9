-- Models, the providers that sell them, and their prices. A price is a version that never changes, so that every receipt can be computed again.

CREATE TABLE provider (
    name             text PRIMARY KEY,
    kind             text NOT NULL DEFAULT 'openai',  -- the wire format
    base_url         text NOT NULL,
    api_key_variable text NOT NULL,
    is_enabled       boolean NOT NULL DEFAULT true,
    source           text NOT NULL DEFAULT 'admin' CONSTRAINT provider_source_known CHECK (source IN ('file', 'admin'))
);

-- The rows of source 'file' follow the providers file, and those of source 'list' the list of models; those of source 'admin' stay as
-- an administrator wrote them.
CREATE TABLE model (
    id                    text PRIMARY KEY,
    context_tokens        bigint NOT NULL,
    max_output_tokens     bigint NOT NULL,
    default_output_tokens bigint NOT NULL,
    output_tokens_least   bigint NOT NULL,
    image_tokens_max      bigint,
    reasoning             text NOT NULL,
    output_limit_member   text NOT NULL,
    is_enabled            boolean NOT NULL DEFAULT true,
    source                text NOT NULL DEFAULT 'admin' CONSTRAINT model_source_known CHECK (source IN ('file', 'list', 'admin')),
    created_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT model_tokens_bounded CHECK (
        context_tokens BETWEEN 1 AND 100000000
        AND max_output_tokens BETWEEN 1 AND least(context_tokens, 10000000)
        AND default_output_tokens BETWEEN 1 AND max_output_tokens
        AND output_tokens_least BETWEEN 1 AND max_output_tokens
        AND image_tokens_max BETWEEN 1 AND 1000000),
    CONSTRAINT model_reasoning_known CHECK (reasoning IN ('none', 'visible', 'hidden')),
    CONSTRAINT model_output_limit_member_known CHECK (output_limit_member IN ('max_tokens', 'max_completion_tokens'))
);

-- A provider that sells a model. Calls go to the route with the lowest priority number; among equals by weight.
CREATE TABLE route (
    model          text NOT NULL REFERENCES model (id),
    provider       text NOT NULL REFERENCES provider (name),
    provider_model text NOT NULL,
    surfaces       text[] NOT NULL DEFAULT '{chat,messages}',  -- the shapes in which clients can call it
    priority       bigint NOT NULL DEFAULT 0 CONSTRAINT route_priority_range CHECK (priority BETWEEN 0 AND 1000),
    weight         bigint NOT NULL DEFAULT 1 CONSTRAINT route_weight_range CHECK (weight BETWEEN 1 AND 1000),
    is_enabled     boolean NOT NULL DEFAULT true,
    source         text NOT NULL DEFAULT 'admin' CONSTRAINT route_source_known CHECK (source IN ('file', 'list', 'admin')),
    CONSTRAINT route_once PRIMARY KEY (model, provider)
);

-- Amounts of credits are nano-credits. The columns that the formula does not use are null.
CREATE TABLE price (
    version               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model                 text NOT NULL,
    provider              text NOT NULL,
    formula               text NOT NULL,
    markup_basis_points   bigint,
    credits_per_usd       bigint,
    credits_per_1k        bigint,
    minimum_charge        bigint NOT NULL,
    byok_fee_basis_points bigint NOT NULL DEFAULT 0 CONSTRAINT price_byok_fee_range CHECK (byok_fee_basis_points BETWEEN 0 AND 100000),
    source                text NOT NULL DEFAULT 'admin' CONSTRAINT price_source_known CHECK (source IN ('file', 'list', 'admin')),
    source_date           date,  -- of the list
    doubts                text[] NOT NULL DEFAULT '{}',  -- a version with doubts is not sold until an administrator confirms it
    written_by_admin      uuid,
    effective_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    written_by            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT price_formula_whole CHECK (
        (CASE formula
            WHEN 'cost_plus' THEN markup_basis_points BETWEEN 0 AND 100000 AND credits_per_usd >= 0
            WHEN 'per_token' THEN credits_per_1k >= 0
            WHEN 'flat' THEN true
            ELSE false
        END) IS TRUE),
    CONSTRAINT price_minimum_not_negative CHECK (minimum_charge >= 0)
);
CREATE INDEX price_newest ON price (model, provider, effective_at DESC, version DESC);

-- The conditions of a row: the provider's tier, or a quality or size of pictures and videos, and prompts of more than a number of
-- tokens. A flat version has prices in nano-credits, and the provider's as far as the operator knows them.
CREATE TABLE unit_price (
    version            bigint NOT NULL REFERENCES price (version),
    unit               text NOT NULL,
    service_tier       text NOT NULL DEFAULT 'standard' CONSTRAINT unit_price_tier_name CHECK (service_tier ~ '^[a-z0-9_]{1,32}$'),
    above_input_tokens bigint NOT NULL DEFAULT 0 CONSTRAINT unit_price_step_range CHECK (above_input_tokens BETWEEN 0 AND 100000000),
    pico_usd           bigint NOT NULL CONSTRAINT unit_price_not_negative CHECK (pico_usd >= 0),
    flat_credits       bigint CONSTRAINT unit_price_flat_not_negative CHECK (flat_credits >= 0),
    CONSTRAINT unit_price_once PRIMARY KEY (version, unit, service_tier, above_input_tokens)
);

-- The versions with doubts that an administrator confirmed.
CREATE TABLE price_confirmation (
    version      bigint CONSTRAINT price_confirmation_once PRIMARY KEY REFERENCES price (version),
    confirmed_by uuid        NOT NULL,
    confirmed_at timestamptz NOT NULL DEFAULT now()
);

-- The version of each route that is in force. A writer compares with it, and a reader sells by it.
CREATE VIEW price_in_force AS
SELECT DISTINCT ON (model, provider) *
FROM price
WHERE effective_at <= statement_timestamp()
ORDER BY model, provider, effective_at DESC, version DESC;

CREATE FUNCTION price_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a price never changes: insert a new version';
END
$$;

CREATE TRIGGER price_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price EXECUTE FUNCTION price_is_append_only();
CREATE FUNCTION unit_price_comes_with_its_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM price WHERE version = new.version AND written_by <> pg_current_xact_id()) THEN
        RAISE EXCEPTION 'a price never changes: insert its units in its transaction';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER unit_price_once BEFORE INSERT ON unit_price FOR EACH ROW EXECUTE FUNCTION unit_price_comes_with_its_price();
CREATE TRIGGER unit_price_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON unit_price EXECUTE FUNCTION price_is_append_only();

-- What billing sells credits for: the newest message about its plans and packages.
CREATE TABLE credit_offers (
    one     boolean NOT NULL DEFAULT true CONSTRAINT credit_offers_pkey PRIMARY KEY CONSTRAINT credit_offers_one CHECK (one),
    version bigint  NOT NULL,
    message bytea   NOT NULL
);

-- Counts the changes of the tables above. Replicas read the number twice a second, and load the tables if it is new.
CREATE TABLE catalogue_change (
    one    boolean NOT NULL DEFAULT true CONSTRAINT catalogue_change_pkey PRIMARY KEY CONSTRAINT catalogue_change_one CHECK (one),
    number bigint  NOT NULL
);
INSERT INTO catalogue_change (number) VALUES (1);

CREATE FUNCTION count_catalogue_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE catalogue_change SET number = number + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER provider_counted AFTER INSERT OR UPDATE OR DELETE ON provider EXECUTE FUNCTION count_catalogue_change();
CREATE TRIGGER model_counted AFTER INSERT OR UPDATE OR DELETE ON model EXECUTE FUNCTION count_catalogue_change();
CREATE TRIGGER route_counted AFTER INSERT OR UPDATE OR DELETE ON route EXECUTE FUNCTION count_catalogue_change();
CREATE TRIGGER price_counted AFTER INSERT ON price EXECUTE FUNCTION count_catalogue_change();
CREATE TRIGGER price_confirmation_counted AFTER INSERT OR DELETE ON price_confirmation EXECUTE FUNCTION count_catalogue_change();
CREATE TRIGGER credit_offers_counted AFTER INSERT OR UPDATE ON credit_offers EXECUTE FUNCTION count_catalogue_change();

-- One call, as its account sees it. A proxy writes it after the answer, so a row may be missing; the ledger's journal has the charge.
-- Partitioned by the id, which is a time (UUIDv7), so that old days are dropped as tables.
CREATE TABLE receipt (
    charge_id           uuid        CONSTRAINT receipt_once PRIMARY KEY,
    account_id          uuid        NOT NULL,
    api_key_id          text,
    service             text,  -- the server of ours that called for the account's user
    request_id          text        NOT NULL,
    model               text        NOT NULL,
    provider            text        NOT NULL,
    provider_request_id text,
    operation           text,
    usage               jsonb       NOT NULL,  -- unit: quantity
    is_estimated        boolean     NOT NULL,
    is_stream           boolean     NOT NULL,
    is_skipped          boolean     NOT NULL,  -- no account paid: the ledger has no charge
    ended_by            text        NOT NULL CONSTRAINT receipt_end_known CHECK (
        ended_by IN ('completed', 'client_disconnected', 'provider_error', 'timed_out', 'hold_exhausted')),
    price_version       bigint      NOT NULL,
    cost_pico_usd       bigint CONSTRAINT receipt_cost_not_negative CHECK (cost_pico_usd >= 0),  -- null if a unit has no price
    held                bigint      NOT NULL,  -- nano-credits, extensions included
    price               bigint      NOT NULL,  -- nano-credits; above held, the ledger may have taken less
    started_at          timestamptz NOT NULL,
    first_token_ms      bigint,
    duration_ms         bigint      NOT NULL,
    CONSTRAINT receipt_skipped_costs_nothing CHECK (NOT is_skipped OR (held = 0 AND price = 0))
) PARTITION BY RANGE (charge_id);

SELECT create_partitions('receipt', 'day', 7);

-- The calls of the last 24 hours that clients can repeat (`Idempotency-Key`).
CREATE TABLE idempotency_key (
    account_id uuid        NOT NULL,
    key        text        NOT NULL CONSTRAINT idempotency_key_length CHECK (length(key) BETWEEN 1 AND 255),
    request    bytea       NOT NULL,  -- SHA-256 of path and body
    charge_id  uuid        NOT NULL,
    is_running boolean     NOT NULL DEFAULT true,
    media_type text,                  -- of the answer; null while the call runs, and for an answer that is too long to keep
    provider   text,
    answer     bytea CONSTRAINT idempotency_key_answer_length CHECK (length(answer) <= 1048576),
    claimed_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_key_once PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_key_claimed ON idempotency_key (claimed_at);

-- Videos that providers make. A row is written before the provider is asked; whichever replica sees the outcome charges or frees the hold.
CREATE TABLE video_job (
    charge_id       uuid        CONSTRAINT video_job_once PRIMARY KEY,
    account_id      uuid        NOT NULL,
    conversation_id uuid        NOT NULL,
    provider        text        NOT NULL REFERENCES provider (name),
    provider_job_id text,
    state           text        NOT NULL DEFAULT 'submitting' CONSTRAINT video_job_state_known CHECK (
        state IN ('submitting', 'running', 'completed', 'failed', 'lost')),
    amount          bigint      NOT NULL CONSTRAINT video_job_amount_not_negative CHECK (amount >= 0),  -- nano-credits
    is_skipped      boolean     NOT NULL,  -- no account pays
    call            jsonb       NOT NULL,  -- the facts of the charge
    idempotency_key text,
    request_digest  bytea       CONSTRAINT video_job_request_is_sha256 CHECK (length(request_digest) = 32),
    answer          bytea       CONSTRAINT video_job_answer_length CHECK (length(answer) <= 65536),  -- JSON of the provider
    created_at      timestamptz NOT NULL DEFAULT now(),
    reported_at     timestamptz NOT NULL DEFAULT now(),
    asked_at        timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    deleted_at      timestamptz,
    CONSTRAINT video_job_ended CHECK ((ended_at IS NULL) = (state IN ('submitting', 'running'))),
    CONSTRAINT video_job_running_is_known CHECK (state <> 'running' OR provider_job_id IS NOT NULL)
);
CREATE UNIQUE INDEX video_job_key_once ON video_job (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX video_job_open ON video_job (asked_at) WHERE ended_at IS NULL;
CREATE INDEX video_job_open_request ON video_job (account_id, request_digest) WHERE ended_at IS NULL;
CREATE INDEX video_job_of_account ON video_job (account_id, charge_id);
CREATE INDEX video_job_ended_at ON video_job (ended_at) WHERE ended_at IS NOT NULL;
