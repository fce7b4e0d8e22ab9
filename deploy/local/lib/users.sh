# Who runs what. Started by root, no server runs as root; started by a person, all runs as that person.

AS_POSTGRES=() AS_RABBITMQ=() AS_SERVICE=()
POSTGRES_USER=$(id -un) RABBITMQ_USER=$POSTGRES_USER SERVICE_USER=$POSTGRES_USER
if [[ $EUID == 0 ]]; then
    POSTGRES_USER=postgres RABBITMQ_USER=rabbitmq SERVICE_USER=nobody
    AS_POSTGRES=(setpriv --reuid=postgres --regid=postgres --init-groups)
    AS_RABBITMQ=(setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups)
    AS_SERVICE=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi

# own USER PATH...: gives the paths to the user, where we are allowed to and need to.
own() {
    local user=$1
    shift
    if [[ $EUID == 0 ]]; then chown "$user" "$@"; fi
}

# Lays out STACK_DIR. Root's own home is closed to other users (mode 700): then the state lives under /var/lib, and STACK_DIR is a link to it.
lay_out() {
    if [[ ! -e $STACK_DIR ]]; then
        if [[ $EUID == 0 && ! -L $STACK_DIR ]] && ! reachable "$(dirname "$STACK_DIR")"; then
            mkdir -p "$(open_home)" "$(dirname "$STACK_DIR")"
            ln -s "$(open_home)" "$STACK_DIR"
        fi
        mkdir -p "$(readlink -m "$STACK_DIR")"
    fi
    mkdir -p "$STACK_DIR"/{log,run,bin,share}
    (umask 077 && mkdir -p "$STACK_DIR/secrets")
}

# open_home: where the state lies when STACK_DIR itself cannot hold it.
open_home() { printf '/var/lib/smartspec/%s' "$(cksum <<<"$STACK_DIR" | cut -d' ' -f1)"; }

# A copied project brings a copied link: it would lead to the other one's state.
drop_copied_link() {
    if [[ -L $STACK_DIR && $(readlink "$STACK_DIR") == /var/lib/smartspec/* && $(readlink "$STACK_DIR") != "$(open_home)" ]]; then
        rm -f "$STACK_DIR"
    fi
}

# reachable PATH: an unprivileged user can enter the nearest folder of PATH that exists.
reachable() {
    local path=$1
    until [[ -d $path ]]; do path=$(dirname "$path"); done
    (cd "$path" && "${AS_SERVICE[@]}" test -x "$path" 2>/dev/null)
}

# name_folders: after lay_out, or when it was laid out before.
name_folders() {
    STACK_LINK=$STACK_DIR # what lay_out may have made a link
    if [[ -e $STACK_DIR ]]; then STACK_DIR=$(readlink -f "$STACK_DIR"); fi
    LOG=$STACK_DIR/log RUN=$STACK_DIR/run SECRETS=$STACK_DIR/secrets
}
