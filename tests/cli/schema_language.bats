#!/usr/bin/env bats
# What layouts say of archives and tables: chains, numbers in digits, names that lie elsewhere, types like others; and how
# plat comes to know layouts that nobody names.

bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    export LC_ALL=C
    unset PLAT_SCHEMAS
}

# A chain: each element has a length in decimal digits and a body; one of length 0 ends it.
chain_layout() {
    cat >chain.json <<'J'
{ "layout": "chain", "title": "A chain", "endian": "little", "identify": [{"at": 0, "bytes": "0003"}],
  "types": {"link": {"kind": "struct", "fields": [
    {"name": "bytes", "type": "char[4]", "digits": "dec", "pad": "none", "unit": "byte"},
    {"name": "body", "type": "char[bytes]", "pad": "none"}]}},
  "map": [{"name": "links", "type": "link", "at": 0, "next": "offset(self) + size(self)", "last": "bytes == 0"}],
  "rules": [{"id": "sorted", "each": "links", "when": "index > 0 && bytes > 0", "must": "links[index - 1].bytes <= bytes"}] }
J
}

@test "a chain: its elements by number, all of them, count" {
    chain_layout
    printf '0003one0005three0007seven!!0000' >image
    run -0 "$PLAT" get --schema chain.json image 'links[1].body'
    [ "$output" = three ]
    run -0 "$PLAT" get --schema chain.json image 'links[2].bytes'
    [ "$output" = 7 ]
    run -0 "$PLAT" dump --json --schema chain.json image
    [ "$(python3 -c 'import json, sys; d = json.load(sys.stdin); print([(s["offset"], s["bytes"], s["fields"]["bytes"]) for s in d["structures"]], d["damage"])' <<<"$output")" = "[(0, 7, 3), (7, 9, 5), (16, 11, 7), (27, 4, 0)] []" ]
    run -0 "$PLAT" verify --schema chain.json image
    run -2 "$PLAT" get --schema chain.json image 'links[4].body'
    [[ $output == *"there are 4 elements"* ]]
}

@test "a chain that is cut, that goes back, whose digits are none: findings" {
    chain_layout
    printf '0003one0005thr' >cut
    run -1 "$PLAT" verify --schema chain.json cut
    [[ $output == *"links[1] at 0x7"* ]]
    run -1 "$PLAT" dump --schema chain.json cut
    [[ $output == *"'one'"* ]]
    printf '0003one00x5three0000' >digits
    run -1 "$PLAT" verify --schema chain.json digits
    sed 's/offset(self) + size(self)/offset(self) - 0/' chain.json >back.json
    printf '0003one0000' >image
    run -1 "$PLAT" verify --schema back.json image
    [[ $output == *"which is not behind it"* ]]
}

@test "a chain of 16,000 elements takes no longer than a walk" {
    chain_layout
    python3 -c 'print("".join("%04d%s" % (3 + i // 2000, "x" * (3 + i // 2000)) for i in range(16000)) + "0000", end="")' >image
    run -0 timeout 20 "$PLAT" dump --json --schema chain.json image
    [ "$(grep -c '"path": "links\[' <<<"$output")" -eq 16001 ]
    run -0 timeout 20 "$PLAT" verify --schema chain.json image
    run -0 timeout 20 "$PLAT" get --schema chain.json image 'links[15999].bytes'
    [ "$output" = 10 ]
}

# Caught a real one: the element that a rule is about changed under it when the rule asked for its neighbour and that lay
# in another piece of the image, 64 KiB apart.
@test "a rule about neighbours holds across the pieces that the image is read in" {
    cat >order.json <<'J'
{ "layout": "order", "endian": "little", "types": {"r": {"kind": "struct", "fields": [{"name": "time", "type": "u32"}]}},
  "map": [{"name": "records", "type": "r", "at": 0, "count": "image.bytes / 4"}],
  "rules": [{"id": "order", "each": "records", "when": "index > 0", "must": "records[index - 1].time < time"},
            {"id": "both", "each": "records", "when": "index > 20000", "must": "records[0].time < records[index - 20000].time && time > 0"}] }
J
    python3 -c 'import struct, sys; sys.stdout.buffer.write(struct.pack("<50000I", *range(50000)))' >image
    run -0 "$PLAT" verify --schema order.json image
    printf '\0\0\0\0' | dd of=image bs=4 seek=16384 conv=notrunc status=none
    run -1 "$PLAT" verify --schema order.json image
    [ "$(grep -c 'does not satisfy' <<<"$output")" -eq 2 ]
}

@test "digits: hex, oct and dec are shown, compared and judged as numbers" {
    cat >digits.json <<'J'
{ "layout": "digits", "endian": "little", "types": {"t": {"kind": "struct", "fields": [
    {"name": "h", "type": "char[8]", "digits": "hex", "pad": "none", "as": "octal", "valid": "self == 0x81a4"},
    {"name": "o", "type": "char[8]", "digits": "oct"}, {"name": "d", "type": "char[6]", "digits": "dec", "pad": "space"},
    {"name": "x", "type": "char[2]", "digits": "hex", "pad": "none", "as": "hex", "derive": "d + 1"}]}},
  "map": [{"name": "t", "type": "t", "at": 0}] }
J
    printf '000081A4%s\0%s%s' 0000644 '41    ' 2A >image
    run -0 "$PLAT" dump --json --schema digits.json image
    [[ $output == *'{"h": 33188, "o": 420, "d": 41, "x": 42}'* ]]
    run -0 "$PLAT" get --schema digits.json image t.h
    [ "$output" = 0100644 ]
    run -0 "$PLAT" verify --schema digits.json image
    printf '000081G4%s\0%s%s' 0000648 '4 1   ' 2B >image
    run -1 "$PLAT" verify --schema digits.json image
    [ "$(grep -c 'text that should be a number is none' <<<"$output")" -eq 3 ]
}

@test "shows and text_at: what a number stands for; types like others, in the other byte order" {
    cat >names.json <<'J'
{ "layout": "names", "endian": "little", "types": {
    "kind": {"kind": "enum", "base": "u16", "values": [{"name": "one", "value": 1}]},
    "entry": {"kind": "struct", "size": 6, "fields": [{"name": "name", "type": "u32", "shows": "text_at(12 + self)"}, {"name": "kind", "type": "kind"}]},
    "entry_be": {"like": "entry", "endian": "big", "doc": "The same, big-endian."}},
  "map": [{"name": "a", "type": "entry", "at": 0}, {"name": "b", "type": "entry_be", "at": 6}],
  "rules": [{"id": "names", "must": "text_at(12 + a.name) == 'first' && text_at(12 + b.name) == 'second'"}] }
J
    printf '\0\0\0\0\1\0\0\0\0\6\0\1first\0second\0' >image
    run -0 "$PLAT" get --schema names.json image b.name
    [ "$output" = "6 (second)" ]
    run -0 "$PLAT" get --json --schema names.json image a.name
    [ "$output" = '{"value":0,"text":"first"}' ]
    run -0 "$PLAT" get --schema names.json image b.kind
    [ "$output" = "one (0x1)" ]
    run -0 "$PLAT" verify --schema names.json image
    printf '\0\0\0\377' | dd of=image bs=1 seek=6 conv=notrunc status=none # a name outside: shown as the number alone
    run -0 "$PLAT" get --schema names.json image b.name
    [ "$output" = 255 ]
    run -1 "$PLAT" verify --schema names.json image
}

@test "a built-in layout by name; PLAT_SCHEMAS: directories whose layouts are known" {
    head -c 64 /bin/true >elf
    run -0 "$PLAT" get --schema elf elf header.ident.class
    [ "$output" = "elf64 (0x2)" ]
    chain_layout
    printf '0003one0000' >image
    run -2 "$PLAT" dump image
    mkdir one two
    mv chain.json two/
    PLAT_SCHEMAS=one:two run -0 "$PLAT" get image 'links[0].body'
    [ "$output" = one ]
    echo '{' >one/broken.json
    PLAT_SCHEMAS=one:two run -2 "$PLAT" dump image
    [[ $output == *one/broken.json* ]]
    PLAT_SCHEMAS=nowhere run -2 "$PLAT" dump image
    [[ $output == *PLAT_SCHEMAS*nowhere* ]] || [[ $output == *nowhere*PLAT_SCHEMAS* ]]
}

@test "plat formats lists what is known by a layout alone" {
    run -0 "$PLAT" formats
    [[ $output == *$'\nelf '*schema* ]]
    run -0 "$PLAT" formats elf
    [[ $output == *"layout alone"* ]]
    run -0 "$PLAT" formats --json
    [ "$(python3 -c 'import json, sys; print([(f["role"], f["probe"], f["make"]) for f in json.load(sys.stdin)["formats"] if f["name"] == "elf"])' <<<"$output")" = "[('schema', True, False)]" ]
}
