#!/bin/bash
# How many partitions does Linux show on each disk image? Boots Debian's cloud kernel in QEMU (TCG, about 5 s) with a
# small initrd that counts, and prints "DISK <number> <partitions>" for each argument, numbered from 0. Where a whole
# disk can be mounted as vfat and /EFI/BOOT/BOOTX64.EFI be read, "MOUNT <number>" follows. A name with "4kn" in it makes the
# disk one of 4096-byte sectors.
#
# linux_partitions.sh WORKDIR IMAGE...
# Exit 3: something that it needs is not installed.
set -eu
work=$1
shift
kernel=$(find /boot -name 'vmlinuz-*-cloud-amd64' 2>/dev/null | sort | tail -n 1)
for tool in qemu-system-x86_64 busybox cpio modprobe; do
    command -v "$tool" >/dev/null || { echo "missing: $tool"; exit 3; }
done
[ -n "$kernel" ] || { echo "missing: linux-image-cloud-amd64"; exit 3; }
release=${kernel#/boot/vmlinuz-}
root=$work/initrd
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/mnt" "$root/modules"
cp "$(command -v busybox)" "$root/bin/busybox"
number=100
for module in virtio_pci virtio_scsi sd_mod vfat nls_cp437 nls_ascii; do
    modprobe -S "$release" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/modules"
while read -r file; do
    name=$root/modules/$number-$(basename "$file")
    case $file in
    *.xz) xz -dc "$file" >"${name%.xz}" ;;
    *.zst) zstd -dqc "$file" >"${name%.zst}" ;;
    *) cp "$file" "$name" ;;
    esac
    number=$((number + 1))
done <"$work/modules"
# Disks are found in any order; their LUN tells which is which.
cat >"$root/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do /bin/busybox insmod \$module; done
tries=0
while [ \$tries -lt 100 ]; do
    set -- /sys/block/sd*
    [ \$# -ge $# ] && break
    /bin/busybox sleep 0.1
    tries=\$((tries + 1))
done
/bin/busybox sleep 1
for disk in /sys/block/sd*; do
    lun=\$(/bin/busybox readlink \$disk/device)
    count=0
    for part in \$disk/\${disk##*/}[0-9]*; do [ -e \$part/start ] && count=\$((count + 1)); done
    echo "DISK \${lun##*:} \$count"
    if /bin/busybox mount -t vfat -o ro,iocharset=ascii /dev/\${disk##*/} /mnt; then
        /bin/busybox cat /mnt/EFI/BOOT/BOOTX64.EFI >/dev/null && echo "MOUNT \${lun##*:}"
        /bin/busybox umount /mnt
    fi
done
/bin/busybox poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$work/initrd.cpio"
drives=()
lun=0
for image in "$@"; do
    sectors=
    case ${image##*/} in *4kn*) sectors=,logical_block_size=4096,physical_block_size=4096 ;; esac
    drives+=(-drive "if=none,id=d$lun,format=raw,file=$image,snapshot=on"
        -device "scsi-hd,drive=d$lun,channel=0,scsi-id=0,lun=$lun$sectors")
    lun=$((lun + 1))
done
timeout 120 qemu-system-x86_64 -M q35,accel=tcg -m 256 -nodefaults -nographic -serial stdio -no-reboot \
    -kernel "$kernel" -initrd "$work/initrd.cpio" -append "console=ttyS0 quiet panic=-1" \
    -device virtio-scsi-pci "${drives[@]}" </dev/null
