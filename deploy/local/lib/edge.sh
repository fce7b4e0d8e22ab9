# The edge: nginx with one origin for all services, as an ordinary process without privileges.

start_edge() {
    if missing edge; then launch_edge; fi
    wait_ready edge 10 curl -sf --max-time 2 "http://127.0.0.1:$EDGE_PORT/livez"
}

launch_edge() {
    local folder=$RUN/edge server name ports=()
    server=$(PATH=$PATH:/usr/sbin command -v nginx) || fail "nginx is not installed: run deploy/local/packages.sh"
    mkdir -p "$folder"
    own "$SERVICE_USER" "$folder"
    for name in EDGE_PORT AUTH_PORT LEDGER_PORT BILLING_PORT LLM_PROXY_1_PORT LLM_PROXY_2_PORT; do ports+=("$name=${!name}"); done
    fill "$PROJECT/deploy/nginx/edge.conf.template" "${ports[@]}" >"$folder/edge.conf"
    launch edge true "${AS_SERVICE[@]}" "$server" -p "$folder" -c edge.conf -e stderr
}
