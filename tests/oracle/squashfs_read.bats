#!/usr/bin/env bats
# SquashFS images that mksquashfs and gensquashfs made: sound to the last block, extracted as unsquashfs does it.
# Catches: a codec or a flag that only our own maker's images have, a listing, index or fragment read otherwise than by
# its makers, a structure without one of its two addresses.

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_FILE_TMPDIR"
    mkdir -p t/big t/deep/a/b/c t/empty.d
    # Long names, so that few of them fill blocks of a listing.
    LONG=$(printf 'x%.0s' {1..180})
    export LONG
    for ((i = 0; i < 300; i++)); do echo "$i" > "t/big/${LONG}_$i"; done
    head -c 300000 /dev/urandom > t/random
    cp t/random t/again
    ln t/random t/deep/hard
    yes 'a line that repeats' | head -c 1000000 > t/text
    head -c 262144 t/text > t/whole_blocks
    head -c 131072 /dev/zero > t/zeros
    truncate -s 5000000 t/sparse && printf x >> t/sparse
    : > t/none
    printf a > t/one
    printf b > "t/$(printf 'n%.0s' {1..255})"
    ln -s ../text t/deep/link
    ln -s "$(printf 'x/%.0s' {1..1000})" t/long_link
    chmod 4711 t/one
    chmod 1777 t/empty.d
    touch -d '2001-02-03 04:05:06 UTC' t/text t/deep/a t/empty.d
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    work=$BATS_TEST_TMPDIR
}

plat() { "$PLAT" "$@"; }
mk() { mksquashfs t "$work/i" -noappend -no-progress -quiet "$@" > /dev/null; }

# Kind, mode, time, size, name and target of everything below $1; directories have no size of their own. Set-id and
# sticky bits are not extracted (plat-extract(1)): ls tells them.
facts() {
    (cd "$1" && find . -mindepth 1 -printf '%y %m %Ts %P %l ' \( -type f -printf '%s\n' -o -printf '\n' \) |
        sed -E 's/^(.) [0-7]?([0-7]{3}) /\1 \2 /' | LC_ALL=C sort)
}

# Sound with all contents, without a word but $2, "1 note"; extracted into $work/ours.
sound() {
    run plat verify --data "$1"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *": 0 errors, 0 warnings, ${2:-0 notes} in "* ]]
    rm -rf "$work/ours" "$work/theirs"
    mkdir "$work/ours"
    plat extract -C "$work/ours" "$1"
}

# And equal to what unsquashfs makes of it.
same_as_unsquashfs() {
    sound "$1" "${2:-0 notes}"
    unsquashfs -q -n -d "$work/theirs" "$1" > /dev/null
    diff -r --no-dereference "$work/ours" "$work/theirs"
    diff <(facts "$work/ours") <(facts "$work/theirs")
}

@test "mksquashfs: every compressor" {
    for codec in gzip lzo lz4 xz zstd; do
        echo "# $codec"
        mk -comp $codec
        same_as_unsquashfs "$work/i"
    done
    # What Linux does not mount is said.
    mk -comp lzma
    same_as_unsquashfs "$work/i" "1 note"
    [[ "$output" == *"compressed with lzma: Linux does not mount it"* ]]
}

@test "set-id and sticky bits are in the listing" {
    mk
    plat ls --json "$work/i" | python3 -c '
import json, sys
modes = {e["name"]: e["mode"] for e in json.load(sys.stdin)["entries"]}
assert modes["one"] == "4711" and modes["empty.d"] == "1777", modes'
}

@test "mksquashfs: compressor options, of which the layout shows the fields" {
    mk -comp gzip -Xcompression-level 5 -Xwindow-size 10 -Xstrategy default,filtered
    same_as_unsquashfs "$work/i"
    [ "$(plat get "$work/i" gzip_options.level)" = 5 ]
    [ "$(plat get "$work/i" gzip_options.window_bits)" = 10 ]
    mk -comp lzo -Xalgorithm lzo1x_1_15
    same_as_unsquashfs "$work/i"
    [[ "$(plat get "$work/i" lzo_options.algorithm)" == lzo1x_1_15* ]]
    mk -comp xz -Xbcj x86,arm -Xdict-size 8192
    same_as_unsquashfs "$work/i"
    [ "$(plat get "$work/i" xz_options.dictionary_bytes)" = 8192 ]
    mk -comp lz4 -Xhc
    same_as_unsquashfs "$work/i"
    [ "$(plat get "$work/i" lz4_options.flags.hc)" = 1 ]
    mk -comp zstd -Xcompression-level 19
    same_as_unsquashfs "$work/i"
    [ "$(plat get "$work/i" zstd_options.level)" = 19 ]
}

@test "mksquashfs: block sizes, fragments, tables, plain metadata, exports" {
    while read -r options; do
        echo "# $options"
        # shellcheck disable=SC2086
        mk $options
        same_as_unsquashfs "$work/i"
    done <<'OPTIONS'
-b 4096
-b 65536 -comp lz4
-b 1048576 -comp zstd
-no-fragments
-always-use-fragments
-noI -noD -noF -noX
-noI
-noD
-noF
-noId
-all-root
-no-duplicates
-no-exports
-exports -no-sparse
OPTIONS
    mk -nopad
    run plat verify --data "$work/i"
    [ "$status" -eq 0 ]
    [[ "$output" == *"note: tail at 0x"* ]]
}

@test "gensquashfs: every compressor, tails, exports" {
    for codec in gzip lzo lz4 xz zstd; do
        echo "# $codec"
        gensquashfs -q -f -k -D t -c $codec "$work/i"
        # unsquashfs 4.5 does not read its lz4 tables of a few bytes, which are larger than plain.
        if [ $codec != lz4 ]; then same_as_unsquashfs "$work/i"; fi
        sound "$work/i"
        diff -r --no-dereference "$work/ours" t
    done
    gensquashfs -q -f -k -e -T -b 8192 -D t "$work/i"
    same_as_unsquashfs "$work/i"
    gensquashfs -q -f --all-root -D t "$work/i"
    same_as_unsquashfs "$work/i"
}

@test "an empty directory, and one file of no bytes" {
    mkdir -p "$work/e"
    mksquashfs "$work/e" "$work/i" -noappend -no-progress -quiet > /dev/null
    plat verify --data "$work/i"
    [ -z "$(plat ls "$work/i")" ]
    : > "$work/e/none"
    mksquashfs "$work/e" "$work/i" -noappend -no-progress -quiet > /dev/null
    same_as_unsquashfs "$work/i"
}

@test "devices, FIFOs and sockets: kind and number" {
    mk -p 'dev c 600 1 2 5 1' -p 'blk b 640 3 6 300 70000' -p 'pipe i 611 0 0 f' -p 'sock i 755 0 0 s'
    plat verify --data "$work/i"
    plat ls --json "$work/i" | python3 -c '
import json, sys
kinds = {e["name"]: (e["kind"], e["mode"], e["uid"], e["gid"]) for e in json.load(sys.stdin)["entries"]}
assert kinds["dev"] == ("character device", "0600", 1, 2), kinds["dev"]
assert kinds["blk"] == ("block device", "0640", 3, 6), kinds["blk"]
assert kinds["pipe"] == ("fifo", "0611", 0, 0), kinds["pipe"]
assert kinds["sock"] == ("socket", "0755", 0, 0), kinds["sock"]'
    plat dump --json "$work/i" inodes | python3 -c '
import json, sys
numbers = {(d["major"], d["minor_low"] | d["minor_high"] << 8)
           for s in json.load(sys.stdin)["structures"] if s["type"] == "device" for d in [s["fields"]["device"]["fields"]]}
assert numbers == {(5, 1), (300, 70000)}, numbers'
}

@test "a large directory has an index, through which every name is found and no other" {
    mk -comp gzip
    n=$(plat dump --json "$work/i" index | grep -c directory_index)
    [ "$n" -ge 5 ]
    for ((i = 0; i < 300; i += 17)); do
        [ "$(plat cat "$work/i" "/big/${LONG}_$i")" = "$i" ]
    done
    for name in 0 "${LONG}_" zzz; do
        run plat cat "$work/i" "/big/$name"
        [ "$status" -ne 0 ]
    done
}

@test "extended attributes: names and values are in their streams, long ones once" {
    python3 - t <<'PYTHON' || skip "this filesystem keeps no extended attributes"
import os, sys
os.chdir(sys.argv[1])
for file in "one", "text", "again":
    os.setxattr(file, "user.comment", b"hello")
    os.setxattr(file, "user.long", b"z" * 3000)
os.setxattr("text", "user.other", b"x")
os.setxattr("big", "user.dir", b"d")
PYTHON
    mk -xattrs
    same_as_unsquashfs "$work/i"
    plat dump --json "$work/i" | python3 -c '
import json, sys
names, values, shared = set(), 0, 0
for s in json.load(sys.stdin)["structures"]:
    kind = s["path"].split("[")[0]
    if kind == "xattr_names":
        assert s["stream"] == "xattrs" and s["block"]["bytes"] > 2, s
        names.add(s["fields"]["name"])
    values += kind == "xattr_values"
    shared += kind == "xattr_shared"
assert names == {"comment", "long", "other", "dir"}, names
assert values >= 5 and shared >= 1, (values, shared)'
    gensquashfs -q -f -k -x -D t "$work/i"
    same_as_unsquashfs "$work/i"
    mk -no-xattrs
    same_as_unsquashfs "$work/i"
}

@test "structures in metadata have both addresses, in dump, hex and get" {
    mk -comp zstd -exports
    root=$(plat get "$work/i" superblock.inodes)
    run plat dump "$work/i" "inodes[$root]"
    [[ "$output" =~ inodes\[$root\]\ +extended_directory\ +at\ inodes\+0x[0-9a-f]+\ in\ the\ block\ at\ 0x[0-9a-f]+ ]] ||
        [[ "$output" =~ inodes\[$root\]\ +directory\ +at\ inodes\+0x[0-9a-f]+\ in\ the\ block\ at\ 0x[0-9a-f]+ ]]
    [ "$(plat get "$work/i" "names[$root][0].name")" = again ]
    # Root is an id like others.
    plat dump "$work/i" ids | grep -E '^ids\[0\] +0$'
    plat hex "$work/i" "names[$root][0]" | grep -q 'directories+0x.* in the block at 0x'
    # The byte in the middle of the first block of inodes: which block, and what it decompresses to.
    start=$(plat dump --json "$work/i" 'inode_blocks[0]' | python3 -c 'import json,sys; print(json.load(sys.stdin)["structures"][0]["offset"])')
    run plat hex "$work/i" --at $((start + 40))
    [[ "$output" == *"inode_blocks[0]"* ]]
    [[ "$output" == *"decompressed: inodes["*" structures"* ]]
    # The block that a structure names is one of the stream's, and position and block go together.
    plat dump --json "$work/i" | python3 -c '
import json, sys
blocks, streams = {}, set()
for s in json.load(sys.stdin)["structures"]:
    if s["type"] == "metadata_header":
        blocks[s["offset"]] = int(s["path"].split("[")[1][:-1])
    if "stream" in s:
        streams.add(s["stream"])
        assert s["position"] // 8192 == blocks[s["block"]["offset"]], s
assert streams - {"xattrs", "xattr_ids"} == {"inodes", "directories", "fragments", "exports", "ids"}, streams'
}

@test "every byte has an owner, and hex shows a file's blocks" {
    mk -comp lz4 -no-fragments
    size=$(stat -c %s "$work/i")
    for ((at = 0; at < size; at += size / 50)); do
        run plat hex "$work/i" --at "$at"
        [ "$status" -eq 0 ]
        [[ "$output" != *"claimed by nothing"* ]]
    done
    plat hex "$work/i" /random > "$work/hex"
    grep -q '/random' "$work/hex"
}

@test "inside a partition: found, verified, extracted" {
    mk -comp xz
    size=$(stat -c %s "$work/i")
    truncate -s $((1048576 * 2 + size)) "$work/disk"
    printf 'label: gpt\nstart=2048, size=%d, name=root\n' $((size / 512)) | sfdisk -q "$work/disk"
    dd if="$work/i" of="$work/disk" bs=1M seek=1 conv=notrunc status=none
    run plat verify --data "$work/disk"
    [ "$status" -eq 0 ]
    [ "$(plat cat "$work/disk" root:/one)" = a ]
    block=$(plat dump --json "$work/disk" 'root.inodes[1]' | python3 -c 'import json,sys; print(json.load(sys.stdin)["structures"][0]["block"]["offset"])')
    alone=$(plat dump --json "$work/i" 'inodes[1]' | python3 -c 'import json,sys; print(json.load(sys.stdin)["structures"][0]["block"]["offset"])')
    [ "$block" -eq $((alone + 1048576)) ]
}

@test "damage is found, with the block and the position in the stream" {
    mk -comp gzip -noI
    start=$(plat get --json "$work/i" superblock.inode_table_start)
    # The mode of the first inode, in a plain metadata block: 2 bytes of header, 2 of type.
    printf '\xff\xff' | dd of="$work/i" bs=1 seek=$((start + 4)) conv=notrunc status=none
    run plat verify "$work/i"
    [[ "$output" == *"inodes["*"].head.mode at 0x"*" (inodes+0x2)"* ]]
    mk -comp gzip
    # In the middle of compressed contents: zlib's checksum finds it, with --data.
    block=$(plat get --json "$work/i" 'fragments[0].start_block')
    printf 'XXXX' | dd of="$work/i" bs=1 seek=$((block + 200)) conv=notrunc status=none
    plat verify "$work/i"
    run plat verify --data "$work/i"
    [ "$status" -eq 1 ]
    [[ "$output" == *"fragments at 0x"* ]]
    run plat extract -C "$work" "$work/i"
    [ "$status" -eq 1 ]
}

@test "versions before 4 are refused by name" {
    mk -comp gzip
    printf '\x03' | dd of="$work/i" bs=1 seek=28 conv=notrunc status=none
    run plat ls "$work/i"
    [ "$status" -eq 2 ]
    [[ "$output" == *"SquashFS 3.0"* ]]
}
