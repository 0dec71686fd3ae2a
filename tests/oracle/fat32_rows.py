#!/usr/bin/env python3
"""Each row of the table of probes in the notes on FAT32 (one field of a good 40 MiB volume changed), judged by plat and by
the strangers that are here.

fat32_rows.py make DIR         makes each row's image in DIR, from a volume by mkfs.fat and mcopy
fat32_rows.py judge PLAT DIR   says in TAP whether
    - plat gives the row the finding and the worst severity that are written here;
    - whoever refuses the row is named by plat, and nobody else. What OVMF 2022.11 does was measured in QEMU and is
      written here; fsck.fat and mtools are run.
fat32_rows.py build PLAT DIR   says whether plat build refuses to put a row with an error on a disk, and puts the others there
fat32_rows.py names DIR        the images, one a line
fat32_rows.py linux DIR LOG    compares the rows with what Linux mounted (linux_partitions.sh)"""
import json
import os
import re
import struct
import subprocess
import sys

SECTOR, MIB = 512, 1 << 20
TOOLS = {"fsck.fat", "mtools"}
ENV = {key: value for key, value in os.environ.items() if not key.startswith("MTOOLS")} | {"LC_ALL": "C"}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=ENV)


class Volume:
    """The first bytes of an image, where all but the files is."""

    def __init__(self, path):
        with open(path, "rb") as image:
            self.disk = bytearray(image.read(4 * MIB))
        self.size = os.path.getsize(path)
        self.sector, self.spc, self.reserved, self.fats = struct.unpack_from("<HBHB", self.disk, 11)
        self.total, self.fat_sectors = struct.unpack_from("<II", self.disk, 32)
        self.first_data = self.reserved + self.fats * self.fat_sectors

    def boot(self, fmt, at, *values):
        """In both copies of the boot sector: a difference between them would be a fault of its own."""
        for copy in (0, 6 * self.sector):
            struct.pack_into(fmt, self.disk, copy + at, *values)

    def fsinfo(self, fmt, at, *values):
        struct.pack_into(fmt, self.disk, self.sector + at, *values)

    def fat(self, entry, value):
        for copy in range(self.fats):
            struct.pack_into("<I", self.disk, (self.reserved + copy * self.fat_sectors) * self.sector + 4 * entry, value)

    def clusters(self, wanted):
        """A size that has so many, counted rightly."""
        used = (self.total - self.first_data) // self.spc - struct.unpack_from("<I", self.disk, self.sector + 488)[0]
        self.boot("<I", 32, self.first_data + wanted * self.spc)
        for copy in (1, 7):
            struct.pack_into("<II", self.disk, copy * self.sector + 488, wanted - used, 0xFFFFFFFF)

    def write(self, path):
        with open(path, "r+b") as image:
            image.write(self.disk)


def boot(fmt, at, *values):
    return lambda volume: volume.boot(fmt, at, *values)


def fsinfo(fmt, at, *values):
    return lambda volume: volume.fsinfo(fmt, at, *values)


def fat(entry, value):
    return lambda volume: volume.fat(entry, value)


def clusters(wanted):
    return lambda volume: volume.clusters(wanted)


def total(more):
    return lambda volume: volume.boot("<I", 32, volume.total + more)


def no_backup(volume):
    volume.disk[6 * volume.sector : 7 * volume.sector] = bytes(volume.sector)


def free_wrong(volume):
    free = struct.unpack_from("<I", volume.disk, volume.sector + 488)[0]
    volume.fsinfo("<I", 488, free - 5)


def same(volume):
    del volume


# Number, what, options of mkfs.fat, size in MiB, change, finding, worst severity, who refuses.
ROWS = [
    (1, "unchanged", "-s 1", 40, same, None, "note", ""),
    (2, "made by mkfs.fat and mtools, its own cluster size", "", 600, same, None, "note", ""),
    (3, "HiddSec=0", "-s 1 -h 2048", 40, boot("<I", 28, 0), None, "note", ""),
    (4, "BPB Media=F0, FAT[0]=F8", "-s 1", 40, boot("B", 21, 0xF0), "fat-media", "error", "mtools"),
    (5, "BPB Media=00", "-s 1", 40, boot("B", 21, 0), "media", "error", "linux mtools"),
    (6, "FAT[0]=..F0, BPB F8", "-s 1", 40, fat(0, 0x0FFFFFF0), "fat-media", "error", "mtools"),
    (7, "FSInfo lead signature 0", "-s 1", 40, fsinfo("<I", 0, 0), "fsinfo-lead", "error", "fsck.fat"),
    (8, "BPB_FSInfo=FFFF", "-s 1", 40, boot("<H", 48, 0xFFFF), "fsinfo-outside", "error", "fsck.fat"),
    (9, "BPB_FSInfo=0", "-s 1", 40, boot("<H", 48, 0), "fsinfo-none", "note", ""),
    (10, "Free_Count wrong", "-s 1", 40, free_wrong, "fsinfo-count", "error", "fsck.fat"),
    (11, "Free/Next=FFFFFFFF", "-s 1", 40, fsinfo("<II", 488, 0xFFFFFFFF, 0xFFFFFFFF), None, "note", ""),
    (12, "BkBootSec=0", "-s 1", 40, boot("<H", 50, 0), "backup-none", "error", "fsck.fat"),
    (13, "backup sectors zeroed", "-s 1", 40, no_backup, "mirror", "error", ""),
    (14, "TotSec32 -64", "-s 1", 40, total(-64), "fsinfo-count", "error", "fsck.fat"),
    (15, "TotSec32 +4096", "-s 1", 40, total(4096), "past-device", "error", "fsck.fat mtools"),
    (16, "40,298 clusters", "-s 2", 80, clusters(40298), "too-few-clusters", "error", "ovmf mtools"),
    (17, "20 MiB FAT16", "-F 16", 20, same, "FAT16", "unsupported", ""),
    (18, "4 MiB FAT12", "-F 12", 4, same, "FAT12", "unsupported", ""),
    (19, "65,524 clusters", "-s 1", 40, clusters(65524), "too-few-clusters", "error", "ovmf mtools"),
    (20, "65,525 clusters", "-s 1", 40, clusters(65525), "few-clusters", "note", ""),
    (21, "65,526 clusters", "-s 1", 40, clusters(65526), "few-clusters", "note", ""),
    (22, "65,529 clusters", "-s 1", 40, clusters(65529), "few-clusters", "note", ""),
    (23, "4,080 clusters", "-s 1", 40, clusters(4080), "too-few-clusters", "error", "ovmf mtools"),
    (24, "5,000 clusters", "-s 1", 40, clusters(5000), "too-few-clusters", "error", "ovmf mtools"),
    (25, "NumFATs=1", "-s 1 -f 1", 40, same, None, "note", ""),
    (26, "no 55AA", "-s 1", 40, boot("<H", 510, 0), "boot-55aa", "error", ""),
    (27, "jmpBoot=0", "-s 1", 40, boot("3s", 0, bytes(3)), "boot-jump", "error", ""),
    (28, "OEM=0", "-s 1", 40, boot("8s", 3, bytes(8)), None, "note", ""),
    (29, "BootSig=0", "-s 1", 40, boot("B", 66, 0), "boot-signature", "error", "fsck.fat"),
    (30, "FilSysType FAT16", "-s 1", 40, boot("8s", 82, b"FAT16   "), "type-text", "note", ""),
    (31, "FSVer=1", "-s 1", 40, boot("<H", 42, 1), "fs-version", "error", "ovmf"),
    (32, "RootEntCnt=512", "-s 1", 40, boot("<H", 17, 512), "root-entries", "error", "linux fsck.fat"),
    (33, "SecPerTrk=NumHeads=0", "-s 1", 40, boot("<HH", 24, 0, 0), "sectors-per-track", "error", "mtools"),
    (34, "FATSz16=1", "-s 1", 40, boot("<H", 22, 1), "sectors-per-fat-16", "error", "ovmf linux fsck.fat mtools"),
    (35, "TotSec16=1000", "-s 1", 40, boot("<H", 19, 1000), "total-sectors-16", "error", "ovmf fsck.fat mtools"),
    (36, "FAT[1] clean bit 0", "-s 1", 40, fat(1, 0x07FFFFFF), "fat-not-clean", "error", "fsck.fat"),
    (37, "ExtFlags=81h", "-s 1", 40, boot("<H", 40, 0x81), "fat-mirroring-off", "error", "ovmf"),
    (38, "SecPerClus=0", "-s 1", 40, boot("B", 13, 0), "cluster-size", "error", "ovmf linux fsck.fat mtools"),
    (39, "32 KiB clusters", "-s 64", 2300, same, None, "note", ""),
    (40, "64 KiB clusters", "-s 128", 4500, same, None, "note", ""),
    (41, "RsvdSecCnt=9", "-s 1 -R 9", 40, same, None, "note", ""),
    (42, "4 KiB sectors, 51k clusters", "-S 4096 -s 1", 200, same, "too-few-clusters", "error", "ovmf mtools"),
    (43, "4 KiB sectors, 260 MiB", "-S 4096 -s 1", 260, same, None, "note", ""),
    (44, "512-byte sectors, 4Kn disk", "-s 1", 40, same, "sector-below-device", "error", "linux"),
    # Not in the notes: what else a reader may meet. OVMF was not asked.
    (45, "TotSec32=0", "-s 1", 40, boot("<I", 32, 0), "total-sectors", "error", "fsck.fat mtools"),
    (46, "TotSec32=100", "-s 1", 40, boot("<I", 32, 100), "no-data-area", "error", "fsck.fat mtools"),
    (47, "FATSz32=FFFFFFFF", "-s 1", 40, boot("<I", 36, 0xFFFFFFFF), "no-data-area", "error", "linux fsck.fat mtools"),
    (48, "FATSz32=0", "-s 1", 40, boot("<I", 36, 0), "sectors-per-fat", "error", "linux fsck.fat mtools"),
    (49, "RootClus=0", "-s 1", 40, boot("<I", 44, 0), "root-cluster", "error", "linux fsck.fat mtools"),
    (50, "RootClus past the end", "-s 1", 40, boot("<I", 44, 0x0FFFFFF0), "root-outside", "error", "linux fsck.fat mtools"),
    (51, "NumFATs=0", "-s 1", 40, boot("B", 16, 0), "fat-copies", "error", "linux fsck.fat mtools"),
    (52, "RsvdSecCnt=0", "-s 1", 40, boot("<H", 14, 0), "reserved-sectors", "error", "linux fsck.fat mtools"),
    (53, "SecPerClus=3", "-s 1", 40, boot("B", 13, 3), "cluster-size", "error", "linux fsck.fat mtools"),
    (54, "BytsPerSec=0", "-s 1", 40, boot("<H", 11, 0), "sector-size", "error", "linux fsck.fat mtools"),
    (55, "BytsPerSec=513", "-s 1", 40, boot("<H", 11, 513), "sector-size", "error", "linux fsck.fat mtools"),
]


def make(path, options, size):
    with open(path, "wb") as image:
        image.truncate(size * MIB)
    if "-F" not in options:
        options += " -F 32"
    subprocess.run(["mkfs.fat", *options.split(), path], check=True, stdout=subprocess.DEVNULL)
    if "4096" in options:
        return  # beyond what mcopy writes to
    source = path + ".efi"
    with open(source, "wb") as out:
        out.write(os.urandom(50000))
    for command in (["mmd", "-i", path, "::/EFI", "::/EFI/BOOT"], ["mcopy", "-i", path, source, "::/EFI/BOOT/BOOTX64.EFI"]):
        subprocess.run(command, check=True, env=ENV | {"MTOOLS_SKIP_CHECK": "1"})
    os.remove(source)


def strangers(path):
    refuse = set()
    if run("fsck.fat", "-n", path).returncode != 0:
        refuse.add("fsck.fat")
    if run("mdir", "-i", path, "::/EFI/BOOT/BOOTX64.EFI").returncode != 0:
        refuse.add("mtools")
    return refuse


def judge(plat, path, number, wanted, severity, refused):
    problems = []
    if severity == "unsupported":
        result = run(plat, "verify", path)
        named = result.returncode == 2 and f"{wanted} filesystem" in result.stderr
        return [] if named else [f"exit status {result.returncode}: {result.stdout}{result.stderr}"]
    result = run(plat, "verify", "--json", *(["--sector-bytes", "4096"] if number in (42, 43, 44) else []), path)
    try:
        findings = json.loads(result.stdout)["findings"]
    except (ValueError, KeyError):
        return [f"no findings: {result.stdout}{result.stderr}"]
    if result.returncode != (1 if severity == "error" else 0):
        problems.append(f"exit status {result.returncode}")
    ids = {finding["id"] for finding in findings if finding["severity"] == severity}
    if wanted is not None and wanted not in ids:
        problems.append(f"no {severity} '{wanted}' in {[(f['severity'], f['id'], f['text']) for f in findings]}")
    worst = [s for s in ("error", "warning", "note") if any(f["severity"] == s for f in findings)]
    if worst and ["error", "warning", "note"].index(worst[0]) < ["error", "warning", "note"].index(severity):
        problems.append(f"worse than a {severity}: {[(f['id'], f['text']) for f in findings if f['severity'] == worst[0]]}")
    named = {who for finding in findings for who in finding["refused_by"]}
    named -= {"windows"} if number <= 44 else {"windows", "ovmf"}
    if named != refused:
        problems.append(f"plat names {sorted(named)}: {[(f['id'], f['refused_by']) for f in findings if f['refused_by']]}")
    return problems


def place(directory, number):
    return os.path.join(directory, f"row{number}-4kn.img" if 42 <= number <= 44 else f"row{number}.img")


def make_all(directory):
    for number, _, options, size, change, *_ in ROWS:
        path = place(directory, number)
        make(path, options, size)
        volume = Volume(path)
        change(volume)
        volume.write(path)


def report(answers):
    for (number, what, *_), (said, problems) in zip(ROWS, answers):
        print(f"{'not ok' if problems else 'ok'} {number} - row {number}, {what}: {said}")
        for problem in problems:
            print(f"#   {problem}")
    print(f"1..{len(ROWS)}")
    return 1 if any(problems for _, problems in answers) else 0


def judge_all(plat, directory):
    answers = []
    for number, _, options, _, _, wanted, severity, refused_by in ROWS:
        path, refused = place(directory, number), set(refused_by.split())
        problems = judge(plat, path, number, wanted, severity, refused)
        objects = strangers(path) if "4096" not in options else refused & TOOLS
        if objects != refused & TOOLS:
            problems.append(f"refused by {sorted(objects)}")
        answers.append((f"{severity} {wanted or 'at most'}, refused by {', '.join(sorted(refused)) or 'nobody'}", problems))
    return report(answers)


def build_all(plat, directory):
    recipe, disk = os.path.join(directory, "build.json"), os.path.join(directory, "build.img")
    answers = []
    for number, _, _, _, _, _, severity, _ in ROWS:
        image = os.path.basename(place(directory, number))
        with open(recipe, "w") as out:
            json.dump({"table": "gpt", "sector_bytes": 4096 if 42 <= number <= 44 else SECTOR,
                       "partitions": [{"name": "esp", "type": "esp", "content": image}]}, out)
        result = run(plat, "build", recipe, "-o", disk)
        made = os.path.exists(disk)
        good = severity == "note"
        problems = [] if result.returncode == (0 if good else 2) and made == good else [result.stderr]
        if not good and "at offset" not in result.stderr and "FAT1" not in result.stderr:
            problems.append(f"says not where: {result.stderr}")
        answers.append(("built" if made else "refused", problems))
        if made:
            os.remove(disk)
    return report(answers)


def compare_linux(directory, log):
    with open(log, errors="replace") as text:
        said = text.read()
    answers = []
    for index, (number, _, options, _, _, _, _, refused_by) in enumerate(ROWS):
        # mcopy cannot write to sectors of 4096 bytes: nothing to find there.
        found = re.search(rf"MOUNT {index}\b", said) is not None or "4096" in options
        problems = [] if re.search(rf"DISK {index}\b", said) else ["Linux has not seen the disk"]
        if found == ("linux" in refused_by):
            problems.append(f"Linux {'reads' if found else 'does not read'} the file")
        answers.append((f"Linux {'reads' if found else 'does not read'} the file", problems))
    return report(answers)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make_all(sys.argv[2])
    elif sys.argv[1] == "names":
        print("\n".join(place(sys.argv[2], number) for number, *_ in ROWS))
    elif sys.argv[1] == "linux":
        sys.exit(compare_linux(*sys.argv[2:4]))
    elif sys.argv[1] == "build":
        sys.exit(build_all(*sys.argv[2:4]))
    else:
        sys.exit(judge_all(*sys.argv[2:4]))
