#!/usr/bin/env bats
# man/plat-layout.5: its example runs and prints what the page shows; nothing of the language is missing from it.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    page=$root/man/plat-layout.5
    cd "$BATS_TEST_TMPDIR"
}

# The literal text between `.\" example: NAME` and `.\" end of example`.
example() {
    sed -n "/^\.\\\\\" example: $1\$/,/^\.\\\\\" end of example\$/p" "$page" | sed '/^\./d; s/\\e/\\/g'
}

@test "the example: loads, finds the fault, and prints what the page says" {
    example tide.json >tide.json
    example log >make-log
    sh make-log
    sed 's/\\e/\\/g' "$page" | tr -s ' \n' '  ' >words
    for command in "schema check tide.json" "dump --schema tide.json log" "get --schema tide.json log records[1].level" \
        "verify --schema tide.json log"; do
        code=0
        "$PLAT" $command >shown || code=$?
        case $command in
        verify*) [ "$code" -eq 1 ] ;;
        *) [ "$code" -eq 0 ] ;;
        esac
        [ -s shown ]
        want=$(tr -s ' \n' '  ' <shown)
        grep -qF -- "$want" words || { echo "the page does not show: $want"; return 1; }
    done
    # the checksum that verify expects makes the log a good one
    sum=$("$PLAT" verify --schema tide.json log | sed -n 's/.*expected 0x\(..\)\(..\)\(..\)\(..\),.*/\\x\4\\x\3\\x\2\\x\1/p')
    printf "$sum" | dd of=log bs=1 seek=16 conv=notrunc status=none
    "$PLAT" verify --schema tide.json log
    "$PLAT" schema doc tide.json >/dev/null
    "$PLAT" schema export --to c tide.json >/dev/null
}

@test "every key, function, limit and finding of the loader is described" {
    python3 - "$root" "$page" <<'EOF'
import glob, re, sys
root, page = sys.argv[1], open(sys.argv[2]).read()
words = set(re.findall(r"[$\w]+", page.replace("\\-", "-")))
source = "".join(open(f).read() for f in glob.glob(root + "/lib/layout/load*.c"))
keys = set()
for call in re.findall(r"load_keys\(([^;]*?)\)", source, re.S):
    keys |= {k for text in re.findall(r'"([^"]*)"', call) for k in text.split()}
assert len(keys) > 35, keys
for array in re.findall(r"static const char \*const \w+\[\] = \{([^}]*)\}", source):
    keys |= set(re.findall(r'"(\w+)"', array))
functions = re.findall(r'^    \{"(\w+)", \d', open(root + "/lib/layout/expr.c").read(), re.M)
assert len(functions) > 20
missing = (keys | set(functions)) - words
assert not missing, missing
for text, name, value in re.findall(r"((?:LAYOUT|EXPR)_MAX_(\w+)) = ([\d< ]+)", "".join(open(root + f).read() for f in ("/lib/layout/layout.h", "/lib/layout/expr.h"))):
    assert str(eval(value)) in words, text
for finding in set(re.findall(r'\bid = "(\w+)"', open(root + "/lib/layout/check.c").read())):
    assert finding in words, finding
EOF
}

@test "mandoc finds nothing but matters of style" {
    command -v mandoc >/dev/null || skip "mandoc is not installed"
    mandoc -T lint -W warning "$page"
}

@test "a layout's drawing stands in its page and in its Markdown as it is" {
    "$PLAT" schema doc caposro1 --to man | man -l - 2>/dev/null | grep -Fq 'block 0       +-----'
    "$PLAT" schema doc caposro1 --to markdown | grep -Fq '    strings_block +-----'
}
