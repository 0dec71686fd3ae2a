#!/usr/bin/env bats
# Power cuts, in the amount that fits every run; `make check-crash` tries millions. tests/crash/crash.h says how.

B="${B:-$PWD/build}"

@test "caposst1: 200,000 states behind power cuts, and every flipped bit" {
    "$B/unit/crash" caposst1 --states 200000
}

@test "caposst1: without any one flush or check the suite fails" {
    "$B/unit/crash" caposst1 --mutations
}

@test "caposwf1: 200,000 states behind power cuts, every flipped bit, bitmaps that are wrong under right checksums" {
    "$B/unit/crash" caposwf1 --states 200000 --epoch 300
}

@test "caposwf1: without any one flush or check the suite fails" {
    cd "$BATS_TEST_TMPDIR"
    "$B/unit/crash" caposwf1 --mutations >said || { cat said; return 1; }
    # and the state that shows it is made again from its id: bad without the flush before a commit, good with it
    id=$(sed -n '/without the flush before the commit/{n;s/^# \([0-9.+]*\): .*/\1/p}' said)
    run "$B/unit/crash" caposwf1 --skip 1 --replay "$id"
    [ "$status" -eq 1 ]
    "$B/unit/crash" caposwf1 --replay "$id"
}

@test "a state is made again from its id" {
    # Without the flush before a commit: the state that shows it is bad again, and good with the flush.
    id=$("$B/unit/crash" caposst1 --skip 1 --states 2000 | sed -n 's/^# \([0-9.+]*\): .*/\1/p' | tail -n 1)
    [ -n "$id" ]
    run "$B/unit/crash" caposst1 --skip 1 --replay "$id"
    [ "$status" -eq 1 ]
    "$B/unit/crash" caposst1 --replay "$id"
}
