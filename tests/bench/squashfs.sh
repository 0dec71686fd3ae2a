#!/bin/bash
# make bench-squashfs: plat mk squashfs beside mksquashfs and gensquashfs, the same tree, codec and threads, in one run, on
# tmpfs where there is one. Prints a Markdown table: of RUNS runs (3) the median seconds, of the last one CPU seconds, peak
# MiB and bytes; and plat's share of the best peer in each. Trees: arguments, else /usr/share. --no-verify, as the peers
# read nothing back. OPTIONS chooses rows ("gzip zstd:3").
set -euo pipefail
export LC_ALL=C TZ=UTC
plat=${PLAT:-build/plat} runs=${RUNS:-3} threads=${THREADS:-2}
base=/dev/shm
[ "$(stat -f -c %T $base 2>/dev/null)" = tmpfs ] || base=${TMPDIR:-/tmp}
work=$(mktemp -d "$base/plat-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

run_plat() { "$plat" mk squashfs "$1" -o "$work/image" --no-verify -O "compress=$2" -O "threads=$threads"; }
run_mksquashfs() {
    local level=()
    case $2 in
    zstd:*) level=(-Xcompression-level "${2#*:}") ;;
    lz4:hc) level=(-Xhc) ;;
    esac
    mksquashfs "$1" "$work/image" -noappend -quiet -no-progress -no-xattrs -all-root -processors "$threads" \
        -comp "${2%%:*}" ${level[@]+"${level[@]}"}
}
run_gensquashfs() {
    local level=()
    case $2 in
    zstd:*) level=(-X "level=${2#*:}") ;;
    lz4:hc) level=(-X hc) ;;
    esac
    gensquashfs -D "$1" -q -f -o -j "$threads" -d uid=0,gid=0 -c "${2%%:*}" ${level[@]+"${level[@]}"} "$work/image"
}
export -f run_plat run_mksquashfs run_gensquashfs
export plat work threads

# "wall cpu MiB bytes"
measure() { # TOOL TREE OPTION
    local i
    : >"$work/times"
    for ((i = 0; i < runs; i++)); do
        rm -f "$work/image"
        /usr/bin/time -f '%e %U %S %M' -o "$work/time" bash -c 'run_"$@"' bash "$@" >"$work/log" 2>&1 ||
            { cat "$work/log" >&2; return 1; }
        tail -n 1 "$work/time" >>"$work/times"
    done
    sort -n "$work/times" | awk -v bytes="$(stat -c %s "$work/image")" '
        { wall[NR] = $1; cpu = $2 + $3; mib = $4 / 1024 }
        END { printf "%.2f %.2f %.0f %d", wall[int((NR + 1) / 2)], cpu, mib, bytes }'
}

echo "| tree | option | plat: wall, CPU, MiB, bytes | mksquashfs | gensquashfs | plat's share: wall, CPU, MiB, bytes |"
echo "| --- | --- | --- | --- | --- | --- |"
[ $# -gt 0 ] || set -- /usr/share
for tree in "$@"; do
    find "$tree" -type f -print0 | xargs -0 cat >/dev/null # read once, so that nobody is first
    for option in ${OPTIONS:-gzip zstd:15 zstd:3 xz lz4}; do
        p=$(measure plat "$tree" "$option")
        m=$(measure mksquashfs "$tree" "$option")
        g=$(measure gensquashfs "$tree" "$option")
        share=$(printf '%s\n' "$p" "$m" "$g" | awk '
            { for (i = 1; i <= 4; i++) v[NR, i] = $i }
            END { for (i = 1; i <= 4; i++) printf "%s%.3f", (i > 1 ? ", " : ""), v[1, i] / (v[2, i] < v[3, i] ? v[2, i] : v[3, i]) }')
        echo "| $tree | $option | ${p// /, } | ${m// /, } | ${g// /, } | $share |"
    done
done
