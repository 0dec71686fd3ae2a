#!/usr/bin/env bats
# plat set, plat seal: a field changes, what is derived from it follows, the result is judged, and a cut leaves the old
# bytes, the new ones, or an undo file.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    PATH=$PATH:/usr/sbin:/sbin
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src/EFI/BOOT src/docs
    seq 1 20000 >src/EFI/BOOT/BOOTX64.EFI
    echo one >src/docs/one.txt
    for i in $(seq 1 60); do echo "$i" >"src/docs/$i"; done
}

make_disk() { # FILE
    cat >recipe.json <<'JSON'
{"table": "gpt", "partitions": [
  {"name": "esp", "type": "esp", "size": "34MiB", "format": "fat32", "files": [{"to": "/", "from": "src"}]},
  {"name": "data", "type": "linux-data", "size": "1MiB", "format": "caposwf1", "files": [{"to": "/", "from": "src/docs"}]},
  {"name": "ro", "type": "linux-data", "size": "1MiB", "format": "caposro1", "files": [{"to": "/", "from": "src/docs"}]}]}
JSON
    "$PLAT" build recipe.json -o "$1" >/dev/null
}

# The field holds this afterwards, and everything fits.
sets() { # IMAGE PATH VALUE SHOWN
    run "$PLAT" set -q "$1" "$2=$3"
    [ "$status" -eq 0 ] || { echo "$2=$3: $output"; return 1; }
    [ "$("$PLAT" get "$1" "$2")" = "$4" ] || { echo "$2: $("$PLAT" get "$1" "$2")"; return 1; }
    "$PLAT" verify --data "$1" >verify.txt || { echo "$2"; cat verify.txt; return 1; }
    [ ! -e "$1.plat-undo" ]
}

# Exit code, words, and not a byte changed.
refuses() { # IMAGE CODE WORDS ARGUMENT...
    local image=$1 code=$2 words=$3
    shift 3
    cp "$image" before.img
    run "$PLAT" set "$image" "$@"
    [ "$status" -eq "$code" ] || { echo "exit $status: $output"; return 1; }
    [[ $output == *"$words"* ]] || { echo "$output"; return 1; }
    cmp "$image" before.img
    [ ! -e "$image.plat-undo" ]
}

@test "set: values of each kind, in each layer; checksums, copies and the checksum tree follow" {
    make_disk d.img
    sets d.img gpt.primary.disk_guid 5f2a3c1e-0b5d-4c6e-9a37-1d2e3f405162 5f2a3c1e-0b5d-4c6e-9a37-1d2e3f405162
    [ "$("$PLAT" get d.img gpt.backup.disk_guid)" = 5f2a3c1e-0b5d-4c6e-9a37-1d2e3f405162 ]
    sets d.img 'gpt.entries[1].name' 'дом😀' 'дом😀'
    sets d.img p2.superblock.label hello hello
    sets d.img 'gpt.entries[1].name' data data
    sets d.img 'gpt.entries[1].type_guid' linux_home '933ac7e1-2eb4-4f13-b844-0e14e2aef915 (linux_home)'
    sets d.img 'gpt.entries[1].attributes.read_only' 1 1
    sgdisk -v d.img | grep -q 'No problems found'
    sets d.img esp.boot.volume_id 0x1234abcd 0x1234abcd
    [ "$("$PLAT" get d.img esp.backup_boot.volume_id)" = 0x1234abcd ]
    sets d.img esp.boot.media 0xf0 0xf0
    sets d.img 'esp.dir["/docs"][2].write_date' 2026-11-21 '0x5d75 (2026-11-21)'
    sets d.img 'esp.dir["/docs"][2].attributes' 'archive|hidden' '0x22 (hidden|archive)'
    sets d.img 'esp.dir["/docs"][2].write_time' 10:20:30 '0x528f (10:20:30)'
    sets d.img 'data.nodes[5].head.mode' 0600 0600
    sets d.img 'ro.nodes[3].mode' 0600 0600
    dd if=d.img of=esp.img bs=1M skip=1 count=34 status=none
    fsck.fat -n esp.img
    # In a single partition, and several at once.
    run "$PLAT" set -p data d.img superblock.label=x 'nodes[6].head.uid=7' 'nodes[6].head.gid=8'
    [ "$status" -eq 0 ]
    [[ $output == *"superblock.label: 'hello' -> 'x'"* && $output == *"(derived)"* && $output == *"(follows)"* ]]
    "$PLAT" verify --data d.img
}

@test "set --dry-run shows every field that changes, old and new, and writes nothing" {
    make_disk d.img
    cp d.img before.img
    "$PLAT" set --dry-run d.img 'gpt.entries[0].name=boot' | sed 's/0x[0-9a-f]*/X/g' >shown
    cat >expected <<'TEXT'
gpt.entries[0].name: 'esp' -> 'boot'
gpt.primary.header_crc32: X -> X  (derived)
gpt.primary.entries_crc32: X -> X  (derived)
gpt.backup_entries[0].name: 'esp' -> 'boot'  (copy)
gpt.backup.header_crc32: X -> X  (derived)
gpt.backup.entries_crc32: X -> X  (derived)
TEXT
    diff expected shown
    cmp d.img before.img
    "$PLAT" set -n --json d.img esp.boot.volume_id=1 | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["dry_run"] and not d["written"] and not d["findings"]
assert [(c["path"], c["new"], c["why"]) for c in d["changes"]] == [
    ("esp.boot.volume_id", 1, "set"), ("esp.backup_boot.volume_id", 1, "copy")], d'
    run "$PLAT" set d.img gpt.entries[0].name=esp
    [ "$status" -eq 0 ]
    [[ $output == *"nothing to change"* ]]
    cmp d.img before.img
}

@test "set refuses what does not fit, what is derived, and what verify would refuse" {
    make_disk d.img
    refuses d.img 2 "does not fit 'bytes_per_sector' (16 bits)" esp.boot.bytes_per_sector=70000
    refuses d.img 2 "is no flag of attributes; there are: read_only" 'esp.dir["/docs"][2].attributes=archiv'
    refuses d.img 2 "not a GUID such as" gpt.primary.disk_guid=zz
    refuses d.img 2 "pairs of hexadecimal digits" mbr.sector.boot_code=0g
    refuses d.img 2 "text of 12 bytes does not fit" esp.boot.volume_label=ABCDEFGHIJKL
    refuses d.img 2 "takes 8 bytes, not 3" gpt.primary.signature=EFI
    refuses d.img 2 "this field is derived: crc32(bytes(parent, 0, header_bytes), zero: self)" gpt.primary.header_crc32=1
    refuses d.img 2 "backup.disk_guid follows from bytes(primary.disk_guid)" \
        gpt.backup.disk_guid=5f2a3c1e-0b5d-4c6e-9a37-1d2e3f405162
    refuses d.img 2 "backup_entries is a copy of entries" 'gpt.backup_entries[0].name=x'
    refuses d.img 2 "name one element" 'mbr.sector.partitions=1'
    refuses d.img 2 "name a field of it" gpt.primary=1
    refuses d.img 2 "no 'disk_gui' in gpt.primary; nearest: disk_guid" gpt.primary.disk_gui=1
    refuses d.img 2 "expected PATH=VALUE" gpt.primary.disk_guid
    refuses d.img 1 "sectors per cluster; a power of two" esp.boot.sectors_per_cluster=3
    refuses d.img 1 "would no longer be recognised" 'gpt.entries[0].first_lba=2056'
    refuses d.img 1 "value is fixed by the format" gpt.primary.revision=7
    refuses d.img 1 "verify would find" 'data.nodes[5].extents[0].first_block=300'
    # Nothing of several is written when the last one is refused.
    refuses d.img 1 "" esp.boot.volume_id=5 esp.boot.heads=0
    # What was asked for is done with --force, and its checksum fits.
    "$PLAT" set --force -q d.img gpt.primary.reserved=9 esp.boot.heads=0 2>force.txt
    grep -q 'number of heads is 0' force.txt
    [ "$("$PLAT" get d.img esp.boot.heads)" = 0 ]
    run "$PLAT" verify d.img
    [ "$status" -eq 1 ]
    [[ $output != *crc32* ]]
}

@test "set: what was wrong before and has nothing to do with the edit stays wrong, and is no obstacle" {
    make_disk d.img
    # A node is damaged: its block's checksum must not become right because another node is edited.
    "$PLAT" set -q --no-seal d.img 'ro.nodes[9].uid=77'
    run "$PLAT" verify d.img
    [ "$status" -eq 1 ]
    "$PLAT" set -q d.img 'ro.nodes[3].mode=0600' esp.boot.volume_id=3
    run "$PLAT" verify d.img
    [ "$status" -eq 1 ]
    [[ $output == *'ro.nodes[9].crc32c'* && $output == *"1 error"* ]]
    "$PLAT" seal -q d.img ro.superblock
    run "$PLAT" verify d.img
    [ "$status" -eq 1 ]
    "$PLAT" seal d.img 'ro.nodes[9]' >seal.txt
    [[ $(cat seal.txt) == 'ro.nodes[9].crc32c: '*'(derived)' ]]
    "$PLAT" verify --data d.img
}

@test "set --no-seal leaves stale on purpose, seal brings all back" {
    make_disk d.img
    cp d.img pristine.img
    "$PLAT" set -q --no-seal d.img gpt.primary.header_crc32=0 gpt.backup.my_lba=5 'gpt.backup_entries[0].name=x' \
        esp.backup_boot.volume_id=7 'data.copy.label=zz' ro.superblock.crc32c=1
    run "$PLAT" verify d.img
    [ "$status" -eq 1 ]
    run "$PLAT" seal -n d.img
    [ "$status" -eq 0 ]
    [[ $output == *"gpt.backup_entries[0].name: 'x' -> 'esp'  (copy)"* ]]
    "$PLAT" seal -q d.img
    cmp d.img pristine.img
    run "$PLAT" seal d.img
    [ "$status" -eq 0 ]
    [[ $output == *"nothing to change"* ]]
    cmp d.img pristine.img
}

@test "set -o writes a new image, whole or not at all, and leaves the old one" {
    make_disk d.img
    cp d.img before.img
    "$PLAT" set -q d.img esp.boot.volume_id=5 -o new.img
    cmp d.img before.img
    "$PLAT" set -q d.img esp.boot.volume_id=5
    cmp d.img new.img
    "$PLAT" set -q before.img esp.boot.volume_id=5 -o - | cmp - new.img
    [ "$(stat -c %b new.img)" -le "$(($(stat -c %b d.img) + 64))" ]
    run "$PLAT" set -q before.img esp.boot.heads=0 -o no.img
    [ "$status" -eq 1 ]
    [ ! -e no.img ]
}

@test "set: fields in compressed squashfs streams are refused, those of the superblock are not" {
    "$PLAT" mk squashfs src/docs -o s.img
    refuses s.img 2 'lies in the compressed stream "inodes"' 'inodes[2].head.mode=0600'
    sets s.img superblock.made 2026-11-21T10:00:00Z "1795255200 (2026-11-21 10:00:00)"
}

@test "set: SIGKILL at any call leaves the old image, the new one, or an undo file that restores the old one" {
    cc -shared -fPIC -o kill_at.so "$root/tests/cli/kill_at.c" -ldl
    make_disk d.img
    cp d.img old.img
    local edit=(gpt.primary.disk_guid=5f2a3c1e-0b5d-4c6e-9a37-1d2e3f405162 'gpt.entries[0].name=x' esp.boot.volume_id=7)
    KILL_COUNT=count LD_PRELOAD=$PWD/kill_at.so "$PLAT" set -q d.img "${edit[@]}"
    mv d.img new.img
    calls=$(cat count)
    [ "$calls" -ge 10 ]
    local olds=0 news=0 undone=0
    for torn in '' 1; do
        for ((at = 1; at <= calls; at++)); do
            cp old.img d.img
            run env ${torn:+KILL_TORN=1} KILL_AT=$at LD_PRELOAD="$PWD/kill_at.so" "$PLAT" set -q d.img "${edit[@]}"
            [ "$status" -eq 137 ] || { echo "call $at: exit $status: $output"; return 1; }
            if [ -e d.img.plat-undo ]; then
                run "$PLAT" set d.img esp.boot.volume_id=9
                [ "$status" -eq 2 ]
                [[ $output == *"an earlier change was cut off"* && $output == *"plat set --undo d.img"* ]]
                "$PLAT" set --undo d.img
                cmp d.img old.img
                [ ! -e d.img.plat-undo ]
                undone=$((undone + 1))
            elif cmp -s d.img old.img; then
                olds=$((olds + 1))
            else
                cmp d.img new.img
                news=$((news + 1))
            fi
            [ "$(find . -name 'd.img*' | wc -l)" -eq 1 ]
        done
    done
    echo "$olds old, $news new, $undone undone"
    [ "$olds" -gt 0 ] && [ "$undone" -gt 3 ]
    # The undoing can be cut off, too.
    cp old.img d.img
    run env KILL_AT=$((calls - 2)) LD_PRELOAD="$PWD/kill_at.so" "$PLAT" set -q d.img "${edit[@]}"
    [ -e d.img.plat-undo ]
    for at in 1 2 3 4; do
        run env KILL_AT=$at LD_PRELOAD="$PWD/kill_at.so" "$PLAT" set --undo d.img
        [ "$status" -eq 137 ]
        [ -e d.img.plat-undo ]
    done
    "$PLAT" set --undo d.img
    cmp d.img old.img
}

@test "set --undo refuses a file that is not whole, of another image, or overtaken by a later change" {
    cc -shared -fPIC -o kill_at.so "$root/tests/cli/kill_at.c" -ldl
    make_disk d.img
    run "$PLAT" set --undo d.img
    [ "$status" -eq 2 ]
    [[ $output == *"nothing to undo"* ]]
    KILL_COUNT=count LD_PRELOAD=$PWD/kill_at.so "$PLAT" set -q d.img esp.boot.volume_id=7
    run env KILL_AT=$(($(cat count) - 2)) LD_PRELOAD="$PWD/kill_at.so" "$PLAT" set -q d.img esp.boot.volume_id=8
    cp d.img.plat-undo undo
    cp d.img half.img
    head -n -1 undo >d.img.plat-undo
    run "$PLAT" set --undo d.img
    [ "$status" -eq 2 ]
    [[ $output == *"not a whole undo file"* ]]
    sed '3s/0x/0x1/' undo >d.img.plat-undo
    run "$PLAT" set --undo d.img
    [ "$status" -eq 2 ]
    cp undo d.img.plat-undo
    truncate -s +1M d.img
    run "$PLAT" set --undo d.img
    [ "$status" -eq 2 ]
    [[ $output == *"and this one has"* ]]
    cp half.img d.img
    printf '\xee\xee\xee\xee' | dd of=d.img bs=1 seek=$((1048576 + 67)) conv=notrunc status=none
    cp d.img changed.img
    run "$PLAT" set --undo d.img
    [ "$status" -eq 2 ]
    [[ $output == *"changed since"* ]]
    cmp d.img changed.img
}
