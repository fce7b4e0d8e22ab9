# The edge: nginx with one origin for all services, as an ordinary process without privileges.

start_edge() {
    if missing edge; then launch_edge; fi
    wait_ready edge 10 curl -sf --max-time 2 "http://127.0.0.1:$EDGE_PORT/livez"
}

launch_edge() {
    local folder=$RUN/edge server name values=()
    server=$(PATH=$PATH:/usr/sbin command -v nginx) || fail "nginx is not installed: run deploy/local/packages.sh"
    rm -rf "$folder" # temporary files only; a user of another id may own what an older start left
    mkdir -m 700 "$folder"
    for name in EDGE_PORT AUTH_PORT LEDGER_PORT BILLING_PORT LLM_PROXY_1_PORT LLM_PROXY_2_PORT \
        EDGE_CONNECTIONS_PER_ADDRESS EDGE_REQUESTS_PER_SECOND EDGE_AUTH_REQUESTS_PER_SECOND; do
        values+=("$name=${!name}")
    done
    fill "$PROJECT/deploy/nginx/edge.conf.template" "${values[@]}" >"$folder/edge.conf"
    rotate "$LOG/edge-refusals.log"
    touch "$LOG/edge-refusals.log"
    own edge "$folder" "$folder/edge.conf" "$LOG/edge-refusals.log"
    launch edge enter_edge "$server" -p ./ -c edge.conf -e stderr
}

# enter_edge: a client decides how much nginx logs, so each of its files is at most 64 MiB. nginx drops further lines until its
# next start, which rotates the log. The kernel reports a full file as an error, because the signal is ignored.
enter_edge() {
    cd "$RUN/edge" || exit 1
    ulimit -f 65536
    trap '' XFSZ
}
