#!/usr/bin/env bash
# make bench: a stack of its own with release executables and one loop in the proxy, then the proxy beside nginx.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bench proxy
