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
    import_definitions
}

launch_rabbitmq() {
    local data=/proc/self/cwd server=/usr/lib/rabbitmq/bin/rabbitmq-server # its user may not be able to enter the folders above
    [[ -x $server ]] || fail "rabbitmq-server is not installed: run deploy/local/packages.sh"
    configure_rabbitmq "$STACK_DIR/rabbitmq"
    if ! pid_of epmd >/dev/null; then
        launch epmd enter_rabbitmq epmd -port "$BROKER_EPMD_PORT" -address 127.0.0.1
        wait_ready epmd 10 port_taken "$BROKER_EPMD_PORT"
    fi
    # `detached` lets the start script become the server instead of staying its parent: the pid is the server's own.
    launch rabbitmq enter_rabbitmq env -i PATH="$PATH" LANG=C.UTF-8 HOME="$data/home" detached=1 \
        ERL_EPMD_PORT="$BROKER_EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_DIST_PORT="$BROKER_DIST_PORT" \
        RABBITMQ_NODENAME=smartspec@localhost RABBITMQ_MNESIA_BASE="$data/mnesia" RABBITMQ_LOG_BASE="$data/log" \
        RABBITMQ_PID_FILE="$data/pid" RABBITMQ_CONFIG_FILE="$data/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$data/plugins" \
        RABBITMQ_CONFIG_FILES="$data/none" RABBITMQ_ADVANCED_CONFIG_FILE="$data/none" RABBITMQ_CONF_ENV_FILE="$data/none" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" "$server"
}

enter_rabbitmq() { cd "$STACK_DIR/rabbitmq" || exit 1; }

configure_rabbitmq() {
    local data=$1
    mkdir -p "$data"/{home,mnesia,log}
    chmod 700 "$data"
    (umask 077 && fill "$PROJECT/deploy/rabbitmq/rabbitmq.conf.template" BROKER_PORT="$BROKER_PORT" \
        BROKER_API_PORT="$BROKER_API_PORT" ADMIN_AMQP_PASSWORD="$(secret amqp-admin)" >"$data/rabbitmq.conf")
    echo '[rabbitmq_management].' >"$data/plugins"
    rm -f "$data/home/.erlang.cookie"
    (umask 377 && secret broker-cookie >"$data/home/.erlang.cookie")
    own rabbitmq "$data" "$data"/{home,mnesia,log,rabbitmq.conf,plugins,home/.erlang.cookie}
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
