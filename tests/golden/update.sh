#!/bin/bash
# Accepts the bytes that PLAT makes as the goldens of this directory. Version 1 is for ever: see that its file stays.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PLAT=$(realpath "${PLAT:-build/plat}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
source "$here/source.bash"
golden_source tree.tar
make() { # FILE OPTION...
    "$PLAT" mk caposro1 tree.tar -o image --label GOLDEN --uuid 12345678-9abc-4def-8123-456789abcdef "${@:2}" >/dev/null
    { "$PLAT" hex image; sha256sum <image; } >"$here/$1"
}
make caposro1-v1.txt
make caposro1-v2.txt -O times=ntp-synced
golden_caposwf1 "$here/caposwf1-v1.txt"
golden_capos_data "$here/capos-data.txt"
