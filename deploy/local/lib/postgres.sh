# The private Postgres cluster: TCP on 127.0.0.1 only, passwords only, one role and schema per service.
# Its user may not be able to enter the folders above its data, so root opens the data for it as descriptor 3. Its own folder would
# not do: a program of Postgres leaves it at its start and comes back by its absolute path.

POSTGRES_ROLES=(auth ledger llm-proxy billing) # a role and its schema spell the dash as an underscore

# postgres_tool NAME: the newest installed version of it.
postgres_tool() {
    local found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin/"$1" | sort -V | tail -n 1)
    [[ -x $found ]] || fail "$1 is not installed: run deploy/local/packages.sh"
    echo "$found"
}

# database_url ROLE
database_url() {
    local role=${1//-/_}
    if [[ $1 == superuser ]]; then role=postgres; fi
    printf 'postgresql://%s:%s@127.0.0.1:%s/smartspec' "$role" "$(secret "postgres-$1")" "$POSTGRES_PORT"
}

start_postgres() {
    if missing postgres; then launch_postgres; fi
    wait_ready postgres 60 "$(postgres_tool pg_isready)" -q -h 127.0.0.1 -p "$POSTGRES_PORT"
    create_roles
}

launch_postgres() {
    local data=$STACK_DIR/postgres server
    server=$(postgres_tool postgres)
    if [[ ! -f $data/PG_VERSION ]]; then create_cluster "$data"; fi
    cp "$PROJECT"/deploy/postgres/{postgresql,pg_hba}.conf "$data/"
    own postgres "$data"/{postgresql,pg_hba}.conf
    forget_dead_postmaster "$data"
    # shellcheck disable=SC2086 # the options are words
    launch postgres open_cluster "$server" -D /proc/self/fd/3 -c port="$POSTGRES_PORT" $POSTGRES_OPTIONS
}

open_cluster() { cd / && exec 3<"$STACK_DIR/postgres"; }

create_cluster() {
    local data=$1 password=$RUN/initdb.password
    rm -rf "$data"
    mkdir -m 700 "$data"
    (umask 077 && secret postgres-superuser >"$password")
    own postgres "$data" "$password"
    (
        open_cluster
        take_user_of postgres
        "${AS[@]}" "$(postgres_tool initdb)" -D /proc/self/fd/3 -U postgres --auth=scram-sha-256 --pwfile=/proc/self/fd/4 \
            -E UTF8 --locale=C.UTF-8 --no-sync >"$LOG/initdb.log" 2>&1 4<"$password"
    ) || fail "postgres: initdb failed: $(last_words initdb)"
    rm -f "$password"
}

# A killed server leaves its lock file behind and, for a moment, its workers. While they live the file is right: wait for them, then remove it.
forget_dead_postmaster() {
    local data=$1 deadline=$((SECONDS + 60))
    while lives_in "$data"; do
        [[ $SECONDS -lt $deadline ]] || fail "postgres: processes of an earlier start still use $data"
        sleep 0.1
    done
    rm -f "$data/postmaster.pid"
}

# lives_in FOLDER: some process has it as its working directory.
lives_in() {
    local folder
    for folder in /proc/[0-9]*/cwd; do
        if [[ $folder -ef $1 ]]; then return 0; fi
    done
    return 1
}

# Idempotent: roles, the database, a schema each.
create_roles() {
    local role
    {
        for role in "${POSTGRES_ROLES[@]}"; do printf "\\\\set %s_password '%s'\n" "${role//-/_}" "$(secret "postgres-$role")"; done
        cat "$PROJECT/deploy/postgres/roles.sql"
    } | PGPASSWORD=$(secret postgres-superuser) "$(postgres_tool psql)" -X -q -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres -d postgres \
        -v ON_ERROR_STOP=1 >>"$LOG/roles.log" 2>&1 || fail "postgres: the roles could not be created: $(last_words roles)"
}
