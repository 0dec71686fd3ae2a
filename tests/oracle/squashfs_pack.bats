#!/usr/bin/env bats
# SquashFS images whose blocks are shared by what is alike (-O pack=yes), and blocks that are stored once, read by strangers.
#
# Catches: a tail that lands in another file, an order that depends on threads or source, likeness that gains nothing.

setup_file() {
    export LC_ALL=C.UTF-8 TZ=UTC
    export PLAT="${PLAT:-$BATS_TEST_DIRNAME/../../build/plat}"
    export ALIKE="$BATS_FILE_TMPDIR/alike"
    mkdir -p "$ALIKE"
    # 24 texts without a word in common; each in 30 directories, with a line of its own, beside what it is not like.
    python3 - "$ALIKE" <<'PY'
import os, random, sys
top = sys.argv[1]
rng = random.Random(7)
def text(n):
    return ''.join('%08x ' % rng.getrandbits(32) for _ in range(n // 9)).encode()
texts = [text(4000) for _ in range(24)]
for d in range(30):
    os.makedirs('%s/d%02d/deep' % (top, d))
    for i in range(24):
        with open('%s/d%02d/%s%d' % (top, d, 'abcdef'[(d + i) % 6], (i * 7 + d) % 24), 'wb') as f:
            f.write(b'%d %d\n' % (d, i) + texts[i])
    # Large ones: their ends are alike, and so is that of a small one.
    end = text(200)
    with open('%s/d%02d/deep/large' % (top, d), 'wb') as f:
        f.write(rng.randbytes(131072) + texts[d % 24] + end)
    with open('%s/d%02d/deep/hole' % (top, d), 'wb') as f:
        f.seek(300000 + d)
        f.write(texts[0] if d % 2 else b'')
        f.truncate()
same = texts[3] * 3
for name in ('same', 'd00/same', 'd29/deep/same.txt'):
    open(os.path.join(top, name), 'wb').write(same)
open(top + '/empty', 'wb').close()
open(top + '/one', 'wb').write(b'1')
open(top + '/zeros', 'wb').write(bytes(5000))
os.symlink('d00/same', top + '/link')
os.link(top + '/d01/deep/large', top + '/d02/hard')
PY
}
setup() { cd "$BATS_TEST_TMPDIR"; }

names() { (cd "$1" && find . -mindepth 1 ! -type d -printf '%p %y %m %s %n %Ts %l\n' | sort); }
# By unsquashfs, by rdsquashfs and, where it may mount, by the kernel.
check_image() { # IMAGE TREE
    "$PLAT" verify --data "$1"
    rm -rf out rd
    unsquashfs -no-progress -quiet -d out "$1" >log 2>&1 || { cat log; return 1; }
    diff -r "$2" out
    diff <(names "$2") <(names out)
    mkdir rd
    rdsquashfs -q -u / -p rd "$1"
    diff -r --no-dereference "$2" rd
    [ "$(id -u)" -eq 0 ] && grep -q squashfs /proc/filesystems && [ -e /dev/loop-control ] || return 0
    mkdir -p mnt
    mount -t squashfs -o loop,ro "$1" mnt
    (diff -r "$2" mnt && diff <(names "$2") <(names mnt)) || { umount mnt; return 1; }
    umount mnt
}
bytes_of() { stat -c %s "$1"; }

@test "pack: the same files, and a smaller image" {
    for options in "compress=gzip" "compress=zstd:3 block-bytes=4096" "compress=lz4 block-bytes=1MiB" \
        "compress=xz plain=fragments" "compress=gzip duplicates=keep"; do
        echo "# $options"
        # shellcheck disable=SC2086
        "$PLAT" mk squashfs "$ALIKE" -o i.img $(printf ' -O %s' $options) -O pack=yes
        check_image i.img "$ALIKE"
    done
    "$PLAT" mk squashfs "$ALIKE" -o plain.img
    "$PLAT" mk squashfs "$ALIKE" -o i.img -O pack=yes
    "$PLAT" mk squashfs "$ALIKE" -o j.img --pack
    cmp i.img j.img
    # Thirty times the same text shows in one block, and not in thirty directories.
    [ "$(($(bytes_of i.img) - 30 * 131072))" -lt "$((($(bytes_of plain.img) - 30 * 131072) / 2))" ]
}

@test "pack: one sha256 with 1, 2 and 7 threads, from the directory and its tar" {
    for options in "compress=gzip" "compress=zstd:3 block-bytes=16KiB"; do
        # shellcheck disable=SC2046,SC2086
        set -- $(printf ' -O %s' $options) -O pack=yes
        "$PLAT" mk squashfs "$ALIKE" -o a.img "$@" -O threads=1
        for n in 2 7; do
            "$PLAT" mk squashfs "$ALIKE" -o b.img "$@" -O threads=$n
            cmp a.img b.img
        done
        tar --sort=name -C "$ALIKE" -cf src.tar .
        "$PLAT" mk squashfs src.tar -o b.img "$@"
        cmp a.img b.img
        "$PLAT" mk squashfs - -o - "$@" <src.tar 2>note | cmp a.img -
    done
}

@test "pack: more files than are compared at a time, files of one byte, no files" {
    mkdir t none
    python3 - <<'PY'
for i in range(20000):
    open('t/%d.%s' % (i, 'abc'[i % 3]), 'w').write('%d is like %d in what it says about numbers\n' % (i, i % 97))
for i in range(50):
    open('t/x%d' % i, 'w').write(chr(65 + i))
PY
    "$PLAT" mk squashfs t -o i.img -O pack=yes -O compress=zstd:1 -O threads=1
    "$PLAT" mk squashfs t -o j.img -O pack=yes -O compress=zstd:1 -O threads=7
    cmp i.img j.img
    check_image i.img t
    "$PLAT" mk squashfs none -o n.img -O pack=yes
    check_image n.img none
}

@test "pack: refused where no blocks are shared" {
    run "$PLAT" mk squashfs "$ALIKE" -o i.img -O pack=yes -O fragments=no
    [ "$status" -eq 2 ]
    [[ "$output" == *"option pack: "*"fragments=no"* ]]
    [ ! -e i.img ]
}

@test "pack in a recipe: the bytes of mk" {
    cat >r.json <<EOF
{ "table": "gpt", "disk_size": "64MiB", "partitions": [
  { "name": "root", "type": "linux-data", "format": "squashfs", "options": { "pack": "yes" }, "files": [ { "from": "$ALIKE" } ] } ] }
EOF
    "$PLAT" build r.json -o d.img
    start=$(sgdisk -i 1 d.img | sed -n 's/^First sector: \([0-9]*\).*/\1/p')
    "$PLAT" mk squashfs "$ALIKE" -o a.img -O pack=yes
    cmp -n "$(bytes_of a.img)" -i 0:$((start * 512)) a.img d.img
}

@test "equal runs of blocks are stored once, wherever they begin" {
    mkdir t
    head -c $((10 * 131072)) /dev/urandom >t/a
    head -c 131072 /dev/zero >>t/a
    head -c 262144 /dev/urandom >>t/a
    dd if=t/a of=t/b bs=131072 skip=3 count=4 status=none
    printf 'an end of its own' >>t/b
    dd if=t/a of=t/c bs=131072 skip=8 count=4 status=none # a hole within
    dd if=t/a of=t/d bs=131072 skip=5 count=2 status=none
    cp t/d t/e && head -c 131072 /dev/urandom >>t/e # goes on otherwise: not shared
    dd if=t/a of=t/f bs=131072 skip=9 count=5 status=none
    cp t/a t/g && printf x >>t/g
    for options in fragments=yes fragments=always fragments=no pack=yes "block-bytes=4096" "compress=zstd:1"; do
        echo "# $options"
        "$PLAT" mk squashfs t -o i.img -O "$options" -O threads=1
        "$PLAT" mk squashfs t -o j.img -O "$options" -O threads=7
        cmp i.img j.img
        check_image i.img t
        # a, and e with what a has: without fragments b and g have an end that is a block.
        [ $options = fragments=no ] || [ "$(bytes_of i.img)" -lt $((16 * 131072)) ]
    done
    "$PLAT" mk squashfs t -o k.img -O duplicates=keep
    [ "$(bytes_of k.img)" -gt $((38 * 131072)) ]
    check_image k.img t
}

@test "equal tails are stored once: of large files, of small ones, behind holes" {
    mkdir t
    python3 - <<'PY'
import random
rng = random.Random(11)
block = lambda: rng.randbytes(131072)
put = lambda name, data: open('t/' + name, 'wb').write(data)
early, late, third, alone = (rng.randbytes(n) for n in (100000, 100001, 100002, 1000))
put('a', early)                     # small, then large ones
put('b', block() + early)
put('c', block() + block() + early)
put('d', block() + late)            # large first, then small
put('e', late)
put('f', block() + late)
put('g', block() + third)           # as a hole ends
put('i', rng.randbytes(100001))     # as long, and other bytes
put('j', block() + bytes(100000))   # zeros
put('k', block() + bytes(100000))
put('l', b''.join((block(), alone)))
with open('t/h', 'wb') as f:
    f.seek(1 << 20)
    f.write(third)
with open('t/0', 'wb') as f:        # the first of its kind, and no whole block is there
    f.seek(1 << 20)
    f.write(alone)
PY
    small=$((8 * 131072 + 3 * 100000 + 100001 + 1000))
    for options in fragments=yes fragments=always pack=yes compress=lz4 compress=xz; do
        echo "# $options"
        "$PLAT" mk squashfs t -o i.img -O "$options" -O threads=1
        "$PLAT" mk squashfs t -o j.img -O "$options" -O threads=7
        cmp i.img j.img
        check_image i.img t
        bytes=$(bytes_of i.img)
        [ "$bytes" -lt $((small + 140000)) ]
    done
    for options in fragments=no duplicates=keep; do
        "$PLAT" mk squashfs t -o k.img -O "$options"
        check_image k.img t
        [ "$(bytes_of k.img)" -gt $((small + 400000)) ]
    done
}

@test "blocks that are alike by their hash in part, and many of them" {
    # 2,000 blocks of 4096 bytes in 40 files, each of which other files have from another place on.
    python3 - <<'PY'
import os, random
os.mkdir('t')
rng = random.Random(3)
for i in range(40):
    blocks = [rng.randbytes(4096) for _ in range(50)]
    open('t/%02d' % i, 'wb').write(b''.join(blocks))
    open('t/x%02d' % i, 'wb').write(b''.join(blocks[i:]))
    open('t/y%02d' % i, 'wb').write(b''.join(blocks[i:-1]) + b'end')
PY
    "$PLAT" mk squashfs t -o i.img -O block-bytes=4096
    check_image i.img t
    [ "$(bytes_of i.img)" -lt $((2100 * 4096)) ]
}

@test "--memory: the same bytes, and no more than it says; too little is refused with what would do" {
    mkdir t
    python3 - <<'PY'
for i in range(30000):
    open('t/a-name-of-some-length-%d' % i, 'w').write('%d\n' % i)
open('t/large', 'wb').write(b''.join(b'%d ' % (i * i) for i in range(3000000)))
PY
    for options in "compress=zstd:12 block-bytes=1MiB" "compress=gzip pack=yes"; do
        # shellcheck disable=SC2046,SC2086
        set -- $(printf ' -O %s' $options) --no-verify -O threads=7
        rm -f b.img
        /usr/bin/time -f %M -o free "$PLAT" mk squashfs t -o a.img "$@"
        run "$PLAT" mk squashfs t -o b.img "$@" --memory 8MiB
        [ "$status" -eq 2 ]
        [[ "$output" == *"8388608 bytes of memory are too few: "*"even with one thread"* ]]
        [ ! -e b.img ]
        least=$(sed -n 's/.* of a tree take \([0-9]*\) .*/\1/p' <<<"$output")
        run "$PLAT" mk squashfs t -o b.img "$@" --memory $((least - 1))
        [ "$status" -eq 2 ]
        for bytes in "$least" $((least + (16 << 20))); do
            /usr/bin/time -f %M -o rss "$PLAT" mk squashfs t -o b.img "$@" --memory "$bytes"
            cmp a.img b.img
            echo "# $options: $(cat rss) KiB of $((bytes / 1024)), and $(cat free) without"
            [ "$options" = "compress=gzip pack=yes" ] || [ "$(cat free)" -gt $((bytes / 1024)) ]
            [ "$(cat rss)" -le $((bytes / 1024)) ]
        done
    done
    for wrong in 0 much; do
        run "$PLAT" mk squashfs t -o c.img -O memory=$wrong
        [ "$status" -eq 2 ]
        [[ "$output" == *"option memory: "* ]]
    done
}
