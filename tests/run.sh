#!/bin/bash
# Runs test programs and bats files given as arguments; prints what fails and one closing line.
# Every program speaks TAP. Exit 0 only when something ran and nothing failed.
set -u
passed=0 failed=0 skipped=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for test in "$@"; do
    start=$SECONDS
    case $test in
    *.bats) timeout 1200 bats --tap "$test" >"$out" 2>&1 </dev/null; rc=$? ;;
    *) timeout 600 "$test" >"$out" 2>&1 </dev/null; rc=$? ;;
    esac
    # grep -c prints 0 and fails when there is none.
    s=$(grep -ciE '^ok [0-9]+.* # skip' "$out" || true)
    p=$(grep -cE '^ok [0-9]+' "$out" || true)
    f=$(grep -cE '^not ok' "$out" || true)
    p=$((p - s))
    if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
        echo "not ok - $test ended with exit code $rc"
        tail -n 30 "$out"
    elif [ "$((p + f + s))" -eq 0 ]; then
        f=1
        echo "not ok - $test ran no test"
    fi
    printf '%-44s %5d passed %3d failed %3d skipped  %3d s\n' "${test#./}" "$p" "$f" "$s" $((SECONDS - start))
    grep -iE '^ok [0-9]+.* # skip' "$out" | sed 's/^ok [0-9]* /  skipped: /'
    [ "$f" -eq 0 ] || grep -A 25 -E '^not ok' "$out" | head -n 120
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
