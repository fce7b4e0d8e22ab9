#!/usr/bin/env bash
# make bench-bodies: a stack of its own with release executables and one loop in the proxy, then
# large bodies next to short requests on the same loop. Takes about a minute.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bench bodies
