#!/usr/bin/env bats
# plat mk: one bare image from a directory or an archive.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src/dir
    echo one >src/one.txt
    echo two >"src/dir/a long name.text"
}

same_files() { # IMAGE
    rm -rf got && mkdir got
    mcopy -i "$1" -s -n '::/*' got/
    diff -r src got
}

@test "fat32 from a directory: strangers read it" {
    "$PLAT" mk fat32 src -o fat.img --label "DATA" --uuid 1234-ABCD
    fsck.fat -n fat.img
    same_files fat.img
    mlabel -i fat.img -s :: | grep -q DATA
    minfo -i fat.img :: | grep -qi 'serial number: 1234ABCD'
    "$PLAT" verify fat.img
}

@test "fat32 from an archive and from standard input" {
    tar -C src -czf src.tgz .
    "$PLAT" mk fat32 src.tgz -o a.img
    same_files a.img
    "$PLAT" mk fat32 - -o b.img <src.tgz
    cmp a.img b.img
}

@test "a pipe gets the same bytes" {
    "$PLAT" mk fat32 src -o a.img
    "$PLAT" mk fat32 src -o - 2>note | cmp - a.img
    grep -q 'not verified' note
}

@test "cpio and tar: other programs unpack them" {
    "$PLAT" mk cpio src -o a.cpio
    mkdir x && (cd x && cpio -idm --quiet <../a.cpio)
    diff -r src x
    "$PLAT" mk tar src -o a.tar
    mkdir y && tar -C y -xf a.tar
    diff -r src y
    # A number that a maker wants as such.
    "$PLAT" mk tar src -o a.tgz -O compress=gzip -O level=9
    gzip -dc a.tgz | cmp - a.tar
}

@test "the same bytes from another directory, order, umask and user" {
    export SOURCE_DATE_EPOCH=1700000000
    (umask 077 && mkdir -p two/src/dir && echo two >"two/src/dir/a long name.text" && echo one >two/src/one.txt)
    "$PLAT" mk fat32 src -o a.img
    (cd two && TZ=America/St_Johns "$PLAT" mk fat32 src -o ../b.img)
    cmp a.img b.img
    cp -r src third
    [ "$(id -u)" -ne 0 ] || chown -R 7:7 third
    "$PLAT" mk cpio src -o a.cpio
    "$PLAT" mk cpio third -o b.cpio
    cmp a.cpio b.cpio
}

@test "size: auto with slack, fixed, too small, not a multiple, overflow" {
    "$PLAT" mk fat32 src -o auto.img
    "$PLAT" mk fat32 src -o slack.img --slack 8MiB
    [ "$(stat -c %s slack.img)" -ge "$(stat -c %s auto.img)" ]
    "$PLAT" mk fat32 src -o fixed.img --size 64MiB
    [ "$(stat -c %s fixed.img)" -eq 67108864 ]
    fsck.fat -n fixed.img
    "$PLAT" mk fat32 src -o percent.img --slack 50%
    for bad in 1MiB 1000 99999999999TiB -5 soon; do
        run "$PLAT" mk fat32 src -o bad.img --size "$bad"
        [ "$status" -eq 2 ]
        [ ! -e bad.img ]
    done
    run "$PLAT" mk fat32 src -o bad.img --size 64MiB --slack 1MiB
    [ "$status" -eq 2 ]
    [[ "$output" == *"--slack goes with --size auto only"* ]]
    run "$PLAT" mk fat32 src -o bad.img --slack 20000%
    [ "$status" -eq 2 ]
    [[ "$output" == *"10000%"* ]]
}

@test "exclude, seed, sector size" {
    "$PLAT" mk cpio src -o a.cpio --exclude 'dir' --exclude 'dir/**'
    [ "$(cpio -it --quiet <a.cpio | grep -c long)" -eq 0 ]
    "$PLAT" mk fat32 src -o a.img --seed one
    "$PLAT" mk fat32 src -o b.img --seed two
    run cmp -s a.img b.img
    [ "$status" -eq 1 ]
    "$PLAT" mk fat32 src -o c.img --sector-bytes 4096
    [ "$(od -An -tu2 -j11 -N2 c.img | tr -d ' ')" -eq 4096 ]
    fsck.fat -n c.img
    run "$PLAT" mk fat32 src -o d.img --sector-bytes 1024
    [ "$status" -eq 2 ]
    [[ "$output" == *"512 or 4096"* ]]
}

@test "tables are not for mk; unknown formats and options are named" {
    for table in gpt mbr; do
        run "$PLAT" mk $table src -o a.img
        [ "$status" -eq 2 ]
        [[ "$output" == *"plat build"* ]]
    done
    run "$PLAT" mk fat23 src -o a.img
    [ "$status" -eq 2 ]
    [[ "$output" == *'did you mean "fat32"'* ]]
    [[ "$output" == *cpio* ]]
    run "$PLAT" mk fat32 src -o a.img -O colour=blue
    [ "$status" -eq 2 ]
    [[ "$output" == *colour* ]]
    run "$PLAT" mk fat32 src -o a.img -O cluster-bytes
    [ "$status" -eq 2 ]
    [[ "$output" == *KEY=VALUE* ]]
    run "$PLAT" mk fat32 src -o a.img -O cluster-bytes=512 -O cluster-bytes=1024
    [ "$status" -eq 2 ]
    [[ "$output" == *twice* ]]
    [ ! -e a.img ]
}

@test "bad sources leave nothing" {
    echo precious >a.img
    run "$PLAT" mk fat32 none -o a.img
    [ "$status" -eq 2 ]
    [[ "$output" == *none* ]]
    head -c 1000 /dev/urandom >noise
    run "$PLAT" mk fat32 noise -o a.img
    [ "$status" -eq 2 ]
    tar -cf t.tar noise && head -c 900 t.tar >cut.tar
    run "$PLAT" mk fat32 cut.tar -o a.img
    [ "$status" -eq 2 ]
    [ "$(cat a.img)" = precious ]
    [ -z "$(find . -maxdepth 1 -name '.*' -type f)" ]
}

# Catches: a name that goes into an image and does not come out of it again.
@test "fat32: a name is refused when it is made, or extract gives it back" {
    made=0
    for code in 01 1f 20 7e 7f 80 85 9f a0 ff; do
        rm -rf odd out odd.img && mkdir odd
        name=$(python3 -c "import sys; sys.stdout.buffer.write(b'a%sb' % chr(0x$code).encode())")
        echo "$code" >"odd/$name"
        if "$PLAT" mk fat32 odd -o odd.img 2>message; then
            fsck.fat -n odd.img
            "$PLAT" extract odd.img -C out
            diff -r odd out
            made=$((made + 1))
        else
            grep -q 'control character' message
            ! LC_ALL=C grep -q '[[:cntrl:]]' message || false
        fi
    done
    [ "$made" = 4 ]
}

# Catches: holes of archive members that become zeros on the disk or in a temporary file.
@test "sparse members stay sparse in the image" {
    mkdir sparse
    truncate -s 300M sparse/big
    printf middle | dd of=sparse/big bs=1 seek=200M conv=notrunc status=none
    printf end | dd of=sparse/big bs=1 seek=$((300 * 1024 * 1024 - 3)) conv=notrunc status=none
    export TMPDIR=$PWD/spool
    for how in gnu "pax --sparse-version=0.1" "pax --sparse-version=1.0"; do
        # shellcheck disable=SC2086
        tar -S -C sparse -cf s.tar --format=$how big
        [ "$(stat -c %s s.tar)" -lt 100000 ]
        mkdir spool
        for format in fat32 tar cpio; do
            "$PLAT" mk $format s.tar -o image
            [ "$(du -k image | cut -f 1)" -lt 10000 ]
            [ $format = fat32 ] || continue
            mcopy -i image ::big copy
            cmp copy sparse/big
            rm copy
        done
        cpio -i --to-stdout big 2>/dev/null <image | cmp - sparse/big
        [ -z "$(ls -A spool)" ]
        rmdir spool
    done
}

# Catches: a stream without an end that fills the disk; a stream that is called none because its archive says at the end what it is.
@test "an endless stream is no archive, a long one is" {
    no() {
        run bash -c "ulimit -f 200000; $1"
        [ "$status" -eq 2 ]
        [[ "$output" == *"expected an archive"*"none begins in the first 64 MiB"* ]]
        [ ! -e none.img ]
    }
    no "'$PLAT' mk fat32 /dev/zero -o none.img"
    no "'$PLAT' mk fat32 - -o none.img </dev/zero"
    no "yes | '$PLAT' mk fat32 - -o none.img"
    truncate -s 1T hole
    no "'$PLAT' mk fat32 hole -o none.img"
    head -c 70M /dev/urandom >src/data
    tar -C src -cf a.tar .
    (cd src && zip -qr0 ../a.zip . && bsdtar -cf ../a.7z --format=7zip --options=7zip:compression=store .)
    for archive in a.tar a.zip a.7z; do
        "$PLAT" mk fat32 - -o "$archive.img" <$archive
        same_files "$archive.img"
    done
    # Nothing but the end is an archive, too.
    tar -T /dev/null -cf empty.tar
    "$PLAT" mk cpio - -o empty.cpio <empty.tar
}
