#!/usr/bin/env bats
# Commands that read with several threads, small enough for ThreadSanitizer (make tsan): the same result as with one.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    export TZ=UTC LC_ALL=C
    cd "$BATS_TEST_TMPDIR"
    mkdir -p t/a t/b/c
    for i in $(seq 150); do
        seq $((i * 17)) >t/a/f$i
        seq $((i * 3)) >t/b/c/g$i
    done
    seq 900000 >t/large # in pieces, 6 MB
    ln t/a/f1 t/zz
    ln -s a/f1 t/link
}

@test "extract with 4 threads, out of each format, is what went in" {
    for format in squashfs caposro1 caposwf1; do
        "$PLAT" mk $format t -o $format.img
        "$PLAT" extract --threads 4 $format.img -C $format
        diff -r --no-dereference t $format
        "$PLAT" extract --threads 3 --force $format.img -C $format
        diff -r --no-dereference t $format
    done
}

@test "verify --data finds the same in the same order with any number of threads" {
    "$PLAT" mk squashfs t -o i.img -O block-bytes=4096
    "$PLAT" verify --data i.img
    python3 - <<'PY'
data = bytearray(open('i.img', 'rb').read())
for at in range(200, len(data) * 4 // 5, 20011):
    data[at] ^= 0xff
open('bad.img', 'wb').write(data)
PY
    "$PLAT" verify --data --json bad.img >all || [ $? -eq 1 ]
    taskset -c "$(taskset -pc $$ | sed 's/.*: *//; s/[-,].*//')" "$PLAT" verify --data --json bad.img >one || [ $? -eq 1 ]
    [ "$(grep -c sq-data all)" -gt 20 ]
    diff <(grep sq-data all) <(grep sq-data one)
}

@test "extract with few descriptors: many directories, many large files, more threads than there are files to open" {
    mkdir d
    for i in $(seq 300); do mkdir d/$i && echo $i >d/$i/f; done
    mkdir d/large
    for i in $(seq 600); do truncate -s 5M d/large/$i; done
    "$PLAT" mk squashfs d -o d.img
    for threads in 1 16; do
        (ulimit -n 64 && "$PLAT" extract --threads $threads d.img -C few$threads)
        diff <(cd d && find . -printf '%P %s\n' | grep -v '^[0-9]* ' | sort) \
            <(cd few$threads && find . -printf '%P %s\n' | grep -v '^[0-9]* ' | sort)
        diff <(cd d && cat {1..300}/f) <(cd few$threads && cat {1..300}/f)
        rm -r few$threads
    done
}

@test "extract -v into a pipe that nobody reads leaves nothing behind" {
    mkdir many
    for i in $(seq 3000); do : >many/$i; done
    "$PLAT" mk squashfs many -o m.img
    stdbuf -oL "$PLAT" extract -v m.img -C p | head -n 1 >first
    [ -s first ]
    [ ! -e p ]
    [ -z "$(find . -maxdepth 1 -name '.plat*')" ]
}
