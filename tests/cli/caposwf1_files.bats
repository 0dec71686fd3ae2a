#!/usr/bin/env bats
# plat put, rm, mkdir, mv, grow: files of a CAPOSWF1, changed in place.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    mkdir -p empty src/dir/deep
    echo one >src/one.txt
    echo two >src/dir/two.txt
    : >src/nothing
    ln -s one.txt src/link
    head -c 200000 /dev/urandom >src/dir/deep/large
    chmod 640 src/one.txt
    chmod 750 src/dir
    touch -d @1600000000.25 src/one.txt
}

image() { "$PLAT" mk caposwf1 empty -o "$1" --size "${2:-1MiB}" >/dev/null; }

# sound IMAGE: to its last byte, and at rest
sound() { "$PLAT" verify --data "$1" | grep -q ': 0 errors, 0 warnings, 0 notes'; }

# code N COMMAND...: runs it and compares its exit code
code() {
    local want=$1
    shift
    run "$@"
    [ "$status" -eq "$want" ] || { echo "exit $status: $output"; return 1; }
}

# refused N WORDS COMMAND...: exit code N, the words in the message, and not a byte of w.img changed
refused() {
    local want=$1 words=$2
    shift 2
    cp w.img before.img
    code "$want" "$@"
    [[ $output == *"$words"* ]] || { echo "$output"; return 1; }
    cmp w.img before.img
}

@test "put: into a directory, to a new name, below one, and out again as it was" {
    image w.img
    "$PLAT" put w.img src /
    "$PLAT" put w.img src /copy
    "$PLAT" put w.img src/. /copy/
    "$PLAT" put w.img src/one.txt src/dir /copy/dir
    "$PLAT" put w.img src/one.txt /first
    "$PLAT" put w.img src/one.txt /first
    sound w.img
    "$PLAT" extract w.img -C out >/dev/null
    diff -r --no-dereference src out/src
    cmp src/one.txt out/first
    cmp src/one.txt out/copy/dir/one.txt
    diff -r src/dir out/copy/dir/dir
    rm -r out/copy/dir/dir out/copy/dir/one.txt
    diff -r --no-dereference src out/copy
    # a directory that is there is joined
    mkdir -p more/dir
    echo three >more/dir/two.txt
    "$PLAT" put w.img more/dir /src/
    [ "$("$PLAT" cat w.img /src/dir/two.txt)" = three ]
    "$PLAT" cat w.img /src/dir/deep/large | cmp - src/dir/deep/large
    sound w.img
}

@test "put: the same bytes as mk makes of the same tree, or the same files in any case" {
    image w.img
    "$PLAT" put w.img src/. /
    "$PLAT" mk caposwf1 src -o m.img --size 1MiB >/dev/null
    diff <("$PLAT" ls -lR w.img) <("$PLAT" ls -lR m.img)
}

@test "put: modes, owners, times, links, exclude, standard input" {
    image w.img
    echo x >src/x.o
    touch -d @1600000000 src/nothing
    SOURCE_DATE_EPOCH=1500000000 "$PLAT" put w.img src /clamped --exclude '*.o'
    "$PLAT" put w.img src /plain --mode 600
    "$PLAT" put w.img src/link /followed
    "$PLAT" put w.img src/link /kept --links
    echo typed | "$PLAT" put w.img - /typed --mode 4711 --created 1700000000 --clock ntp-synced
    "$PLAT" ls -lR w.img >list
    grep -qE '^-rw-r----- .* 2017-07-14 02:40:00  clamped/one.txt$' list
    grep -qE '^drwxr-x--- .* clamped/dir/$' list
    ! grep -q 'clamped/x.o' list || false
    grep -qE '^-rw------- .* 2020-09-13 12:26:40  plain/one.txt$' list
    grep -qE '^-rw-r----- .* followed$' list
    grep -qE '^l.* kept -> one.txt$' list
    grep -qE '^-rwx--x--x +6  2023-11-14 22:13:20  typed$' list
    [ "$("$PLAT" cat w.img /typed)" = typed ]
    "$PLAT" dump w.img | grep -q 'ntp_synced'
    sound w.img
    refused 2 "octal" "$PLAT" put w.img src/one.txt /y --mode 9
    refused 2 "standard input" "$PLAT" put w.img - src/one.txt /
    code 2 bash -c "echo z | '$PLAT' put w.img - /"
    [[ $output == *"give the file"* ]]
}

@test "put: holes stay holes, special files stay what they are" {
    image w.img
    mkdir odd
    truncate -s 40M odd/sparse
    printf end | dd of=odd/sparse bs=1 seek=30000000 conv=notrunc status=none
    mkfifo odd/pipe
    "$PLAT" put w.img odd /
    head -c 3000000 /dev/zero | "$PLAT" put w.img - /zeros
    sound w.img
    "$PLAT" cat w.img /odd/sparse | cmp - odd/sparse
    "$PLAT" cat w.img /zeros | cmp - <(head -c 3000000 /dev/zero)
    "$PLAT" ls -l w.img /odd | grep -q '^p.* pipe$'
}

@test "put: names with any bytes, which messages show" {
    image w.img
    mkdir odd
    : >"odd/$(printf 'a\nb')"
    : >"odd/$(printf '\377\376')"
    : >"odd/$(printf '\033[31m')"
    : >"odd/$(printf 'x%.0s' $(seq 255))"
    "$PLAT" put w.img odd /
    sound w.img
    "$PLAT" mv w.img "/odd/$(printf 'a\nb')" "/odd/$(printf 'c\td')"
    "$PLAT" rm w.img "/odd/$(printf '\033[31m')"
    refused 1 '/odd/\x1b[31m' "$PLAT" rm w.img "/odd/$(printf '\033[31m')"
    [ "$("$PLAT" ls w.img /odd | wc -l)" -eq 3 ]
}

@test "put: what is not there, what is in the way" {
    image w.img
    "$PLAT" put w.img src /
    refused 2 "nowhere" "$PLAT" put w.img src/one.txt nowhere /src
    refused 1 "there is no such directory" "$PLAT" put w.img src/one.txt /none/x
    refused 1 "plat mkdir" "$PLAT" put w.img src/one.txt /none/
    refused 1 "more than one source" "$PLAT" put w.img src/one.txt src/nothing /none
    refused 1 "it is not a directory" "$PLAT" put w.img src/one.txt /src/one.txt/
    refused 2 "no '..'" "$PLAT" put w.img src/one.txt /src/../src
    mkdir -p clash/one.txt clash2
    : >clash2/dir
    refused 1 "no directory" "$PLAT" put w.img clash/. /src
    refused 1 "only a directory" "$PLAT" put w.img clash2/. /src
    refused 2 "the image itself" "$PLAT" put w.img w.img /self
    mv w.img src
    "$PLAT" put src/w.img src /all 2>said
    grep -q 'left out of itself' said
    ! "$PLAT" ls src/w.img /all | grep w.img || false
    sound src/w.img
}

@test "rm: files, empty directories, trees, all or nothing" {
    image w.img
    "$PLAT" put w.img src /
    cp w.img full.img
    refused 1 "not empty" "$PLAT" rm w.img /src
    refused 1 "no such file" "$PLAT" rm w.img /src/one.txt /src/none
    refused 2 "root directory" "$PLAT" rm -r w.img /
    "$PLAT" rm w.img /src/one.txt /src/link
    "$PLAT" rm -r w.img /src/dir
    [ "$("$PLAT" ls w.img /src)" = nothing ]
    "$PLAT" rm w.img /src/nothing
    "$PLAT" rm w.img src
    [ -z "$("$PLAT" ls w.img)" ]
    sound w.img
    # nothing of the contents is left on the disk
    ! grep -qa two.txt w.img || false
}

@test "mkdir and mv" {
    image w.img
    "$PLAT" mkdir w.img /a /a/b
    "$PLAT" mkdir w.img --parents --mode 700 /a/b/c/d /a
    refused 1 "there already" "$PLAT" mkdir w.img /new /a
    refused 1 "no such directory" "$PLAT" mkdir w.img /x/y
    refused 2 "'..'" "$PLAT" mkdir w.img /a/../z
    "$PLAT" ls -l w.img /a/b | grep -q '^drwx------ .* c/$'
    "$PLAT" put w.img src/one.txt /a/one
    "$PLAT" put w.img src/dir/two.txt /two
    "$PLAT" mv w.img /a/one /two
    [ "$("$PLAT" cat w.img /two)" = one ]
    "$PLAT" mv w.img /two /a
    [ "$("$PLAT" cat w.img /a/two)" = one ]
    refused 1 "into itself" "$PLAT" mv w.img /a /a/b/x
    refused 1 "into itself" "$PLAT" mv w.img /a /a
    refused 1 "no such file" "$PLAT" mv w.img /none /a
    refused 1 "does not replace" "$PLAT" mv w.img /a/b /a/two
    refused 2 "root directory" "$PLAT" mv w.img / /a
    "$PLAT" mkdir w.img /e /e/b
    "$PLAT" mv w.img /a/b /e
    "$PLAT" mv w.img /a/two /a/two
    refused 1 "" "$PLAT" mv w.img /e /a/two
    "$PLAT" mkdir w.img /a/b
    refused 1 "empty" "$PLAT" mv w.img /a/b /e
    refused 2 "" "$PLAT" mv w.img /a/b "/$(printf 'x%.0s' $(seq 256))"
    sound w.img
}

@test "a full filesystem in the middle of a put: what was there is there, and nothing else" {
    image w.img 512KiB
    "$PLAT" put w.img src/one.txt /one
    "$PLAT" ls -lR w.img >before
    head -c 600000 /dev/urandom >big
    code 2 "$PLAT" put w.img src/one.txt src/dir big /
    [[ $output == *"full"* ]]
    "$PLAT" ls -lR w.img | diff before -
    sound w.img
    # the same room can be used again
    "$PLAT" put w.img src/dir /
    sound w.img
}

@test "grow: by, to, up to what there is; never smaller" {
    image w.img 512KiB
    head -c 600000 /dev/urandom >big
    code 2 "$PLAT" put w.img big /
    "$PLAT" grow w.img +512KiB | grep -q '^w.img: 1.0 MiB, '
    [ "$(stat -c %s w.img)" -eq 1048576 ]
    "$PLAT" put w.img big /
    sound w.img
    refused 2 "does not shrink" "$PLAT" grow w.img 512KiB
    refused 2 "multiple of 512" "$PLAT" grow w.img 2097153
    "$PLAT" grow w.img 1MiB
    # what a power cut between the two steps leaves
    truncate -s 3MiB w.img
    sound w.img
    "$PLAT" cat w.img /big | cmp - big
    "$PLAT" grow w.img 3MiB
    sound w.img
    truncate -s 4MiB w.img
    "$PLAT" grow w.img max | grep -q '^w.img: 4.0 MiB, '
    sound w.img
    # somebody else's bytes behind it are not taken
    truncate -s 5MiB w.img
    printf x | dd of=w.img bs=1 seek=4500000 conv=notrunc status=none
    refused 2 "not empty" "$PLAT" grow w.img 6MiB
    [ "$(stat -c %s w.img)" -eq 5242880 ]
}

@test "one writer: a second one is refused, nothing is harmed, readers see the last commit" {
    image w.img
    "$PLAT" put w.img src/one.txt /one
    mkfifo hold
    "$PLAT" put w.img - /one <hold &
    pid=$!
    exec 7>hold
    for _ in $(seq 200); do
        run "$PLAT" rm w.img /one
        [ "$status" -eq 2 ] && break
        "$PLAT" put w.img src/one.txt /one 2>/dev/null || true
        sleep 0.02
    done
    [ "$status" -eq 2 ]
    [[ $output == *"open for writing"* ]]
    for command in "mkdir w.img /x" "mv w.img /one /x" "put w.img src /x" "grow w.img 2MiB"; do
        code 2 "$PLAT" $command
        [[ $output == *"open for writing"* ]]
    done
    [ "$(stat -c %s w.img)" -eq 1048576 ]
    [ "$("$PLAT" cat w.img /one)" = one ]
    "$PLAT" verify w.img
    echo held >&7
    exec 7>&-
    wait "$pid"
    [ "$("$PLAT" cat w.img /one)" = held ]
    sound w.img
}

@test "a writer that is killed leaves what was committed, and the next one goes on" {
    image w.img
    "$PLAT" put w.img src/one.txt /one
    mkfifo hold
    "$PLAT" put w.img - /one <hold &
    pid=$!
    exec 7>hold
    head -c 300000 /dev/urandom >&7
    kill -9 "$pid"
    exec 7>&-
    wait "$pid" || true
    [ "$("$PLAT" cat w.img /one)" = one ]
    "$PLAT" verify --data w.img
    "$PLAT" put w.img src/dir /
    sound w.img
}

@test "a partition of a disk: by -p, by a path, or the only one; the rest of the disk stays" {
    cat >r.json <<'JSON'
{"table": "gpt", "partitions": [
  {"name": "esp", "type": "esp", "format": "fat32", "size": "33MiB", "files": [{"from": "src/one.txt"}]},
  {"name": "data", "type": "linux-data", "format": "caposwf1", "size": "1MiB", "files": [{"from": "src"}]}]}
JSON
    "$PLAT" build r.json -o w.img >/dev/null
    head -c $((35 * 1048576)) w.img >head
    "$PLAT" put w.img src/one.txt /
    "$PLAT" put -p data w.img src/one.txt /second
    "$PLAT" mkdir w.img data:/new
    "$PLAT" mkdir --parents w.img data:/new/er p2:/new/est
    "$PLAT" mv w.img data:/second data:/new
    "$PLAT" rm w.img p2:/one.txt
    [ "$("$PLAT" cat w.img data:/new/second)" = one ]
    refused 2 "fat32 images are not changed in place yet" "$PLAT" rm w.img esp:/one.txt
    refused 2 "fat32 images are not changed in place yet" "$PLAT" put -p esp w.img src/one.txt /x
    refused 2 "different partitions" "$PLAT" mv w.img esp:/one.txt data:/x
    refused 2 "no partition" "$PLAT" rm -p none w.img /x
    refused 2 "the partition ends at 1048576" "$PLAT" grow w.img 2MiB
    refused 2 "for image files" "$PLAT" grow w.img +1MiB
    "$PLAT" grow -p data w.img max
    "$PLAT" verify --data w.img
    cmp -n $((34 * 1048576)) head w.img
}

@test "beside a store: its bytes stay, each goes by its name" {
    "$PLAT" mk capos-data --seed src -o w.img --size 2MiB >/dev/null
    key=$("$PLAT" store put w.img src/one.txt | cut -d' ' -f1)
    "$PLAT" put w.img src/dir fs:/new
    "$PLAT" rm w.img /one.txt
    "$PLAT" store get w.img "$key" | cmp - src/one.txt
    refused 2 "plat store" "$PLAT" put w.img src/one.txt store:/x
    "$PLAT" grow w.img +1MiB | grep -q '^w.img: 3.0 MiB'
    head -c 1500000 /dev/urandom >big
    "$PLAT" put w.img big /
    "$PLAT" store put -q w.img src/dir/two.txt
    "$PLAT" store get w.img "$key" | cmp - src/one.txt
    sound w.img
    cat >r.json <<'JSON'
{"table": "gpt", "partitions": [
  {"name": "data", "type": "linux-data", "format": "capos-data", "size": "2MiB"},
  {"name": "more", "type": "linux-data", "format": "caposwf1", "size": "1MiB"}]}
JSON
    "$PLAT" build r.json -o w.img >/dev/null
    refused 2 "name the partition with -p" "$PLAT" put w.img src/one.txt /x
    for path in data:/a data-fs:/b p1:/c p1-fs:/d; do "$PLAT" put w.img src/one.txt $path; done
    "$PLAT" put -p data w.img src/one.txt /e
    "$PLAT" put w.img src/one.txt more:/f
    [ "$("$PLAT" ls w.img data:/ | tr '\n' ' ')" = "a b c d e " ]
    [ "$("$PLAT" ls w.img more:/)" = f ]
    sound w.img
}

@test "other formats are refused by name" {
    rm src/link
    for format in fat32 caposro1; do
        "$PLAT" mk $format src -o w.img >/dev/null
        refused 2 "$format images are not changed in place yet" "$PLAT" put w.img src/one.txt /x
        refused 2 "$format images are not changed in place yet" "$PLAT" grow w.img 64MiB
    done
    "$PLAT" mk caposst1 src/dir -o w.img >/dev/null
    refused 2 "plat store" "$PLAT" rm w.img /x
    head -c 4096 /dev/urandom >w.img
    code 2 "$PLAT" mkdir w.img /x
}
