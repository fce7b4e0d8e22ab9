# From a running stack to none.

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
    stop_together billing ledger ledger-2 auth provider-simulator mail-sink stripe-simulator
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
    *) stop_process "$1" TERM "$(cat "$RUN/$1.stop" 2>/dev/null || echo 30)" ;;
    esac
}

delete_data() {
    unlock
    rm -rf "${STACK_DIR:?}"
}
