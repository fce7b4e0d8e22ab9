# fill FILE NAME=VALUE...: prints the file with every ${NAME} replaced.
fill() {
    local text pair
    text=$(<"$1")
    shift
    for pair in "$@"; do text=${text//"\${${pair%%=*}}"/${pair#*=}}; done
    printf '%s\n' "$text"
}
