#!/bin/bash
# Reading SquashFS: plat beside unsquashfs, in one run, on tmpfs where there is one, the cache warm. Prints a Markdown table: of RUNS
# runs (3), taken in turns, the median seconds, the CPU seconds of that run and peak MiB; plat's share of the peer; the
# target for the wall and whether it is met. Rows: extract of each tree (arguments, else /usr/share and /usr/share/doc) for
# each codec (OPTIONS), with 2 threads; a listing of 300,000 names; and with DECODE_FLOOR verify --data of the first tree, whose
# peer is the bare codec on the same blocks.
set -euo pipefail
export LC_ALL=C TZ=UTC
plat=${PLAT:-build/plat} runs=${RUNS:-3} threads=${THREADS:-2}
here=$(cd "$(dirname "$0")" && pwd)
base=/dev/shm
[ "$(stat -f -c %T $base 2>/dev/null)" = tmpfs ] || base=${TMPDIR:-/tmp}
work=$(mktemp -d "$base/plat-bench.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

extract_plat() { "$plat" extract --threads "$threads" "$1" -C "$work/out"; }
extract_peer() { unsquashfs -q -n -p "$threads" -d "$work/out" "$1"; }
list_plat() { "$plat" ls -l "$1" many >"$work/out.txt"; }
list_peer() { unsquashfs -lls "$1" >"$work/out.txt"; }
scrub_plat() { "$plat" verify --data "$1"; }
scrub_peer() { "$DECODE_FLOOR" -j "$threads" "$1"; }
export -f extract_plat extract_peer list_plat list_peer scrub_plat scrub_peer
export plat work threads

once() { # WHAT IMAGE: a line "wall cpu MiB" at the end of times.WHAT
    rm -rf "$work/out"
    /usr/bin/time -f '%e %U %S %M' -o "$work/time" bash -c '"$@"' bash "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
    tail -n 1 "$work/time" | awk '{ printf "%.2f %.2f %.0f\n", $1, $2 + $3, $4 / 1024 }' >>"$work/times.$1"
}
row() { # TITLE WHAT IMAGE PEER TARGET
    local i p q
    rm -f "$work"/times.*
    for ((i = 0; i < runs; i++)); do
        once "$2_peer" "$3"
        once "$2_plat" "$3"
    done
    p=$(sort -n "$work/times.$2_plat" | sed -n "$(((runs + 1) / 2))p")
    q=$(sort -n "$work/times.$2_peer" | sed -n "$(((runs + 1) / 2))p")
    awk -v title="$1" -v p="$p" -v q="$q" -v peer="$4" -v target="$5" 'BEGIN {
        split(p, a); split(q, b)
        for (i = 1; i <= 3; i++) s[i] = b[i] > 0 ? sprintf("%.2f", a[i] / b[i]) : "-"
        printf "| %s | %s, %s, %s | %s: %s, %s, %s | %s, %s, %s | %s: %s |\n", title, a[1], a[2], a[3], peer, b[1], b[2], b[3],
            s[1], s[2], s[3], target, (b[1] > 0 && a[1] <= target * b[1] ? "met" : "missed") }'
}

echo "| reading | plat: wall, CPU, MiB | peer: wall, CPU, MiB | plat's share | target for the wall |"
echo "| --- | --- | --- | --- | --- |"
[ $# -gt 0 ] || set -- /usr/share /usr/share/doc
for tree in "$@"; do
    for option in ${OPTIONS:-gzip zstd xz lz4}; do
        mksquashfs "$tree" "$work/image" -noappend -quiet -no-progress -comp "$option" >/dev/null
        cat "$work/image" >/dev/null
        row "extract $tree, $option" extract "$work/image" unsquashfs 0.8
        if [ -n "${DECODE_FLOOR:-}" ] && [ "$tree" = "$1" ]; then
            row "verify --data $tree, $option" scrub "$work/image" "codec alone" 1.2
        fi
    done
done
python3 "$here/names_tar.py" 300000 | "$plat" mk squashfs - -o "$work/many.img" >/dev/null
row "ls -l of 300,000 names" list "$work/many.img" "unsquashfs -lls" 0.8
