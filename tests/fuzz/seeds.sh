#!/bin/bash
# Seeds of fuzz target $1 into directory $2; everything is made here from text, nothing binary is kept in git.
set -euo pipefail
case $1 in
fuzz_schema)
    cp schemas/gpt.json schemas/mbr.json schemas/fat32.json "$2"
    for f in cpio mbr; do # with an image behind a NUL
        { cat schemas/$f.json; printf '\0'; head -c 4096 /bin/true; } > "$2/image-$f"
    done
    for f in tests/bad/schema/*.json tests/gen/*.json; do if [ -e "$f" ]; then cp "$f" "$2"; fi; done ;;
fuzz_expr)
    i=0
    while IFS= read -r line; do printf '%s' "$line" > "$2/e$((i += 1))"; done <<'EXPRESSIONS'
n > 0 && n <= 3
crc32(bytes(self), zero: sum) == sum
s < -1 ? pair[0] : pair[1] << 3
align_up(n * unit_bytes, 16) + offset(self)
magic == 'TOY1' || magic == "TOY2"
all_zero(bytes_at(n, 16)) && len(bytes(self, 4, 4)) == 4
one.n * 16 + 16
min(count(many), log2(image.bytes)) ^ 0xFF & ~n | 1
present(many) && many[1].pair[1] % 2 == 0
sha256(bytes(self)) == bytes(self)
uint_le(bytes(sum)) != uint_be(bytes(sum)) && is_pow2(n)
18446744073709551615 + 0
EXPRESSIONS
    ;;
fuzz_path)
    printf 'esp.dir["/EFI/BOOT"][2].modified_time.hours\nesp.dir' > "$2/a"
    printf 'gpt.entries[0x2].first_lba' > "$2/b"
    printf '4KiB\n' > "$2/c"
    printf 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' > "$2/d"
    printf 'a/**/[b-d]?*.txt\na/b/c/d/cx1.txt' > "$2/e"
    printf 'x["quote \\" and \\\\ slash"]' > "$2/f" ;;
fuzz_recipe)
    for f in tests/bad/recipe/*.json examples/*/recipe.json tests/cli/recipes/*.json; do
        if [ -e "$f" ]; then cp "$f" "$2/$(echo "$f" | tr / _)"; fi
    done ;;
fuzz_sources)
    printf '*.o\n0755\ndev/x:c:5:1:0600\na/b.o\n. type=dir mode=0755 time=1.000000002\n./a type=fifo\n' > "$2/a"
    printf '/a/**/b[!x-z]/\nu=rwX,go=u-w\nl\\:x:l:y:z\na/c/ba\n/set type=file optional uid=7\n./x contents=y \\\n size=5\n/unset all\n' > "$2/b"
    printf '!**\n+t,g+s\ns:s:1777:1:2\n\\#\nd type=dir\n  s type=socket\n..\n./\\303\\244#x type=char device=native,5,1\n' > "$2/c"
    printf '[[:alpha:]-]\\ \n=\nd:d:0\nx\n./l type=link link=a\\040b nlink=2 inode=9\n# c\n./b type=block device=0x801 nochange' > "$2/d" ;;
fuzz_image)
    # One patch each: offset (little endian), length - 1, bytes.
    printf '\x00\x02\x00\x00\x03AAAA' > "$2/gpt-header"
    printf '\x00\x04\x00\x00\x1fAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' > "$2/gpt-entry"
    printf '\x0b\x00\x10\x00\x01\xff\xff' > "$2/fat-boot"
    printf '\x08\x40\x10\x00\x03\x02\x00\x00\x00' > "$2/fat-chain"
    printf '\x00\x00\x00\x80\x03AAAA' > "$2/tail" ;;
fuzz_caposro1)
    # One patch each, as above: version, node count, a name's length, a first child.
    printf '\x08\x00\x00\x02' > "$2/version"
    printf '\x18\x00\x00\xff\x1c\x00\x00\xff' > "$2/count"
    printf '\x98\x80\x00\xff' > "$2/name"
    printf '\x34\x80\x00\x00' > "$2/child" ;;
fuzz_caposst1)
    # One patch each, as above: version, live area, entry count, cursor, a copy that is not the same, kind and place of an entry.
    printf '\x10\x00\x00\x03' > "$2/version"
    printf '\x1c\x00\x00\x01' > "$2/shadow"
    printf '\x60\x00\x00\x09' > "$2/count"
    printf '\x70\x00\x00\x30' > "$2/cursor"
    printf '\x18\x02\x00\x01' > "$2/writing"
    printf '\x38\x80\x00\x02' > "$2/kind"
    printf '\x20\x80\x00\x07\x28\x80\x00\xff' > "$2/place" ;;
fuzz_caposwf1)
    # As above: version, levels, a state; kinds, levels and sizes of the first records, an entry, a bit of the bitmap.
    printf '\x10\x00\x00\x03' > "$2/version"
    printf '\x60\x00\x00\x03' > "$2/levels"
    printf '\x18\x02\x00\x01' > "$2/writing"
    for at in 00 01 10 18 20 24 28 80 90; do printf "\\x$at\\x80\\x00\\x05" > "$2/node-$at"; done ;;
fuzz_squashfs)
    # One patch each, as above: inodes, fragments, a table's place, a file's size, a block's size, a listing's header.
    printf '\x04\x00\x00\xff' > "$2/inodes"
    printf '\x10\x00\x00\xff\x13\x00\x00\x7f' > "$2/fragments"
    printf '\x40\x00\x00\x70' > "$2/table"
    printf '\x1c\x80\x00\x7f' > "$2/size"
    printf '\x3b\x80\x00\xff' > "$2/block"
    printf '\xf0\x80\x00\xff' > "$2/header" ;;
fuzz_archive)
    tmp=$(mktemp -d)
    mkdir -p "$tmp/a/b"; echo hello > "$tmp/a/b/file"; ln -s b/file "$tmp/a/link"; ln "$tmp/a/b/file" "$tmp/a/hard"
    (cd "$tmp" && tar -cf "$OLDPWD/$2/t.tar" a 2>/dev/null || tar -C "$tmp" -cf "$2/t.tar" a)
    tar -C "$tmp" -czf "$2/t.tgz" a
    (cd "$tmp" && find a | cpio -o -H newc 2>/dev/null) > "$2/t.cpio" || true
    (cd "$tmp" && zip -qr - a) > "$2/t.zip" 2>/dev/null || rm -f "$2/t.zip"
    rm -rf "$tmp" ;;
fuzz_console)
    printf 'MARKER (one|two)\n!panic\n\nboot\x1b[2J\x1b[01;01HMARKER one\r\n[    1.500000] kernel says\nMARKER two\n' > "$2/a"
    printf 'MARKER 1 done$\n\nMARK[   12.345678] random: crng init done\r\nER 1 done\r\n' > "$2/b"
    printf '^login: $\n\n\x1b]0;title\x07login: ' > "$2/c"
    printf 'x\n\n[    1.000000] Kernel panic - not syncing: VFS\n' > "$2/d" ;;
fuzz_codec)
    # Bytes 0 and 1: way and codec, room. A zlib stream of a stored block, lz4 and lzo of literals alone.
    text=$(seq 1 200; printf 'struct block { size };%.0s' {1..40})
    printf '\x00\x10\x78\x01\x01\x03\x00\xfc\xffabc\x02\x4d\x01\x27' > "$2/gzip"
    printf '\x10\x10\x30abc' > "$2/lz4"
    printf '\x08\x10\x14abc\x11\x00\x00' > "$2/lzo"
    { printf '\x04\x30'; printf %s "$text" | xz -c --format=lzma -0; } > "$2/lzma"
    { printf '\x0c\x30'; printf %s "$text" | xz -c --check=crc32 --x86 --lzma2=preset=0,dict=8KiB; } > "$2/xz"
    for c in 0 1 2 3 4 5 6 7 8 9 10; do
        { printf "\\x$(printf %02x $((c * 4 + 1)))\\x30\\x09\\x00\\x01\\x10\\x00\\x02\\x20\\x00\\x03\\x30\\x00\\x04"; printf %s "$text"; } > "$2/changed-$c"
        { printf "\\x$(printf %02x $((c * 4 + 2)))\\x30"; printf %s "$text"; } > "$2/same-$c"
    done ;;
esac
