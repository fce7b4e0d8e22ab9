# Passwords and keys of this stack: made once, kept in files only their owner can read.

# Variables that hold secrets, and the programs that read them. Each reaches its programs as a file, never as a variable.
SERVER_TOKENS="WEB_GATEWAY_TOKEN MCP_SERVER_TOKEN SERVICE_TOKENS"
declare -A SECRETS_OF=(
    [auth]="DATABASE_URL AMQP_URL OTEL_EXPORTER_OTLP_ENDPOINT MASTER_KEY ADMIN_PASSWORD SMTP_URL $SERVER_TOKENS" # and client secrets
    [ledger]="DATABASE_URL AMQP_URL OTEL_EXPORTER_OTLP_ENDPOINT $SERVER_TOKENS"
    [billing]="DATABASE_URL AMQP_URL OTEL_EXPORTER_OTLP_ENDPOINT STRIPE_SECRET_KEY STRIPE_WEBHOOK_SECRET $SERVER_TOKENS"
    [llm-proxy]="DATABASE_URL AMQP_URL OTEL_EXPORTER_OTLP_ENDPOINT $SERVER_TOKENS" # and the keys of its providers
)

# client_secrets: the variables that hold client secrets of OpenID providers. Their names have the ids of the providers.
client_secrets() { compgen -v | grep -E '^OIDC_[A-Z0-9_]+_CLIENT_SECRET$' || true; }

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
    keep_secret master-key "1:$(head -c 32 /dev/urandom | base64)"
    keep_secret admin-password "${ADMIN_PASSWORD:-$(random_password)}"
    keep_secret openai-api-key "${OPENAI_API_KEY:-simulated}"
    keep_secret smtp-url "${SMTP_URL:-$(mail_sink_url)}"
    keep_secret stripe-webhook-secret "whsec_$(random_password)" # until the simulator gives another one
    keep_secret stripe-secret-key "${STRIPE_SECRET_KEY:-sk_test_simulated_$(random_password)}"
}

# give_secrets COMPONENT: writes the secrets that its program reads as files for its user, and exports NAME_FILE for each.
# Those that the stack does not make come from the caller's variables or local.env.
give_secrets() {
    local program folder=$RUN/secrets/$1 name
    program=$(program_of "$1")
    local DATABASE_URL AMQP_URL MASTER_KEY ADMIN_PASSWORD OPENAI_API_KEY SMTP_URL STRIPE_SECRET_KEY
    DATABASE_URL=$(database_url "$program")
    AMQP_URL=$(broker_url "$program")
    MASTER_KEY=$(secret master-key)
    ADMIN_PASSWORD=$(secret admin-password)
    OPENAI_API_KEY=$(secret openai-api-key)
    SMTP_URL=$(secret smtp-url)
    STRIPE_SECRET_KEY=$(secret stripe-secret-key)
    rm -rf "$folder"
    mkdir -p "$folder"
    chmod 700 "$folder"
    for name in ${SECRETS_OF[$program]} $(case $program in llm-proxy) provider_keys ;; auth) client_secrets ;; esac); do
        [[ -n ${!name:-} ]] || continue
        (umask 377 && printf '%s' "${!name}" >"$folder/$name")
        own "$1" "$folder/$name"
        export "${name}_FILE=../run/secrets/$1/$name"
    done
    own "$1" "$folder"
}

# provider_keys: the variables that hold the keys of the providers.
provider_keys() {
    local file=$STACK_DIR/share/providers.json
    [[ -f $file ]] || return 0
    grep -oE '"api_key_variable"[[:space:]]*:[[:space:]]*"[A-Za-z_][A-Za-z0-9_]*"' "$file" | cut -d '"' -f 4 | sort -u
}

# Takes every secret out of the environment of what is started next.
forget_secrets() {
    local name
    # shellcheck disable=SC2048 # the names are words
    for name in ${SECRETS_OF[*]} $(provider_keys) $(client_secrets); do unset "$name"; done
}
