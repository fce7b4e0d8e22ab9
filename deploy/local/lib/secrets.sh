# Passwords and keys of this stack: made once, kept in files only their owner can read.

# secret NAME: prints it.
secret() { cat "$SECRETS/$1"; }

# keep_secret NAME VALUE: keeps the value unless there is one.
keep_secret() {
    if [[ ! -s $SECRETS/$1 ]]; then put_secret "$1" "$2"; fi
}

put_secret() { (umask 077 && printf '%s' "$2" >"$SECRETS/$1"); }

random_password() { head -c 18 /dev/urandom | base64 | tr '+/' 'Aa'; }

make_secrets() {
    local role
    for role in superuser auth ledger llm-proxy billing; do keep_secret "postgres-$role" "$(random_password)"; done
    for role in $(broker_users) admin; do keep_secret "amqp-$role" "$(random_password)"; done
    keep_secret broker-cookie "$(random_password)"
    keep_secret master-key "$(head -c 32 /dev/urandom | base64)"
    keep_secret admin-password "${ADMIN_PASSWORD:-$(random_password)}"
    keep_secret openai-api-key "${OPENAI_API_KEY:-simulated}"
}
