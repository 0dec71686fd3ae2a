#!/usr/bin/env bats
# Bytes of small CAPOSRO1 images against those that people reviewed: as plat hex prints them, so that a difference names
# its field. Version 1 must never change; a wanted change of version 2 is accepted with tests/golden/update.sh.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    source "$root/tests/golden/source.bash"
    golden_source tree.tar
}

golden() { # VERSION-FILE OPTION...
    local name=$1
    shift
    "$PLAT" mk caposro1 tree.tar -o image --label GOLDEN --uuid 12345678-9abc-4def-8123-456789abcdef "$@"
    { "$PLAT" hex image; sha256sum <image; } >got
    diff -u "$root/tests/golden/$name" got
}

@test "version 1" { golden caposro1-v1.txt; }
@test "version 2: times and the label of their clock" { golden caposro1-v2.txt -O times=ntp-synced; }

@test "a byte that changes is named in the difference" {
    "$PLAT" mk caposro1 tree.tar -o image --label GOLDEN --uuid 12345678-9abc-4def-8123-456789abcdef
    at=$("$PLAT" get image superblock.nodes_block)
    printf '\377' | dd of=image bs=1 seek=$((at * 512 + 128 + 4)) conv=notrunc status=none
    "$PLAT" hex image >got || true
    run diff "$root/tests/golden/caposro1-v1.txt" got
    [ "$status" -eq 1 ]
    [[ "$output" == *uid* ]]
}
