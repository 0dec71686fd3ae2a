#!/usr/bin/env bats
# One tree, one sha256: from the directory, from a copy elsewhere, and from archives of it by GNU tar, bsdtar and cpio, in any
# order, with any number of threads, wherever and by whomever plat is run.
#
# Catches: bytes that come from the order of readdir or of an archive, from inode numbers, threads, umask, locale, time zone,
# environment or working directory.

setup_file() {
    export LC_ALL=C.UTF-8 TZ=UTC
    PLAT=$(realpath "${PLAT:-$BATS_TEST_DIRNAME/../../build/plat}")
    export PLAT SRC="$BATS_FILE_TMPDIR/src"
    source "$BATS_TEST_DIRNAME/squashfs.bash"
    trees make "$SRC"
    # No archive holds a socket.
    rm -f "$SRC/socket"
}
setup() {
    source "$BATS_TEST_DIRNAME/squashfs.bash"
    cd "$BATS_TEST_TMPDIR"
}

# The image of SOURCE (or of standard input: -) has the same bytes as the file `first`.
same() { # SOURCE OPTION...
    echo "# $*"
    pack "$1" -o next "${@:2}"
    cmp first next
}
pack() { "$PLAT" mk squashfs -O owner=keep -O compress="${codec:-zstd:1}" "$@"; }

@test "1, 2 and 7 threads, each codec" {
    for codec in gzip:1 xz:0 zstd:3 lz4 lzo:1; do
        pack "$SRC" -o first -O xattrs=keep -O threads=1
        for n in 1 2 7; do same "$SRC" -O xattrs=keep -O threads=$n; done
    done
}

@test "archives with attributes: GNU tar, bsdtar; any order; compressed, from a pipe" {
    pack "$SRC" -o first -O xattrs=keep
    tar --xattrs --xattrs-include='*' --format=posix -C "$SRC" -cf posix.tar .
    same posix.tar -O xattrs=keep
    same - -O xattrs=keep <posix.tar
    gzip -1 <posix.tar | same - -O xattrs=keep
    zstd -q <posix.tar | same - -O xattrs=keep -O threads=7
    (cd "$SRC" && find . -print0 | LC_ALL=C sort -rz | tar --null --no-recursion --xattrs --xattrs-include='*' --format=posix -T - -cf -) >reverse.tar
    same reverse.tar -O xattrs=keep
    bsdtar --format=pax --xattrs -C "$SRC" -cf bsd.tar .
    same bsd.tar -O xattrs=keep
}

@test "archives without attributes: GNU's own, ustar, bsdtar, cpio" {
    cp -a "$SRC" plain
    # What ustar and cpio have no room for.
    rm -rf plain/far plain/files/n* plain/files/size-409[67] plain/files/deep/er plain/files/link plain/hard-symlink plain/largest
    find plain -name 'entry*' -exec chown -h 1000:1000 {} + 2>/dev/null || true
    find plain -depth -exec touch -h -d @1709210096 {} +
    pack plain -o first
    for format in gnu oldgnu ustar posix; do
        tar --format=$format -C plain -cf a.tar .
        same a.tar
    done
    for format in ustar pax gnutar newc; do
        bsdtar --format=$format -C plain -cf a.tar .
        same a.tar
    done
    (cd plain && find . -print0 | LC_ALL=C sort -rz | cpio -o0 -H newc --quiet) >a.cpio
    same a.cpio
}

@test "a copy on another filesystem, in another order; another user's habits" {
    pack "$SRC" -o first -O xattrs=keep
    copy=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d -p "$BATS_TEST_TMPDIR")
    (cd "$SRC" && find . -print0 | LC_ALL=C sort -rz | tar --null --no-recursion --xattrs --xattrs-include='*' --format=posix -T - -cf -) |
        tar --xattrs --xattrs-include='*' -C "$copy" -xpf - --numeric-owner
    same "$copy" -O xattrs=keep || { rm -rf "$copy"; false; }
    rm -rf "$copy"
    (umask 077 && same "$SRC" -O xattrs=keep)
    for locale in C POSIX tr_TR.UTF-8 de_DE.ISO-8859-1 nonsense; do
        LC_ALL=$locale TZ=Pacific/Apia same "$SRC" -O xattrs=keep
    done
    env -i "$PLAT" mk squashfs "$SRC" -o next -O owner=keep -O compress=zstd:1 -O xattrs=keep
    cmp first next
    here=$PWD
    (cd / && pack "${SRC#/}" -o "$here/next" -O xattrs=keep)
    cmp first next
    (cd "$SRC" && pack . -o "$here/next" -O xattrs=keep)
    cmp first next
    TMPDIR=$here pack "$SRC/../src/." -o - -O xattrs=keep 2>/dev/null | cmp first -
}
