#!/usr/bin/env bats
# plat verify, dump, hex, get: on a stranger's disk, a partition of it, and a bare volume.

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_FILE_TMPDIR"
    source "$BATS_TEST_DIRNAME/inspect_images.bash"
    make_tree tree
    make_fat fat.img tree 70 512
    make_disk disk.img fat.img
}

setup() {
    source "$BATS_TEST_DIRNAME/inspect_images.bash"
    cd "$BATS_FILE_TMPDIR"
    work=$BATS_TEST_TMPDIR
}

plat() { "$PLAT" "$@"; }

valid_json() { python3 -m json.tool >/dev/null; }

# ---- verify ----

@test "verify: a stranger's disk, partition and volume are sound" {
    run plat verify disk.img
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" =~ ^disk\.img:\ 0\ errors,\ 0\ warnings,\ [0-9]+\ notes?\ in\ [0-9,]+\ structures$ ]]
    plat verify -p esp disk.img
    plat verify -p 1 disk.img
    plat verify -p p1 disk.img
    plat verify fat.img
    run plat verify --quiet disk.img fat.img
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "verify: JSON is one object, for several images a list" {
    plat verify --json disk.img >"$work/one"
    python3 - "$work/one" <<'EOF'
import json, sys
d = json.load(open(sys.argv[1]))
assert d['image'] == 'disk.img' and d['totals']['errors'] == 0
assert d['totals']['structures'] > 200, d['totals']
for f in d['findings']:
    assert set(f) == {'severity', 'id', 'path', 'offset', 'bytes', 'text', 'expected', 'found', 'refused_by'}
EOF
    run plat verify --json disk.img missing.img
    [ "$status" -eq 2 ]
    plat verify --json disk.img missing.img 2>/dev/null >"$work/two" || true
    python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert len(d) == 2 and "error" in d[1]' "$work/two"
}

@test "verify: a flipped byte is an error with its path, offset, and who refuses it" {
    cp --sparse=always disk.img "$work/bad.img"
    poke "$work/bad.img" 0x228 23 # first_usable_lba
    run plat verify "$work/bad.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *"gpt.primary.header_crc32 at 0x210"* ]]
    [[ "$output" == *"refused by"*linux* ]]
    plat verify --json "$work/bad.img" >"$work/out" || [ $? -eq 1 ]
    python3 - "$work/out" <<'EOF'
import json, sys
d = json.load(open(sys.argv[1]))
f = [f for f in d['findings'] if f['path'] == 'gpt.primary.header_crc32']
assert f and f[0]['offset'] == 0x210 and f[0]['severity'] == 'error', d['findings']
EOF
}

@test "verify: both GPT headers corrupt, and a truncated disk, are answers (1)" {
    cp --sparse=always disk.img "$work/bad.img"
    poke "$work/bad.img" 0x210 00000000
    size=$(stat -c %s disk.img)
    poke "$work/bad.img" $((size - 512 + 16)) 00000000
    run plat verify "$work/bad.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *gpt.primary* && "$output" == *gpt.backup* ]]
    cp --sparse=always disk.img "$work/cut.img"
    truncate -s 50M "$work/cut.img"
    run plat verify "$work/cut.img"
    [ "$status" -eq 1 ]
}

@test "verify: --strict counts warnings, --max limits what is shown and not what is counted" {
    cp --sparse=always disk.img "$work/warn.img"
    poke "$work/warn.img" 0x8000 01 # a byte between the table and the first partition, which nobody owns
    run plat verify "$work/warn.img"
    [ "$status" -eq 0 ]
    [[ "$output" == *warning* ]]
    run plat verify --strict "$work/warn.img"
    [ "$status" -eq 1 ]
    run plat verify --max 0 "$work/warn.img"
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == *"not shown"* && "$output" != *" 0 warnings"* ]]
}

@test "verify: --data says where contents have no checksums" {
    run plat verify --data disk.img
    [ "$status" -eq 0 ]
    [[ "$output" == *"note: "*"fat32 keeps no checksums of file contents"* ]]
    plat verify --data --json disk.img | grep -q '"data_bytes": 0'
    run plat verify disk.img
    [[ "$output" != *"no checksums of file contents"* ]]
}

@test "verify: nothing recognised, no such file, a directory, FAT16: cannot (2), with the reason" {
    run plat verify tree/zeros
    [ "$status" -eq 2 ]
    [[ "$output" == *gpt*fat32*mbr* ]]
    run plat verify no-such-file
    [ "$status" -eq 2 ]
    [[ "$output" == *no-such-file* ]]
    run plat verify tree
    [ "$status" -eq 2 ]
    truncate -s 20M "$work/fat16.img"
    mkfs.fat -F 16 "$work/fat16.img" >/dev/null
    run plat verify "$work/fat16.img"
    [ "$status" -eq 2 ]
    [[ "$output" == *FAT16* ]]
    run plat verify -p nope disk.img
    [ "$status" -eq 2 ]
    [[ "$output" == *esp* ]]
    run plat verify -p 1 fat.img
    [ "$status" -eq 2 ]
}

# ---- dump ----

@test "dump: text names layers, structures, values; unused elements take one line" {
    plat dump disk.img >"$work/out"
    grep -q '^gpt.primary  header  at 0x200, 92 bytes' "$work/out"
    grep -q "^ *signature  *'EFI PART'" "$work/out"
    grep -qF 'gpt.entries[2..127]  unused (zero)' "$work/out"
    grep -q '^esp: FAT32 filesystem, partition 1' "$work/out"
    grep -qF 'esp.dir["/EFI/BOOT"]' "$work/out"
    [ "$(grep -c . "$work/out")" -lt 2000 ]
    ! grep -q ' $' "$work/out" || false
    plat dump --all disk.img gpt.entries >"$work/all"
    [ "$(grep -c '^gpt.entries\[' "$work/all")" -eq 128 ]
}

@test "dump: --json is one document; complete but for runs of a FAT, and those with --all" {
    plat dump --json disk.img >"$work/out"
    plat dump --json --all -p esp disk.img >"$work/all"
    plat dump --json disk.img esp.fat >"$work/fat"
    python3 - "$work/out" "$work/all" "$work/fat" <<'EOF'
import json, sys
d, full, fat = [json.load(open(name)) for name in sys.argv[1:]]
paths = {s['path']: s for s in d['structures']}
assert [l['prefix'] for l in d['layers']] == ['mbr', 'gpt', 'esp', 'p2'], d['layers']
assert all(f'gpt.entries[{i}]' in paths for i in range(128))
assert paths['gpt.entries[1]']['fields']['name'] == 'my root'
assert paths['esp.boot']['offset'] == 1 << 20 and paths['esp.boot']['fields']['bytes_per_sector'] == 512
runs = [s for s in d['structures'] if 'run' in s]
assert runs and all('fat' in s['path'] for s in runs)
elements = sum(1 for s in full['structures'] if s['path'].startswith('fat['))
assert elements == 1 + max(int(s['path'][4:-1]) for s in full['structures'] if s['path'].startswith('fat['))
assert elements > 65525 and len(fat['structures']) == elements
assert d['damage'] == []
EOF
}

@test "dump: PATH and --depth restrict it" {
    run plat dump disk.img gpt.entries[1].first_lba
    [ "$status" -eq 0 ]
    [[ "$output" == "gpt.entries[1].first_lba  "*sector ]]
    run plat dump --depth 1 disk.img gpt
    [[ "$output" == *"gpt.entries  entry[128]"* && "$output" != *signature* && "$output" != *"entries[0]"* ]]
    run plat dump -p esp disk.img boot
    [[ "${lines[1]}" == boot* ]]
    plat dump --json disk.img gpt.primary.signature | valid_json
    plat dump --json disk.img 'mbr.sector.partitions[0]' | valid_json
    run plat dump disk.img esp.bot
    [ "$status" -eq 2 ]
    [[ "$output" == *boot* ]]
    run plat dump --depth 0 disk.img
    [ "$status" -eq 2 ]
}

@test "dump: of a truncated disk: what is left, what is missing (1)" {
    head -c 1200K disk.img >"$work/bad.img"
    run plat dump "$work/bad.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *"gpt.primary  header"* && "$output" == *"esp.boot  boot"* ]]
    [[ "$output" == *"plat dump: "*bad.img:* ]]
    plat dump --json "$work/bad.img" >"$work/out" 2>"$work/err" || [ $? -eq 1 ]
    python3 -c 'import json,sys; assert json.load(open(sys.argv[1]))["damage"]' "$work/out"
    [ ! -s "$work/err" ]
}

@test "dump: a volume that cannot be used still shows its boot sector" {
    cp --sparse=always disk.img "$work/bad.img"
    poke "$work/bad.img" 0x10000b 0000 # bytes_per_sector of the boot sector, and of its copy
    poke "$work/bad.img" 0x100c0b 0000
    run plat dump "$work/bad.img"
    [[ "$output" == *"gpt.primary  header"* && "$output" == *"esp.boot  boot"* ]]
    run plat ls "$work/bad.img"
    [[ "$output" == *"my root"* ]]
    run plat ls -p esp "$work/bad.img"
    [ "$status" -eq 2 ]
    [[ "$output" == *"sectors of 0 bytes"* ]]
}

# ---- get ----

@test "get: fields, elements, text, bits, flags, aliases" {
    [ "$(plat get disk.img esp.boot.bytes_per_sector)" = 512 ]
    [ "$(plat get disk.img p1.boot.bytes_per_sector)" = 512 ]
    [ "$(plat get -p 1 disk.img boot.bytes_per_sector)" = 512 ]
    [ "$(plat get fat.img boot.bytes_per_sector)" = 512 ]
    [ "$(plat get disk.img gpt.entries[0].first_lba)" = 2048 ]
    [ "$(plat get disk.img gpt.entries[0x1].name)" = 'my root' ]
    [ "$(plat get --json disk.img gpt.entries[1].name)" = '"my root"' ]
    [ "$(plat get disk.img gpt.entries[0].attributes.required)" = 0 ]
    [ "$(plat get --raw disk.img gpt.primary.signature)" = 'EFI PART' ]
    [ "$(plat get --raw disk.img gpt.primary | wc -c)" -eq 92 ]
    [ "$(plat get --raw disk.img gpt.entries | wc -c)" -eq 16384 ]
    plat get --raw disk.img gpt.entries | cmp - <(dd if=disk.img bs=512 skip=2 count=32 status=none)
    plat get --json disk.img gpt.primary | valid_json
    plat get --json disk.img mbr.sector.partitions | valid_json
    month=$(plat get disk.img 'esp.dir["/EFI/BOOT"][2].write_date.month')
    [ "$month" -eq "$(date -u -r tree/EFI/BOOT/BOOTX64.EFI +%m | sed 's/^0//')" ]
}

@test "get: what does not exist: exit 2 with what comes near" {
    check() { # PATH WORDS
        run plat get disk.img "$1"
        [ "$status" -eq 2 ]
        [[ "$output" == *"$2"* ]] || { echo "$1: $output"; false; }
    }
    check esp.bot boot
    check esq esp
    check esp.boot.medai media
    check 'gpt.entries[128]' '128 elements'
    check 'gpt.entries[128].name' '128 elements'
    check 'mbr.sector.partitions[4]' '4 elements'
    check 'esp.dir["/EFI/BOT"][0]' '/EFI/BOOT'
    check gpt.primary.my_lba.x 'single value'
    check 'gpt.primary.my_lba[0]' 'single value'
    check gpt..x 'column 5'
    check '' 'gpt.primary.my_lba'
}

# ---- hex ----

@test "hex: a row or more for each field, offsets and bytes as in the image" {
    plat hex disk.img gpt.primary >"$work/out"
    grep -q "^00000200  45 46 49 20 50 41 52 54  EFI PART  signature  *char\[8\]  *'EFI PART'" "$work/out"
    # Every byte that is shown is the image's byte.
    python3 - "$work/out" disk.img <<'EOF'
import re, sys
image = open(sys.argv[2], 'rb').read(1 << 20)
n = 0
for line in open(sys.argv[1]):
    m = re.match(r'([0-9a-f]{8})  ((?:[0-9a-f]{2} ?)+) ', line)
    if m:
        b = bytes.fromhex(m[2])
        at = int(m[1], 16)
        assert image[at:at + len(b)] == b, line
        n += len(b)
assert n == 92, n
EOF
    run plat hex disk.img gpt.entries[0].name
    [[ "${lines[0]}" == 00000438*utf16*"'esp'" ]]
    plat hex disk.img >"$work/whole"
    [ "$(wc -l <"$work/whole")" -lt 3000 ]
}

@test "hex --at: answers for a field, a directory entry, file data, free space, a gap" {
    at() { # OFFSET WORDS
        run plat hex disk.img --at "$1"
        [ "$status" -eq 0 ]
        [[ "$output" == *"$2"* ]] || { echo "$1: $output"; false; }
    }
    at 0x210 header_crc32
    at 528 header_crc32
    at 0 boot_code
    at 1MiB jump_opcode
    at 0x8000 'unclaimed  gap'
    at 0x4500000 'esp.free'
    at $(($(stat -c %s disk.img) - 1)) gpt.backup
    # The first byte of a file, found from its directory entry.
    cluster=$(plat get disk.img 'esp.dir["/EFI/BOOT"][2].first_cluster_low')
    per=$(plat get disk.img esp.boot.sectors_per_fat)
    data=$((0x100000 + (32 + 2 * per + cluster - 2) * 512))
    at $data 'esp:/EFI/BOOT/BOOTX64.EFI, byte 0'
    at $((data + 1000)) 'esp:/EFI/BOOT/BOOTX64.EFI, byte 1,000'
    # Plain hex of a range is the image's bytes.
    plat hex disk.img --at $data --length 64 --all | sed 's/^[0-9a-f]*  //; s/   .*//; s/  .*//' | xxd -r -p |
        cmp - <(dd if=disk.img bs=1 skip=$data count=64 status=none)
    run plat hex disk.img --at 100GiB
    [ "$status" -eq 2 ]
    run plat hex disk.img gpt --at 0
    [ "$status" -eq 2 ]
    run plat hex disk.img --at x
    [ "$status" -eq 2 ]
}

@test "hex: a file by its path, and rows that fit the terminal" {
    plat hex disk.img esp:/loader/loader.conf | grep -q 'timeout'
    plat hex -p esp disk.img /loader/loader.conf --length 8 >"$work/out"
    [ "$(wc -l <"$work/out")" -eq 1 ]
    run plat hex disk.img /nope
    [ "$status" -eq 2 ]
    COLUMNS=160 plat hex fat.img /loader/loader.conf | head -1 | grep -q '66 61 75 6c'
    COLUMNS=40 plat hex fat.img /loader/loader.conf | head -1 | grep -Eq '^0[0-9a-f]{7}  74 69 6d 65  time'
}

# ---- output ----

@test "no colour but on a terminal" {
    cp --sparse=always disk.img "$work/bad.img"
    poke "$work/bad.img" 0x228 23
    esc=$(printf '\033')
    for command in verify dump hex; do
        plat $command "$work/bad.img" >"$work/plain" || true
        ! grep -q "$esc" "$work/plain" || false
        TERM=xterm script -qec "$PLAT $command $work/bad.img" /dev/null </dev/null >"$work/coloured" || true
        grep -q "$esc" "$work/coloured"
        NO_COLOR=1 TERM=xterm script -qec "$PLAT $command $work/bad.img" /dev/null </dev/null >"$work/no" || true
        ! grep -q "$esc" "$work/no" || false
    done
}

@test "a closed pipe is quiet" {
    for command in "dump" "dump --json" "hex" "verify" "get --raw"; do
        path=
        [ "$command" = "get --raw" ] && path=esp.fat
        # shellcheck disable=SC2086
        { "$PLAT" $command disk.img $path 2>"$work/err" || true; } | head -c 1 >/dev/null
        [ ! -s "$work/err" ] || { echo "$command"; cat "$work/err"; false; }
    done
}

@test "a full disk is not quiet" {
    [ -e /dev/full ] || skip "no /dev/full"
    run bash -c "'$PLAT' dump disk.img >/dev/full"
    [ "$status" -eq 2 ]
    [[ "$output" == *"standard output"* ]]
}

# ---- sector sizes and schemas ----

@test "4096-byte sectors: found out, and as --sector-bytes" {
    truncate -s 320M "$work/d4k.img"
    printf 'g\nn\n1\n\n+300M\nt\n1\nw\n' | fdisk -b 4096 "$work/d4k.img" >/dev/null
    (cd "$work" && ln -s "$BATS_FILE_TMPDIR/tree" tree && make_fat f4k.img tree 300 4096)
    dd if="$work/f4k.img" of="$work/d4k.img" bs=1M seek=1 conv=notrunc,sparse status=none
    plat verify "$work/d4k.img"
    [ "$(plat get "$work/d4k.img" gpt.entries[0].first_lba)" = 256 ]
    [ "$(plat get --sector-bytes 4096 "$work/d4k.img" p1.boot.bytes_per_sector)" = 4096 ]
    plat hex "$work/d4k.img" --at 0x1000 | grep -q "'EFI PART'"
    run plat get --sector-bytes 512 "$work/d4k.img" gpt.primary.my_lba
    [ "$status" -eq 2 ]
    run plat verify --sector-bytes 1000 "$work/d4k.img"
    [ "$status" -eq 2 ]
    [[ "$output" == *"power of two"* ]]
}

@test "--schema: a format that plat has never heard of, with its parameters" {
    cat >"$work/toy.json" <<'EOF'
{ "layout": "toy", "title": "Toy format", "endian": "big",
  "params": { "base": { "default": 0, "unit": "byte", "doc": "where it begins" } },
  "identify": [ { "at": "base", "bytes": "TOY!" } ],
  "types": {
    "mode": { "kind": "enum", "base": "u8", "values": [ { "name": "off", "value": 0 }, { "name": "on", "value": 1 } ] },
    "head": { "kind": "struct", "size": 8, "fields": [
      { "name": "magic", "type": "char[4]", "const": "TOY!" },
      { "name": "mode", "type": "mode" },
      { "name": "count", "type": "u8" },
      { "name": "sum", "type": "u16", "derive": "count * 3" } ] },
    "item": { "kind": "struct", "size": 4, "fields": [ { "name": "value", "type": "u32", "unit": "byte" } ] } },
  "map": [ { "name": "head", "type": "head", "at": "base" },
           { "name": "items", "type": "item", "at": "base + 8", "count": "head.count" } ] }
EOF
    printf 'TOY!\001\003\000\011\000\000\000\005\000\000\000\006\000\000\000\007' >"$work/toy.bin"
    cd "$work"
    plat verify --schema toy.json toy.bin
    [ "$(plat get --schema toy.json toy.bin 'items[2].value')" = 7 ]
    [[ "$(plat get --schema toy.json toy.bin head.mode)" == on* ]]
    plat dump --schema toy.json toy.bin | grep -qF 'items[0..2]  5 byte to 7 byte, rising by one'
    plat hex --schema toy.json toy.bin --at 6 | grep -q sum
    { printf 'junk'; cat toy.bin; } >moved.bin
    plat verify --schema toy.json --param base=4 moved.bin
    [ "$(plat get --schema toy.json --param base=4 moved.bin 'items[0].value')" = 5 ]
    run plat verify --schema toy.json moved.bin
    [ "$status" -eq 1 ]
    printf 'TOY!\001\003\000\010\000\000\000\005\000\000\000\006\000\000\000\007' >bad.bin
    run plat verify --schema toy.json bad.bin
    [ "$status" -eq 1 ]
    [[ "$output" == *head.sum* ]]
    run plat verify --schema toy.json --param nope=1 toy.bin
    [ "$status" -eq 2 ]
    run plat verify --param base=1 toy.bin
    [ "$status" -eq 2 ]
    run plat verify --schema toy.json --param base toy.bin
    [ "$status" -eq 2 ]
    run plat verify --schema missing.json toy.bin
    [ "$status" -eq 2 ]
}

@test "verify: a partition to boot from that is not typed as one" {
    mkdir -p "$work/tree/EFI/BOOT"
    echo MZ >"$work/tree/EFI/BOOT/BOOTX64.EFI"
    for type in esp basic-data; do
        cat >"$work/r.json" <<J
{ "table": "gpt", "partitions": [ { "name": "boot", "type": "$type", "format": "fat32", "size": "40MiB",
    "files": [ { "to": "/", "from": "$work/tree" } ] } ] }
J
        plat build "$work/r.json" -o "$work/$type.img"
        run plat verify "$work/$type.img"
        [ "$status" -eq 0 ]
        [[ "${lines[-1]}" == *" 0 errors, $([ $type = esp ] && echo 0 || echo 1) warning"* ]]
    done
    [[ "$output" == *"p1"*"holds /EFI/BOOT, but its type is "*"refused by windows, other-firmware"* ]]
}
