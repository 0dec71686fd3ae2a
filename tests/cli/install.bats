#!/usr/bin/env bats
# make install into a staging directory, and programs built against what it installed. Catches: a header that needs one
# that is not installed, a symbol missing from libplat.so, a wrong pkg-config file, manual pages that mandoc refuses.

setup_file() {
    export PLAT="${PLAT:-$PWD/build/plat}" B="${B:-$PWD/build}"
    export STAGE="$BATS_FILE_TMPDIR/stage"
    make -s install B="$B" DESTDIR="$STAGE" PREFIX=/usr >"$BATS_FILE_TMPDIR/install.log" 2>&1 || {
        cat "$BATS_FILE_TMPDIR/install.log" >&2
        return 1
    }
    export PKG_CONFIG_PATH="$STAGE/usr/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$STAGE"
    cat > "$BATS_FILE_TMPDIR/reader.c" <<'C'
#include <plat.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct plat_err err;
    struct plat_dev *dev;
    struct stack *stack;
    struct stack_options options = {0};
    if (argc != 2 || dev_open_file(argv[1], false, &dev, &err) != 0 || stack_open(dev, &options, &stack, &err) != 0) {
        fprintf(stderr, "%s\n", argc == 2 ? err.text : "reader IMAGE");
        return 2;
    }
    for (size_t i = 0; i < stack->n_layers; i++)
        printf("%s %s\n", stack->layers[i].prefix, stack->layers[i].driver->name);
    struct verify_totals totals = {0};
    struct finding_sink nobody = {0};
    int rc = stack_verify(stack, &nobody, &totals, &err);
    printf("errors %llu\n", (unsigned long long)totals.errors);
    stack_close(stack);
    dev_close(dev);
    return rc;
}
C
    "$PLAT" build examples/esp/recipe.json -o "$BATS_FILE_TMPDIR/esp.img"
}

# The libraries of a sanitizer or coverage build need its flags.
build_flags() {
    if nm -u "$B/libplat.a" 2>/dev/null | grep -q __asan_; then echo "-fsanitize=address,undefined"; fi
    if nm "$B/libplat.a" 2>/dev/null | grep -q gcov; then echo "--coverage"; fi
}

@test "everything is where it belongs" {
    for f in bin/plat lib/libplat.a lib/libplat.so lib/libplat.so.0 include/plat.h lib/pkgconfig/libplat.pc \
        share/man/man1/plat.1 share/man/man1/plat-verify.1 share/man/man5/plat-recipe.5 share/man/man5/plat-layout.5 share/man/man7/plat-describe.7 \
        share/man/man5/plat-gpt.5 share/man/man5/plat-fat32.5 share/plat/schemas/layout.schema.json \
        share/bash-completion/completions/plat share/zsh/site-functions/_plat share/fish/vendor_completions.d/plat.fish; do
        [ -s "$STAGE/usr/$f" ] || { echo "missing: $f"; return 1; }
    done
    "$STAGE/usr/bin/plat" --version
}

@test "a program against the static library" {
    # shellcheck disable=SC2046
    gcc -Wall -Wextra -Werror $(build_flags) $(pkg-config --cflags libplat) "$BATS_FILE_TMPDIR/reader.c" -o "$BATS_TEST_TMPDIR/reader" \
        "$STAGE/usr/lib/libplat.a" $(PKG_CONFIG_SYSROOT_DIR='' pkg-config --libs libarchive jansson nettle libxxhash zlib liblzma libdeflate libzstd liblz4 lzo2) -lunistring -pthread
    run "$BATS_TEST_TMPDIR/reader" "$BATS_FILE_TMPDIR/esp.img"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "mbr mbr" ]
    [ "${lines[1]}" = "gpt gpt" ]
    [ "${lines[2]}" = "esp fat32" ]
    [ "${lines[3]}" = "errors 0" ]
}

@test "a program against the shared library" {
    # shellcheck disable=SC2046
    gcc $(build_flags) $(pkg-config --cflags libplat) "$BATS_FILE_TMPDIR/reader.c" -o "$BATS_TEST_TMPDIR/reader" \
        -L"$STAGE/usr/lib" -lplat
    LD_LIBRARY_PATH="$STAGE/usr/lib" run "$BATS_TEST_TMPDIR/reader" "$BATS_FILE_TMPDIR/esp.img"
    [ "$status" -eq 0 ]
    [ "${lines[2]}" = "esp fat32" ]
}

@test "the shared library shows its interface and nothing else" {
    run nm -D --defined-only "$STAGE/usr/lib/libplat.so"
    [[ "$output" == *" stack_open"* ]]
    [[ "$output" != *" gpt_header_init"* ]]
}

@test "each header of libplat compiles alone" {
    for header in plat.h $(cd "$STAGE/usr/include/plat" && find lib -name '*.h'); do
        echo "#include <$header>" | gcc -std=c17 -Wall -Wextra -Werror -fsyntax-only -I"$STAGE/usr/include" -I"$STAGE/usr/include/plat" -x c -
    done
}

@test "manual pages: mandoc finds no errors" {
    command -v mandoc >/dev/null || skip "mandoc is not installed"
    for page in "$STAGE"/usr/share/man/man[15]/*; do
        run mandoc -T lint -W warning "$page"
        [ "$status" -eq 0 ] || { echo "$page: $output"; return 1; }
    done
}

@test "every command has a manual page and a completion" {
    for command in build mk verify repair dump hex map get diff golden ls cat extract put rm mkdir mv grow store boot formats schema; do
        [ -s "man/plat-$command.1" ] || { echo "no page for $command"; return 1; }
        grep -q "$command" "$STAGE/usr/share/bash-completion/completions/plat"
    done
}
