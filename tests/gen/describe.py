#!/usr/bin/env python3
"""describe.py PAGE DIR: follows a tutorial. Blocks behind `.\\" file: NAME` are written, commands in blocks behind `.\\" run`
are run in DIR by one shell after the other, and what they print must be what the page shows, to the last character."""
import os
import re
import subprocess
import sys

page, where = sys.argv[1], sys.argv[2]
text = open(page, encoding="utf-8").read()
files = commands = 0
for head, body in re.findall(r'^\.\\" (file: \S+|run)\n\.Bd [^\n]*\n(.*?)^\.Ed$', text, re.M | re.S):
    body = re.sub(r"^\\&", "", body, flags=re.M).replace("\\e", "\\")
    if head != "run":
        with open(os.path.join(where, head.split()[1]), "w", encoding="utf-8") as f:
            f.write(body)
        files += 1
        continue
    for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        done = subprocess.run(["sh", "-c", command], cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        commands += 1
        if done.stdout.rstrip("\n") != shown.rstrip("\n"):
            sys.exit(f"$ {command}\nprints:\n{done.stdout}\nthe page shows:\n{shown}")
if files < 3 or commands < 8 or text.count(".Bd ") != text.count('.\\" run\n') + files:
    sys.exit(f"{page}: {files} files and {commands} commands are not all of it")
print(f"{files} files, {commands} commands")
