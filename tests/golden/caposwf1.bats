#!/usr/bin/env bats
# Bytes of small CAPOSWF1 and capos-data images against those that people reviewed: as plat hex prints them, so that a
# difference names its field. Version 1 must never change.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    source "$root/tests/golden/source.bash"
    golden_source tree.tar
}

@test "caposwf1, version 1" {
    golden_caposwf1 got
    diff -u "$root/tests/golden/caposwf1-v1.txt" got
}

@test "capos-data: a store and a filesystem" {
    golden_capos_data got
    diff -u "$root/tests/golden/capos-data.txt" got
}

@test "a byte that changes is named in the difference" {
    golden_caposwf1 got
    at=$("$PLAT" get image superblock.nodes.block | cut -d' ' -f1)
    [ "$at" -gt 258 ]
    printf '\377' | dd of=image bs=1 seek=$((256 * 512 + 28)) conv=notrunc status=none
    "$PLAT" hex image >got || true
    run diff "$root/tests/golden/caposwf1-v1.txt" got
    [ "$status" -eq 1 ]
    [[ "$output" == *superblock_block* ]]
}
