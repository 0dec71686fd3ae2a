#!/bin/bash
# Stands in for QEMU in boot.bats: speaks QMP and plays the scene in $FAKE_SCENE, a piece of shell that uses the
# functions below. Leaves its process number, its accelerator and its arguments in $FAKE_DIR.
for arg in "$@"; do
    case $arg in
    socket,id=console,fd=*) console=${arg##*fd=} ;;
    socket,id=control,fd=*) control=${arg##*fd=} ;;
    esac
    case $before in -accel) accel=$arg ;; esac
    before=$arg
done
echo $$ >>"$FAKE_DIR/pids"
echo "$accel" >>"$FAKE_DIR/accels"
printf '%s\n' "$@" >"$FAKE_DIR/args"
echo running >"$FAKE_DIR/status"

say() { printf "$@" >&"$console"; }
qmp() { printf '%s\r\n' "$1" >&"$control"; }
event() { qmp "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"$1\", \"data\": ${2:-{\}}}"; }
power_down() {
    event SHUTDOWN '{"guest": true, "reason": "guest-shutdown"}'
    exit 0
}
stand_still() { while :; do sleep 1; done; }

answer() {
    local line id count=0
    while IFS= read -r line <&"$control"; do
        id=${line##*\"id\": }
        id=${id%%[!0-9]*}
        case $line in
        *query-status*) qmp "{\"return\": {\"status\": \"$(<"$FAKE_DIR/status")\", \"running\": true}, \"id\": $id}" ;;
        *human-monitor-command*)
            # $FAKE_REGISTERS "still": a guest that makes no progress
            [ "$FAKE_REGISTERS" = still ] || count=$((count + 1))
            qmp "{\"return\": \"RIP=$count\\r\\n\", \"id\": $id}" ;;
        *) qmp "{\"return\": {}, \"id\": $id}" ;;
        esac
    done
}
[ -n "$FAKE_MUTE" ] || qmp '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}'
answer &
eval "$FAKE_SCENE"
