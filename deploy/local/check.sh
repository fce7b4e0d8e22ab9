#!/usr/bin/env bash
# What CI holds besides the tests: format, no warnings, no import that Package.swift does not declare, the architecture, the scripts.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash deploy/local/packages.sh test

step() { printf 'check: %s\n' "$*" >&2; }

step "scripts"
find .ci deploy Tests \( -name '*.sh' -o -path .ci/run \) -exec shellcheck {} +

step "format"
swift format lint --recursive --strict Package.swift Services Shared Tests

step "build with declared imports only, warnings are errors"
bash deploy/local/build.sh --build-tests --explicit-target-dependency-import-check error

step "architecture"
swift test --skip-build --filter ArchitectureTests

step "all held"
