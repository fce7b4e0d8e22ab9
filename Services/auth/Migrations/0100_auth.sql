-- People, what they prove themselves with, and what was issued to them. Secrets are here only as hashes, or sealed with the
-- master key: a copy of this schema alone opens nothing.

CREATE TABLE users (
    id            uuid        NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
    email         text        NOT NULL CONSTRAINT users_email_form CHECK (email = lower(email) AND length(email) <= 254),
    full_name     text        NULL CONSTRAINT users_full_name_length CHECK (length(full_name) <= 200),
    role          text        NOT NULL CONSTRAINT users_role CHECK (role IN ('user', 'admin')),
    plan          text        NOT NULL,
    active        boolean     NOT NULL DEFAULT true,
    token_version bigint      NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL,
    CONSTRAINT users_email_key UNIQUE (email)
);

-- An Argon2id PHC string, sealed under "password/<user id>": rows cannot be swapped, and a leaked table cannot be cracked.
CREATE TABLE password_credential (
    user_id    uuid        NOT NULL CONSTRAINT password_credential_pkey PRIMARY KEY
                           CONSTRAINT password_credential_user REFERENCES users (id) ON DELETE CASCADE,
    sealed     bytea       NOT NULL,
    updated_at timestamptz NOT NULL
);

-- One row a sign-in, whatever the number of refreshes.
CREATE TABLE session (
    id                  uuid        NOT NULL CONSTRAINT session_pkey PRIMARY KEY,
    user_id             uuid        NOT NULL CONSTRAINT session_owner REFERENCES users (id) ON DELETE CASCADE,
    client_id           text        NOT NULL,
    salt                bytea       NOT NULL CONSTRAINT session_salt_length CHECK (octet_length(salt) = 16),
    generation          bigint      NOT NULL,
    authenticated_at    timestamptz NOT NULL,
    rotated_at          timestamptz NOT NULL,
    idle_expires_at     timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    revoked_at          timestamptz NULL,
    ip                  text        NULL,
    user_agent          text        NULL
);

CREATE INDEX session_of_user ON session (user_id) WHERE revoked_at IS NULL;
-- The job that deletes expired sessions finds them here, without reading live sessions.
CREATE INDEX session_end ON session (idle_expires_at);
CREATE INDEX session_revoked ON session (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE signing_key (
    id             text        NOT NULL CONSTRAINT signing_key_pkey PRIMARY KEY,
    state          text        NOT NULL CONSTRAINT signing_key_state CHECK (state IN ('standby', 'current', 'retired')),
    since          timestamptz NOT NULL,
    x              bytea       NOT NULL CONSTRAINT signing_key_x_length CHECK (octet_length(x) = 32),
    y              bytea       NOT NULL CONSTRAINT signing_key_y_length CHECK (octet_length(y) = 32),
    private_sealed bytea       NOT NULL,
    created_at     timestamptz NOT NULL
);

-- However many replicas start at once, there is one key that signs and one that will.
CREATE UNIQUE INDEX signing_key_one_current ON signing_key (state) WHERE state = 'current';
CREATE UNIQUE INDEX signing_key_one_standby ON signing_key (state) WHERE state = 'standby';

-- The secret is 190 random bits, so its plain SHA-256 is safe at rest.
CREATE TABLE api_key (
    id                 text        NOT NULL CONSTRAINT api_key_pkey PRIMARY KEY
                                   CONSTRAINT api_key_id_form CHECK (id ~ '^[0-9A-Za-z]{10}$'),
    user_id            uuid        NOT NULL CONSTRAINT api_key_user REFERENCES users (id) ON DELETE CASCADE,
    secret_sha256      bytea       NOT NULL CONSTRAINT api_key_secret_length CHECK (octet_length(secret_sha256) = 32),
    last4              text        NOT NULL CONSTRAINT api_key_last4_length CHECK (length(last4) = 4),
    name               text        NOT NULL CONSTRAINT api_key_name_length CHECK (length(name) BETWEEN 1 AND 64),
    scopes             text[]      NOT NULL,
    spending_limit     bigint      NULL CONSTRAINT api_key_limit_positive CHECK (spending_limit > 0),  -- a month
    daily_spending_limit bigint    NULL CONSTRAINT api_key_daily_limit_positive CHECK (daily_spending_limit > 0),
    created_at         timestamptz NOT NULL,
    created_by_session uuid        NOT NULL,
    expires_at         timestamptz NULL,
    last_used_at       timestamptz NULL,
    revoked_at         timestamptz NULL
);

CREATE INDEX api_key_of_user ON api_key (user_id) WHERE revoked_at IS NULL;
CREATE INDEX api_key_revoked ON api_key (revoked_at) WHERE revoked_at IS NOT NULL;

-- Failed sign-ins by address digest, whether or not the address belongs to anybody.
CREATE TABLE login_failure (
    email_sha256   bytea       NOT NULL CONSTRAINT login_failure_pkey PRIMARY KEY
                               CONSTRAINT login_failure_length CHECK (octet_length(email_sha256) = 32),
    failures       bigint      NOT NULL,
    last_failed_at timestamptz NOT NULL
);

CREATE INDEX login_failure_age ON login_failure (last_failed_at);

-- Who did what from where. Never a token, a password or a key.
CREATE TABLE audit (
    id         uuid        NOT NULL CONSTRAINT audit_pkey PRIMARY KEY,
    at         timestamptz NOT NULL,
    event      text        NOT NULL,
    outcome    text        NOT NULL CONSTRAINT audit_outcome CHECK (outcome IN ('success', 'failure')),
    user_id    uuid        NULL,
    subject    text        NULL,
    ip         text        NULL,
    user_agent text        NULL
);

CREATE INDEX audit_of_user ON audit (user_id, at);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit rows are never changed';
END
$$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
