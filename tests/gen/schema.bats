#!/usr/bin/env bats
# schemas/layout.schema.json, which editors check layouts with, against the loader, which is the truth.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$root"
    python3 -c 'import jsonschema' 2>/dev/null || skip "python3-jsonschema is not installed"
}

check() {
    python3 tests/gen/schema_check.py schemas/layout.schema.json "$@"
}

layouts() {
    find schemas -name '*.json' ! -name '*.schema.json' | sort
    echo tests/gen/every.json
}

@test "accepts every layout of plat, and the one with every feature" {
    run check $(layouts)
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "every layout names the JSON Schema, for editors" {
    for f in $(layouts); do
        named=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["$schema"])' "$f")
        [ "$(realpath "$(dirname "$f")/$named")" = "$(realpath schemas/layout.schema.json)" ]
    done
}

@test "is strict: every object in it refuses unknown keys" {
    python3 - <<'EOF'
import json
def visit(x, where):
    if isinstance(x, dict):
        # "type" is split by "kind" into five definitions, each of them closed
        if "properties" in x and x.get("type") == "object" and not where.endswith("/definitions/type"):
            assert x.get("additionalProperties") is False, where
        for k, v in x.items():
            visit(v, where + "/" + k)
    elif isinstance(x, list):
        for i, v in enumerate(x):
            visit(v, f"{where}/{i}")
visit(json.load(open("schemas/layout.schema.json")), "")
EOF
}

@test "describes every key that a person may type" {
    python3 - <<'EOF'
import json
schema = json.load(open("schemas/layout.schema.json"))
def described(x):
    if "description" in x:
        return True
    for part in [x] + x.get("allOf", []):
        if "$ref" in part and described(schema["definitions"][part["$ref"].rsplit("/", 1)[1]]):
            return True
    return False
for owner, d in [("layout", schema)] + list(schema["definitions"].items()):
    for part in (d, d.get("then", {})):
        for key, value in part.get("properties", {}).items():
            if key not in ("kind", "values", "cases") and part.get("additionalProperties") is False:
                assert described(value), f"{owner}.{key}"
EOF
}

# Faults of form. What is wrong with the others (a size, an overlap, a name in an expression, ...) no JSON Schema tells.
structural="01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 27 28 29 32 33 34 35 36 39 41 42 43 44 45 60
61 62 64 65 66 70 72 76 81 84 85 86 89 102 103 105 106"

@test "rejects each bad layout whose fault is one of form" {
    for n in $structural; do
        files=(tests/bad/schema/"$n"-*.json)
        [ -e "${files[0]}" ] || { echo "no file $n"; return 1; }
        run check "${files[@]}"
        [ "$status" -eq 1 ] || { echo "$output"; return 1; }
    done
    [ "$(wc -w <<<"$structural")" -ge 35 ]
}

@test "accepts whatever the loader accepts: damaged layouts" {
    python3 tests/gen/schema_mutate.py 7 1200 "$BATS_TEST_TMPDIR" $(layouts)
    cd "$BATS_TEST_TMPDIR"
    "$PLAT" schema check ./*.json 2>refused | sed 's/:.*//' >accepted || true
    [ "$(wc -l <accepted)" -ge 100 ]
    [ "$(grep -c '^plat schema: ' refused)" -ge 400 ]
    xargs python3 "$root/tests/gen/schema_check.py" "$root/schemas/layout.schema.json" <accepted >verdicts || true
    [ "$(wc -l <verdicts)" -eq "$(wc -l <accepted)" ]
    # the loader does not look at "doc" of rules and of cases; that it is text is asked of editors only
    if grep -v ' ok$' verdicts | grep -v '/doc: '; then
        return 1
    fi
}
