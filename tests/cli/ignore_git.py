#!/usr/bin/env python3
"""Compares `plat mk --exclude-from` with `git check-ignore` over random trees and patterns.

  ignore_git.py PLAT SCRATCH SEED CASES

Prints each case that differs, and how many there were. Patterns that plat refuses, because they match nothing, are
left out of both; too many of those, or none, is a fault of this test."""
import os
import random
import shutil
import subprocess
import sys

NAMES = ["a", "b", "ab", "a.o", "b.o", "build", "x y", "#h", "!n", "a*", "[z]", "\\q", "k]", "-", "\u00e9"]
PIECES = ["a", "b", "ab", "*", "?", "*.o", "build", "**", "***", "[ab]", "[!a]", "[^]]", "[a-c]*", "[[:alpha:]]", "\\#h",
          "\\!n", "#h", "!n", "a\\*", "\\[z\\]", "[]-]", "[^a-b]", "a*b", "*a*", "k[]]", "x\\ y", "x y ", "[\\]k]", "[a-]",
          "*?", "[z", "a\\", "\\\\q", "[[:foo:]]", "[a-b-c]", "\u00e9"]


def pattern(rng):
    text = "/".join(rng.choice(PIECES) for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4])))
    return rng.choice(["", "", "", "!"]) + rng.choice(["", "", "", "/"]) + text + rng.choice(["", "", "/"])


def grow(rng, top):
    for _ in range(25):
        path = os.path.join(top, *(rng.choice(NAMES) for _ in range(rng.randint(1, 4))))
        try:
            os.makedirs(path if rng.random() < 0.3 else os.path.dirname(path), exist_ok=True)
            if not os.path.exists(path):
                with open(path, "x", encoding="utf-8"):
                    pass
        except OSError:
            pass  # below a file, or a directory already


def below(top):
    return [os.path.relpath(os.path.join(where, name), top) for where, dirs, files in os.walk(top) for name in dirs + files]


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def accepted(plat, scratch, lines):
    """Those of the lines that plat takes for patterns."""
    good = []
    for line in lines:
        with open(f"{scratch}/patterns", "w", encoding="utf-8") as file:
            file.write(line + "\n")
        if run(plat, "mk", "tar", f"{scratch}/empty", "-o", f"{scratch}/o.tar", "--exclude-from", f"{scratch}/patterns").returncode == 0:
            good.append(line)
    return good


def main():
    plat, scratch, seed, cases = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(seed)
    differ = refused = given = left_out = 0
    os.makedirs(f"{scratch}/empty", exist_ok=True)
    for _ in range(cases):
        top = f"{scratch}/t"
        shutil.rmtree(top, ignore_errors=True)
        os.makedirs(top)
        grow(rng, top)
        lines = [pattern(rng) for _ in range(rng.randint(1, 5))]
        patterns = accepted(plat, scratch, lines)
        given += len(lines)
        refused += len(lines) - len(patterns)
        with open(f"{scratch}/patterns", "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in patterns))
        made = run(plat, "mk", "tar", top, "-o", f"{scratch}/o.tar", "--exclude-from", f"{scratch}/patterns")
        listed = run("tar", "tf", f"{scratch}/o.tar", "--quoting-style=literal")
        found = {name.rstrip("/") for name in listed.stdout.splitlines()}
        paths = below(top)
        run("git", "init", "-q", top)
        shutil.copy(f"{scratch}/patterns", f"{top}/.git/info/exclude")
        ignored = run("git", "-C", top, "check-ignore", "--no-index", "-z", "--stdin", input="".join(p + "\0" for p in paths))
        wanted = set(paths) - set(ignored.stdout.split("\0"))
        left_out += len(paths) - len(wanted)
        if made.returncode != 0 or found != wanted:
            differ += 1
            print(f"{patterns}: plat alone keeps {found - wanted}, git alone {wanted - found} {made.stderr}")
    print(f"seed {seed}: {cases} trees, {given} patterns, {refused} refused, {left_out} paths left out, {differ} trees differ")
    return 1 if differ or left_out == 0 or refused == 0 or refused > given / 2 else 0


sys.exit(main())
