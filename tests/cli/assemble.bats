#!/usr/bin/env bats
# plat dump --json --data | plat assemble: the same bytes again, through typed fields; a changed value changes the image.

bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    PATH=$PATH:/usr/sbin:/sbin
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src/sub
    seq 1 30000 >src/sub/numbers
    for i in $(seq 1 30); do echo "$i" >"src/a file with a long name $i"; done
}

# Both ways give the same bytes, with as few blocks.
comes_back() { # IMAGE
    rm -f out.img
    "$PLAT" dump --json --data inside "$1" | "$PLAT" assemble -q -o out.img || { echo "$1"; return 1; }
    cmp "$1" out.img
    "$PLAT" dump --json --data outside "$1" >out.json
    [ "$(grep -c '"data"' out.json)" -eq 0 ]
    "$PLAT" assemble -q out.json --data "$1" -o out.img
    cmp "$1" out.img
}

change() { # PYTHON: changes d
    python3 -c 'import json, sys
d = json.load(sys.stdin)
s = {s["path"]: s["fields"] for s in d["structures"]}
exec(sys.argv[1])
json.dump(d, sys.stdout)' "$1"
}

# Exit code 2, the words, and no output.
refused() { # WORDS ARGUMENT...
    local words=$1
    shift
    rm -f out.img
    run --separate-stderr "$PLAT" assemble -o out.img "$@"
    [ "$status" -eq 2 ] || { echo "exit $status: $stderr"; return 1; }
    [[ $stderr == *"$words"* ]] || { echo "$stderr"; return 1; }
    [ "$(wc -l <<<"$stderr")" -eq 1 ] && [ ! -e out.img ]
}

make_disk() { # FILE
    cat >recipe.json <<'JSON'
{"table": "gpt", "partitions": [
  {"name": "esp", "type": "esp", "size": "34MiB", "format": "fat32", "files": [{"to": "/", "from": "src"}]},
  {"name": "ro", "type": "linux-data", "size": "1MiB", "format": "caposro1", "files": [{"to": "/", "from": "src"}]}]}
JSON
    "$PLAT" build recipe.json -o "$1" >/dev/null
}

@test "assemble: our own images of every format come back" {
    make_disk d.img
    comes_back d.img
    for format in fat32 caposro1 caposwf1 squashfs cpio tar; do
        "$PLAT" mk "$format" src -o "$format.img" >/dev/null
        comes_back "$format.img"
    done
    "$PLAT" mk capos-data --seed src -o data.img >/dev/null
    "$PLAT" store put data.img src/sub/numbers >/dev/null
    comes_back data.img
}

@test "assemble: strangers' images come back" {
    command -v mkfs.fat >/dev/null && command -v mcopy >/dev/null || skip "mkfs.fat and mcopy are not installed"
    truncate -s 40M fat.img
    mkfs.fat -F 32 -s 1 -n STRANGER fat.img >/dev/null
    mcopy -i fat.img -s src/* ::/
    comes_back fat.img
    if command -v mksquashfs >/dev/null; then
        mksquashfs src m.img -quiet -no-progress >/dev/null
        comes_back m.img
    fi
    if command -v gensquashfs >/dev/null; then
        gensquashfs -q -D src g.img >/dev/null
        comes_back g.img
    fi
    head -c 300001 /dev/urandom >noise.img
    comes_back noise.img
    : >empty.img
    comes_back empty.img
}

@test "assemble: partition tables by sfdisk come back" {
    command -v sfdisk >/dev/null || skip "sfdisk is not installed"
    for label in gpt dos; do
        truncate -s 8M t.img
        printf 'label: %s\nstart=2048,size=2048\nstart=4096,size=4096\n' "$label" | timeout 60 sfdisk -q t.img ||
            skip "sfdisk does not return"
        comes_back t.img
    done
}

@test "assemble: damaged images come back with their damage" {
    make_disk d.img
    "$PLAT" set -q --no-seal d.img gpt.primary.header_crc32=0 'gpt.backup_entries[0].name=x' 'ro.nodes[3].uid=7' \
        esp.backup_boot.volume_id=7
    comes_back d.img
    python3 - <<'PY'
import random
random.seed(5)
with open("d.img", "r+b") as f:
    for _ in range(300):
        f.seek(random.choice([random.randrange(0x4400), 0x100000 + random.randrange(0x10000)]))
        f.write(bytes([random.randrange(256)]))
PY
    comes_back d.img
}

@test "assemble: native images with flipped bytes come back, whatever is stale in them" {
    for format in caposro1 caposwf1; do
        "$PLAT" mk "$format" src -o "$format.img" >/dev/null
        for seed in $(seq 1 25); do
            python3 - "$format.img" "$seed" <<'PY'
import random, sys
random.seed(int(sys.argv[2]))
image = bytearray(open(sys.argv[1], "rb").read())
used = [i for i in range(0, len(image), 64) if any(image[i:i + 64])]
for _ in range(random.choice([1, 3, 30])):
    image[min(random.choice(used) + random.randrange(64), len(image) - 1)] ^= 1 << random.randrange(8)
open("flipped.img", "wb").write(image)
PY
            "$PLAT" dump --json --data inside flipped.img | "$PLAT" assemble -q -o out.img
            cmp flipped.img out.img || { echo "$format, seed $seed"; return 1; }
        done
    done
}

@test "assemble: a changed value changes the image, and what is derived follows" {
    make_disk d.img
    "$PLAT" dump --json --data inside d.img >d.json
    change 's["gpt.entries[0]"]["name"] = "boot"; s["ro.nodes[3]"]["mode"] = 0o600; s["esp.boot"]["volume_id"] = 5
s["gpt.entries[0]"]["attributes"] = {"set": {"legacy_boot": 1}}' <d.json | "$PLAT" assemble -o new.img | grep -q computed
    cp d.img expected.img
    "$PLAT" set -q expected.img 'gpt.entries[0].name=boot' 'ro.nodes[3].mode=0600' esp.boot.volume_id=5 \
        'gpt.entries[0].attributes=legacy_boot'
    cmp new.img expected.img
    "$PLAT" verify --data new.img
    # A member and the whole that disagree are refused.
    change 's["gpt.entries[0]"]["attributes"]["set"] = {"legacy_boot": 1}' <d.json >a.json
    refused 'gpt.entries[0]: attributes: "value" is 0, and the members beside it say 4' a.json
    # As it is, on request.
    change 's["ro.nodes[3]"]["mode"] = 0o600' <d.json | "$PLAT" assemble -q --no-seal -o new.img
    run "$PLAT" verify new.img
    [ "$status" -eq 1 ]
    [[ $output == *'ro.nodes[3].crc32c'* ]]
}

@test "assemble: hostile JSON is refused with its place, and leaves nothing" {
    "$PLAT" mk caposro1 src -o r.img >/dev/null
    "$PLAT" dump --json --data inside r.img >r.json
    "$PLAT" dump --json r.img >plain.json
    refused 'is this the output of plat dump --json --data' plain.json
    refused 'the input is empty' /dev/null
    head -c 5000 r.json >short.json
    refused 'the input ends in' short.json
    echo '{"plat_dump": 2}' >a.json
    refused 'plat_dump: expected version 1' a.json
    echo '[]' >a.json
    refused 'line 1: expected an object' a.json
    (cat r.json; echo x) >a.json
    refused 'there is more behind the object' a.json
    head -c 20000000 /dev/zero | tr '\0' '[' >a.json
    (printf '{"layers": '; cat a.json) >b.json
    refused 'nested too deep' b.json
    (printf '{"image": "'; head -c 20000000 /dev/zero | tr '\0' x; echo '"}') >b.json
    refused 'more than 16 MiB' b.json
    fault() { # WORDS PYTHON
        change "$2" <r.json >a.json
        refused "$1" a.json || { echo "$2"; return 1; }
    }
    fault 'structures[0]: superblock: block_count' 's["superblock"]["block_count"] = "x"'
    fault 'structures[0]: superblock: version: 4294967296 does not fit' 's["superblock"]["version"] = 1 << 32'
    fault "has no field 'blok'" 's["superblock"]["blok"] = 1'
    fault 'text of 33 bytes does not fit' 's["superblock"]["label"] = "x" * 33'
    fault 'structures[0]: superblock: 512 bytes at offset 9223372036854775807 are not in the image' \
        'd["structures"][0]["offset"] = 2**63 - 1'
    fault 'takes 512 bytes, and "bytes" says 1000' 'd["structures"][0]["bytes"] = 1000'
    fault 'there is no such layer' 'd["structures"][0]["layer"] = 7'
    fault "caposro1 has no structure 'nod'" 'd["structures"][0]["type"] = "nod"'
    fault 'layers[0]' 'd["layers"][0]["format"] = "nofs"'
    fault 'layers[0]' 'd["layers"][0]["bytes"] = 1 << 40'
    fault 'in base64' 'd["extents"][0]["data"] = "####"'
    fault 'in base64' 'd["extents"][0]["bytes"] += 1'
    fault 'has no data: name the image' 'del d["extents"][0]["data"]'
    fault '"bytes" must be a number' 'd["bytes"] = -1'
    fault 'bytes' 'd["bytes"] = 2**63 - 1'
    fault 'unknown; expected plat_dump' 'd["more"] = 1'
    fault 'layers[0]: expected an object' 'd["layers"] = [5]'
}

@test "assemble: memory does not grow with the image" {
    "$PLAT" mk fat32 src -o f.img --size 34MiB >/dev/null
    head -c 150000000 /dev/urandom >>f.img
    (ulimit -v 120000; "$PLAT" dump --json --data inside f.img | "$PLAT" assemble -q -o out.img)
    cmp f.img out.img
    truncate -s 100G f.img
    (ulimit -v 120000; "$PLAT" dump --json --data inside f.img | "$PLAT" assemble -q -o out.img)
    [ "$(stat -c %s out.img)" -eq $((100 << 30)) ]
    cmp -n 200000000 f.img out.img
    rm -f f.img out.img
}
