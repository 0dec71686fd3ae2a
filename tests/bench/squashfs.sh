#!/bin/bash
# make bench-squashfs: plat mk squashfs beside mksquashfs, gensquashfs and tar2sqfs (whose input is the tar), with the same tree,
# codec and threads, one after the other in each run, on tmpfs where there is one. The trees are those of squashfs_trees.sh
# (TREES: where they are, else they are made and removed). --no-verify, as the peers read nothing back. Prints a section of
# Markdown and puts it into BENCHMARKS.md (SECTION=- : prints only).
#
# Of RUNS runs (fast codecs 3, others 1) the median wall seconds and, of that run, CPU seconds and peak MiB. Beside them the
# codec alone on the same blocks (codec_floor; its CPU within the codec, and in all, reading included), and what plat needs of the
# best peer in each. ROWS chooses rows: "small:zstd:3 mixed:lz4".
set -euo pipefail
export LC_ALL=C TZ=UTC
plat=${PLAT:-build/plat} floor=${CODEC_FLOOR:-build/bench/codec_floor} threads=${THREADS:-2} section=${SECTION:-BENCHMARKS.md}
base=/dev/shm
[ "$(stat -f -c %T $base 2>/dev/null)" = tmpfs ] || base=${TMPDIR:-/tmp}
work=$(mktemp -d "$base/plat-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
trees=${TREES:-$work/trees}
bash "$(dirname "$0")/squashfs_trees.sh" "$trees"

run_plat() { "$plat" mk squashfs "$1" -o "$work/image" --no-verify -O "compress=$2" -O "threads=$threads"; }
run_pack() { "$plat" mk squashfs "$1" -o "$work/image" --no-verify -O "compress=$2" -O "threads=$threads" --pack; }
run_mksquashfs() {
    local level=()
    [[ $2 != zstd:* ]] || level=(-Xcompression-level "${2#*:}")
    mksquashfs "$1" "$work/image" -noappend -quiet -no-progress -no-xattrs -all-root -processors "$threads" \
        -comp "${2%%:*}" ${level[@]+"${level[@]}"}
}
run_gensquashfs() {
    local level=()
    [[ $2 != zstd:* ]] || level=(-X "level=${2#*:}")
    gensquashfs -D "$1" -k -q -f -o -j "$threads" -d uid=0,gid=0 -c "${2%%:*}" ${level[@]+"${level[@]}"} "$work/image"
}
run_tar2sqfs() {
    local level=()
    [[ $2 != zstd:* ]] || level=(-X "level=${2#*:}")
    tar2sqfs -q -f -j "$threads" -c "${2%%:*}" ${level[@]+"${level[@]}"} "$work/image" <"$1.tar"
}
export -f run_plat run_pack run_mksquashfs run_gensquashfs run_tar2sqfs
export plat work threads

# One line more in $work/TOOL: "wall cpu MiB bytes".
measure() { # TOOL TREE OPTION
    rm -f "$work/image"
    /usr/bin/time -f '%e %U %S %M' -o "$work/time" bash -c 'run_"$@"' bash "$@" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; return 1; }
    tail -n 1 "$work/time" |
        awk -v bytes="$(stat -c %s "$work/image")" '{ print $1, $2 + $3, int($4 / 1024 + 0.5), bytes }' >>"$work/$1"
}
median() { sort -n "$work/$1" | awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] }'; }

# Targets: the most that wall, CPU and bytes may be of the best peer's; "-": none.
target() {
    case $1 in
    *:gzip) echo 0.6 0.6 1 ;;
    *:zstd:15 | *:xz) echo 0.95 - 1 ;;
    small:*) echo 0.7 - 1 ;;
    mixed:*) echo 0.8 - 1 ;;
    esac
}

row() { # KEY, what ran: plat or pack, wall, CPU and bytes targets
    local codec="- -"
    [ "$2" = pack ] || codec=$(cat "$work/floor")
    {
        for tool in "$2" mksquashfs gensquashfs tar2sqfs; do
            if [ -s "$work/$tool" ]; then median "$tool"; else echo "- - - -"; fi
        done
        echo "$codec"
    } | awk -v key="$1" -v what="$2" -v tw="$3" -v tc="$4" -v tb="$5" '
        function best(i,    r, k) { for (r = 2; r <= 4; r++) if (v[r, i] != "-" && (k == "" || v[r, i] + 0 < k)) k = v[r, i] + 0; return k }
        function cell(r) { return v[r, 1] == "-" ? "-" : sprintf("%.2f, %.2f, %d, %d", v[r, 1], v[r, 2], v[r, 3], v[r, 4]) }
        function judge(name, got, most) { if (most != "-" && got > most) missed = missed (missed ? ", " : "") name; return sprintf("%.3f%s", got, most != "-" ? " (" most ")" : "") }
        { for (i = 1; i <= NF; i++) v[NR, i] = $i }
        END {
            colon = index(key, ":")
            printf "| %s | %s | %s | %s | %s | %s |", substr(key, 1, colon - 1), substr(key, colon + 1) (what == "pack" ? " --pack" : ""), cell(1), cell(2), cell(3), cell(4)
            printf " %s | %s |", judge("wall", v[1, 1] / best(1), tw), judge("CPU", v[1, 2] / best(2), tc)
            printf " %s |", judge("bytes", v[1, 4] / best(4), tb)
            if (v[5, 1] == "-") printf " - | - |"
            else printf " %s, %s | %s |", v[5, 1], v[5, 2], judge("CPU of the codec", v[1, 2] / v[5, 1], 1.05)
            judge("memory", v[1, 3], 64)
            printf " %s |\n", missed ? "missed: " missed : "met"
        }'
}

all() {
    local key tree option tool i runs peers
    echo "## Making SquashFS"
    echo
    echo "Written by \`make bench-squashfs\`. $threads threads, blocks of 128 KiB, $(mksquashfs -version | head -n 1), $(gensquashfs --version | head -n 1)."
    for tree in small mixed; do
        echo "$tree: $(find "$trees/$tree" -type f | wc -l) files, $(du -sm --apparent-size "$trees/$tree" | cut -f1) MiB."
    done
    echo "Wall and CPU seconds, peak MiB, bytes; shares of the best peer's, with the target; \"codec\": CPU seconds of the codec alone"
    echo "on the same blocks, and with reading them. All rows: at most 64 MiB of memory."
    echo
    echo "| tree | option | plat | mksquashfs | gensquashfs | tar2sqfs | wall | CPU | bytes | codec | CPU / codec | targets |"
    echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for key in ${ROWS:-small:gzip small:zstd:15 small:xz small:zstd:3 small:lz4 mixed:gzip mixed:zstd:15 mixed:zstd:3 mixed:lz4}; do
        tree=${key%%:*} option=${key#*:} runs=${RUNS:-1}
        peers="mksquashfs gensquashfs"
        case $option in zstd:3 | lz4) runs=${RUNS:-3} peers="$peers tar2sqfs" ;; esac
        rm -f "$work"/plat "$work"/pack "$work"/*squashfs "$work"/tar2sqfs
        cat "$trees/$tree.tar" >/dev/null # read once, so that nobody is first
        for ((i = 0; i < runs; i++)); do
            for tool in plat $peers; do measure "$tool" "$trees/$tree" "$option"; done
        done
        "$floor" -j "$threads" "$option" "$trees/$tree" | awk '{ print $6, $4 }' >"$work/floor"
        # shellcheck disable=SC2046
        row "$key" plat $(target "$key")
        case $option in zstd:3 | lz4) continue ;; esac
        measure pack "$trees/$tree" "$option"
        row "$key" pack - - 0.97
    done
}

all | tee "$work/section"
[ "$section" != - ] || exit 0
touch "$section"
{
    awk '/^## /{ ours = $0 == "## Making SquashFS" } !ours' "$section" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
    echo
    cat "$work/section"
} >"$work/whole"
cat "$work/whole" >"$section"
