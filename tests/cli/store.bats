#!/usr/bin/env bats
# plat store: objects into and out of a store, one writer at a time; the bytes of version 1.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src/dir empty
    echo one >src/one.txt
    echo two >src/dir/two.txt
    cp src/one.txt src/dir/again.txt
    : >src/nothing
}

hash_of() { sha256sum "$1" | cut -d' ' -f1; }

@test "mk: each file an object, equal files one, verified to the last byte" {
    "$PLAT" mk caposst1 src -o s.img --slack 4KiB
    [ "$("$PLAT" store ls s.img)" = "$(find src -type f -exec sha256sum {} + | cut -d' ' -f1 | sort -u)" ]
    "$PLAT" store has s.img "$(hash_of src/one.txt)" "$(hash_of src/nothing)"
    "$PLAT" verify --data s.img
    "$PLAT" cat s.img "/$(hash_of src/dir/two.txt)" | cmp - src/dir/two.txt
    "$PLAT" extract s.img -C out
    (cd out && for f in *; do [ "$(sha256sum <"$f" | cut -d' ' -f1)" = "$f" ]; done)
    "$PLAT" mk caposst1 src -o - 2>/dev/null | cmp - <("$PLAT" mk caposst1 src -o t.img >/dev/null && cat t.img)
}

@test "put, get, has, delete, ls, compact" {
    "$PLAT" mk caposst1 empty -o s.img --size 64KiB
    "$PLAT" store put s.img src/one.txt src/dir >put
    [ "$(head -n 1 put)" = "$(hash_of src/one.txt)  src/one.txt" ]
    [ "$(wc -l <put)" -eq 3 ]
    [ "$(echo hello | "$PLAT" store put s.img)" = "$(echo hello | sha256sum)" ]
    printf 'src/nothing\n' | "$PLAT" store put -q -T - s.img
    [ "$("$PLAT" store ls s.img | wc -l)" -eq 4 ]
    one=$(hash_of src/one.txt)
    "$PLAT" store get s.img "$one" | cmp - src/one.txt
    "$PLAT" store delete s.img "$one"
    run "$PLAT" store has s.img "$one"
    [ "$status" -eq 1 ]
    run "$PLAT" store delete s.img "$one"
    [ "$status" -eq 1 ]
    run "$PLAT" store get s.img "$one"
    [ "$status" -eq 2 ]
    "$PLAT" verify --data s.img
    "$PLAT" store compact s.img | grep -q '2 entries and 512 B given back'
    [ "$("$PLAT" store ls s.img | wc -l)" -eq 3 ]
    "$PLAT" verify --data s.img
    "$PLAT" store ls --json s.img | python3 -c 'import json,sys; d=json.load(sys.stdin); assert len(d["objects"]) == 3 and d["deleted"] == 0'
}

@test "a put that has no room compacts by itself, and a full store is left as it was" {
    "$PLAT" mk caposst1 empty -o s.img --size 16KiB -O entries=8
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        h=$(echo "$i" | "$PLAT" store put s.img | cut -d' ' -f1)
        "$PLAT" store delete s.img "$h"
    done
    "$PLAT" verify --data s.img
    head -c 8000 /dev/zero >big
    cp s.img before.img
    run "$PLAT" store put s.img src/one.txt big
    [ "$status" -eq 2 ]
    [[ $output == *"the store is full"* ]]
    [ -z "$("$PLAT" store ls s.img)" ]
    "$PLAT" verify --data s.img
}

@test "all of a put or nothing" {
    "$PLAT" mk caposst1 empty -o s.img --size 64KiB
    cp s.img before.img
    run "$PLAT" store put s.img src/one.txt nowhere
    [ "$status" -eq 2 ]
    [[ $output == *nowhere* ]]
    cmp s.img before.img
}

@test "one writer: a second one is refused, nothing is harmed, readers go on" {
    "$PLAT" mk caposst1 src -o s.img --slack 64KiB
    mkfifo hold
    "$PLAT" store put s.img - <hold >first &
    pid=$!
    exec 7>hold
    # Until the first has its lock: a second one that came too early would keep the first from it.
    inode=$(stat -c %i s.img)
    for _ in $(seq 500); do
        if grep -q ":$inode " /proc/locks; then break; fi
        sleep 0.02
    done
    run "$PLAT" store put s.img src/dir
    [ "$status" -eq 2 ]
    [[ $output == *"open for writing"* ]]
    "$PLAT" store ls s.img >/dev/null
    echo held >&7
    exec 7>&-
    wait "$pid"
    "$PLAT" store has s.img "$(cut -d' ' -f1 first)"
    "$PLAT" verify --data s.img
}

@test "times: version 2 alone, unknown is not 1970" {
    "$PLAT" mk caposst1 empty -o v1.img --size 64KiB
    run "$PLAT" store put --created 1700000000 v1.img src/one.txt
    [ "$status" -eq 2 ]
    [[ $output == *"version 2"* ]]
    "$PLAT" mk caposst1 empty -o v2.img --size 64KiB -O version=2
    "$PLAT" store put -q --created 1700000000 --clock ntp-synced v2.img src/one.txt
    "$PLAT" store put -q v2.img src/dir/two.txt
    "$PLAT" store ls -l v2.img | grep "$(hash_of src/one.txt)" | grep -q '2023-11-14 22:13:20  ntp-synced'
    "$PLAT" store ls -l v2.img | grep "$(hash_of src/dir/two.txt)" | grep -qE ' -  +unknown'
    "$PLAT" verify --data v2.img
}

@test "a store of a newer version is refused by name" {
    "$PLAT" mk caposst1 src -o s.img
    python3 "$root/tests/crash/restamp.py" s.img 3
    run "$PLAT" store ls s.img
    [ "$status" -eq 2 ]
    [[ $output == *"version 3"* ]]
}

@test "beside somebody else: the hole and what lies behind the region stay as they are" {
    "$PLAT" mk caposst1 src -o s.img --size 512KiB -O hole-first-block=256 -O hole-blocks=512 -O region-blocks=900
    for at in 256 900; do head -c $((512 * 4)) /dev/urandom | dd of=s.img bs=512 seek=$at conv=notrunc status=none; done
    dd if=s.img bs=512 skip=256 count=512 status=none >hole.before
    "$PLAT" store put -q s.img "$root/README.md" "$root/ARCHITECTURE.md"
    "$PLAT" store delete s.img "$(hash_of "$root/README.md")"
    "$PLAT" store compact s.img
    "$PLAT" verify --data s.img
    dd if=s.img bs=512 skip=256 count=512 status=none | cmp - hole.before
}

@test "both areas behind the hole: what lies before it is zero, and looked at" {
    "$PLAT" mk caposst1 src -o s.img --size 512KiB -O hole-first-block=256 -O hole-blocks=2 -O behind-hole=true
    "$PLAT" get s.img superblock.front_first_block | grep -q 258
    "$PLAT" store put -q s.img "$root/README.md"
    "$PLAT" store delete s.img "$(hash_of "$root/README.md")"
    "$PLAT" store compact s.img
    "$PLAT" verify --data s.img
    for at in $((2 * 512)) $((256 * 512 - 1)); do
        cp s.img bad.img
        printf x | dd of=bad.img bs=1 seek=$at conv=notrunc status=none
        run "$PLAT" verify --data bad.img
        [ "$status" -eq 1 ]
        [[ $output == *"bytes that nothing uses are not zero here"* ]]
    done
}

@test "a recipe puts a store on a disk, and plat store finds it there" {
    cat >r.json <<'JSON'
{"table": "gpt", "partitions": [
  {"name": "data", "type": "linux-data", "format": "caposst1", "size": "1MiB", "files": [{"from": "src"}]}]}
JSON
    "$PLAT" build r.json -o disk.img
    "$PLAT" store put -q disk.img "$root/README.md"
    "$PLAT" store has -p data disk.img "$(hash_of "$root/README.md")" "$(hash_of src/one.txt)"
    "$PLAT" verify --data disk.img
}

@test "the bytes of versions 1 and 2 are those of the golden dumps" {
    SOURCE_DATE_EPOCH=1700000000 "$PLAT" mk caposst1 src -o v1.img --slack 2KiB
    diff -u "$root/tests/golden/caposst1-v1.txt" <("$PLAT" dump v1.img)
    "$PLAT" mk caposst1 empty -o v2.img --size 32KiB -O version=2
    "$PLAT" store put -q --created 1700000000 v2.img src/one.txt
    "$PLAT" store put -q v2.img src/dir/two.txt
    "$PLAT" store delete v2.img "$(hash_of src/one.txt)"
    diff -u "$root/tests/golden/caposst1-v2.txt" <("$PLAT" dump v2.img)
    (cd "$root/tests/golden" && cat caposst1.sha256) >want
    sha256sum v1.img v2.img | diff -u want -
}

@test "what is typed wrongly is said" {
    "$PLAT" mk caposst1 empty -o s.img
    run "$PLAT" store frob s.img
    [ "$status" -eq 2 ]
    run "$PLAT" store get s.img 123
    [ "$status" -eq 2 ]
    [[ $output == *"64 hexadecimal digits"* ]]
    run "$PLAT" store ls src/one.txt
    [ "$status" -eq 2 ]
    run "$PLAT" mk caposst1 src -o t.img -O colour=red
    [[ $output == *"no option 'colour'"* ]]
    run "$PLAT" mk caposst1 src -o t.img -O entries=1
    [ "$status" -eq 0 ] || [[ $output == *entries* ]]
    ln -s one.txt src/link
    run "$PLAT" mk caposst1 src -o t.img
    [[ $output == *"link"*"not a regular file"* ]]
}
