# Everything a caller may set, with its default. What a stack was started with stays true for every later verb.

CALLER_DIR=$PWD
PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)

# All state: data, logs, secrets, pids, stack.json.
STACK_DIR=${STACK_DIR:-$PROJECT/.local}
[[ $STACK_DIR == /* ]] || STACK_DIR=$PWD/$STACK_DIR
LOG=$STACK_DIR/log RUN=$STACK_DIR/run SECRETS=$STACK_DIR/secrets

ALL_COMPONENTS="postgres rabbitmq provider-simulator mail-sink stripe-simulator auth ledger ledger-2 billing llm-proxy-1 llm-proxy-2 edge"
USUAL_COMPONENTS=${ALL_COMPONENTS/ ledger-2/} # a second ledger only where STACK_COMPONENTS names it
SETTING_NAMES="STACK_COMPONENTS STACK_BIN PUBLIC_URL ADMIN_EMAIL MAIL_FROM OPENAI_BASE_URL PROVIDERS_FILE SIMPLE_CHAT_MODEL POSTGRES_OPTIONS
EDGE_CONNECTIONS_PER_ADDRESS EDGE_REQUESTS_PER_SECOND EDGE_AUTH_REQUESTS_PER_SECOND
EDGE_PORT AUTH_PORT LEDGER_PORT LEDGER_2_PORT BILLING_PORT LLM_PROXY_1_PORT LLM_PROXY_2_PORT
AUTH_HEALTH_PORT LEDGER_HEALTH_PORT LEDGER_2_HEALTH_PORT BILLING_HEALTH_PORT LLM_PROXY_1_HEALTH_PORT LLM_PROXY_2_HEALTH_PORT
PROVIDER_SIMULATOR_PORT MAIL_SINK_PORT MAIL_SINK_SMTP_PORT STRIPE_SIMULATOR_PORT POSTGRES_PORT BROKER_PORT BROKER_API_PORT BROKER_DIST_PORT BROKER_EPMD_PORT"

# default_port NAME DEFAULT OFFSET: with PORT_BASE all ports of a stack stand together, so that several run side by side.
default_port() {
    local -n port=$1
    if [[ -n ${PORT_BASE:-} ]]; then port=${port:-$((PORT_BASE + $3))}; else port=${port:-$2}; fi
}

# default_count NAME DEFAULT MAX
default_count() {
    local -n count=$1
    count=${count:-$2}
    [[ $count =~ ^[1-9][0-9]{0,5}$ && $count -le $3 ]] || fail "$1 is '$count': give it a whole number from 1 to $3"
}

apply_defaults() {
    STACK_COMPONENTS=${STACK_COMPONENTS:-$USUAL_COMPONENTS}
    STACK_BIN=${STACK_BIN:-$PROJECT/.build/release} # where the executables were built
    [[ $STACK_BIN == /* ]] || STACK_BIN=$CALLER_DIR/$STACK_BIN
    POSTGRES_OPTIONS=${POSTGRES_OPTIONS:-} # as on its command line: "-c fsync=off"
    default_port EDGE_PORT 8080 0
    default_port AUTH_PORT 8101 1
    default_port LEDGER_PORT 8102 2
    default_port BILLING_PORT 8103 3
    default_port LEDGER_2_PORT 8104 4
    default_port LLM_PROXY_1_PORT 8111 11
    default_port LLM_PROXY_2_PORT 8112 12
    default_port AUTH_HEALTH_PORT 9101 13
    default_port LEDGER_HEALTH_PORT 9102 14
    default_port BILLING_HEALTH_PORT 9103 15
    default_port LEDGER_2_HEALTH_PORT 9104 16
    default_port LLM_PROXY_1_HEALTH_PORT 9111 17
    default_port LLM_PROXY_2_HEALTH_PORT 9112 18
    default_port PROVIDER_SIMULATOR_PORT 8190 20
    default_port MAIL_SINK_PORT 8191 21
    default_port MAIL_SINK_SMTP_PORT 8192 22
    default_port STRIPE_SIMULATOR_PORT 8193 23
    default_port POSTGRES_PORT 15532 30
    default_port BROKER_PORT 15772 31
    default_port BROKER_API_PORT 15773 32
    default_port BROKER_DIST_PORT 15774 33
    default_port BROKER_EPMD_PORT 15775 34
    # Limits of the edge for each client address but 127.0.0.1.
    default_count EDGE_CONNECTIONS_PER_ADDRESS 256 65535 # the most that nginx takes
    default_count EDGE_REQUESTS_PER_SECOND 100 999999
    default_count EDGE_AUTH_REQUESTS_PER_SECOND 10 999999
    PUBLIC_URL=${PUBLIC_URL:-http://127.0.0.1:$EDGE_PORT}
    ADMIN_EMAIL=${ADMIN_EMAIL:-admin@smartspec.local}
    # One variable turns the real mail server on; without it the sink takes every message.
    if [[ -n ${SMTP_URL:-} && -z ${MAIL_FROM:-} ]]; then fail "SMTP_URL is set: set MAIL_FROM too, to an address that its server may send from"; fi
    MAIL_FROM=${MAIL_FROM:-SmartSpec <no-reply@smartspec.local>}
    # One key turns the real provider on; without it the simulator answers.
    if [[ -n ${OPENAI_API_KEY:-} ]]; then
        SIMPLE_CHAT_MODEL=${SIMPLE_CHAT_MODEL:-}
        OPENAI_BASE_URL=${OPENAI_BASE_URL:-https://api.openai.com/v1}
        PROVIDERS_FILE=${PROVIDERS_FILE:-$PROJECT/deploy/providers/public.json}
    else
        OPENAI_BASE_URL=${OPENAI_BASE_URL:-http://127.0.0.1:$PROVIDER_SIMULATOR_PORT/v1}
        PROVIDERS_FILE=${PROVIDERS_FILE:-$PROJECT/deploy/providers/simulator.json}
        SIMPLE_CHAT_MODEL=${SIMPLE_CHAT_MODEL:-sim-fast} # not the cheapest: that may be one that refuses every call
    fi
}

save_settings() {
    local name
    for name in $SETTING_NAMES; do printf '%s=%q\n' "$name" "${!name}"; done >"$RUN/settings"
}

# shellcheck source=/dev/null
load_settings() {
    if [[ -f $RUN/settings ]]; then source "$RUN/settings"; fi
    apply_defaults
}

# has COMPONENT: this stack contains it.
has() { [[ " $STACK_COMPONENTS " == *" $1 "* ]]; }

# port_of COMPONENT
port_of() {
    case $1 in
    postgres) echo "$POSTGRES_PORT" ;;
    rabbitmq) echo "$BROKER_PORT" ;;
    epmd) echo "$BROKER_EPMD_PORT" ;;
    *) named_port "$1" PORT ;;
    esac
}

# health_port_of SERVICE
health_port_of() { named_port "$1" HEALTH_PORT; }

# named_port COMPONENT SUFFIX: the value of the component's variable with that suffix.
named_port() {
    local name=${1//-/_}_$2
    name=${name^^}
    echo "${!name}"
}
