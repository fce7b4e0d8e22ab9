#!/usr/bin/env bash
# The whole product on this machine: Postgres, RabbitMQ, the simulators of a provider and of a mail server,
# four services (two llm-proxy) and the edge.
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
for part in say template settings users process secrets postgres rabbitmq services edge describe up down; do
    # shellcheck source=/dev/null
    source "$here/lib/$part.sh"
done

STARTED=() # what this command started, for the case that it fails

main() {
    local verb=${1:-}
    case $verb in
    up | run)
        lay_out
        lock
        bring_up
        if [[ $verb == run ]]; then stay; fi
        trap - EXIT
        ;;
    folder)
        lay_out
        echo "$STACK_DIR"
        ;;
    down | delete | status | start | stop | restart | kill)
        if [[ ! -d $RUN ]]; then
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
    trap 'exit 0' INT TERM HUP
    trap 'leave' EXIT
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
    exit 0
}

leave() {
    trap '' INT TERM HUP
    lock
    bring_down
}

main "$@"
