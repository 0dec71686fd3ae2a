#!/usr/bin/env bats
# plat extract: everything that a tree can hold, out of images that mksquashfs made, beside unsquashfs; at any number of threads, as
# root and as nobody, into places that mean harm, and onto disks that are full.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    export TZ=UTC LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
    cd "$BATS_TEST_TMPDIR"
}

am_root() { [ "$(id -u)" -eq 0 ]; }
# As somebody who may nothing; what he writes to must be his.
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }

# All that an archive can say about a tree: names, kinds, contents, links, modes, owners, times, attributes.
digest() {
    tar -C "$1" --sort=name --format=pax --pax-option=delete=atime,delete=ctime,exthdr.name=%f --xattrs --xattrs-include='*' \
        -cf - . 2>/dev/null | sha256sum
    (cd "$1" && find . -type s -printf '%p %m %U %G %T@\n' | sort)
}

make_tree() {
    mkdir -p t/dir/inner t/empty "t/a name"
    for i in $(seq 300); do echo "file $i" >"t/dir/f$i"; done
    : >t/none
    head -c 9000000 /dev/urandom >t/large
    head -c 131072 /dev/zero >t/zeros
    (head -c 200000 /dev/urandom; head -c 400000 /dev/zero; echo end) >t/hole
    ln t/dir/f1 "t/a name/same" && ln t/dir/f1 t/zz && ln t/large t/dir/large
    ln -s ../none t/dir/link && ln -s nowhere t/dangling
    mkfifo -m 640 t/fifo
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("t/socket")'
    chmod 4755 t/dir/f2 && chmod 2711 t/dir/f3 && chmod 1777 t/empty && chmod 400 t/dir/f4 && chmod 555 t/dir/inner
    setfattr -n user.note -v one t/dir/f5 2>/dev/null || true
    setfattr -n user.note -v dir t/dir 2>/dev/null || true
    if am_root; then
        mknod -m 600 t/chr c 5 200 && mknod -m 660 t/blk b 259 70000
        chown 1000:2000 t/dir/f6 t/dir/f2 && chown -h 3:4 t/dangling && chmod 4755 t/dir/f2
        setfattr -n trusted.t -v secret t/dir/f6 2>/dev/null || true
        setfattr -h -n trusted.t -v link t/dir/link 2>/dev/null || true
    fi
    find t -depth -exec touch -h -d '2011-02-03 04:05:06 UTC' {} +
    touch -h -d '1999-01-01 UTC' t/dangling
}

@test "a tree of everything comes out as unsquashfs has it, with 1, 2 and 7 threads, and as the kernel shows it" {
    make_tree
    mksquashfs t i.img -quiet -no-progress
    unsquashfs -q -n -d u i.img >/dev/null
    [ "$(digest u)" = "$(digest t)" ]
    for n in 1 2 7; do
        "$PLAT" extract --threads $n -v i.img -C p$n >said$n
        [ "$(digest p$n)" = "$(digest u)" ]
        cmp said1 said$n
        [ "$(stat -c %b p$n/zeros)" -eq 0 ]
        [ "$(stat -c %b p$n/hole)" -lt 600 ]
        [ -z "$(find . -maxdepth 1 -name '.plat*')" ]
    done
    [ "$(wc -l <said1)" -eq "$(find t -mindepth 1 | wc -l)" ]
    am_root && grep -q squashfs /proc/filesystems && [ -e /dev/loop-control ] || return 0
    mkdir mnt
    mount -t squashfs -o loop,ro i.img mnt
    d=$(digest mnt)
    umount mnt
    [ "$d" = "$(digest p2)" ]
}

@test "into directories that are there: the same, files appear whole, hard links and all; --force replaces" {
    make_tree
    mksquashfs t i.img -quiet -no-progress
    mkdir -p p/dir/inner "p/a name" p/empty
    "$PLAT" extract --threads 2 i.img -C p
    touch -r t p # the target itself is the user's
    chmod --reference=t p
    [ "$(digest p)" = "$(digest t)" ]
    run "$PLAT" extract i.img -C p --threads 2
    [ "$status" -eq 2 ]
    [[ "$output" == *"/dir/f7 is not extracted: it exists already"* ]]
    for f in p/dir/f7 p/zz p/hole; do echo changed >$f; done
    rm p/dir/link p/fifo && echo x >p/fifo && ln -s /nowhere p/dir/link
    "$PLAT" extract --force i.img -C p --threads 3
    touch -r t p
    [ "$(digest p)" = "$(digest t)" ]
    [ -z "$(find p -name '.plat*')" ]
}

@test "parts of an image: paths, their directories, and links among them" {
    make_tree
    mksquashfs t i.img -quiet -no-progress
    "$PLAT" extract i.img -C p /dir/f2 "a name" dir/inner zz
    [ "$(cd p && find . ! -type d | sort | tr '\n' ' ')" = "./a name/same ./dir/f2 ./zz " ]
    [ p/zz -ef "p/a name/same" ]
    [ "$(stat -c %a p/dir/inner)" = 555 ]
    run "$PLAT" extract i.img -C p dir/f2 dir/f3
    [ "$status" -eq 2 ]
    [[ "$output" == *"/dir/f2 is not extracted: it exists already"* ]]
    cmp p/dir/f3 t/dir/f3
    run "$PLAT" extract i.img -C q zz nope
    [ "$status" -eq 2 ]
    cmp q/zz t/zz
    run "$PLAT" extract i.img -C r nope
    [ "$status" -eq 2 ]
    [ ! -e r ]
    [ -z "$(find . -maxdepth 1 -name '.plat*')" ]
    run "$PLAT" extract i.img -C nowhere/r
    [ "$status" -eq 2 ]
    ln -s missing dangling
    run "$PLAT" extract i.img -C dangling
    [ "$status" -eq 2 ]
    [ ! -e missing ]
}

@test "without root: devices are named (2), attributes counted, set-id bits and owners left away" {
    am_root || skip "only root makes the image"
    make_tree
    mksquashfs t i.img -quiet -no-progress
    chmod 644 i.img
    chmod 711 "$BATS_TEST_TMPDIR" && mkdir -m 777 theirs
    for n in 1 4; do
        run nobody "$PLAT" extract --threads $n i.img -C theirs/p$n
        [ "$status" -eq 2 ]
        [[ "$output" == *"/blk is not extracted: it is a device, which only root may make"*"/chr is not extracted"* ]]
        [ "$(grep -c 'is not extracted' <<<"$output")" -eq 2 ]
        if getfattr -m trusted t/dir/f6 2>/dev/null | grep -q trusted; then
            [[ "$output" == *"2 extended attributes outside user.* are not set"* ]]
        fi
        [ -p theirs/p$n/fifo ] && [ -S theirs/p$n/socket ]
        [ "$(stat -c %a theirs/p$n/dir/f2)" = 755 ] && [ "$(stat -c %a theirs/p$n/dir/inner)" = 555 ]
        [ "$(stat -c %u theirs/p$n/dir/f6)" = 65534 ]
        cmp theirs/p$n/large t/large
        [ "$(getfattr --only-values -n user.note theirs/p$n/dir/f5 2>/dev/null)" = \
            "$(getfattr --only-values -n user.note t/dir/f5 2>/dev/null)" ]
    done
    run nobody "$PLAT" extract i.img -C theirs/q --xattrs drop dir
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ -z "$(getfattr -R -d theirs/q)" ]
    "$PLAT" extract i.img -C mine --no-same-owner dir
    [ "$(stat -c '%u %a' mine/dir/f2)" = "0 755" ]
}

@test "70,000 names of one file, where the host takes so many, and where it does not" {
    python3 - <<'PY' | "$PLAT" mk squashfs - -o i.img 
import sys, tarfile
t = tarfile.open(fileobj=sys.stdout.buffer, mode='w|')
first = tarfile.TarInfo('d/0'); first.size = 5
import io
t.addfile(first, io.BytesIO(b'hello'))
for i in range(1, 70000):
    e = tarfile.TarInfo('d/%d' % i); e.type = tarfile.LNKTYPE; e.linkname = 'd/0'
    t.addfile(e)
t.close()
PY
    start=$SECONDS
    run "$PLAT" extract i.img -C p --threads 2
    [ "$status" -eq 0 ]
    [ $((SECONDS - start)) -lt 30 ]
    [ "$(find p/d -type f | wc -l)" -eq 70000 ]
    [ "$(cat p/d/69999)" = hello ]
    inodes=$(find p/d -type f -printf '%i\n' | sort -u | wc -l)
    [ "$inodes" -eq 1 ] || [[ "$output" == *"1 names are files of their own"* && "$inodes" -eq 2 ]]
}

@test "5 GiB of holes with something in them stay holes, and take no time" {
    truncate -s 5G t1 2>/dev/null || skip "no files of 5 GiB here"
    mkdir t && mv t1 t/sparse
    for at in 0 1000000 2000000000 5368709119; do printf x | dd of=t/sparse bs=1 seek=$at conv=notrunc status=none; done
    truncate -s 5G t/all-holes
    mksquashfs t i.img -quiet -no-progress -processors 2
    start=$SECONDS
    "$PLAT" extract i.img -C p
    [ $((SECONDS - start)) -lt 20 ]
    [ "$(stat -c %s p/sparse)" -eq $((5 << 30)) ] && [ "$(stat -c %s p/all-holes)" -eq $((5 << 30)) ]
    [ "$(stat -c %b p/sparse)" -le 64 ] && [ "$(stat -c %b p/all-holes)" -eq 0 ]
    for at in 0 1000000 2000000000 5368709119; do
        [ "$(dd if=p/sparse bs=1 skip=$at count=1 status=none)" = x ]
    done
    [ "$(tr -d '\0' <p/sparse | wc -c)" -eq 4 ]
}

@test "a full disk: one clear message (2), whole files only, nothing temporary left" {
    am_root || skip "only root mounts"
    make_tree
    mksquashfs t i.img -quiet -no-progress
    mkdir small
    mount -t tmpfs -o size=3M tmpfs small || skip "no tmpfs here"
    run "$PLAT" extract i.img -C small/p --threads 2
    [ "$status" -eq 2 ] || { umount small; false; }
    [[ "$output" == *"No space left"*"the target takes no more"* ]] || { umount small; false; }
    [ ! -e small/p/large ] && [ -z "$(find small -name '.plat*')" ] || { umount small; false; }
    for f in $(cd small/p && find dir -type f -name 'f*'); do
        cmp "small/p/$f" "t/$f" || { umount small; false; }
    done
    umount small
}

@test "capabilities of files come with owners, and are dropped without" {
    [ "$(id -u)" -eq 0 ] || skip "only root sets capabilities"
    mkdir t && cp /bin/true t/tool
    python3 -c "import os; os.setxattr('t/tool', 'security.capability', bytes.fromhex('0100000280000000' + '00' * 12))"
    "$PLAT" mk squashfs t -o i.img -O xattrs=keep
    "$PLAT" extract i.img -C p
    python3 -c "import os; assert os.listxattr('p/tool') == ['security.capability']"
    "$PLAT" extract i.img -C q --no-same-owner
    python3 -c "import os; assert os.listxattr('q/tool') == []"
    cmp q/tool t/tool
}

@test "an interrupted extraction leaves nothing behind" {
    mkdir t
    for i in $(seq 3000); do echo "$i" >t/$i; done
    head -c 60000000 /dev/urandom >t/zlarge
    mksquashfs t i.img -quiet -no-progress
    for signal in INT TERM; do
        "$PLAT" extract i.img -C p &
        pid=$!
        for _ in $(seq 500); do
            [ -z "$(find . -maxdepth 1 -name '.plat*')" ] || break
            sleep 0.002
        done
        # A background job of a script ignores INT, which plat respects.
        [ $signal = INT ] || kill -$signal $pid 2>/dev/null || true
        rc=0
        wait $pid || rc=$?
        if [ "$rc" -eq 0 ]; then
            [ "$(find p -type f | wc -l)" -eq 3001 ]
        else
            [ "$rc" -eq 143 ]
            [ ! -e p ]
        fi
        [ -z "$(find . -maxdepth 1 -name '.plat*')" ]
        rm -rf p
    done
}

@test "hostile places and images: links in the target, names twice, a link where a directory was" {
    make_tree
    mksquashfs t i.img -quiet -no-progress
    mkdir elsewhere p && ln -s ../elsewhere p/dir && ln -s ../elsewhere/x p/none
    run "$PLAT" extract --force i.img -C p --threads 2
    [ "$status" -eq 2 ]
    [ -z "$(ls -A elsewhere)" ]
    [ ! -L p/none ] && [ -L p/dir ]
    cmp p/hole t/hole
    # Two names of one length become one, in a directory block that is stored plain.
    mkdir -p two/aaaa && echo in >two/aaaa/file && ln -s "$PWD/elsewhere" two/aaab
    mksquashfs two two.img -quiet -no-progress -noI
    python3 - <<'PY'
data = bytearray(open('two.img', 'rb').read())
at = data.index(b'aaab')
data[at:at + 4] = b'aaaa'
open('two.img', 'wb').write(data)
PY
    for n in 1 2 7; do
        run "$PLAT" extract two.img -C q$n --threads $n
        [ "$status" -eq 1 ]
        [[ "$output" == *"there is another one of it in its directory"* ]]
        [ "$output" = "${first:=$output}" ]
        [ -z "$(ls -A elsewhere)" ]
    done
    # "..", "a/b"
    python3 - <<'PY'
data = open('two.img', 'rb').read()
one = bytearray(data); at = one.rindex(b'file'); one[at:at + 4] = b'../x'; open('up.img', 'wb').write(one)
PY
    run "$PLAT" extract up.img -C up
    [ "$status" -eq 1 ]
    [[ "$output" == *"there is a '/' in it"* ]]
    [ ! -e x ]
}

@test "damage: the files that cannot be read are named in order, at any number of threads; the others are whole" {
    mkdir -p t/d
    for i in $(seq 200); do head -c 5000 /dev/urandom | od -An -tx1 >t/d/f$i; done
    mksquashfs t i.img -quiet -no-progress
    python3 - <<'PY'
data = bytearray(open('i.img', 'rb').read())
for at in range(1000, len(data) - 20000, 90000):
    data[at] ^= 0xff
open('bad.img', 'wb').write(data)
PY
    for n in 1 2 7; do
        run "$PLAT" extract bad.img -C p$n --threads $n
        [ "$status" -eq 1 ]
        [ "$output" = "${first:=$output}" ]
        [ "$(digest p$n)" = "$(digest p1)" ]
    done
    bad=$(grep -c 'is not extracted' <<<"$first")
    [ "$bad" -ge 5 ]
    [ "$((bad + $(find p1 -type f | wc -l)))" -eq 200 ]
    (cd p1 && find . -type f -exec cmp {} ../t/{} \;)
}

@test "an archive has links, special files and attributes, too" {
    make_tree
    rm t/socket
    mksquashfs t i.img -quiet -no-progress
    "$PLAT" extract i.img -o x.tar
    mkdir x
    tar -C x --xattrs --xattrs-include='*' -xpf x.tar
    touch -r t x
    [ "$(digest x)" = "$(digest t)" ]
}

@test "other formats: the same tree at any number of threads" {
    make_tree
    rm -f t/socket t/fifo t/chr t/blk
    for format in caposro1 caposwf1; do
        "$PLAT" mk $format t -o $format.img 2>/dev/null || "$PLAT" mk $format t -o $format.img --size 64MiB
        for n in 1 2 7; do
            "$PLAT" extract --threads $n $format.img -C $format$n
            find $format$n -exec touch -h -d 2001-02-03 {} + # not every time is kept
            [ "$(digest $format$n)" = "$(digest ${format}1)" ]
        done
        diff -r --no-dereference t ${format}2
    done
}
