#!/usr/bin/env bats
# Where the files of an image come from: patterns, nodes, modes, manifests, pipes.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    export SOURCE_DATE_EPOCH=1700000000
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src/dir/deep src/build
    echo one >src/one.txt
    echo two >src/dir/two.o
    echo keep >src/dir/deep/keep.o
    echo x >src/build/x
    chmod 640 src/one.txt
    ln src/one.txt src/dir/hard
    ln -s ../one.txt src/dir/link
}

# As somebody who is not root, where we are root.
unprivileged() {
    if [ "$(id -u)" -eq 0 ]; then
        chmod 777 . && setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    else
        "$@"
    fi
}

listed() { "$PLAT" ls -R "$1" | tr '\n' ' '; }

@test "--exclude: names at any depth, anchors, directories, taken back; files of patterns come first" {
    "$PLAT" mk squashfs src -o a.img --exclude '*.o' --exclude '!keep.o' --exclude '/build/'
    [ "$(listed a.img)" = "dir/ dir/deep/ dir/deep/keep.o dir/hard dir/link one.txt " ]
    # Nothing below a directory that is left out comes back.
    "$PLAT" mk squashfs src -o a.img --exclude dir --exclude '!keep.o'
    [ "$(listed a.img)" = "build/ build/x one.txt " ]
    printf '# a comment\n\n*.o\n!two.o\n\\#no\n' >pats
    printf '*.txt\n' >more
    "$PLAT" mk squashfs src -o a.img --exclude-from pats --exclude-from more --exclude '!one.txt'
    [ "$(listed a.img)" = "build/ build/x dir/ dir/deep/ dir/hard dir/link dir/two.o one.txt " ]
    # The same of an archive, and of a manifest.
    tar -C src -cf src.tar . && "$PLAT" mk squashfs src.tar -o b.img --exclude-from pats --exclude-from more --exclude '!one.txt'
    [ "$(listed b.img)" = "$(listed a.img)" ]
    run "$PLAT" mk squashfs src -o b.img --exclude '[a'
    [ "$status" -eq 2 ] && [[ "$output" == *"'[a' matches no path"* ]] && [ ! -e c.img ]
    printf 'a\n\\' >bad
    run "$PLAT" mk squashfs src -o c.img --exclude-from bad
    [ "$status" -eq 2 ] && [[ "$output" == *"bad:2"* ]] && [ ! -e c.img ]
}

@test "--exclude of an archive: the name that has the contents of another says so" {
    # The order of the members is tar's argument: contents are with the first.
    tar -C src -cf a.tar one.txt dir/hard
    "$PLAT" mk squashfs a.tar -o a.img --exclude hard
    [ "$(listed a.img)" = "one.txt " ]
    run "$PLAT" mk squashfs a.tar -o a.img --exclude one.txt
    [ "$status" -eq 2 ]
    [[ "$output" == *"member 'dir/hard': it is a hard link to 'one.txt', which a pattern leaves out"* ]]
    "$PLAT" mk squashfs a.tar -o a.img --exclude one.txt --exclude hard
    [ -z "$(listed a.img)" ]
}

@test "git check-ignore leaves out the same" {
    command -v git >/dev/null || skip "git is not installed: nothing to compare with"
    python3 "$BATS_TEST_DIRNAME/ignore_git.py" "$PLAT" "$BATS_TEST_TMPDIR" 11 60
    python3 "$BATS_TEST_DIRNAME/ignore_git.py" "$PLAT" "$BATS_TEST_TMPDIR" "$RANDOM" 40
}

@test "--mode: as chmod -R has it" {
    umask 0
    for mode in 0755 00755 2755 u=rwX,go=rX a-w +X g=u,o= u+s,g-s go=u-w =r,+X o=t +t a=rwx,ug-x; do
        rm -rf copy && cp -a src copy
        chmod 2771 copy/dir && chmod 711 copy/build/x && chmod 4600 copy/one.txt
        "$PLAT" mk tar copy -o plat.tar --mode "$mode"
        chmod -R "$mode" copy
        [ "$(id -u)" -eq 0 ] || [ -r copy/one.txt ] || continue
        "$PLAT" mk tar copy -o chmod.tar
        diff <(tar tvf plat.tar | cut -c 1-10,48-) <(tar tvf chmod.tar | cut -c 1-10,48-)
    done
    for mode in '' rwx 99 u=q u+x,; do
        run "$PLAT" mk tar src -o bad.tar --mode "$mode"
        [ "$status" -eq 2 ] && [[ "$output" == *"--mode: expected permissions"* ]] && [ ! -e bad.tar ]
    done
}

@test "--all-root agrees with -O owner=zero, contradicts keep" {
    [ "$(id -u)" -ne 0 ] || chown -R 7:8 src
    "$PLAT" mk squashfs src -o a.img
    "$PLAT" mk squashfs src -o b.img --all-root
    "$PLAT" mk squashfs src -o c.img --all-root -O owner=zero
    cmp a.img b.img && cmp a.img c.img
    "$PLAT" mk fat32 src -o f.img --all-root --exclude link
    run "$PLAT" mk squashfs src -o d.img --all-root -O owner=keep
    [ "$status" -eq 2 ] && [[ "$output" == *"--all-root: "*"owner says keep"* ]] && [ ! -e d.img ]
    run "$PLAT" mk squashfs src -o d.img --node dev/tty:c:5:0:0620:0:5
    [ "$status" -eq 2 ] && [[ "$output" == *"--node: a node has an owner"*"keep"* ]]
}

@test "--node: for every maker that has such nodes, the same as -O node=" {
    nodes=(--node dev/tty:c:5:70000:0620 --node dev/sda:b:8:1:0660 --node run/f:p:0600 --node sys:d:0555 --node l:l:a:b)
    for format in squashfs cpio tar caposwf1 caposro1; do
        "$PLAT" mk $format src -o a.$format "${nodes[@]}"
        case $format in
        cpio) cpio -itvn --quiet <a.cpio >list ;;
        tar) tar tvf a.tar >list ;;
        *) "$PLAT" ls -lR a.$format >list ;;
        esac
        grep -q '^crw--w---- .*dev/tty' list && grep -q '^brw-rw---- .*dev/sda' list
        grep -q '^prw------- .*run/f' list && grep -q '^dr-xr-xr-x .*sys' list && grep -q ' l -> a:b' list
    done
    "$PLAT" mk squashfs src -o s.img --node run/s:s:0600
    "$PLAT" ls -l s.img run | grep -q '^srw-------'
    unsquashfs -lln a.squashfs | grep -Eq '^brw-rw---- 0/0 +8, *1 .*dev/sda' # minors above 255 it lists wrong
    for format in squashfs cpio tar; do
        "$PLAT" mk $format src -o b.$format -O node=dev/tty:c:5:70000:0620,dev/sda:b:8:1:0660,run/f:p:0600,sys:d:0555,l:l:a:b
        cmp a.$format b.$format
    done
    run "$PLAT" mk fat32 src -o f.img --exclude link --node dev/tty:c:5:0:0620
    [ "$status" -eq 2 ] && [[ "$output" == *"FAT32 cannot store a"* ]]
    run "$PLAT" mk squashfs src -o f.img --node dir:p:0600
    [ "$status" -eq 2 ] && [[ "$output" == *"--node: 'dir' is a directory in the source"* ]]
    run "$PLAT" mk squashfs src -o f.img -O node=x:q:1
    [ "$status" -eq 2 ] && [[ "$output" == *"option node: expected PATH"* ]]
    # In place of a file; permissions of a directory that is there; --mode leaves nodes alone.
    "$PLAT" mk squashfs src -o c.img --node one.txt:p:0666 --node dir:d:01777 --mode a=
    "$PLAT" ls -l c.img | grep -q '^prw-rw-rw- .*one.txt' && "$PLAT" ls -R c.img | grep -q dir/two.o
    "$PLAT" ls --json c.img | grep -q '"/dir".*"mode": "1777"'
}

@test "an image to a manifest and back, as nobody: the same bytes, with devices and owners" {
    ln -P src/dir/link src/again
    "$PLAT" mk squashfs src -o a.img --node dev/tty:c:5:70000:0620:0:5 --node dev/sda:b:8:0:0660:0:6 --node 'f\:1:p:0600:1:2' \
        --node run/s:s:0666 -O owner=keep
    cp "$PLAT" plat && chmod 644 a.img
    unprivileged sh -c './plat extract a.img -C out 2>/dev/null || true; ./plat ls --mtree --contents out a.img >m.mtree &&
        ./plat mk squashfs m.mtree -o b.img -O owner=keep && ./plat ls --mtree --contents out b.img >m2.mtree' >/dev/null
    cmp a.img b.img
    # Beside the files, and on standard input, from there.
    unprivileged sh -c './plat ls --mtree a.img >out/all.mtree && ./plat mk squashfs out/all.mtree -o c.img -O owner=keep &&
        env -C out ../plat mk squashfs - -o ../d.img -O owner=keep <out/all.mtree' >/dev/null
    cmp a.img c.img && cmp a.img d.img
    # A stranger reads it, too.
    bsdtar -tvf m.mtree | grep -q '^crw--w----.* 5,70000 .*dev/tty'
    run "$PLAT" ls --mtree --json a.img
    [ "$status" -eq 2 ]
    run "$PLAT" ls --contents out a.img
    [ "$status" -eq 2 ] && [[ "$output" == *"--mtree"* ]]
}

@test "a manifest that says that a device, a FIFO and another device are one file: three inodes" {
    printf '#mtree\n/set nlink=3 inode=7\n./a type=char device=native,1,3\n./b type=fifo\n./c type=char device=native,1,5\n' >m.mtree
    "$PLAT" mk squashfs m.mtree -o a.img
    "$PLAT" ls --mtree a.img >again
    grep -q '^./a type=char .*device=native,1,3$' again
    grep -q '^./b type=fifo ' again
    grep -q '^./c type=char .*device=native,1,5$' again
}

@test "a stranger's manifest makes what its directory makes" {
    # ns: bsdtar writes them without leading zeros, which libarchive reads as they are meant.
    (cd src && bsdtar -cf ../src.mtree --format=mtree --options='!all,mode,uid,gid,type,time,link,size' .)
    "$PLAT" mk squashfs src -o a.img
    (cd src && "$PLAT" mk squashfs - -o ../b.img <../src.mtree)
    diff <("$PLAT" ls -lR a.img) <("$PLAT" ls -lR b.img)
    mkdir x y && "$PLAT" extract a.img -C x && "$PLAT" extract b.img -C y && diff -r x y
    # A name that is no file; a file that changed since.
    rm src/build/x && cp src.mtree src/m.mtree
    run "$PLAT" mk squashfs src/m.mtree -o c.img
    [ "$status" -eq 2 ] && [[ "$output" == *"src/m.mtree: entry './build/x': its contents 'src/./build/x': No such file"* ]] && [ ! -e c.img ]
    echo longer than before >src/build/x
    run "$PLAT" mk squashfs src/m.mtree -o c.img
    [ "$status" -eq 2 ] && [[ "$output" == *"size=2, and its contents './build/x' have 19 bytes"* ]]
}

@test "a hostile image makes a harmless manifest" {
    python3 - <<'P'
import os
os.makedirs("odd")
for name in [b"a\nb", b"sp ace", b"#x", b"\\000", b"=", b"\xff\xc3", b"*", b"-x", b"~"]:
    open(b"odd/" + name, "wb").write(name)
os.symlink(b"to \n #\\", b"odd/l")
P
    "$PLAT" mk squashfs odd -o a.img
    (cd odd && "$PLAT" ls --mtree ../a.img >../m && "$PLAT" mk squashfs - -o ../b.img <../m)
    cmp a.img b.img
    [ "$(wc -l <m)" -eq 12 ]
    if LC_ALL=C grep -q '[^ -~]' m; then false; fi
}

@test "a directory and its archives through a pipe: the same bytes, with any thread count" {
    for i in $(seq 40); do head -c $((i * 7000)) /dev/zero | tr '\0' "\\$(printf %03o $((i + 60)))" >src/build/f$i; done
    find src -exec touch -h -d @1600000000 {} +
    "$PLAT" mk squashfs src -o want.img -O threads=1
    for format in pax ustar gnu; do
        tar -C src --format=$format -cf - . | "$PLAT" mk squashfs - -o a.img -O threads=2
        cmp want.img a.img
        tar -C src --format=$format --sort=name -czf sorted.tgz .
        "$PLAT" mk squashfs - -o a.img -O threads=7 <sorted.tgz
        cmp want.img a.img
        "$PLAT" mk squashfs sorted.tgz -o a.img
        cmp want.img a.img
    done
    (cd src && find . -depth | cpio -o -H newc --quiet) | "$PLAT" mk squashfs - -o a.img
    cmp want.img a.img
    (cd src && find . | LC_ALL=C sort -r | cpio -o -H newc --quiet) | "$PLAT" mk squashfs - -o a.img
    cmp want.img a.img
}

@test "what a pipe brings is read once: what is left out is stored nowhere" {
    truncate -s 64M src/large
    # The temporary file may have 8 MiB: the archive itself would not fit in it.
    tar -C src -cf - . | (ulimit -f 8192 && "$PLAT" mk squashfs - -o a.img --exclude /large)
    "$PLAT" mk squashfs src -o b.img --exclude large
    cmp a.img b.img
    # Whoever writes into the pipe gets rid of everything, also of what stands behind the archive's end.
    (tar -C src -cf - --exclude ./large . && head -c 3000000 /dev/zero && echo "done" >written) | "$PLAT" mk squashfs - -o c.img
    cmp a.img c.img && [ -e written ]
    # zip has its directory at its end: it is copied.
    (cd src && zip -qry - . -x large) | "$PLAT" mk fat32 - -o z.img --exclude link
    tar -C src -cf - . | head -c 40000 >cut.tar
    run "$PLAT" mk squashfs - -o d.img <cut.tar
    [ "$status" -eq 2 ] && [ ! -e d.img ]
}

@test "recipes: exclude, exclude_from, mode, all_root, nodes, manifests" {
    printf '*.o\n' >pats
    printf '#mtree\n./from-manifest type=file mode=0600 contents=src/one.txt uid=9\n' >m.mtree
    cat >r.json <<'R'
{ "table": "gpt", "partitions": [ { "name": "p", "type": "linux-data", "format": "squashfs",
  "mode": "u=rwX,go=", "all_root": true, "nodes": ["dev/tty:c:5:0:0620", "run:d:01777"],
  "files": [
    { "from": "src", "to": "in/side", "exclude": ["!keep.o", "/build"], "exclude_from": "pats" },
    { "from": "m.mtree" },
    { "from": "m.mtree", "as": "file", "to": "stored.mtree" },
    { "to": "t.tar", "pack": { "format": "tar", "nodes": ["c:p:0600"], "mode": "a=r", "files": [ { "to": "x", "text": "x" } ] } } ],
  "overrides": [ { "match": "from-manifest", "mode": "0755", "uid": 4 } ] } ] }
R
    "$PLAT" build r.json -o disk.img
    [ "$("$PLAT" ls -R disk.img | tr '\n' ' ')" = "dev/ dev/tty from-manifest in/ in/side/ in/side/dir/ in/side/dir/deep/ in/side/dir/deep/keep.o in/side/dir/hard in/side/dir/link in/side/one.txt run/ stored.mtree t.tar " ]
    "$PLAT" ls -lR disk.img >list
    grep -q '^-rw------- .* in/side/one.txt' list && grep -q '^drwx------ .* in/side/dir/' list && grep -q '^crw--w---- .*dev/tty' list
    grep -q '^-rwxr-xr-x .* from-manifest' list
    "$PLAT" ls --json disk.img / | grep -q '"/from-manifest".*"uid": 4'
    "$PLAT" ls --json disk.img / | grep -q '"/run".*"mode": "1777"'
    "$PLAT" cat disk.img /t.tar | tar tvf - >list
    grep -q '^prw------- .* c$' list && grep -q '^-r--r--r-- .* x$' list
}

@test "an image to a tar and back, as nobody: the same bytes, with devices, owners and attributes" {
    python3 -c 'import os; os.setxattr("src/one.txt", "user.colour", b"red"); os.setxattr("src", "user.root", b"1")' || echo "# no attributes here: without them"
    ln -P src/dir/link src/again
    "$PLAT" mk squashfs src -o a.img --node dev/tty:c:5:70000:0620:0:5 --node dev/sda:b:8:0:0660:0:6 --node f:p:0600:1:2 -O owner=keep -O xattrs=keep
    cp "$PLAT" plat && chmod 644 a.img
    unprivileged sh -c './plat extract a.img -o a.tar && ./plat mk squashfs a.tar -o b.img -O owner=keep -O xattrs=keep &&
        ./plat extract a.img -o - | ./plat mk squashfs - -o c.img -O owner=keep -O xattrs=keep' >/dev/null
    cmp a.img b.img && cmp a.img c.img
}
