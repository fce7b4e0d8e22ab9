#!/usr/bin/env bash
# Fuzzes the parsers with libFuzzer under the address sanitizer, two targets at a time.
#
#   fuzz.sh [TARGET...]     all targets without arguments
#
# FUZZ_SECONDS is the time of each target (30). FUZZ_SEED replays the choices of a run. The inputs in
# Corpus/ are read and never written. An input that fails stays in .build/fuzz/failed:
#
#   FUZZ_TARGET=TARGET .build/fuzz/release/Fuzz FILE
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=.build/fuzz
seed=${FUZZ_SEED:-$((RANDOM * 32768 + RANDOM + 1))}

FUZZ=1 bash deploy/local/build.sh -c release --scratch-path "$build" --product Fuzz --sanitize address --sanitize fuzzer \
    -Xswiftc -enable-testing -Xswiftc -assert-config -Xswiftc Debug

fuzz() {
    local target=$1 log=$build/$1.log
    rm -rf "$build/corpus/$target"
    mkdir -p "$build/corpus/$target" "$build/failed"
    if SWIFT_BACKTRACE=enable=no FUZZ_TARGET=$target "$build/release/Fuzz" -seed="$seed" -max_total_time="${FUZZ_SECONDS:-30}" -timeout=10 -rss_limit_mb=2048 \
        -max_len=4096 -artifact_prefix="$build/failed/$target-" "$build/corpus/$target" "Tests/Fuzz/Corpus/$target" >"$log" 2>&1; then
        printf '  %s: %s\n' "$target" "$(tail -n 1 "$log")"
    else
        printf '  %s: failed, FUZZ_SEED=%s\n' "$target" "$seed"
        tail -n 60 "$log"
        return 1
    fi
}

targets=("$@")
if [[ $# == 0 ]]; then targets=(http-request json http-response amqp message multipart sse); fi
echo "fuzzing ${targets[*]} (FUZZ_SEED=$seed)"
failed=0
for ((first = 0; first < ${#targets[@]}; first += 2)); do
    running=()
    for target in "${targets[@]:first:2}"; do
        fuzz "$target" &
        running+=($!)
    done
    for job in "${running[@]}"; do wait "$job" || failed=1; done
done
exit "$failed"
