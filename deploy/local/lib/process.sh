# Processes, known by pid and the moment they were born, so that a number the kernel gave away again is never taken for ours.

# born PID: when the process started, in clock ticks since boot; fails when there is no such process or only its exit status is left.
born() {
    local stat fields
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != [ZX] ]] || return 1
    echo "${fields[19]}"
}

# pid_of NAME: the running process of that name; fails when it does not run.
pid_of() {
    local pid start
    { read -r pid start <"$RUN/$1.pid"; } 2>/dev/null || return 1
    [[ $(born "$pid") == "$start" ]] || return 1
    echo "$pid"
}

# launch NAME PREPARE COMMAND...: starts it in a session of its own, as its user, after PREPARE has set its environment and folder
# there. Output goes to log/NAME.log.
launch() {
    local name=$1 prepare=$2 log=$LOG/$1.log pid
    shift 2
    rotate "$log"
    (
        close_inherited
        "$prepare" "$name"
        forget_secrets
        take_user_of "$name"
        exec setsid "${AS[@]}" "$@"
    ) >>"$log" 2>&1 </dev/null &
    pid=$!
    disown
    printf '%s %s\n' "$pid" "$(born "$pid")" >"$RUN/$name.pid"
    STARTED+=("$name")
}

# rotate FILE: keeps one older file beside a log.
rotate() {
    if [[ -f $1 && $(stat -c %s "$1") -gt 50000000 ]]; then mv "$1" "$1.1"; fi
}

# Nothing of ours but input, output and errors goes on to a server: not our lock, and not what our caller watches to learn that we ended.
close_inherited() {
    local fd
    for fd in "/proc/$BASHPID/fd"/*; do
        fd=${fd##*/}
        if [[ $fd -gt 2 ]]; then exec {fd}>&-; fi
    done
}

# wait_ready NAME SECONDS COMMAND...: until the command succeeds; fails at once when the process ends first.
wait_ready() {
    local name=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        pid_of "$name" >/dev/null || fail "$name stopped while starting: $(last_words "$name")"
        [[ $SECONDS -lt $deadline ]] || fail "$name is not ready in time: $(last_words "$name")"
        sleep 0.1
    done
}

# last_words NAME: the last line of its log, and where the log is.
last_words() {
    local line
    line=$(tail -n 20 "$LOG/$1.log" 2>/dev/null | grep -v '^[[:space:]]*$' | tail -n 1) || line="it wrote nothing"
    printf '%s (%s)' "$line" "$(tidy "$LOG/$1.log")"
}

# send NAME SIGNAL: to the process; the edge's workers outlive a killed master, so there the whole session gets it.
send() {
    local pid
    pid=$(pid_of "$1") || return 0
    if [[ $1 == edge && $2 == KILL ]]; then pid=-$pid; fi
    kill -s "$2" -- "$pid" 2>/dev/null || true
}

# stop_process NAME SIGNAL SECONDS: asks, waits, and kills what is still there after that time.
stop_process() {
    local name=$1 deadline=$((SECONDS + $3))
    send "$name" "$2"
    while pid_of "$name" >/dev/null; do
        if [[ $SECONDS -ge $deadline ]]; then
            [[ $name == rabbitmq ]] || say "  $name did not stop within $3 s: killed"
            send "$name" KILL
            deadline=$((SECONDS + 10))
        fi
        sleep 0.05
    done
    rm -f "$RUN/$name.pid"
}

# port_taken PORT: some process listens on it (read from the kernel's table, so that nothing has to be installed).
port_taken() {
    local tables=(/proc/net/tcp)
    if [[ -r /proc/net/tcp6 ]]; then tables+=(/proc/net/tcp6); fi
    grep -qE "^ *[0-9]+: [0-9A-F]+:$(printf '%04X' "$1") [0-9A-F]+:0000 0A " "${tables[@]}"
}

# need_port PORT COMPONENT VARIABLE
need_port() {
    local deadline=$((SECONDS + 3)) # a server that was just killed lets go of its port a moment later
    while port_taken "$1"; do
        [[ $SECONDS -lt $deadline ]] || fail "port $1 for $2 is taken by another program: stop it or set $3"
        sleep 0.1
    done
}
