#!/usr/bin/env python3
"""elf_fields.py PLAT FILE...: header, program headers and section headers as `plat dump --json` has them, against readelf.

Says each difference; exit 1 when there is one, or when nothing was compared."""
import json
import re
import subprocess
import sys

plat, files = sys.argv[1], sys.argv[2:]
faults = compared = n_files = 0


def number(value):
    return value["value"] if isinstance(value, dict) else int(value)


def same(file, what, ours, theirs):
    global faults, compared
    compared += 1
    if ours != theirs:
        faults += 1
        if faults < 20:
            print(f"{file}: {what}: plat has {ours!r}, readelf {theirs!r}")


HEADER = [("Entry point address", "entry"), ("Start of program headers", "phoff"), ("Start of section headers", "shoff"),
          ("Flags", "flags"), ("Size of this header", "ehsize"), ("Size of program headers", "phentsize"),
          ("Number of program headers", "phnum"), ("Size of section headers", "shentsize"),
          ("Number of section headers", "shnum"), ("Section header string table index", "shstrndx")]
SECTION = re.compile(r"^  \[ *(\d+)\] (.*?) +(\S+) +([0-9a-f]{8,16}) ([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+) ([A-Za-z ]*?) +(\d+) +(\d+) +(\d+)$")
SEGMENT = re.compile(r"^  ([A-Z]\S*) +0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) ([R ][W ][E ]) (0x)?([0-9a-f]+)$")
FLAGS = {"W": "write", "A": "alloc", "X": "execinstr", "M": "merge", "S": "strings", "I": "info_link", "L": "link_order",
         "G": "group", "T": "tls", "C": "compressed", "E": "exclude", "R": "gnu_retain"}

for file in files:
    dump = subprocess.run([plat, "dump", "--json", file], capture_output=True, check=False)
    if dump.returncode != 0:
        print(f"{file}: plat dump: exit {dump.returncode}: {dump.stderr.decode()[:200]}")
        faults += 1
        continue
    found = json.loads(dump.stdout)
    fields = {s["path"]: s["fields"] for s in found["structures"]}
    text = subprocess.run(["readelf", "-hlSW", file], capture_output=True, text=True, check=False,
                          errors="replace", env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout
    n_files += 1
    same(file, "format", found["layers"][0]["format"], "elf")
    header = fields["header"]
    for label, name in HEADER:
        line = re.search(rf"^  {re.escape(label)}: +(\S+)(?: \((\d+)\))?", text, re.M)
        same(file, name, number(header[name]), int(line[1], 0))
    same(file, "class", header["ident"]["class"].upper(), re.search(r"Class: +(\S+)", text)[1])
    same(file, "data", header["ident"]["data"], "msb" if "big endian" in text else "lsb")
    same(file, "type", header["type"].upper(), re.search(r"^  Type: +(\S+)", text, re.M)[1])
    sections = [m for m in map(SECTION.match, text.splitlines()) if m]
    segments = [m for m in map(SEGMENT.match, text.splitlines()) if m]
    same(file, "sections", len([p for p in fields if p.startswith("sections[")]), len(sections))
    same(file, "segments", len([p for p in fields if p.startswith("segments[")]), len(segments))
    for m in sections:
        ours = fields[f"sections[{m[1]}]"]
        name = ours["name"].get("text", "")
        same(file, f"name of section {m[1]}", name, m[2].strip())
        theirs = {"addr": m[4], "offset": m[5], "size": m[6], "entsize": m[7]}
        for key, value in theirs.items():
            same(file, f"sections[{m[1]}].{key}", number(ours[key]), int(value, 16))
        for key, value in {"link": m[9], "info": m[10], "addralign": m[11]}.items():
            same(file, f"sections[{m[1]}].{key}", number(ours[key]), int(value))
        kind = m[3].lower().replace("verneed", "gnu_verneed").replace("verdef", "gnu_verdef").replace("versym", "gnu_versym")
        if isinstance(ours["type"], str):
            same(file, f"sections[{m[1]}].type", ours["type"], kind)
        # "o" is all that it says of an extension of GNU in a file that does not call itself GNU's
        known = set(FLAGS.values()) - ({"gnu_retain"} if "o" in m[8] else set())
        same(file, f"sections[{m[1]}].flags", set(ours["flags"].get("set", {})) & known, {FLAGS.get(c) for c in m[8].strip()} - {None})
    for i, m in enumerate(segments):
        ours = fields[f"segments[{i}]"]
        for key, value in zip(("offset", "vaddr", "paddr", "filesz", "memsz"), m.groups()[1:6]):
            same(file, f"segments[{i}].{key}", number(ours[key]), int(value, 16))
        same(file, f"segments[{i}].align", number(ours["align"]), int(m[9], 16 if m[8] else 10))
        flags = {n for n, c in (("read", "R"), ("write", "W"), ("execute", "E")) if c in m[7]}
        same(file, f"segments[{i}].flags", set(ours["flags"].get("set", {})), flags)
        if isinstance(ours["type"], str):
            same(file, f"segments[{i}].type", ours["type"].upper(), m[1])
print(f"{n_files} files, {compared} values compared, {faults} differ")
sys.exit(faults > 0 or compared == 0)
