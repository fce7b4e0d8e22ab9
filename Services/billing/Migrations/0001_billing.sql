-- What people can buy, who they are, and what billing has had the ledger do for them.

-- The defaults are those of the first release. An administrator edits the rows.
CREATE TABLE plan (
    id text PRIMARY KEY,
    name text NOT NULL,
    position smallint NOT NULL,
    monthly_credits bigint NOT NULL,
    -- NULL: not sold for that interval, or its price stands in Stripe alone.
    price_cents_month bigint,
    price_cents_year bigint,
    -- The endpoints that its users may call; NULL: all.
    endpoints text[],
    requests_per_minute integer,
    tokens_per_minute integer,
    concurrency integer,
    priority smallint NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    CONSTRAINT plan_credits_in_range CHECK (monthly_credits BETWEEN 1 AND 1000000),
    CONSTRAINT plan_price_not_negative CHECK (price_cents_month >= 0 AND price_cents_year >= 0),
    CONSTRAINT plan_limits_positive CHECK (requests_per_minute > 0 AND tokens_per_minute > 0 AND concurrency > 0)
);

INSERT INTO plan (
    id, name, position, monthly_credits, price_cents_month, endpoints, requests_per_minute, tokens_per_minute, concurrency, priority)
VALUES
    ('free', 'Free', 1, 10, 0, ARRAY['chat', 'embeddings', 'images', 'keys'], 60, 100000, 8, 0),
    ('pro', 'Pro', 2, 500, 2900, NULL, 600, 1000000, 50, 1),
    ('enterprise', 'Enterprise', 3, 5000, 19900, NULL, 6000, 10000000, 200, 2);

CREATE TABLE package (
    id text PRIMARY KEY,
    name text NOT NULL,
    credits bigint NOT NULL,
    -- A grant of its own, which never expires.
    bonus bigint NOT NULL DEFAULT 0,
    price_cents bigint NOT NULL,
    is_popular boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    CONSTRAINT package_credits_in_range CHECK (credits BETWEEN 1 AND 100000),
    CONSTRAINT package_bonus_in_range CHECK (bonus BETWEEN 0 AND 100000),
    CONSTRAINT package_price_positive CHECK (price_cents > 0)
);

-- Two packages of one size would leave open which one a person buys by its credits.
CREATE UNIQUE INDEX package_active_credits ON package (credits) WHERE is_active;

INSERT INTO package (id, name, credits, bonus, price_cents, is_popular)
VALUES
    ('starter', 'Starter', 50, 0, 500, false),
    ('basic', 'Basic', 100, 5, 900, false),
    ('standard', 'Standard', 250, 15, 2000, true),
    ('pro', 'Pro', 500, 40, 3500, false),
    ('business', 'Business', 1000, 100, 6000, false),
    ('enterprise', 'Enterprise', 5000, 750, 25000, false);

-- The users whose address is confirmed.
CREATE TABLE customer (
    user_id uuid PRIMARY KEY,
    email text NOT NULL,
    verified_at timestamptz NOT NULL,
    plan text NOT NULL DEFAULT 'free' REFERENCES plan,
    -- The last month (UTC) whose free credits were granted, as YYYY-MM. It only saves work: the key of
    -- the effect decides.
    free_month text COLLATE "C" NOT NULL DEFAULT ''
);

CREATE INDEX customer_free_due ON customer (free_month, user_id) WHERE plan = 'free';

-- Credits that billing has had the ledger grant, each once for ever. The message is written in the
-- transaction of its row.
CREATE TABLE effect (
    -- What happened, like free:{user}:2026-11, whatever told of it and however often.
    effect_key text PRIMARY KEY,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    amount_nano bigint NOT NULL,
    expires_at timestamptz,
    -- The ledger's idempotency key: drawn once, here, and sent with every delivery.
    charge_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT effect_charge_once UNIQUE (charge_id),
    CONSTRAINT effect_kind_known CHECK (kind IN ('purchase', 'plan_grant', 'bonus')),
    CONSTRAINT effect_amount_positive CHECK (amount_nano > 0)
);

CREATE INDEX effect_account ON effect (account_id, created_at);
