#!/usr/bin/env python3
"""Sets every settable scalar of an image to another value, one by one, and asks the strangers.

usage: set_every.py PLAT IMAGE [--prefix PATH] [--limit N] [--check COMMAND]...

The fields are those of `plat dump --json --all`. After each `plat set -o` (run on the pristine image) either
  - it said 0: then `plat verify --data` finds no error, each COMMAND ("{}" stands for the image) exits 0, and
    `plat get` shows the value; or
  - it said 1 or 2 with a reason, and there is no new image.
Prints a summary line, and each field for which neither holds; exits 1 when there is one. Would catch: a checksum, copy
or count that does not follow, a fault that verification overlooks and a stranger sees, a refusal without a reason."""
import argparse, json, os, subprocess, sys

parser = argparse.ArgumentParser()
parser.add_argument("plat")
parser.add_argument("image")
parser.add_argument("--prefix", default="")
parser.add_argument("--limit", type=int, default=0)
parser.add_argument("--check", action="append", default=[])
args = parser.parse_args()


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, errors="replace")


def other(value):
    """Values that differ from this one: a neighbour, and something plain."""
    if isinstance(value, dict):
        value = value["value"]
    if isinstance(value, int):
        return [str(value ^ 1), "0" if value not in (0, 1) else "2"]
    if isinstance(value, str) and len(value) == 36 and value.count("-") == 4:
        return [("0" if value[0] != "0" else "1") + value[1:]]
    if isinstance(value, str):
        if value and all(c in "0123456789abcdef" for c in value) and len(value) % 2 == 0:
            return [("00" if value[:2] != "00" else "01") + value[2:]]
        if value.lstrip("-").isdigit():
            return [str(int(value) ^ 1)]
        return [("X" if value[:1] != "X" else "Y") + value[1:]] if value else ["X"]
    return []


def scalars(path, fields):
    for name, value in fields.items():
        if isinstance(value, dict) and "value" not in value:
            yield from scalars(f"{path}.{name}", value)
        elif isinstance(value, list):
            for i, element in enumerate(value):
                if isinstance(element, dict) and "value" not in element:
                    yield from scalars(f"{path}.{name}[{i}]", element)
                else:
                    yield f"{path}.{name}[{i}]", element
        else:
            yield f"{path}.{name}", value


document = json.loads(run(args.plat, "dump", "--json", args.image).stdout)
fields = [f for s in document["structures"]
          if s["path"].startswith(args.prefix) and "run" not in s and "stream" not in s
          for f in scalars(s["path"], s["fields"])]
if args.limit and len(fields) > args.limit:  # spread over all structures
    step = len(fields) / args.limit
    fields = [fields[int(i * step)] for i in range(args.limit)]
out = args.image + ".set"
accepted = refused = faults = 0
for path, value in fields:
    for new in other(value):
        if os.path.exists(out):
            os.unlink(out)
        result = run(args.plat, "set", "-q", args.image, f"{path}={new}", "-o", out)
        wrong = None
        if result.returncode == 0:
            accepted += 1
            if not os.path.exists(out):
                wrong = "said 0 and wrote nothing"
            for command in [f"{args.plat} verify --data {{}}", *args.check]:
                checked = run("sh", "-c", command.replace("{}", out))
                if checked.returncode != 0:
                    wrong = f"{command}: {checked.stdout[-600:]}{checked.stderr[-300:]}"
        elif result.returncode in (1, 2):
            refused += 1
            if os.path.exists(out):
                wrong = "refused, and wrote all the same"
            elif len(result.stderr) < 30:
                wrong = f"refused without a reason: {result.stderr}"
        else:
            wrong = f"exit {result.returncode}: {result.stderr[-600:]}"
        if wrong:
            faults += 1
            print(f"{path} = {value!r} -> {new}: {wrong}")
if os.path.exists(out):
    os.unlink(out)
print(f"{len(fields)} fields: {accepted} accepted, {refused} refused, {faults} wrong")
sys.exit(1 if faults or not accepted or not refused else 0)
