#!/usr/bin/env bash
# Installs the Debian packages that are missing, and only those. Without an argument what `make run` needs;
# `packages.sh test` and `packages.sh bench` add what tests and benchmarks need.
set -euo pipefail

# Any one of the names joined by | will do.
run=(
    librabbitmq-dev libpq-dev libcurl4-openssl-dev libssl-dev libhttp-parser-dev libsodium-dev pkg-config
    'postgresql|postgresql-[0-9]*' rabbitmq-server nginx curl python3-aiosmtpd
)
test=(python3-venv shellcheck chromium fonts-noto-core libatomic1)
bench=(wrk)

# The start scripts look at this file: exit status 101 keeps a freshly installed server from being started system-wide.
policy=/usr/sbin/policy-rc.d

main() {
    local missing=() entry
    local wanted=("${run[@]}")
    case ${1:-run} in
    run) ;;
    test) wanted+=("${test[@]}") ;;
    bench) wanted+=("${test[@]}" "${bench[@]}") ;;
    *) fail "unknown set of packages: $1 (run, test, bench)" ;;
    esac
    for entry in "${wanted[@]}"; do
        installed "$entry" || missing+=("${entry%%|*}")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    install "${missing[@]}"
}

fail() {
    printf 'packages: %s\n' "$*" >&2
    exit 1
}

# installed A|B: dpkg knows one of them as installed.
installed() {
    local names states
    IFS='|' read -ra names <<<"$1"
    states=$(dpkg-query -W -f=' ${db:Status-Status} ' "${names[@]}" 2>/dev/null || true)
    [[ $states == *" installed "* ]]
}

install() {
    local begun=$SECONDS log root=()
    command -v apt-get >/dev/null || fail "this is no Debian; install the counterparts of: $*"
    if [[ $EUID != 0 ]]; then
        command -v sudo >/dev/null || fail "missing packages: $* (neither root nor sudo here; install them and start again)"
        root=(sudo)
    fi
    log=$(mktemp)
    printf 'installing %s\n' "$*" >&2
    hold_servers "${root[@]}"
    # shellcheck disable=SC2064
    trap "release_servers ${root[*]}; rm -f '$log'" EXIT
    trap 'exit 130' INT TERM
    watch_progress "$begun" "apt-get update" "$log" "${root[@]}" apt-get update -qq
    watch_progress "$begun" "apt-get install $*" "$log" "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
    printf 'installed in %d s\n' $((SECONDS - begun)) >&2
}

# watch_progress BEGUN NAME LOG COMMAND...: runs it quietly, with a sign of life every ten seconds; on failure its last line.
watch_progress() {
    local begun=$1 name=$2 log=$3 pid next=$((SECONDS + 10))
    shift 3
    "$@" >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if [[ $SECONDS -ge $next ]]; then
            printf '  %s: %d s\n' "${name:0:40}" $((SECONDS - begun)) >&2
            next=$((SECONDS + 10))
        fi
    done
    wait "$pid" || fail "$name failed: $(grep -E '^(E|dpkg|sudo):' "$log" | tail -n 1 || tail -n 1 "$log")"
}

hold_servers() {
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101 # smartspec\n' | "$@" tee "$policy" >/dev/null
        "$@" chmod 755 "$policy"
    fi
}

release_servers() {
    if grep -qs '# smartspec$' "$policy"; then "$@" rm -f "$policy"; fi
}

main "$@"
