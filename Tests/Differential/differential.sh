#!/usr/bin/env bash
# Compares the parsers with Python's json and with httpx-sse, on millions of cases.
#
#   differential.sh [TARGET=CASES...]     scanner, splicer and events without arguments
#
# SEED replays a run. A difference prints its case in base64.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash deploy/local/build.sh -c release --product parser-probe
python=.build/differential/bin/python
if ! cmp -s Tests/Differential/requirements.txt .build/differential/installed.txt; then
    python3 -m venv --clear .build/differential
    "$python" -m pip install --quiet -r Tests/Differential/requirements.txt
    cp Tests/Differential/requirements.txt .build/differential/installed.txt
fi

targets=("$@")
if [[ $# == 0 ]]; then targets=(scanner=3000000 splicer=1000000 events=1000000); fi
failed=0
for target in "${targets[@]}"; do
    PYTHONDONTWRITEBYTECODE=1 "$python" Tests/Differential/differential.py .build/release/parser-probe "$target" || failed=1
done
exit "$failed"
