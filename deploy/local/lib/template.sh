# fill FILE NAME=VALUE...: prints the file with every ${NAME} replaced.
fill() {
    local text pair
    text=$(<"$1")
    shift
    # Quoted: bash 5.2 puts the name in place of each & of an unquoted value.
    for pair in "$@"; do text=${text//"\${${pair%%=*}}"/"${pair#*=}"}; done
    printf '%s\n' "$text"
}
