#!/usr/bin/env bats
# plat repair: one bad copy becomes what it was, byte for byte, and nothing else changes; two bad ones stay.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    PATH=$PATH:/usr/sbin:/sbin
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src/EFI/BOOT src/docs
    seq 1 20000 >src/EFI/BOOT/BOOTX64.EFI
    echo one >src/docs/one.txt
}

# COUNT bytes from OFFSET on become ff, or 00 where they are.
damage() { # FILE OFFSET COUNT
    python3 - "$1" "$2" "$3" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2], 0))
    old = f.read(int(sys.argv[3], 0))
    f.seek(int(sys.argv[2], 0))
    f.write(bytes(0 if b == 255 else 255 for b in old))
PY
}

# Each place by itself is damaged and comes back.
comes_back() { # PRISTINE OFFSET:COUNT...
    local pristine=$1 place
    shift
    cp "$pristine" r.img
    for place in "$@"; do
        damage r.img "${place%:*}" "${place#*:}"
        ! cmp -s r.img "$pristine" || false
        run "$PLAT" repair r.img
        [ "$status" -eq 0 ] || { echo "$place: $output"; return 1; }
        [[ $output == *": rewritten from "* ]]
        cmp r.img "$pristine" || { echo "$place: $output"; return 1; }
    done
}

# It stays as it is, with exit code 1 and these words.
stays() { # FILE WORDS
    cp "$1" before.img
    run "$PLAT" repair "$1"
    [ "$status" -eq 1 ] || { echo "exit $status: $output"; return 1; }
    [[ $output == *"$2"* ]] || { echo "$output"; return 1; }
    [[ $output == *"plat verify"* ]]
    cmp "$1" before.img
}

make_disk() { # FILE
    cat >recipe.json <<'JSON'
{"table": "gpt", "partitions": [
  {"name": "esp", "type": "esp", "size": "34MiB", "format": "fat32", "files": [{"to": "/", "from": "src"}]},
  {"name": "data", "type": "linux-data", "size": "1MiB"}]}
JSON
    "$PLAT" build recipe.json -o "$1" >/dev/null
}

@test "gpt: every part of each copy comes back from the other" {
    make_disk d.img
    size=$(stat -c %s d.img)
    backup=$((size - 512)) entries=$((size - 33 * 512))
    comes_back d.img 512:8 520:4 528:4 536:8 544:8 552:8 560:8 568:16 584:8 592:4 596:4 600:4 604:420 \
        512:512 1024:16 1040:16 1056:8 1064:8 1072:8 1080:72 1152:128 1280:16000 1024:16384 512:16896 \
        $entries:16 $((entries + 56)):72 $((entries + 8000)):1 $entries:16384 $backup:8 $((backup + 12)):4 \
        $((backup + 16)):4 $((backup + 24)):8 $((backup + 72)):8 $((backup + 92)):420 $backup:512 $entries:16896
}

@test "gpt: sectors of 4096 bytes; a store in a partition" {
    cat >recipe.json <<'JSON'
{"table": "gpt", "sector_bytes": 4096, "partitions": [
  {"name": "objects", "type": "linux-data", "size": "1MiB", "format": "caposst1", "files": [{"to": "/", "from": "src"}]}]}
JSON
    "$PLAT" build recipe.json -o d.img >/dev/null
    last=$(($(stat -c %s d.img) - 4096)) store=$((256 * 4096))
    comes_back d.img 4096:92 4188:3908 4096:20480 8192:1 $last:4096 $((last - 16384)):20480 $store:512 $((store + 600)):1
    damage r.img $store 8
    "$PLAT" repair r.img | grep -F 'objects.superblock: rewritten from objects.copy (512 bytes at 0x100000): '
}

@test "gpt: the protective MBR comes back, boot code in front of it stays" {
    make_disk d.img
    damage d.img 0 440
    comes_back d.img 450:1 454:4 510:2
    dd if=/dev/zero of=d.img bs=1 seek=446 count=66 conv=notrunc status=none
    "$PLAT" repair d.img | grep -F 'gpt.protective_mbr: rewritten from gpt.primary'
    "$PLAT" verify d.img
    sgdisk -v d.img | grep -q 'No problems found'
    # Whole records of others are more than damage.
    damage d.img 446 64
    stays d.img "cannot be told"
}

@test "fat32: boot sectors, FATs and FSInfo come back from their copies" {
    "$PLAT" mk fat32 src -o f.img --size 36MiB --label TEST >/dev/null
    fat=$(($("$PLAT" get f.img boot.reserved_sectors) * 512))
    fat2=$((fat + $("$PLAT" get f.img boot.sectors_per_fat) * 512))
    comes_back f.img 0:512 0:3 11:2 13:1 14:2 16:1 17:5 21:1 22:2 32:4 36:4 40:2 44:4 48:2 50:2 52:12 66:1 71:11 510:2 \
        3072:512 3083:20 512:512 512:4 516:480 996:4 1000:2 1020:4 3584:4 4092:4 1532:4 4604:4 \
        $fat:4 $((fat + 4)):4 $((fat + 8)):4 $((fat + 40)):1 $fat:512 $((fat + 512)):512 $fat:$((fat2 - fat)) \
        $fat2:4 $((fat2 + 8)):4 $((fat2 + 60)):2 $fat2:1024 $fat2:$((fat2 - fat)) $((fat2 - 4)):4 0:520
    fsck.fat -n r.img
}

@test "caposst1: either superblock comes back from the other; objects stay" {
    "$PLAT" mk caposst1 src -o s.img --slack 64KiB >/dev/null
    "$PLAT" store put -q s.img src/docs/one.txt src/EFI
    comes_back s.img 0:8 8:8 16:4 96:8 124:1 500:4 504:8 0:512 512:8 1000:24 512:512
    "$PLAT" verify --data r.img
}

@test "a disk: table, boot sector and FAT in one call, with every other byte as it was" {
    make_disk d.img
    esp=1048576
    fat=$((esp + $("$PLAT" get d.img esp.boot.reserved_sectors) * 512))
    last=$(($(stat -c %s d.img) - 512))
    # Somebody's bytes: in the empty partition, and in free space of the FAT.
    printf odd | dd of=d.img bs=1 seek=$((last - 200000)) conv=notrunc status=none
    printf odd | dd of=d.img bs=1 seek=$((esp + 30 * 1048576)) conv=notrunc status=none
    cp d.img r.img
    damage r.img 512 92
    damage r.img $esp 512
    damage r.img $((fat + 512)) 100
    run "$PLAT" repair r.img
    [ "$status" -eq 0 ] || { echo "$output"; false; }
    [[ $output == *"r.img: gpt.primary: rewritten from gpt.backup (92 bytes at 0x200)"* ]]
    [[ $output == *"r.img: esp.boot: rewritten from esp.backup_boot (512 bytes at 0x100000)"* ]]
    [[ $output == *"r.img: esp.fat: rewritten from esp.fat2 (512 bytes at "* ]]
    [[ $output == *"r.img: 3 repaired, 0 errors left"* ]]
    cmp r.img d.img
    sgdisk -v r.img | grep -q 'No problems found'
    # One partition alone: the table stays damaged.
    damage r.img $last 16
    damage r.img $esp 512
    run "$PLAT" repair -p esp r.img
    [ "$status" -eq 0 ]
    [[ $output == *"boot: rewritten from backup_boot"* ]]
    [ "$(cmp -l r.img d.img | wc -l)" -eq 16 ]
    "$PLAT" repair r.img
    cmp r.img d.img
}

@test "both copies bad: said, exit 1, untouched" {
    make_disk d.img
    last=$(($(stat -c %s d.img) - 512))
    cp d.img b.img && damage b.img 512 92 && damage b.img $last 92
    stays b.img "both headers are damaged"
    cp d.img b.img && damage b.img 1100 1 && damage b.img $((last - 100)) 1
    stays b.img "both arrays of entries are damaged"
    "$PLAT" mk fat32 src -o f.img --size 36MiB >/dev/null
    fat=$(($("$PLAT" get f.img boot.reserved_sectors) * 512))
    fat2=$((fat + $("$PLAT" get f.img boot.sectors_per_fat) * 512))
    cp f.img b.img && damage b.img $((fat + 40)) 4 && damage b.img $((fat2 + 80)) 4
    stays b.img "there is no good copy"
    cp f.img b.img && damage b.img 13 1 && damage b.img 3085 1
    stays b.img "not repaired"
    "$PLAT" mk caposst1 src -o s.img >/dev/null
    cp s.img b.img && damage b.img 40 1 && damage b.img 600 1
    stays b.img "and so is its copy"
    # A name in one of them, or the state of a volume in use: no damage that could be told.
    cp f.img b.img && damage b.img 3 4
    stays b.img "either could be right"
    cp f.img b.img && printf '\001' | dd of=b.img bs=1 seek=65 conv=notrunc status=none
    stays b.img "was not unmounted"
}

@test "an old count in the backup FSInfo is not taken for the truth" {
    "$PLAT" mk fat32 src -o f.img --size 36MiB >/dev/null
    count=$("$PLAT" get f.img fsinfo.free_clusters)
    # As behind a system that wrote a file and its count into the first one alone.
    python3 -c 'import struct,sys; f=open("f.img","r+b"); f.seek(7*512+488); f.write(struct.pack("<I", int(sys.argv[1])+5))' "$count"
    cp f.img b.img
    run "$PLAT" repair b.img
    [ "$status" -eq 0 ]
    cmp b.img f.img
    damage b.img 512 4
    "$PLAT" repair b.img
    cmp b.img f.img
    damage b.img 1000 2
    stays b.img "another one"
}

@test "nothing to do: not a byte, not a time changes" {
    make_disk d.img
    touch -d @1000000000 d.img
    before=$(stat -c '%s %Y %b' d.img)
    run "$PLAT" repair d.img
    [ "$status" -eq 0 ]
    [ "$output" = "d.img: nothing to repair" ]
    [ "$(stat -c '%s %Y %b' d.img)" = "$before" ]
}

@test "a dry run says the same, writes nothing and exits 1" {
    make_disk d.img
    damage d.img 512 92
    damage d.img 1048576 100
    cp d.img r.img
    touch -d @1000000000 d.img
    before=$(stat -c '%s %Y' d.img)
    run "$PLAT" repair --dry-run d.img
    [ "$status" -eq 1 ]
    [[ $output == *"gpt.primary: would be rewritten from gpt.backup (92 bytes at 0x200)"* ]]
    [[ $output == *"d.img: 2 to be repaired, 0 errors left"* ]]
    cmp d.img r.img
    [ "$(stat -c '%s %Y' d.img)" = "$before" ]
    would=$(echo "$output" | sed -n 's/would be //p' | sed 's/^d/r/')
    [ "$("$PLAT" repair r.img | grep rewritten)" = "$would" ]
}

@test "a format without copies says so; what is not recognised is an error" {
    "$PLAT" mk caposro1 src -o ro.img >/dev/null
    [ "$("$PLAT" repair ro.img)" = "ro.img: nothing to repair" ]
    damage ro.img 40 1
    stays ro.img "caposro1 keeps no second copy of anything: there is nothing to repair from"
    head -c 4096 /dev/zero >zero.img
    run "$PLAT" repair zero.img
    [ "$status" -eq 2 ]
    [[ $output == *"no known format"* ]]
    run "$PLAT" repair nowhere.img
    [ "$status" -eq 2 ]
}

@test "another writer, or a file that may not be written: refused, with a word of what to do" {
    make_disk d.img
    damage d.img 512 92
    cp d.img before.img
    run flock -x d.img "$PLAT" repair d.img
    [ "$status" -eq 2 ]
    [[ $output == *"another program has it open for writing"* ]]
    flock -x d.img "$PLAT" repair -n d.img | grep -q 'would be rewritten'
    cmp d.img before.img
    open=$(mktemp -d /tmp/plat-repair-XXXXXX)
    cp d.img "$open"
    cp "$PLAT" "$open/plat"
    chmod 755 "$open" "$open/plat"
    chmod 444 "$open/d.img"
    as=()
    [ "$(id -u)" -ne 0 ] || as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    run "${as[@]}" "$open/plat" repair "$open/d.img"
    rm -rf "$open"
    [ "$status" -eq 2 ]
    [[ $output == *"--dry-run only looks"*"Permission denied"* ]]
}

@test "json: what was rewritten, from what, why; what could not be" {
    make_disk d.img
    damage d.img 528 4
    damage d.img 1048579 4
    run "$PLAT" repair --json d.img
    [ "$status" -eq 1 ]
    echo "$output" | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert set(d) == {"image", "dry_run", "repairs", "refused", "totals"}, d
assert d["image"] == "d.img" and d["dry_run"] is False
(r,) = d["repairs"]
assert r["path"] == "gpt.primary" and r["source"] == "gpt.backup" and r["offset"] == 512, r
assert r["bytes"] == r["written_bytes"] == 92 and r["source_offset"] > 512 and r["finding"] and r["why"], r
(n,) = d["refused"]
assert n["path"] == "esp.backup_boot" and n["offset"] == 1048576 + 6 * 512 and "either" in n["text"], n
assert d["totals"]["repaired"] == 1 and d["totals"]["refused"] == 1 and d["totals"]["errors_left"] >= 1'
    run bash -c "\"$PLAT\" repair --json src/docs/one.txt 2>/dev/null"
    [ "$status" -eq 2 ]
    echo "$output" | python3 -c 'import json, sys; d = json.load(sys.stdin); assert d["error"] and d["repairs"] == []'
}

@test "disks and volumes that strangers made, and what strangers say of the result" {
    truncate -s 40M g.img
    sgdisk -o -n 1:2048:+34M -t 1:ef00 -c 1:esp -n 2:0:0 -t 2:8300 g.img >/dev/null
    last=$(($(stat -c %s g.img) - 512))
    comes_back g.img 512:92 1024:16384 512:16896 $last:92 $((last - 16384)):16896 $((last - 16384)):1
    sgdisk -v r.img | grep -q 'No problems found'
    truncate -s 40M l.img
    printf 'label: gpt\nsize=34M, type=uefi, name=esp\ntype=linux\n' | sfdisk -q l.img
    comes_back l.img 512:92 1024:200 1024:16384 $last:92 $((last - 16384)):16896
    dd if=/dev/zero of=r.img bs=512 seek=1 count=33 conv=notrunc status=none
    "$PLAT" repair r.img
    cmp r.img l.img
    sfdisk --verify r.img
    # The usable area begins far behind, as sfdisk has it: what is neither entries nor zero may be a boot loader.
    damage r.img 512 16896
    stays r.img "something else may lie there"
    truncate -s 40M m.img
    mkfs.fat -F 32 -n STRANGE m.img >/dev/null
    mcopy -s -i m.img src/EFI src/docs ::
    fat=$(($("$PLAT" get m.img boot.reserved_sectors) * 512))
    fat2=$((fat + $("$PLAT" get m.img boot.sectors_per_fat) * 512))
    comes_back m.img 0:90 11:2 3072:90 512:4 $fat:512 $((fat + 12)):4 $fat2:4 $((fat2 + 12)):400 $fat:$((fat2 - fat))
    fsck.fat -n r.img
    mcopy -n -i r.img ::EFI/BOOT/BOOTX64.EFI out
    cmp out src/EFI/BOOT/BOOTX64.EFI
}
