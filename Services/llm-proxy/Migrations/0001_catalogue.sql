-- Who can be called, under which name, at which price; prices are versions with a time, never changed, so that every receipt can be recomputed.

CREATE TABLE provider (
    name text PRIMARY KEY,
    base_url text NOT NULL,
    api_key_variable text NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true
);

CREATE TABLE model (
    id text PRIMARY KEY,
    provider text NOT NULL REFERENCES provider (name),
    provider_model text NOT NULL,
    context_tokens bigint NOT NULL,
    usual_output_tokens bigint NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT model_tokens_positive CHECK (context_tokens > 0 AND usual_output_tokens > 0)
);

CREATE TABLE price (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL REFERENCES model (id),
    prompt_pico_usd bigint NOT NULL,
    completion_pico_usd bigint NOT NULL,
    effective_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT price_not_negative CHECK (prompt_pico_usd >= 0 AND completion_pico_usd >= 0),
    CONSTRAINT price_once_a_moment UNIQUE (model, effective_at)
);
