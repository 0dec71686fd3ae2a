#!/usr/bin/env bats
# plat set of every scalar (set_every.py): clean for verify and for the strangers, or refused with a reason.
# SET_LIMIT fields of each image, spread over all structures; 0: all of them.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    PATH=$PATH:/usr/sbin:/sbin
    limit=${SET_LIMIT:-120}
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src/sub
    seq 1 3000 >src/sub/numbers
    for i in $(seq 1 20); do echo "$i" >"src/a file with a long name $i"; done
}

every() { # IMAGE [OPTION]...
    run python3 "$root/tests/oracle/set_every.py" "$PLAT" "$1" --limit "$limit" "${@:2}"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "gpt and the protective mbr: sgdisk finds no problem" {
    command -v sgdisk >/dev/null && command -v sfdisk >/dev/null || skip "sgdisk and sfdisk are not installed"
    truncate -s 8M d.img
    printf 'label: gpt\nstart=2048,size=2048,type=U,name=esp\nstart=4096,size=4096,name=data\n' | sfdisk -q d.img
    every d.img --check 'sgdisk -v {} | grep -q "No problems found"'
}

@test "fat32: fsck.fat finds no fault" {
    command -v fsck.fat >/dev/null || skip "fsck.fat is not installed"
    "$PLAT" mk fat32 src -o f.img --size 34MiB >/dev/null
    every f.img --check 'fsck.fat -n {}'
}

@test "fat32 by mkfs.fat and mcopy: fsck.fat finds no fault" {
    command -v mkfs.fat >/dev/null && command -v mcopy >/dev/null || skip "mkfs.fat and mcopy are not installed"
    truncate -s 34M f.img
    mkfs.fat -F 32 -s 1 -n STRANGER f.img >/dev/null
    mcopy -i f.img -s src/* ::/
    every f.img --check 'fsck.fat -n {}'
}

@test "mbr" {
    command -v sfdisk >/dev/null || skip "sfdisk is not installed"
    truncate -s 8M m.img
    printf 'label: dos\n2048,2048,c,*\n4096,4096,83\n' | sfdisk -q m.img
    every m.img
}

@test "native formats" {
    "$PLAT" mk caposro1 src -o r.img >/dev/null
    every r.img
    "$PLAT" mk caposwf1 src -o w.img >/dev/null
    every w.img
    "$PLAT" mk capos-data --seed src -o c.img >/dev/null
    "$PLAT" store put c.img src/sub/numbers >/dev/null
    every c.img --prefix store
}
