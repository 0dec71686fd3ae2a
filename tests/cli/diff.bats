#!/usr/bin/env bats
# plat diff: what differs is told by field, file and byte. Catches: a byte whose change goes unnoticed, things matched by where
# they lie, a move told as two changes, exit 0 for images that differ, crashes on damaged images.

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat} PATH=$PATH:/usr/sbin:/sbin
    cd "$BATS_FILE_TMPDIR"
    mkdir -p t/d
    seq 3000 >t/d/two
    echo one >t/one
    ln -s one t/link
    squash a 1700000000
    cp a.img copy.img
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    work=$BATS_TEST_TMPDIR
}

squash() { # NAME TIME
    mksquashfs t "$1.img" -mkfs-time 1700000000 -all-time "$2" -noappend -quiet -no-progress >/dev/null
}
# Runs plat diff and says what it printed when the exit code is another one.
differs() { # CODE ARGUMENT...
    local code=$1 rc=0
    shift
    "$PLAT" diff "$@" >"$work/out" 2>"$work/err" || rc=$?
    [ "$rc" -eq "$code" ] || { echo "exit $rc"; cat "$work/out" "$work/err"; return 1; }
}
says() { grep -qF -- "$1" "$work/out" || { echo "no line with: $1"; cat "$work/out" "$work/err"; return 1; }; }
silent() { ! grep -qF -- "$1" "$work/out" || { echo "a line with: $1"; cat "$work/out"; return 1; }; }
fat() { # IMAGE TREE
    truncate -s 40M "$1"
    mkfs.fat -F 32 -s 1 -i 1234abcd -n LABEL --invariant "$1" >/dev/null
    (cd "$2" && mcopy -s -m -i "$1" ./* ::/)
}
flip() { # FILE OFFSET
    python3 - "$@" <<'P'
import sys
with open(sys.argv[1], 'r+b') as f:
    f.seek(int(sys.argv[2])); b = f.read(1); f.seek(int(sys.argv[2])); f.write(bytes([b[0] ^ 0x55]))
P
}

@test "equal bytes are 0 and say so; a file that is missing is 2" {
    differs 0 a.img copy.img
    says 'a.img and copy.img: the same bytes'
    differs 2 a.img nowhere.img
    grep -q nowhere.img "$work/err"
    differs 2 a.img
}

@test "mksquashfs at two times: each inode with both times, files with theirs, nothing of the blocks" {
    squash b 1700000007
    differs 1 a.img b.img
    says 'inodes[5].head.modified: 1700000000 (2023-11-14 22:13:20) against 1700000007 (2023-11-14 22:13:27)'
    says '/d/two:mtime: 1700000000 second (2023-11-14 22:13:20) against 1700000007 second'
    silent 'OTHER BYTES'
    silent ':content'
    differs 1 --only '*.modified' a.img b.img
    [ "$(grep -c '^  inodes' "$work/out")" -eq 5 ]
    differs 0 --only '*.head.mode' a.img b.img
    says 'no difference but what is ignored'
}

@test "FAT: a file that moved, one that changed, one that came, one that went" {
    mkdir -p one/sub two/other
    seq 2000 >one/changed
    seq 10 >one/sub/moved
    echo gone >one/gone
    touch -d @1700000000 one/* one/sub/*
    seq 1999 >two/changed
    echo 2000 >>two/changed
    sed -i '1s/1/2/' two/changed
    cp one/sub/moved two/other/renamed
    echo come >two/come
    touch -d @1700000000 two/* two/other/*
    fat "$work/a" "$PWD/one"
    fat "$work/b" "$PWD/two"
    differs 1 "$work/a" "$work/b"
    says '/changed:content: 8893 byte against 8893 byte, other from byte 0 on'
    says '  /sub/moved moved to /other/renamed: file, 21 byte'
    says '+ /come: file, 5 byte'
    says '- /gone: file, 5 byte'
    says "short_entry, 32 bytes, name='COME'"
    silent '/changed:mtime'
    silent 'dir["/"][0].name'
    differs 1 --only /come "$work/a" "$work/b"
    [ "$(grep -c '^[+-]' "$work/out")" -eq 1 ]
}

@test "a partition at another place is the same partition: its file's change is the only one inside" {
    mkdir -p esp
    echo hello >esp/f
    touch -d @1700000000 esp/f
    fat "$work/v1" "$PWD/esp"
    cp "$work/v1" "$work/v2"
    printf 'HELLO' | dd of="$work/v2" bs=1 conv=notrunc status=none \
        seek="$("$PLAT" map --json --of /f "$work/v1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["ranges"][0]["offset"])')"
    for i in 1 2; do
        truncate -s 60M "$work/d$i"
        sgdisk -o -U 11111111-2222-3333-4444-555555555555 -n "$i:$((2048 * i)):$((2048 * i + 81919))" -t "$i:ef00" -c "$i:esp" \
            -u "$i:99999999-2222-3333-4444-555555555555" "$work/d$i" >/dev/null
        dd if="$work/v$i" of="$work/d$i" bs=1M seek="$i" conv=notrunc,sparse status=none
    done
    differs 1 "$work/d1" "$work/d2"
    says 'gpt.entries[0].first_lba, in the other image gpt.entries[1].first_lba: 2048'
    says 'esp:/f:content: 6 byte against 6 byte, other from byte 0 on'
    silent 'esp.boot'
    silent 'esp.dir'
    grep -qE '[0-9]+ structures lie elsewhere' "$work/out"
    differs 1 -p esp "$work/d1" "$work/d2"
    says '1 difference (1 in files)'
    sgdisk -c 2:other "$work/d2" >/dev/null
    differs 1 "$work/d1" "$work/d2"
    says "gpt.entries[0].name, in the other image gpt.entries[1].name: 'esp' against 'other'"
    says 'esp:/f:content'
}

@test "a format known from a schema alone: members of a cpio archive by their names, one flipped byte of data" {
    (cd t && printf '%s\n' one d d/two | cpio -o -H newc --reproducible) >"$work/a.cpio" 2>/dev/null
    (cd t && printf '%s\n' d d/two one | cpio -o -H newc --reproducible) >"$work/b.cpio" 2>/dev/null
    differs 1 "$work/a.cpio" "$work/b.cpio"
    silent '.name'
    cp "$work/a.cpio" "$work/c.cpio"
    flip "$work/c.cpio" 2000
    differs 1 "$work/a.cpio" "$work/c.cpio"
    says '1 of them other'
    says 'at 0x7d0'
}

@test "formats that differ: their files are compared; what is unknown: bytes" {
    "$PLAT" mk squashfs t -o "$work/s.img"
    "$PLAT" mk caposro1 t -o "$work/r.img"
    differs 1 "$work/s.img" "$work/r.img"
    says 'SquashFS'
    silent ':content'
    head -c 9000 /dev/urandom >"$work/x"
    cp "$work/x" "$work/y"
    differs 0 "$work/x" "$work/y"
    flip "$work/y" 8999
    differs 1 "$work/x" "$work/y"
    says 'at 0x2327'
    truncate -s 9100 "$work/x"
    differs 1 "$work/x" "$work/y"
    says 'image:bytes: 9100 byte against 9000 byte'
}

@test "a store beside a filesystem: objects go by their whole keys; the layer that is equal is equal" {
    mkdir -p objects
    echo x >objects/k
    "$PLAT" mk capos-data --seed t/d --seed-object objects/k --size 64MiB -o "$work/a"
    echo y >objects/k
    "$PLAT" mk capos-data --seed t/d --seed-object objects/k --size 64MiB -o "$work/b"
    differs 1 "$work/a" "$work/b"
    says "+ store.entries[0]: entry, 64 bytes, key=$(sha256sum <objects/k | cut -d' ' -f1)"
    silent 'fs.'
    differs 0 -p fs "$work/a" "$work/b"
    says 'no difference in this layer'
    differs 1 -p store "$work/a" "$work/b"
}

@test "JSON: the same differences, with offsets; --max leaves off what it counts" {
    squash b 1700000007
    differs 1 --json a.img b.img
    python3 - "$work/out" <<'P'
import json, sys
d = json.load(open(sys.argv[1]))
assert not d['equal'] and not d['bytes_equal'] and d['left_off'] == 0
files = [x for x in d['differences'] if x['part'] == 'file']
assert len(files) == d['file']['changed'] == 5, d
used = [x for x in d['differences'] if x['path'] == 'superblock.bytes_used'][0]
assert used['a']['offset'] == used['b']['offset'] == 40 and used['a']['bytes'] == 8, used
P
    differs 1 --max 3 a.img b.img
    grep -qE '^[0-9]+ more differences' "$work/out"
    [ "$(grep -c ' against ' "$work/out")" -eq 3 ]
}

@test "what is alike is counted, and does not hide the one file that matters" {
    mkdir -p many
    for i in $(seq 300); do echo "$i" >"many/f$i"; done
    touch -d @1700000000 many many/*
    "$PLAT" mk squashfs many -o "$work/a"
    touch -d @1700000007 many/f*
    echo x >many/f7
    touch -d @1700000007 many/f7
    "$PLAT" mk squashfs many -o "$work/b"
    differs 1 --max 40 "$work/a" "$work/b"
    says '  and 292 more of inodes[*].head.modified (--all)'
    says '  and 292 more of *:mtime (--all)'
    says '/f7:content'
    differs 1 --all --max 10000 "$work/a" "$work/b"
    [ "$(grep -c ':mtime: ' "$work/out")" -eq 300 ]
    silent ' more of '
}

@test "no byte changes unnoticed: flips in an image of each format, and what they hit is named" {
    "$PLAT" mk fat32 t/d -o "$work/fat32.img"
    for f in caposro1 caposwf1 squashfs; do "$PLAT" mk $f t -o "$work/$f.img"; done
    "$PLAT" mk caposst1 t/d -o "$work/caposst1.img"
    for i in "$work"/*.img; do
        for offset in $(python3 -c "
import os, random, sys
random.seed(5)
n = os.path.getsize(sys.argv[1])
print(*[random.choice([random.randrange(n), random.randrange(min(n, 4096))]) for _ in range(12)])" "$i"); do
            cp "$i" "$work/flipped"
            flip "$work/flipped" "$offset"
            differs 1 "$i" "$work/flipped" || { echo "$i at $offset"; return 1; }
            silent "the same things"
            differs 1 "$work/flipped" "$i"
        done
    done
}

@test "hostile images: garbage over any part is told, and nothing crashes or hangs" {
    for i in a.img; do
        for seed in $(seq 25); do
            python3 - "$i" "$work/bad" "$seed" <<'P'
import random, sys
r = random.Random(int(sys.argv[3]))
b = bytearray(open(sys.argv[1], 'rb').read())
for _ in range(r.choice([1, 5, 50])):
    at = r.randrange(min(len(b), 7000)) if r.random() < .5 else r.randrange(96)
    b[at] = r.choice([0, 255, 128, r.randrange(256)])
open(sys.argv[2], 'wb').write(b[:r.choice([len(b), len(b), r.randrange(1, len(b))])])
P
            rc=0
            timeout 20 "$PLAT" diff "$i" "$work/bad" >"$work/out" 2>"$work/err" || rc=$?
            cmp -s "$i" "$work/bad" && want=0 || want=1
            [ "$rc" -eq "$want" ] || { echo "seed $seed: exit $rc"; cat "$work/err"; return 1; }
        done
    done
}
