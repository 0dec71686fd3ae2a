#!/usr/bin/env bats
# plat map --html in a real browser (Debian's chromium, `sh tests/deps.sh browser`): it opens in time, shows what the
# table says, works by keyboard and pointer, in light and dark, on paper; and names that are markup stay text.

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat} PAGE=$root/tests/oracle/map_page.py
    export CHROMIUM=${CHROMIUM:-chromium}
    cd "$BATS_FILE_TMPDIR"
    python3 - <<'EOF'
import io, random, tarfile
random.seed(5)
with tarfile.open('files.tar', 'w') as tar:
    for i in range(20000):
        info = tarfile.TarInfo(f'd{i // 200:02}/file-{i}.bin')
        info.size = random.choice([100, 700, 3000])
        tar.addfile(info, io.BytesIO(random.randbytes(info.size)))
EOF
    mkdir small
    echo one >small/a
    seq 3000 >small/b
    printf '%s' '{ "table": "gpt", "partitions": [
        { "name": "esp", "type": "esp", "format": "fat32", "slack": "20MiB", "files": [ { "from": "files.tar" } ] },
        { "name": "root", "type": "linux-data", "format": "squashfs", "files": [ { "from": "small/" } ] } ] }' >disk.json
    "$PLAT" build disk.json -o disk.img
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    . "$BATS_TEST_DIRNAME/../cli/inspect_images.bash"
    work=$BATS_TEST_TMPDIR
}

browser() {
    command -v "$CHROMIUM" >/dev/null || skip "no chromium: sh tests/deps.sh browser"
    TMPDIR=$work timeout 120 python3 "$PAGE" "$CHROMIUM" "$@"
}

@test "a disk of 20,000 files opens in under 2 s; search, keys, pointer, themes, paper" {
    "$PLAT" map --html "$work/p.html" disk.img
    [ "$(stat -c %s "$work/p.html")" -lt 16000000 ]
    times=
    for _ in 1 2 3; do times="$times $(browser "$work/p.html" ranges=40000)"; done
    echo "milliseconds:$times"
    # The best of three: the machine may be busy with others.
    [ "$(tr ' ' '\n' <<<"$times" | grep . | sort -n | head -1)" -lt 2000 ]
    browser "$work/p.html" find=esp:/d07/file-1402.bin find=gpt.entries keys hover themes print scale
}

@test "each format's page works: bare images, compressed metadata" {
    for format in fat32 caposro1 caposwf1 squashfs; do
        "$PLAT" mk $format small -o "$work/$format.img"
        "$PLAT" map --html "$work/$format.html" "$work/$format.img"
        browser "$work/$format.html" ranges=3 hover keys scale
    done
    mkdir objects
    cp small/b objects
    "$PLAT" mk caposst1 objects -o "$work/s.img"
    "$PLAT" map --html "$work/s.html" "$work/s.img"
    browser "$work/s.html" hover scale
}

@test "findings are marked, and n goes to them" {
    cp --sparse=always disk.img "$work/d.img"
    poke "$work/d.img" 0x8123 2a
    run "$PLAT" map --html "$work/f.html" "$work/d.img"
    [ "$status" -eq 1 ]
    browser "$work/f.html" 'finding=belong to nothing, but are not all zero: the first is at 0x8123'
}

@test "names that are markup or script stay text" {
    first='<img src=x onerror=window.pwned=1>'
    mkdir -p "$work/t/x<"
    echo 1 >"$work/t/$first"
    echo 2 >"$work/t/x</script><script>window.pwned=2<"
    echo 3 >"$work/t/\"'&amp;<b onmouseover=alert(1)>\\u003c"
    mksquashfs "$work/t" "$work/x.img" -no-fragments -noappend -quiet -no-progress >/dev/null
    "$PLAT" map --html "$work/x.html" "$work/x.img"
    # Nothing of the data can end the element that it is in.
    python3 - "$work/x.html" <<'EOF'
import re, sys
page = open(sys.argv[1]).read()
data = page.split('id="data">', 1)[1].split('</script>', 1)[0]
assert 'pwned=2' in data and not re.search('[<>&]', data), data[:300]
EOF
    browser "$work/x.html" "safe=/$first" "safe=/x</script><script>window.pwned=2<" hover keys
    browser "$work/x.html" "safe=/\"'&amp;<b onmouseover=alert(1)>\\u003c"
    # So does the name of the image.
    cp disk.img "$work/<b>.img"
    "$PLAT" map --html "$work/n.html" "$work/<b>.img"
    browser "$work/n.html" ranges=3
}
