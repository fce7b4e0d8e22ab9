#!/usr/bin/env bash
# make soak-ledger: a stack of its own with two ledgers as release executables, ten minutes of traffic and faults, every decision checked.
#
#   SOAK_SECONDS    length of the traffic (600); less than 60 has short faults
#   SOAK_SEED       seed of everything random; printed, so that a run can be repeated
#   SOAK_PORT_BASE  first of its ports (19000)
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tool=$project/deploy/local/stack.sh
STACK_DIR=$(bash "$tool" folder)/soak
seconds=${SOAK_SECONDS:-600}
seed=${SOAK_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
export STACK_DIR PORT_BASE=${SOAK_PORT_BASE:-19000}

bash "$project/deploy/local/build.sh" -c release
bash "$tool" delete >/dev/null
trap 'bash "$tool" down >/dev/null 2>&1' EXIT
trap 'exit 130' INT TERM HUP
"$project/.build/release/soak" "$tool" "$STACK_DIR" "$PORT_BASE" "$seconds" "$seed"
