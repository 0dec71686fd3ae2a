#!/usr/bin/env bats
# A filesystem that has no room left: what was there stays, and the message says why. It is a small tmpfs of its own, mounted by
# root or in a namespace. Catches: a store that a full disk damages, an image that is replaced by half of one.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src small
    echo one >src/one.txt
    head -c 100000 /dev/urandom >src/part
    head -c 3000000 /dev/urandom >large
    export PLAT
}

# Runs what stands on standard input, as a script, in a directory of 1 MiB.
in_small() {
    cat >script
    local run='mount -t tmpfs -o size=1m tmpfs small && cd small && bash -eux ../script'
    if unshare -m true 2>/dev/null && unshare -m mount -t tmpfs tmpfs small 2>/dev/null; then
        unshare -m bash -c "$run"
    elif unshare -rm mount -t tmpfs tmpfs small 2>/dev/null; then
        unshare -rm bash -c "$run"
    else
        skip "no tmpfs can be mounted here"
    fi
}

@test "store put on a full filesystem: told, exit 2, the store as it was, and usable when there is room again" {
    in_small <<'SCRIPT'
"$PLAT" mk caposst1 ../src -o s.img --size 16MiB
"$PLAT" store ls -l s.img >before
code=0
"$PLAT" store put s.img ../src/one.txt ../large 2>../said || code=$?
[ "$code" -eq 2 ]
grep -q 'No space left on device' ../said
grep -q 's.img' ../said
"$PLAT" store ls -l s.img | cmp - before
"$PLAT" verify --data s.img
"$PLAT" store get s.img "$(sha256sum <../src/part | cut -d' ' -f1)" | cmp - ../src/part
# the next writer, still without room, and one with it
head -c 2000000 /dev/zero >fill 2>/dev/null || true
code=0
head -c 2500000 /dev/urandom | "$PLAT" store put s.img 2>../said || code=$?
[ "$code" -eq 2 ]
grep -q 'No space left on device' ../said
"$PLAT" store ls -l s.img | cmp - before
rm fill
cp s.img ../s.img
SCRIPT
    "$PLAT" store put -q s.img large
    "$PLAT" store has s.img "$(sha256sum <large | cut -d' ' -f1)"
    run "$PLAT" verify --data s.img
    [ "$status" -eq 0 ]
    [[ $output != *"note:"* ]]
}

@test "put on a full filesystem: told, exit 2, the files as they were, and more of them when there is room again" {
    in_small <<'SCRIPT'
"$PLAT" mk caposwf1 ../src -o w.img --size 16MiB
"$PLAT" ls -lR w.img >before
code=0
"$PLAT" put w.img ../src/one.txt ../large / 2>../said || code=$?
[ "$code" -eq 2 ]
grep -q 'w.img: .*No space left on device' ../said
"$PLAT" ls -lR w.img | cmp - before
"$PLAT" verify --data w.img
"$PLAT" cat w.img /part | cmp - ../src/part
# the next writer, still without room, and one with it
code=0
"$PLAT" put w.img ../large /one.txt 2>../said || code=$?
[ "$code" -eq 2 ]
[ "$("$PLAT" cat w.img /one.txt)" = one ]
cp --sparse=always w.img ../w.img
SCRIPT
    "$PLAT" put w.img large /one.txt
    "$PLAT" cat w.img /one.txt | cmp - large
    run "$PLAT" verify --data w.img
    [ "$status" -eq 0 ]
    [[ $output != *"note:"* ]]
}

@test "mk on a full filesystem: the old image stays, nothing lies beside it" {
    for format in caposro1 caposst1; do
        in_small <<SCRIPT
"$PLAT" mk $format ../src -o image
cp image ../before
code=0
"$PLAT" mk $format .. --exclude before --exclude small -o image 2>../said || code=\$?
[ "\$code" -eq 2 ]
grep -q 'No space left on device' ../said
cmp image ../before
[ "\$(ls -A | sort | tr '\\n' ' ')" = "image " ]
SCRIPT
    done
}
