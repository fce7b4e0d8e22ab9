#!/usr/bin/env bash
# make bench-faults: starts a stack of its own with release executables and two ledgers, and a
# steady load. Lets its parts fail one after the other. Takes about an hour;
# Tests/Benchmarks/Faults/FaultBench.swift lists the settings that shorten it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bench faults "postgres rabbitmq provider-simulator auth ledger ledger-2 billing llm-proxy-1 llm-proxy-2 edge"
