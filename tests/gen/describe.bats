#!/usr/bin/env bats
# man/plat-describe.7, "describe your own format in ten minutes", followed word for word.

@test "the tutorial: its files, its commands, and what they print" {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    mkdir "$BATS_TEST_TMPDIR/bin" "$BATS_TEST_TMPDIR/work"
    ln -s "$(realpath "${PLAT:-$root/build/plat}")" "$BATS_TEST_TMPDIR/bin/plat"
    unset PLAT_SCHEMAS
    PATH=$BATS_TEST_TMPDIR/bin:$PATH LC_ALL=C python3 "$root/tests/gen/describe.py" "$root/man/plat-describe.7" "$BATS_TEST_TMPDIR/work"
}
