#!/usr/bin/env bats
# Recipes: the loader and its JSON Schema say the same, and every bad recipe gets its message.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    bad=$root/tests/bad/recipe
    out=$BATS_TEST_TMPDIR/out
    mkdir "$out"
}

# Catches: a fault that is accepted, a message that does not name it, output that a failed build leaves behind.
@test "each bad recipe: exit 2, its message, no output" {
    failures=0 n=0
    cd "$bad"
    while IFS=$'\t' read -r file kind text; do
        case $file in '#'*) continue ;; esac
        n=$((n + 1))
        rc=0
        message=$("$PLAT" build "$file" -o "$out/disk.img" 2>&1) || rc=$?
        if [ "$rc" -ne 2 ] || [[ "$message" != *"$text"* ]] || [[ "$message" != *"$file"* ]]; then
            echo "$file ($kind): exit $rc; wanted: $text; got: $message"
            failures=$((failures + 1))
        fi
        if [ -n "$(ls -A "$out")" ]; then
            echo "$file: left $(ls -A "$out")"
            rm -rf "${out:?}"/* "$out"/.[!.]*
            failures=$((failures + 1))
        fi
        # One line, without raw control characters.
        if [ "$(wc -l <<<"$message")" -ne 1 ] || LC_ALL=C grep -q '[[:cntrl:]]' <<<"$message"; then
            echo "$file: the message is not one clean line: $message"
            failures=$((failures + 1))
        fi
    done <expected.txt
    [ "$n" -ge 100 ]
    [ "$failures" -eq 0 ]
}

# Catches: a bad recipe that nobody expects anything of.
@test "every bad recipe is listed in expected.txt" {
    diff <(cd "$bad" && ls -- *.json) <(grep -v '^#' "$bad/expected.txt" | cut -f 1)
}

# Catches: --explain that checks less than build does.
@test "each bad recipe fails with --explain, too" {
    cd "$bad"
    while IFS=$'\t' read -r file _ _; do
        case $file in '#'*) continue ;; esac
        rc=0
        "$PLAT" build "$file" --explain >"$out/plan" 2>/dev/null || rc=$?
        if [ "$rc" -ne 2 ] || [ -s "$out/plan" ]; then
            echo "$file: exit $rc"
            false
        fi
    done <expected.txt
}

# Catches: a schema that lags behind the loader, in either direction.
@test "the JSON Schema accepts the good recipes" {
    python3 "$BATS_TEST_DIRNAME/recipe_schema.py" accept "$root/schemas/recipe.schema.json" \
        "$root"/examples/*/recipe.json "$BATS_TEST_DIRNAME"/recipes/*.json
}
@test "the JSON Schema refuses the structurally bad recipes, and only those" {
    python3 "$BATS_TEST_DIRNAME/recipe_schema.py" refuse "$root/schemas/recipe.schema.json" "$bad/expected.txt"
}
@test "the keys that plat knows are the keys of the JSON Schema" {
    python3 "$BATS_TEST_DIRNAME/recipe_schema.py" keys "$root/schemas/recipe.schema.json" "$PLAT"
}

# Catches: a good recipe (for the schema) that the loader refuses.
@test "the recipes of this test plan" {
    cd "$BATS_TEST_DIRNAME/recipes"
    for recipe in *.json; do
        "$PLAT" build "$recipe" --explain >/dev/null
    done
}

@test "-D: substitution, defaults, \$\$, and its errors" {
    cat >"$out/r.json" <<'R'
{ "defaults": { "SIZE": "4MiB", "NAME": "from-default" },
  "table": "gpt", "seed": "costs $$5",
  "partitions": [ { "name": "${NAME}", "type": "linux-data", "size": "${SIZE}" } ] }
R
    run "$PLAT" build "$out/r.json" --explain
    [ "$status" -eq 0 ]
    [[ "$output" == *from-default* ]]
    [[ "$output" == *"4.0 MiB"* ]]
    run "$PLAT" build "$out/r.json" --explain -D NAME=given -D SIZE=8MiB
    [[ "$output" == *" given "* ]]
    [[ "$output" == *"8.0 MiB"* ]]
    # The last of two wins, and a value is not looked at again.
    run "$PLAT" build "$out/r.json" --explain -D NAME=one -D 'NAME=${SIZE}'
    [[ "$output" == *' ${SIZE} '* ]]
    run "$PLAT" build "$out/r.json" --explain -D OTHER=1
    [ "$status" -eq 2 ]
    [[ "$output" == *'-D OTHER: the recipe has no ${OTHER}'* ]]
    run "$PLAT" build "$out/r.json" --explain -D 1X=1
    [ "$status" -eq 2 ]
    [[ "$output" == *"expected NAME=VALUE"* ]]
    run "$PLAT" build "$out/r.json" --explain -D NAME=$'\xff'
    [ "$status" -eq 2 ]
    [[ "$output" == *"not UTF-8"* ]]
}

@test "a recipe from standard input, a missing one, a directory, one that is too large" {
    echo '{ "table": "gpt", "partitions": [ { "type": "esp", "size": "4MiB" } ] }' | "$PLAT" build - --explain
    run "$PLAT" build "$out/none.json" --explain
    [ "$status" -eq 2 ]
    [[ "$output" == *"none.json"*"No such file"* ]]
    run "$PLAT" build "$out" --explain
    [ "$status" -eq 2 ]
    [[ "$output" == *"directory"* ]]
    truncate -s 17M "$out/big.json"
    run "$PLAT" build "$out/big.json" --explain
    [ "$status" -eq 2 ]
    [[ "$output" == *"larger than 16 MiB"* ]]
}

@test "deep nesting is refused, not followed" {
    python3 -c 'print("{\"table\":\"gpt\",\"partitions\":" + "[" * 1500 + "]" * 1500 + "}")' >"$out/deep.json"
    run "$PLAT" build "$out/deep.json" --explain
    [ "$status" -eq 2 ]
    [[ "$output" == *"nested deeper than"* ]]
}

@test "times: seconds, dates, zones" {
    for pair in 0=0 1000000000=1000000000 1970-01-02=86400 2000-03-01=951868800 2026-11-21T10:00:00Z=1795255200 \
        2026-11-21T12:00:00+02:00=1795255200 1972-02-29T23:59Z=68255940; do
        time=${pair%=*} seconds=${pair##*=}
        cat >"$out/r.json" <<R
{ "table": "gpt", "time": "$time", "partitions": [ { "type": "esp", "format": "tar", "files": [ { "to": "a", "text": "" } ] } ] }
R
        "$PLAT" build "$out/r.json" -o "$out/disk.img" --no-verify >/dev/null
        dd if="$out/disk.img" of="$out/p.tar" bs=1M skip=1 status=none
        [ "$(TZ=UTC tar --full-time -tvf "$out/p.tar" a | awk '{ print $4 "T" $5 "Z" }' | TZ=UTC date -f - +%s)" = "$seconds" ]
    done
}
