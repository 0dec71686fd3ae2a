#!/bin/bash
# Seeds of fuzz target $1 into directory $2; everything is made here from text, nothing binary is kept in git.
set -euo pipefail
case $1 in
fuzz_schema)
    cp schemas/gpt.json schemas/mbr.json schemas/fat32.json "$2"
    for f in tests/bad/schema/*.json; do cp "$f" "$2"; done ;;
fuzz_recipe)
    for f in tests/bad/recipe/*.json examples/*/recipe.json; do cp "$f" "$2/$(echo "$f" | tr / _)"; done ;;
fuzz_image)
    # One patch each: offset (little endian), length - 1, bytes.
    printf '\x00\x02\x00\x00\x03AAAA' > "$2/gpt-header"
    printf '\x00\x04\x00\x00\x1fAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' > "$2/gpt-entry"
    printf '\x0b\x00\x10\x00\x01\xff\xff' > "$2/fat-boot"
    printf '\x08\x40\x10\x00\x03\x02\x00\x00\x00' > "$2/fat-chain"
    printf '\x00\x00\x00\x80\x03AAAA' > "$2/tail" ;;
fuzz_archive)
    tmp=$(mktemp -d)
    mkdir -p "$tmp/a/b"; echo hello > "$tmp/a/b/file"; ln -s b/file "$tmp/a/link"; ln "$tmp/a/b/file" "$tmp/a/hard"
    (cd "$tmp" && tar -cf "$OLDPWD/$2/t.tar" a 2>/dev/null || tar -C "$tmp" -cf "$2/t.tar" a)
    tar -C "$tmp" -czf "$2/t.tgz" a
    (cd "$tmp" && find a | cpio -o -H newc 2>/dev/null) > "$2/t.cpio" || true
    (cd "$tmp" && zip -qr - a) > "$2/t.zip" 2>/dev/null || rm -f "$2/t.zip"
    rm -rf "$tmp" ;;
fuzz_console)
    printf 'boot\x1b[2J\x1b[01;01HMARKER one\r\n[    1.5] kernel says\nMARKER two\n' > "$2/a" ;;
esac
