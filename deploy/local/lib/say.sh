# What a person sees: steps while they run, one line when something is wrong.

# say TEXT: a line of progress.
say() { printf '%s\n' "$*" >&2; }

# fail TEXT: the one line that says what is wrong; the script ends, and its exit trap stops what it started.
fail() {
    printf 'stack: %s\n' "$*" >&2
    exit 1
}

# since SECONDS: the time passed since $SECONDS had that value.
since() { printf '%d s' $((SECONDS - $1)); }

# tidy PATH: the path as the caller would type it, relative to where they are.
tidy() { printf '%s' "${1#"$CALLER_DIR"/}"; }

# json_string TEXT: the text as a JSON string.
json_string() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}
