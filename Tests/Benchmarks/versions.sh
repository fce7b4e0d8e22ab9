#!/usr/bin/env bash
# make bench-versions OTHER=COMMIT: builds that commit in a clone beside the benchmark's state, starts a
# whole stack of it and one of this tree with release executables, and compares their llm-proxy.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"

# shellcheck disable=SC2154 # stack.sh sets it
commit=$(git -C "$project" rev-parse --verify --quiet "${OTHER:-}^{commit}") || {
    printf 'bench-versions: OTHER must name a commit, as in: make bench-versions OTHER=HEAD~1\n' >&2
    exit 1
}
clone=$STACK_DIR-other
other=$clone/stack

# with_other VERB: stack.sh of the other commit, 100 ports further.
with_other() { STACK_DIR=$other PORT_BASE=$((PORT_BASE + 100)) bash "$clone/deploy/local/stack.sh" "$1"; }

[[ -d $clone/.git ]] || git clone --quiet "$project" "$clone"
git -C "$clone" fetch --quiet "$project" "$commit"
git -C "$clone" checkout --quiet "$commit"
bash "$clone/deploy/local/build.sh" -c release
with_other delete >/dev/null
trap 'with_other delete >/dev/null' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$other"
settings >"$other/local.env"
with_other up
(bench versions "" "$other/stack.json") # a subshell, whose own trap takes down the stack of this tree
