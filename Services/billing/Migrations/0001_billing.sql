-- Plans and packages, the users who can buy them, their orders and subscriptions, Stripe's events, and the
-- credits that billing tells the ledger to grant or to take back.

-- The defaults are those of the first release. An administrator edits the rows.
CREATE TABLE plan (
    id text PRIMARY KEY,
    name text NOT NULL,
    -- A plan with a greater position is an upgrade. Two plans may swap theirs in one transaction.
    position smallint NOT NULL,
    monthly_credits bigint NOT NULL,
    -- The lines that the page of plans shows.
    features text[] NOT NULL,
    -- The endpoints that its users may call; NULL: all.
    endpoints text[],
    requests_per_minute integer,
    tokens_per_minute integer,
    concurrency integer,
    priority smallint NOT NULL,
    is_popular boolean NOT NULL DEFAULT false,
    -- False: users cannot choose the plan any more. A user who has the plan keeps it.
    is_active boolean NOT NULL DEFAULT true,
    CONSTRAINT plan_position_once UNIQUE (position) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT plan_credits_in_range CHECK (monthly_credits BETWEEN 1 AND 1000000),
    CONSTRAINT plan_limits_positive CHECK (requests_per_minute > 0 AND tokens_per_minute > 0 AND concurrency > 0)
);

INSERT INTO plan (
    id, name, position, monthly_credits, features, endpoints, requests_per_minute, tokens_per_minute, concurrency, priority, is_popular)
VALUES
    ('free', 'Free', 1, 10, ARRAY['Image generation', 'Community support'], ARRAY['chat', 'embeddings', 'images', 'keys'], 60, 100000, 8,
        0, false),
    ('pro', 'Pro', 2, 500, ARRAY['All generation types', 'Priority queue', 'API access'], NULL, 600, 1000000, 50, 1, true),
    ('enterprise', 'Enterprise', 3, 5000, ARRAY['Custom models', 'SLA', 'Dedicated support'], NULL, 6000, 10000000, 200, 2, false);

-- Stripe's prices of the plans. A price that is sold no more stays: subscriptions may still have it.
CREATE TABLE plan_price (
    -- Stripe's id.
    price_id text PRIMARY KEY,
    plan text NOT NULL REFERENCES plan,
    billing_interval text NOT NULL,
    amount_cents bigint NOT NULL,
    currency text NOT NULL,
    -- True for the price that new subscriptions get.
    is_current boolean NOT NULL,
    CONSTRAINT plan_price_interval_known CHECK (billing_interval IN ('month', 'year')),
    CONSTRAINT plan_price_positive CHECK (amount_cents > 0)
);

CREATE UNIQUE INDEX plan_price_current ON plan_price (plan, billing_interval) WHERE is_current;

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
    -- The amounts that Stripe accepts in one payment, in cents.
    CONSTRAINT package_price_in_range CHECK (price_cents BETWEEN 50 AND 99999999)
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

-- Counts the changes of plans, packages and Stripe's prices of plans. Each change locks the row, so that
-- changes and their messages have one order.
CREATE TABLE catalogue_version (
    one boolean NOT NULL DEFAULT true CONSTRAINT catalogue_version_pkey PRIMARY KEY CONSTRAINT catalogue_version_one CHECK (one),
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    is_announced boolean NOT NULL DEFAULT false
);

INSERT INTO catalogue_version (version, changed_at) VALUES (1, now());

-- The users whose address is confirmed, and the plan that each has.
CREATE TABLE customer (
    user_id uuid PRIMARY KEY,
    email text NOT NULL,
    verified_at timestamptz NOT NULL,
    -- Stripe's id. NULL: the user has bought nothing yet, or Stripe's customer was deleted.
    stripe_customer_id text,
    -- Counts Stripe's customers of the user: the idempotency key of the next one contains it.
    stripe_generation integer NOT NULL DEFAULT 1,
    plan text NOT NULL DEFAULT 'free' REFERENCES plan,
    -- The end of the plan unless a payment prolongs it. NULL: no end.
    plan_until timestamptz,
    -- Counts the announced changes of the plan.
    plan_seq bigint NOT NULL DEFAULT 0,
    -- The last month (UTC) whose free credits were granted, as YYYY-MM. It only saves work: the key of
    -- the effect decides.
    free_month text COLLATE "C" NOT NULL DEFAULT '',
    CONSTRAINT customer_stripe_once UNIQUE (stripe_customer_id)
);

CREATE INDEX customer_free_due ON customer (free_month, user_id) WHERE plan = 'free';
CREATE INDEX customer_plan_ends ON customer (plan_until) WHERE plan_until IS NOT NULL;

-- Calls of Stripe that change something. The row is committed before the call, so that a repeated call
-- has the same idempotency key and the same parameters. Kept for 90 days.
CREATE TABLE stripe_operation (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    -- The id of what the call is about: a user, a purchase, a subscription.
    subject text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    -- The form, as it is sent.
    parameters text NOT NULL,
    idempotency_key text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    -- Stripe's id of the object that the call made.
    object_id text,
    -- Stripe's reason for a refusal.
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT stripe_operation_key_once UNIQUE (idempotency_key),
    CONSTRAINT stripe_operation_state_known CHECK (state IN ('pending', 'succeeded', 'failed'))
);

-- The acts on a subscription share a place: two at once could each be decided on what the other changes.
CREATE UNIQUE INDEX stripe_operation_pending ON stripe_operation (
    (CASE WHEN kind IN ('change_plan', 'cancel', 'resume') THEN 'act' ELSE kind END), subject)
    WHERE state = 'pending';
CREATE INDEX stripe_operation_acts ON stripe_operation (subject) WHERE kind IN ('change_plan', 'cancel', 'resume');
CREATE INDEX stripe_operation_age ON stripe_operation (created_at);
CREATE INDEX stripe_operation_open ON stripe_operation (created_at) WHERE state = 'pending';

-- Orders on Stripe's checkout page. Credits, bonus and price are those of the moment of the order.
CREATE TABLE purchase (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES customer,
    kind text NOT NULL,
    -- The name of the package; NULL for an amount of the user's own, and for a subscription.
    package text,
    credits bigint NOT NULL,
    bonus bigint NOT NULL DEFAULT 0,
    amount_cents bigint NOT NULL,
    currency text NOT NULL,
    -- A subscription's plan and Stripe's price of it.
    plan text REFERENCES plan,
    price_id text,
    status text NOT NULL DEFAULT 'creating',
    success_url text NOT NULL,
    cancel_url text NOT NULL,
    session_id text,
    session_url text,
    session_expires_at timestamptz NOT NULL,
    -- The last time that a page of the user had Stripe asked.
    asked_at timestamptz,
    payment_intent_id text,
    -- The cents that Stripe took, with tax. Refunds are compared with this amount.
    paid_cents bigint,
    -- Why a person must look at it. An administrator who closes the review makes the order `failed`.
    review text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT purchase_session_once UNIQUE (session_id),
    CONSTRAINT purchase_payment_once UNIQUE (payment_intent_id),
    CONSTRAINT purchase_kind_known CHECK (kind IN ('credits', 'subscription')),
    CONSTRAINT purchase_status_known CHECK (
        status IN ('creating', 'open', 'awaiting_payment', 'paid', 'failed', 'expired', 'review')),
    CONSTRAINT purchase_review_has_reason CHECK (status <> 'review' OR review IS NOT NULL)
);

CREATE INDEX purchase_user ON purchase (user_id, id);
CREATE INDEX purchase_unfinished ON purchase (created_at) WHERE status IN ('creating', 'open', 'awaiting_payment');
-- A second click finds the order of the first one.
CREATE UNIQUE INDEX purchase_open_credits ON purchase (user_id, credits)
    WHERE kind = 'credits' AND status IN ('creating', 'open');
CREATE UNIQUE INDEX purchase_open_subscription ON purchase (user_id)
    WHERE kind = 'subscription' AND status IN ('creating', 'open', 'awaiting_payment');
CREATE INDEX purchase_paid ON purchase (ended_at) WHERE kind = 'credits' AND status = 'paid';
CREATE INDEX purchase_expired ON purchase (ended_at) WHERE status = 'expired';
CREATE INDEX purchase_review ON purchase (id) WHERE status = 'review';

-- Stripe's subscriptions, as they were when Stripe was last asked.
CREATE TABLE subscription (
    id text PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES customer,
    status text NOT NULL,
    item_id text NOT NULL,
    price_id text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    -- The end that was ordered. NULL: it renews.
    cancel_at timestamptz,
    created_at timestamptz NOT NULL,
    synced_at timestamptz NOT NULL
);

CREATE INDEX subscription_user ON subscription (user_id, created_at);
CREATE INDEX subscription_stale ON subscription (synced_at) WHERE status NOT IN ('canceled', 'incomplete_expired');
CREATE INDEX subscription_running ON subscription (user_id, price_id) WHERE status NOT IN ('canceled', 'incomplete_expired');

-- Invoices of subscriptions that gave credits, or will have to be looked at.
CREATE TABLE invoice (
    id text PRIMARY KEY,
    subscription_id text NOT NULL,
    user_id uuid NOT NULL REFERENCES customer,
    billing_reason text NOT NULL,
    total_cents bigint NOT NULL,
    -- The plan that it paid for, and its period.
    plan text REFERENCES plan,
    period_start timestamptz,
    period_end timestamptz,
    -- True if it paid for a whole period, and not for the rest of one.
    is_whole boolean NOT NULL DEFAULT false,
    -- True while no part of the money stays with the operator.
    is_returned boolean NOT NULL DEFAULT false,
    -- Why a person must look at it. NULL once an administrator has closed the review.
    review text,
    paid_at timestamptz NOT NULL
);

CREATE INDEX invoice_subscription ON invoice (subscription_id, paid_at);
CREATE INDEX invoice_user ON invoice (user_id);
CREATE INDEX invoice_review ON invoice (id) WHERE review IS NOT NULL;
-- A period is paid once: a second invoice for it needs a person.
CREATE UNIQUE INDEX invoice_period_once ON invoice (subscription_id, period_start) WHERE is_whole AND review IS NULL;

-- Rows that wait for an administrator.
CREATE VIEW review AS
SELECT 'purchase' AS kind, id::text AS id, user_id, review AS reason, coalesce(ended_at, created_at) AS since
FROM purchase
WHERE status = 'review'
UNION ALL
SELECT 'invoice', id, user_id, review, paid_at
FROM invoice
WHERE review IS NOT NULL
UNION ALL
SELECT 'subscription', id, user_id, 'unknown price ' || price_id, created_at
FROM subscription
WHERE status NOT IN ('canceled', 'incomplete_expired')
    AND NOT EXISTS (SELECT FROM plan_price WHERE plan_price.price_id = subscription.price_id);

-- Credits of invoices by month: one row for a month, twelve for a year. A row whose time has come
-- becomes an effect.
CREATE TABLE instalment (
    invoice_id text NOT NULL REFERENCES invoice,
    number smallint NOT NULL,
    due_at timestamptz NOT NULL,
    -- The end of the credits.
    expires_at timestamptz NOT NULL,
    amount_nano bigint NOT NULL,
    -- The part of the amount that remains after refunds.
    kept_nano bigint NOT NULL,
    -- True once it is an effect, or its subscription ended before.
    is_settled boolean NOT NULL DEFAULT false,
    PRIMARY KEY (invoice_id, number),
    CONSTRAINT instalment_kept_in_range CHECK (kept_nano BETWEEN 0 AND amount_nano)
);

CREATE INDEX instalment_due ON instalment (due_at) WHERE NOT is_settled AND kept_nano > 0;

-- Credits that billing has had the ledger grant, each once for ever. The message is written in the
-- transaction of its row.
CREATE TABLE effect (
    -- The name of the cause, such as free:{user}:2026-11. Several messages about one cause lead to the same
    -- key, so its credits are granted once.
    effect_key text PRIMARY KEY,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    amount_nano bigint NOT NULL,
    expires_at timestamptz,
    -- The ledger's idempotency key: drawn once, here, and sent with every delivery.
    charge_id uuid NOT NULL,
    -- purchase:{id} or invoice:{id}; NULL for free credits.
    source text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT effect_charge_once UNIQUE (charge_id),
    CONSTRAINT effect_kind_known CHECK (kind IN ('purchase', 'plan_grant', 'bonus')),
    CONSTRAINT effect_amount_positive CHECK (amount_nano > 0)
);

CREATE INDEX effect_account ON effect (account_id, created_at);
CREATE INDEX effect_source ON effect (source) WHERE source IS NOT NULL;

-- Statements about credits that are taken back from an effect. The last version counts.
CREATE TABLE reversal (
    effect_key text NOT NULL REFERENCES effect,
    version integer NOT NULL,
    -- The total that is taken back.
    target_nano bigint NOT NULL,
    reason text NOT NULL,
    charge_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (effect_key, version),
    CONSTRAINT reversal_charge_once UNIQUE (charge_id),
    CONSTRAINT reversal_target_not_negative CHECK (target_nano >= 0)
);

-- Disputes, by Stripe's id. A user with an open one buys nothing.
CREATE TABLE dispute (
    id text PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES customer,
    source text NOT NULL,
    status text NOT NULL,
    amount_cents bigint NOT NULL,
    is_open boolean NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX dispute_open ON dispute (user_id) WHERE is_open;

-- Stripe's events, as they came: stored before they are acknowledged. Kept for 90 days.
CREATE TABLE stripe_event (
    id text PRIMARY KEY,
    type text NOT NULL,
    api_version text,
    created_at timestamptz NOT NULL,
    -- webhook, or sweep.
    found_by text NOT NULL,
    raw bytea NOT NULL,
    object_id text,
    state text NOT NULL DEFAULT 'received',
    attempts integer NOT NULL DEFAULT 0,
    deliveries integer NOT NULL DEFAULT 1,
    received_at timestamptz NOT NULL DEFAULT now(),
    -- The time of the next attempt. While the event is in work: the end of the lease.
    due_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    ended_at timestamptz,
    CONSTRAINT stripe_event_state_known CHECK (state IN ('received', 'working', 'retry', 'done', 'ignored', 'dead'))
);

CREATE INDEX stripe_event_due ON stripe_event (due_at) WHERE state IN ('received', 'working', 'retry');
CREATE INDEX stripe_event_received ON stripe_event (received_at);
CREATE INDEX stripe_event_state ON stripe_event (state, received_at);

-- Numbers the askings of Stripe, and keeps for each object the number of the last answer that was written.
-- The answer of an earlier asking is dropped.
CREATE SEQUENCE stripe_reading_number;

CREATE TABLE stripe_reading (
    -- purchase:{id}, subscription:{id}, or returns:{id} of a purchase or an invoice.
    subject text PRIMARY KEY,
    number bigint NOT NULL
);

-- How far each sweep of Stripe's lists has come.
CREATE TABLE sweep (
    name text PRIMARY KEY,
    -- All that Stripe made before has been seen.
    seen_until timestamptz NOT NULL,
    swept_at timestamptz NOT NULL
);
