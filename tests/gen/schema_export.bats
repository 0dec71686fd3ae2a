#!/usr/bin/env bats
# plat schema export and doc: what comes out compiles, runs, agrees with plat, and names everything.

bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    every=$root/tests/gen/every.json
}

layout() { # NAME: what plat schema takes for it
    if [ "$1" = every ]; then echo "$every"; else echo "$1"; fi
}

types_of() { # NAME
    python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["types"])' \
        "$(if [ "$1" = every ]; then echo "$every"; else echo "$root/schemas/$1.json"; fi)"
}

need() {
    command -v "$1" >/dev/null || skip "$1 is not installed"
}

disk() {
    mkdir files && echo hello >files/a.txt
    cat >r.json <<'EOF'
{"table": "gpt", "partitions": [
  {"name": "esp", "type": "esp", "format": "fat32", "size": "40MiB", "files": [{"from": "files", "to": "/"}]},
  {"name": "a\u00e9\ud83d\ude00", "type": "linux-data", "size": "1MiB"}]}
EOF
    "$PLAT" build r.json -o disk.img
}

# An image of tests/gen/every.json: random bytes, but the same each time; the copies of pairs agree.
every_image() {
    "$PLAT" schema doc "$every" >every.md
    python3 - <<'EOF'
import random, re
rows = {name: (int(at), int(n)) for at, n, name in re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)`", open("every.md").read(), re.M)}
size = {name: int(n) for name, n in re.findall(r"### struct `(\w+)`\n\n.*Size: (\d+) bytes", open("every.md").read())}
image = bytearray(random.Random(3).randbytes(8192))
image[0:8] = b"EVERY\0\0\0"
def pair(at, width):
    image[at + width:at + 2 * width] = image[at:at + width][::-1]
numbers = (size["header"] + 7) // 8 * 8
for name in ("p16", "p32", "p64"):
    pair(numbers + rows[name][0], rows[name][1] // 2)
for i in range(2):
    pair(rows["pairs"][0] + 4 * i, 2)
image[512] &= 0x7f  # the first slot is a short one
image[rows["items"][0]] = 0
open("every.img", "wb").write(image)
EOF
}

@test "rust: each layout compiles without a warning, in a crate without std" {
    need rustc
    for name in gpt mbr fat32 every; do
        "$PLAT" schema export "$(layout $name)" --to rust -o $name.rs
        printf '#![no_std]\npub mod %s;\n' $name >lib_$name.rs
        rustc --crate-type lib --edition 2021 -D warnings --emit=metadata -o $name.rmeta lib_$name.rs
        rustc --crate-type lib --edition 2021 -D warnings --emit=metadata -o $name.rmeta $name.rs
        rustc --crate-type lib --edition 2018 -D warnings --emit=metadata -o $name.rmeta $name.rs
        [ "$(grep -c 'unsafe\|std::' $name.rs)" -eq 0 ]
    done
}

@test "rust: a program reads a GPT as plat get does" {
    need rustc
    disk
    "$PLAT" schema export gpt --to rust -o gpt.rs
    cp "$root/tests/gen/rust/gpt_main.rs" .
    rustc --edition 2021 -D warnings -o gpt_main gpt_main.rs
    ./gpt_main disk.img >values
    [ "$(wc -l <values)" -eq 20 ]
    while read -r path value; do
        case $path in
        *.signature | *guid | *.name) want=$("$PLAT" get --raw disk.img "gpt.$path" | od -An -v -tx1 | tr -d ' \n') ;;
        *) want=$("$PLAT" get --json disk.img "gpt.$path" | tr -d '"\n') ;;
        esac
        [ "$value" = "$want" ] || { echo "$path: rust $value, plat $want"; return 1; }
    done <values
}

@test "rust: every kind of field reads as plat get does, and writes what it read" {
    need rustc
    every_image
    "$PLAT" schema export "$every" --to rust -o every.rs
    cp "$root/tests/gen/rust/every_main.rs" .
    rustc --edition 2021 -D warnings -o every_main every_main.rs
    ./every_main every.img >values
    [ "$(wc -l <values)" -ge 80 ]
    while read -r path value; do
        case $path in
        *.magic | *.raw | *.label | *.title | *.blob | *.gap | *.id | *.key | *.keys* | *.purpose* | *.origin)
            want=$("$PLAT" get --schema "$every" --raw every.img "$path" | od -An -v -tx1 | tr -d ' \n')
            ;;
        *) want=$("$PLAT" get --schema "$every" --json every.img "$path" | tr -d '"\n') ;;
        esac
        [ "$value" = "$want" ] || { echo "$path: rust $value, plat $want"; return 1; }
    done <values
}

@test "rust: two names that would become one are refused, and both are told" {
    cat >clash.json <<'EOF'
{"layout": "clash", "endian": "little", "types": {
  "a_b": {"kind": "struct", "fields": [{"name": "x", "type": "u8"}]},
  "a__b": {"kind": "struct", "fields": [{"name": "x", "type": "u8"}]}}}
EOF
    "$PLAT" schema check clash.json
    run --separate-stderr "$PLAT" schema export clash.json --to rust
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [[ $stderr == *types.a_b*types.a__b*AB* ]]
}

@test "c: each layout compiles freestanding and links without any library; the programs run" {
    cc=${CC:-gcc}
    for name in gpt mbr fat32; do
        "$PLAT" schema export $name --to c -o $name.h
        ! grep '#include' $name.h | grep -qv '<std\(bool\|def\|int\)\.h>' || false
        for level in -O0 -O2; do
            $cc -std=c17 -ffreestanding -nostdlib -static $level -Wall -Wextra -Werror -I. -I"$root/tests/gen/c" \
                -o $name-c "$root/tests/gen/c/$name.c"
            case $(uname -m) in
            x86_64 | aarch64) ./$name-c || { echo "$name $level: expectation in line $? (modulo 256)"; return 1; } ;;
            esac
        done
    done
}

@test "c: the layout with every feature compiles freestanding" {
    "$PLAT" schema export "$every" --to c -o every.h
    echo '#include "every.h"' >every.c
    for level in -O0 -O2; do
        ${CC:-gcc} -std=c17 -ffreestanding -nostdlib $level -Wall -Wextra -Werror -c -o every.o every.c
    done
}

@test "doc: both forms mention every type, field and rule, and never change" {
    for name in gpt mbr fat32 every; do
        for form in markdown man; do
            "$PLAT" schema doc "$(layout $name)" --to $form >$name.$form
            "$PLAT" schema doc "$(layout $name)" --to $form | cmp - $name.$form
            [ "$(wc -c <$name.$form)" -gt 2000 ]
        done
        for type in $(types_of $name); do
            grep -q "^### [a-z]* \`$type\`\$" $name.markdown
            grep -q "^\.Ss [^ ]* [^ ]*&$type\$" $name.man
        done
        python3 - "$(if [ $name = every ]; then echo "$every"; else echo "$root/schemas/$name.json"; fi)" $name.markdown $name.man <<'EOF'
import json, sys
layout = json.load(open(sys.argv[1]))
markdown = open(sys.argv[2]).read()
man = open(sys.argv[3]).read().replace("\\-", "-")
for t in layout["types"].values():
    for part in t.get("fields", []) + t.get("values", []) + t.get("cases", []):
        assert f"`{part['name']}`" in markdown, part["name"]
        assert f"\\fB{part['name']}\\fR" in man, part["name"]
for rule in layout.get("rules", []):
    if isinstance(rule, dict):
        assert f"`{rule['id']}`" in markdown and rule["id"] in man, rule["id"]
EOF
    done
}

@test "doc: links lead somewhere, and tables have as many cells as columns" {
    for name in gpt mbr fat32 every; do
        "$PLAT" schema doc "$(layout $name)" >$name.md
        python3 - $name.md <<'EOF'
import re, sys
lines = open(sys.argv[1]).read().splitlines()
anchors = {re.sub(r"[^a-z0-9_ -]", "", l.lstrip("#").strip().lower()).replace(" ", "-") for l in lines if l.startswith("#")}
links = {m for l in lines for m in re.findall(r"\]\(#([^)]*)\)", l)}
assert links and links <= anchors, links - anchors
columns = None
for line in lines:
    if not line.startswith("|"):
        columns = None
        continue
    cells = len(re.findall(r"(?<!\\)\|", line))
    columns = columns or cells
    assert cells == columns, line
EOF
    done
}

@test "doc: expressions are printed so that they mean the same" {
    # the loader reads the printed form of every condition and place again
    cat >expressions.json <<'EOF'
{"layout": "e", "endian": "little", "params": {"a": {"default": 1}, "b": {"default": 2}, "c": {"default": 3}},
 "types": {"t": {"kind": "struct", "fields": [{"name": "x", "type": "u8"}]}},
 "map": [{"name": "m", "type": "t", "at": "WHAT"}]}
EOF
    while IFS='|' read -r source printed; do
        source=${source//OR/|} printed=${printed//OR/|}
        sed "s/WHAT/${source//&/\\&}/" expressions.json >one.json
        got=$("$PLAT" schema doc one.json | sed -n 's/^| `m` | [^|]* | `*\(.*[^`]\)`* | | | |$/\1/p' | sed 's/\\|/|/g')
        [ "$got" = "$printed" ] || { echo "$source: $got, not $printed"; return 1; }
    done <<'EOF'
((a+b))*c|(a + b) * c
a+(b*c)|a + b * c
a-(b-c)|a - (b - c)
(a-b)-c|a - b - c
(a&b)==c|a & b == c
a&(b==c)|a & (b == c)
-(a+b)|-(a + b)
!(a&&b)OROR!a|!(a && b) OROR !a
(a?b:c)?a:(b?c:a)|(a ? b : c) ? a : b ? c : a
a?(b?c:a):(c)|a ? b ? c : a : c
~-a<<(b>>c)|~-a << (b >> c)
(aORb)^c|(a OR b) ^ c
aOR(b^c&a)|a OR b ^ c & a
0xff+010|0xff + 10
min(a,(b))+len('x')|min(a, b) + len('x')
bytes_at((a),2)=='it'|bytes_at(a, 2) == 'it'
EOF
}

@test "doc --to man: mandoc finds nothing but matters of style" {
    need mandoc
    for name in gpt mbr fat32 every; do
        "$PLAT" schema doc "$(layout $name)" --to man >plat-$name.5
        mandoc -T lint -W warning plat-$name.5
        mandoc -T utf8 plat-$name.5 | col -b | grep -q 'SEE ALSO'
    done
}
