#!/usr/bin/env bats
# SquashFS images that plat makes, judged by strangers: unsquashfs, rdsquashfs and, where it may mount, the kernel.
#
# Catches: inodes, listings, indexes, tables or blocks that others read otherwise; bytes that depend on threads or source.

setup_file() {
    export LC_ALL=C.UTF-8 TZ=UTC
    export PLAT="${PLAT:-$BATS_TEST_DIRNAME/../../build/plat}"
    export MIX="$BATS_FILE_TMPDIR/mix"
    mkdir -p "$MIX/bin/deep/er" "$MIX/no thing" "$MIX/many"
    head -c 300000 /dev/urandom >"$MIX/bin/random"
    cp "$MIX/bin/random" "$MIX/bin/deep/copy"
    seq 1 300000 >"$MIX/bin/deep/er/numbers"
    for bytes in 0 1 2 4095 4096 4097 8192 131071 131072 131073 1048576 1048577; do
        seq 1 400000 | head -c $bytes >"$MIX/bin/size-$bytes"
    done
    truncate -s 3000000 "$MIX/bin/hole"
    printf end >>"$MIX/bin/hole"
    truncate -s 100 "$MIX/bin/zeros"
    for i in $(seq 1 700); do echo "$i" >"$MIX/many/entry-of-a-directory-$i"; done
    for name in "$(printf 'n%.0s' $(seq 255))" ünï 日本語 'a b' $'tab\there' .hidden -- '*'; do
        echo "$name" >"$MIX/bin/$name"
    done
    ln -s deep/er/numbers "$MIX/bin/link"
    ln -s nowhere "$MIX/dangling"
    ln -s "$(printf 'x%.0s' $(seq 4000))" "$MIX/far"
    ln "$MIX/bin/random" "$MIX/many/random"
    ln "$MIX/bin/random" "$MIX/random"
    ln "$MIX/bin/size-0" "$MIX/many/empty"
    mkfifo "$MIX/fifo"
    chmod 4755 "$MIX/bin/size-1"
    chmod 1777 "$MIX/no thing"
    find "$MIX" -depth -exec touch -h -d '2024-02-29 12:34:56 UTC' {} +
    touch -d '2001-02-03 04:05:06 UTC' "$MIX/bin/size-2"
}
setup() { cd "$BATS_TEST_TMPDIR"; }

# Kind, mode, size, links, time and target of everything; the size of a directory is the filesystem's own affair.
describe() {
    (cd "$1" && find . -mindepth 1 \( -type d -printf '%P|d|%m|%T@\n' \) -o \
        \( -printf '%P|%y|%m|%s|%n|%T@|%l\n' \) | LC_ALL=C sort | sed 's/\.0*|/|/; s/\.0*$//')
}
contents() { (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum); }
same_tree() { # EXPECTED FOUND
    diff <(describe "$1") <(describe "$2")
    diff <(contents "$1") <(contents "$2")
}
unpack() { # IMAGE DIRECTORY
    rm -rf "$2"
    unsquashfs -no-progress -quiet -d "$2" "$1" >unpack.out 2>&1 || { cat unpack.out; return 1; }
}
may_mount() { [ "$(id -u)" -eq 0 ] && grep -q squashfs /proc/filesystems && [ -e /dev/loop-control ]; }
field() { unsquashfs -s "$1" | sed -n "s/^$2 //p"; }

# squashfs_readers.bats has those of the layout.
@test "options: the same files" {
    for option in padding=no threads=3 level=1; do
        echo "# $option"
        "$PLAT" mk squashfs "$MIX" -o i.img -O "$option"
        unpack i.img out
        same_tree "$MIX" out
        rdsquashfs -d i.img >/dev/null
        "$PLAT" verify --data i.img
    done
    "$PLAT" mk squashfs "$MIX" -o i.img -O root-mode=0700
    unpack i.img out
    [ "$(stat -c %a out)" = 700 ]
}

@test "the kernel reads every file, name, link count and time" {
    may_mount || skip "no squashfs mounts here"
    "$PLAT" mk squashfs "$MIX" -o i.img -O compress=zstd:1 -O exports=yes
    mkdir mnt
    mount -t squashfs -o loop,ro i.img mnt
    (same_tree "$MIX" mnt && cat "mnt/many/entry-of-a-directory-437") || { umount mnt; false; }
    # 512 bytes of a sparse file are there: the kernel's count of blocks says so.
    [ "$(stat -c %b mnt/bin/hole)" -lt 600 ] || { umount mnt; false; }
    umount mnt
}

@test "one sha256: 1, 2 and 7 threads, the directory, its tar, a pipe, twice" {
    for codec in gzip zstd:3; do
        "$PLAT" mk squashfs "$MIX" -o a.img -O compress=$codec -O threads=1
        sum=$(sha256sum <a.img)
        for n in 2 7; do
            "$PLAT" mk squashfs "$MIX" -o b.img -O compress=$codec -O threads=$n
            [ "$(sha256sum <b.img)" = "$sum" ]
        done
        tar --sort=name -C "$MIX" -cf src.tar .
        "$PLAT" mk squashfs src.tar -o b.img -O compress=$codec
        [ "$(sha256sum <b.img)" = "$sum" ]
        "$PLAT" mk squashfs - -o - -O compress=$codec <src.tar 2>note >b.img
        [ "$(sha256sum <b.img)" = "$sum" ]
    done
}

@test "devices, FIFOs, sockets and owners from an archive that nobody could unpack" {
    python3 - <<'PY'
import tarfile
t = tarfile.open('n.tar', 'w', format=tarfile.PAX_FORMAT)
def add(name, kind, major=0, minor=0, uid=0, gid=0, mode=0o640):
    i = tarfile.TarInfo(name); i.type = kind; i.devmajor = major; i.devminor = minor
    i.uid = uid; i.gid = gid; i.mode = mode; i.mtime = 1700000000
    t.addfile(i)
add('.', tarfile.DIRTYPE, mode=0o755)
add('console', tarfile.CHRTYPE, 5, 1)
add('disk', tarfile.BLKTYPE, 8, 17, 10, 6)
add('large', tarfile.BLKTYPE, 259, 70000, 10, 6)
add('pipe', tarfile.FIFOTYPE, uid=1000, gid=4294967294)
for n in range(300):
    add('user-%d' % n, tarfile.REGTYPE, uid=100000 + n, gid=n)
t.close()
PY
    "$PLAT" mk squashfs n.tar -o i.img -O owner=keep
    unsquashfs -lln i.img | tr -s ' ' >list
    grep -F 'crw-r----- 0/0 5, 1 2023-11-14 22:13 squashfs-root/console' list
    grep -F 'brw-r----- 10/6 8, 17 2023-11-14 22:13 squashfs-root/disk' list
    grep -F 'prw-r----- 1000/4294967294 0 2023-11-14 22:13 squashfs-root/pipe' list
    grep -F '100299/299' list
    # unsquashfs 4.5.1 shows large minor numbers wrong.
    rdsquashfs -d i.img | grep -F 'nod large 0640 10 6 b 259 70000'
    "$PLAT" mk squashfs n.tar -o z.img
    [ "$(unsquashfs -lln z.img | grep -vc ' 0/0 ')" -eq 0 ]
}

@test "equal files are stored once, and hard links are one inode" {
    "$PLAT" mk squashfs "$MIX" -o once.img
    "$PLAT" mk squashfs "$MIX" -o each.img -O duplicates=keep
    [ "$(($(stat -c %s each.img) - $(stat -c %s once.img)))" -gt 290000 ]
    unpack each.img out
    [ "$(stat -c %h out/bin/random)" -eq 3 ]
    [ "$(stat -c %i out/bin/random)" = "$(stat -c %i out/many/random)" ]
    [ "$(stat -c %h out/bin/deep/copy)" -eq 1 ]
    # All names but the two more of `random` and the one more of the empty file are inodes of their own.
    [ "$(field once.img 'Number of inodes')" -eq "$(($(find "$MIX" | wc -l) - 3))" ]
}

@test "files that begin alike share their whole blocks" {
    mkdir t
    head -c 524288 /dev/urandom >t/a
    cp t/a t/b && echo end >>t/b
    cp t/a t/c && head -c 100000 /dev/zero >>t/c  # its end is a block that is not there
    head -c 262144 t/a >t/d
    cp t/a t/e && printf other | dd of=t/e bs=1 seek=300000 conv=notrunc status=none
    cp t/a t/f && head -c 200000 /dev/urandom >>t/f # longer than what is there
    truncate -s 600000 t/g && cp t/g t/h && echo x >>t/h
    for fragments in yes always no; do
        for block in 4096 128KiB; do
            "$PLAT" mk squashfs t -o i.img -O fragments=$fragments -O block-bytes=$block -O threads=1
            "$PLAT" mk squashfs t -o j.img -O fragments=$fragments -O block-bytes=$block -O threads=7
            cmp i.img j.img
            unpack i.img out
            diff -r t out
            "$PLAT" verify --data i.img
        done
        [ $fragments = no ] || [ "$(stat -c %s i.img)" -lt 1900000 ]
    done
}

@test "files of the same size and other bytes stay what they are" {
    mkdir t
    for i in $(seq 100 999); do printf '%0200000d' "$i" | tail -c 100 >"t/s$i"; done
    for i in 1 2 3; do head -c 200000 /dev/zero | tr '\0' "$i" >"t/l$i"; done
    "$PLAT" mk squashfs t -o i.img
    unpack i.img out
    diff -r t out
}

@test "the time of making is the newest in the tree, not later than SOURCE_DATE_EPOCH" {
    "$PLAT" mk squashfs "$MIX" -o i.img
    unsquashfs -s i.img | grep -F 'Thu Feb 29 12:34:56 2024'
    SOURCE_DATE_EPOCH=1000000000 "$PLAT" mk squashfs "$MIX" -o i.img
    unsquashfs -s i.img | grep -F 'Sun Sep  9 01:46:40 2001'
}

@test "--size and --slack: zeros behind the image; one that is too small is refused" {
    "$PLAT" mk squashfs "$MIX" -o a.img
    n=$(stat -c %s a.img)
    "$PLAT" mk squashfs "$MIX" -o b.img --size 16MiB
    "$PLAT" mk squashfs "$MIX" -o c.img --slack 64KiB
    "$PLAT" mk squashfs "$MIX" -o - --size 16MiB 2>/dev/null | cmp - b.img
    [ "$(stat -c %s b.img)" -eq 16777216 ]
    [ "$(stat -c %s c.img)" -eq $((n + 65536)) ]
    cmp -n "$n" a.img b.img
    cmp -n "$n" a.img c.img
    run "$PLAT" mk squashfs "$MIX" -o d.img --size 64KiB
    [ "$status" -eq 2 ]
    [[ "$output" == *"65536 bytes are too few: the image needs $n"* ]]
    [ ! -e d.img ]
    [ -z "$(compgen -G 'd.img*')" ]
}

@test "recipes: a partition that fits, one that takes the rest, and the same bytes as mk" {
    cat >r.json <<EOF
{ "table": "gpt", "disk_size": "64MiB", "partitions": [
  { "name": "root", "type": "linux-data", "format": "squashfs", "options": { "compress": "zstd:3" }, "files": [ { "from": "$MIX" } ] },
  { "name": "tail", "type": "linux-data", "format": "squashfs", "size": "rest", "files": [ { "from": "$MIX", "to": "mix" } ] },
  { "name": "last", "type": "linux-data", "format": "squashfs", "files": [ { "to": "hello", "text": "hello\n" } ] } ] }
EOF
    "$PLAT" build r.json -o d.img
    "$PLAT" build r.json -o - 2>/dev/null | cmp - d.img
    "$PLAT" build r.json --explain | grep -F 'zstd:level=3, blocks of 128.0 KiB'
    "$PLAT" verify --data d.img
    start=$(sgdisk -i 1 d.img | sed -n 's/^First sector: \([0-9]*\).*/\1/p')
    "$PLAT" mk squashfs "$MIX" -o a.img -O compress=zstd:3
    cmp -n "$(stat -c %s a.img)" -i 0:$((start * 512)) a.img d.img
    "$PLAT" cat -p last d.img /hello | grep -x hello
}

# Every extended attribute of a tree, with a hash of its value.
attributes() {
    python3 - "$1" <<'PY'
import hashlib, os, sys
top = sys.argv[1]
for base, dirs, files in sorted(os.walk(top)):
    for name in sorted(dirs + files + ['.']):
        path = os.path.join(base, name)
        for a in sorted(os.listxattr(path, follow_symlinks=False)):
            value = os.getxattr(path, a, follow_symlinks=False)
            print(os.path.relpath(path, top), a, len(value), hashlib.sha256(value).hexdigest())
PY
}

@test "extended attributes: kept from a directory and its tar alike, or left out" {
    mkdir -p t/dir
    touch t/one t/two t/none
    ln -s one t/link
    python3 - <<'PY' || skip "no extended attributes here"
import os
os.setxattr('t', 'user.root', b'r')
os.setxattr('t/one', 'user.empty', b'')
for p in ('t/one', 't/two'):
    os.setxattr(p, 'user.same', b'value')
os.setxattr('t/dir', 'user.large', bytes(range(256)) * 10)
for i in range(2000):
    open('t/dir/%d' % i, 'w').close()
    os.setxattr('t/dir/%d' % i, 'user.number', b'%d' % (i // 2))
if os.geteuid() == 0:
    os.mkfifo('t/pipe')
    os.mknod('t/null', 0o20666, os.makedev(1, 3))
    for p in ('t/link', 't/pipe', 't/null', 't/dir', 't/one'):
        os.setxattr(p, 'trusted.t', p.encode(), follow_symlinks=False)
PY
    "$PLAT" mk squashfs t -o x.img -O xattrs=keep
    "$PLAT" verify --data x.img
    unpack x.img out
    attributes t >expected
    [ "$(wc -l <expected)" -gt 2000 ]
    diff expected <(attributes out)
    rdsquashfs -x one x.img | grep -Fx 'user.same=value'
    # Equal sets are one: 1000 numbers, the root, one, two and dir, and, as root, link, pipe and null.
    sets=$(field x.img 'Number of xattr ids')
    [ "$sets" -eq $((1004 + ($(id -u) == 0 ? 3 : 0))) ]
    if may_mount; then
        mkdir mnt
        mount -t squashfs -o loop,ro x.img mnt
        diff expected <(attributes mnt) || { umount mnt; false; }
        umount mnt
    fi
    tar --xattrs --xattrs-include='*' -C t -cf t.tar .
    "$PLAT" mk squashfs t.tar -o y.img -O xattrs=keep
    cmp x.img y.img
    for plain in xattrs inodes,xattrs; do
        "$PLAT" mk squashfs t -o p.img -O xattrs=keep -O plain=$plain
        unpack p.img out
        diff expected <(attributes out)
    done
    "$PLAT" mk squashfs t -o n.img
    unpack n.img out
    [ -z "$(attributes out)" ]
    # A recipe says it in options.
    echo '{ "table": "gpt", "partitions": [ { "name": "r", "type": "linux-data", "format": "squashfs",
        "options": { "xattrs": "keep", "owner": "zero" }, "files": [ { "from": "t" } ] } ] }' >r.json
    "$PLAT" build r.json -o d.img
    cmp -n "$(stat -c %s x.img)" -i 0:1048576 x.img d.img
}

@test "a long value that many inodes have is stored once, and all readers find it" {
    mkdir t
    python3 - <<'PY' || skip "no extended attributes here"
import os
long = bytes(range(256)) * 4
for i in range(60):
    p = 't/%d' % i
    open(p, 'w').close()
    os.setxattr(p, 'user.number', b'%d' % i)
    os.setxattr(p, 'user.long', long)
    os.setxattr(p, 'user.other', long if i % 2 else long[::-1])
    os.setxattr(p, 'user.edge', b'e' * 128)
    os.setxattr(p, 'user.below', b'b' * 127)
PY
    attributes t >expected
    # Plain, so that only storing it once makes it small: 60 * 3 KiB else.
    for options in plain=xattrs compress=zstd:3; do
        "$PLAT" mk squashfs t -o x.img -O xattrs=keep -O $options
        [ "$(stat -c %s x.img)" -le 28672 ]
        "$PLAT" verify --data x.img
        unpack x.img out
        diff expected <(attributes out)
        rdsquashfs -x 7 x.img | grep -c user.long
        # 180 of 1024 or 128 bytes, but for the first with each of 3 values.
        [ "$("$PLAT" dump --json x.img | grep -c '"xattr_elsewhere"')" -eq 177 ]
        may_mount || continue
        mkdir -p mnt
        mount -t squashfs -o loop,ro x.img mnt
        diff expected <(attributes mnt) || { umount mnt; false; }
        umount mnt
    done
    # And ours finds theirs, although the long value is larger than what the last sets take.
    for maker in gensquashfs mksquashfs; do
        case $maker in
        gensquashfs) gensquashfs -q -f -x -k -D t y.img ;;
        mksquashfs) mksquashfs t y.img -noappend -quiet -no-progress -xattrs ;;
        esac
        [ "$("$PLAT" dump --json y.img | grep -c '"xattr_elsewhere"')" -ge 100 ]
        run "$PLAT" verify --data y.img
        echo "$output"
        [[ "$output" == *": 0 errors, 0 warnings, 0 notes"* ]]
    done
}

@test "an attribute that squashfs has no room for is refused, with its name" {
    python3 -c "
import tarfile
t = tarfile.open('a.tar', 'w', format=tarfile.PAX_FORMAT)
i = tarfile.TarInfo('f'); i.pax_headers = {'SCHILY.xattr.system.odd': 'x'}; t.addfile(i); t.close()"
    run "$PLAT" mk squashfs a.tar -o x.img -O xattrs=keep
    echo "$output"
    [ "$status" -eq 2 ]
    [[ "$output" == *"'f' has the attribute system.odd"* ]]
    "$PLAT" mk squashfs a.tar -o x.img
}

@test "what squashfs cannot hold is refused, with the reason" {
    refuses() { # WORDS ARGUMENT...
        local words=$1
        shift
        run "$PLAT" mk squashfs "$@" -o x.img
        echo "$output"
        [ "$status" -eq 2 ]
        [[ "$output" == *"$words"* ]]
        [ ! -e x.img ]
    }
    refuses 'squashfs has no label' "$MIX" --label A
    refuses 'a power of two from 4096 to 1048576' "$MIX" -O block-bytes=5000
    refuses 'option compress' "$MIX" -O compress=brotli
    refuses 'option compress' "$MIX" -O compress=gzip -O level=99
    refuses 'neither windows of other sizes than 32 KiB' "$MIX" -O compress=gzip:window=10
    refuses 'nor strategies' "$MIX" -O compress=gzip:strategy=filtered
    refuses 'lzma can be decompressed only' "$MIX" -O compress=lzma
    refuses 'inodes,data,fragments,ids,xattrs' "$MIX" -O plain=everything
    refuses 'permissions in octal' "$MIX" -O root-mode=999
    refuses 'yes|no|always' "$MIX" -O fragments=maybe
    python3 -c "
import tarfile
t = tarfile.open('name.tar', 'w', format=tarfile.PAX_FORMAT); t.addfile(tarfile.TarInfo('n' * 256)); t.close()
t = tarfile.open('device.tar', 'w', format=tarfile.PAX_FORMAT); i = tarfile.TarInfo('d'); i.type = tarfile.CHRTYPE
i.devmajor = 4096; t.addfile(i); t.close()
t = tarfile.open('target.tar', 'w', format=tarfile.PAX_FORMAT); i = tarfile.TarInfo('l'); i.type = tarfile.SYMTYPE
i.linkname = 't' * 4096; t.addfile(i); t.close()"
    refuses 'its name has 256 bytes' name.tar
    refuses 'major numbers up to 4095' device.tar
    refuses 'its target has 4096 bytes' target.tar
}
