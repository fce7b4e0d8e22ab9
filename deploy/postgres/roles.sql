-- One login role per service that owns one schema and can reach nothing else.
-- Run by the superuser with psql variables auth_password, ledger_password, llm_proxy_password, billing_password; safe to run again.

-- Neither a slow nor a failing statement may put a password into the server's log.
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['auth', 'ledger', 'llm_proxy', 'billing']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE auth PASSWORD :'auth_password';
ALTER ROLE ledger PASSWORD :'ledger_password';
ALTER ROLE llm_proxy PASSWORD :'llm_proxy_password';
ALTER ROLE billing PASSWORD :'billing_password';

SELECT 'CREATE DATABASE smartspec'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'smartspec')
\gexec

REVOKE ALL ON DATABASE smartspec, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE smartspec TO auth, ledger, llm_proxy, billing;

ALTER ROLE auth IN DATABASE smartspec SET search_path = auth;
ALTER ROLE ledger IN DATABASE smartspec SET search_path = ledger;
ALTER ROLE llm_proxy IN DATABASE smartspec SET search_path = llm_proxy;
ALTER ROLE billing IN DATABASE smartspec SET search_path = billing;

\set QUIET on
\connect smartspec
SET client_min_messages = warning;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS auth AUTHORIZATION auth;
CREATE SCHEMA IF NOT EXISTS ledger AUTHORIZATION ledger;
CREATE SCHEMA IF NOT EXISTS llm_proxy AUTHORIZATION llm_proxy;
CREATE SCHEMA IF NOT EXISTS billing AUTHORIZATION billing;
