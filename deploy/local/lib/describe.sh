# What others may know about the stack: stack.json for scripts, a few lines for people.

# write_description: replaced as a whole, so that a reader never sees half of it.
write_description() {
    local component
    (
        umask 077
        {
            printf '{\n  "edge": "http://127.0.0.1:%s",\n' "$EDGE_PORT"
            printf '  "admin": {"email": %s, "password": %s},\n' "$(json_string "$ADMIN_EMAIL")" "$(json_string "$(secret admin-password)")"
            printf '  "provider_simulator": "%s",\n' "$(service_url provider-simulator)"
            printf '  "mail_sink": "%s",\n' "$(service_url mail-sink)"
            printf '  "stripe_simulator": "%s",\n' "$(service_url stripe-simulator)"
            printf '  "services": {%s},\n' "$(for component in auth ledger ledger-2 billing llm-proxy-1 llm-proxy-2; do
                member "$component" "\"$(service_url "$component")\""
            done | paste -sd, -)"
            printf '  "health": {%s},\n' "$(for component in auth ledger ledger-2 billing llm-proxy-1 llm-proxy-2; do
                member "$component" "\"$(health_url "$component")\""
            done | paste -sd, -)"
            printf '  "database": {%s},\n' "$({
                member superuser_url "\"$(database_url superuser)\""
                for component in "${POSTGRES_ROLES[@]}"; do member "${component//-/_}" "\"$(database_url "$component")\""; done
            } | paste -sd, -)"
            printf '  "broker": {%s},\n' "$({
                member url "\"$(broker_url admin)\""
                member api "\"$(broker_api_url)\""
                for component in $(broker_users); do member "$component" "\"$(broker_url "$component")\""; done
            } | paste -sd, -)"
            printf '  "pids": {%s}\n}\n' "$(for component in $STACK_COMPONENTS; do
                if pid_of "$component" >/dev/null; then member "$component" "$(pid_of "$component")"; fi
            done | paste -sd, -)"
        } >"$STACK_DIR/stack.json.new"
    )
    mv "$STACK_DIR/stack.json.new" "$STACK_DIR/stack.json"
}

# member NAME VALUE: a line of a JSON object; the value is JSON already.
member() { printf '"%s": %s\n' "$1" "$2"; }

show_status() {
    local component pid
    for component in $STACK_COMPONENTS; do
        if pid=$(pid_of "$component"); then
            printf '%-20s pid %-8s 127.0.0.1:%s\n' "$component" "$pid" "$(port_of "$component")"
        else
            printf '%-20s stopped\n' "$component"
        fi
    done
}

# show_address: where it is, who may enter, and two lines to paste.
show_address() {
    local model=sim-fast edge=http://127.0.0.1:$EDGE_PORT login mail="sent through the server of SMTP_URL"
    if [[ $(secret openai-api-key) != simulated ]]; then model=gpt-4o-mini; fi
    if [[ $(secret smtp-url) == "$(mail_sink_url)" ]]; then mail="kept at $(service_url mail-sink)/messages"; fi
    login="{\"email\":$(json_string "$ADMIN_EMAIL"),\"password\":$(json_string "$(secret admin-password)")}"
    cat <<TEXT

SmartSpec Gateway   $edge
first account       $ADMIN_EMAIL   $(secret admin-password)
for scripts         $(tidy "$STACK_DIR/stack.json")
mail                $mail

Stream a chat completion (paste both lines):

TOKEN=\$(curl -s $edge/api/auth/login -H 'content-type: application/json' -d '$login' | sed -E 's/.*"access_token":"([^"]*)".*/\\1/')
curl -N $edge/v1/chat/completions -H "authorization: Bearer \$TOKEN" -H 'content-type: application/json' -d '{"model":"$model","stream":true,"messages":[{"role":"user","content":"Hello"}]}'

TEXT
}
