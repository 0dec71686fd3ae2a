#!/usr/bin/env bats
# caposro1 from the outside: made from directories, archives, pipes and recipes; looked at; taken apart again.

setup() {
    source "$BATS_TEST_DIRNAME/source_tree.bash"
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    make_source 100000
}

@test "a directory comes out as it went in" {
    "$PLAT" mk caposro1 src -o ro.img
    "$PLAT" verify --data --strict ro.img
    (umask 022 && "$PLAT" extract ro.img -C out)
    diff <(tree_of src | sed 1d) <(tree_of out | sed 1d)
    [ "$("$PLAT" cat ro.img '/a name/two')" = two ]
    "$PLAT" cat ro.img /dir/big | cmp - src/dir/big
    [ "$("$PLAT" get ro.img superblock.version)" = 1 ]
}

@test "no time is shown where there is none, and the right one in version 2" {
    touch -d '2001-02-03 04:05:06 UTC' src/one.txt
    "$PLAT" mk caposro1 src -o v1.img
    "$PLAT" ls -l v1.img | grep -Eq -- '^-rw------- +4  -  +one.txt'
    run "$PLAT" ls -l v1.img
    [[ "$output" != *1970* ]]
    "$PLAT" mk caposro1 src -o v2.img -O times=untrusted
    "$PLAT" ls -l v2.img | grep -q '2001-02-03 04:05:06  *one.txt'
    "$PLAT" verify --data v2.img
    "$PLAT" extract v2.img -C out
    [ "$(stat -c %Y out/one.txt)" = "$(stat -c %Y src/one.txt)" ]
}

@test "archives, standard input and pipes give the same bytes" {
    tar -C src -cf src.tar .
    "$PLAT" mk caposro1 src -o a.img
    "$PLAT" mk caposro1 src.tar -o b.img
    cmp a.img b.img
    "$PLAT" mk caposro1 - -o - <src.tar 2>/dev/null | cmp - a.img
}

@test "the same bytes whatever the times, the order and the user's owner are" {
    "$PLAT" mk caposro1 src -o a.img
    cp -r --preserve=mode src two && find two -exec touch -h -d @1 {} +
    (umask 077 && "$PLAT" mk caposro1 two -o b.img)
    cmp a.img b.img
}

@test "devices, pipes and owners through an archive" {
    "$PLAT" mk tar src -o nodes.tar -O node=dev/null:c:1:3:0666,run/pipe:p:0600
    "$PLAT" mk caposro1 nodes.tar -o ro.img
    "$PLAT" verify --data ro.img
    "$PLAT" ls -lR ro.img | grep -q '^crw-rw-rw- .* dev/null'
    "$PLAT" ls -lR ro.img | grep -q '^prw------- .* run/pipe'
    "$PLAT" dump ro.img | grep -q 'device_minor  *3'
}

@test "a partition of a disk, by recipe" {
    cat >recipe.json <<'J'
{ "table": "gpt", "seed": "x", "partitions": [
  { "name": "root", "type": "linux-data", "format": "caposro1", "label": "ROOT", "slack": "64KiB",
    "options": { "times": "ntp-synced" }, "files": [ { "to": "/", "from": "src" } ] } ] }
J
    "$PLAT" build recipe.json -o disk.img
    "$PLAT" verify --data disk.img
    "$PLAT" extract -p root disk.img -C out
    diff -r --no-dereference src out
    [ "$("$PLAT" get disk.img root.superblock.label)" = ROOT ]
}

@test "damage: named, exit 1, and what is read from it fails" {
    "$PLAT" mk caposro1 src -o ro.img
    at=$(grep -abo one ro.img | head -n 1 | cut -d: -f1)
    printf X | dd of=ro.img bs=1 seek="$at" conv=notrunc status=none
    "$PLAT" verify ro.img # contents are not looked at
    run "$PLAT" verify --data ro.img
    [ "$status" -eq 1 ]
    [[ "$output" == *"content_crc32c at 0x"*"does not match its checksum"* ]]
    run "$PLAT" extract ro.img -C out
    [ "$status" -eq 1 ]
    [ ! -e out/one.txt ] && cmp src/dir/big out/dir/big
}

@test "a cut image and one with more behind it" {
    "$PLAT" mk caposro1 src -o ro.img
    cp ro.img cut.img && truncate -s -512 cut.img
    run "$PLAT" verify cut.img
    [ "$status" -eq 1 ]
    [[ "$output" == *"cut short"* ]]
    cp ro.img more.img && truncate -s +4096 more.img
    "$PLAT" verify --data more.img
    printf X >>more.img
    run "$PLAT" verify --data more.img
    [ "$status" -eq 1 ]
}

@test "a newer version is refused by name" {
    "$PLAT" mk caposro1 src -o ro.img
    python3 - <<'P'
b = bytearray(open('ro.img', 'rb').read())
b[8] = 3
b[508:512] = bytes(4)
crc = 0xffffffff
for byte in b[:512]:
    crc ^= byte
    for _ in range(8):
        crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
b[508:512] = (crc ^ 0xffffffff).to_bytes(4, 'little')
open('new.img', 'wb').write(b)
P
    run "$PLAT" verify new.img
    [ "$status" -ne 0 ]
    [[ "$output" == *"version 3"*"versions 1 to 2"* ]]
}
