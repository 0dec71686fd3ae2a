#!/usr/bin/env bats
# plat mutate: one fault an image, the same for the same seed, and a manifest that says what was done; verify finds what
# breaks a rule.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    export PLAT
    cd "$BATS_TEST_TMPDIR"
    mkdir src
    seq 1 20000 >src/a.txt
    echo two >src/b
}

# The bytes that differ between two files, as "OFFSET OLD NEW", offsets from 0.
bytes_of() { cmp -l "$1" "$2" | awk '{print $1 - 1, $2, $3}'; }

@test "mutate: verify finds each fault of a sample in every format, but for the fields that the manual lists" {
    run bash "$root/tests/mutate/mutate.sh" 400 11
    [ "$status" -eq 0 ] || { echo "$output"; return 1; }
    [[ $output == *" 0 that verify should have found"* ]]
}

@test "mutate: files differ from the image as the manifest says, in nothing else" {
    "$PLAT" mk fat32 src -o d.img >/dev/null
    cp d.img before.img
    "$PLAT" mutate d.img --seed 5 --count 12 -o corpus >said.txt
    cmp d.img before.img
    [ "$(cat said.txt)" = "corpus: 12 faults" ]
    [ "$(ls corpus | wc -l)" -eq 13 ]
    [ "$(wc -l <corpus/manifest.jsonl)" -eq 12 ]
    while read -r line; do
        file=corpus/$(jq -r .file <<<"$line")
        offset=$(jq .offset <<<"$line") bytes=$(jq .bytes <<<"$line") new=$(jq -r .new <<<"$line")
        found=$(od -An -v -tx1 -j "$offset" -N "$bytes" "$file" | tr -d ' \n')
        [ "$found" = "$new" ] || [[ $new == *... && $found == "${new%...}"* ]] || { echo "$line: $found"; return 1; }
        if [ "$(jq .sealed <<<"$line")" = false ]; then
            outside=$(bytes_of d.img "$file" | awk -v a="$offset" -v n="$bytes" '$1 < a || $1 >= a + n' | wc -l)
            [ "$outside" -eq 0 ] || { echo "$line: $outside bytes outside"; return 1; }
        fi
        ! cmp -s d.img "$file" || false
    done <corpus/manifest.jsonl
    [ "$(stat -c %s corpus/000001.img)" -eq "$(stat -c %s d.img)" ]
    [ "$(du -k corpus/000001.img | cut -f 1)" -le "$(($(du -k d.img | cut -f 1) + 64))" ]
}

@test "mutate: a seed gives the same faults, another one others; --list says what would be done" {
    "$PLAT" mk caposwf1 src -o d.img >/dev/null
    "$PLAT" mutate d.img --seed 5 --count 20 -o a >/dev/null
    "$PLAT" mutate d.img --seed 5 --count 20 -o b >/dev/null
    "$PLAT" mutate d.img --seed 6 --count 20 -o c >/dev/null
    diff -r a b
    ! cmp -s a/manifest.jsonl c/manifest.jsonl || false
    "$PLAT" mutate d.img --seed 5 --count 20 --list 2>/dev/null | cmp - a/manifest.jsonl
}

@test "mutate: sealed faults have right checksums, and only they do" {
    "$PLAT" mk caposro1 src -o d.img >/dev/null
    "$PLAT" mutate d.img --only superblock.label --seal yes --count 5 -o sealed >/dev/null
    for f in sealed/*.img; do "$PLAT" verify --data -q "$f"; done
    [ "$(jq -s 'map(.sealed) | all' sealed/manifest.jsonl)" = true ]
    "$PLAT" mutate d.img --only superblock.label --seal no --count 5 -o stale >/dev/null
    for f in stale/*.img; do ! "$PLAT" verify -q "$f" || false; done
    [ "$(jq -s 'map(.sealed) | any' stale/manifest.jsonl)" = false ]
}

@test "mutate: --only keeps to paths and what is under them, and to patterns" {
    "$PLAT" mk caposwf1 src -o d.img >/dev/null
    "$PLAT" mutate d.img --only 'nodes[0]' --count 30 --list 2>/dev/null | jq -r .path >paths
    [ "$(grep -vc '^nodes\[0\]' paths)" -eq 0 ]
    "$PLAT" mutate d.img --only '*crc32c' --count 30 --list 2>/dev/null | jq -r .path >paths
    [ "$(grep -vc 'crc32c$' paths)" -eq 0 ]
    run "$PLAT" mutate d.img --only nothing --list
    [ "$status" -eq 2 ]
    [[ $output == *"there is nothing to plant a fault in under --only"* ]]
}

@test "mutate: records in compressed blocks are left alone and counted, in plain ones they are changed" {
    "$PLAT" mk squashfs src -o packed.img >/dev/null
    run "$PLAT" mutate packed.img --only 'inodes' --list
    [ "$status" -eq 2 ]
    run "$PLAT" mutate packed.img --count 5 -o packed
    [[ $output == *"left alone, in compressed blocks"* ]]
    "$PLAT" mk squashfs src -o plain.img -O plain=inodes >/dev/null
    "$PLAT" mutate plain.img --only 'inodes[1].head.modified' --count 3 -o plain >/dev/null
    value=$(jq -r .new_value plain/manifest.jsonl | sed -n 2p)
    [ "$("$PLAT" get plain/000002.img 'inodes[1].head.modified')" = "$value" ]
}

@test "mutate: what cannot be done is refused, and nothing is written" {
    "$PLAT" mk caposwf1 src -o d.img >/dev/null
    mkdir full
    echo x >full/x
    run "$PLAT" mutate d.img -o full
    [ "$status" -eq 2 ]
    [[ $output == *"full is not empty"* ]]
    [ "$(ls full)" = x ]
    run "$PLAT" mutate d.img
    [ "$status" -eq 2 ]
    [[ $output == *"-o DIR or --list"* ]]
    run "$PLAT" mutate d.img --count 0 --list
    [ "$status" -eq 2 ]
    run "$PLAT" mutate src/b -o new
    [ "$status" -eq 2 ]
    [ ! -e new ]
}

# Both were missed until plat mutate planted them.
@test "verify: a day that its month does not have; an empty object under the name of another" {
    "$PLAT" mk fat32 src -o d.img >/dev/null
    for value in 0x5d3f 0x5c5d 0xf05d; do # 2026-09-31, 2026-02-29, 2100-02-29
        "$PLAT" set -q --no-seal d.img "dir[\"/\"][0].write_date=$value"
        run "$PLAT" verify d.img
        [[ $output == *"which is no day of a calendar"* ]] || { echo "$value: $output"; return 1; }
    done
    for value in 2026-09-30 2024-02-29 2026-08-31 2026-12-31; do
        "$PLAT" set -q d.img "dir[\"/\"][0].write_date=$value"
        "$PLAT" verify --strict -q d.img
    done
    : >src/empty
    "$PLAT" mk caposst1 src -o s.img >/dev/null
    i=$("$PLAT" dump --json s.img | jq -r '.structures[] | select(.path | startswith("entries[")) | select(.fields.size_bytes == 0) | .path')
    "$PLAT" set -q -f s.img "$i.key=$(printf '01%.0s' $(seq 32))" 2>/dev/null
    run "$PLAT" verify --data s.img
    [ "$status" -eq 1 ]
    [[ $output == *"have the hash e3b0c442"* ]] || { echo "$output"; return 1; }
}
