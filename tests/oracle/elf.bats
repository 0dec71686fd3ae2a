#!/usr/bin/env bats
# ELF by its layout alone, beside readelf.

bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    command -v readelf >/dev/null || skip "binutils is not installed"
    cd "$BATS_TEST_TMPDIR"
    export LC_ALL=C
}

fields() {
    run -0 python3 "$root/tests/oracle/elf_fields.py" "$PLAT" "$@"
    echo "$output"
}

@test "every program in /usr/bin: all header fields, sections with names, segments as readelf has them" {
    find /usr/bin -type f -size +0 -size -64M -exec sh -c 'for f; do [ "$(head -c 4 "$f" | od -An -tx1 | tr -d " ")" = 7f454c46 ] && echo "$f"; done' _ {} + | sort >list
    [ "$(wc -l <list)" -ge 20 ]
    fields $(cat list)
}

@test "32 and 64 bits, both byte orders; a shared library" {
    for form in elf32-big elf64-big elf32-little elf64-little elf32-i386; do
        objcopy -I binary -O $form /etc/passwd o.$form
        run -0 "$PLAT" verify o.$form
    done
    fields o.* "$(find /usr/lib /lib -name 'libc.so.6' | head -n 1)"
}

@test "more sections than the header can count" {
    python3 -c 'print(".text"); [print(f".section s{i},\"a\"\n.byte {i % 250}") for i in range(66000)]' >many.s
    as many.s -o many.o
    fields many.o
    run -0 "$PLAT" get many.o first_section.size
    [[ $output == 0x*0101d* ]] || [[ $output == 0x*101d6* ]]
}

@test "verify: a segment that leaves the file, a wrong entry size, names in no table of texts" {
    cp /bin/true good
    run -0 "$PLAT" verify good
    head -c 20000 good >cut
    run -1 "$PLAT" verify cut
    [[ $output == *elf-segment* || $output == *"but the file has 20000"* ]]
    cp good bad
    printf '\71' | dd of=bad bs=1 seek=54 conv=notrunc status=none # phentsize 57
    run -1 "$PLAT" verify bad
    [[ $output == *"where 56 are right"* ]]
    cp good bad
    printf '\1' | dd of=bad bs=1 seek=62 conv=notrunc status=none # shstrndx 1
    run -1 "$PLAT" verify bad
    [[ $output == *"no table of texts"* ]]
}
