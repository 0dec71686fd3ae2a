#!/usr/bin/env bats
# Power cuts, in the amount that fits every run; `make check-crash` tries millions. tests/crash/crash.h says how.

B="${B:-$PWD/build}"

@test "caposst1: 200,000 states behind power cuts, and every flipped bit" {
    "$B/unit/crash" caposst1 --states 200000
}

@test "caposst1: without any one flush or check the suite fails" {
    "$B/unit/crash" caposst1 --mutations
}

@test "a state is made again from its id" {
    # Without the flush before a commit: the state that shows it is bad again, and good with the flush.
    id=$("$B/unit/crash" caposst1 --skip 1 --states 2000 | sed -n 's/^# \([0-9.+]*\): .*/\1/p' | tail -n 1)
    [ -n "$id" ]
    run "$B/unit/crash" caposst1 --skip 1 --replay "$id"
    [ "$status" -eq 1 ]
    "$B/unit/crash" caposst1 --replay "$id"
}
