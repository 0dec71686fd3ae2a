#!/usr/bin/env bats
# plat schema export --to kaitai: the Kaitai compiler takes each .ksy, and its parser reads from real images what plat reads.
# The compiler and the runtime come from npm (tests/oracle/kaitai); offline the tests say that they skip.

bats_require_minimum_version 1.5.0

setup_file() {
    here=$(cd "$BATS_TEST_DIRNAME" && pwd)
    export KAITAI="$BATS_FILE_TMPDIR/kaitai"
    cp -r "$here/kaitai" "$KAITAI"
    if command -v npm >/dev/null; then
        (cd "$KAITAI" && timeout 300 npm ci --no-audit --no-fund >npm.log 2>&1) || echo "npm cannot fetch the Kaitai compiler: offline?" >"$KAITAI/skip"
    else
        echo "npm is not installed" >"$KAITAI/skip"
    fi
}

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    [ ! -e "$KAITAI/skip" ] || skip "$(cat "$KAITAI/skip")"
    cd "$BATS_TEST_TMPDIR"
    export LC_ALL=C
    PATH=$PATH:/usr/sbin:/sbin
}

agree() { # SCHEMA IMAGE LEAST: at least so many values compared
    "$PLAT" schema export --to kaitai "$1" -o "$1.ksy"
    "$PLAT" dump --json --schema "$1" "$2" >dump
    run -0 node "$KAITAI/compare.js" "$1.ksy" dump "$2" "$3"
    echo "$output"
}

@test "ELF in both classes and byte orders" {
    agree elf /bin/true 500
    for form in elf32-big elf64-big elf32-i386; do
        objcopy -I binary -O $form /etc/passwd o
        agree elf o 100
    done
}

@test "tables and filesystems with drivers: gpt, mbr, fat32, squashfs, and the native formats" {
    command -v sgdisk >/dev/null || skip "sgdisk is not installed"
    truncate -s 64M disk
    sgdisk -n 1:2048:+20M -c 1:esp -t 1:ef00 -n 2:0:0 disk >/dev/null
    agree gpt disk 1500
    agree mbr disk 40
    "$PLAT" mk fat32 "$root/man" -o fat
    agree fat32 fat 100
    for format in squashfs caposro1 caposwf1; do
        "$PLAT" mk $format "$root/man" -o image
        agree $format image 30
        rm image
    done
    "$PLAT" mk caposst1 "$root/man" -o store
    agree caposst1 store 30
}

@test "formats by their layout alone: ext4, qcow2, EROFS, ISO 9660, PE, cpio" {
    truncate -s 100M e
    mke2fs -q -F -t ext4 -b 1024 e
    agree ext4 e 500
    if command -v qemu-img >/dev/null; then
        qemu-img create -q -f qcow2 base 10G
        qemu-img create -q -f qcow2 -b base -F qcow2 q
        agree qcow2 q 1000
    fi
    command -v mkfs.erofs >/dev/null && mkfs.erofs r "$root/man" >/dev/null && agree erofs r 40
    command -v genisoimage >/dev/null && genisoimage -quiet -J -o i "$root/man" && agree iso9660 i 80
    for f in /usr/lib/systemd/boot/efi/*.efi; do [ ! -e "$f" ] || agree pe "$f" 20; done
}

# What Kaitai has no words for is said, and the compiler still takes the rest.
@test "what cannot be said stands in comments, with the expression" {
    "$PLAT" schema export --to kaitai cpio >cpio.ksy
    grep -q '^  # not expressible: members: align_up(offset(self)' cpio.ksy
    "$PLAT" schema export --to kaitai ext4 >ext4.ksy
    grep -q '# not checked: equals checksum: crc32c' ext4.ksy
    for name in $("$PLAT" schema list | cut -d' ' -f1); do
        "$PLAT" schema export --to kaitai "$name" >"$name.ksy"
        run -0 node -e 'const K = require(process.argv[1] + "/node_modules/kaitai-struct-compiler"), Y = require(process.argv[1] + "/node_modules/js-yaml");
            (typeof K === "function" ? new K() : K).compile("javascript", Y.load(require("fs").readFileSync(process.argv[2], "utf8")), null, false).catch((e) => { console.log(String(e)); process.exit(1); })' "$KAITAI" "$name.ksy"
    done
}
