#!/usr/bin/env bats
# tests/bad/schema: one fault a file. expected.txt tells, for each, the place and the words that its message must have.

bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$root/tests/bad/schema"
}

@test "every bad layout: exit 2, nothing on stdout, one message with file, place and fault" {
    n=0
    while IFS=$'\t' read -r file path text; do
        case $file in '' | '#'*) continue ;; esac
        n=$((n + 1))
        run --separate-stderr "$PLAT" schema check "$file"
        fault=
        [ "$status" -eq 2 ] || fault="exit $status"
        [ -z "$output" ] || fault="stdout: $output"
        [ "$(wc -l <<<"$stderr")" -eq 1 ] || fault="not one line"
        [[ $stderr == "plat schema: $file: "* ]] || fault="no file"
        [[ $stderr == *"$path"* ]] || fault="no '$path'"
        [[ $stderr == *"$text"* ]] || fault="no '$text'"
        [ -z "$fault" ] || { echo "$file: $fault in: $stderr"; return 1; }
    done <expected.txt
    [ "$n" -ge 60 ]
}

@test "expected.txt has a line for every file" {
    diff <(ls ./*.json | sed 's,^\./,,') <(grep -v '^#' expected.txt | cut -f1 | sort)
}

@test "no bad layout loads any other way: doc, export, dump, verify" {
    truncate -s 4096 "$BATS_TEST_TMPDIR/image"
    for file in ./*.json; do
        for what in "schema doc $file" "schema export --to rust $file" "schema export --to c $file" \
            "dump --schema $file $BATS_TEST_TMPDIR/image" "verify --schema $file $BATS_TEST_TMPDIR/image"; do
            run --separate-stderr "$PLAT" $what
            [ "$status" -eq 2 ] && [ -z "$output" ] && [ -n "$stderr" ] || { echo "$what: $status $output $stderr"; return 1; }
        done
    done
}

@test "a bad layout among good ones is told, and the good ones are still checked" {
    run --separate-stderr "$PLAT" schema check "$root/schemas/gpt.json" 30-field-unknown-type.json "$root/schemas/mbr.json"
    [ "$status" -eq 2 ]
    [ "$(wc -l <<<"$output")" -eq 2 ]
    [[ $stderr == *30-field-unknown-type.json* ]]
}
