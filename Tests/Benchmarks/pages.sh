#!/usr/bin/env bash
# make bench-pages: starts a stack of its own with release executables, weighs each page and measures its answer. Takes a minute.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bring_up
PYTHONDONTWRITEBYTECODE=1 python3 Tests/System/browser/weigh.py "$STACK_DIR/stack.json"
