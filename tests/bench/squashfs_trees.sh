#!/bin/bash
# squashfs_trees.sh DIR: the two trees of make bench-squashfs, DIR/small and DIR/mixed, and small.tar and mixed.tar beside
# them, out of what this machine has. The same files every time while that stays the same.
#     small   /usr/share without what is larger than 256 KiB: about 60,000 files, 460 MB
#     mixed   of /usr/lib and /usr/share without what is larger than 3 MiB two files in five: about 51,000 files, 890 MB
set -euo pipefail
export LC_ALL=C TZ=UTC
dir=$(mkdir -p "$1" && cd "$1" && pwd)
cd /usr

pick() { # NAME KEEP LARGEST_BYTES DIRECTORY...: of five files the first KEEP
    local name=$1 keep=$2 largest=$3
    shift 3
    [ -d "$dir/$name" ] && return
    mkdir "$dir/$name.new"
    find "$@" -xdev -type f -readable -size "-$((largest + 1))c" -print0 | sort -z |
        awk -v RS='\0' -v ORS='\0' -v keep="$keep" 'NR % 5 < keep' |
        tar -c --null --no-recursion -T - | tar -x -C "$dir/$name.new"
    tar -c -f "$dir/$name.tar" --sort=name --format=gnu -C "$dir/$name.new" .
    mv "$dir/$name.new" "$dir/$name"
}

pick small 5 $((256 << 10)) share
pick mixed 2 $((3 << 20)) lib share
