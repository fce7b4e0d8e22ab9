#!/usr/bin/env bash
# make bench-ledger: a stack of its own with release executables, then the ledger through the broker beside pgbench.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bench ledger
