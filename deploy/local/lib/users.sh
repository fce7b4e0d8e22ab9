# Who runs what. Started by root, each server has a user of its own, and none is root; started by a person, all runs as that person.

# Numbers without a name: the users need no entry in /etc/passwd. Debian numbers people from 1000 up, so it reaches these last.
declare -A SERVICE_UIDS=(
    [auth]=59101 [ledger]=59102 [billing]=59103 [llm-proxy]=59111 [edge]=59180 [provider-simulator]=59190 [mail-sink]=59191
    [stripe-simulator]=59193
)

# user_of COMPONENT: its user when root started the stack.
user_of() {
    case $1 in
    postgres) echo postgres ;;
    rabbitmq | epmd) echo rabbitmq ;;
    *) echo "${SERVICE_UIDS[$(program_of "$1")]}" ;;
    esac
}

# take_user_of COMPONENT: sets AS to the words that run a command as the component's user.
take_user_of() {
    local user
    AS=()
    if [[ $EUID == 0 ]]; then
        user=$(user_of "$1")
        AS=(setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs)
    fi
}

# own COMPONENT PATH...: gives the paths to the component's user, where we are allowed to and need to.
own() {
    local user
    user=$(user_of "$1")
    shift
    if [[ $EUID == 0 ]]; then chown "$user:$user" "$@"; fi
}

# Lays out STACK_DIR. A server reaches its files from the folder in which it was started (Postgres: by a descriptor), never by an
# absolute path: STACK_DIR may lie in a folder that its user cannot enter, such as /root.
lay_out() {
    [[ ! -L ${STACK_DIR%/} ]] || fail "STACK_DIR is $STACK_DIR, a symbolic link: give the folder itself"
    mkdir -p "$STACK_DIR"/{log,run,bin,share}
    chmod a+x "$STACK_DIR"
    (umask 077 && mkdir -p "$STACK_DIR/secrets")
}
