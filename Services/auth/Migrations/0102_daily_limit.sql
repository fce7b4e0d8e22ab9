-- A key may also be kept to so many credits a day; spending_limit is what it may spend in a month.

ALTER TABLE api_key
    ADD COLUMN daily_spending_limit bigint NULL CONSTRAINT api_key_daily_limit_positive CHECK (daily_spending_limit > 0);
