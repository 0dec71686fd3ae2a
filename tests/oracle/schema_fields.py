#!/usr/bin/env python3
"""schema_fields.py PLAT FORMAT FILE...: what `plat dump --json` has of a format that is known by its layout alone, against
what that format's own tool prints: dumpe2fs, dump.erofs, qemu-img, isoinfo, GNU cpio, objdump.

Says each difference; exit 1 when there is one, or when less than 10 values of a file were compared."""
import json
import re
import subprocess
import sys

plat, form, files = sys.argv[1], sys.argv[2], sys.argv[3:]
faults = compared = 0
file = ""


def tool(*args, **more):
    return subprocess.run(args, capture_output=True, text=True, check=False, errors="replace",
                          env={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}, **more).stdout


def same(what, ours, theirs):
    global faults, compared
    compared += 1
    if ours != theirs:
        faults += 1
        print(f"{file}: {what}: plat has {ours!r}, the other {theirs!r}")


def flags(value):
    return set(value["set"])


def ext4(s):
    text = tool("dumpe2fs", file)
    sb = s["superblock"]
    wide = "bit64" in flags(sb["feature_incompat"])
    high = lambda d, name: d[name + "_lo"] + (d.get(name + "_hi", 0) << (32 if name.endswith(("bitmap", "table", "blocks_count")) and "free" not in name else 16) if wide else 0)
    get = lambda label: re.search(rf"^{label}: +(.*?)$", text, re.M)[1]
    for label, name in [("Inode count", "inodes_count"), ("Free inodes", "free_inodes_count"), ("First block", "first_data_block"),
                        ("Blocks per group", "blocks_per_group"), ("Inodes per group", "inodes_per_group"), ("Inode size", "inode_size"),
                        ("First inode", "first_ino"), ("Mount count", "mnt_count"), ("Maximum mount count", "max_mnt_count")]:
        found = re.search(rf"^{label}:\s+(\S+)", text, re.M)
        same(name, sb[name], int(found[1]))
    same("blocks", sb["blocks_count_lo"] + (sb["blocks_count_hi"] << 32 if wide else 0), int(get("Block count")))
    same("reserved", sb["r_blocks_count_lo"], int(get("Reserved block count")))
    same("free", sb["free_blocks_count_lo"], int(get("Free blocks")))
    same("block size", 1024 << sb["log_block_size"], int(get("Block size")))
    same("uuid", sb["uuid"], get("Filesystem UUID"))
    same("label", sb["volume_name"] or "<none>", get("Filesystem volume name"))
    same("state", "clean" in flags(sb["state"]), get("Filesystem state").strip() == "clean")
    names = {"64bit": "bit64", "FEATURE_C12": "orphan_file"}
    theirs = {names.get(f, f) for f in get("Filesystem features").split()}
    same("features", set().union(*(flags(sb[f"feature_{k}"]) for k in ("compat", "incompat", "ro_compat"))), theirs)
    seed = "".join(int(x).to_bytes(4, "little").hex() for x in sb["hash_seed"])
    same("hash seed", seed, get("Directory Hash Seed").replace("-", ""))
    groups = re.split(r"^Group (\d+): ", text, flags=re.M)
    if "meta_bg" not in theirs:
        same("groups", len([p for p in s if p.startswith("descriptors[")]), len(groups) // 2)
    for number, body in zip(groups[1::2], groups[2::2]):
        if f"descriptors[{number}]" not in s:
            continue
        d = s[f"descriptors[{number}]"]
        for label, name in [("Block bitmap", "block_bitmap"), ("Inode bitmap", "inode_bitmap"), ("Inode table", "inode_table")]:
            same(f"group {number} {name}", high(d, name), int(re.search(rf"{label} at (\d+)", body)[1]))
        found = re.search(r"(\d+) free (?:blocks|clusters), (\d+) free inodes, (\d+) directories", body)
        if found:
            same(f"group {number} free", [high(d, n) for n in ("free_blocks_count", "free_inodes_count", "used_dirs_count")], [int(x) for x in found.groups()])
        csum = re.search(r"^\(.*?\) csum 0x([0-9a-f]+)", body)
        if csum:
            same(f"group {number} checksum", d["checksum"], int(csum[1], 16))
    block = 1024 << sb["log_block_size"]
    backups = {int(x) for x in re.findall(r"Backup superblock at (\d+)", text)}
    same("backups", {places[p] // block for p in s if p.startswith("backup")}, backups)


def erofs(s):
    text = tool("dump.erofs", file)
    sb = s["superblock"]
    get = lambda label: re.search(rf"^{label}: +(.*?) *$", text, re.M)[1]
    same("magic", sb["magic"], int(get("Filesystem magic number"), 16))
    for label, name in [("Filesystem blocks", "blocks"), ("Filesystem inode metadata start block", "meta_blkaddr"), ("Filesystem root nid", "root_nid"),
                        ("Filesystem shared xattr metadata start block", "xattr_blkaddr"), ("Filesystem inode count", "inos")]:
        same(name, sb[name], int(get(label)))
    same("uuid", sb["uuid"], get("Filesystem UUID"))
    names = {"sb_csum": "sb_chksum", "0padding": "zero_padding"}
    theirs = {names.get(f, f) for f in get("Filesystem features").split()}
    same("features", flags(sb["feature_compat"]) | flags(sb["feature_incompat"]), theirs)
    text = tool("dump.erofs", "--path=/", file)
    found = re.search(r"Size: (\d+) +On-disk size: +\d+ +(\w+)", text)
    same("root size", s["root"]["size"], int(found[1]))
    same("root kind", (s["root"]["mode"] & 0xf000 == 0x4000), found[2] == "directory")
    found = re.search(r"Uid: (\d+) +Gid: (\d+) +Access: (\d+)/", text)
    same("root owner", [s["root"]["uid"], s["root"]["gid"], s["root"]["mode"] & 0o7777], [int(found[1]), int(found[2]), int(found[3], 8)])
    found = re.search(r"Links: (\d+)", text)
    same("root links", s["root"]["nlink"], int(found[1]))


def qcow2(s):
    info = json.loads(tool("qemu-img", "info", "--output=json", file))
    h = s["header"]
    more = info["format-specific"]["data"]
    same("size", h["size"], info["virtual-size"])
    same("cluster", 1 << h["cluster_bits"], info["cluster-size"])
    same("version", h["version"], 2 if more["compat"] == "0.10" else 3)
    same("refcount bits", 1 << h.get("refcount_order", 4), more["refcount-bits"])
    same("backing", h["backing_file_offset"].get("text", "") if h["backing_file_offset"]["value"] else None, info.get("backing-filename"))
    formats = [x["data"] for p, x in s.items() if p.startswith("extensions[") and x["type"] == "backing_format"]
    same("backing format", formats, [info["backing-filename-format"]] if "backing-filename-format" in info else [])
    if h["version"] == 3:
        same("compression", s["more"]["compression_type"], more["compression-type"])
        same("corrupt", "corrupt" in flags(h["incompatible_features"]), more["corrupt"])
        same("lazy", "lazy_refcounts" in flags(h["compatible_features"]), more["lazy-refcounts"])
    ours = [(x["id"], x["name"], x["date_sec"], x["date_nsec"], x["vm_state_size"]) for p, x in s.items() if p.startswith("snapshots[")]
    same("snapshots", ours, [(x["id"], x["name"], x["date-sec"], x["date-nsec"], x["vm-state-size"]) for x in info.get("snapshots", [])])
    same("L1 entries", len([p for p in s if p.startswith("l1[")]), h["l1_size"])
    mapped = json.loads(tool("qemu-img", "map", "--output=json", file))
    here = any(m["data"] and m["depth"] == 0 and m["length"] for m in mapped)
    same("data", any(x["l2"]["fields"]["offset"] for p, x in s.items() if p.startswith("l1[")), here)


def iso9660(s):
    text = tool("isoinfo", "-d", "-i", file)
    p = s["descriptors[0]"]
    get = lambda label: re.search(rf"^{label}:? ?(?:is: )?(.*?) *$", text, re.M)[1]
    for label, name in [("System id", "system_id"), ("Volume id", "volume_id"), ("Volume set id", "volume_set_id"), ("Publisher id", "publisher_id"),
                        ("Data preparer id", "data_preparer_id"), ("Application id", "application_id")]:
        same(name, p[name], get(label).lstrip(": "))
    for label, name in [("Volume set size", "volume_set_size"), ("Volume set sequence number", "volume_sequence_number"), ("Logical block size", "logical_block_size"), ("Volume size", "volume_space_size")]:
        same(name, p[name], int(re.search(rf"^{label} is: (\d+)", text, re.M)[1]))
    same("Joliet", any(k == "joliet" for k in cases.values()), "Joliet with UCS" in text)
    listing = tool("isoinfo", "-l", "-i", file)
    ours = {(x["name"].strip("\0\1") or ".", x["extent"], x["data_length"], "directory" in flags(x["flags"])) for q, x in s.items() if q.startswith("root[")}
    theirs = set()
    for m in re.finditer(r"^(d|-)\S+ +\d+ +\d+ +\d+ +(\d+) .*?\[ *(\d+) \d+\] +(\S+)", listing.split("\nDirectory listing of /", 1)[1].split("\nDirectory listing", 1)[0], re.M):
        theirs.add(("." if m[4] in (".", "..") else m[4], int(m[3]), int(m[2]), m[1] == "d"))
    same("root directory", ours, theirs)
    table = tool("isoinfo", "-p", "-i", file)
    for order in "lm":
        ours = [(x["parent_number"], x["extent"]) for q, x in s.items() if q.startswith(f"path_table_{order}[")]
        same(f"path table {order}", ours, [(int(a), int(b, 16)) for a, b in re.findall(r"^ *\d+: +(\d+) +([0-9a-f]+) ", table, re.M)])


def cpio(s):
    with open(file, "rb") as f:
        text = tool("cpio", "-itv", "--numeric-uid-gid", "--quiet", stdin=f)
    names = [x["name"] for p, x in s.items() if p != f"members[{len(s) - 1}]"]
    theirs = [line.split(None, 8) for line in text.splitlines()]
    same("members", len(names), len(theirs))
    for ours, line in zip(s.values(), theirs):
        kind = {"d": 0o040000, "-": 0o100000, "l": 0o120000, "p": 0o010000}[line[0][0]]
        same(f"{line[8]}: kind", ours["mode"] & 0o170000, kind)
        bits = sum(1 << (8 - i) for i, c in enumerate(line[0][1:10]) if c != "-")
        same(f"{line[8]}: mode", ours["mode"] & 0o777, bits)
        same(f"{line[8]}: name", ours["name"], line[8].split(" -> ")[0])
        same(f"{line[8]}: numbers", [ours["nlink"], ours["uid"], ours["gid"], ours["filesize"]], [int(x) for x in line[1:5]])


def pe(s):
    text = tool("objdump", "-p", file)
    o = s["optional"]
    labels = {"MajorLinkerVersion": "d", "SizeOfCode": "x", "SizeOfInitializedData": "x", "AddressOfEntryPoint": "x", "BaseOfCode": "x", "ImageBase": "x",
              "SectionAlignment": "x", "FileAlignment": "x", "MajorSubsystemVersion": "d", "SizeOfImage": "x", "SizeOfHeaders": "x",
              "SizeOfStackReserve": "x", "SizeOfHeapCommit": "x", "NumberOfRvaAndSizes": "x"}
    for label, base in labels.items():
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", label).lower().replace("number_of_rva_and_sizes", "number_of_rva_and_sizes")
        found = re.search(rf"^{label}\s+([0-9a-f]+)", text, re.M)
        same(name, int(o[name]), int(found[1], 16 if base == "x" else 10))
    same("checksum", o["checksum"], int(re.search(r"^CheckSum\s+(\S+)", text, re.M)[1], 16))
    same("magic", o["magic"], {"020b": "pe32_plus", "010b": "pe32"}[re.search(r"^Magic\s+(\S+)", text, re.M)[1]])
    for n, where, size in re.findall(r"^Entry ([0-9a-f]) ([0-9a-f]+) ([0-9a-f]+) ", text, re.M):
        d = s[f"directories[{int(n, 16)}]"]
        same(f"directory {n}", [d["virtual_address"]["value"], d["bytes"]], [int(where, 16), int(size, 16)])
    sections = re.findall(r"^ +\d+ (\S+) +([0-9a-f]+)  ([0-9a-f]+)  [0-9a-f]+  ([0-9a-f]+)", tool("objdump", "-h", file), re.M)
    ours = [x for p, x in s.items() if p.startswith("sections[")]
    same("sections", len(ours), len(sections))
    for x, (name, _, vma, place) in zip(ours, sections):
        same(f"section {name}", [x["name"] if x["name"][0] != "/" else name[:8], x["virtual_address"] + int(o["image_base"])], [name[:8], int(vma, 16)])
        if "cnt_uninitialized_data" not in flags(x["characteristics"]):
            same(f"section {name}", x["pointer_to_raw_data"], int(place, 16))


for file in files:
    before = compared
    dump = subprocess.run([plat, "dump", "--json", file], capture_output=True, check=False)
    if dump.returncode != 0:
        print(f"{file}: plat dump: exit {dump.returncode}: {dump.stderr.decode()[:200]}")
        faults += 1
        continue
    found = json.loads(dump.stdout)
    same("format", found["layers"][0]["format"], form)
    places = {x["path"]: x["offset"] for x in found["structures"]}
    cases = {x["path"]: x.get("case", "") for x in found["structures"]}
    {"ext4": ext4, "erofs": erofs, "qcow2": qcow2, "iso9660": iso9660, "cpio": cpio, "pe": pe}[form]({x["path"]: x["fields"] for x in found["structures"]})
    if compared - before < 10:
        print(f"{file}: only {compared - before} values compared")
        faults += 1
print(f"{len(files)} files, {compared} values compared, {faults} differ")
sys.exit(faults > 0)
