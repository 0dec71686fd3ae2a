"""The list in plat-mutate(1) of what verify rightly cannot see, against the manifests of plat mutate --list --verify.

usage: unseen.py PAGE --some|--all MANIFEST...
Fails when verify found nothing in a fault of a field that is not on the list; with --all also when a field is on the
list without need: verify found every fault in it."""
import collections
import json
import os
import re
import sys


def listed(page):
    with open(page, encoding="utf-8") as file:
        text = file.read().split(".SH WHAT VERIFY CANNOT SEE", 1)[1].split("\n.SH ", 1)[0]
    number = r"0x[0-9a-f]+"
    lines = re.findall(rf'^\.B "?([^\s"]+)(?: ({number})\.\.({number}))?"?$', text.replace("\\-", "-"), re.M)
    twice = [field for field, n in collections.Counter(line[0] for line in lines).items() if n > 1]
    assert lines and not twice, f"{page}: {twice or 'the list is empty'}"
    return {field: (int(low, 0), int(high, 0)) if low else None for field, low, high in lines}


def is_listed(known, fault):
    """Of some fields only a range of new values is."""
    span = known.get(fault["field"], ())
    return span is None or (len(span) == 2 and span[0] <= int(fault["new_value"].split()[0], 0) <= span[1])


def main():
    page, how, manifests = sys.argv[1], sys.argv[2], sys.argv[3:]
    known, unseen, faults = listed(page), set(), 0
    wrong = []
    for name in manifests:
        n = 0
        with open(name, encoding="utf-8") as file:
            for line in file:
                fault = json.loads(line)
                n += 1
                if fault["verify"] != "nothing":
                    continue
                unseen.add(fault["field"])
                if not is_listed(known, fault):
                    wrong.append(f"{os.path.basename(name)}: {line.strip()}")
        if n == 0:
            wrong.append(f"{name}: no faults at all")
        faults += n
    for line in wrong[:20]:
        print("verify finds nothing:", line)
    # Few faults hit a range of values: it may be missed.
    needless = sorted(f for f in known if known[f] is None and f not in unseen) if how == "--all" else []
    for field in needless:
        print("on the list, but verify found every fault in it:", field)
    print(f"{faults} faults, {len(wrong)} that verify should have found, {len(unseen)} fields that it cannot see")
    return 1 if wrong or needless else 0


sys.exit(main())
