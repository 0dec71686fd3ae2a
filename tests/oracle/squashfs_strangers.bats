#!/usr/bin/env bats
# What mksquashfs, gensquashfs and tar2sqfs make, with each of their options that changes the image: sound for plat to the
# last block, and extracted as unsquashfs does it, in content, mode, owner, time, links, devices and extended attributes.
#
# Catches: a flag, a filter or an order of the blocks that only our own images do not have.

setup_file() {
    export LC_ALL=C.UTF-8 TZ=UTC
    export PLAT="${PLAT:-$BATS_TEST_DIRNAME/../../build/plat}"
    export SRC="$BATS_FILE_TMPDIR/src"
    source "$BATS_TEST_DIRNAME/squashfs.bash"
    trees make "$SRC" visible
    tar --xattrs --xattrs-include='*' --format=posix -C "$SRC" -cf "$BATS_FILE_TMPDIR/src.tar" . 2>/dev/null
}
setup() {
    source "$BATS_TEST_DIRNAME/squashfs.bash"
    cd "$BATS_TEST_TMPDIR"
}

same_as_unsquashfs() { # [FACT TO LEAVE OUT...]
    run "$PLAT" verify --data i.img
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *": 0 errors, 0 warnings, "* ]]
    rm -rf ours theirs
    "$PLAT" extract i.img -C ours
    unsquashfs -no-progress -quiet -d theirs i.img >unpack.out 2>&1 || { cat unpack.out; return 1; }
    # unsquashfs makes a file of each name of a symbolic link.
    diff <(trees facts theirs root "$@" | alone - l) <(trees facts ours root "$@" | alone - l)
}
# Each line of options on standard input, made and compared.
each() { # COMMAND: takes options and makes i.img
    while read -r options; do
        echo "# $options"
        # shellcheck disable=SC2086
        "$1" $options
        same_as_unsquashfs
    done
}
mk() { rm -f i.img && mksquashfs "$SRC" i.img -no-progress -quiet "$@" >/dev/null; }
gen() { gensquashfs -q -f -k -x -D "$SRC" "$@" i.img; }
tar2() { tar2sqfs -q -f "$@" i.img <"$BATS_FILE_TMPDIR/src.tar"; }

@test "mksquashfs: every compressor, compressed and plain" {
    for codec in gzip lzo lz4 xz zstd lzma; do
        printf '%s\n' "-comp $codec" "-comp $codec -noI -noD -noF -noX -b 16384"
    done | each mk
}

@test "mksquashfs: every size of a block" {
    for bytes in 4096 8192 16384 32768 65536 262144 524288 1048576; do echo "-b $bytes -comp lz4"; done | each mk
}

@test "mksquashfs: settings of the compressors" {
    each mk <<'OPTIONS'
-comp gzip -Xcompression-level 1 -Xwindow-size 8
-comp gzip -Xstrategy default,filtered,huffman_only,run_length_encoded,fixed
-comp lzo -Xalgorithm lzo1x_1
-comp lzo -Xalgorithm lzo1x_1_11
-comp lzo -Xalgorithm lzo1x_1_15 -b 65536
-comp lzo -Xcompression-level 9
-comp xz -Xbcj x86,arm,armthumb,powerpc,sparc,ia64
-comp xz -Xbcj x86 -Xdict-size 8192
-comp xz -Xdict-size 100% -b 1048576
-comp lz4 -Xhc
-comp zstd -Xcompression-level 1
-comp zstd -Xcompression-level 22 -b 1048576
OPTIONS
}

@test "mksquashfs: what is plain, what is a fragment, what is stored once" {
    each mk <<'OPTIONS'
-comp zstd -noI
-comp zstd -noId
-comp zstd -noD
-comp zstd -noF
-comp zstd -noX
-no-fragments
-no-fragments -b 4096 -comp lz4
-tailends
-always-use-fragments -b 4096 -comp lz4
-no-tailends
-no-duplicates
-no-hardlinks
-no-sparse
-exports
-no-exports
-no-xattrs
-xattrs
-all-root
-force-uid 7 -force-gid 4294967294
-root-mode 0711 -root-uid 5 -root-gid 6 -root-time 7
-all-time 1000000000 -mkfs-time 5
-keep-as-directory
-processors 1 -comp xz
OPTIONS
}

@test "mksquashfs: pseudo files, a sort file, an image that was appended to, and one without padding" {
    is_root || skip "the devices of pseudo files can be made by root alone"
    mk -p 'dev c 600 1 2 5 1' -p 'blk b 640 3 6 259 70000' -p 'pipe i 611 0 0 f' -p 'sock i 755 0 0 s' \
        -p 'folder d 1777 9 9' -p 'text f 644 0 0 seq 100000' -p 'sym s 777 0 0 nowhere'
    same_as_unsquashfs
    printf 'files/text -100\nfiles/random 32767\nmany -5\n' >sort
    mk -sort sort
    same_as_unsquashfs
    mkdir more
    cp "$SRC/files/random" more/same-as-before
    seq 1 200000 >more/new
    mk -comp lz4
    mksquashfs more i.img -no-progress -quiet >/dev/null
    same_as_unsquashfs
    mk -nopad
    "$PLAT" extract i.img -C nopad
    diff <(trees facts nopad root) <(trees facts "$SRC" root)
}

@test "gensquashfs: every compressor, its settings, tails, exports, owners" {
    each gen <<'OPTIONS'
-c gzip
-c lzo
-c xz
-c zstd
-c gzip -X level=1,window=8,default,filtered,huffman,rle,fixed
-c xz -X dictsize=16K,x86,arm,sparc
-c zstd -X level=1
-c lzo -X level=1
-T -c zstd
-e -b 8192 -c zstd
-b 1M -j 3 -c zstd
-B 1024 -c zstd
--all-root -c zstd
-u 1000 -g 4294967294 -c zstd
OPTIONS
    # unsquashfs 4.5 does not read its lz4 tables of a few bytes, which are larger than plain. gensquashfs drops attributes
    # without a value.
    for codec in lz4 'lz4 -X hc' lzma; do
        # shellcheck disable=SC2086
        gen -c $codec
        "$PLAT" verify --data i.img
        rm -rf ours
        "$PLAT" extract i.img -C ours
        diff <(trees facts ours root links) <(trees facts "$SRC" root links | sed 's/ user.empty=[0-9a-f]*//')
    done
}

@test "gensquashfs: a list of nodes, and a sort file that says how each is stored" {
    is_root || skip "devices can be made by root alone"
    cat >list <<LIST
dir /dev 0755 0 0
nod /dev/console 0600 0 5 c 5 1
nod /dev/large 0660 0 6 b 4095 1048575
pipe /dev/pipe 0611 1 2
sock /dev/sock 0755 3 4
slink /link 0777 0 0 dev/console
file /plain 0644 0 0 files/random
file /whole 0644 0 0 files/size-131073
file "/a name" 04755 7 8 files/size-2097152
link /other 0 0 0 /plain
LIST
    printf '%s\n' '1 [dont_compress,dont_fragment] plain' '-5 [dont_fragment,nosparse] whole' >sort
    gensquashfs -q -f -D "$SRC" -F list -S sort i.img
    same_as_unsquashfs
}

@test "tar2sqfs: every compressor, tails, exports, no attributes" {
    each tar2 <<'OPTIONS'
-c gzip
-c lzo
-c xz
-c zstd
-T -e -c zstd
-b 4096 -c zstd
-x -c zstd
-k -c zstd
OPTIONS
}
