#!/usr/bin/env bats
# The readers that a kernel can carry, in programs without a C library (examples/freestanding): they read what plat makes, and
# say of damage what plat says. Catches: a reader that starts to need memory, a header or a function of the host, and one
# that reads other bytes than the driver does.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    free=${B:-$root/build}/freestanding
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src/dir/sub empty
    seq 30000 >src/dir/sub/numbers
    echo one >src/one.txt
    : >src/nothing
    for i in $(seq 60); do echo "$i" >"src/dir/f$i"; done
}

hash_of() { sha256sum "$1" | cut -d' ' -f1; }
# The file's bytes in the image get another one at their start.
damage() { # IMAGE TEXT
    python3 - "$@" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
at = data.index(sys.argv[2].encode())
data[at] ^= 1
open(sys.argv[1], "wb").write(data)
PY
}
refusal() { # FORMAT IMAGE PATH: what the program says, without what it could read before
    code=0
    "$free/$1" "$2" "$3" 2>said >read || code=$?
    [ "$code" -eq 2 ]
    output=$(tail -n 1 said)
    [ -n "$output" ]
}
# What both say, but for the image's name and the place, which a message on a host begins with.
same_refusal() { # FORMAT IMAGE PATH
    run "$PLAT" cat "$2" "$3"
    [ "$status" -eq 2 ]
    local host=${lines[-1]}
    refusal "$1" "$2" "${3#/}"
    [[ $host == *"$output"* ]] || { echo "host: $host"; echo "kernel: $output"; return 1; }
}

@test "what is carried asks for mem* alone, and the programs for nothing" {
    for f in caposro1 caposst1 caposwf1; do
        sh "$root/tests/carried.sh" "$free/$f.carried.o" memcmp memcpy memmove memset
        nm "$free/$f.carried.o" | grep -q ' T dev_read'
        [ -z "$(nm -u "$free/$f")" ]
        [ -z "$(readelf -d "$free/$f" | grep NEEDED)" ]
    done
}

@test "what asks for memory cannot be carried" {
    echo 'void *malloc(unsigned long); void *take(void); void *take(void) { return malloc(7); }' >takes.c
    gcc -ffreestanding -c takes.c
    run sh "$root/tests/carried.sh" takes.o memcmp memcpy memmove memset
    [ "$status" -eq 1 ]
    [[ $output == *"needs malloc" ]]
}

@test "caposro1: every file as it was" {
    for times in none untrusted; do
        "$PLAT" mk caposro1 src -o r.img -O "times=$times"
        for f in $(cd src && find -- * -type f); do "$free/caposro1" r.img "$f" | cmp - "src/$f"; done
    done
    run "$free/caposro1" r.img dir/nowhere
    [ "$status" -eq 2 ]
    [[ $output == "there is no 'nowhere' in this directory" ]]
    run "$free/caposro1" r.img dir
    [ "$status" -eq 2 ]
}

@test "caposwf1: every file as it was, also after it was changed in place" {
    for block in 256 0; do
        "$PLAT" mk caposwf1 src -o w.img --slack 1MiB -O "superblock=$block"
        for f in $(cd src && find -- * -type f); do "$free/caposwf1" w.img "$f" | cmp - "src/$f"; done
        seq 100000 120000 >new
        "$PLAT" put w.img new /dir/sub/numbers
        "$free/caposwf1" w.img dir/sub/numbers | cmp - new
        "$PLAT" rm w.img /one.txt
        run "$free/caposwf1" w.img one.txt
        [ "$status" -eq 2 ]
    done
    damage w.img 100001
    refusal caposwf1 w.img dir/sub/numbers
    [[ $output == *"is damaged: its checksum should be"* ]]
}

@test "caposst1: every object that is there, none that was deleted" {
    "$PLAT" mk caposst1 src -o s.img --slack 64KiB
    for f in $(find src -type f); do "$free/caposst1" s.img "$(hash_of "$f")" | cmp - "$f"; done
    one=$(hash_of src/one.txt)
    "$PLAT" store delete s.img "$one"
    run "$free/caposst1" s.img "$one"
    [ "$status" -eq 2 ]
    [[ $output == "there is no such object in the store" ]]
    "$PLAT" store put -q s.img src/one.txt
    "$free/caposst1" s.img "$one" | cmp - src/one.txt
    "$PLAT" store compact s.img
    "$free/caposst1" s.img "$one" | cmp - src/one.txt
}

@test "damage is told in plat's words" {
    "$PLAT" mk caposro1 src -o r.img
    "$PLAT" mk caposst1 src -o s.img
    for image in r.img s.img; do
        format=caposro1 path=/dir/sub/numbers
        [ "$image" = r.img ] || { format=caposst1 path=/$(hash_of src/dir/sub/numbers); }
        cp "$image" whole.img
        truncate -s -4096 "$image"
        same_refusal "$format" "$image" "$path"
        cp whole.img "$image"
        damage "$image" CAPOS
        # of a store that is at rest the copy of the superblock counts
        [ "$format" = caposst1 ] || same_refusal "$format" "$image" "$path"
        cp whole.img "$image"
    done
    damage r.img numbers
    same_refusal caposro1 r.img /dir/sub/numbers
    "$PLAT" mk caposro1 src -o r.img
    damage r.img 1000
    same_refusal caposro1 r.img /dir/sub/numbers
    damage s.img 1000
    refusal caposst1 s.img "$(hash_of src/dir/sub/numbers)"
    [[ $output == "the object does not match its key" ]]
    # an entry of the table, in its reserved bytes
    python3 - s.img <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[1024 + 63] ^= 1
open(sys.argv[1], "wb").write(data)
PY
    same_refusal caposst1 s.img "/$(hash_of src/one.txt)"
}
