#!/usr/bin/env python3
"""Checks that schemas/recipe.schema.json and the recipe loader accept the same documents.

  recipe_schema.py accept SCHEMA RECIPE...         every recipe validates
  recipe_schema.py refuse SCHEMA EXPECTED          the files that EXPECTED classes as `schema` do not validate, and
                                                   those it classes as `meaning` do (their fault is no structural one)
  recipe_schema.py keys SCHEMA PLAT                the keys that plat lists for each object are the schema's
"""
import json
import os
import subprocess
import sys
import tempfile

import jsonschema


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def accept(validator, recipes):
    bad = 0
    for recipe in recipes:
        for error in validator.iter_errors(load(recipe)):
            print(f"{recipe}: {list(error.absolute_path)}: {error.message}")
            bad += 1
    return bad


def refuse(validator, expected):
    bad = 0
    folder = os.path.dirname(expected)
    with open(expected, encoding="utf-8") as lines:
        cases = [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]
    for name, kind, _ in cases:
        if kind == "syntax":
            continue
        errors = list(validator.iter_errors(load(os.path.join(folder, name))))
        if kind == "schema" and not errors:
            print(f"{name}: the schema accepts it")
            bad += 1
        if kind == "meaning" and errors:
            print(f"{name}: the schema refuses it: {errors[0].message}")
            bad += 1
    return bad


FILE = {"to": "a", "text": "x"}
PARTITION = {"type": "esp", "format": "fat32"}


def probes():
    """For each kind of object a recipe that holds one with an unknown key."""
    yield "", {"table": "gpt", "partitions": [PARTITION], "unknown?": 1}
    yield "partition", {"table": "gpt", "partitions": [{**PARTITION, "unknown?": 1}]}
    yield "file", {"table": "gpt", "partitions": [{**PARTITION, "files": [{**FILE, "unknown?": 1}]}]}
    pack = {"format": "cpio", "files": [FILE], "unknown?": 1}
    yield "pack", {"table": "gpt", "partitions": [{**PARTITION, "files": [{"to": "a", "pack": pack}]}]}
    override = {"match": "a", "mode": "0644", "unknown?": 1}
    yield "override", {"table": "gpt", "partitions": [{**PARTITION, "overrides": [override]}]}
    yield "raw", {"table": "gpt", "partitions": [PARTITION], "raw": [{"offset": 1, "hex": "00", "unknown?": 1}]}


def keys(schema, plat):
    bad = 0
    for name, recipe in probes():
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(recipe, file)
            file.flush()
            run = subprocess.run([plat, "build", file.name, "--explain"], capture_output=True, text=True, check=False)
        listed = run.stderr.strip().rpartition("known keys: ")[2].split(", ")
        described = schema["properties"] if name == "" else schema["definitions"][name]["properties"]
        if sorted(listed) != sorted(described):
            print(f"{name or 'recipe'}: plat knows {sorted(listed)}, the schema {sorted(described)}")
            bad += 1
    return bad


def main():
    what, schema_path, *rest = sys.argv[1:]
    schema = load(schema_path)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    if what == "accept":
        bad = accept(validator, rest)
    elif what == "refuse":
        bad = refuse(validator, rest[0])
    else:
        bad = keys(schema, rest[0])
    return 1 if bad else 0


sys.exit(main())
