#!/bin/bash
# Line coverage of lib/ and formats/ after a run of the tests in build directory $1.
set -euo pipefail
dir=$1
info=$dir/coverage.info
lcov --quiet --capture --directory "$dir/obj" --output-file "$info.all" --ignore-errors source,gcov >/dev/null 2>&1
lcov --quiet --extract "$info.all" "$PWD/lib/*" "$PWD/formats/*" --output-file "$info" >/dev/null 2>&1
lcov --list "$info" 2>/dev/null | tail -n +1
lcov --summary "$info" 2>&1 | grep -E 'lines'
