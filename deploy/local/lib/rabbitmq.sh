# The private RabbitMQ node. Its name service (epmd) would outlive it, so that is a process of ours with a pid of its own.

BROKER_DEFINITIONS=$PROJECT/deploy/rabbitmq/definitions.json

# broker_users: the users whose passwords the definitions leave open, as ${NAME_AMQP_PASSWORD}; LLM_PROXY is llm-proxy.
broker_users() {
    grep -oE '\$\{[A-Z_]+_AMQP_PASSWORD\}' "$BROKER_DEFINITIONS" | sed -E 's/^\$\{(.*)_AMQP_PASSWORD\}$/\L\1/; s/_/-/g' | sort -u
}

# broker_url USER [VHOST]
broker_url() { printf 'amqp://%s:%s@127.0.0.1:%s/%s' "$1" "$(secret "amqp-$1")" "$BROKER_PORT" "${2-gw}"; }
broker_api_url() { printf 'http://admin:%s@127.0.0.1:%s' "$(secret amqp-admin)" "$BROKER_API_PORT"; }

start_rabbitmq() {
    if missing rabbitmq; then launch_rabbitmq; fi
    wait_ready rabbitmq 90 broker_api overview
    refuse_ledger_without_shards
    import_definitions
    retire_queues_without_shards
}

launch_rabbitmq() {
    local data=$STACK_DIR/rabbitmq server=/usr/lib/rabbitmq/bin/rabbitmq-server
    [[ -x $server ]] || fail "rabbitmq-server is not installed: run deploy/local/packages.sh"
    configure_rabbitmq "$data"
    if ! pid_of epmd >/dev/null; then
        launch epmd true "${AS_RABBITMQ[@]}" epmd -port "$BROKER_EPMD_PORT" -address 127.0.0.1
        wait_ready epmd 10 port_taken "$BROKER_EPMD_PORT"
    fi
    # `detached` lets the start script become the server instead of staying its parent: the pid is the server's own.
    launch rabbitmq true "${AS_RABBITMQ[@]}" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$data/home" detached=1 \
        ERL_EPMD_PORT="$BROKER_EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_DIST_PORT="$BROKER_DIST_PORT" \
        RABBITMQ_NODENAME=smartspec@localhost RABBITMQ_MNESIA_BASE="$data/mnesia" RABBITMQ_LOG_BASE="$data/log" \
        RABBITMQ_PID_FILE="$data/pid" RABBITMQ_CONFIG_FILE="$data/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$data/plugins" \
        RABBITMQ_CONFIG_FILES="$data/none" RABBITMQ_ADVANCED_CONFIG_FILE="$data/none" RABBITMQ_CONF_ENV_FILE="$data/none" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" "$server"
}

configure_rabbitmq() {
    local data=$1
    mkdir -p "$data"/{home,mnesia,log}
    (umask 077 && fill "$PROJECT/deploy/rabbitmq/rabbitmq.conf.template" BROKER_PORT="$BROKER_PORT" \
        BROKER_API_PORT="$BROKER_API_PORT" ADMIN_AMQP_PASSWORD="$(secret amqp-admin)" >"$data/rabbitmq.conf")
    echo '[rabbitmq_management].' >"$data/plugins"
    rm -f "$data/home/.erlang.cookie"
    (umask 377 && secret broker-cookie >"$data/home/.erlang.cookie")
    own "$RABBITMQ_USER" "$data" "$data"/{home,mnesia,log,rabbitmq.conf,plugins,home/.erlang.cookie}
}

# broker_api PATH [CURL ARGUMENT...]: the password goes by stdin, so that no list of processes shows it.
broker_api() {
    local path=$1
    shift
    curl -sS --fail-with-body --max-time 30 -K - "$@" "http://127.0.0.1:$BROKER_API_PORT/api/$path" \
        <<<"user = \"admin:$(secret amqp-admin)\""
}

# Exchanges, queues, bindings, policies, users and their rights; what is there already stays as it is.
import_definitions() {
    local user name file=$RUN/definitions.json passwords=()
    for user in $(broker_users); do
        name=${user//-/_}
        passwords+=("${name^^}_AMQP_PASSWORD=$(secret "amqp-$user")")
    done
    (umask 077 && fill "$BROKER_DEFINITIONS" "${passwords[@]}" >"$file")
    broker_api definitions -X POST -H 'content-type: application/json' --data-binary "@$file" >"$LOG/definitions.log" 2>&1 ||
        fail "rabbitmq: the definitions were refused: $(last_words definitions)"
    rm -f "$file"
    broker_api permissions/gw/admin -X PUT -H 'content-type: application/json' \
        -d '{"configure":".*","write":".*","read":".*"}' >"$LOG/definitions.log" 2>&1 ||
        fail "rabbitmq: no rights for its administrator: $(last_words definitions)"
}

# Before the ledger had shards, one queue took all holds and one all charges. They would stay bound, and nobody would read them.
WITHOUT_SHARDS="ledger.rpc.hold ledger.cmd.charge"

has_queue() { broker_api "queues/gw/$1" >/dev/null 2>&1; }

# queue_counts QUEUE COLUMN: as the broker counted at most five seconds ago; after its start nothing for as long.
queue_counts() { broker_api "queues/gw/$1?columns=$2" | sed -nE "s/.*\"$2\":([0-9]+).*/\1/p"; }

refuse_ledger_without_shards() {
    local queue deadline=$((SECONDS + 20))
    for queue in $WITHOUT_SHARDS; do
        has_queue "$queue" || continue
        until [[ $(queue_counts "$queue" consumers) == 0 ]]; do
            [[ $SECONDS -lt $deadline ]] || fail "a ledger from before the shards still reads $queue: stop everything first (docs/runbook.md, From before the shards)"
            sleep 0.5
        done
    done
}

retire_queues_without_shards() {
    if has_queue ledger.rpc.hold; then delete_queue ledger.rpc.hold; fi # what it had is seconds old, and asked for again
    if has_queue ledger.cmd.charge; then retire_charges; fi
}

delete_queue() { broker_api "queues/gw/$1" -X DELETE >"$LOG/definitions.log" 2>&1 || fail "rabbitmq: $1 stays: $(last_words definitions)"; }

# What waits moves to one of the shards, whichever (that is a matter of speed only): rejected, it is passed on by the broker itself, which
# lets go of it when the shard has it. The queue goes at the start that finds it empty.
retire_charges() {
    local queue=ledger.cmd.charge key taken deadline=$((SECONDS + 20))
    for key in charge hold; do
        if broker_api "bindings/gw/e/ledger.cmd/q/$queue" | grep -q "\"routing_key\":\"$key.#\""; then
            broker_api "bindings/gw/e/ledger.cmd/q/$queue/$key.%2523" -X DELETE >"$LOG/definitions.log" 2>&1 ||
                fail "rabbitmq: $queue stays bound: $(last_words definitions)"
        fi
    done
    broker_api "policies/gw/$queue.moved" -X PUT -H 'content-type: application/json' -d '{
        "pattern": "^ledger\\.cmd\\.charge$", "apply-to": "queues", "priority": 30, "definition": {
            "dead-letter-exchange": "ledger.cmd", "dead-letter-routing-key": "charge.settle.v1.0",
            "dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}}' >"$LOG/definitions.log" 2>&1 ||
        fail "rabbitmq: $queue cannot be emptied: $(last_words definitions)"
    taken=$(take_all "$queue")
    until [[ -n $(queue_counts "$queue" messages) ]]; do
        [[ $SECONDS -lt $deadline ]] || fail "rabbitmq does not count what is in $queue"
        sleep 0.5
    done
    if [[ $taken == none && $(queue_counts "$queue" messages) == 0 ]]; then
        delete_queue "$queue"
        broker_api "policies/gw/$queue.moved" -X DELETE >/dev/null
    else
        say "what waited in $queue moves to $queue.0; the next start removes the empty queue"
    fi
}

# take_all QUEUE: rejects everything; prints whether there was some or none.
take_all() {
    local answer found=none
    while true; do
        answer=$(broker_api "queues/gw/$1/get" -X POST -H 'content-type: application/json' \
            -d '{"count": 1000, "ackmode": "reject_requeue_false", "encoding": "base64", "truncate": 1}') ||
            fail "rabbitmq: $1 cannot be emptied: $answer"
        if [[ $answer == "[]" ]]; then break; fi
        found=some
    done
    echo "$found"
}
