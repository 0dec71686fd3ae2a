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
jobs_left() { while [ "$(jobs -r | wc -l)" -ge 2 ]; do wait -n; done; }
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
failed=0
for source in "$@"; do
    name=$(basename "$source" .c)
    # shellcheck disable=SC2086
    $CLANG $CFLAGS_ALL $san -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION -fsanitize=fuzzer -Wno-error -o "$dir/$name" "$source" "${objects[@]}" $LIBS
    corpus=$dir/corpus-$name
    mkdir -p "$corpus"
    bash tests/fuzz/seeds.sh "$name" "$corpus"
    echo "$name: $FUZZ_SECONDS s"
    if ! "$dir/$name" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="$dir/$name-" "$corpus" >"$dir/$name.log" 2>&1; then
        failed=1
        tail -n 40 "$dir/$name.log"
    fi
    grep -E 'number_of_executed_units|slowest_unit|peak_rss' "$dir/$name.log" || true
done
exit $failed
