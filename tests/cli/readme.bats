#!/usr/bin/env bats
# README.md: each block of commands runs, in their order, and prints what the page shows.

@test "README: the commands print what it says" {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    mkdir build
    ln -s "$PLAT" build/plat
    ln -s "$root/examples" examples
    python3 - "$root/README.md" <<'PY'
import re, subprocess, sys
ran = wrong = 0
for block in re.findall(r"^```\n(.*?)^```$", open(sys.argv[1]).read(), re.M | re.S):
    # blocks that leave something out ("...") need another machine
    if not block.startswith("$ ") or "\n...\n" in block:
        continue
    for command, want in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
        got = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        ran += 1
        if got != want:
            wrong += 1
            print(f"$ {command}\n--- README\n{want}--- now\n{got}---")
assert ran > 10, ran
sys.exit(wrong > 0)
PY
}
