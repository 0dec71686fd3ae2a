# Images for the inspect tests, made by strangers' tools. Sourced; needs mtools, dosfstools, gdisk, fdisk, python3.

# A directory tree with a deep path, a long name, UTF-8, an empty file, and a file that is mostly zeros.
make_tree() { # DIR
    mkdir -p "$1/EFI/BOOT" "$1/loader"
    seq 20000 >"$1/EFI/BOOT/BOOTX64.EFI"
    printf 'timeout 3\ndefault linux\n' >"$1/loader/loader.conf"
    echo hello >"$1/A long file name.text"
    echo grün >"$1/Übersicht.txt"
    : >"$1/empty"
    { head -c 2000000 /dev/zero; echo end; } >"$1/zeros"
}

# A FAT32 volume with the tree in it.
make_fat() { # IMAGE TREE MiB SECTOR_BYTES
    truncate -s "$3M" "$1"
    mkfs.fat -F 32 -S "$4" -s 1 -n LABEL "$1" >/dev/null
    (cd "$2" && mcopy -s -m -i "$OLDPWD/$1" ./* ::/)
}

# A disk: partition 1 "esp" with the volume, partition 2 "my root" with nothing.
make_disk() { # DISK FAT
    truncate -s 100M "$1"
    sgdisk -n 1:2048:+70M -t 1:ef00 -c 1:esp -n 2:0:0 -t 2:8300 -c 2:'my root' "$1" >/dev/null
    dd if="$2" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
}

# Replaces bytes (hex), every occurrence, or the first COUNT of them; fails when there is none.
patch_bytes() { # FILE FROM TO [COUNT]
    python3 - "$@" <<'EOF'
import sys
name, old, new = sys.argv[1], bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
assert len(old) == len(new)
data = open(name, 'rb').read()
assert old in data, 'nothing to patch'
open(name, 'wb').write(data.replace(old, new, int(sys.argv[4]) if len(sys.argv) > 4 else -1))
EOF
}

# Writes bytes (hex) at an offset.
poke() { # FILE OFFSET HEX
    python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2], 0)); f.write(bytes.fromhex(sys.argv[3]))' "$@"
}
