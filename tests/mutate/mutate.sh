#!/bin/bash
# plat mutate for every format, and what verification says: bash tests/mutate/mutate.sh COUNT SEED [--all]. Each fault that
# verify does not find must be of a field that plat-mutate(1) lists; with --all, each on the list must be met.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
PLAT=${PLAT:-$root/build/plat}
count=$1 seed=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p plain/sub/deep
seq 1 3000 >plain/a.txt
seq 1 40000 >plain/big
: >plain/empty
for i in $(seq 40); do echo "$i" >"plain/sub/file$i"; done
seq 5 >plain/sub/deep/y
cp -R plain special
ln -s a.txt special/link
mkfifo special/pipe
find . -exec touch -h -d @1790000000 {} +
parts='"disk_guid": "5f2a3c1e-0b5d-4c6e-9a37-1d2e3f405162", "partitions": [
  {"name": "one", "type": "linux", "size": "1MiB", "format": "caposro1", "files": [{"to": "/", "from": "plain"}]},
  {"name": "two", "type": "linux", "size": "1MiB", "format": "caposwf1", "files": [{"to": "/", "from": "plain"}]}]}'
echo "{\"table\": \"gpt\", $parts" | sed 's/"linux"/"linux-data"/' >gpt.json
echo "{\"table\": \"mbr\", $parts" | sed 's/"disk_guid": "[^"]*", //' >mbr.json
"$PLAT" build gpt.json -o gpt.img >/dev/null
"$PLAT" build mbr.json -o mbr.img >/dev/null
"$PLAT" mk fat32 plain -o fat32.img >/dev/null
"$PLAT" mk squashfs special -o squashfs.img -O plain=inodes,fragments,ids,xattrs -O exports=yes >/dev/null
"$PLAT" mk caposro1 special -o caposro1.img >/dev/null
"$PLAT" mk caposst1 plain -o caposst1.img >/dev/null
"$PLAT" mk caposwf1 special -o caposwf1.img >/dev/null
"$PLAT" mk capos-data --seed special --size 16MiB -o capos-data.img >/dev/null
for format in gpt mbr fat32 squashfs caposro1 caposst1 caposwf1 capos-data; do
    only=()
    case $format in gpt) only=(--only gpt --only mbr --only gap) ;; mbr) only=(--only mbr --only gap) ;; esac
    "$PLAT" mutate "$format.img" "${only[@]}" --list --verify --count "$count" --seed "$seed" >"$format.jsonl"
done
python3 "$root/tests/mutate/unseen.py" "$root/man/plat-mutate.1" "${3:---some}" ./*.jsonl
