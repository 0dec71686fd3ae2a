#!/usr/bin/env bats
# plat ls, cat, extract: on strangers' volumes, and on images that mean harm.

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_FILE_TMPDIR"
    source "$BATS_TEST_DIRNAME/inspect_images.bash"
    make_tree tree
    make_fat fat.img tree 70 512
    make_disk disk.img fat.img
    # Names that mcopy would not write are patched in: the units of long names in UTF-16.
    mkdir hostile hostile/Dd hostile/ok
    echo good >hostile/ok/fine.txt
    echo evil >hostile/Dd/evil.txt
    echo one >hostile/Qq
    echo two >"hostile/slaXsh-is-here.txt"
    echo three >"hostile/ctlYseq-is-here.txt"
    echo four >"hostile/last file is fine.txt"
    make_fat hostile.img hostile 70 512
    patch_bytes hostile.img 44006400 2e002e00 # "Dd", a directory, becomes ".."
    patch_bytes hostile.img 51007100 2e002e00 # "Qq", a file
    patch_bytes hostile.img 6c0061005800 6c0061002f00 # "slaXsh": a '/'
    patch_bytes hostile.img 740065005900 740065001b00 || patch_bytes hostile.img 630074006c005900 630074006c001b00
}

setup() {
    source "$BATS_TEST_DIRNAME/inspect_images.bash"
    cd "$BATS_FILE_TMPDIR"
    work=$BATS_TEST_TMPDIR
}

plat() { "$PLAT" "$@"; }

# ---- ls ----

@test "ls: names in order, directories marked, of a disk, a partition, a volume" {
    run plat ls disk.img
    [ "$status" -eq 0 ]
    [ "$output" = "A long file name.text
EFI/
empty
loader/
zeros
Übersicht.txt" ]
    [ "$(plat ls -p esp disk.img)" = "$output" ]
    [ "$(plat ls -p 1 disk.img /)" = "$output" ]
    [ "$(plat ls fat.img)" = "$output" ]
    [ "$(plat ls disk.img esp:/)" = "$output" ]
    [ "$(plat ls disk.img /efi/boot)" = BOOTX64.EFI ]
    [ "$(plat ls -R disk.img EFI)" = "EFI/BOOT/
EFI/BOOT/BOOTX64.EFI" ]
    [ "$(plat ls disk.img loader/loader.conf)" = loader.conf ]
}

@test "ls -l, --json" {
    plat ls -l disk.img | grep -Eq '^---- +2000004  [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}  zeros$'
    plat ls -R --json disk.img >"$work/out"
    python3 - "$work/out" <<'EOF'
import json, os, sys
d = json.load(open(sys.argv[1]))
got = {e['path']: e for e in d['entries']}
want = {}
for base, dirs, files in os.walk('tree'):
    for n in dirs + files:
        p = os.path.join(base, n)
        want[p[4:]] = os.stat(p)
assert set(got) == set(want), set(got) ^ set(want)
for p, st in want.items():
    if got[p]['kind'] == 'file':
        assert got[p]['bytes'] == st.st_size
        assert abs(got[p]['mtime_s'] - st.st_mtime) <= 2, p
EOF
}

@test "ls: a disk without a single filesystem is listed by its partitions" {
    truncate -s 100M "$work/two.img"
    sgdisk -n 1:2048:+8M -c 1:one -n 2:0:+8M -c 2:two "$work/two.img" >/dev/null
    run plat ls "$work/two.img"
    [ "$status" -eq 0 ]
    [[ "${lines[1]}" == *one*linux-data*"8.0 MiB"* && "${lines[2]}" == *two* ]]
    plat ls --json "$work/two.img" | python3 -c 'import json,sys; d=json.load(sys.stdin); assert [p["name"] for p in d["partitions"]] == ["one", "two"] and d["table"] == "gpt"'
    run plat ls -p two "$work/two.img"
    [ "$status" -eq 2 ]
}

@test "ls: what is not there" {
    run plat ls disk.img /nope
    [ "$status" -eq 2 ]
    [[ "$output" == *"'nope'"* ]]
    run plat ls disk.img /loader/loader.conf/x
    [ "$status" -eq 2 ]
    run plat ls disk.img ..
    [ "$status" -eq 2 ]
}

@test "ls: control characters are shown, not sent" {
    plat ls hostile.img >"$work/out"
    ! grep -q "$(printf '\033')" "$work/out" || false
    grep -qF 'ctl\x1bseq' "$work/out"
    plat ls --json hostile.img | python3 -m json.tool >/dev/null
}

# ---- cat ----

@test "cat: byte for byte, several in order; missing ones are named (2), the others printed" {
    plat cat disk.img /EFI/BOOT/BOOTX64.EFI | cmp - tree/EFI/BOOT/BOOTX64.EFI
    plat cat -p 1 disk.img zeros "A long file name.text" | cmp - <(cat tree/zeros "tree/A long file name.text")
    plat cat disk.img esp:/empty | cmp - /dev/null
    plat cat fat.img Übersicht.txt | cmp - tree/Übersicht.txt
    plat cat disk.img nope loader/loader.conf >"$work/out" 2>"$work/err" && false
    cmp "$work/out" tree/loader/loader.conf
    grep -q nope "$work/err"
    run plat cat disk.img EFI
    [ "$status" -eq 2 ]
    [[ "$output" == *directory* ]]
}

# ---- extract ----

@test "extract: equal files, times, modes by umask, holes for zeros" {
    (umask 027 && plat extract disk.img -C "$work/out")
    diff -r tree "$work/out"
    [ "$(stat -c %a "$work/out/zeros")" = 640 ]
    [ "$(stat -c %a "$work/out/EFI/BOOT")" = 750 ]
    [ "$(stat -c %b "$work/out/zeros")" -lt 100 ]
    for f in zeros EFI/BOOT EFI/BOOT/BOOTX64.EFI; do
        d=$(($(stat -c %Y "tree/$f") - $(stat -c %Y "$work/out/$f")))
        [ "${d#-}" -le 2 ]
    done
}

@test "extract: chosen paths; a read-only file; into what exists only with --force" {
    plat extract -p esp disk.img -C "$work/out" /EFI/BOOT loader/loader.conf
    [ "$(cd "$work/out" && find . -type f | sort | tr '\n' ' ')" = "./EFI/BOOT/BOOTX64.EFI ./loader/loader.conf " ]
    echo changed >"$work/out/loader/loader.conf"
    run plat extract disk.img -C "$work/out" loader
    [ "$status" -eq 2 ]
    [[ "$output" == *loader.conf*exists* ]]
    [ "$(cat "$work/out/loader/loader.conf")" = changed ]
    plat extract --force disk.img -C "$work/out" loader
    cmp tree/loader/loader.conf "$work/out/loader/loader.conf"
    [ -z "$(find "$work/out" -name '.plat*')" ]
    cp fat.img "$work/ro.img"
    mattrib -i "$work/ro.img" +r ::/empty
    plat extract "$work/ro.img" -C "$work/ro" empty
    [ "$(stat -c %A "$work/ro/empty")" = -r--r--r-- ]
    run plat extract disk.img -C "$work/out" nope
    [ "$status" -eq 2 ]
}

@test "extract: a tar archive, whole or not at all" {
    plat extract disk.img -o - | LC_ALL=C tar -xf - -C "$work" 2>"$work/err"
    [ ! -s "$work/err" ] && rm "$work/err"
    diff -r tree "$work" -x out.tar
    plat extract disk.img -o "$work/out.tar" loader
    [ "$(tar -tf "$work/out.tar" | tr '\n' ' ')" = "loader/ loader/loader.conf " ]
    run plat extract disk.img -o "$work/out.tar"
    [ "$status" -eq 2 ]
    plat extract --force disk.img -o "$work/out.tar"
    [ "$(tar -tf "$work/out.tar" | wc -l)" -eq "$(find tree -mindepth 1 | wc -l)" ]
    run plat extract disk.img -o "$work/two.tar" nope
    [ "$status" -eq 2 ]
    [ ! -e "$work/two.tar" ]
    [ -z "$(find "$work" -name '*.plat-*')" ]
    run plat extract disk.img -C "$work" -o "$work/x.tar"
    [ "$status" -eq 2 ]
}

@test "extract: hostile names are refused (1), the target is never left, the rest is extracted" {
    mkdir "$work/in"
    run plat extract hostile.img -C "$work/in/out"
    [ "$status" -eq 1 ]
    [[ "$output" == *"'..'"* && "$output" == *"'/'"* && "$output" == *"control character"* ]]
    [[ "$output" != *$'\033'* ]]
    [ "$(cd "$work/in" && find . -type f | sort)" = "./out/last file is fine.txt
./out/ok/fine.txt" ]
    run bash -c "'$PLAT' extract hostile.img -o - 2>/dev/null | tar -tf - | grep -c fine"
    [ "$output" -eq 2 ]
    run plat verify hostile.img
    [ "$status" -eq 1 ]
}

@test "extract: symbolic links in the target are not followed" {
    mkdir -p "$work/elsewhere" "$work/out"
    ln -s "$work/elsewhere" "$work/out/EFI"
    ln -s "$work/elsewhere/file" "$work/out/zeros"
    run plat extract --force disk.img -C "$work/out"
    [ "$status" -eq 2 ]
    [ -z "$(ls -A "$work/elsewhere")" ]
    cmp "$work/out/zeros" tree/zeros
    [ ! -L "$work/out/zeros" ]
    cmp "$work/out/loader/loader.conf" tree/loader/loader.conf
}

@test "extract, ls -R: a directory that contains itself ends" {
    cp --sparse=always fat.img "$work/loop.img"
    # The first cluster of /EFI (its short entry: name, extension, attribute 10) becomes that of the root.
    python3 - "$work/loop.img" <<'EOF'
import sys
f = open(sys.argv[1], 'r+b')
data = f.read(4 << 20)
at = data.index(b'EFI        \x10')
f.seek(at + 26)
f.write(b'\x02\x00')
EOF
    run timeout 20 "$PLAT" extract "$work/loop.img" -C "$work/out"
    [ "$status" -ne 0 ] && [ "$status" -ne 124 ]
    [[ "$output" == *"not entered again"* ]]
    cmp "$work/out/loader/loader.conf" tree/loader/loader.conf
    run timeout 20 "$PLAT" ls -R "$work/loop.img"
    [ "$status" -eq 2 ]
    run timeout 20 "$PLAT" verify "$work/loop.img"
    [ "$status" -eq 1 ]
}

@test "extract: a file whose chain is broken is named (1) and does not appear" {
    cp --sparse=always fat.img "$work/short.img"
    cluster=$(plat get fat.img 'dir["/EFI/BOOT"][2].first_cluster_low')
    poke "$work/short.img" $((32 * 512 + 4 * cluster)) ffffff0f # ends after one cluster
    run plat extract "$work/short.img" -C "$work/out"
    [ "$status" -eq 1 ]
    [[ "$output" == *BOOTX64.EFI* ]]
    [ ! -e "$work/out/EFI/BOOT/BOOTX64.EFI" ]
    cmp "$work/out/zeros" tree/zeros
    run plat extract "$work/short.img" -o "$work/x.tar"
    [ "$status" -eq 1 ]
    [ ! -e "$work/x.tar" ]
    run plat cat "$work/short.img" EFI/BOOT/BOOTX64.EFI
    [ "$status" -eq 2 ]
}

@test "fragmented chains and clusters of other sizes" {
    for spc in 8 64; do
        truncate -s $((spc * 36))M "$work/c.img"
        mkfs.fat -F 32 -s $spc "$work/c.img" >/dev/null
        for i in 1 2 3 4 5 6; do head -c $((spc * 700)) /dev/zero | tr '\0' "$i" | mcopy -i "$work/c.img" - ::/f$i; done
        mdel -i "$work/c.img" ::/f1 ::/f3 ::/f5
        seq 60000 >"$work/frag"
        mcopy -i "$work/c.img" "$work/frag" ::/
        plat cat "$work/c.img" frag | cmp - "$work/frag"
        plat verify --quiet "$work/c.img"
        rm "$work/c.img"
    done
}
