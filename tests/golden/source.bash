# The tree that golden images are made of: every kind of node, names that sort, contents around a block's size. Its
# modes and times are set, so that the bytes are the same on every machine.
golden_source() { # ARCHIVE
    mkdir -p tree/bin tree/etc/empty tree/dev
    printf 'hello\n' >tree/etc/motd
    : >tree/etc/none
    head -c 512 /dev/zero | tr '\0' 'B' >tree/bin/block
    head -c 513 /dev/zero | tr '\0' 'C' >tree/bin/block+1
    ln -s ../etc/motd tree/bin/link
    mkfifo tree/dev/pipe
    chmod 644 tree/etc/* tree/dev/pipe
    chmod 755 tree tree/bin tree/etc tree/etc/empty tree/dev
    chmod 4755 tree/bin/block
    find tree -depth -exec touch -h -d '2026-11-21 12:34:56.5 UTC' {} +
    touch -d '1960-01-01 00:00:00 UTC' tree/etc/none
    "$PLAT" mk tar tree -o "$1" -O node=dev/console:c:5:1:0600,dev/disk:b:8:16:0660
}

# A CAPOSWF1 of it, and a capos-data with two objects beside, as plat hex prints them, with the SHA-256 of the image.
golden_text() { { "$PLAT" hex image; sha256sum <image; } >"$1"; }
golden_caposwf1() { # FILE
    "$PLAT" mk caposwf1 tree.tar -o image --label GOLDEN --uuid 12345678-9abc-4def-8123-456789abcdef -O times=ntp-synced >/dev/null
    golden_text "$1"
}
golden_capos_data() { # FILE
    printf 'an object' >object
    "$PLAT" mk capos-data -o image --compact --seed tree.tar --seed-object object --seed-object tree/bin/block >/dev/null
    golden_text "$1"
}
