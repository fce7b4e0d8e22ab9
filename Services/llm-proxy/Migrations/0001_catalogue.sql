-- The models that can be called, with their names and prices. Prices are versions with a time, never changed, so that every receipt
-- can be recomputed. A row with source 'file' follows the providers file; one with source 'admin' is left alone by it.

CREATE TABLE provider (
    name text PRIMARY KEY,
    kind text NOT NULL DEFAULT 'openai',
    base_url text NOT NULL,
    api_key_variable text NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true,
    source text NOT NULL DEFAULT 'admin',
    CONSTRAINT provider_source_known CHECK (source IN ('file', 'admin'))
);

CREATE TABLE model (
    id text PRIMARY KEY,
    provider text NOT NULL REFERENCES provider (name),
    provider_model text NOT NULL,
    context_tokens bigint NOT NULL,
    max_output_tokens bigint NOT NULL,
    default_output_tokens bigint NOT NULL,
    output_tokens_least bigint NOT NULL,
    image_tokens_max bigint,
    reasoning text NOT NULL,
    output_limit_member text NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true,
    source text NOT NULL DEFAULT 'admin',
    -- Since then the file, to which the row belongs, does not name the model.
    withdrawn_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT model_source_known CHECK (source IN ('file', 'admin')),
    CONSTRAINT model_tokens_bounded CHECK (
        context_tokens BETWEEN 1 AND 100000000
        AND max_output_tokens BETWEEN 1 AND least(context_tokens, 10000000)
        AND default_output_tokens BETWEEN 1 AND max_output_tokens
        AND output_tokens_least BETWEEN 1 AND max_output_tokens
        AND image_tokens_max BETWEEN 1 AND 1000000),
    CONSTRAINT model_reasoning_known CHECK (reasoning IN ('none', 'visible', 'hidden')),
    CONSTRAINT model_output_limit_member_known CHECK (output_limit_member IN ('max_tokens', 'max_completion_tokens'))
);

CREATE TABLE price (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL REFERENCES model (id),
    prompt_pico_usd bigint NOT NULL,
    completion_pico_usd bigint NOT NULL,
    effective_at timestamptz NOT NULL DEFAULT now(),
    source text NOT NULL DEFAULT 'admin',
    CONSTRAINT price_source_known CHECK (source IN ('file', 'admin')),
    CONSTRAINT price_not_negative CHECK (prompt_pico_usd >= 0 AND completion_pico_usd >= 0),
    CONSTRAINT price_once_a_moment UNIQUE (model, effective_at)
);
