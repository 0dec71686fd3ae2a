#!/usr/bin/env python3
"""Partition tables bent out of shape, and what strangers say of them.

table_variants.py make DIR            one image per variant in DIR, from a disk that sgdisk (or sfdisk) made
table_variants.py names DIR           the images, one a line, in the order of their numbers
table_variants.py linux PLAT DIR LOG  compares with what a Linux kernel printed (linux_partitions.sh): plat says that Linux
                                      refuses an image exactly where Linux does not show both partitions
table_variants.py compare PLAT DIR    judges every image with plat, sgdisk -v and sfdisk --verify, in TAP:
    - plat finds an error in every variant but those in FINE and WARNED;
    - whoever plat says refuses the image does refuse it (sgdisk, sfdisk).
table_variants.py rows DIR BASE PLAIN BIG   the rows of the table "What readers accept" in the notes on GPT, one image each, in
                                      DIR, from bootable disks: 512-byte sectors, a filesystem alone, 4096-byte sectors
table_variants.py judge-rows PLAT DIR   plat gives each row the finding and names those, and only those, who refuse it
table_variants.py linux-rows DIR LOG  compares the rows with what a Linux kernel printed"""
import json
import os
import re
import struct
import subprocess
import sys
import zlib

SECTOR = 512
DISK_BYTES = 16 << 20
FINE = {"good", "few_entries", "plain_good"}
# A warning; sgdisk, which judges an MBR disk as the GPT disk it would make of it, wants room behind the last partition.
WARNED = {"plain_last_sector"}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"})


def header(disk, which):
    return SECTOR if which == 0 else (len(disk) // SECTOR - 1) * SECTOR


def entry(disk, which, index):
    return struct.unpack_from("<Q", disk, header(disk, which) + 72)[0] * SECTOR + 128 * index


def seal(disk):
    for which in (0, 1):
        at = header(disk, which)
        lba, count, size = struct.unpack_from("<QII", disk, at + 72)
        if lba * SECTOR + count * size <= len(disk):
            struct.pack_into("<I", disk, at + 88, zlib.crc32(bytes(disk[lba * SECTOR : lba * SECTOR + count * size])))
        struct.pack_into("<I", disk, at + 16, 0)
        struct.pack_into("<I", disk, at + 16, zlib.crc32(bytes(disk[at : at + 92])))


def in_headers(fmt, offset, *values):
    def bend(disk):
        for which in (0, 1):
            struct.pack_into(fmt, disk, header(disk, which) + offset, *values)
        seal(disk)

    return bend


def in_one(which, fmt, offset, *values):
    def bend(disk):
        struct.pack_into(fmt, disk, header(disk, which) + offset, *values)
        seal(disk)

    return bend


def in_second_entry(fmt, offset, *values):
    def bend(disk):
        for which in (0, 1):
            struct.pack_into(fmt, disk, entry(disk, which, 1) + offset, *values)
        seal(disk)

    return bend


def flip(*places):
    """Without sealing: what a worn disk does."""

    def bend(disk):
        for place in places:
            disk[place(disk)] ^= 0x10

    return bend


def grow(disk):
    disk.extend(bytes(1 << 20))


def cut(disk):
    del disk[-(1 << 19) :]


def wipe(*ranges):
    def bend(disk):
        for start, end in ranges:
            disk[start : end or len(disk)] = bytes((end or len(disk)) - start)

    return bend


def same_guid(disk):
    for which in (0, 1):
        first = entry(disk, which, 0)
        disk[first + 128 + 16 : first + 128 + 32] = disk[first + 16 : first + 32]
    seal(disk)


SECTORS = DISK_BYTES // SECTOR
GPT = {
    "good": lambda disk: None,
    "few_entries": in_headers("<I", 80, 16),
    "primary_crc": flip(lambda d: SECTOR + 60),
    "backup_crc": flip(lambda d: header(d, 1) + 60),
    "both_crc": flip(lambda d: SECTOR + 60, lambda d: header(d, 1) + 60),
    "both_wiped": wipe((SECTOR, 2 * SECTOR), (DISK_BYTES - SECTOR, 0)),
    "primary_array": flip(lambda d: entry(d, 0, 1) + 3),
    "backup_array": flip(lambda d: entry(d, 1, 1) + 3),
    "no_protective_mbr": wipe((0, SECTOR)),
    "protective_start": lambda disk: struct.pack_into("<I", disk, 446 + 8, 2),
    "grown": grow,
    "cut": cut,
    "wide_entries": in_headers("<II", 80, 64, 256),
    "overlap": in_second_entry("<Q", 32, 2048),
    "outside_usable": in_second_entry("<Q", 40, SECTORS - 2),
    "past_end": in_second_entry("<Q", 40, SECTORS * 16),
    "backwards": in_second_entry("<Q", 40, 100),
    "same_guid": same_guid,
    "last_usable_beyond": in_headers("<Q", 48, SECTORS + 100),
    "first_usable_low": in_headers("<Q", 40, 3),
    "first_usable_beyond": in_headers("<Q", 40, SECTORS + 5),
    "header_rest": lambda disk: disk.__setitem__(SECTOR + 100, 7),
    "two_disks": in_one(1, "<I", 60, 7),
    "two_usable": in_one(1, "<Q", 40, 40),
    "two_counts": in_one(1, "<I", 80, 64),
    "my_lba": in_one(0, "<Q", 24, 3),
    "backup_points_elsewhere": in_one(1, "<Q", 32, 3),
    "header_size": in_one(0, "<I", 12, 80),
    "array_at_0": in_one(0, "<Q", 72, 0),
    "array_far": in_one(0, "<Q", 72, 1 << 40),
    "revision": in_headers("<I", 8, 0x20000),
}
RECORD = 446
MBR = {
    "plain_good": lambda disk: None,
    "plain_overlap": lambda disk: struct.pack_into("<I", disk, RECORD + 16 + 8, 3000),
    "plain_past_end": lambda disk: struct.pack_into("<I", disk, RECORD + 16 + 12, SECTORS * 2),
    "plain_beyond": lambda disk: struct.pack_into("<I", disk, RECORD + 16 + 8, SECTORS),
    "plain_last_sector": lambda disk: disk.__delitem__(slice(9 * 2048 * SECTOR - 100, None)),
    "plain_status": lambda disk: disk.__setitem__(RECORD, 0x17),
    "plain_signature": lambda disk: disk.__setitem__(510, 0x54),
    "plain_left_over": lambda disk: disk.__setitem__(RECORD + 3 * 16 + 12, 9),
    "plain_no_sectors": lambda disk: struct.pack_into("<I", disk, RECORD + 16 + 12, 0),
}


def array_at_34(disk):
    """Both headers must agree about the usable area, the array moves in front only."""
    disk[34 * SECTOR : 66 * SECTOR] = disk[2 * SECTOR : 34 * SECTOR]
    disk[2 * SECTOR : 34 * SECTOR] = bytes(32 * SECTOR)
    struct.pack_into("<Q", disk, SECTOR + 72, 34)
    in_headers("<Q", 40, 66)(disk)


def basic_data(disk):
    for which in (0, 1):
        first = entry(disk, which, 0)
        disk[first : first + 16] = bytes.fromhex("a2a0d0ebe5b9334487c068b6b72699c7")
    seal(disk)


# Number, what, disk that it comes from, change, finding, who refuses (all columns of the table).
ROWS = [
    (1, "correct", "base", GPT["good"], None, ""),
    (2, "primary header CRC wrong", "base", GPT["primary_crc"], "derive", "linux"),
    (3, "backup header CRC wrong", "base", GPT["backup_crc"], "derive", "sgdisk"),
    (4, "both wrong", "base", GPT["both_crc"], "derive", "linux ovmf"),
    (5, "no protective MBR", "base", GPT["no_protective_mbr"], "gpt-protective-mbr", "linux ovmf sfdisk"),
    (6, "disk grown", "base", GPT["grown"], "gpt-backup-place", "sgdisk sfdisk"),
    (7, "file truncated by 512 KiB", "base", GPT["cut"], "gpt-last-usable", "linux sgdisk"),
    (8, "type basic-data instead of ESP", "base", basic_data, None, "windows other-firmware"),
    (9, "entry array moved to LBA 34", "base", array_at_34, None, ""),
    (10, "FAT with no partition table", "plain", GPT["good"], None, ""),
    (11, "4096-byte logical blocks, 260 MiB ESP", "big", GPT["good"], None, ""),
]


def row_image(directory, number):
    return os.path.join(directory, f"row{number}{'-4kn' if number == 11 else ''}.img")


def make_rows(directory, **bases):
    for number, _, base, bend, _, _ in ROWS:
        with open(bases[base], "rb") as source:
            disk = bytearray(source.read())
        bend(disk)
        with open(row_image(directory, number), "wb") as out:
            out.write(disk)


def tap(number, text, problems):
    """1 where there are problems."""
    print(f"{'not ok' if problems else 'ok'} {number} - {text}", *(f"#   {problem}" for problem in problems), sep="\n")
    return bool(problems)


def row_lines(problems_of):
    print(f"1..{len(ROWS)}")
    # Each row is judged and printed, whatever the others are.
    return min(1, sum([tap(row[0], f"row {row[0]}, {row[1]}: refused by {row[5] or 'nobody'}", problems_of(row)) for row in ROWS]))


def judge_rows(plat, directory):
    def problems_of(row):
        number, _, _, _, wanted, refused_by = row
        image = row_image(directory, number)
        result = run(plat, "verify", "--json", image)
        findings = json.loads(result.stdout)["findings"]
        errors = [finding["id"] for finding in findings if finding["severity"] == "error"]
        named = {who for finding in findings for who in finding["refused_by"]}
        problems = []
        if result.returncode != (1 if wanted else 0) or (wanted or "") not in [*errors, ""]:
            problems.append(f"exit status {result.returncode}, errors {errors}, not '{wanted}'")
        if named != set(refused_by.split()):
            problems.append(f"plat names {sorted(named)}")
        for who, accepts in (("sgdisk", sgdisk_accepts), ("sfdisk", sfdisk_accepts)):
            if who in refused_by and accepts(image):
                problems.append(f"{who} accepts it")
        return problems

    return row_lines(problems_of)


def linux_rows(directory, log):
    with open(log, errors="replace") as text:
        said = text.read()

    def problems_of(row):
        number = row[0]
        wanted = 0 if number == 10 or "linux" in row[5] else 1
        shown = re.search(rf"DISK {number - 1} (\d+)", said)
        return [] if shown and int(shown[1]) == wanted else [f"Linux shows {shown and shown[1]} partitions, not {wanted}"]

    return row_lines(problems_of)


def make(directory):
    gpt, mbr = (os.path.join(directory, name) for name in ("base-gpt", "base-mbr"))
    for path in (gpt, mbr):
        with open(path, "wb") as out:
            out.truncate(DISK_BYTES)
    run("sgdisk", "-n1:2048:+4M", "-t1:ef00", "-n2:0:+4M", "-c1:esp", "-c2:root", gpt).check_returncode()
    subprocess.run(["sfdisk", "-q", mbr], input="label: dos\nsize=4MiB,type=ef\nsize=4MiB\n", text=True, check=True)
    for base, variants in ((gpt, GPT), (mbr, MBR)):
        for name, bend in variants.items():
            with open(base, "rb") as source:
                disk = bytearray(source.read())
            bend(disk)
            with open(os.path.join(directory, name + ".img"), "wb") as out:
                out.write(disk)
        os.remove(base)


def sgdisk_accepts(image):
    result = run("sgdisk", "-v", image)
    said = result.stdout + result.stderr
    # It can print "Backup header: ERROR" and "No problems found" in one run.
    return result.returncode == 0 and "No problems found" in said and "Identified" not in said and "ERROR" not in said


def sfdisk_accepts(image):
    result = run("sfdisk", "--verify", image)
    said = result.stdout + result.stderr
    return result.returncode == 0 and "detected." in said and "No errors detected" in said


def compare(plat, directory):
    failed = 0
    for number, name in enumerate(list(GPT) + list(MBR), 1):
        image = os.path.join(directory, name + ".img")
        result = run(plat, "verify", "--json", image)
        problems = []
        try:
            findings = json.loads(result.stdout)["findings"]
        except (ValueError, KeyError):
            findings = []
            problems.append(f"no findings: {result.stdout}{result.stderr}")
        if result.returncode != (0 if name in FINE | WARNED else 1):
            problems.append(f"exit code {result.returncode}")
        refused_by = {who for finding in findings for who in finding["refused_by"]}
        for who, accepts in (("sgdisk", sgdisk_accepts), ("sfdisk", sfdisk_accepts)):
            if who in refused_by and accepts(image):
                problems.append(f"said to be refused by {who}, which accepts it")
            if name in FINE and not accepts(image):
                problems.append(f"{who} does not accept it")
        failed += tap(number, f"{name}: {', '.join(sorted(refused_by)) or 'nobody'} refuses", problems)
    print(f"1..{len(GPT) + len(MBR)}")
    return 1 if failed else 0


def names(directory):
    return [os.path.join(directory, name + ".img") for name in list(GPT) + list(MBR)]


def compare_linux(plat, directory, log):
    with open(log, errors="replace") as text:
        shown = {int(number): int(count) for number, count in re.findall(r"DISK (\d+) (\d+)", text.read())}
    failed = 0
    for number, image in enumerate(names(directory)):
        findings = json.loads(run(plat, "verify", "--json", image).stdout)["findings"]
        refused = sorted({finding["id"] for finding in findings if "linux" in finding["refused_by"]})
        good = number in shown and bool(refused) == (shown[number] < 2)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number + 1} - {os.path.basename(image)}: Linux shows "
              f"{shown.get(number)} of 2 partitions; plat: {', '.join(refused) or 'accepted'}")
    print(f"1..{len(names(directory))}")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    elif sys.argv[1] == "names":
        print("\n".join(names(sys.argv[2])))
    elif sys.argv[1] == "rows":
        make_rows(sys.argv[2], base=sys.argv[3], plain=sys.argv[4], big=sys.argv[5])
    elif sys.argv[1] == "judge-rows":
        sys.exit(judge_rows(*sys.argv[2:4]))
    elif sys.argv[1] == "linux-rows":
        sys.exit(linux_rows(*sys.argv[2:4]))
    elif sys.argv[1] == "linux":
        sys.exit(compare_linux(*sys.argv[2:5]))
    else:
        sys.exit(compare(sys.argv[2], sys.argv[3]))
