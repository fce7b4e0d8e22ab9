#!/usr/bin/env bash
# The whole product on this machine: Postgres, RabbitMQ, the provider simulator, four services (two llm-proxy) and the edge.
#
#   stack.sh run                  in the foreground; Ctrl-C stops all of it
#   stack.sh up | down            in the background; starting again keeps the data
#   stack.sh status
#   stack.sh start | stop | restart | kill COMPONENT     kill is SIGKILL, for fault tests
#   stack.sh delete               down, and the data is gone
#   stack.sh folder               prints where the state lies (made if it is not there)
#
# Settings come from the environment: lib/settings.sh lists them. With STACK_DIR and PORT_BASE several stacks run side by side.
set -euo pipefail
umask 022
ulimit -n "$(ulimit -Hn)"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in say template settings users process secrets postgres rabbitmq services edge describe; do
    # shellcheck source=/dev/null
    source "$here/lib/$part.sh"
done

STARTED=() # what this command started, for the case that it fails

main() {
    local verb=${1:-}
    drop_copied_link
    case $verb in
    up | run)
        lay_out
        name_folders
        lock
        bring_up
        if [[ $verb == run ]]; then stay; fi
        ;;
    folder)
        lay_out
        name_folders
        echo "$STACK_DIR"
        ;;
    down | delete | status | start | stop | restart | kill)
        name_folders
        if [[ ! -d $RUN ]]; then
            if [[ $verb == delete && -L $STACK_LINK ]]; then rm -f "$STACK_LINK"; fi
            say "nothing runs in $(tidy "$STACK_DIR")"
            return
        fi
        load_settings
        if [[ $verb == status ]]; then
            show_status
            return
        fi
        lock
        case $verb in
        down) bring_down ;;
        delete)
            bring_down
            delete_data
            ;;
        *) one_component "$verb" "${2:?which component?}" ;;
        esac
        ;;
    *)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
        exit 2
        ;;
    esac
}

# One command at a time for one stack.
lock() {
    exec 9>"$RUN/lock"
    flock -w 120 9 || fail "another stack.sh works on $(tidy "$STACK_DIR")"
}

unlock() { exec 9>&-; }

bring_up() {
    local begun=$SECONDS
    if something_runs; then
        load_settings
    else
        apply_defaults
        rm -f "$SECRETS/openai-api-key" # it is the caller's, not ours to keep
    fi
    trap 'stop_started' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    check_ports "$STACK_COMPONENTS"
    save_settings
    make_secrets
    start_missing
    write_description
    trap - EXIT INT TERM HUP
    say "ready after $(since "$begun")"
    if has edge && has auth; then show_address; fi
}

# Servers first, then what needs them; the services start together. What runs already is only checked.
start_missing() {
    local component new=()
    for component in "${SERVICES[@]}"; do
        if missing "$component"; then new+=("$component"); fi
    done
    if [[ ${#new[@]} -gt 0 ]]; then install_programs; fi
    if missing rabbitmq; then # the slowest, so it goes first and is awaited last
        say "starting rabbitmq on port $BROKER_PORT (about 5 s)"
        launch_rabbitmq
    fi
    if has postgres; then
        say "starting postgres on port $POSTGRES_PORT"
        start_postgres
    fi
    if [[ ${#new[@]} -gt 0 ]]; then
        say "migrating the database"
        migrate_all
    fi
    if has rabbitmq; then start_rabbitmq; fi
    if [[ ${#new[@]} -gt 0 ]]; then
        say "starting ${new[*]}"
        for component in "${new[@]}"; do start_service "$component"; done
    fi
    for component in "${SERVICES[@]}"; do
        if has "$component"; then await_service "$component"; fi
    done
    if has edge; then
        say "starting edge on port $EDGE_PORT"
        start_edge
    fi
}

# missing COMPONENT: it belongs to the stack and does not run.
missing() { has "$1" && ! pid_of "$1" >/dev/null; }

something_runs() {
    local component
    for component in $ALL_COMPONENTS; do
        if pid_of "$component" >/dev/null; then return 0; fi
    done
    return 1
}

# check_ports COMPONENTS: those that do not run yet find their ports free.
check_ports() {
    local component variable
    for component in $1; do
        missing "$component" || continue
        case $component in
        postgres) variable=POSTGRES_PORT ;;
        rabbitmq)
            need_port "$BROKER_API_PORT" "rabbitmq's management" BROKER_API_PORT
            need_port "$BROKER_DIST_PORT" "rabbitmq's distribution" BROKER_DIST_PORT
            pid_of epmd >/dev/null || need_port "$BROKER_EPMD_PORT" epmd BROKER_EPMD_PORT
            variable=BROKER_PORT
            ;;
        *)
            variable=${component//-/_}_port
            variable=${variable^^}
            ;;
        esac
        need_port "$(port_of "$component")" "$component" "$variable"
    done
}

# Stops in the reverse order of starting: nobody loses what it needs while it finishes its work.
bring_down() {
    say "stopping"
    stop_all
    rm -f "$STACK_DIR/stack.json"
    say "stopped"
}

stop_all() {
    stop_component edge
    stop_together llm-proxy-1 llm-proxy-2
    stop_together billing ledger auth provider-simulator
    stop_component rabbitmq
    stop_component epmd
    stop_component postgres
}

stop_together() {
    local component
    for component; do send "$component" TERM; done
    for component; do stop_component "$component"; done
}

# After a failed start: what this command started, no more.
stop_started() {
    local index
    trap '' INT TERM HUP
    for ((index = ${#STARTED[@]} - 1; index >= 0; index--)); do stop_component "${STARTED[index]}"; done
    if [[ -f $STACK_DIR/stack.json ]]; then write_description; fi
}

# A broker is done with its data within moments of SIGTERM and then idles for six seconds: it is given two.
stop_component() {
    case $1 in
    edge) stop_process edge QUIT 10 ;; # lets running answers finish
    postgres) stop_process postgres INT 30 ;;
    rabbitmq) stop_process rabbitmq TERM 2 ;;
    *) stop_process "$1" TERM 30 ;;
    esac
}

delete_data() {
    unlock
    rm -rf "${STACK_DIR:?}"
    if [[ -L $STACK_LINK ]]; then rm -f "$STACK_LINK"; fi
}

one_component() {
    local verb=$1 component=$2
    has "$component" || fail "no component $component in this stack; there is: $STACK_COMPONENTS"
    case $verb in
    stop) stop_component "$component" ;;
    kill) kill_component "$component" ;;
    restart)
        stop_component "$component"
        start_component "$component"
        ;;
    start) missing "$component" && start_component "$component" ;;
    esac
    write_description
}

kill_component() {
    send "$1" KILL
    stop_process "$1" KILL 10
}

start_component() {
    trap 'stop_started' EXIT
    check_ports "$1"
    case $1 in
    postgres) start_postgres ;;
    rabbitmq) start_rabbitmq ;;
    edge) start_edge ;;
    *)
        start_service "$1"
        await_service "$1"
        ;;
    esac
    trap - EXIT
}

# stay: until Ctrl-C. A component that ends meanwhile is named once.
stay() {
    local component named=" "
    unlock
    trap 'leave' EXIT
    trap 'exit 0' INT TERM HUP
    say "Ctrl-C stops everything"
    while something_runs; do
        for component in $STACK_COMPONENTS; do
            if missing "$component" && [[ -f $RUN/$component.pid && $named != *" $component "* ]]; then
                say "$component ended: $(last_words "$component")"
                named+="$component "
            fi
        done
        sleep 1 &
        wait $! || true
    done
}

leave() {
    trap '' INT TERM HUP
    lock
    bring_down
}

main "$@"
