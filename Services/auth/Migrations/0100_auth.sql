-- People, what they prove themselves with, and what was issued to them. Secrets are here only as hashes, or sealed with the
-- master key: a copy of this schema alone opens nothing.

CREATE TABLE users (
    id            uuid        NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
    -- In the order of bytes, so that the index finds the beginning of an address.
    email         text        COLLATE "C" NOT NULL CONSTRAINT users_email_form CHECK (email = lower(email) AND length(email) <= 254),
    full_name     text        NULL CONSTRAINT users_full_name_length CHECK (length(full_name) <= 200),
    role          text        NOT NULL CONSTRAINT users_role CHECK (role IN ('user', 'admin')),
    -- A copy: billing decides. plan_seq is the number of the last message that was applied.
    plan          text        NOT NULL,
    plan_seq      bigint      NOT NULL DEFAULT 0,
    locale        text        NOT NULL DEFAULT 'en' CONSTRAINT users_locale CHECK (locale IN ('en', 'th')),
    time_zone     text        NOT NULL DEFAULT 'UTC' CONSTRAINT users_time_zone_length CHECK (length(time_zone) BETWEEN 1 AND 64),
    active        boolean     NOT NULL DEFAULT true,
    token_version bigint      NOT NULL DEFAULT 0,
    email_verified_at timestamptz NULL,
    low_balance_mail boolean  NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL,
    -- The last change of role, plan or active. Each change raises token_version.
    changed_at    timestamptz NULL,
    CONSTRAINT users_email_key UNIQUE (email)
);

CREATE INDEX users_changed ON users (changed_at) WHERE changed_at IS NOT NULL;
CREATE INDEX users_deactivated ON users (id) WHERE NOT active;

-- A user who signs in with an OpenID provider may have none. An Argon2id PHC string, sealed under "password/<user id>": rows cannot be swapped, and a leaked table cannot be cracked.
CREATE TABLE password_credential (
    user_id    uuid        NOT NULL CONSTRAINT password_credential_pkey PRIMARY KEY
                           CONSTRAINT password_credential_user REFERENCES users (id) ON DELETE CASCADE,
    sealed     bytea       NOT NULL,
    updated_at timestamptz NOT NULL
);

-- The identities of people at OpenID providers. A person is who the provider says by (issuer, subject), never by an address.
CREATE TABLE external_identity (
    issuer       text        NOT NULL CONSTRAINT external_identity_issuer_length CHECK (length(issuer) <= 255),
    subject      text        NOT NULL CONSTRAINT external_identity_subject_length CHECK (length(subject) BETWEEN 1 AND 255),
    user_id      uuid        NOT NULL CONSTRAINT external_identity_user REFERENCES users (id) ON DELETE CASCADE,
    provider_id  text        NOT NULL,
    email        text        NULL CONSTRAINT external_identity_email_length CHECK (length(email) <= 254),
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    CONSTRAINT external_identity_pkey PRIMARY KEY (issuer, subject)
);

CREATE INDEX external_identity_of_user ON external_identity (user_id);

-- Sign-ins that browsers have begun at OpenID providers. Neither the state nor the cookie of the browser can be read from here.
CREATE TABLE openid_attempt (
    state_sha256   bytea       NOT NULL CONSTRAINT openid_attempt_pkey PRIMARY KEY
                               CONSTRAINT openid_attempt_state_length CHECK (octet_length(state_sha256) = 32),
    browser_sha256 bytea       NOT NULL CONSTRAINT openid_attempt_browser_length CHECK (octet_length(browser_sha256) = 32),
    provider_id    text        NOT NULL,
    nonce          text        NOT NULL,
    pkce_verifier  text        NOT NULL,
    next_path      text        NOT NULL CONSTRAINT openid_attempt_next_length CHECK (length(next_path) <= 1024),
    -- Who links an identity, and in which session; NULL for a sign-in.
    user_id        uuid        NULL CONSTRAINT openid_attempt_user REFERENCES users (id) ON DELETE CASCADE,
    session_id     uuid        NULL,
    -- The person must sign in at the provider at this time or later; NULL for a sign-in at any time.
    fresh_since    timestamptz NULL,
    expires_at     timestamptz NOT NULL,
    CONSTRAINT openid_attempt_linker CHECK ((user_id IS NULL) = (session_id IS NULL))
);

CREATE INDEX openid_attempt_end ON openid_attempt (expires_at);

-- One row a sign-in, whatever the number of refreshes.
CREATE TABLE session (
    id                  uuid        NOT NULL CONSTRAINT session_pkey PRIMARY KEY,
    user_id             uuid        NOT NULL CONSTRAINT session_owner REFERENCES users (id) ON DELETE CASCADE,
    client_id           text        NOT NULL,
    scope               text        NOT NULL,  -- names, separated by blanks; empty: all
    is_device           boolean     NOT NULL,  -- connected by a code
    device_name         text        NULL CONSTRAINT session_device_name_length CHECK (length(device_name) <= 64),
    salt                bytea       NOT NULL CONSTRAINT session_salt_length CHECK (octet_length(salt) = 16),
    generation          bigint      NOT NULL,
    authenticated_at    timestamptz NOT NULL,
    rotated_at          timestamptz NOT NULL,
    idle_expires_at     timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    revoked_at          timestamptz NULL,
    ip                  text        NULL,
    network             text        NULL,  -- the IPv4 address or the IPv6 /64 of the sign-in
    user_agent          text        NULL,
    -- SHA-256 of the secret in a browser's cookie; NULL for a session without a cookie.
    cookie_sha256       bytea       NULL CONSTRAINT session_cookie_length CHECK (octet_length(cookie_sha256) = 32)
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
    scopes             text[]      NOT NULL CONSTRAINT api_key_scopes_given CHECK (cardinality(scopes) >= 1),
    spending_limit     bigint      NULL CONSTRAINT api_key_limit_positive CHECK (spending_limit > 0),  -- a month
    daily_spending_limit bigint    NULL CONSTRAINT api_key_daily_limit_positive CHECK (daily_spending_limit > 0),
    created_at         timestamptz NOT NULL,
    created_by_session uuid        NOT NULL,
    form_id            uuid        NULL,  -- of the form of a page
    expires_at         timestamptz NULL,
    last_used_at       timestamptz NULL,
    revoked_at         timestamptz NULL
);

-- A form that is sent twice makes one key.
CREATE UNIQUE INDEX api_key_of_form ON api_key (user_id, form_id) WHERE form_id IS NOT NULL;
CREATE INDEX api_key_created ON api_key (created_at);
CREATE INDEX api_key_of_user ON api_key (user_id) WHERE revoked_at IS NULL;
CREATE INDEX api_key_revoked ON api_key (revoked_at) WHERE revoked_at IS NOT NULL;

-- Attempts to sign in by account and place, whether or not an account has the address. A place is a known device, or the network of
-- the client. The place '' counts the failures at all places.
CREATE TABLE sign_in_attempt (
    email_sha256 bytea       NOT NULL CONSTRAINT sign_in_attempt_length CHECK (octet_length(email_sha256) = 32),
    place        text        NOT NULL,
    failures     bigint      NOT NULL,
    last_at      timestamptz NULL,
    CONSTRAINT sign_in_attempt_pkey PRIMARY KEY (email_sha256, place)
);

CREATE INDEX sign_in_attempt_age ON sign_in_attempt (last_at);

-- Mails that wait to be sent. A link's token is derived from the id, so that none stands here.
CREATE TABLE mail (
    id          uuid        NOT NULL CONSTRAINT mail_pkey PRIMARY KEY,
    template    text        NOT NULL,
    facts       jsonb       NULL,  -- of a mail that another service asked for
    user_id     uuid        NULL CONSTRAINT mail_user REFERENCES users (id) ON DELETE CASCADE,
    recipient   text        NOT NULL CONSTRAINT mail_recipient_length CHECK (length(recipient) <= 254),
    created_at  timestamptz NOT NULL,
    next_try_at timestamptz NOT NULL,
    tries       bigint      NOT NULL DEFAULT 0
);

CREATE INDEX mail_due ON mail (next_try_at);

-- The last mail of each template that another service asked for. It limits such mails to one a day for each user and template.
CREATE TABLE last_mail (
    user_id     uuid        NOT NULL CONSTRAINT last_mail_user REFERENCES users (id) ON DELETE CASCADE,
    template    text        NOT NULL,
    accepted_at timestamptz NOT NULL,
    CONSTRAINT last_mail_pkey PRIMARY KEY (user_id, template)
);

-- The newest link of each purpose. An older one is not valid.
CREATE TABLE one_time_link (
    user_id      uuid        NOT NULL CONSTRAINT one_time_link_user REFERENCES users (id) ON DELETE CASCADE,
    purpose      text        NOT NULL,
    token_sha256 bytea       NOT NULL CONSTRAINT one_time_link_token_key UNIQUE
                             CONSTRAINT one_time_link_token_length CHECK (octet_length(token_sha256) = 32),
    email        text        NOT NULL,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz NULL,
    CONSTRAINT one_time_link_pkey PRIMARY KEY (user_id, purpose)
);

-- Devices that ask to be signed in. Neither code can be read from here: the user code has too few bits for a hash without a key.
CREATE TABLE device_grant (
    id                 uuid        NOT NULL CONSTRAINT device_grant_pkey PRIMARY KEY,
    device_code_sha256 bytea       NOT NULL CONSTRAINT device_grant_device_code_key UNIQUE
                                   CONSTRAINT device_grant_device_code_length CHECK (octet_length(device_code_sha256) = 32),
    user_code_hmac     bytea       NOT NULL CONSTRAINT device_grant_user_code_length CHECK (octet_length(user_code_hmac) = 32),
    client_id          text        NOT NULL,
    scope              text        NOT NULL,
    device_name        text        NULL CONSTRAINT device_grant_device_name_length CHECK (length(device_name) <= 64),
    ip                 text        NULL,
    network            text        NULL,
    user_agent         text        NULL,
    state              text        NOT NULL CONSTRAINT device_grant_state CHECK (state IN ('pending', 'approved', 'denied', 'redeemed')),
    user_id            uuid        NULL CONSTRAINT device_grant_user REFERENCES users (id) ON DELETE CASCADE,
    token_version      bigint      NULL,
    decided_at         timestamptz NULL,
    decided_ip         text        NULL,
    session_id         uuid        NULL,
    redeemed_at        timestamptz NULL,
    poll_interval_ms   bigint      NOT NULL,
    last_polled_at     timestamptz NULL,
    slowed_at          timestamptz NULL,
    created_at         timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    CONSTRAINT device_grant_decided CHECK ((state = 'pending') = (user_id IS NULL) AND (user_id IS NULL) = (token_version IS NULL)),
    CONSTRAINT device_grant_redeemed CHECK ((state = 'redeemed') = (session_id IS NOT NULL))
);

CREATE UNIQUE INDEX device_grant_pending_code ON device_grant (user_code_hmac) WHERE state = 'pending';
CREATE INDEX device_grant_code ON device_grant (user_code_hmac);
CREATE INDEX device_grant_end ON device_grant (expires_at);

-- There is a row once the first administrator was made: the variables that name it are never read again.
CREATE TABLE first_admin (
    one     boolean     NOT NULL DEFAULT true CONSTRAINT first_admin_pkey PRIMARY KEY CONSTRAINT first_admin_one CHECK (one),
    made_at timestamptz NOT NULL
);

-- The acts of users and administrators, with their addresses. A row never holds a token, a password or a key. The table is partitioned
-- by the month of the id, and a month is dropped after AUDIT_MONTHS.
CREATE TABLE audit (
    id         uuid        NOT NULL CONSTRAINT audit_pkey PRIMARY KEY,
    at         timestamptz NOT NULL,
    event      text        NOT NULL,
    outcome    text        NOT NULL CONSTRAINT audit_outcome CHECK (outcome IN ('success', 'failure')),
    user_id    uuid        NULL,
    subject    text        NULL,
    ip         text        NULL,
    user_agent text        NULL
) PARTITION BY RANGE (id);

CREATE INDEX audit_of_user ON audit (user_id, id);

SELECT create_partitions('audit', 'month', 3);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit rows are never changed';
END
$$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();

CREATE TRIGGER audit_not_truncated BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
