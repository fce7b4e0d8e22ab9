#!/usr/bin/env bash
# make bench-ledger: a stack of its own with release executables, then the ledger, on the database path and through the broker, beside
# pgbench. About seven minutes; Tests/Benchmarks/Ledger/LedgerBench.swift lists the settings that shorten it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bench ledger "postgres rabbitmq auth ledger"
