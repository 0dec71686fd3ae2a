#!/bin/bash
# Builds each fuzz target with libFuzzer, ASan and UBSan and runs it for FUZZ_SECONDS from its seeds. A crash keeps its
# input in $B/fuzz/NAME-crash-*; make it a test before mending. Reads B, CLANG, CFLAGS_ALL, LIB_SRC, CMD_SRC, LIBS.
set -euo pipefail
dir=$B/fuzz
mkdir -p "$dir/obj"
san="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1 -g"
# The version's quotes do not survive the way here.
CFLAGS_ALL="$CFLAGS_ALL -UPLAT_VERSION -DPLAT_VERSION=\"fuzz\""
objects=()
jobs_left() { while [ "$(jobs -r | wc -l)" -ge 2 ]; do sleep 0.02; done; }
for source in $LIB_SRC $CMD_SRC; do
    object=$dir/obj/${source//\//_}.o
    objects+=("$object")
    if [ ! -e "$object" ] || [ -n "$(find lib formats schemas mkimage inspect boot "$B/gen" -newer "$object" -name '*.[ch]' -print -quit)" ]; then
        jobs_left
        # shellcheck disable=SC2086
        $CLANG $CFLAGS_ALL $san -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION -Wno-error -c -o "$object" "$source" &
    fi
done
wait
# One target: link, seed, run. Its closing line says how it went; the log stays in $dir/NAME.log.
fuzz_one() {
    local source=$1 name corpus rc=0
    name=$(basename "$source" .c)
    corpus=$dir/corpus-$name
    mkdir -p "$corpus"
    # shellcheck disable=SC2086
    $CLANG $CFLAGS_ALL $san -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION -fsanitize=fuzzer -Wno-error -o "$dir/$name" \
        "$source" "${objects[@]}" $LIBS 2>"$dir/$name.log" &&
        bash tests/fuzz/seeds.sh "$name" "$corpus" >>"$dir/$name.log" 2>&1 &&
        "$dir/$name" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
            -artifact_prefix="$dir/$name-" "$corpus" >"$dir/$name.log" 2>&1 || rc=$?
    [ "$rc" -eq 0 ] || tail -n 40 "$dir/$name.log"
    echo "$name: exit $rc, $(awk '/number_of_executed_units/ { n = $2 } /slowest_unit/ { s = $2 } /peak_rss/ { m = $2 }
        END { printf "%d runs, slowest %d s, %d MiB", n, s, m }' "$dir/$name.log")"
    return "$rc"
}
# Two at a time; a job's exit code is asked for by its number.
failed=0 jobs_of=()
for source in "$@"; do
    jobs_left
    fuzz_one "$source" &
    jobs_of+=("$!")
done
for job in "${jobs_of[@]}"; do wait "$job" || failed=$((failed + 1)); done
echo "fuzz: $# targets, $FUZZ_SECONDS s each, $failed failed"
[ "$failed" -eq 0 ]
