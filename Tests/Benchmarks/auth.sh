#!/usr/bin/env bash
# make bench-auth: starts a stack of its own with release executables and two proxies, then attacks
# auth, measures it, and measures the check of credentials. Takes about ten minutes;
# Tests/Benchmarks/Auth/AuthBench.swift lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bench auth
