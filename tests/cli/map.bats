#!/usr/bin/env bats
# plat map: every byte of images of all formats, ours and strangers', has one owner. Catches: a walk that leaves bytes out
# or has them twice, a finding that is not made or made for nothing, --at and --of that contradict the table.

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat} CHECK=$root/tests/cli/map_check.py PATH=$PATH:/usr/sbin:/sbin
    . "$BATS_TEST_DIRNAME/inspect_images.bash"
    cd "$BATS_FILE_TMPDIR"
    make_tree t
    make_fat fat.img t 40 512
    make_disk disk.img fat.img
    mkdir objects small
    cp t/EFI/BOOT/BOOTX64.EFI objects/a
    echo x >objects/b
    printf 'one\n' >small/a
    head -c 3000 /dev/urandom >small/b
    ln -s a small/link
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    . "$BATS_TEST_DIRNAME/inspect_images.bash"
    work=$BATS_TEST_TMPDIR
}

plat() { "$PLAT" "$@"; }
check() { python3 "$CHECK" "$PLAT" "$@"; }
place() { plat map --json --of "$2" "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["ranges"][0]["offset"])'; }

@test "own images: each byte has one owner, nothing unclaimed is other than zero" {
    for format in caposro1 caposwf1 fat32 squashfs; do plat mk $format t -o "$work/$format.img"; done
    plat mk caposst1 objects -o "$work/caposst1.img"
    plat mk capos-data --seed t --seed-object t/zeros --size 64MiB -o "$work/data.img"
    cat >"$work/disk.json" <<R
{ "table": "gpt", "disk_size": "96MiB", "partitions": [
    { "name": "esp", "type": "esp", "format": "fat32", "size": "40MiB", "files": [ { "from": "$PWD/t/" } ] },
    { "name": "root", "type": "linux-data", "format": "caposro1", "files": [ { "from": "$PWD/t/" } ] } ] }
R
    sed 's/"gpt"/"mbr"/; s/"linux-data"/"linux"/' "$work/disk.json" >"$work/mbr.json"
    plat build "$work/disk.json" -o "$work/gpt.img"
    plat build "$work/mbr.json" -o "$work/mbr.img"
    check "$work"/*.img
    for i in "$work"/*.img; do plat map "$i" >"$work/out"; grep -q ': 0 findings$' "$work/out"; done
}

@test "strangers' images: sfdisk, sgdisk, mkfs.fat and mcopy, mksquashfs, gensquashfs" {
    truncate -s 64M "$work/dos.img" "$work/sfdisk.img"
    printf 'label: dos\n,20M,c,*\n,10M,83\n,,5\n,5M,83\n' | sfdisk -q "$work/dos.img"
    printf 'label: gpt\n,20M,U\n,10M\n' | sfdisk -q "$work/sfdisk.img"
    for c in gzip xz zstd lz4; do
        mksquashfs t "$work/m$c.img" -comp $c -noappend -quiet -no-progress >/dev/null
        gensquashfs -q -D t -c $c "$work/g$c.img" >/dev/null
    done
    cp t/zeros "$work/again"
    mksquashfs t "$work/again" "$work/plain.img" -noI -noD -noF -noX -tailends -noappend -quiet -no-progress >/dev/null
    mksquashfs t "$work/nof.img" -no-fragments -noappend -quiet -no-progress >/dev/null
    check disk.img fat.img "$work"/*.img
}

@test "every byte of a small image: --at agrees with the table, --of with --at" {
    plat mk squashfs small -o "$work/s.img"
    plat mk caposro1 small -o "$work/r.img" --size 32KiB
    plat mk caposwf1 small -o "$work/w.img" -O superblock=0 --compact
    mksquashfs small "$work/x.img" -noI -noF -comp xz -noappend -quiet -no-progress >/dev/null
    check --bytes=13 "$work"/[srx].img
    check --bytes=61 "$work"/w.img
    check --bytes=4099 disk.img
}

@test "planted bytes in what nothing claims are found, each with its place" {
    cp --sparse=always disk.img "$work/d.img"
    poke "$work/d.img" 0x8123 2a
    run plat map "$work/d.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *'warning: gap[0] at 0x4400: '*'the first is at 0x8123'* ]]
    plat map --json "$work/d.img" >"$work/j" || true
    python3 -c 'import json; d = json.load(open("'"$work/j"'")); assert [f["id"] for f in d["findings"]] == ["unclaimed"], d["findings"]'
    cp fat.img "$work/f.img"
    truncate -s +4096 "$work/f.img"
    check "$work/f.img"
    poke "$work/f.img" $((40 << 20)) 01
    run plat map "$work/f.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *"tail"*"first is at 0x2800000"* ]]
    plat mk squashfs t -o "$work/s.img"
    poke "$work/s.img" $(($(stat -c %s "$work/s.img") - 1)) 07
    run plat map "$work/s.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *"warning: tail"* ]]
    check "$work"/*.img
}

@test "planted overlaps are found: files of FAT, partitions, a SquashFS file in the metadata, a neighbour of two" {
    cp fat.img "$work/f.img"
    python3 - "$work/f.img" "$PLAT" <<'EOF'
import json, struct, subprocess, sys
# The first cluster of loader.conf becomes that of BOOTX64.EFI.
def field(path):
    d = json.loads(subprocess.run([sys.argv[2], 'map', '--json', '--of', path, sys.argv[1]], capture_output=True).stdout)
    return d['ranges'][0]['offset']
def first(of):
    dump = json.loads(subprocess.run([sys.argv[2], 'dump', '--json', sys.argv[1], of], capture_output=True).stdout)
    return [s for s in dump['structures'] if s['type'] == 'dir_entry' and 'cluster_low' in str(s['fields'])][-1]
a, b = first('dir["/EFI/BOOT"]'), first('dir["/loader"]')
f = open(sys.argv[1], 'r+b')
f.seek(a['offset'] + 26); low = f.read(2)
f.seek(b['offset'] + 26); f.write(low)
EOF
    run plat map "$work/f.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *'error: /EFI/BOOT/BOOTX64.EFI at 0x'*'belong to /loader/loader.conf as well'* ]]
    truncate -s 64M "$work/p.img"
    printf 'label: dos\n,20M,c\n,10M,83\n' | sfdisk -q "$work/p.img"
    poke "$work/p.img" 0x1d6 00900000 # the second begins within the first
    run plat map "$work/p.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *'overlaps p2'* ]]
    [ "$(grep -c 'error: p1 at' <<<"$output")" -eq 1 ]
    mksquashfs t "$work/q.img" -noI -no-fragments -noappend -quiet -no-progress >/dev/null
    metadata=$(plat map --json "$work/q.img" | python3 -c 'import json,sys; print([r["offset"] for r in json.load(sys.stdin)["ranges"] if r["path"] == "inode_blocks[0]"][0])')
    poke "$work/q.img" "$(python3 - "$work/q.img" "$metadata" <<'EOF'
import struct, sys
data, at = open(sys.argv[1], 'rb').read(), int(sys.argv[2])
# the record of the file that begins at 96, the first one
print(data.index(struct.pack('<I', 96), at))
EOF
)" "$(printf '%08x' "$metadata" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/')"
    run plat map "$work/q.img"
    [ "$status" -eq 1 ]
    [[ "$output" == *'error: inode_blocks[0] at '*'as well'* ]]
    check "$work/f.img" "$work/p.img" "$work/q.img"
}

@test "files that share blocks are no overlap: links and equal files of SquashFS" {
    mkdir "$work/s"
    head -c 300000 /dev/urandom >"$work/s/a"
    cp "$work/s/a" "$work/s/b"
    ln "$work/s/a" "$work/s/c"
    for i in {1..150}; do ln "$work/s/a" "$work/s/l$i"; done
    mksquashfs "$work/s" "$work/s.img" -noappend -quiet -no-progress -no-fragments >/dev/null
    run plat map "$work/s.img"
    [ "$status" -eq 0 ]
    [[ "$output" == *'data'*'/a  shared with /b, /c, '*' and 148 more'* ]]
    check "$work/s.img"
    [ "$(plat map --of /b "$work/s.img")" = "$(plat map --of /a "$work/s.img" | sed 's|/a|/b|')" ]
}

@test "--at goes from the disk to the field; in compressed data it has both addresses" {
    run plat map disk.img --at 0x228
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == 'field         gpt.primary.first_usable_lba  u64  34 sector  byte 0 of 8 at 0x228' ]]
    [[ "${lines[0]}" == 'image '*'byte 552 of 104857600'* ]]
    run plat map disk.img --at "$(place disk.img esp:/zeros)"
    [[ "$output" == *$'\npartition     esp  p1  byte '* && "$output" == *'FAT32 filesystem'* ]]
    [[ "${lines[-1]}" == 'range         esp:/zeros  data  byte 0 of 2000004 at 0x'*', byte 0 of the file' ]]
    mksquashfs t "$work/q.img" -comp zstd -noappend -quiet -no-progress >/dev/null
    at=$(plat map --json "$work/q.img" | python3 -c 'import json,sys; print([r["offset"] for r in json.load(sys.stdin)["ranges"] if r["path"] == "fragments[0]"][0])')
    run plat map "$work/q.img" --at $((at + 5))
    [[ "$output" == *'contents      /loader/loader.conf, bytes 0 to 23 of the file, compressed in the block at '*'(fragments[0]), from its byte '* ]]
    at=$(place "$work/q.img" inodes[2])
    run plat map "$work/q.img" --at $((at + 9))
    [[ "$output" == *'decompressed  inodes[1]  '*' bytes at inodes+0x0'* ]]
    [[ "$output" == *'the first and the last of '*' structures' ]]
    run plat map disk.img --at 100GiB
    [ "$status" -eq 2 ]
    [[ "$output" == *'behind the end of the image'* ]]
}

@test "--of finds fields, bits, arrays, ranges, files, partitions; what is not there is told" {
    [[ $(plat map --of gpt.primary.header_crc32 disk.img) == 0x000000000210*' 4  field      gpt.primary.header_crc32' ]]
    [[ $(plat map --of 'gpt.entries[0].attributes.required' disk.img) == *'bit 0, 1 wide' ]]
    [[ $(plat map --of gpt.entries disk.img) == 0x000000000400*'16,384  metadata   gpt.entries' ]]
    [[ $(plat map --of esp disk.img) == 0x000000100000*partition* ]]
    [[ $(plat map --of esp.free disk.img) == *' free       esp.free' ]]
    plat map --of esp:/zeros disk.img | head -1 | grep -q '2,000,004  data       esp:/zeros  from byte 0'
    # What it says is where the bytes are.
    at=$(place disk.img esp:/loader/loader.conf)
    [ "$(dd if=disk.img bs=1 skip="$at" count=7 status=none)" = timeout ]
    [ "$(plat map -p esp --of /loader/loader.conf disk.img --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["ranges"][0]["offset"])')" = "$at" ]
    [[ $(plat map --of esp:/empty disk.img) == 'no bytes of the image'* ]]
    run plat map --of esp:/loader disk.img
    [ "$status" -eq 2 ]
    [[ "$output" == *'is a directory'* ]]
    run plat map --of gpt.nix disk.img
    [ "$status" -eq 2 ]
    [[ "$output" == *'no gpt.nix; nearest in gpt: '* ]]
    run plat map --of / --at 0 disk.img
    [ "$status" -eq 2 ]
}

@test "files with holes: positions count from the start of the file, in map and in hex" {
    mkdir "$work/h"
    { head -c 200000 /dev/zero; printf 'behind the hole'; } >"$work/h/f"
    plat mk caposwf1 "$work/h" -o "$work/w.img"
    at=$(plat map --json --of /f "$work/w.img" | python3 -c 'import json,sys; r = json.load(sys.stdin)["ranges"][0]; print(r["offset"] + 200000 - r["file_position"])')
    [ "$(dd if="$work/w.img" bs=1 skip="$at" count=6 status=none)" = behind ]
    run plat map --at "$at" "$work/w.img"
    [[ "${lines[-1]}" == *', byte 200,000 of the file' ]]
    run plat hex --at "$at" "$work/w.img"
    [[ "$output" == *'/f, byte 200,000'* ]]
}

@test "-p covers the partition alone, offsets stay those of the image; one of two that share it" {
    plat map -p esp disk.img >"$work/out"
    grep -q '^0x000000100000 .* metadata   boot$' "$work/out"
    [ "$(grep -c gpt "$work/out")" -eq 0 ]
    plat map -p esp --json disk.img | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["mapped"] == [{"offset": 1 << 20, "bytes": 70 << 20}], d["mapped"]
assert sum(r["bytes"] for r in d["ranges"]) == 70 << 20'
    plat mk capos-data --seed small --seed-object t/zeros --size 8MiB -o "$work/d.img"
    plat map -p fs --json "$work/d.img" | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert sum(r["bytes"] for r in d["ranges"]) == sum(w["bytes"] for w in d["mapped"]) < 8 << 20
assert d["totals"]["findings"] == 0 and all(r["path"] for r in d["ranges"])'
}

@test "damaged images: every byte still has a row, and nothing crashes or hangs" {
    for format in caposro1 caposwf1 squashfs; do plat mk $format small -o "$work/$format.img"; done
    plat mk caposst1 objects -o "$work/caposst1.img"
    mksquashfs small "$work/plain.img" -noI -noX -noappend -quiet -no-progress >/dev/null
    truncate -s 3M "$work/dos.img"
    printf 'label: dos\n2048,1000,83\n3048,500,83\n' | sfdisk -q "$work/dos.img"
    check --damage=40 "$work"/*.img
}

@test "a listing that breaks off: what was read of it is walked, and the end is told" {
    mksquashfs small "$work/l.img" -noI -noX -noappend -quiet -no-progress >/dev/null
    poke "$work/l.img" "$(python3 -c 'print(open("'"$work/l.img"'", "rb").read().rindex(b"link") - 4)')" ff
    run plat ls -R "$work/l.img"
    [ "$status" -eq 2 ]
    [[ "$output" == *$'\na\nb'* || "$output" == *$'a\nb\n'* ]]
    [[ "$output" == *'of type 255'* ]]
    at=$(plat map --json "$work/l.img" | python3 -c 'import json,sys; print([r["offset"] for r in json.load(sys.stdin)["ranges"] if r["path"] == "fragments[0]"][0])')
    run plat map --at "$at" "$work/l.img"
    [ "$status" -eq 0 ]
    [[ "$output" == *'contents      /a, '* ]]
}

@test "a schema of one's own: what it does not describe is unclaimed" {
    cat >"$work/s.json" <<'R'
{ "layout": "toy", "title": "Toy", "doc": "d", "endian": "little",
  "types": { "head": { "kind": "struct", "size": 8, "doc": "d", "fields": [
      { "name": "magic", "type": "char[4]", "const": "TOY!" }, { "name": "n", "type": "u32" } ] } },
  "identify": [ { "at": "0", "bytes": "TOY!" } ],
  "map": [ { "name": "head", "type": "head", "at": "0" },
           { "name": "body", "extent": "data", "at": "8", "bytes": "head.n" } ] }
R
    printf 'TOY!\4\0\0\0bodytail' >"$work/toy"
    run plat map --schema "$work/s.json" "$work/toy"
    [ "$status" -eq 1 ]
    [[ "$output" == *'8  metadata   head'*'4  data       body'*'4  unclaimed  unknown[0]  not zero: 0xc'* ]]
}

@test "--max, --summary, a name that is hostile, a terminal with a scale" {
    run plat map --max 3 disk.img
    [ "$(grep -c '^0x' <<<"$output")" -eq 3 ]
    [[ "$output" == *' ranges more; --max N shows more'* ]]
    run plat map --summary disk.img
    [ "$(grep -c '^0x' <<<"$output")" -eq 0 ]
    [[ "$output" == *$'\nesp: metadata '* && "$output" == *$'\nno layer: unclaimed '* ]]
    run plat map --max 3 --at 0 disk.img
    [ "$status" -eq 2 ]
    mkdir "$work/n"
    echo x >"$work/n/$(printf 'a\033[2Jb\n')"
    mksquashfs "$work/n" "$work/n.img" -no-fragments -noappend -quiet -no-progress >/dev/null
    [ "$(plat map "$work/n.img" | grep -c $'\033')" -eq 0 ]
    plat map "$work/n.img" | grep -qF 'a\x1b[2Jb'
    plat map --json "$work/n.img" | python3 -c 'import json,sys; assert any(r["path"] == "/a\x1b[2Jb" for r in json.load(sys.stdin)["ranges"])'
    run env COLUMNS=120 TERM=xterm script -qec "stty cols 120; $PLAT map disk.img" /dev/null
    [[ "$output" == *'M metadata'*'a column is'* && "$output" == *'#...'* ]]
    [ "$(plat map disk.img | grep -c 'a column is')" -eq 0 ]
}

@test "memory does not grow with the image: 100 GiB, sparse, within 64 MiB" {
    truncate -s 100G "$work/big.img"
    mkfs.fat -F 32 -s 64 "$work/big.img" >/dev/null
    (cd t && mcopy -s -m -i "$work/big.img" ./* ::/)
    python3 - "$PLAT" "$work/big.img" <<'EOF'
import resource, subprocess, sys
done = subprocess.run([sys.argv[1], 'map', sys.argv[2]], capture_output=True, text=True)
assert done.returncode == 0 and 'zeros' in done.stdout, done
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
assert peak <= 64 * 1024, f'{peak} KiB'
EOF
}

@test "--html: the same page each time, whole or not at all; the policy knows its own script; many ranges are grouped" {
    plat map --html "$work/a.html" disk.img
    plat map --html - disk.img | cmp - "$work/a.html"
    python3 - "$work/a.html" <<'EOF'
import base64, hashlib, json, re, sys
page = open(sys.argv[1]).read()
policy = re.search('Content-Security-Policy" content="([^"]*)"', page)[1]
script = page.rsplit('<script>', 1)[1].split('</script>', 1)[0]
style = page.split('<style>', 1)[1].split('</style>', 1)[0]
for kind, text in (('script', script), ('style', style)):
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert f"{kind}-src 'sha256-{digest}'" in policy, (kind, policy)
assert "default-src 'none'" in policy
assert not re.search(r'(src|href)\s*=|https?:|@import|url\(', page.split('id="data"')[0] + script + style), 'something is loaded'
data = json.loads(page.split('id="data">', 1)[1].split('</script>', 1)[0])
assert [r[:2] for r in data['ranges'][:2]] == [[0, 512], [512, 92]]
EOF
    run plat map --html "$work/no/such.html" disk.img
    [ "$status" -eq 2 ]
    run plat map --html "$work/b.html" --json disk.img
    [ "$status" -eq 2 ]
    run plat map --html /dev/full disk.img
    [ "$status" -eq 2 ]
    python3 - "$work/many.tar" <<'EOF'
import io, sys, tarfile
with tarfile.open(sys.argv[1], 'w') as tar:
    for i in range(40000):
        info = tarfile.TarInfo(f'{i // 1000}/{i}')
        info.size = 1
        tar.addfile(info, io.BytesIO(b'x'))
EOF
    plat mk fat32 "$work/many.tar" -o "$work/many.img" --no-verify
    plat map --html "$work/many.html" "$work/many.img"
    python3 - "$work/many.html" <<'EOF'
import json, sys
page = open(sys.argv[1]).read()
assert len(page) < 16_000_000, len(page)
data = json.loads(page.split('id="data">', 1)[1].split('</script>', 1)[0])
assert data['n_ranges'] > 80000 >= 60000 >= len(data['ranges']) > 20000, (data['n_ranges'], len(data['ranges']))
at = 0
for r in data['ranges']:
    assert r[0] == at, r
    at += r[1]
assert sum(r[6].get('grouped', 1) if len(r) > 6 else 1 for r in data['ranges']) == data['n_ranges']
EOF
}
