#!/usr/bin/env bash
# swift build, with a sign of life every fifteen seconds where no terminal shows its progress.
#
#   build.sh [SWIFT BUILD ARGUMENT...]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
command -v swift >/dev/null || {
    echo "build: swift is not installed, or not in PATH" >&2
    exit 1
}

echo "building (swift build $*; the first time takes minutes)" >&2
if [[ -t 1 ]]; then
    swift build "$@"
else
    (
        while sleep 15; do printf '  building: %d s\n' "$SECONDS" >&2; done
    ) &
    ticker=$!
    trap 'kill "$ticker" 2>/dev/null || true' EXIT
    swift build "$@"
fi
printf 'built in %d s\n' "$SECONDS" >&2
