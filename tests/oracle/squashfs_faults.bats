#!/usr/bin/env bats
# Whom `verify` names as refusing a faulty SquashFS image does refuse it, and what anybody refuses is an error here. The
# images are those of tests/unit/test_squashfs_faults.c, one for each rule.
#
# Catches: a rule that blames unsquashfs, rdsquashfs or the kernel for what they take, a fault that only strangers see.

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat} B=${B:-$root/build}
    cd "$BATS_FILE_TMPDIR"
    mkdir images
    "$B/unit/test_squashfs_faults" images > log
    cat > read.py <<'PY'
import os, sys
bad = 0
def visit(top, depth):
    global bad
    try:
        names = os.listdir(top) if depth < 12 else sys.exit(1)
    except OSError:
        bad += 1
        return
    for name in names:
        path = os.path.join(top, name)
        try:
            st = os.lstat(path)
            for a in os.listxattr(path, follow_symlinks=False):
                os.getxattr(path, a, follow_symlinks=False)
            kind = st.st_mode & 0o170000
            if kind == 0o120000:
                os.readlink(path)
            elif kind == 0o040000:
                visit(path, depth + 1)
            elif kind == 0o100000:
                with open(path, 'rb') as f:
                    while f.read(1 << 20):
                        pass
        except OSError:
            bad += 1
visit(sys.argv[1], 0)
sys.exit(bad != 0)
PY
}
setup() { cd "$BATS_FILE_TMPDIR"; }

# A kernel that meets a fault of its own in a damaged image may never let go of it: `umount` once hung for good, and with it
# sync(2) of the whole machine. So it is asked on machines that may be lost (a VM made for it) alone.
may_mount() { [ "$(id -u)" -eq 0 ] && grep -q squashfs /proc/filesystems && [ -e /dev/loop-control ]; }

linux_refuses() {
    mkdir -p mnt
    mount -t squashfs -o loop,ro "images/$1" mnt 2>/dev/null || return 0
    local rc=0
    timeout 20 python3 read.py mnt >/dev/null 2>&1 || rc=$?
    umount mnt
    [ "$rc" -ne 0 ]
}
unsquashfs_refuses() {
    rm -rf out
    if timeout 20 unsquashfs -quiet -no-progress -d out "images/$1" >/dev/null 2>&1; then return 1; fi
}
rdsquashfs_refuses() {
    rm -rf out && mkdir out
    if { timeout 20 rdsquashfs -q -O -X -u / -p out "images/$1" && timeout 20 rdsquashfs -d "images/$1"; } >/dev/null 2>&1; then
        return 1
    fi
}

# One line for each that disagrees.
ask() {
    local who=$1 image errors refused what
    while IFS='|' read -r image errors refused what; do
        # Linux goes through the list of such a file's blocks, and cannot be stopped; the others may write 2^62 zeros.
        case $what in *2^62*) continue ;; esac
        if "${who}_refuses" "$image"; then
            [ "$errors" -gt 0 ] || echo "$who refuses '$what', in which verify sees no error"
        else
            case " $refused" in *" $who "*) echo "$who takes '$what'" ;; esac
        fi
    done < <(tr '\t' '|' <images/list)
}

@test "the images are there" {
    [ "$(wc -l <images/list)" -ge 110 ]
}

@test "unsquashfs refuses what verify says it does" {
    run ask unsquashfs
    echo "$output"
    [ -z "$output" ]
}

@test "rdsquashfs refuses what verify says it does" {
    run ask rdsquashfs
    echo "$output"
    [ -z "$output" ]
}

@test "the kernel refuses what verify says it does" {
    [ "${PLAT_MOUNT_DAMAGED:-}" = 1 ] || skip "damaged images can hang the machine's kernel; PLAT_MOUNT_DAMAGED=1 mounts them"
    may_mount || skip "no squashfs mounts here"
    run ask linux
    echo "$output"
    [ -z "$output" ]
}
