# Sourced: brings up a stack for a benchmark, and takes it down when the benchmark ends.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tool=$project/deploy/local/stack.sh
STACK_DIR=$(bash "$tool" folder)/bench
export STACK_DIR PORT_BASE=${BENCH_PORT_BASE:-18000}
unset SMTP_URL MAIL_FROM # no mail leaves the machine

# settings: prints the variables that every service of a benchmark gets.
settings() {
    printf '%s\n' "LOOPS=${BENCH_LOOPS:-1}" REGISTER_BURST=1000000 REGISTER_PER_SECOND_TOTAL=1000000 REQUIRE_VERIFIED_EMAIL=off
}

# bench SUBJECT [COMPONENTS [ARGUMENT...]]: all components where none are named.
bench() {
    bring_up "${2:-}"
    .build/release/bench "$1" "$STACK_DIR/stack.json" "${@:3}"
}

# bring_up [COMPONENTS]: builds and starts them, and enters the project.
bring_up() {
    bash "$project/deploy/local/build.sh" -c release
    bash "$tool" delete >/dev/null
    mkdir -p "$STACK_DIR"
    settings >"$STACK_DIR/local.env"
    trap 'bash "$tool" delete >/dev/null' EXIT
    trap 'exit 130' INT TERM HUP
    STACK_COMPONENTS=${1:-} bash "$tool" up
    cd "$project" || exit
}
