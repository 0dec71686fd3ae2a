#!/usr/bin/env python3
"""schema_check.py JSON_SCHEMA FILE...: "FILE ok", or "FILE bad PATH: MESSAGE", for each; exit 1 when one is bad.

JSON as plat reads it: a duplicate key, a NUL in a text of the layout and a number with a fraction are faults."""
import json
import sys

import jsonschema


def unique(pairs):
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f'duplicate key "{key}"')
    return dict(pairs)


with open(sys.argv[1], encoding="utf-8") as f:
    schema = json.load(f)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
code = 0
for path in sys.argv[2:]:
    try:
        with open(path, encoding="utf-8") as f:
            errors = list(validator.iter_errors(json.load(f, object_pairs_hook=unique)))
        why = ["/".join(map(str, e.absolute_path)) + ": " + e.message[:200] for e in errors]
    except ValueError as fault:
        why = [f": not JSON: {fault}"]
    code |= len(why) > 0
    print(path, "bad " + why[0] if why else "ok")
sys.exit(code)
