#!/bin/bash
# tests/roundtrip.sh DIR: DIR into an image of each native format and back, compared. Ends with a line of figures for each.
#
#   caposro1   mk, verify --data, extract; content, kind, mode, time and target of everything are those of DIR
#   caposwf1   likewise
#   caposst1   every file put, verify --data, ls is what sha256sum says, every object extracted has the hash that is its name
#
# Reads PLAT and TMPDIR. Exit 0 only when everything is equal.
set -euo pipefail
export LC_ALL=C
unset SOURCE_DATE_EPOCH
plat=${PLAT:-build/plat}
source=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

started=0
begin() { started=${EPOCHREALTIME/./}; }
took() { awk "BEGIN { printf \"%.2f s\", (${EPOCHREALTIME/./} - $started) / 1e6 }"; }
die() { echo "roundtrip: $*" >&2; exit 1; }
# Kind, mode, time, size and target of everything below a directory; of a directory the size means nothing.
listing() { (cd "$1" && find . -mindepth 1 \( -type d -printf 'd %m %T@ %P\n' -o -printf '%y %m %T@ %s %l %P\n' \) | sort); }
same() { # WHAT FILE FILE
    cmp -s "$2" "$3" || { diff "$2" "$3" | head -20 >&2 || true; die "$1: not the same"; }
}
size() { numfmt --to=iec --suffix=B "$(stat -c %s "$1")"; }

n_all=$(find "$source" -mindepth 1 | wc -l)
filesystem() { # FORMAT OPTION...: what mk makes of it comes back
    local format=$1 image=$work/$1.img
    shift
    begin; "$plat" mk "$format" "$source" -o "$image" "$@" >/dev/null; made=$(took)
    begin; "$plat" verify --data --quiet "$image" || die "$format: verify"; verified=$(took)
    begin; "$plat" extract "$image" -C "$work/out"; extracted=$(took)
    listing "$source" >"$work/want"
    listing "$work/out" >"$work/got"
    same "$format: the listing" "$work/want" "$work/got"
    diff -r --no-dereference "$source" "$work/out" >"$work/differences" ||
        { head "$work/differences" >&2; die "$format: contents"; }
    echo "$format: $n_all files and directories, $(size "$image"), equal; made in $made, verified in $verified, extracted in $extracted"
    rm -rf "$work/out" "$image"
}
filesystem caposro1 -O times=untrusted
filesystem caposwf1

mkdir "$work/none"
(cd "$source" && find . -type f -print) | sed 's|^\./||' >"$work/files"
n_files=$(wc -l <"$work/files")
bytes=$(cd "$source" && find . -type f -printf '%s\n' | awk '{ n += int(($1 + 511) / 512) * 512 } END { print n + 0 }')
"$plat" mk caposst1 "$work/none" -o "$work/st1.img" --size $(((bytes + n_files * 200) / 512 * 512 + 1048576)) \
    -O shadow=false -O "entries=$((n_files + 1))" >/dev/null
begin; (cd "$source" && "$plat" store put --quiet -T "$work/files" "$work/st1.img"); made=$(took)
begin; "$plat" verify --data --quiet "$work/st1.img" || die "caposst1: verify"; verified=$(took)
(cd "$source" && tr '\n' '\0' <"$work/files" | xargs -0 sha256sum) | sed 's/^\\//' | cut -c1-64 | sort -u >"$work/want"
"$plat" store ls "$work/st1.img" | sort >"$work/got"
same "caposst1: the objects" "$work/want" "$work/got"
begin; "$plat" extract "$work/st1.img" -C "$work/out"; extracted=$(took)
(cd "$work/out" && find . -type f -printf '%P\n' | sort) >"$work/got"
same "caposst1: what is extracted" "$work/want" "$work/got"
(cd "$work/out" && xargs sha256sum <"$work/want") | awk '$1 != $2 { print; bad = 1 } END { exit bad }' >&2 ||
    die "caposst1: an object does not have the hash that is its name"
echo "caposst1: $n_files files, $(wc -l <"$work/want") objects, $(size "$work/st1.img"), equal; put in $made, verified in $verified, extracted in $extracted"
