# What the demonstrations share: sourced, not run.
funcrec=.venv/bin/funcrec
sudo=${SUDO-}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# Show a command as one would type it, in bold.
show() {
    printf '\n\033[1m$'
    for word; do
        case $word in
        *[!A-Za-z0-9_./:=-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\033[0m\n'
}
# Show a command, then run it.
run() {
    show "$@"
    "$@"
}
