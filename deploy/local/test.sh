#!/usr/bin/env bash
# Every test against real servers: a private Postgres and RabbitMQ of their own, started for this run and gone after it.
#
#   test.sh [SWIFT TEST ARGUMENT...]     for example --filter LedgerTests
#
# The stacks of the system tests and of the soak run release executables. They are built for all tests, and for a
# filter that names System or Soak. STACK_BIN=.build/debug runs the executables of the test build instead.
#
# What tests find in their environment:
#   TEST_POSTGRES_URL    superuser, database postgres: each suite makes a database of its own
#   TEST_AMQP_URL        administrator, vhost /: each suite makes a vhost of its own
#   TEST_RABBITMQ_API    the management API, with user and password
#   STACK_TOOL           stack.sh; with STACK_DIR under TEST_STACKS and a PORT_BASE of its own a system test runs whole stacks
#   TEST_STACKS          the folder for their state; stacks left behind there are stopped at the end
#   TEST_STACK_PORT_BASE the first of their ports: a hundred above TEST_PORT_BASE (17000), where the servers above have theirs
#   STACK_BIN            the executables such a stack runs
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../.." && pwd)
state=$(bash "$here/stack.sh" folder)/test
servers=$state/servers

stack() { STACK_DIR=$1 bash "$here/stack.sh" "${@:2}"; }

# Stops what tests left running, and forgets it.
clear_away() {
    local folder
    for folder in "$state"/stacks/* "$servers"; do
        if [[ -e $folder ]]; then stack "$folder" delete 2>/dev/null || true; fi
    done
    rm -rf "$state"
}

# described KEY: a value of the servers' stack.json.
described() { sed -nE "s/.*\"$1\": \"([^\"]*)\".*/\1/p" "$servers/stack.json" | head -n 1; }

bash "$here/packages.sh" test
bash "$here/build.sh" --build-tests
if [[ -z ${STACK_BIN:-} && ($# == 0 || "$*" == *System* || "$*" == *Soak*) ]]; then
    for product in auth ledger billing llm-proxy provider-simulator; do bash "$here/build.sh" -c release --product "$product"; done
fi

unset SMTP_URL MAIL_FROM STRIPE_SECRET_KEY # made-up accounts: no mail and no payment leaves the machine
clear_away
trap 'clear_away' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$state/stacks"
chmod 700 "$state" # as root's home is: no server may depend on a way through the folders above its own
# Without fsync a suite's database is made in half the time; a killed server loses nothing by it, only a killed machine would.
first_port=${TEST_PORT_BASE:-17000}
PORT_BASE=$first_port STACK_COMPONENTS="postgres rabbitmq" POSTGRES_OPTIONS="-c fsync=off" stack "$servers" up

TEST_POSTGRES_URL=$(described superuser_url)
TEST_AMQP_URL=$(described url)
TEST_RABBITMQ_API=$(described api)
export TEST_POSTGRES_URL=${TEST_POSTGRES_URL%/*}/postgres TEST_AMQP_URL=${TEST_AMQP_URL%/*}/ TEST_RABBITMQ_API
export STACK_TOOL=$here/stack.sh TEST_STACKS=$state/stacks TEST_STACK_PORT_BASE=$((first_port + 100)) STACK_BIN=${STACK_BIN:-$project/.build/release}

cd "$project"
# One test at a time: two cores also carry Postgres, RabbitMQ and whole stacks, and a deadline missed for want of a core says nothing.
if ! swift test --skip-build --no-parallel "$@" 2>&1 | tee "$state/output"; then
    # A thousand lines may stand after a failure.
    printf '\nwhat failed:\n'
    grep -E '^(✘|↳|error:|Fatal error|.*: Fatal error)' "$state/output" | tail -n 200
    exit 1
fi
