#!/usr/bin/env bats
# plat golden: what is pinned, and what a check says. Catches: a byte whose change passes, a failure without its field and offset, a
# pattern that leaves out too much or nothing, a golden file that somebody edited into something harmful.

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat} EXAMPLE=$root/examples/golden PATH=$PATH:/usr/sbin:/sbin
    cd "$BATS_FILE_TMPDIR"
    mkdir -p t/d
    seq 3000 >t/d/two
    echo one >t/one
    ln -s one t/link
    mksquashfs t a.img -mkfs-time 1700000000 -all-time 1700000000 -noappend -quiet -no-progress >/dev/null
    mksquashfs t b.img -mkfs-time 1700000000 -all-time 1700000007 -noappend -quiet -no-progress >/dev/null
    rm t/link
    "$PLAT" mk fat32 t -o fat.img
    truncate -s 60M disk.img
    sgdisk -o -n 1:2048:+40M -t 1:ef00 -c 1:esp disk.img >/dev/null
    dd if=fat.img of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
    "$PLAT" golden record a.img -o a.golden
    "$PLAT" golden record disk.img -o disk.golden
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    work=$BATS_TEST_TMPDIR
}

golden() { # CODE ARGUMENT...
    local code=$1 rc=0
    shift
    timeout 60 "$PLAT" golden "$@" >"$work/out" 2>"$work/err" || rc=$?
    [ "$rc" -eq "$code" ] || { echo "exit $rc"; head -50 "$work/out" "$work/err"; return 1; }
}
says() { grep -qF -- "$1" "$work/out" "$work/err" || { echo "no line with: $1"; head -50 "$work/out" "$work/err"; return 1; }; }

@test "record pins fields, contents and places, the same each time; the image passes" {
    for i in a disk; do
        golden 0 check $i.img $i.golden
        says 'as pinned'
        "$PLAT" golden record $i.img -o - | cmp - $i.golden
    done
    grep -qxF "    sha256 = $(sha256sum <t/d/two | cut -d' ' -f1)" a.golden
    grep -qxF '    head.modified = 1700000000 (2023-11-14 22:13:20)' a.golden
    grep -q '^structure gpt.entries\[unique_guid=' disk.golden
    grep -qxF 'file esp:/d/two' disk.golden
}

@test "a failure names field, offset, pinned and found; new and missing things too" {
    golden 1 check b.img a.golden
    says 'inodes[5].head.modified: pinned 1700000000 (2023-11-14 22:13:20), found 1700000007 (2023-11-14 22:13:27)  at inodes+'
    says '/d/two:mtime: pinned 1700000000 second'
    cp disk.img "$work/d.img"
    printf '\x41' | dd of="$work/d.img" bs=1 seek=$((0x100000 + 3)) conv=notrunc status=none
    golden 1 check "$work/d.img" disk.golden
    says "esp.boot.oem_name: pinned 'PLAT', found 'ALAT'  at 0x100003" || grep 'esp.boot.oem_name: pinned .* at 0x100003' "$work/out"
    echo new >"$work/new"
    mcopy -i "$work/d.img@@1M" "$work/new" ::/
    mdel -i "$work/d.img@@1M" ::/one
    golden 1 check "$work/d.img" disk.golden
    says 'esp:/new: found'
    says 'not pinned'
    grep -qE '^esp:/one: pinned [0-9]+ values, not found' "$work/out"
}

@test "patterns: of the record, and of one check" {
    "$PLAT" golden record a.img --ignore '*.modified' --ignore '*:mtime' --ignore '*_blocks' --ignore 'superblock' --ignore '*.@' \
        --ignore '*index' -o "$work/g"
    grep -qx 'ignore \*.modified' "$work/g"
    ! grep -q '1700000000 (' "$work/g" || false
    golden 0 check b.img "$work/g"
    "$PLAT" golden record disk.img --only esp:/d -o "$work/g"
    ! grep -q '^structure' "$work/g" || false
    golden 0 check disk.img "$work/g"
    golden 0 check b.img a.golden --only '*:sha256'
    golden 1 check b.img a.golden --ignore '*:sha256'
    "$PLAT" golden record disk.img -p esp -o "$work/g"
    grep -qx 'partition esp' "$work/g"
    golden 0 check disk.img "$work/g"
}

@test "no flip of a byte passes, in any part of an image" {
    for i in a.img disk.img; do
        for offset in $(python3 -c "
import os, random, sys
random.seed(3)
n = os.path.getsize(sys.argv[1])
print(*[random.randrange(random.choice([n, min(n, 8192)])) for _ in range(15)])" $i); do
            cp --sparse=always $i "$work/f.img"
            python3 -c "
import sys
f = open(sys.argv[1], 'r+b'); f.seek(int(sys.argv[2])); b = f.read(1); f.seek(int(sys.argv[2])); f.write(bytes([b[0] ^ 1]))" \
                "$work/f.img" "$offset"
            golden 1 check "$work/f.img" "${i%.img}.golden" || { echo "$i at $offset"; return 1; }
        done
    done
}

@test "JSON: failures with path, pinned, found" {
    golden 1 check b.img a.golden --json
    python3 - "$work/out" <<'P'
import json, sys
d = json.load(open(sys.argv[1]))
assert d['failed'] == len(d['failures']) > 5 and d['values'] > d['failed'], d
x = [f for f in d['failures'] if f['path'] == '/one:mtime'][0]
assert x['pinned'].startswith('1700000000 second') and x['found'].startswith('1700000007 second'), x
P
}

@test "golden files that are none, or were edited: the line is named, exit 2" {
    bad() { # WORDS: of standard input
        cat >"$work/g"
        golden 2 check a.img "$work/g"
        says "$1"
        says "$work/g"
    }
    : | bad 'expected '"'plat-golden 1'"
    echo 'plat-golden 2' | bad 'line 1'
    printf 'plat-golden 1\n    a = b\n' | bad 'line 2'
    printf 'plat-golden 1\nstructure x\n    a b\n' | bad 'line 3'
    printf 'plat-golden 1\nimagine x\n' | bad 'line 2'
    printf 'plat-golden 1\nstructure x\n    a = \033[2J\n' | bad 'control character'
    printf 'plat-golden 1\nstructure x\n    a = b\tc\n' | bad 'control character'
    printf 'plat-golden 1\nfi\0le x\n' | bad 'line 2'
    { echo 'plat-golden 1'; head -c 3000000 /dev/zero | tr '\0' a; } | bad 'longer than'
    { echo 'plat-golden 1'; echo 'structure x'; yes '    a = b' | head -400000; } | bad 'a group of more than'
    { echo 'plat-golden 1'; yes 'ignore x' | head -2000; } | bad 'more than 1000 patterns'
    golden 2 check a.img nowhere.golden
    golden 2 check nowhere.img a.golden
    golden 2 check a.img
    golden 2 record a.img
    printf 'plat-golden 1\n# a comment\r\n\r\nfile /one\r\n    kind = directory\r\n' >"$work/g"
    golden 1 check a.img "$work/g" --only '/one:kind'
    says '/one:kind: pinned directory, found file'
    { echo 'plat-golden 1'; for i in $(seq 50000); do printf 'structure x%s\n    a = b\n' "$i"; done; } >"$work/g"
    golden 1 check a.img "$work/g" --max 5
    says 'more failures (--max)'
}

@test "damaged images can be checked, and fail" {
    for seed in $(seq 15); do
        python3 - a.img "$work/bad" "$seed" <<'P'
import random, sys
r = random.Random(int(sys.argv[3]))
b = bytearray(open(sys.argv[1], 'rb').read())
for _ in range(r.choice([1, 5, 50])):
    at = r.randrange(min(len(b), 7000)) if r.random() < .5 else r.randrange(96)
    b[at] ^= r.choice([1, 255, 128])
open(sys.argv[2], 'wb').write(b[:r.choice([len(b), r.randrange(1, len(b))])])
P
        cmp -s a.img "$work/bad" && continue
        golden 1 check "$work/bad" a.golden || { echo "seed $seed"; return 1; }
        "$PLAT" golden record "$work/bad" -o "$work/bad.golden"
        golden 0 check "$work/bad" "$work/bad.golden"
    done
}

@test "a full disk leaves no golden file" {
    [ -e /dev/full ] || skip "no /dev/full"
    rc=0
    "$PLAT" golden record a.img -o - >/dev/full 2>"$work/err" || rc=$?
    [ "$rc" -eq 2 ]
}

@test "examples/golden: make check and its bats pass, and fail when a file changes" {
    cp -r "$EXAMPLE" "$work/e"
    cd "$work/e"
    make -s check PLAT="$PLAT" >/dev/null
    bats image.bats
    echo Hello. >root/etc/motd
    ! make -s check PLAT="$PLAT" >"$work/out" 2>&1 || false
    says '/etc/motd:sha256: pinned 59d6413948a585db9a15042888fcd7ca4c85416ac2f71f1a80c9c83df78b3a56, found'
    ! bats -f reviewed image.bats || false
}
