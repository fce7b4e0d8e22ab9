# From nothing, or from what is left, to a running stack.

# bring_up: what it started is stopped again when it fails, until the caller takes the EXIT trap away.
bring_up() {
    local begun=$SECONDS
    if something_runs; then
        load_settings
    else
        apply_defaults
        rm -f "$SECRETS"/{openai-api-key,smtp-url,stripe-secret-key} # they are the caller's, not ours to keep
    fi
    trap 'stop_started' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    check_ports "$STACK_COMPONENTS"
    save_settings
    make_secrets
    start_missing
    write_description
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
        for component in "${new[@]}"; do [[ $component == billing ]] || start_service "$component"; done
        if missing billing; then # it needs what the simulator of Stripe tells when it is set up
            if has stripe-simulator; then await_service stripe-simulator; fi
            set_up_stripe
            start_service billing
        fi
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
            variable=${component//-/_}
            variable=${variable^^}
            case $component in
            edge | provider-simulator | stripe-simulator) ;;
            mail-sink) need_port "$MAIL_SINK_SMTP_PORT" "the SMTP of $component" "${variable}_SMTP_PORT" ;;
            *) need_port "$(health_port_of "$component")" "the health of $component" "${variable}_HEALTH_PORT" ;;
            esac
            variable=${variable}_PORT
            ;;
        esac
        need_port "$(port_of "$component")" "$component" "$variable"
    done
}
