#!/usr/bin/env bats
# FAT32 volumes that plat makes, judged by strangers: fsck.fat (dosfstools) and mtools.
#
# Catches: geometry, FATs, directories, long or 8.3 names, times or labels that other implementations read otherwise.

setup_file() {
    export LC_ALL=C.UTF-8 TZ=UTC MTOOLS_SKIP_CHECK=0
    export PLAT="${PLAT:-$BATS_TEST_DIRNAME/../../build/plat}"
    export MIX="$BATS_FILE_TMPDIR/mix"
    mkdir -p "$MIX/EFI/BOOT" "$MIX/loader/entries"
    head -c 300000 /dev/urandom >"$MIX/EFI/BOOT/BOOTX64.EFI"
    head -c 5242957 /dev/urandom >"$MIX/large file.bin"
    : >"$MIX/empty"
    deep="$MIX"
    for i in $(seq 1 30); do deep="$deep/level $i"; done
    mkdir -p "$deep"
    echo leaf >"$deep/leaf.txt"
    for bytes in 1 511 512 513 4095 4096 4097 32768; do
        head -c $bytes /dev/urandom >"$MIX/loader/size-$bytes.bin"
    done
    for name in config-entry-00001.json config-entry-00002.json readme.md README.TXT Makefile Mixed.Txt UPPER.low \
        lower.UPP "a b.txt" .hidden foo.tar.gz a+b.txt a.b.c "x[1].txt" name.html 日本語.txt CON.txt ünï.txt \
        thirteen-char twenty-six-characters-long "$(printf 'n%.0s' $(seq 255))" 'CONFIG~1.JSO'; do
        echo "$name" >"$MIX/loader/entries/$name"
    done
    find "$MIX" -exec touch -d '2024-02-29 12:34:56 UTC' {} +
}

# No complaint at all, not just exit 0: fsck.fat exits 0 on differing boot sectors.
fsck_clean() {
    run fsck.fat -n "$1"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 2 ] # its version, and the totals
}

same_files() {
    rm -rf "$BATS_TEST_TMPDIR/out"
    mkdir "$BATS_TEST_TMPDIR/out"
    mcopy -s -m -n -i "$1" '::*' "$BATS_TEST_TMPDIR/out/"
    diff -r "$2" "$BATS_TEST_TMPDIR/out"
}

@test "volumes of every usual size are clean and give their files back" {
    for args in "" "--size 34MiB" "--size 64MiB" "--size 260MiB" "--size 261MiB" "--size 600MiB" "--slack 10MiB" \
        "--sector-bytes 4096" "--sector-bytes 4096 --size 300MiB" "-O fats=1" "-O reserved-sectors=9" \
        "--size 600MiB -O cluster-bytes=1024" "--size 2200MiB -O cluster-bytes=32KiB" \
        "--size 4400MiB -O cluster-bytes=65536"; do
        echo "# $args"
        "$PLAT" mk fat32 "$MIX" -o "$BATS_TEST_TMPDIR/img" --label ESP $args
        fsck_clean "$BATS_TEST_TMPDIR/img"
        same_files "$BATS_TEST_TMPDIR/img" "$MIX"
        rm "$BATS_TEST_TMPDIR/img"
    done
}

@test "the volume takes the whole image, to the last sector" {
    "$PLAT" mk fat32 "$MIX" -o "$BATS_TEST_TMPDIR/img" --size 67109376
    [ "$(stat -c %s "$BATS_TEST_TMPDIR/img")" -eq 67109376 ]
    minfo -i "$BATS_TEST_TMPDIR/img" :: | grep -E 'big size: 131073 sectors'
}

@test "8.3 names are those that mtools would choose, where both are ASCII" {
    "$PLAT" mk fat32 "$MIX" -o "$BATS_TEST_TMPDIR/img"
    mdir -a -i "$BATS_TEST_TMPDIR/img" ::/loader/entries >"$BATS_TEST_TMPDIR/list"
    cat "$BATS_TEST_TMPDIR/list"
    # A name that is 8.3 itself keeps it; aliases go round it.
    grep -E '^CONFIG~1 JSO ' "$BATS_TEST_TMPDIR/list"
    grep -E '^CONFIG~2 JSO .* config-entry-00001.json' "$BATS_TEST_TMPDIR/list"
    grep -E '^CONFIG~3 JSO .* config-entry-00002.json' "$BATS_TEST_TMPDIR/list"
    grep -E '^readme   md ' "$BATS_TEST_TMPDIR/list"
    grep -E '^README   TXT ' "$BATS_TEST_TMPDIR/list"
    grep -E '^MAKEFILE .* Makefile' "$BATS_TEST_TMPDIR/list"
    grep -E '^UPPER    low ' "$BATS_TEST_TMPDIR/list"
    grep -E '^lower    UPP ' "$BATS_TEST_TMPDIR/list"
    grep -E '^AB~1     TXT .* a b.txt' "$BATS_TEST_TMPDIR/list"
    grep -E '^HIDDEN~1 .* \.hidden' "$BATS_TEST_TMPDIR/list"
    grep -E '^FOOTAR~1 GZ ' "$BATS_TEST_TMPDIR/list"
    grep -E '^CON~1    TXT .* CON.txt' "$BATS_TEST_TMPDIR/list"
    grep -E '^___~1    TXT .* 日本語.txt' "$BATS_TEST_TMPDIR/list"
}

@test "times are UTC, and the label is where readers look for it" {
    "$PLAT" mk fat32 "$MIX" -o "$BATS_TEST_TMPDIR/img" --label 'my esp'
    mdir -a -i "$BATS_TEST_TMPDIR/img" ::/ | grep -E 'Volume in drive : is MY ESP'
    mdir -i "$BATS_TEST_TMPDIR/img" ::/ | grep -E 'empty .* 2024-02-29  12:34'
    run "$PLAT" mk fat32 "$MIX" -o "$BATS_TEST_TMPDIR/plain"
    [ "$status" -eq 0 ]
    mdir -a -i "$BATS_TEST_TMPDIR/plain" ::/ | grep -E 'has no label'
    fsck_clean "$BATS_TEST_TMPDIR/plain"
}

@test "2,500 colliding names and 20,000 in one directory are clean, and quick" {
    mkdir "$BATS_TEST_TMPDIR/same" "$BATS_TEST_TMPDIR/flat"
    (cd "$BATS_TEST_TMPDIR/same" && for i in $(seq -w 2500); do echo "$i" >"config-entry-$i.json"; done)
    (cd "$BATS_TEST_TMPDIR/flat" && for i in $(seq -w 20000); do echo "$i" >"file-$i.txt"; done)
    for source in same flat; do
        SECONDS=0
        "$PLAT" mk fat32 "$BATS_TEST_TMPDIR/$source" -o "$BATS_TEST_TMPDIR/img"
        [ "$SECONDS" -lt 10 ] # mcopy takes minutes for the first
        fsck_clean "$BATS_TEST_TMPDIR/img"
        same_files "$BATS_TEST_TMPDIR/img" "$BATS_TEST_TMPDIR/$source"
        rm "$BATS_TEST_TMPDIR/img"
    done
}

@test "the same tree gives the same bytes, wherever and whenever, and through a pipe" {
    cp -a "$MIX" "$BATS_TEST_TMPDIR/copy"
    "$PLAT" mk fat32 "$MIX" -o "$BATS_TEST_TMPDIR/one" --label A
    (umask 077 && cd / && TZ=Asia/Tokyo LC_ALL=C "$PLAT" mk fat32 "$BATS_TEST_TMPDIR/copy" -o "$BATS_TEST_TMPDIR/two" --label A)
    cmp "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
    "$PLAT" mk fat32 "$MIX" -o - --label A | cmp - "$BATS_TEST_TMPDIR/one"
}

@test "what cannot work is refused, with what would, and leaves nothing behind" {
    run "$PLAT" mk fat32 "$MIX" -o "$BATS_TEST_TMPDIR/img" --size 32MiB
    [ "$status" -eq 2 ]
    [[ "$output" == *"at least 33 MiB (34101760 bytes)"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/img" ]
    run "$PLAT" mk fat32 "$MIX" -o "$BATS_TEST_TMPDIR/img" --sector-bytes 4096 --size 200MiB
    [ "$status" -eq 2 ]
    [[ "$output" == *"at least 257 MiB"* ]]
    mkdir "$BATS_TEST_TMPDIR/bad"
    ln -s nowhere "$BATS_TEST_TMPDIR/bad/link"
    run "$PLAT" mk fat32 "$BATS_TEST_TMPDIR/bad" -o "$BATS_TEST_TMPDIR/img"
    [ "$status" -eq 2 ]
    [[ "$output" == *"/link"*"symbolic link"* ]]
    rm "$BATS_TEST_TMPDIR/bad/link"
    : >"$BATS_TEST_TMPDIR/bad/case"
    : >"$BATS_TEST_TMPDIR/bad/CASE"
    run "$PLAT" mk fat32 "$BATS_TEST_TMPDIR/bad" -o "$BATS_TEST_TMPDIR/img"
    [ "$status" -eq 2 ]
    [[ "$output" == *"'/case'"*"'CASE'"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/img" ]
    run bash -c "ls -A '$BATS_TEST_TMPDIR' | grep -c img"
    [ "$output" -eq 0 ]
}

# Catches: a minimum that does not work, or one that is not the least (rows 16 to 24 and 42 of the table of probes).
@test "the least size that build names works for every cluster and sector size, and a little less does not" {
    while read -r sector cluster; do
        recipe() { # BYTES
            echo "{ \"table\": \"gpt\", \"sector_bytes\": $sector, \"partitions\": [ { \"name\": \"esp\", \"type\": \"esp\",
                \"format\": \"fat32\", \"size\": $1, \"align\": \"64KiB\", \"options\": { \"cluster-bytes\": $cluster } } ] }" >"$BATS_TEST_TMPDIR/r.json"
            run "$PLAT" build "$BATS_TEST_TMPDIR/r.json" -o "$BATS_TEST_TMPDIR/disk"
            echo "# sectors of $sector, clusters of $cluster, $1 bytes: $output"
        }
        recipe 1048576
        [ "$status" -eq 2 ]
        [[ "$output" =~ "at least "[0-9]+" MiB ("([0-9]+)" bytes)" ]]
        least=$(((BASH_REMATCH[1] + 65535) / 65536 * 65536))
        recipe $least
        [ "$status" -eq 0 ]
        rm "$BATS_TEST_TMPDIR/disk"
        recipe $((least - 65536 - cluster / 65536 * 65536))
        [ "$status" -eq 2 ]
        [ ! -e "$BATS_TEST_TMPDIR/disk" ]
    done <<SHAPES
512 512
512 1024
512 8192
512 65536
4096 4096
4096 32768
SHAPES
}
