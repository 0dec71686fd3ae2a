#!/usr/bin/env bats
# Real directories into images of the native formats and back (tests/roundtrip.sh); `make check-usr-share` does all of /usr/share.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
}

@test "a part of /usr/share comes back as it was" {
    tree=/usr/share/doc
    for d in /usr/share/zoneinfo /usr/share/perl; do
        if [ -d "$d" ] && [ "$(find "$d" -type l | wc -l)" -gt 0 ]; then tree=$d; fi
    done
    run bash "$root/tests/roundtrip.sh" "$tree"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c ', equal; ' <<<"$output")" -eq 3 ]
}

@test "what does not come back as it was is noticed" {
    mkdir -p tree/sub
    echo content >tree/sub/file
    ln -s sub/file tree/link
    bash "$root/tests/roundtrip.sh" tree
    # a plat that loses something, each time another thing
    for loss in 'touch -d @1 out/sub/file' 'chmod 600 out/sub/file' 'printf CONTENT | dd of=out/sub/file conv=notrunc' 'ln -sfn sub out/link' \
        'rm -f out/?????*'; do
        cat >lossy <<SCRIPT
#!/bin/bash
"$PLAT" "\$@" || exit
[ "\$1" = extract ] || exit 0
cd "\$(dirname "\$2")" && time=\$(stat -c @%.9Y out/sub/file 2>/dev/null)
$loss 2>/dev/null
case '$loss' in printf*) touch -d "\$time" out/sub/file ;; esac
exit 0
SCRIPT
        chmod +x lossy
        run env PLAT="$PWD/lossy" bash "$root/tests/roundtrip.sh" tree
        echo "$loss: $output"
        [ "$status" -eq 1 ]
    done
}
