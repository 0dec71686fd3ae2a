#!/usr/bin/env bats
# Generated C against copies that people reviewed. Catches: a change of the generator (or of a schema) that nobody looked
# at. A wanted change is accepted with `make golden-update`; the diff of tests/gen/golden is then part of the review.

B="${B:-$PWD/build}"

@test "generated C of gpt, mbr, caposro1 and the checks of caposst1 are what was reviewed" {
    for name in gpt.gen.h gpt.gen.c mbr.gen.h mbr.gen.c caposro1.gen.h caposro1.gen.c caposst1.gen.c; do
        diff -u "tests/gen/golden/$name" "$B/gen/$name" || {
            echo "tests/gen/golden/$name differs; review it and run: make golden-update"
            return 1
        }
    done
}
