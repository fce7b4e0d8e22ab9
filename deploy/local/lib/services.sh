# The services, each with its own database role and broker user, and the simulators of servers outside.

SERVICES=(provider-simulator mail-sink stripe-simulator auth ledger ledger-2 billing llm-proxy-1 llm-proxy-2)

# program_of COMPONENT: llm-proxy-2 is a second llm-proxy, ledger-2 a second ledger.
program_of() { sed -E 's/-[0-9]+$//' <<<"$1"; }

# simulates COMPONENT: it stands for a server of another company, and has no database, broker user or health port.
simulates() { [[ $1 == provider-simulator || $1 == mail-sink || $1 == stripe-simulator ]]; }

# built PROGRAM: prints the path of its executable.
built() {
    case $1 in
    mail-sink) echo "$PROJECT/Tests/Simulators/mail/mail_sink.py" ;;
    *) echo "$STACK_BIN/$1" ;;
    esac
}

# mail_sink_url: the address at which the sink takes mail.
mail_sink_url() { printf 'smtp://127.0.0.1:%s' "$MAIL_SINK_SMTP_PORT"; }
service_url() { printf 'http://127.0.0.1:%s' "$(port_of "$1")"; }
health_url() { printf 'http://127.0.0.1:%s' "$(health_port_of "$1")"; }

# Copies what runs into the stack, so that a build does not disturb running services.
install_programs() {
    local component program executable
    for component in "${SERVICES[@]}"; do
        has "$component" || continue
        program=$(program_of "$component")
        if [[ $program == stripe-simulator ]]; then
            pack_stripe_simulator
            continue
        fi
        executable=$(built "$program")
        [[ -x $executable ]] || fail "$program is not built: run 'make build' ($(tidy "$executable") is missing)"
        if [[ ! $STACK_DIR/bin/$program -nt $executable ]]; then
            rm -f "$STACK_DIR/bin/$program"
            install -m 755 "$executable" "$STACK_DIR/bin/$program"
        fi
    done
    rm -rf "$STACK_DIR/share"
    mkdir -p "$STACK_DIR/share"
    (cd "$PROJECT" && find Services Shared \( -path '*/Migrations/*.sql' -o -name openapi.json -o -name models.json \) \
        -exec install -D -m 644 {} "$STACK_DIR/share/{}" \;)
    if has llm-proxy-1 || has llm-proxy-2; then
        [[ -r $PROVIDERS_FILE ]] || fail "PROVIDERS_FILE: $PROVIDERS_FILE cannot be read"
        install -m 644 "$PROVIDERS_FILE" "$STACK_DIR/share/providers.json"
    fi
}

# pack_stripe_simulator: makes one file of its modules, and a folder for its state.
pack_stripe_simulator() {
    local folder
    folder=$(mktemp -d)
    cp "$PROJECT"/Tests/Simulators/stripe/*.{py,json,css} "$folder"
    python3 -m zipapp "$folder" -m stripe_simulator:main -o "$STACK_DIR/bin/stripe-simulator"
    rm -r "$folder"
    chmod 755 "$STACK_DIR/bin/stripe-simulator"
    (umask 077 && mkdir -p "$STACK_DIR/stripe") # the state has the secret of the webhook endpoint
    own stripe-simulator "$STACK_DIR/stripe"
}

# service_environment COMPONENT: exports what it reads, writes its secrets as files, and enters the folder its relative paths
# start from. The caller's own variables and local.env come first.
service_environment() {
    local program
    cd "$STACK_DIR/share" || exit 1
    program=$(program_of "$1")
    if [[ -f $STACK_DIR/local.env ]]; then
        chmod 600 "$STACK_DIR/local.env" # may hold secrets
        set -a
        # shellcheck source=/dev/null
        source "$STACK_DIR/local.env"
        set +a
    fi
    export HTTP_HOST=127.0.0.1 HTTP_PORT PUBLIC_URL SHUTDOWN_GRACE=${SHUTDOWN_GRACE:-10s}
    HTTP_PORT=$(port_of "$1")
    unset PORT
    stop_seconds >"$RUN/$1.stop"
    if [[ $program == mail-sink ]]; then
        export SMTP_PORT=$MAIL_SINK_SMTP_PORT
    fi
    # Python opens a program by its absolute path, which its user may not be able to reach.
    if [[ $program == mail-sink || $program == stripe-simulator ]]; then exec 3<"../bin/$program"; fi
    if simulates "$program"; then return 0; fi
    export HEALTH_PORT MIGRATIONS_PATH=Services/$program/Migrations
    HEALTH_PORT=$(health_port_of "$1")
    case $program in
    auth) export ADMIN_EMAIL MAIL_FROM ;;
    llm-proxy)
        export PROVIDERS_FILE=providers.json OPENAI_BASE_URL
        if [[ -n ${SIMPLE_CHAT_MODEL:-} ]]; then export SIMPLE_CHAT_MODEL; fi
        ;;
    billing) stripe_environment ;;
    esac
    give_secrets "$1"
}

# stop_seconds: the longest that a service with these variables may take to stop, and 30 s for its last work.
stop_seconds() {
    local value total=30
    for value in "$SHUTDOWN_GRACE" "${SHUTDOWN_DELAY:-0s}"; do
        [[ $value =~ ^([0-9]{1,7})(ms|s|m|h)$ ]] || continue # the service refuses it and names it
        value=$((10#${BASH_REMATCH[1]}))
        case ${BASH_REMATCH[2]} in
        ms) total=$((total + value / 1000 + 1)) ;;
        s) total=$((total + value)) ;;
        m) total=$((total + value * 60)) ;;
        h) total=$((total + value * 3600)) ;;
        esac
    done
    echo "$total"
}

# migrate COMPONENT: brings its schema up to date.
migrate() {
    local program
    program=$(program_of "$1")
    (
        service_environment "$1"
        forget_secrets
        take_user_of "$1"
        "${AS[@]}" "../bin/$program" migrate >>"$LOG/$program-migrate.log" 2>&1 9>&-
    ) || fail "$program: migration failed: $(last_words "$program-migrate")"
}

migrate_all() {
    local component previous="" program
    for component in "${SERVICES[@]}"; do
        program=$(program_of "$component")
        if has "$component" && ! simulates "$program" && [[ $program != "$previous" ]]; then migrate "$component"; fi
        previous=$program
    done
}

# start_service COMPONENT: does not wait.
start_service() {
    local command=("../bin/$(program_of "$1")")
    case $1 in
    mail-sink) command=(/usr/bin/python3 -I /proc/self/fd/3) ;;
    stripe-simulator) command=(/usr/bin/python3 -I /proc/self/fd/3 --port "$STRIPE_SIMULATOR_PORT" --data ../stripe/state) ;;
    esac
    launch "$1" service_environment "${command[@]}"
}

# simulates_stripe: the caller has no account at Stripe.
simulates_stripe() { [[ $(secret stripe-secret-key) == sk_test_simulated_* ]]; }

# stripe_environment: exports what billing needs to know of Stripe, if the simulator stands for it. With an account the caller sets
# the variables; deploy/stripe/setup.sh prints them.
stripe_environment() {
    local line
    simulates_stripe || return 0
    export STRIPE_API_BASE STRIPE_PUBLISHABLE_KEY=pk_test_simulated STRIPE_WEBHOOK_SECRET
    STRIPE_API_BASE=$(service_url stripe-simulator)
    STRIPE_WEBHOOK_SECRET=$(secret stripe-webhook-secret)
    if [[ ! -f $RUN/stripe.env ]]; then return 0; fi # the simulator is not set up, or does not belong to the stack
    while read -r line; do export "${line?}"; done <"$RUN/stripe.env"
}

# set_up_stripe: makes prices, webhook endpoint and portal at the simulator, as an operator does it at Stripe.
set_up_stripe() {
    local lines
    if ! has billing || ! has stripe-simulator || ! simulates_stripe; then return 0; fi
    lines=$(STRIPE_SECRET_KEY=$(secret stripe-secret-key) STRIPE_API_BASE=$(service_url stripe-simulator) \
        "$PROJECT/deploy/stripe/setup.sh" "$(service_url billing)/api/webhooks/stripe" 2>>"$LOG/stripe-setup.log") ||
        fail "the Stripe simulator was not set up: $(last_words stripe-setup)"
    put_secret stripe-webhook-secret "$(sed -n 's/^STRIPE_WEBHOOK_SECRET=//p' <<<"$lines")"
    grep -v '^STRIPE_WEBHOOK_SECRET=' <<<"$lines" >"$RUN/stripe.env"
}

await_service() {
    local url
    case $1 in
    provider-simulator) url=$(service_url "$1")/stats ;;
    mail-sink | stripe-simulator) url=$(service_url "$1")/livez ;;
    *) url=$(health_url "$1")/readyz ;;
    esac
    wait_ready "$1" 30 curl -sf --max-time 2 "$url"
}
