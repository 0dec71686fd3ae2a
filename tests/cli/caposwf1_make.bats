#!/usr/bin/env bats
# caposwf1 and capos-data made from directories, archives, pipes and recipes.

setup() {
    source "$BATS_TEST_DIRNAME/source_tree.bash"
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    make_source 1000000
    find src -depth -exec touch -h -d '2001-02-03 04:05:06.5 UTC' {} +
}

@test "a directory comes out as it went in, with its times" {
    "$PLAT" mk caposwf1 src -o wf.img
    "$PLAT" verify --data wf.img
    (umask 022 && "$PLAT" extract wf.img -C out)
    diff <(tree_of src | sed 1d) <(tree_of out | sed 1d)
    diff <(times_of src) <(times_of out)
    [ "$("$PLAT" cat wf.img '/a name/two')" = two ]
    "$PLAT" ls -l wf.img | grep -q '2001-02-03 04:05:06  *one.txt'
    [ "$("$PLAT" get wf.img superblock.superblock_block)" = "256 block" ] || [ "$("$PLAT" get wf.img superblock.superblock_block)" = 256 ]
}

@test "archives, standard input and pipes give the same bytes" {
    tar -C src -cf src.tar .
    "$PLAT" mk caposwf1 src -o a.img
    "$PLAT" mk caposwf1 src.tar -o b.img
    # tar keeps whole seconds
    find src -depth -exec touch -h -d '2001-02-03 04:05:06 UTC' {} +
    "$PLAT" mk caposwf1 src -o whole.img
    cmp whole.img b.img
    run cmp a.img b.img
    [ "$status" -eq 1 ]
    "$PLAT" mk caposwf1 - -o - <src.tar 2>/dev/null | cmp - whole.img
    "$PLAT" mk caposwf1 src -o - --size 4MiB 2>/dev/null >sized.img
    [ "$(stat -c %s sized.img)" -eq $((4 << 20)) ]
    "$PLAT" mk caposwf1 src -o sized2.img --size 4MiB
    cmp sized.img sized2.img
}

@test "the same bytes whatever locale, zone, umask and the order on the host are" {
    "$PLAT" mk caposwf1 src -o a.img
    mkdir two
    (cd src && find . | sort -r | tar -cf - --no-recursion -T - --format=pax) | tar -C two -xf -
    find two -depth -exec touch -h -d '2001-02-03 04:05:06.5 UTC' {} +
    (umask 077 && LC_ALL=tr_TR.UTF-8 TZ=Pacific/Apia "$PLAT" mk caposwf1 two -o b.img)
    cmp a.img b.img
}

@test "times and where they come from" {
    "$PLAT" mk caposwf1 src -o n.img -O times=ntp-synced
    "$PLAT" mk caposwf1 src -o u.img -O times=unknown
    "$PLAT" ls -l u.img | grep -Eq -- '^-rw------- +4  -  +one.txt'
    [ "$(stat -c %s n.img)" -eq "$(stat -c %s u.img)" ]
    run "$PLAT" ls -l u.img
    [[ "$output" != *1970* ]]
    run "$PLAT" mk caposwf1 src -o x.img -O times=yes
    [ "$status" -eq 2 ]
    [[ "$output" == *"unknown|untrusted|ntp-synced|stated"* ]]
}

@test "sizes: compact is the least, else there is room, and slack is free" {
    "$PLAT" mk caposwf1 src -o c.img --compact
    "$PLAT" mk caposwf1 src -o a.img
    "$PLAT" mk caposwf1 src -o s.img --slack 1MiB
    c=$(stat -c %s c.img) a=$(stat -c %s a.img) s=$(stat -c %s s.img)
    [ "$c" -lt "$a" ] && [ "$s" -ge $((a + (1 << 20))) ]
    "$PLAT" mk caposwf1 src -o same.img --size "$c"
    cmp c.img same.img
    run "$PLAT" mk caposwf1 src -o x.img --size $((c - 512))
    [ "$status" -eq 2 ]
    [[ "$output" == *"the tree needs $c"* ]]
    "$PLAT" mk caposwf1 src -o zero.img --compact -O superblock=0
    [ "$(stat -c %s zero.img)" -eq $((c - 256 * 512)) ]
    "$PLAT" verify --data c.img
    "$PLAT" verify --data zero.img
    for bad in "caposwf1 --compact --slack 1MiB" "caposwf1 --compact --size 4MiB" "fat32 --compact"; do
        # shellcheck disable=SC2086
        set -- $bad
        run "$PLAT" mk "$1" src -o x.img "${@:2}"
        [ "$status" -eq 2 ]
        [[ "$output" == *"--compact"* ]]
    done
}

@test "zeros take no room, be they holes or not" {
    mkdir sparse full
    truncate -s 300M sparse/file
    printf begin | dd of=sparse/file conv=notrunc status=none
    printf middle | dd of=sparse/file bs=1M seek=100 conv=notrunc status=none
    cp --sparse=never sparse/file full/file
    touch -r sparse/file full/file && touch -r sparse full
    "$PLAT" mk caposwf1 sparse -o a.img
    "$PLAT" mk caposwf1 full -o b.img
    cmp a.img b.img
    [ "$(stat -c %s a.img)" -lt 600000 ]
    "$PLAT" verify --data a.img
    "$PLAT" cat a.img /file | cmp - full/file
}

@test "devices, pipes and owners through an archive" {
    "$PLAT" mk tar src -o nodes.tar -O node=dev/null:c:1:3:0666,run/pipe:p:0600
    "$PLAT" mk caposwf1 nodes.tar -o wf.img
    "$PLAT" verify --data wf.img
    "$PLAT" ls -lR wf.img | grep -q '^crw-rw-rw- .* dev/null'
    "$PLAT" ls -lR wf.img | grep -q '^prw------- .* run/pipe'
}

@test "a partition of a disk, by recipe, compact or not" {
    cat >recipe.json <<'J'
{ "table": "gpt", "seed": "x", "partitions": [
  { "name": "root", "type": "linux-data", "format": "caposwf1", "label": "ROOT", "slack": "64KiB",
    "options": { "times": "ntp-synced" }, "files": [ { "from": "src" } ] },
  { "name": "small", "type": "linux-data", "format": "caposwf1", "compact": true, "files": [ { "from": "src" } ] } ] }
J
    "$PLAT" build recipe.json -o disk.img
    "$PLAT" verify --data disk.img
    "$PLAT" extract -p root disk.img -C out
    diff -r --no-dereference src out
    [ "$("$PLAT" get disk.img root.superblock.label)" = ROOT ]
    "$PLAT" build recipe.json -o - 2>/dev/null | cmp - disk.img
    sed 's/"compact": true/"compact": true, "slack": "1MiB"/' recipe.json >bad.json
    run "$PLAT" build bad.json -o x.img
    [ "$status" -eq 2 ]
    [[ "$output" == *"partitions[1].compact"* ]]
    sed 's/"caposwf1", "compact"/"fat32", "compact"/' recipe.json >bad.json
    run "$PLAT" build bad.json -o x.img
    [ "$status" -eq 2 ]
    [[ "$output" == *"partitions[1].compact"*"keeps nothing free"* ]]
}

# ---- capos-data ----

@test "capos-data: empty, and the namespace preset" {
    "$PLAT" mk capos-data -o empty.img
    "$PLAT" mk capos-data -o nvme.img --preset nvme
    [ "$(stat -c %s nvme.img)" -eq $((32768 * 512)) ]
    [ "$(head -c 8 nvme.img)" = CAPOSST1 ]
    [ "$(tail -c +$((256 * 512 + 1)) nvme.img | head -c 8)" = CAPOSWF1 ]
    for image in empty.img nvme.img; do
        "$PLAT" verify --data $image
        [ -z "$("$PLAT" ls $image)" ]
        [ -z "$("$PLAT" store ls $image)" ]
    done
    run "$PLAT" mk capos-data -o x.img --preset nvme --size 32MiB
    [ "$status" -eq 2 ]
    [[ "$output" == *"the preset has 16777216 bytes"* ]]
    run "$PLAT" mk capos-data -o x.img --preset floppy
    [ "$status" -eq 2 ]
    run "$PLAT" mk caposwf1 src -o x.img --preset nvme
    [ "$status" -eq 2 ]
    [[ "$output" == *"no option 'preset'"* ]]
}

@test "capos-data: seeded, and each layer by its name" {
    "$PLAT" mk capos-data -o d.img --size 8MiB --seed src --seed-object src/dir/big --seed-object src/one.txt
    "$PLAT" verify --data d.img
    "$PLAT" extract d.img -C out
    diff -r --no-dereference src out
    "$PLAT" store ls d.img | sort | cmp - <(sha256sum src/dir/big src/one.txt | cut -c 1-64 | sort)
    "$PLAT" store get d.img "$(sha256sum <src/dir/big | cut -c 1-64)" | cmp - src/dir/big
    "$PLAT" ls -p fs d.img | grep -qx one.txt
    "$PLAT" ls d.img fs:/dir | grep -qx big
    "$PLAT" ls -p store d.img | grep -q "^$(sha256sum <src/one.txt | cut -c 1-64)"
    [ "$("$PLAT" get d.img store.superblock.magic)" = CAPOSST1 ]
    [ "$("$PLAT" get d.img fs.superblock.magic)" = CAPOSWF1 ]
    "$PLAT" hex d.img fs.superblock | grep -q 'CAPOSWF1'
    "$PLAT" dump d.img | grep -q '^fs.superblock'
    run "$PLAT" ls -p attic d.img
    [ "$status" -eq 2 ]
    [[ "$output" == *"the image has store, fs"* ]]
    "$PLAT" mk capos-data -o - --size 8MiB --seed src --seed-object src/dir/big --seed-object src/one.txt 2>/dev/null | cmp - d.img
    tar -C src --format=pax -cf src.tar .
    "$PLAT" mk capos-data -o - --size 8MiB --seed - --seed-object src/dir/big --seed-object src/one.txt <src.tar 2>/dev/null | cmp - d.img
}

@test "capos-data: the store is put to without harm to the files, and the other way round" {
    "$PLAT" mk capos-data -o d.img --preset nvme --seed src
    "$PLAT" store put -q d.img src/dir/big
    "$PLAT" store put -q d.img src/one.txt
    "$PLAT" store delete d.img "$(sha256sum <src/one.txt | cut -c 1-64)"
    "$PLAT" store compact d.img
    "$PLAT" verify --data d.img
    "$PLAT" extract d.img -C out
    diff -r --no-dereference src out
}

@test "capos-data: who gets how much, and what is refused" {
    "$PLAT" mk capos-data -o d.img --size 8MiB -O store-bytes=2MiB -O store-entries=100 -O store-version=2
    [ "$("$PLAT" get d.img store.superblock.region_blocks)" = "4096 block" ] || [ "$("$PLAT" get d.img store.superblock.region_blocks)" = 4096 ]
    "$PLAT" verify --data d.img
    "$PLAT" mk capos-data -o c.img --compact --seed src
    [ "$(stat -c %s c.img)" -lt 1300000 ]
    "$PLAT" verify --data c.img
    run "$PLAT" mk capos-data -o x.img --size 8MiB -O store-bytes=1000
    [ "$status" -eq 2 ]
    [[ "$output" == *"store-bytes"* ]]
    run "$PLAT" mk capos-data -o x.img --size 1MiB --seed src
    [ "$status" -eq 2 ]
    [[ "$output" == *"too few"* ]]
    run "$PLAT" mk capos-data src -o x.img
    [ "$status" -eq 2 ]
    [[ "$output" == *"takes no SOURCE"* ]]
    run "$PLAT" mk caposwf1 -o x.img
    [ "$status" -eq 2 ]
    [[ "$output" == *"SOURCE is missing"* ]]
    run "$PLAT" mk caposwf1 src -o x.img --seed-object src/one.txt
    [ "$status" -eq 2 ]
    [[ "$output" == *"--seed-object"* ]]
    [ ! -e x.img ]
}

@test "capos-data: a partition of a disk, by recipe" {
    cat >recipe.json <<'J'
{ "table": "gpt", "seed": "x", "partitions": [
  { "name": "data", "type": "linux-data", "format": "capos-data", "options": { "preset": "nvme" },
    "objects": [ "src/dir/big" ], "files": [ { "from": "src" } ] },
  { "name": "other", "type": "linux-data", "format": "caposro1", "files": [ { "from": "src" } ] } ] }
J
    "$PLAT" build recipe.json -o disk.img
    "$PLAT" verify --data disk.img
    "$PLAT" ls disk.img | grep -q ' data .*capOS store, capOS writable filesystem'
    "$PLAT" ls -p data disk.img | grep -qx one.txt
    "$PLAT" ls -p data-fs disk.img | grep -qx one.txt
    "$PLAT" ls disk.img data-fs:/dir | grep -qx big
    [ "$("$PLAT" get disk.img data-store.superblock.magic)" = CAPOSST1 ]
    "$PLAT" store has -p data disk.img "$(sha256sum <src/dir/big | cut -c 1-64)"
    "$PLAT" build recipe.json -o - 2>/dev/null | cmp - disk.img
    sed 's/"format": "capos-data".*/"format": "caposwf1",/' recipe.json >bad.json
    run "$PLAT" build bad.json -o x.img
    [ "$status" -eq 2 ]
    [[ "$output" == *"partitions[0].objects"* ]]
}
