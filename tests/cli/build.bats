#!/usr/bin/env bats
# plat build: the same bytes everywhere, whole or not at all, and strangers' tools agree.

setup() {
    source "$BATS_TEST_DIRNAME/outputs.bash"
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    T=$BATS_TEST_TMPDIR
    cd "$T"
}

# A source tree with nested directories, long names and an empty file: make_tree DIR [names in reverse]
make_tree() {
    local order=cat
    [ "${2-}" != reversed ] || order=tac
    mkdir -p "$1"
    for n in $(printf '%s\n' a b c d e f g h i j | $order); do
        mkdir -p "$1/dir-$n/sub directory"
        printf 'content of %s\n' "$n" >"$1/dir-$n/a longer name for $n.text"
        head -c 5000 /dev/zero | tr '\0' "$n" >"$1/dir-$n/sub directory/$n.bin"
    done
    : >"$1/empty"
}

esp_recipe() { # FILE [more members]
    cat >"$1" <<R
{ "table": "gpt", ${2-}
  "partitions": [
    { "name": "esp", "type": "esp", "format": "fat32", "label": "ESP", "slack": "1MiB", "files": [ { "from": "tree/" } ] } ] }
R
}

accepted_by_strangers() { # DISK
    sgdisk -v "$1" | grep -q 'No problems found'
    sfdisk --verify "$1"
}

fat_of() { # DISK FIRST_BYTE BYTES OUT
    dd if="$1" of="$4" bs=4096 skip=$(($2 / 4096)) count=$(($3 / 4096)) status=none
}

# Catches: a disk that only plat understands.
@test "strangers accept the disk and read the files back" {
    make_tree tree
    esp_recipe r.json
    "$PLAT" build r.json -o disk.img
    accepted_by_strangers disk.img
    read -r start size < <("$PLAT" build r.json --explain --json |
        python3 -c 'import json,sys; p=json.load(sys.stdin)["partitions"][0]; print(p["start_bytes"], p["size_bytes"])')
    fat_of disk.img "$start" "$size" fat.img
    fsck.fat -n fat.img
    [ -z "$(fsck.fat -n fat.img | grep -i 'differ')" ]
    mdir -i fat.img -/ -a :: >/dev/null
    mkdir got
    mcopy -i fat.img -s -n '::/*' got/
    diff -r tree got
    "$PLAT" verify disk.img
}

# Catches: anything of the surroundings that gets into the image.
@test "byte identity: directory, umask, locale, time zone, creation order, touched files" {
    export SOURCE_DATE_EPOCH=1700000000
    mkdir one two
    (cd one && make_tree tree && esp_recipe r.json)
    (cd two && umask 077 && make_tree tree reversed && esp_recipe r.json && find tree -exec touch -d 2025-05-05 {} +)
    (cd one && TZ=UTC LC_ALL=C "$PLAT" build r.json -o disk.img)
    (cd / && umask 007 && TZ=Asia/Kathmandu LC_ALL=C.UTF-8 TMPDIR="$T" "$PLAT" build "$T/two/r.json" -o "$T/two/disk.img")
    cmp one/disk.img two/disk.img
    # Twice in the same place as well.
    "$PLAT" build one/r.json -o again.img
    cmp one/disk.img again.img
    # And the comparison can fail.
    printf x >>one/tree/empty
    "$PLAT" build one/r.json -o other.img
    run cmp -s one/disk.img other.img
    [ "$status" -eq 1 ]
}

@test "byte identity of a pack: owners and the time of the build do not enter" {
    export SOURCE_DATE_EPOCH=1700000000
    cp -r "$root/examples/ab-slots" one
    sleep 1
    cp -r "$root/examples/ab-slots" two
    [ "$(id -u)" -ne 0 ] || chown -R 1234:1234 two
    "$PLAT" build one/recipe.json -o one.img
    "$PLAT" build two/recipe.json -o two.img
    cmp one.img two.img
}

@test "identifiers: derived ones follow content, seed fixes them, explicit ones win" {
    make_tree tree
    esp_recipe r.json
    guid() { "$PLAT" build "$1" --explain --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["partitions"][0]["guid"])'; }
    first=$(guid r.json)
    [ "$first" = "$(guid r.json)" ]
    echo more >>tree/empty
    [ "$first" != "$(guid r.json)" ]
    esp_recipe seeded.json '"seed": "s",'
    seeded=$(guid seeded.json)
    echo more >>tree/empty
    [ "$seeded" = "$(guid seeded.json)" ]
    # Where the sources lie does not matter.
    cp -r tree elsewhere
    sed 's/"tree\/"/"${DIR}"/' r.json >d.json
    a=$("$PLAT" build d.json --explain --json -D DIR=tree/)
    cp -rp tree third
    [ "$a" = "$("$PLAT" build d.json --explain --json -D DIR="$T/third")" ]
}

@test "a pipe gets the same bytes as a file" {
    make_tree tree
    esp_recipe r.json
    "$PLAT" build r.json -o disk.img
    "$PLAT" build r.json -o - 2>note | cmp - disk.img
    grep -q 'not verified' note
    # A reader that goes away is a failure, not a hang.
    set +e
    "$PLAT" build r.json -o - 2>/dev/null | head -c 100 >/dev/null
    code=${PIPESTATUS[0]}
    set -e
    [ "$code" -ne 0 ]
}

# Catches: code that is cut off or lands on the signature or the records; a verify that complains about it.
@test "boot_code lands in front of the signature, of gpt and of mbr disks" {
    code=$root/tests/bad/recipe/data/boot-440.bin
    cp "$code" full.bin
    head -c 100 "$code" >short.bin
    for table in gpt mbr; do
        type=linux-data
        [ $table = gpt ] || type=0x83
        for sector in 512 4096; do
            recipe() { echo "{ \"table\": \"$table\", \"sector_bytes\": $sector, $1 \"seed\": \"s\",
                \"partitions\": [ { \"type\": \"$type\", \"size\": \"4MiB\" } ] }"; }
            recipe '' >plain.json
            "$PLAT" build plain.json -o plain.img
            for file in full short; do
                recipe "\"boot_code\": \"$file.bin\"," >r.json
                "$PLAT" build r.json -o disk.img
                n=$(stat -c %s $file.bin)
                cmp -n "$n" disk.img $file.bin
                cmp disk.img plain.img -i "$n" # and nothing else changes
                run "$PLAT" verify disk.img
                [[ "$output" == *"0 errors, 0 warnings, 0 notes"* ]]
                [ $sector = 4096 ] || sfdisk --verify disk.img
            done
        done
    done
    run "$PLAT" build r.json --explain
    [[ "$output" == *"boot code short.bin (100 bytes)"* ]]
    "$PLAT" build r.json --explain --json | python3 -c '
import json, sys
plan = json.load(sys.stdin)
assert (plan["boot_code"], plan["boot_code_bytes"]) == ("short.bin", 100), plan'
}

@test "GUIDs in braces, as Windows prints them, are the GUIDs without" {
    recipe() { echo "{ \"table\": \"gpt\", \"seed\": \"s\", \"disk_guid\": \"$1A1B2C3D4-0001-4002-8003-0123456789AB$2\",
        \"partitions\": [ { \"type\": \"$1EBD0A0A2-B9E5-4433-87C0-68B6B72699C7$2\", \"size\": \"1MiB\",
            \"uuid\": \"$1a1b2c3d4-0001-4002-8003-0123456789ac$2\" } ] }"; }
    recipe '{' '}' >braced.json
    recipe '' '' >plain.json
    "$PLAT" build braced.json -o braced.img
    "$PLAT" build plain.json -o plain.img
    cmp braced.img plain.img
    sfdisk --json braced.img | grep -q '"id": "A1B2C3D4-0001-4002-8003-0123456789AB"'
}

@test "--explain writes nothing and names everything" {
    make_tree tree
    esp_recipe r.json
    before=$(ls -A)
    run "$PLAT" build r.json --explain -o disk.img
    [ "$status" -eq 0 ]
    [ "$before" = "$(ls -A)" ]
    [[ "$output" == *"esp"*"fat32"*"1048576"* ]]
    [[ "$output" == *"21 files"* ]]
    [[ "$output" == *guid* ]]
    "$PLAT" build r.json --explain --json | python3 -c '
import json, sys
plan = json.load(sys.stdin)
part = plan["partitions"][0]
assert part["first_sector"] * 512 == part["start_bytes"]
assert (part["last_sector"] + 1) * 512 == part["start_bytes"] + part["size_bytes"]
assert part["files"] == 21, part'
}

# Catches: a plan that says one thing and a disk that says another.
@test "the disk is what --explain says" {
    "$PLAT" build "$root/examples/ab-slots/recipe.json" -o disk.img
    "$PLAT" build "$root/examples/ab-slots/recipe.json" --explain --json >plan.json
    sfdisk --json disk.img >disk.json
    python3 - <<'P'
import json
plan = json.load(open("plan.json")); disk = json.load(open("disk.json"))["partitiontable"]
assert disk["id"].lower() == plan["disk_guid"]
by_number = {p["number"]: p for p in plan["partitions"]}
assert len(by_number) == len(disk["partitions"]) == 4
for i, real in enumerate(disk["partitions"], 1):
    planned = by_number[i]
    assert real["start"] == planned["first_sector"], (real, planned)
    assert real["size"] * 512 == planned["size_bytes"]
    assert real["uuid"].lower() == planned["guid"]
    assert real["name"] == planned["name"]
P
}

@test "the output appears whole or not at all: a failing source" {
    make_tree tree
    esp_recipe r.json
    echo precious >disk.img
    mkfifo tree/fifo
    run "$PLAT" build r.json -o disk.img
    [ "$status" -eq 2 ]
    [ "$(cat disk.img)" = precious ]
    [ "$(ls -A)" = "$(printf 'disk.img\nr.json\ntree')" ]
}

@test "an interrupted build leaves nothing, and the old output stays" {
    make_tree tree
    truncate -s 3G tree/large
    esp_recipe r.json
    echo precious >disk.img
    for signal in INT TERM HUP; do
        # Writing holes is quick, so the content must not be one.
        [ -s tree/filled ] || head -c 300M /dev/zero | tr '\0' x >tree/filled
        # A shell without job control lets its children ignore SIGINT.
        env --default-signal=INT "$PLAT" build r.json -o disk.img >/dev/null 3>&- &
        pid=$!
        await_output $pid "$T"
        kill -$signal $pid
        code=0
        wait $pid || code=$?
        [ "$code" -eq $((128 + $(kill -l $signal))) ] # and not over before it could be interrupted
        [ "$(cat disk.img)" = precious ]
        [ "$(ls -A)" = "$(printf 'disk.img\nr.json\ntree')" ]
    done
}

@test "an existing output is replaced by a build that works" {
    make_tree tree
    esp_recipe r.json
    echo old >disk.img
    "$PLAT" build r.json -o disk.img
    [ "$(stat -c %s disk.img)" -gt 1000000 ]
    run "$PLAT" build r.json -o no/such/directory/disk.img
    [ "$status" -eq 2 ]
    [[ "$output" == *no/such/directory* ]]
    run "$PLAT" build r.json -o tree
    [ "$status" -eq 2 ]
    [ -f tree/empty ]
}

@test "the image is sparse" {
    cat >r.json <<'R'
{ "table": "gpt", "partitions": [ { "type": "linux-data", "size": "8GiB" } ] }
R
    "$PLAT" build r.json -o disk.img
    [ "$(stat -c %s disk.img)" -gt 8589934592 ]
    [ "$(($(stat -c %b disk.img) * 512))" -lt 4000000 ]
}

@test "sector size 4096" {
    make_tree tree
    esp_recipe r.json '"sector_bytes": 4096,'
    "$PLAT" build r.json -o disk.img
    "$PLAT" verify disk.img
    [ "$(dd if=disk.img bs=1 skip=4096 count=8 status=none)" = "EFI PART" ]
    [ "$(stat -c %s disk.img)" -eq $(($(stat -c %s disk.img) / 4096 * 4096)) ]
    read -r start size < <("$PLAT" build r.json --explain --json |
        python3 -c 'import json,sys; p=json.load(sys.stdin)["partitions"][0]; print(p["start_bytes"], p["size_bytes"])')
    fat_of disk.img "$start" "$size" fat.img
    fsck.fat -n fat.img
    mkdir got
    mcopy -i fat.img -s -n '::/*' got/
    diff -r tree got
}

@test "mbr: types, active flag, raw bytes in the gap" {
    "$PLAT" build "$root/examples/mbr-data/recipe.json" -o disk.img
    sfdisk --verify disk.img
    sfdisk --json disk.img >disk.json
    python3 - <<'P'
import json
disk = json.load(open("disk.json"))["partitiontable"]
assert disk["label"] == "dos" and disk["id"] == "0x504c4154", disk
one, two = disk["partitions"]
assert one["type"] == "c" and one["bootable"] and one["start"] == 2048 and one["size"] == 131072, one
assert two["type"] == "83" and "bootable" not in two, two
image = open("disk.img", "rb").read()
assert len(image) == 128 << 20
assert image[8192:8219] == b"In the place of this text t"
assert image[524288:524292] == b"plat"
P
    fat_of disk.img 1048576 67108864 fat.img
    fsck.fat -n fat.img
    # The read-only, hidden and system bits of the recipe.
    mattrib -i fat.img ::docs/manual.txt | grep -q 'R .*manual.txt\|R.*MANUAL'
    mattrib -i fat.img ::hidden.cfg | grep -q 'SH'
}

@test "several partitions: fixed, auto, rest, and those behind the rest" {
    printf 'slot\n' >slot.bin
    mkdir tree && echo hi >tree/a
    cat >r.json <<'R'
{ "table": "gpt", "disk_size": "300MiB", "partitions": [
    { "name": "esp", "type": "esp", "format": "fat32", "files": [ { "from": "tree" } ] },
    { "name": "fixed", "type": "linux-data", "size": "10MiB", "content": "slot.bin" },
    { "name": "rest", "type": "linux-home", "size": "rest" },
    { "name": "fat", "type": "linux-data", "format": "fat32", "size": "auto", "slack": "2MiB", "files": [ { "to": "b", "text": "b" } ] },
    { "name": "last", "type": "linux-data", "size": "20MiB", "align": "4MiB" } ] }
R
    "$PLAT" build r.json -o disk.img
    "$PLAT" verify disk.img
    accepted_by_strangers disk.img
    [ "$(stat -c %s disk.img)" -eq 314572800 ]
    "$PLAT" build r.json --explain --json >plan.json
    python3 - <<'P'
import json
parts = json.load(open("plan.json"))["partitions"]
end = 0
for p in parts:
    assert p["start_bytes"] % (1 << 20) == 0 and p["start_bytes"] >= end, p
    end = p["start_bytes"] + p["size_bytes"]
by_name = {p["name"]: p for p in parts}
assert by_name["last"]["start_bytes"] % (4 << 20) == 0
rest = by_name["rest"]
assert by_name["fat"]["start_bytes"] - (rest["start_bytes"] + rest["size_bytes"]) < 4096
assert 300 * 2**20 - end < 4 * 2**20 + 2**20
P
    # A filesystem behind the rest knows where it lies.
    read -r start size < <(python3 -c 'import json; p=[p for p in json.load(open("plan.json"))["partitions"] if p["name"]=="fat"][0]; print(p["start_bytes"], p["size_bytes"])')
    fat_of disk.img "$start" "$size" fat.img
    fsck.fat -n fat.img
    [ "$(od -An -tu4 -j28 -N4 fat.img | tr -d ' ')" -eq $((start / 512)) ]
}

@test "files: archives, single files, excludes, overrides, later entries win" {
    mkdir -p src/keep src/drop
    echo one >src/keep/one.txt
    echo two >src/keep/two.tmp
    echo three >src/drop/three.txt
    (cd src && tar cf ../a.tar keep && find . | cpio -o -H newc --quiet >../a.cpio && zip -qr ../a.zip keep)
    cat >r.json <<'R'
{ "table": "gpt", "partitions": [ { "name": "p", "type": "esp", "format": "fat32", "files": [
    { "from": "src", "exclude": ["drop/**", "drop", "**/*.tmp"] },
    { "to": "from-tar/", "from": "a.tar" },
    { "to": "from-zip/", "from": "a.zip", "exclude": ["**/*.tmp"] },
    { "to": "stored.tar", "from": "a.tar" },
    { "to": "stored/", "from": "a.cpio", "as": "file" },
    { "to": "unpacked", "from": "a.cpio", "as": "archive" },
    { "to": "single/", "from": "src/keep/one.txt" },
    { "to": "renamed.txt", "from": "src/keep/one.txt", "attributes": ["read-only"] },
    { "to": "keep/one.txt", "text": "replaced\n" } ] } ] }
R
    "$PLAT" build r.json -o disk.img
    mkdir got
    "$PLAT" extract disk.img -C got
    (cd got && find . -type f | LC_ALL=C sort) >list
    diff list - <<'L'
./from-tar/keep/one.txt
./from-tar/keep/two.tmp
./from-zip/keep/one.txt
./keep/one.txt
./renamed.txt
./single/one.txt
./stored.tar
./stored/a.cpio
./unpacked/drop/three.txt
./unpacked/keep/one.txt
./unpacked/keep/two.tmp
L
    cmp got/stored.tar a.tar
    cmp got/stored/a.cpio a.cpio
    [ "$(cat got/keep/one.txt)" = replaced ]
    [ "$(cat got/unpacked/keep/two.tmp)" = two ]
}

@test "packs: an initrd that cpio unpacks, nested, with owners and modes" {
    "$PLAT" build "$root/examples/ab-slots/recipe.json" -o disk.img
    "$PLAT" cat disk.img -p esp initrd.cpio >initrd.cpio
    mkdir x
    (cd x && cpio -idm --quiet --no-preserve-owner <../initrd.cpio)
    [ "$(readlink x/init)" = bin/start ]
    [ "$(stat -c %a x/bin/start)" = 755 ]
    [ "$(stat -c %a x/etc/shadow)" = 600 ]
    cmp x/bin/start "$root/examples/ab-slots/initrd/bin/start"
    cat >r.json <<'R'
{ "table": "gpt", "partitions": [ { "name": "p", "type": "esp", "format": "fat32", "files": [
    { "to": "outer.tar", "pack": { "format": "tar", "files": [
        { "to": "mine", "text": "x", "uid": 1000, "gid": 100 },
        { "to": "inner.cpio", "pack": { "format": "cpio", "files": [ { "to": "deep", "text": "deep\n" } ] } } ] } } ] } ] }
R
    "$PLAT" build r.json -o disk.img
    "$PLAT" cat disk.img -p p outer.tar >outer.tar
    tar --numeric-owner -tvf outer.tar | grep -q '1000/100.* mine'
    tar -xOf outer.tar inner.cpio | cpio -i --quiet --to-stdout deep | grep -qx deep
}

@test "every example builds and verifies" {
    for recipe in "$root"/examples/{esp,mbr-data,ab-slots}/recipe.json; do
        "$PLAT" build "$recipe" -o disk.img
        "$PLAT" verify disk.img
    done
}

# Catches: a source that changes between planning and writing and ends up half in the image.
@test "a file that shrinks while the disk is built is an error" {
    mkdir tree
    head -c 30M /dev/zero | tr '\0' x >tree/a-large
    head -c 1M /dev/zero | tr '\0' y >tree/b-small
    esp_recipe r.json
    # The build cannot get ahead of who reads its pipe: after 10 MiB it is in the middle of the large file.
    mkfifo pipe
    "$PLAT" build r.json -o - >pipe 2>said 3>&- &
    pid=$!
    exec 8<pipe
    head -c 10M <&8 >/dev/null
    : >tree/b-small
    cat <&8 >/dev/null
    exec 8<&-
    status=0
    wait $pid || status=$?
    [ "$status" -eq 2 ]
    grep -q b-small said
    [[ "$(<said)" == *"changed while the image was built"* ]]
}

# Catches: a build that does not look at what it wrote.
@test "content that does not verify fails the build, and --no-verify keeps it" {
    mkdir tree && echo hi >tree/a
    "$PLAT" mk fat32 tree -o fat.img
    # The second FAT no longer equals the first.
    printf '\377' | dd of=fat.img bs=1 conv=notrunc status=none \
        seek=$((($(od -An -tu2 -j14 -N2 fat.img) + $(od -An -tu4 -j36 -N4 fat.img)) * 512 + 100))
    cat >r.json <<'R'
{ "table": "gpt", "partitions": [ { "name": "esp", "type": "esp", "content": "fat.img" } ] }
R
    run "$PLAT" build r.json -o disk.img
    [ "$status" -eq 2 ]
    [[ "$output" == *"does not verify"*"esp."*"--no-verify"* ]]
    [ ! -e disk.img ]
    [ "$(ls -A)" = "$(printf 'fat.img\nr.json\ntree')" ]
    run "$PLAT" build r.json -o disk.img --no-verify
    [ "$status" -eq 0 ]
    [[ "$output" == *"not verified"* ]]
    run "$PLAT" verify disk.img
    [ "$status" -eq 1 ]
}

@test "--json: the result for programs" {
    "$PLAT" build "$root/examples/esp/recipe.json" -o disk.img --json | python3 -c '
import json, os, sys
result = json.load(sys.stdin)
assert result["output"] == "disk.img" and result["verified"] is True
assert os.path.getsize("disk.img") == result["disk_bytes"]'
    run "$PLAT" build "$root/examples/esp/recipe.json" -o - --json
    [ "$status" -eq 2 ]
}

@test "SOURCE_DATE_EPOCH that is no number" {
    make_tree tree
    esp_recipe r.json
    SOURCE_DATE_EPOCH=yesterday run "$PLAT" build r.json -o disk.img
    [ "$status" -eq 2 ]
    [[ "$output" == *SOURCE_DATE_EPOCH* ]]
    [ ! -e disk.img ]
}

@test "usage: no output, too many arguments, unknown option" {
    run "$PLAT" build "$root/examples/esp/recipe.json"
    [ "$status" -eq 2 ]
    [[ "$output" == *"-o DISK"* ]]
    run "$PLAT" build
    [ "$status" -eq 2 ]
    run "$PLAT" build a b -o c
    [ "$status" -eq 2 ]
    run "$PLAT" build "$root/examples/esp/recipe.json" --explian
    [ "$status" -eq 2 ]
    run "$PLAT" build --help
    [ "$status" -eq 0 ]
    [[ "$output" == *"--explain"* ]]
}

# Catches: copying the tree first, or holding it in memory (limits of issue 2, with room for a slow machine).
@test "20,000 small files: memory stays below 16 MiB and 200 bytes a file" {
    python3 - <<'P'
import os
for d in range(200):
    os.makedirs(f"tree/d{d:03}")
    for f in range(100):
        with open(f"tree/d{d:03}/file-{f:04}.txt", "w") as out:
            out.write("content %d %d\n" % (d, f))
P
    esp_recipe r.json
    /usr/bin/python3 - "$PLAT" <<'P'
import resource, subprocess, sys, time
start = time.monotonic()
subprocess.run([sys.argv[1], "build", "r.json", "-o", "disk.img"], check=True)
seconds = time.monotonic() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(f"{seconds:.2f} s, {peak} KiB")
assert seconds < 10, seconds
import os
if "asan" not in sys.argv[1]:
    assert peak * 1024 < (16 << 20) + 200 * 20000, peak
P
}
