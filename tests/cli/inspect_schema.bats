#!/usr/bin/env bats
# plat formats, plat schema.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
}

plat() { "$PLAT" "$@"; }

@test "formats: what plat knows and can do" {
    run plat formats
    [ "$status" -eq 0 ]
    [[ "$output" == *fat32*"FAT32 filesystem"* && "$output" == *gpt* && "$output" == *mbr* ]]
    plat formats gpt | grep -qw esp
    plat formats fat32 | grep -q cluster
    plat formats --json | python3 -c '
import json, sys
d = json.load(sys.stdin)
f = {x["name"]: x for x in d["formats"]}
assert f["fat32"]["make"] and f["fat32"]["read"] and f["fat32"]["role"] == "filesystem"
assert "esp" in f["gpt"]["partition_types"] and f["gpt"]["role"] == "partition table"
assert "gpt" in d["layouts"]'
    plat formats --json gpt | python3 -m json.tool >/dev/null
    run plat formats fat23
    [ "$status" -eq 2 ]
    [[ "$output" == *fat32* ]]
}

@test "schema: list and show; what is shown can be checked" {
    plat schema list | grep -q '^gpt '
    for format in $(plat schema list | cut -d' ' -f1); do
        plat schema show "$format" >"$format.json"
        python3 -m json.tool "$format.json" >/dev/null
        plat schema check "$format.json"
    done
    run plat schema show nope
    [ "$status" -eq 2 ]
    [[ "$output" == *nearest* ]]
}

@test "schema check: faults are named with their place, exit 2; the good ones are still told" {
    plat schema show mbr >good.json
    sed 's/"kind": *"struct"/"kind": "strict"/' good.json >kind.json
    ! cmp -s good.json kind.json || false
    echo '{ "layout": "x", "title": "t"' >cut.json
    : >empty.json
    run plat schema check kind.json cut.json empty.json missing.json good.json
    [ "$status" -eq 2 ]
    [[ "$output" == *kind.json*types.*'"kind"'*struct* ]]
    [[ "$output" == *cut.json*line* && "$output" == *empty.json* && "$output" == *missing.json* ]]
    [[ "$output" == *"good.json: layout mbr"* ]]
    run plat schema check -q good.json
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "schema doc and export: each language, whole files" {
    for format in $(plat schema list | cut -d' ' -f1); do
        plat schema export "$format" --to c -o "$format.h"
        printf '#include "%s.h"\nint main(void) { return 0; }\n' "$format" >main.c
        ${CC:-gcc} -std=c17 -ffreestanding -Wall -Wextra -Werror -c main.c -o main.o
        plat schema export "$format" --to rust | grep -q 'pub '
        plat schema doc "$format" | grep -q '^#'
        plat schema doc "$format" --to man | grep -q '^\.Sh NAME'
    done
    plat schema show gpt >mine.json
    cmp <(plat schema export mine.json --to c) <(plat schema export gpt --to c)
    if command -v rustc >/dev/null; then
        plat schema export gpt --to rust -o gpt.rs
        { echo '#![no_std]'; echo '#![allow(dead_code)]'; cat gpt.rs; } >lib.rs
        rustc --edition 2021 --crate-type rlib lib.rs
    fi
}

@test "schema: usage that makes no sense is exit 2 with a hint" {
    check() { # WORDS ARGUMENTS...
        local words=$1
        shift
        run plat schema "$@"
        [ "$status" -eq 2 ]
        [[ "$output" == *"$words"* ]] || { echo "$*: $output"; false; }
    }
    check "check, doc, export" frobnicate
    check "FILE" check
    check "c or rust" export gpt
    check "c or rust" export gpt --to man
    check "markdown or man" doc gpt --to rust
    check "--to must be" export gpt --to cobol
    check "neither a built-in" export gtp --to c
    check "needs one FORMAT" doc
    run plat schema export gpt --to c -o no/such/dir/x.h
    [ "$status" -eq 2 ]
}

@test "partition types have names beside their GUIDs in dump, get, hex and JSON" {
    cat >"$BATS_TEST_TMPDIR/recipe.json" <<'R'
{"table": "gpt", "partitions": [{"name": "a", "type": "esp", "size": "1MiB"}, {"name": "b", "type": "12345678-1234-1234-1234-123456789abc", "size": "1MiB"}]}
R
    disk=$BATS_TEST_TMPDIR/named.img
    "$PLAT" build "$BATS_TEST_TMPDIR/recipe.json" -o "$disk"
    esp=c12a7328-f81f-11d2-ba4b-00a0c93ec93b
    [ "$("$PLAT" get "$disk" 'gpt.entries[0].type_guid')" = "$esp (esp)" ]
    [ "$("$PLAT" get "$disk" 'gpt.entries[1].type_guid')" = 12345678-1234-1234-1234-123456789abc ]
    [ "$("$PLAT" get --json "$disk" 'gpt.entries[0].type_guid')" = "{\"value\":\"$esp\",\"name\":\"esp\"}" ]
    [ "$("$PLAT" get --json "$disk" 'gpt.entries[1].type_guid')" = '{"value":"12345678-1234-1234-1234-123456789abc"}' ]
    "$PLAT" dump "$disk" | grep -q "type_guid .*$esp (esp)"
    "$PLAT" hex "$disk" 'gpt.entries[0]' | grep -q "$esp (esp)"
}

@test "verify: a thousand findings are shown, all are counted, and --json has all of them" {
    cat >"many.json" <<'J'
{ "layout": "many", "endian": "little", "doc": "one number, many times", "types": {
    "one": { "kind": "struct", "doc": "a number", "size": 1, "fields": [ { "name": "n", "type": "u8", "const": 7, "doc": "seven" } ] } },
  "map": [ { "name": "ones", "type": "one", "at": "0", "count": "1500", "doc": "all of it" } ] }
J
    head -c 1500 /dev/zero >"many.bin"
    run plat verify --schema "many.json" "many.bin"
    echo "$output" | tail -3
    [ "$status" -eq 1 ]
    [[ "${lines[-1]}" == *"1,500 errors"*"(500 findings not shown; --max N shows more)"* ||
       "${lines[-1]}" == *"1500 errors"*"(500 findings not shown; --max N shows more)"* ]]
    [ "$(grep -c 'error:' <<<"$output")" -eq 1000 ]
    plat verify --schema "many.json" --json "many.bin" >"many.out" || [ $? -eq 1 ]
    python3 -c 'import json, sys; got = json.load(open(sys.argv[1])); assert len(got["findings"]) == 1500, len(got["findings"])' "many.out"
}
