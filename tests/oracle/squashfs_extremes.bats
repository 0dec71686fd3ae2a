#!/usr/bin/env bats
# Trees at the limits, made by plat and read by unsquashfs, rdsquashfs, the kernel and squashfuse.
#
# Catches: counts, offsets and indexes that are right in ordinary trees only. The trees come as tar streams, so that no
# disk has to hold them; what comes out is compared with what the stream was made from.

setup_file() {
    export LC_ALL=C.UTF-8 TZ=UTC
    export PLAT="${PLAT:-$BATS_TEST_DIRNAME/../../build/plat}"
    source "$BATS_TEST_DIRNAME/squashfs.bash"
    readers_missing
}
setup() {
    source "$BATS_TEST_DIRNAME/squashfs.bash"
    cd "$BATS_TEST_TMPDIR"
    # In memory where that is possible: ext4 has no file of 70,000 names, and takes long for 300,000 files.
    memory=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d -p "$BATS_TEST_TMPDIR")
}
teardown() { rm -rf "$memory"; }

make_image() { # TREE OPTION...
    trees tar "$1" | "$PLAT" mk squashfs - -o i.img -O owner=keep -O compress=zstd:1 "${@:2}"
    trees list "$1" >want
    "$PLAT" verify --data --strict i.img
}
owned() { if is_root; then cat "$@"; else sed -E 's/^([^|]*\|[^|]*\|[^|]*)\|[0-9]+\|[0-9]+/\1||/' "$@"; fi; }
# All that unsquashfs gives back, as it should be.
unpacked() {
    unsquashfs -no-progress -quiet -d "$memory/out" i.img >unpack.out 2>&1 || { cat unpack.out; return 1; }
    same_lines <(owned want) <(cd "$memory/out" && listing | owned)
}
same_lines() { diff "$1" "$2" >differences || { head -n 20 differences; return 1; }; }
through() { # COMMAND...: by the kernel and by squashfuse, where they are there
    if may_mount; then mounted kernel i.img "$@"; fi
    if may_fuse; then mounted squashfuse i.img "$@"; fi
}

@test "300,000 entries in one directory" {
    make_image entries:300000
    # Without its index a look-up would read half of the listing.
    [ "$("$PLAT" dump --json i.img index | grep -c directory_index)" -ge 900 ]
    unpacked
    names=$(trees names "$memory/out/d" | sed 's/ [0-9]* inodes//')
    [[ "$names" == "300000 names "* ]]
    # Contents: each file holds its number.
    (cd "$memory/out/d" && find . -type f -print0 | sort -z | xargs -0 cat | cmp - <(seq 0 299999 | tr -d '\n'))
    rm -rf "$memory/out"
    same_lines <(awk -F'|' '$2 == "f" { printf "file %s %04d %s %s\n", $1, $3, $4, $5 }' want) \
        <(rdsquashfs -d i.img | grep '^file')
    # A look-up in such a directory costs the kernel 0.2 ms, so not each is tried.
    some() {
        [ "$(trees names d | sed 's/ [0-9]* inodes//')" = "$names" ] || return 1
        local i name found
        for ((i = 0; i < 300000; i += 1499)); do
            printf -v name d/%06d-of-very-many "$i"
            found=$(<"$name") && [ "$found" = "$i" ] || { echo "$name: $found"; return 1; }
        done
        [ ! -e d/299999-of-very-man ] && [ ! -e d/300000-of-very-many ] && [ ! -e d/0 ]
    }
    through some
}

@test "70,000 hard links to one file" {
    make_image links:70000
    [ "$(unsquashfs -s i.img | sed -n 's/^Number of inodes //p')" -eq 3 ]
    case $(stat -f -c %T "$memory") in tmpfs) unpacked ;; *) echo "# without unsquashfs: no tmpfs to unpack to" >&3 ;; esac
    [ "$(rdsquashfs -d i.img | grep -c '^file d/[0-9]* 0644 0 0$')" -eq 70000 ]
    one() {
        # shellcheck disable=SC2053
        [[ "$(trees names d)" == "70000 names "$1" inodes "* ]] || { trees names d; return 1; }
        [ "$(stat -c %h d/0 d/1 d/34567 d/69999 | sort -u)" = 70000 ] && [ "$(cat d/69999)" = "one file of many names" ]
    }
    if may_mount; then mounted kernel i.img one 1; fi
    if may_fuse; then mounted squashfuse i.img one '*'; fi
    [ "$("$PLAT" ls i.img /d | wc -l)" -eq 70000 ]
}

@test "a path of 200 directories, and names of 255 bytes" {
    same() { diff "$1" <(listing | owned); }
    for tree in deep:200 names; do
        make_image $tree
        owned want >want.owned
        unpacked
        rm -rf "$memory/out"
        rdsquashfs -d i.img | awk '{ print $1 }' | sort | uniq -c | tr -s ' ' >kinds
        case $tree in
        names) [ "$(cat kinds)" = $' 1 dir\n 201 file\n 1 slink' ] ;;
        *) [ "$(cat kinds)" = $' 200 dir\n 1 file' ] ;;
        esac
        through same "$PWD/want.owned"
    done
    "$PLAT" cat i.img "/$(printf 'd%.0s' {1..255})/$(printf 'e%.0s' {1..255})" | grep -x below
}

@test "device numbers: majors to 4095, minors to 1048575" {
    make_image devices
    # Each is named by its kind and numbers, which are its owner and group, too.
    as_named() {
        local facts=$BATS_TEST_TMPDIR/facts
        trees facts "${1:-.}" root links >"$facts"
        [ "$(wc -l <"$facts")" -eq 128 ] || return 1
        [ "$(grep -cE "^'([bc])-([0-9]+)-([0-9]+)' \1 620 1709210096.000000000 \2:\3 \2,\3\$" "$facts")" -eq 128 ]
    }
    [ "$(rdsquashfs -d i.img | grep -cE '^nod ([bc])-([0-9]+)-([0-9]+) 0620 \2 \3 \1 \2 \3$')" -eq 128 ]
    if is_root; then
        unpacked
        as_named "$memory/out"
    fi
    through as_named
}

@test "a sparse file of 5 GiB" {
    mkdir t
    truncate -s 5GiB t/sparse
    printf middle | dd of=t/sparse bs=1 seek=3221225477 conv=notrunc status=none
    printf end | dd of=t/sparse bs=1 seek=5368709117 conv=notrunc status=none
    parts() {
        [ "$(stat -c %s sparse)" -eq 5368709120 ] && [ "$(tail -c 4 sparse | tr '\0' 0)" = 0end ] &&
            [ "$(dd if=sparse bs=1 skip=3221225477 count=6 status=none)" = middle ] &&
            [ "$(dd if=sparse bs=1M skip=3000 count=100 status=none | tr -d '\0')" = middle ]
    }
    for block in 4KiB 1MiB; do
        "$PLAT" mk squashfs t -o i.img -O block-bytes=$block -O compress=zstd:1
        [ "$(stat -c %s i.img)" -le 204800 ]
        "$PLAT" verify --data i.img
        unsquashfs -no-progress -quiet -d "$memory/theirs" i.img >unpack.out 2>&1
        "$PLAT" extract i.img -C "$memory/ours"
        for out in "$memory/theirs" "$memory/ours"; do
            (cd "$out" && parts)
            # The holes are left.
            [ "$(du -k "$out/sparse" | cut -f1)" -le 4096 ]
        done
        rm -rf "$memory/theirs" "$memory/ours"
        through parts
    done
}

@test "no file, one of 0 bytes and one of 1 byte: every codec" {
    for bytes in none 0 1; do
        rm -rf t && mkdir t
        [ $bytes = none ] || head -c $bytes /dev/zero | tr '\0' x >t/f
        find t -depth -exec touch -d @1709210096 {} +
        trees facts t >want
        for with in gzip:4KiB gzip:1MiB xz:4KiB zstd:1MiB lz4:4KiB lzo:1MiB; do
            echo "# $bytes $with"
            "$PLAT" mk squashfs t -o i.img -O compress=${with%:*} -O block-bytes=${with#*:} -O owner=keep
            "$PLAT" verify --data --strict i.img
            same_for_all i.img want
        done
    done
}
