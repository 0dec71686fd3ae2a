#!/usr/bin/env bats
# What plat makes, as unsquashfs, rdsquashfs, the kernel and squashfuse read it: content, mode, owner, time, links, targets,
# device numbers and extended attributes of a tree with every kind of node.
#
# Catches: a codec, a block size or an option of the layout that one of the four reads otherwise, or not at all.

setup_file() {
    export LC_ALL=C.UTF-8 TZ=UTC
    export PLAT="${PLAT:-$BATS_TEST_DIRNAME/../../build/plat}"
    export SRC="$BATS_FILE_TMPDIR/src" WANT="$BATS_FILE_TMPDIR/want"
    source "$BATS_TEST_DIRNAME/squashfs.bash"
    trees make "$SRC"
    trees facts "$SRC" >"$WANT"
    readers_missing
}
setup() {
    source "$BATS_TEST_DIRNAME/squashfs.bash"
    cd "$BATS_TEST_TMPDIR"
}

# Made with these options, sound, and the same for every reader.
made_with() { # OPTION...
    local -a options=()
    local option
    for option in "$@"; do options+=(-O "$option"); done
    echo "# $*"
    "$PLAT" mk squashfs "$SRC" -o i.img -O owner=keep -O xattrs=keep "${options[@]}"
    "$PLAT" verify --data --strict i.img
    same_for_all i.img "$WANT"
}
each_size() { # CODEC
    for block in 4KiB 128KiB 1MiB; do made_with "compress=$1" "block-bytes=$block"; done
}

@test "gzip: blocks of 4 KiB, 128 KiB and 1 MiB" { each_size gzip; }
@test "xz: blocks of 4 KiB, 128 KiB and 1 MiB" { each_size xz; }
@test "zstd: blocks of 4 KiB, 128 KiB and 1 MiB" { each_size zstd; }
@test "lz4: blocks of 4 KiB, 128 KiB and 1 MiB" { each_size lz4; }
@test "lzo: blocks of 4 KiB, 128 KiB and 1 MiB" { each_size lzo; }
@test "zstd:3: every size of a block" {
    for block in 8 16 32 64 256 512; do made_with compress=zstd:3 "block-bytes=${block}KiB"; done
}
@test "settings of the codecs" {
    for codec in gzip:1 gzip:12 zstd:1 zstd:22 xz:filters=x86 xz:dict=16KiB xz:0 lz4:hc lzo:1; do made_with "compress=$codec"; done
}
@test "every option of the layout" {
    for option in fragments=no fragments=always duplicates=keep exports=yes plain=inodes plain=inodes,ids plain=xattrs plain=data \
        plain=fragments plain=inodes,data,fragments,ids,xattrs; do
        made_with "$option" compress=zstd:3
    done
}
