# Watching a build from outside; sourced by the bats files that interrupt one.

# Does process $1 have a file below directory $2 open for writing? Its output, with or without a name.
writes_output() {
    local fd flags
    for fd in "/proc/$1/fd/"*; do
        case $(readlink "$fd") in "$2"/*) ;; *) continue ;; esac
        flags=$(sed -n 's/^flags:[[:space:]]*//p' "/proc/$1/fdinfo/${fd##*/}" 2>/dev/null)
        case $flags in *[12]) return 0 ;; esac
    done
    return 1
}

# Until it does, or has ended.
await_output() { # PID DIRECTORY
    while [ -d "/proc/$1/fd" ] && ! writes_output "$1" "$2"; do sleep 0.002; done
}
