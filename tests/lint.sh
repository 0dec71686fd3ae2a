#!/bin/bash
# make lint: what the style asks and a program can see. Ends with "lint: N faults"; exit 1 if there are any.
set -u
faults=0
fault() { echo "lint: $*"; faults=$((faults + 1)); }
sources=$(git ls-files '*.c' '*.h' 2>/dev/null | grep -v '^tests/gen/')

# 1. Includes flow down only. Rank of each room; formats may not see one another.
rank() {
    case $1 in
    lib/base/*) echo 0 ;; lib/hash/* | lib/codec/* | lib/par/*) echo 1 ;; lib/io/*) echo 1 ;; lib/layout/*) echo 2 ;; lib/tree/*) echo 2 ;;
    lib/fs/*) echo 3 ;; lib/plat.h) echo 4 ;; lib/cli/*) echo 1 ;; formats/*) echo 5 ;;
    mkimage/* | inspect/* | mount/* | boot/*) echo 6 ;; schemas/*) echo 3 ;; plat.c) echo 7 ;; *) echo 9 ;;
    esac
}
for f in $sources; do
    case $f in tests/* | examples/*) continue ;; esac
    mine=$(rank "$f")
    for inc in $(sed -n 's/^#include "\(.*\)".*/\1/p' "$f"); do
        case $inc in
        *.gen.h)
            case $f in
            formats/*) [ "$inc" = "$(echo "$f" | cut -d/ -f2).gen.h" ] || fault "$f includes $inc of another format" ;;
            lib/* | mkimage/* | inspect/*) fault "$f includes the generated $inc" ;;
            esac
            continue ;;
        esac
        theirs=$(rank "$inc")
        [ "$theirs" -le "$mine" ] || fault "$f includes $inc: includes flow down only"
        case $f in
        lib/*) case $inc in lib/cli/*) case $f in lib/cli/*) ;; *) fault "$f includes $inc" ;; esac ;; esac ;;
        formats/*)
            case $inc in
            formats/*) [ "$f" = formats/registry.c ] || [ "$(echo "$f" | cut -d/ -f2)" = "$(echo "$inc" | cut -d/ -f2)" ] ||
                fault "$f includes $inc: no format includes another" ;;
            esac ;;
        mkimage/* | inspect/* | boot/* | mount/*)
            case $inc in
            mkimage/* | inspect/* | boot/* | mount/*) [ "${f%%/*}" = "${inc%%/*}" ] || fault "$f includes $inc: commands stand side by side" ;;
            esac ;;
        esac
    done
done

# 2. Each header compiles alone.
flags="-std=c17 -D_GNU_SOURCE -I. -I$B/gen $(pkg-config --cflags libarchive jansson libpcre2-8 nettle 2>/dev/null)"
for h in $(git ls-files '*.h' | grep -v '^tests/gen/'); do
    # shellcheck disable=SC2086
    echo "#include \"$h\"" | gcc $flags -Wall -Wextra -fsyntax-only -x c - || fault "$h does not compile alone"
done

# ... and each fuzz target, which nothing else compiles before somebody fuzzes.
for f in tests/fuzz/fuzz_*.c; do
    # shellcheck disable=SC2086
    gcc $flags '-DPLAT_VERSION="0"' -Wall -Wextra -fsyntax-only "$f" || fault "$f does not compile"
done

# 3. Sizes.
for f in $sources; do
    n=$(wc -l < "$f")
    [ "$n" -le 600 ] || head -n 1 "$f" | grep -q 'Over 600 lines: ' || fault "$f has $n lines (600)"
done

# 4. No packed structs, no casts of buffers to structs, no literal disk offsets outside generated code.
for f in $(git ls-files 'lib/*.c' 'lib/*.h' 'formats/*.c' 'formats/*.h' 'mkimage/*.c' 'inspect/*.c' 'boot/*.c'); do
    grep -nE '__attribute__ *\(\(.*packed' "$f" | sed "s|^|$f:|" | grep . && fault "$f: packed struct"
done
for f in $(git ls-files 'formats/*.c' 'mkimage/*.c' 'inspect/*.c'); do
    grep -nE '\b(buf|data|raw|block|sector|bytes)[[:space:]]*\+[[:space:]]*(0x[0-9a-fA-F]+|[0-9]{2,})\b' "$f" | sed "s|^|$f:|" |
        grep . && fault "$f: literal disk offset"
done

# 5. set -e does not see a command that fails by "!": without "|| false" the line tests nothing unless it is the last one.
git grep -nE '^[[:space:]]*! ' -- 'tests/*.bats' | grep -v '|| false$' && fault "a line with ! that cannot fail"

# 6. Formatting and the two analysers.
# shellcheck disable=SC2086
clang-format --dry-run -Werror $sources 2>/tmp/plat-lint-format.$$ || { head -20 /tmp/plat-lint-format.$$; fault "clang-format"; }
rm -f /tmp/plat-lint-format.$$
c_files=$(git ls-files '*.c' | grep -v '^tests/gen/')
# shellcheck disable=SC2086
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
    --suppress=missingIncludeSystem --suppress=unknownMacro -j2 -I. -I"$B/gen" -D_GNU_SOURCE -DPLAT_VERSION='"0"' $c_files ||
    fault "cppcheck"
# shellcheck disable=SC2086
echo $c_files | tr ' ' '\n' | grep -v '^tests/' | xargs -P2 -I{} clang-tidy --quiet {} -- $flags '-DPLAT_VERSION="0"' 2>/dev/null |
    grep -E 'warning:|error:' && fault "clang-tidy"

echo "lint: $faults faults"
[ "$faults" -eq 0 ]
