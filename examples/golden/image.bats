#!/usr/bin/env bats
# The same in a test of one's own: what the golden file pins, and that no build differs from another one.

setup() {
    cd "$BATS_TEST_DIRNAME"
    PLAT=${PLAT:-plat}
    "$PLAT" mk caposro1 root --mode u=rwX,go=rX -o "$BATS_TEST_TMPDIR/image.img"
}

@test "the image is the one that was reviewed" {
    "$PLAT" golden check "$BATS_TEST_TMPDIR/image.img" image.golden
}

@test "a second build has the same bytes, or the field that differs is named" {
    "$PLAT" mk caposro1 root --mode u=rwX,go=rX -o "$BATS_TEST_TMPDIR/again.img"
    "$PLAT" diff "$BATS_TEST_TMPDIR/image.img" "$BATS_TEST_TMPDIR/again.img"
}
