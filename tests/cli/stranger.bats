#!/usr/bin/env bats
# What a newcomer trips over: each test is something that went wrong, or said too little, when somebody tried it.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    PATH="$PATH:/usr/sbin:/sbin"
    cd "$BATS_TEST_TMPDIR"
    mkdir -p tree/sub
    echo one >tree/one
    echo two >tree/sub/two
}

# Recipe with one FAT32 partition and more top-level members.
recipe() { # FILE [MEMBERS]
    printf '{ "table": "gpt", %s "partitions": [ { "type": "esp", "format": "fat32", "files": [ { "from": "tree" } ] } ] }' \
        "${2-}" >"$1"
}

refused() { # WORDS COMMAND...
    run "${@:2}"
    echo "$output"
    [ "$status" -eq 2 ]
    [[ "$output" == *"$1"* ]]
}

# Catches: a tar whose last header is cut off, taken for a whole one because looking for ISO 9660 hid its end.
@test "a short archive that is cut inside a header is refused" {
    tar cf whole.tar -C tree .
    "$PLAT" mk fat32 whole.tar -o fat.img
    for bytes in 600 1000; do
        head -c $bytes whole.tar >cut.tar
        refused "Truncated" "$PLAT" mk fat32 cut.tar -o cut.img
        refused "Truncated" "$PLAT" mk fat32 - -o cut.img <cut.tar
        [ ! -e cut.img ]
    done
}

# Catches: an image that holds the image of the run before, and so never is the same twice.
@test "an output that lies in its source is not packed" {
    mkdir -p project/sub project/build
    echo kept >project/file
    echo kept >project/sub/out.img # the same name, in another directory
    cat >project/r.json <<'R'
{ "table": "gpt", "partitions": [ { "type": "linux-data", "format": "tar", "files": [
    { "to": "pack.cpio", "pack": { "format": "cpio", "files": [ { "from": "." } ] } }, { "from": "." } ] } ] }
R
    ln -s project link
    for make in "build project/r.json" "mk cpio project" "mk tar link" "mk fat32 link/"; do
        rm -f project/build/out.img
        "$PLAT" $make -o project/build/out.img 2>note
        ! grep -q 'left out' note || false
        sum=$(sha256sum <project/build/out.img)
        for again in 1 2; do
            touch -d "+$again hours" project/build # as if the run before had been long ago
            "$PLAT" $make -o "$PWD/link/build/out.img" 2>note
            grep -q 'note: .*out.img lies in a source; it is the output and is left out' note
            [ "$sum" = "$(sha256sum <project/build/out.img)" ]
        done
    done
    "$PLAT" mk tar project -o project/build/out.img 2>/dev/null
    [ "$(tar tf project/build/out.img | tr '\n' ' ')" = 'build/ file r.json sub/ sub/out.img ' ]
    # An image of another name is a file like any other.
    "$PLAT" mk tar project -o project/other.img 2>note
    [ ! -s note ]
    tar tf project/other.img | grep -qx build/out.img
}

# Catches: an image put in the place of what it was to be made from.
@test "the output cannot be the recipe or the source" {
    recipe r.json
    ln r.json other-name.json
    before=$(sha256sum <r.json)
    refused "the recipe itself" "$PLAT" build r.json -o r.json
    refused "the recipe itself" "$PLAT" build r.json -o other-name.json
    [ "$before" = "$(sha256sum <r.json)" ]
    truncate -s 1M raw.img
    for member in '"content": "raw.img"' '"format": "tar", "files": [ { "from": "raw.img" } ]'; do
        echo "{ \"table\": \"gpt\", \"partitions\": [ { \"type\": \"linux-data\", $member } ] }" >raw.json
        refused "a source of this disk itself" "$PLAT" build raw.json -o raw.img
    done
    echo '{ "table": "gpt", "boot_code": "raw.img", "partitions": [ { "type": "linux-data", "size": "1MiB" } ] }' >raw.json
    refused "a source of this disk itself" "$PLAT" build raw.json -o ./raw.img
    [ "$(stat -c %s raw.img)" = 1048576 ]
    tar cf tree.tar tree
    refused "the source itself" "$PLAT" mk fat32 tree.tar -o tree.tar
    "$PLAT" build r.json -o disk.img
    "$PLAT" build - -o disk.img <r.json
}

# Catches: "make it larger" without saying by how much.
@test "a disk that is too small: the size that is named works, and one sector less does not" {
    recipe r.json '"disk_size": "20MiB",'
    run "$PLAT" build r.json -o disk.img
    [ "$status" -eq 2 ]
    [[ "$output" =~ 'make "disk_size" at least '([0-9]+) ]]
    least=${BASH_REMATCH[1]}
    recipe r.json "\"disk_size\": $least,"
    "$PLAT" build r.json -o disk.img
    [ "$(stat -c %s disk.img)" -eq "$least" ]
    recipe r.json "\"disk_size\": $((least - 4096)),"
    refused "at least $least" "$PLAT" build r.json -o disk.img
}

@test "a size that is no whole number of sectors: the next that is one is named" {
    recipe r.json '"disk_size": "100MB",'
    refused "the next is 100000256" "$PLAT" build r.json -o disk.img
    recipe r.json '"disk_size": 100000256,'
    "$PLAT" build r.json -o disk.img
    refused "the next is 4096" "$PLAT" mk fat32 tree -o fat.img --sector-bytes 4096 --size 100
}

# Catches: a finding about the backup header that does not say who minds.
@test "a damaged backup header: sgdisk refuses it, and the finding says so" {
    recipe r.json
    "$PLAT" build r.json -o disk.img
    printf '\xff' | dd of=disk.img bs=1 seek=$(($(stat -c %s disk.img) - 512 + 57)) conv=notrunc status=none
    sgdisk -v disk.img 2>&1 | grep -q 'Backup header: ERROR'
    run "$PLAT" verify disk.img
    [ "$status" -eq 1 ]
    [[ "$output" == *"gpt.backup at"*"refused by sgdisk"* ]]
}

# Catches: a volume that fsck.fat refuses, passed with a warning.
@test "more than two FATs: fsck.fat refuses them" {
    truncate -s 40M fat.img
    mkfs.fat -F 32 -s 1 -f 3 fat.img >/dev/null
    run fsck.fat -n fat.img
    [ "$status" -ne 0 ]
    run "$PLAT" verify fat.img
    [ "$status" -eq 1 ]
    [[ "$output" == *"boot.num_fats"*"refused by fsck.fat"* ]]
}

# Catches: silence about a file of 4 GiB - 1, which is legal and which fsck.fat 4.2 would cut to nothing.
@test "a file of 4 GiB - 1 bytes is built, comes back, and its note names fsck.fat" {
    mkdir huge
    truncate -s 4294967295 huge/max.bin
    printf END | dd of=huge/max.bin bs=1 seek=4294967292 conv=notrunc status=none
    "$PLAT" mk fat32 huge -o fat.img
    run "$PLAT" verify fat.img
    [ "$status" -eq 0 ]
    [[ "$output" == *"note: "*"max.bin"*"refused by fsck.fat"* ]]
    [ "$("$PLAT" cat fat.img /max.bin | tail -c 3)" = END ]
    truncate -s 4294967296 huge/over.bin
    refused "4 GiB - 1" "$PLAT" mk fat32 huge -o over.img
}

# Catches: holes that the kernel fills with zeros when it copies, which makes 2 GiB of disk out of nothing.
@test "a sparse file stays sparse, from a directory, from an archive and as content" {
    mkdir sparse
    truncate -s 1G sparse/file
    head -c 2000000 /dev/urandom | dd of=sparse/file bs=1M seek=500 conv=notrunc status=none
    tar cSf sparse.tar -C sparse .
    printf '{ "table": "gpt", "partitions": [ { "type": "linux-data", "content": "sparse/file" } ] }' >r.json
    "$PLAT" mk fat32 sparse -o directory.img
    "$PLAT" mk fat32 sparse.tar -o archive.img
    "$PLAT" build r.json -o disk.img
    for image in directory.img archive.img disk.img; do
        [ "$(du -k $image | cut -f1)" -lt 16384 ]
    done
    "$PLAT" cat directory.img /file | cmp - sparse/file
    "$PLAT" cat archive.img /file | cmp - sparse/file
    cmp -n 1073741824 sparse/file disk.img 0 1048576
}

# Catches: standard output closed by the caller, its number taken by the image, and the closing line written into it.
@test "closed standard streams: the image is the same, and the lost line is a failure" {
    recipe r.json
    "$PLAT" build r.json -o want.img
    "$PLAT" build r.json -o no-input.img <&-
    cmp want.img no-input.img
    "$PLAT" build r.json -o no-errors.img 2>&-
    cmp want.img no-errors.img
    run bash -c '"$1" build r.json -o no-output.img >&-' - "$PLAT"
    [ "$status" -eq 2 ]
    [[ "$output" == *"cannot write to standard output"* ]]
    cmp want.img no-output.img
    run bash -c '"$1" mk cpio tree -o none.cpio <&- >&- 2>&-' - "$PLAT"
    [ "$status" -eq 2 ]
    "$PLAT" mk cpio tree -o want.cpio
    cmp want.cpio none.cpio
}

# Catches: `-o /dev/stdout >disk.img` as root, which put a regular file in the place of /dev/stdout.
@test "an output that is a symbolic link replaces the file that it leads to" {
    "$PLAT" mk cpio tree -o want.cpio
    mkdir real
    echo old >real/out.cpio
    ln -s real/out.cpio link
    ln -s link second
    "$PLAT" mk cpio tree -o second
    [ "$(readlink link)" = real/out.cpio ]
    [ "$(readlink second)" = link ]
    cmp want.cpio real/out.cpio

    ln -s /proc/self/fd/1 my-stdout
    "$PLAT" mk cpio tree -o my-stdout >to.cpio
    [ -L my-stdout ]
    cmp want.cpio to.cpio

    ln -s real/gone dangling
    refused "dangling: is a symbolic link that leads to no file" "$PLAT" mk cpio tree -o dangling
    [ -L dangling ]
    [ ! -e real/gone ]
    refused "the name of the output is empty" "$PLAT" mk cpio tree -o ''

    # Also where it leads into the source: the image of the run before is not in the next.
    echo old >tree/own.cpio
    ln -s tree/own.cpio own
    "$PLAT" mk cpio tree -o own
    sum=$(sha256sum <tree/own.cpio)
    "$PLAT" mk cpio tree -o own
    [ "$(sha256sum <tree/own.cpio)" = "$sum" ]
    ! grep -q own.cpio tree/own.cpio || false
}

# Catches: a plain MBR disk with 4096-byte sectors, whose table does not say so, read as one with 512: nothing was found
# in its partitions, and ls, cat and extract have no --sector-bytes.
@test "an MBR disk with 4096-byte sectors is known by the filesystem in it" {
    printf '{ "table": "mbr", "sector_bytes": 4096, "partitions": [ { "type": "linux", "size": "1MiB" },
        { "type": "0x0c", "format": "fat32", "files": [ { "from": "tree" } ] } ] }' >large.json
    sed 's/4096/512/' large.json >small.json
    for sectors in small large; do
        "$PLAT" build $sectors.json -o $sectors.img
        "$PLAT" verify --strict $sectors.img
        "$PLAT" extract $sectors.img -C $sectors
        diff -r tree $sectors
    done
    [ "$("$PLAT" cat large.img one)" = one ]
    "$PLAT" dump --json large.img | grep -q '"sector_bytes": 4096'
    "$PLAT" dump --json small.img | grep -q '"sector_bytes": 512'
    # What is said on the command line is not doubted.
    run "$PLAT" verify --sector-bytes 512 large.img
    [[ "$output" == *"in 1 structure"* ]]
}

# Catches: `extract --force -o /dev/null` as root, which put a tar in the place of the device.
@test "extract --force does not replace what is no regular file by an archive" {
    "$PLAT" mk fat32 tree -o fat.img
    mkfifo pipe
    ln -s pipe link
    for target in pipe link; do
        refused "$target exists and is not a regular file" "$PLAT" extract fat.img --force -o $target
    done
    [ -p pipe ]
    [ -L link ]
    "$PLAT" extract fat.img -o out.tar
    refused "out.tar exists already" "$PLAT" extract fat.img -o out.tar
    "$PLAT" extract fat.img --force -o out.tar
}

# Catches: silence, and exit code 0, where the content of a file lies in a block with that of others.
@test "hex and cat of what has no bytes to show: the reason, and what to do" {
    ln -s one tree/link
    truncate -s 1MiB tree/hole
    : >tree/empty
    "$PLAT" mk squashfs tree -o i.img
    refused "/one: no byte of the image is its alone" "$PLAT" hex i.img /one
    refused "/hole: no byte of the image is its alone" "$PLAT" hex i.img /hole
    refused "/sub: it is a directory; plat ls lists it" "$PLAT" hex i.img /sub
    refused "/link: it has no content" "$PLAT" hex i.img /link
    refused "no 'none' in '/'" "$PLAT" hex i.img /none
    [ -z "$("$PLAT" hex i.img /empty)" ]
    refused "link: it is a symbolic link; plat ls -l shows where it leads" "$PLAT" cat i.img link
    "$PLAT" mk squashfs tree -o i.img -O fragments=no
    "$PLAT" hex i.img /one | grep -q '/one'
}
