#!/bin/bash
# make bench: plat build (GPT, FAT32, full verification) beside genimage and beside sfdisk + mkfs.fat + mcopy in place,
# in one run, on tmpfs. Prints the table and writes BENCHMARKS.md. BENCH_QUICK=1 leaves out the row for which mcopy takes minutes.
set -euo pipefail
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1700000000 MTOOLS_SKIP_CHECK=1 PATH="$PATH:/usr/sbin:/sbin"
plat=${PLAT:-build/plat}
base=/dev/shm
[ "$(stat -f -c %T $base 2>/dev/null)" = tmpfs ] || base=${TMPDIR:-/tmp}
work=$(mktemp -d "$base/plat-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
now() { echo "${EPOCHREALTIME/./}"; }
sections=$(sed -n '/^## /,$p' BENCHMARKS.md 2>/dev/null || true)

# Every file gets 1 to 4096 bytes of its own, the same in each run.
small() { # DIR COUNT NAME-FORMAT PER-DIR
    local dir=$1 count=$2 format=$3 per=$4 i sub
    head -c 8192 /dev/zero | tr '\0' 'x' > "$work/pattern"
    local pattern; pattern=$(<"$work/pattern")
    for ((i = 0; i < count; i++)); do
        sub=$dir
        if [ "$per" -gt 0 ]; then printf -v sub '%s/d%03d' "$dir" $((i / per)); fi
        [ $((i % (per > 0 ? per : count))) -ne 0 ] || mkdir -p "$sub"
        # shellcheck disable=SC2059
        printf -v name "$format" "$i"
        printf '%d %s' "$i" "${pattern:0:$(((i * 37) % 4096))}" > "$sub/$name"
    done
}
echo "making the sources in $work" >&2
mkdir -p "$work"/{boot,tree,flat,clash,big}
kernel=$(ls /boot/vmlinuz-* 2>/dev/null | head -n 1 || true)
if [ -n "$kernel" ]; then cp "$kernel" "$work/boot/linux"; else head -c 9000000 /dev/urandom > "$work/boot/linux"; fi
initrd=$(ls /boot/initrd.img-* 2>/dev/null | head -n 1 || true)
if [ -n "$initrd" ]; then cp "$initrd" "$work/boot/initrd"; else head -c 25000000 /dev/urandom > "$work/boot/initrd"; fi
# In the flat directory names need no alias, so that only the clash row measures clashes.
small "$work/tree" 20000 'file-%05d.dat' 100
small "$work/flat" 20000 'f%05d.dat' 0
small "$work/clash" 2500 'config-entry-%05d.json' 0
head -c 400000000 /dev/urandom > "$work/big/image.bin"

recipe() { # CASE MIB
    cat > "$work/$1.json" <<J
{ "table": "gpt", "seed": "bench", "partitions": [
  { "name": "esp", "type": "esp", "format": "fat32", "size": "$2MiB", "files": [ { "to": "/", "from": "$work/$1" } ] } ] }
J
}
run_plat() { "$plat" build "$work/$1.json" -o "$work/out/plat.img"; }
run_genimage() {
    mkdir -p "$work/g/in" "$work/g/out"
    cat > "$work/g/c.cfg" <<G
image esp.vfat { vfat { extraargs = "-F 32" } size = ${2}M mountpoint = "/" }
image disk.img { hdimage { partition-table-type = "gpt" }
  partition esp { partition-type-uuid = "U" image = "esp.vfat" } }
G
    genimage --loglevel 0 --rootpath "$work/$1" --tmppath "$work/g/tmp" --inputpath "$work/g/in" --outputpath "$work/g/out" \
        --config "$work/g/c.cfg" >"$work/g/log" 2>&1 || { cat "$work/g/log" >&2; return 1; }
}
run_mcopy() {
    local image=$work/out/mcopy.img
    rm -f "$image"; truncate -s $(($2 + 2))M "$image"
    printf 'label: gpt\nstart=2048, size=%d, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=esp\n' $(($2 * 2048)) |
        sfdisk -q "$image" >/dev/null 2>&1
    mkfs.fat -F 32 --invariant --offset 2048 "$image" $(($2 * 1024)) >/dev/null
    (cd "$work/$1" && mcopy -s -p -m -Q -i "$image@@1048576" ./* ::)
}
# What moving the same bytes costs with nothing made of them: every file read, one file written.
run_floor() { find "$work/$1" -type f -print0 | xargs -0 cat > "$work/out/floor"; }
best() { # RUNS COMMAND... : seconds of the fastest run
    local runs=$1 i start took least=""
    shift
    for ((i = 0; i < runs; i++)); do
        rm -rf "$work/out" "$work/g"; mkdir -p "$work/out"
        start=$(now)
        "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
        took=$(($(now) - start))
        if [ -z "$least" ] || [ "$took" -lt "$least" ]; then least=$took; fi
    done
    awk "BEGIN { printf \"%.3f\", $least / 1e6 }"
}
memory() { # CASE: peak resident KiB of plat
    rm -rf "$work/out"; mkdir -p "$work/out"
    /usr/bin/time -f %M -o "$work/rss" "$plat" build "$work/$1.json" -o "$work/out/plat.img" >/dev/null
    cat "$work/rss"
}
ratio() { if [ "$1" = "-" ]; then printf %s -; else awk "BEGIN { printf \"%.1f\", $1 / $2 }"; fi; }
# PEER PLAT FLOOR TARGET: the ratio, its target, and where the floor itself stays below that: what it would have reached.
judged() {
    local most
    printf '%s (%s' "$(ratio "$1" "$2")" "$4"
    if [ "$1" != "-" ] && [ "$4" != "-" ]; then
        most=$(ratio "$1" "$3")
        awk "BEGIN { exit !($most < $4) }" && printf '; floor %s' "$most"
    fi
    printf ')'
}
table=$work/table
: > "$table"
row() { # CASE TITLE MIB RUNS-SLOW FILES TARGET-GENIMAGE TARGET-MCOPY
    local p g m f rss limit
    recipe "$1" "$3"
    echo "$2" >&2
    p=$(best 5 run_plat "$1" "$3")
    g=- # genimage calls mcopy, so the rows that mcopy needs minutes for say nothing new
    [ "$6" = "-" ] || g=$(best "$4" run_genimage "$1" "$3")
    if [ -n "${BENCH_QUICK:-}" ] && [ "$1" = clash ]; then m=-; else m=$(best "$4" run_mcopy "$1" "$3"); fi
    f=$(best 5 run_floor "$1")
    rss=$(memory "$1")
    limit=$((16 * 1024 + 200 * $5 / 1024))
    printf '| %s | %s | %s | %s | %s | %s | %s | %s of %s |\n' "$2" "$f" "$p" "$g" "$m" "$(judged "$g" "$p" "$f" "$6")" \
        "$(judged "$m" "$p" "$f" "$7")" "$rss" "$limit" >> "$table"
}
row boot "kernel + initrd" 64 3 2 "10" "1"
row tree "20,000 small files, 100 a directory" 200 3 20000 "6" "1.8"
row flat "20,000 small files in one directory" 200 1 20000 "-" "37"
row clash "2,500 names whose 8.3 aliases collide" 64 1 2500 "-" "400"
row big "one file of 400 MB" 512 3 1 "3.5" "0.9"

# caposro1 beside a plain copy of the same tree; plat's time includes the verification of the structures.
run_ro1() { "$plat" mk caposro1 "$1" -o "$work/out/ro1.img"; }
run_cp() { cp -a "$1" "$work/out/copy" 2>/dev/null || [ -d "$work/out/copy" ]; }
native=$work/native
: > "$native"
native_row() { # TITLE DIR
    local p c
    echo "$1: caposro1 and cp -a" >&2
    p=$(best 5 run_ro1 "$2")
    c=$(best 5 run_cp "$2")
    printf '| %s | %s | %s | %s (1) |\n' "$1" "$p" "$c" "$(ratio "$c" "$p")" >> "$native"
}
native_row "20,000 small files, 100 a directory" "$work/tree"
cp -a /usr/share/. "$work/share" 2>/dev/null || true
native_row "/usr/share, $(find "$work/share" | wc -l) files and directories, $(du -sm "$work/share" | cut -f1) MiB" "$work/share"
# caposwf1 beside mke2fs -d of the same tree; plat's time includes the verification of the structures. How small the ext4
# could be resize2fs -M says, which is not timed.
run_wf1() { "$plat" mk caposwf1 "$work/share" -o "$work/out/wf1.img"; }
run_mke2fs() { mke2fs -q -F -t ext4 -N "$share_nodes" -d "$work/share" "$work/out/ext4.img" "$share_kib"; }
echo "/usr/share: caposwf1 and mke2fs -d" >&2
share_nodes=$(($(find "$work/share" | wc -l) + 1000))
share_kib=$(($(du -sk "$work/share" | cut -f1) * 5 / 4 + 65536))
wf1=$(best 3 run_wf1)
wf1_mib=$(($(stat -c %s "$work/out/wf1.img") >> 20))
ext4=$(best 1 run_mke2fs)
e2fsck -f -y "$work/out/ext4.img" > "$work/log" 2>&1 || true
resize2fs -M "$work/out/ext4.img" > "$work/log" 2>&1
ext4_mib=$(($(stat -c %s "$work/out/ext4.img") >> 20))
rm -rf "$work/share"

# A store beside what it cannot do without: 100,000 objects put in one commit, and sha256sum of the same files.
run_sha() { xargs -a "$work/objects.list" -n 100000 -s 2000000 sha256sum; }
run_put() { cp --sparse=always "$work/empty.img" "$work/out/store.img" && "$plat" store put -T "$work/objects.list" "$work/out/store.img"; }
mkdir -p "$work/objects" "$work/none"
for d in $(seq 1000); do
    mkdir "$work/objects/$d"
    seq "$d" $((d + 30000)) > "$work/part"
    truncate -s 150000 "$work/part"
    split -n 100 -a 3 "$work/part" "$work/objects/$d/o"
done
find "$work/objects" -type f > "$work/objects.list"
"$plat" mk caposst1 "$work/none" -o "$work/empty.img" --size 1GiB -O entries=200000 > /dev/null
echo "100,000 objects: plat store put and sha256sum" >&2
store_put=$(best 3 run_put)
store_sha=$(best 3 run_sha)

# Stores of more and more of those objects: what grows no faster than n log n is at most 13.3 and 12.5 times as much at each step.
cost() { # COMMAND...: seconds of the fastest of five runs and the peak KiB of one more, each on a fresh $work/n.img
    local i start took least=""
    for i in 1 2 3 4 5; do
        cp --sparse=always "$work/fresh.img" "$work/n.img"
        start=$(now); "$@" > /dev/null; took=$(($(now) - start))
        if [ -z "$least" ] || [ "$took" -lt "$least" ]; then least=$took; fi
    done
    cp --sparse=always "$work/fresh.img" "$work/n.img"
    /usr/bin/time -f %M -o "$work/rss" "$@" > /dev/null
    awk "BEGIN { printf \"%.4f %d\", $least / 1e6, $(cat "$work/rss") }"
}
growth=$work/growth
: > "$growth"
before="" # put, verify and ls of the row above
for n in 1000 10000 100000; do
    title=${n%000},000
    echo "a store of $title objects" >&2
    head -n "$n" "$work/objects.list" > "$work/n.list"
    "$plat" mk caposst1 "$work/none" -o "$work/fresh.img" --size $((n * 4096 + 1048576)) -O "entries=$n" > /dev/null
    put=$(cost "$plat" store put -q -T "$work/n.list" "$work/n.img")
    "$plat" store put -q -T "$work/n.list" "$work/fresh.img"
    verify=$(cost "$plat" verify --quiet --data "$work/n.img")
    list=$(cost "$plat" store ls "$work/n.img")
    times="- | - | -"
    if [ -n "$before" ]; then
        times=$(echo "$before ${put% *} ${verify% *} ${list% *}" | awk '{ printf "%.1f | %.1f | %.1f", $4 / $1, $5 / $2, $6 / $3 }')
    fi
    before="${put% *} ${verify% *} ${list% *}"
    printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$title" "${put% *}" "${put#* }" "${verify% *}" "${verify#* }" "${list% *}" \
        "${list#* }" "$times" >> "$growth"
done
rm -rf "$work/objects"

# Filesystems of more and more files of 250 bytes, 1000 to a directory.
files=$work/files
: > "$files"
rm -f "$work/fresh.img" "$work/n.img"
: > "$work/fresh.img"
mkdir "$work/many"
before="" # mk, verify and ls of the row above
made=0
for n in 1000 10000 100000 1000000; do
    title=$(sed ':a;s/\B[0-9]\{3\}\>/,&/;ta' <<< "$n")
    echo "a caposwf1 of $title files" >&2
    for ((; made < n / 1000; made++)); do
        mkdir "$work/many/$made"
        seq "$made" $((made + 100000)) | head -c 250000 > "$work/part" || true
        split -n 1000 -a 3 "$work/part" "$work/many/$made/f"
    done
    mk=$(cost "$plat" mk caposwf1 "$work/many" -o "$work/wf1.img")
    cp --sparse=always "$work/wf1.img" "$work/fresh.img"
    verify_n=$(cost "$plat" verify --quiet --data "$work/n.img")
    list=$(cost "$plat" ls -R "$work/n.img")
    : > "$work/fresh.img"
    times="- | - | -"
    if [ -n "$before" ]; then
        times=$(echo "$before ${mk% *} ${verify_n% *} ${list% *}" | awk '{ printf "%.1f | %.1f | %.1f", $4 / $1, $5 / $2, $6 / $3 }')
    fi
    before="${mk% *} ${verify_n% *} ${list% *}"
    printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$title" "${mk% *}" "${mk#* }" "${verify_n% *}" "${verify_n#* }" \
        "${list% *}" "${list#* }" "$times" >> "$files"
done
rm -rf "$work/many" "$work/wf1.img" "$work/fresh.img" "$work/n.img"

# A tree of real files into an image of each native format and back, compared.
roundtrip=$(PLAT=$plat TMPDIR=$work bash tests/roundtrip.sh /usr/share)

recipe tree 4094
rm -rf "$work/out"; mkdir -p "$work/out"
run_plat tree 4094 >/dev/null
verify=$(best_dir=$work/out; start=$(now); "$plat" verify --quiet "$best_dir/plat.img" >/dev/null; awk "BEGIN { printf \"%.3f\", $(($(now) - start)) / 1e6 }")
/usr/bin/time -f %M -o "$work/rss" "$plat" verify --quiet "$work/out/plat.img" >/dev/null
verify_kib=$(cat "$work/rss")
/usr/bin/time -f '%e %M' -o "$work/rss" "$plat" dump --json "$work/out/plat.img" > /dev/null
dump=$(cat "$work/rss")

{
    echo "# Benchmarks"
    echo
    echo "Written by \`make bench\` on $(date -u +%F). Seconds, best of several runs in one session, sources and outputs on"
    echo "$(stat -f -c %T "$base") ($base). plat's time includes the partition table, the filesystem and a full verification of the"
    echo "finished disk; the others verify nothing. find + cat reads the same files and writes their bytes to one file: the floor"
    echo "that the machine sets. Targets in parentheses, with the ratio that the floor would have where not even that reaches them;"
    echo "a ratio above 1 means that plat is faster."
    echo
    echo "Machine: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(uname -sr),"
    echo "genimage $(genimage --version 2>&1 | tail -n 1), $(mkfs.fat -v 2>&1 | head -n 1 | cut -d' ' -f1,2 | sed 's/Usage: //'), $(mtools --version 2>&1 | head -n 1)."
    echo
    echo "| case | find + cat | plat | genimage | sfdisk + mkfs.fat + mcopy | genimage / plat (target) | mcopy / plat (target) | plat's peak KiB, of allowed |"
    echo "| --- | --- | --- | --- | --- | --- | --- | --- |"
    cat "$table"
    echo
    echo "Native formats, beside a copy on the same tmpfs:"
    echo
    echo "| case | plat mk caposro1 | cp -a | cp / plat (target) |"
    echo "| --- | --- | --- | --- |"
    cat "$native"
    echo
    echo "The same /usr/share as a writable filesystem: \`plat mk caposwf1\` $wf1 s and $wf1_mib MiB, \`mke2fs -t ext4 -d\` $ext4 s and"
    echo "$ext4_mib MiB after \`resize2fs -M\`: $(ratio "$ext4" "$wf1") times as long (target: at least 2, and no larger)."
    echo
    echo "Filesystems of n files of 250 bytes, 1000 to a directory; how many times as long as the row above (n log n would be 13.3,"
    echo "12.5 and 12.0 times):"
    echo
    echo "| n | mk caposwf1, s | KiB | verify --data, s | KiB | ls -R, s | KiB | mk, times | verify, times | ls, times |"
    echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    cat "$files"
    echo
    echo "100,000 objects of 1.5 KB in one commit: \`plat store put\` $store_put s, \`sha256sum\` of the same files $store_sha s (target: at"
    echo "most 1.5 times): $(ratio "$store_put" "$store_sha") times."
    echo
    echo "Stores of n of those objects; how many times as long as the row above (n log n would be 13.3 and 12.5 times):"
    echo
    echo "| n | store put, s | KiB | verify --data, s | KiB | store ls, s | KiB | put, times | verify, times | ls, times |"
    echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    cat "$growth"
    echo
    echo "/usr/share into an image and back, all of it compared (\`make check-usr-share\`):"
    echo
    echo "${roundtrip//$'\n'/$'\n\n'}"
    echo
    echo "A 4 GiB disk with the 20,000 files of the second row: \`plat verify\` $verify s and $verify_kib KiB (targets: 2 s, 131072 KiB);"
    echo "\`plat dump --json\` ${dump% *} s and ${dump#* } KiB."
    # What others of the benchmarks wrote stays.
    [ -z "$sections" ] || printf '\n%s\n' "$sections"
} | tee BENCHMARKS.md
