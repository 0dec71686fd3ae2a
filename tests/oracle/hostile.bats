#!/usr/bin/env bats
# Damaged and malicious images through the commands themselves; the tens of thousands of cases are in
# tests/unit/test_hostile*.c. Images are strangers' (mtools, sgdisk) as well as plat's.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    export LC_ALL=C
    PATH=$PATH:/usr/sbin:/sbin
}

# plat ARGUMENT...: exit code in $status; a signal or a minute without an end fails the test.
ends() {
    run timeout 60 "$PLAT" "$@"
    [ "$status" -le 2 ] || { echo "plat $*: exit $status"; echo "$output"; false; }
}

make_disk() { # a disk by plat: GPT, FAT32 with long names
    mkdir -p tree/EFI/BOOT tree/docs/deep
    seq 3000 >tree/EFI/BOOT/BOOTX64.EFI
    echo one >"tree/docs/a long file name.text"
    echo two >tree/docs/deep/TWO.TXT
    : >tree/empty
    cat >r.json <<'R'
{ "table": "gpt", "partitions": [ { "name": "esp", "type": "esp", "format": "fat32", "label": "HOSTILE", "files": [ { "from": "tree/" } ] } ] }
R
    "$PLAT" build r.json -o disk.img
}

all_commands() { # IMAGE
    ends ls -lR "$1"
    ends ls --json "$1"
    ends extract "$1" -C out
    rm -rf out
    ends extract "$1" -o - >/dev/null
    ends dump "$1"
    ends dump --json "$1"
    ends hex "$1" --at 0x200
    ends hex "$1" gpt.primary
    ends get "$1" gpt.primary.entry_count
    ends cat "$1" /EFI/BOOT/BOOTX64.EFI
}

# Catches: a crash, a hang, or a shrug when an image ends too soon.
@test "a disk cut short is never called whole, and no command breaks on it" {
    make_disk
    size=$(stat -c %s disk.img)
    cp --sparse=always disk.img cut.img
    for at in $((size - 1)) $((size - 512)) $((size - 33 * 512)) $((size - 1048576)) 3000000 1600000 1200000 1053000 \
        1049600 1048577 1048576 17408 16000 1024 600 512 511 1 0; do
        truncate -s "$at" cut.img
        ends verify cut.img
        [ "$status" -ne 0 ] || { echo "verify takes $at of $size bytes for whole"; false; }
        [ -n "$output" ]
        all_commands cut.img
    done
}

# Catches: names in an image that write outside the target of extract.
@test "extract stays in its target whatever names say" {
    truncate -s 40M fat.img
    mkfs.fat -F 32 -s 1 fat.img >/dev/null
    mkdir src
    echo payload >src/AAAAAAAAAAAAAA
    mcopy -i fat.img src/AAAAAAAAAAAAAA ::/
    echo keep >canary
    # 14 units: a long name of two pieces; in UTF-16 each letter is followed by a 0.
    for name in '../canary-----' '/tmp/plat-evil' '..\\canary----' $'a\nb-----------' $'\e[2J----------' './canary------'; do
        python3 - "$name" <<'P'
import struct, sys
name = sys.argv[1][:14].ljust(14, '-')
data = bytearray(open('fat.img', 'rb').read())
units = [0x41] * 14
slots = [i for i in range(0, len(data), 32) if data[i + 11] == 0x0F and data[i] in (0x42, 0x01) and data[i + 12] == 0]
assert len(slots) == 2, slots
text = [ord(c) for c in name]
text += [0] + [0xFFFF] * (26 - len(text) - 1)
for slot in slots:
    part = text[13 * ((data[slot] & 0x3F) - 1):][:13]
    for place, unit in zip([1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30], part):
        struct.pack_into('<H', data, slot + place, unit)
open('evil.img', 'wb').write(data)
P
        mkdir box
        ends extract evil.img -C box/out
        [ "$status" -eq 1 ] || [[ "$name" == *\\* ]]
        [ "$(ls -A box)" = out ]
        [ "$(cat canary)" = keep ]
        [ ! -e /tmp/plat-evil ]
        ! find box -name '*[[:cntrl:]]*' | grep -q . || false
        ends verify evil.img
        [ "$status" -eq 1 ]
        rm -rf box
    done
}

# Catches: a member whose name leads out of the archive that extract writes.
@test "an archive made by extract has no name that leads out of it" {
    make_disk
    python3 - <<'P'
data = open('disk.img', 'rb').read()
at = data.index(b'TWO     TXT')
open('disk.img', 'r+b').seek(0)
with open('disk.img', 'r+b') as f:
    f.seek(at)
    f.write(b'../X    TXT')
P
    ends extract disk.img -o out.tar
    [ "$status" -eq 1 ]
    if [ -e out.tar ]; then
        ! tar -tf out.tar | grep -q '\.\.' || false
    fi
}

# Catches: a product of two fields from the image that wraps, or an allocation of its size.
@test "tables whose sizes overflow are refused in little memory" {
    truncate -s 8M gpt.img
    sgdisk -n 1:2048:+1M gpt.img >/dev/null
    python3 - <<'P'
import struct, zlib
good = open('gpt.img', 'rb').read()
cases = {'count': (80, '<I', 0xFFFFFFFF), 'bytes': (84, '<I', 0xFFFFFFFF), 'lba': (72, '<Q', 2**64 - 1), 'lba55': (72, '<Q', 2**55),
         'alternate': (32, '<Q', 2**64 - 1), 'usable': (48, '<Q', 2**64 - 1), 'header': (12, '<I', 0xFFFFFFFF)}
for name, (at, shape, value) in cases.items():
    data = bytearray(good)
    for base in (512, len(data) - 512):
        struct.pack_into(shape, data, base + at, value)
        struct.pack_into('<I', data, base + 16, 0)
        struct.pack_into('<I', data, base + 16, zlib.crc32(data[base:base + 92]))
    open(name + '.bad', 'wb').write(data)
P
    for image in *.bad; do
        ( # sanitizers reserve address space of their own
            nm -D "$PLAT" 2>/dev/null | grep -q __asan || ulimit -v 400000
            timeout 60 "$PLAT" verify "$image" >verdict 2>&1
        ) && code=0 || code=$?
        cat verdict
        [ "$code" -eq 1 ] || { echo "$image: exit $code"; false; }
        grep -q 'gpt\.' verdict
        ends dump "$image"
        ends ls "$image"
    done
}

# Catches: a chain that never ends.
@test "a FAT chain that loops ends every command" {
    make_disk
    offset=$("$PLAT" hex disk.img 'esp.fat[2]' | grep -oE '^[0-9a-f]{8,}' | head -n 1)
    [ -n "$offset" ]
    at=$((16#$offset))
    # Clusters 2 to 60 all lead to 3.
    for copy in 0 1; do
        start=$((at + copy * $("$PLAT" get disk.img esp.boot.sectors_per_fat) * 512))
        for i in $(seq 0 58); do printf '\x03\x00\x00\x00'; done | dd of=disk.img bs=1 seek=$start conv=notrunc status=none
    done
    ends verify disk.img
    [ "$status" -eq 1 ]
    [[ "$output" == *loop* ]]
    all_commands disk.img
    ends extract disk.img -C out
    [ "$status" -eq 1 ]
}
