#!/bin/bash
# Line coverage of lib/ and formats/ after a run of the tests in build directory $1: every file, the least covered first.
# Exit 1 below COVERAGE_MIN percent (85).
set -euo pipefail
dir=$1
min=${COVERAGE_MIN:-85}
info=$dir/coverage.info
log=$dir/coverage.log
# Headers of the system and generated code are captured, too; only ours are kept.
if ! { lcov --capture --directory "$dir/obj" --base-directory "$PWD" --no-external --output-file "$info.all" &&
    lcov --extract "$info.all" "$PWD/lib/*" "$PWD/formats/*" --output-file "$info"; } >"$log" 2>&1; then
    tail -n 20 "$log"
    echo "coverage: lcov failed, see $log"
    exit 1
fi
awk -v root="$PWD/" -v min="$min" '
    /^SF:/ { file = substr($0, 4); sub(root, "", file) }
    /^LF:/ { lines = substr($0, 4) }
    /^LH:/ { hit = substr($0, 4); all += lines; covered += hit
             if (lines > 0) printf "%6.1f%%  %5d of %5d  %s\n", 100 * hit / lines, hit, lines, file | "sort -n" }
    END { close("sort -n")
          if (all == 0) { print "coverage: no lines were counted"; exit 1 }
          share = 100 * covered / all
          printf "lines of lib/ and formats/: %.1f%% (%d of %d), at least %s%% are wanted\n", share, covered, all, min
          exit share < min }' "$info"
