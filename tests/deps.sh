#!/bin/sh
# Installs the Debian packages that are missing for what is asked: build, test, browser, npm, demo, lint, bench.
# As root, or through sudo. Says what it does; does nothing when all is there.
set -eu
build="gcc make pkg-config libc6-dev libarchive-dev libjansson-dev libpcre2-dev nettle-dev libxxhash-dev zlib1g-dev liblzma-dev libunistring-dev
       libdeflate-dev libzstd-dev liblz4-dev liblzo2-dev"
boot="qemu-system-x86 ovmf linux-image-cloud-amd64 systemd-boot-efi busybox-static"
want=""
for group in "$@"; do
    case $group in
    build) want="$want $build" ;;
    demo) want="$want $build $boot mtools dosfstools gdisk fdisk squashfs-tools" ;;
    test) want="$want $build $boot bats mtools dosfstools gdisk fdisk genimage python3 python3-jsonschema cpio zip
          libarchive-tools bsdextrautils e2fsprogs erofs-utils qemu-utils genisoimage xorriso binutils squashfs-tools
          squashfs-tools-ng squashfuse mandoc kmod xz-utils zstd lz4 lzop time" ;;
    browser) command -v chromium >/dev/null || want="$want chromium" ;;
    npm) command -v npm >/dev/null || want="$want nodejs npm" ;; # who has it from elsewhere cannot have Debian's, too
    lint) want="$want $build clang clang-format clang-tidy cppcheck" ;;
    fuzz) want="$want $build clang libclang-rt-14-dev xz-utils" ;;
    bench) want="$want $build mtools dosfstools fdisk genimage time e2fsprogs squashfs-tools squashfs-tools-ng" ;;
    coverage) want="$want $build lcov" ;;
    *) echo "deps.sh: unknown group $group" >&2; exit 2 ;;
    esac
done
missing=""
for package in $want; do
    case " $missing " in *" $package "*) continue ;; esac
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "deps.sh: not root and no sudo; install by hand: apt-get install$missing" >&2; exit 1; }
    sudo="sudo"
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if ! { $sudo apt-get update && $sudo apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "deps.sh: installation failed" >&2
    exit 1
fi
