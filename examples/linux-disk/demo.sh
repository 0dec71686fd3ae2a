#!/bin/sh
# make demo: build a bootable disk, verify it, look into it, boot it. One line a step. Reads PLAT and B.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
plat=${PLAT:-build/plat}
out=${B:-build}/demo
disk=$out/linux.img
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$out"
step() { printf '\n== %s\n' "$*"; }

release=""
for k in /boot/vmlinuz-*-cloud-amd64; do [ -r "$k" ] && release=${k#/boot/vmlinuz-}; done
[ -n "$release" ] || { echo "demo: no kernel in /boot; apt-get install linux-image-cloud-amd64" >&2; exit 1; }

step "build: plat build examples/linux-disk/recipe.json -D RELEASE=$release -o $disk"
"$plat" build "$here/recipe.json" -D RELEASE="$release" -o "$disk"
"$plat" build "$here/recipe.json" -D RELEASE="$release" -o "$disk.again"
cmp "$disk" "$disk.again" && echo "built twice, same bytes: $(sha256sum < "$disk" | cut -c1-64)"
rm -f "$disk.again"

step "verify: plat verify --data"
"$plat" verify --data "$disk"

# The sectors of partition $1 in the file $2: for tools that know no partitions.
part() {
    start=$("$plat" get --json "$disk" "gpt.entries[$1].first_lba")
    end=$("$plat" get --json "$disk" "gpt.entries[$1].last_lba")
    dd if="$disk" of="$2" bs=512 skip="$start" count=$((end - start + 1)) status=none conv=sparse
}
step "what others say: sgdisk -v, sfdisk --verify, fsck.fat -n, unsquashfs -lls"
sgdisk -v "$disk" | grep -v '^$'
sfdisk --verify "$disk"
part 0 "$out/esp.img"
fsck.fat -n "$out/esp.img"
part 1 "$out/root.img"
unsquashfs -lls "$out/root.img"
rm -f "$out/esp.img" "$out/root.img"

step "the partition table: plat dump gpt.entries"
"$plat" dump "$disk" gpt.entries

step "the files of the ESP: plat ls -R -p esp"
"$plat" ls -lR -p esp "$disk"

step "the files of the root: plat ls -lR -p root"
"$plat" ls -lR -p root "$disk"

step "a structure in a compressed block, with both addresses: plat dump 'root.inodes[1]'"
"$plat" dump "$disk" 'root.inodes[1]'

step "a structure: plat dump gpt.primary"
"$plat" dump "$disk" gpt.primary

step "bytes with names: plat hex esp.boot (first lines)"
"$plat" hex "$disk" esp.boot | head -n 12

step "boot: plat boot --expect ... (QEMU, OVMF, systemd-boot, Linux)"
"$plat" boot "$disk" --bus nvme --timeout 150 --log "$out/console.log" \
    --expect 'PLAT-GUEST kernel \S+' \
    --expect "PLAT-GUEST partition nvme0n1p1 'esp'" \
    --expect 'PLAT-GUEST hello from the initrd that plat packed' \
    --expect 'PLAT-GUEST root is squashfs ro' \
    --expect "PLAT-GUEST sha256 $(sha256sum < /bin/busybox | cut -c1-64)  /bin/busybox" \
    --expect "PLAT-GUEST motd: $(cat "$here/root/etc/motd")"
