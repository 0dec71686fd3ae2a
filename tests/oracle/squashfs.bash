# Who reads a SquashFS besides plat, for the bats files of tests/oracle. Sourced.

trees() { python3 "$BATS_TEST_DIRNAME/squashfs_trees.py" "$@"; }
is_root() { [ "$(id -u)" -eq 0 ]; }
may_mount() { is_root && grep -q squashfs /proc/filesystems && [ -e /dev/loop-control ]; }
may_fuse() { is_root && [ -c /dev/fuse ] && command -v squashfuse >/dev/null; }
# Says what is missing, in the test's output and as its own; bats shows descriptor 3.
readers_missing() {
    may_mount || echo "# without the kernel: no squashfs mounts here" >&3
    may_fuse || echo "# without squashfuse: it or /dev/fuse is missing, or this is not root" >&3
}

# Everything below the working directory, and below $1 of it.
listing() {
    find "${1:-.}" -mindepth 1 \( -type d -printf '%P|%y|%m|%U|%G||%n|%Ts|%l\n' -o -printf '%P|%y|%m|%U|%G|%s|%n|%Ts|%l\n' \) |
        LC_ALL=C sort
}
# Runs a command in a directory where the image is mounted, by the kernel or by squashfuse.
mounted() { # kernel|squashfuse IMAGE COMMAND...
    local how=$1 image=$2 at=$BATS_TEST_TMPDIR/mnt status=0
    shift 2
    mkdir -p "$at"
    case $how in
    kernel) mount -t squashfs -o loop,ro "$image" "$at" ;;
    squashfuse) squashfuse "$image" "$at" ;;
    esac || return 1
    (cd "$at" && "$@") || status=$?
    umount "$at" || { sleep 0.3 && umount "$at"; }
    return "$status"
}

# Facts (squashfs_trees.py) of the image as each reader tells them are those of the file EXPECTED. Only root is given
# owners, devices and trusted.*; nobody else has them in EXPECTED.
same_for_all() { # IMAGE EXPECTED
    local out=$BATS_TEST_TMPDIR/unpacked
    local -a without=()
    is_root || without=(owner)
    rm -rf "$out"
    unsquashfs -no-progress -quiet -d "$out" "$1" >unpack.out 2>&1 || { cat unpack.out; return 1; }
    # unsquashfs and rdsquashfs make a file of each name of a symbolic link, rdsquashfs of each of any file.
    echo "- unsquashfs"
    diff <(alone "$2" l) <(trees facts "$out" "${without[@]}" | alone - l)
    rm -rf "$out" && mkdir "$out"
    is_root || without=(owner xattrs)
    rdsquashfs -q -C -T "$(is_root && echo -OX || echo -C)" -u / -p "$out" "$1"
    echo "- rdsquashfs"
    diff <(sed 1d "$2" | alone - .) <(trees facts "$out" root "${without[@]}" | alone - .)
    rm -rf "$out"
    ! may_mount || { echo "- Linux" && diff "$2" <(mounted kernel "$1" trees facts .); }
    # squashfuse numbers inodes as it likes, and takes trusted.* and security.* for one another.
    ! may_fuse || {
        echo "- squashfuse"
        diff <(counted "$2") <(mounted squashfuse "$1" trees facts . | counted - | sed 's/ security\.of=/ trusted.of=/')
    }
}
# Facts without which names are links of one another; how many there are stays.
counted() { sed -E "s/ links, of b('[^']*'|\"[^\"]*\")/ links/" "$1"; }
# Facts with the links of those of this kind left out.
alone() { sed -E "s/^('[^']*'|\"[^\"]*\") ($2) (.*) [0-9]+ links, of b('[^']*'|\"[^\"]*\")/\1 \2 \3/" "$1"; }
