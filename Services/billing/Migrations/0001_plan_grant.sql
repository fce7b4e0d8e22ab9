-- What each person's plan gave: one row a person and period, so that a month's credits are granted once, whatever is delivered twice.

CREATE TABLE plan_grant (
    user_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    plan text NOT NULL,
    -- The ledger's idempotency key: drawn once, here, and sent with every delivery.
    charge_id uuid NOT NULL,
    amount_nano bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, period_start),
    CONSTRAINT plan_grant_charge_once UNIQUE (charge_id),
    CONSTRAINT plan_grant_positive CHECK (amount_nano > 0),
    CONSTRAINT plan_grant_expires_later CHECK (expires_at > period_start)
);
