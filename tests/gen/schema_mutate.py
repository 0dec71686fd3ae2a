#!/usr/bin/env python3
"""schema_mutate.py SEED COUNT DIR LAYOUT...: COUNT layouts, each a few edits away from one of LAYOUT, as DIR/NNNNN.json.

The same arguments give the same files."""
import copy
import json
import os
import random
import sys

seed, count, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
random_ = random.Random(seed)
EXTRA = [0, 1, -1, "", "0", "0x10", "hex:00", "hex:0", "self", True, False, None, [], {}, "error", "u8", "u64", "char[4]",
         "guid", "bits", 1.5, 2**53, 2**60, "a", "index"]


def parts(x):
    yield x
    for v in x.values() if isinstance(x, dict) else x if isinstance(x, list) else ():
        yield from parts(v)


layouts = []
for path in sys.argv[4:]:
    with open(path, encoding="utf-8") as f:
        layouts.append(json.load(f))
all_parts = [p for layout in layouts for p in parts(layout)]
all_keys = sorted({k for p in all_parts if isinstance(p, dict) for k in p})
values = [p for p in all_parts if len(json.dumps(p)) < 200] + EXTRA * 8


def edit(layout):
    holder = random_.choice([p for p in parts(layout) if isinstance(p, (dict, list)) and p])
    value = copy.deepcopy(random_.choice(values))
    what = random_.randrange(4)
    if isinstance(holder, list):
        i = random_.randrange(len(holder))
        if what == 0:
            del holder[i]
        elif what == 1:
            holder.insert(i, value)
        else:
            holder[i] = value
        return
    key = random_.choice(sorted(holder))
    if what == 0:
        del holder[key]
    elif what == 1:
        holder[key] = value
    elif what == 2:
        holder[random_.choice(all_keys)] = value
    else:
        holder[random_.choice(all_keys)] = holder.pop(key)


for n in range(count):
    layout = copy.deepcopy(random_.choice(layouts))
    for _ in range(random_.choice([1, 1, 1, 2])):
        edit(layout)
    with open(os.path.join(out, f"{n:05}.json"), "w", encoding="utf-8") as f:
        json.dump(layout, f)
