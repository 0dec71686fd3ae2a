#!/usr/bin/env bats
# Formats that plat knows by their layout alone, beside each format's own tool. ELF has a file of its own.

bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    export LC_ALL=C
    PATH=$PATH:/usr/sbin:/sbin
}

need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

fields() { # FORMAT FILE...: verify is clean, and every value as the tool has it
    for f in "${@:2}"; do
        run -0 "$PLAT" verify "$f" || { echo "$f: $output"; return 1; }
        [[ $output == *"0 errors, 0 warnings"* ]] || { echo "$f: $output"; return 1; }
    done
    run -0 python3 "$root/tests/oracle/schema_fields.py" "$PLAT" "$@"
    echo "$output"
}

poke() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

finds() { # WORDS FILE
    run -1 "$PLAT" verify "$2"
    [[ $output == *"$1"* ]] || { echo "no '$1' in $output"; return 1; }
}

tree() {
    mkdir -p tree/sub/deeper
    seq 3000 >tree/numbers
    echo text >tree/sub/short
    ln -s numbers tree/link
}

@test "ext4: what dumpe2fs prints, in 11 sets of features; backup superblocks" {
    need dumpe2fs
    sets=0
    while read -r options; do
        sets=$((sets + 1))
        truncate -s 300M image
        mke2fs -q -F $options image </dev/null
        fields ext4 image </dev/null
        rm image
    done <<'SETS'
-t ext4 -b 1024
-t ext4 -b 4096 -L label
-t ext4 -b 1024 -O ^64bit,^metadata_csum,uninit_bg
-t ext4 -b 1024 -O 64bit,^metadata_csum,uninit_bg
-t ext4 -b 4096 -O ^64bit
-t ext4 -b 1024 -O metadata_csum,metadata_csum_seed
-t ext4 -b 1024 -O sparse_super2
-t ext4 -b 1024 -O bigalloc
-t ext4 -b 1024 -O meta_bg,^resize_inode
-t ext2 -b 1024 -O ^sparse_super,^resize_inode
-t ext3 -b 1024 -E resize=2000000
SETS
    [ "$sets" -eq 11 ]
}

@test "ext4: wrong checksums of superblock, descriptor and backup; a cut image" {
    need mke2fs
    truncate -s 64M good
    mke2fs -q -F -t ext4 -b 1024 good
    run -0 "$PLAT" verify good
    cp good bad && poke bad 1150 X && finds "superblock.checksum at 0x7fc" bad
    cp good bad && poke bad 2062 X && finds "descriptors[0].checksum" bad
    cp good bad && poke bad $((1024 + 3 * 8192 * 1024 + 130)) X && finds "backups_3[0].checksum" bad
    cp good bad && truncate -s 20M bad && finds "the image ends before" bad
}

@test "erofs: what dump.erofs prints, compact and extended root; a wrong checksum" {
    need dump.erofs
    tree
    mkfs.erofs -x-1 one tree >/dev/null
    mkfs.erofs -zlz4 -Eforce-inode-extended two tree >/dev/null
    fields erofs one two
    run -0 "$PLAT" get two root.format.extended
    [ "$output" = 1 ]
    poke one 1100 X
    finds "superblock.checksum" one
}

@test "qcow2: what qemu-img prints: versions, backing file, snapshots, allocated clusters; a bad header" {
    need qemu-img
    qemu-img create -q -f qcow2 base.qcow2 10G
    qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 -o lazy_refcounts=on over.qcow2
    qemu-img snapshot -c first over.qcow2
    qemu-img snapshot -c 'the second' over.qcow2
    qemu-img create -q -f qcow2 -o compat=0.10 old.qcow2 100M
    qemu-img create -q -f qcow2 -o cluster_size=4096,refcount_bits=1,compression_type=zstd small.qcow2 33M
    qemu-io -c 'write 0 64k' small.qcow2 >/dev/null
    fields qcow2 base.qcow2 over.qcow2 old.qcow2 small.qcow2
    cp base.qcow2 bad && poke bad 23 '\036' && finds "clusters of 2^30 bytes" bad
    cp base.qcow2 bad && poke bad 39 '\001' && finds "too few for a disk" bad
}

@test "iso9660: what isoinfo prints: genisoimage with Joliet, xorriso; directories of several sectors" {
    need isoinfo
    mkdir -p many
    for n in $(seq 120); do echo "$n" >many/FILE$n.TXT; done
    mkdir many/SUB many/SUB/LOWER many/ODD
    genisoimage -quiet -J -V MYVOL -publisher ME -o one.iso many
    fields iso9660 one.iso
    run -0 "$PLAT" get one.iso 'descriptors[1].volume_id'
    [[ $output == MYVOL* ]]
    command -v xorriso >/dev/null && xorriso -as mkisofs -quiet -V XVOL -o two.iso many 2>/dev/null && fields iso9660 two.iso
    poke one.iso 32849 '\377' # the size in little-endian order alone
    finds "the little-endian and the big-endian copy differ" one.iso
}

@test "cpio: what GNU cpio prints; digits that are none; a member that ends behind the archive" {
    need cpio
    tree
    (cd tree && find . | sort | cpio -o -H newc --quiet) >new.cpio
    (cd tree && find . | sort | cpio -o -H crc --quiet) >crc.cpio
    fields cpio new.cpio crc.cpio
    "$PLAT" mk cpio tree -o own.cpio
    fields cpio own.cpio
    cp new.cpio bad && poke bad 20 G && finds "text that should be a number is none" bad
    head -c 9000 new.cpio >bad && finds "the archive ends before" bad
}

@test "PE: what objdump prints of programs for UEFI and Windows; a directory count that does not fit" {
    need objdump
    set --
    for f in /usr/lib/systemd/boot/efi/*.efi /usr/lib/systemd/boot/efi/*.stub /usr/lib/perf-core/tests/*.exe; do
        [ "$(head -c 2 "$f" 2>/dev/null)" = MZ ] && set -- "$@" "$f"
    done
    [ $# -gt 0 ] || skip "no PE file is installed"
    fields pe "$@"
    run -0 "$PLAT" get "$1" 'directories[5].virtual_address'
    [[ $output == *"(base_relocation)" ]]
    cp "$1" bad
    at=$("$PLAT" get bad coff.size_of_optional_header)
    [ "$at" -gt 0 ]
    offset=$((0x$(od -An -tx4 -j60 -N4 bad | tr -d ' ') + 20))
    poke bad $offset '\140\0'
    finds "the data directories end behind the optional header" bad
}

# Debian 12 has no bcachefs-tools: bytes laid out here after the kernel's documentation, with a checksum computed here.
@test "bcachefs: a superblock laid out after its documentation; checksums of both kinds; damage" {
    python3 - <<'PY'
import struct, uuid
def crc32c(data, crc):
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc
magic = uuid.UUID("c68573f6-66ce-90a9-d96a-60cf803df7ef").bytes
layout = magic + struct.pack("<BBB5x", 0, 11, 2) + struct.pack("<61Q", 8, 2056, *[0] * 59)
fields = struct.pack("<II8x", 2, 7) + struct.pack("<II", 1, 6)
for name, kind in (("nonzero", 1), ("plain", 5), ("none", 0)):
    image = bytearray(4 << 20)
    for sector in (8, 2056):
        body = struct.pack("<HH4x", 1036, 1024) + magic + b"A" * 16 + b"B" * 16 + b"data".ljust(32, b"\0") + struct.pack("<QQHBBI", sector, 3, 8, 0, 1, 3)
        body += struct.pack("<QII", 12345, 0, 1) + struct.pack("<Q48x", 3 | kind << 2 | 512 << 12) + struct.pack("<Q16x16x", 99) + layout
        assert len(body) == 752 - 16
        csum = {1: crc32c(body + fields, 0xffffffff) ^ 0xffffffff, 5: crc32c(body + fields, 0), 0: 0}[kind]
        image[sector * 512:sector * 512 + 752 + len(fields)] = struct.pack("<QQ", csum, 0) + body + fields
    image[3584:4096] = layout
    open(name, "wb").write(image)
PY
    for f in nonzero plain none; do
        run -0 "$PLAT" verify "$f"
        [[ $output == *"0 errors, 0 warnings"* ]]
    done
    run -0 "$PLAT" dump --json plain
    [ "$(python3 -c '
import json, sys
s = {x["path"]: x["fields"] for x in json.load(sys.stdin)["structures"]}
b = s["superblock"]
print(b["label"], b["offset"], b["seq"], b["block_size"], b["u64s"], b["flags0"]["fields"]["btree_node_size"], b["layout"]["sb_offset"][:2], s["fields[0]"]["type"], s["fields[1]"]["type"], s["second"]["offset"])' <<<"$output")" = "data 8 3 8 3 512 [8, 2056] replicas clean 2056" ]
    for f in nonzero plain; do cp $f bad && poke bad 4850 X && finds "superblock.csum_lo" bad; done
    cp none bad && poke bad 4200 '\001' && finds "the superblock says that it is at sector" bad
}

@test "a partition with a format that is known by its layout alone; a driver goes first" {
    need mke2fs
    need sgdisk
    truncate -s 64M disk.img
    sgdisk -n 1:2048:67583 -c 1:linux disk.img >/dev/null
    truncate -s 32M e
    mke2fs -q -F -t ext4 -L inside e
    dd if=e of=disk.img bs=1M seek=1 conv=notrunc status=none
    run -0 "$PLAT" get disk.img linux.superblock.volume_name
    [ "$output" = inside ]
    run -0 "$PLAT" verify disk.img
    cp "$root/README.md" r && "$PLAT" mk squashfs "$root/man" -o q
    run -0 "$PLAT" dump --json q
    [[ $output == *'"format": "squashfs"'* ]]
}

@test "cut anywhere, and with bytes changed: none of the formats crashes plat or keeps it" {
    need mke2fs
    tree
    mkdir samples
    cp /bin/true samples/elf
    truncate -s 2M samples/ext4 && mke2fs -q -F -t ext4 -b 1024 samples/ext4
    (cd tree && find . | cpio -o -H newc --quiet) >samples/cpio
    command -v mkfs.erofs >/dev/null && mkfs.erofs samples/erofs tree >/dev/null
    command -v qemu-img >/dev/null && qemu-img create -q -f qcow2 samples/qcow2 1M && qemu-img snapshot -c s samples/qcow2
    command -v genisoimage >/dev/null && genisoimage -quiet -J -o samples/iso9660 tree
    for f in /usr/lib/systemd/boot/efi/*.efi; do cp "$f" samples/pe; break; done
    python3 - "$PLAT" <<'PY'
import os, random, subprocess, sys
random.seed(7)
at = {"ext4": 1024, "erofs": 1024, "iso9660": 32768}
runs = 0
for name in sorted(os.listdir("samples")):
    good = open("samples/" + name, "rb").read()
    start = at.get(name, 0)
    for n in range(44):
        bad = bytearray(good)
        if n < 12:
            bad = bad[:random.choice([random.randrange(len(bad)), start + random.randrange(600)])]
        else:
            for _ in range(random.choice([1, 2, 8])):
                place = start + random.randrange(min(2200, len(bad) - start)) if n % 3 else random.randrange(len(bad))
                bad[place] = random.choice([0, 1, 0x7f, 0x80, 0xff, random.randrange(256)])
        open("bad", "wb").write(bad)
        for command in ("dump", "verify"):
            done = subprocess.run([sys.argv[1], command, "--schema", name, "bad"], capture_output=True, timeout=60)
            runs += 1
            if done.returncode not in (0, 1, 2):
                sys.exit(f"{name}, case {n}: plat {command}: exit {done.returncode}: {done.stderr[:300]}")
print(runs, "runs")
PY
}
