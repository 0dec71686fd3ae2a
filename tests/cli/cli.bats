#!/usr/bin/env bats
# The front door: help, mistakes, colour, completion, output that cannot be written.

setup() {
    source "$BATS_TEST_DIRNAME/outputs.bash"
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    T=$BATS_TEST_TMPDIR
    cd "$T"
    unset NO_COLOR COLUMNS
    commands=$("$PLAT" completion bash | sed -n "s/^    local commands='\(.*\)'$/\1/p")
    [ -n "$commands" ]
}

@test "plat: lists the commands; alone it is a usage error" {
    run "$PLAT"
    [ "$status" -eq 2 ]
    run "$PLAT" help
    [ "$status" -eq 0 ]
    for command in $commands; do
        [[ $output == *$'\n'"  $command "* ]]
    done
    [ "$output" = "$("$PLAT" --help)" ]
    run "$PLAT" --version
    [[ $output =~ ^plat\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "every command: help by three names, with usage, options and no line too long" {
    for command in $commands; do
        run "$PLAT" help "$command"
        [ "$status" -eq 0 ]
        [[ $output == "plat $command - "*"  plat $command [OPTION]..."*"--color WHEN"* ]]
        [ "$output" = "$("$PLAT" "$command" --help)" ]
        [ "$output" = "$("$PLAT" "$command" -h)" ]
        [[ $output != *$'\033'* ]]
        # indented text stands as it was written; all else is wrapped
        long=$(COLUMNS=72 "$PLAT" "$command" --help | grep -v '^ ' | awk 'length > 72' | wc -l)
        [ "$long" -eq 0 ]
    done
}

@test "every command: an unknown option is named, with the way to the help" {
    for command in $commands; do
        run "$PLAT" "$command" --no-such-option
        [ "$status" -eq 2 ]
        [ "${lines[0]}" = "plat $command: unknown option --no-such-option" ]
        [ "${lines[1]}" = "Try \`plat $command --help\`." ]
    done
}

@test "an unknown command: the nearest one is offered" {
    run "$PLAT" verfy x
    [ "$status" -eq 2 ]
    [ "${lines[0]}" = 'plat: no command "verfy"; did you mean `plat verify`?' ]
    run "$PLAT" frobnicate
    [ "$status" -eq 2 ]
    [ "${lines[0]}" = 'plat: no command "frobnicate"' ]
}

@test "colour: on a terminal only, or when asked for" {
    [[ $("$PLAT" help verify) != *$'\033'* ]]
    [[ $("$PLAT" help verify --color=always) == *$'\033[1m'* ]]
    [[ $("$PLAT" --color=always help verify) == *$'\033[1m'* ]]
    run script -qec "'$PLAT' verify --help" /dev/null
    [[ $output == *$'\033[1m'* ]]
    run script -qec "NO_COLOR=1 '$PLAT' verify --help" /dev/null
    [[ $output != *$'\033'* ]]
    run script -qec "TERM=dumb '$PLAT' verify --help" /dev/null
    [[ $output != *$'\033'* ]]
    run script -qec "'$PLAT' --color=never verify --help" /dev/null
    [[ $output != *$'\033'* ]]
    run "$PLAT" verify --color=sometimes x
    [ "$status" -eq 2 ]
}

@test "a full disk under the output is an error" {
    [ -c /dev/full ] || skip "no /dev/full here"
    run bash -c "'$PLAT' help >/dev/full"
    [ "$status" -eq 2 ]
    [[ $output == "plat help: cannot write to standard output: No space left on device" ]]
}

@test "a closed pipe ends plat without a word" {
    run bash -c "'$PLAT' completion zsh | true; echo \${PIPESTATUS[0]}"
    [[ $output == 0 || $output == 141 ]]
    # where the parent ignores SIGPIPE, writing fails instead
    run bash -c "trap '' PIPE; { sleep 0.2; '$PLAT' completion zsh; echo \$? >&2; } | true"
    [ "$output" = 2 ]
}

# interrupt SIGNAL...: sends each while the output is being written, and looks at what is left.
interrupt() {
    local signal pid code caught=0
    mkdir src
    head -c 300M /dev/zero | tr '\0' x >src/big
    for signal in "$@"; do
        env --default-signal=INT "$PLAT" mk fat32 src -o out.img >/dev/null 2>&1 3>&- &
        pid=$!
        await_output $pid "$T"
        kill -$signal $pid 2>/dev/null || true
        code=0
        wait $pid || code=$?
        if [ "$code" -eq 0 ]; then # it was faster than the signal
            rm out.img
            continue
        fi
        [ "$code" -gt 128 ]
        [ "$(ls -A)" = src ]
        caught=$((caught + 1))
    done
    [ "$caught" -gt 0 ]
}

@test "an interrupted build leaves nothing behind" {
    interrupt TERM INT HUP
}

# Catches: an output that has a name before it is complete.
@test "kill -9 during a build leaves the directory as it was" {
    python3 -c 'import os, sys; os.close(os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR))' "$T" ||
        skip "the filesystem of $T has no O_TMPFILE"
    interrupt KILL KILL KILL
    # and over an output that is there
    echo old >out.img
    "$PLAT" mk fat32 src -o out.img >/dev/null 3>&- &
    pid=$!
    await_output $pid "$T"
    kill -KILL $pid
    ! wait $pid || false
    [ "$(ls -A)" = $'out.img\nsrc' ]
    [ "$(cat out.img)" = old ]
    chmod 640 out.img
    "$PLAT" mk fat32 src -o out.img >/dev/null
    [ "$(ls -A)" = $'out.img\nsrc' ]
    [ "$(stat -c '%a %h' out.img)" = '640 1' ]
    "$PLAT" verify --quiet out.img
}

# Catches: a finished output that is called a failure.
@test "an output in a directory that may be written but not read" {
    mkdir src drop
    echo one >src/one
    chmod 300 drop
    as=()
    if [ "$(id -u)" -eq 0 ]; then
        as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        chown 65534 drop
    fi
    "${as[@]}" "$PLAT" --version && "${as[@]}" test -r src/one || skip "another user cannot run plat here"
    "${as[@]}" "$PLAT" mk fat32 src -o drop/out.img
    chmod 700 drop
    [ "$(ls -A drop)" = out.img ]
    "$PLAT" verify --quiet drop/out.img
}

# Catches: a way without O_TMPFILE that nobody walks.
@test "an output where the filesystem has no files without a name" {
    cat >no_tmpfile.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>
static int without(const char *name, const char *path, int flags, mode_t mode)
{
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    return next(path, flags, mode);
}
#define WRAP(name) int name(const char *path, int flags, ...) { va_list ap; va_start(ap, flags); \
    mode_t mode = va_arg(ap, mode_t); va_end(ap); return without(#name, path, flags, mode); }
WRAP(open)
WRAP(open64)
C
    cc -shared -fPIC -U_FORTIFY_SOURCE -o "$T.so" no_tmpfile.c -ldl
    rm no_tmpfile.c
    export ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$T.so
    interrupt TERM HUP
    echo old >out.img
    "$PLAT" mk fat32 src -o out.img >/dev/null
    [ "$(ls -A)" = $'out.img\nsrc' ]
    "$PLAT" verify --quiet out.img
}

# complete WORD...: what bash would offer for the last word
complete_words() {
    bash -c 'source /dev/stdin <<<"$1"; shift
        compopt() { :; }
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _plat; printf "%s\n" "${COMPREPLY[@]}"' \
        - "$("$PLAT" completion bash)" "$@"
}

@test "completion: bash offers commands, options, values, formats and files" {
    PATH=$(dirname "$PLAT"):$PATH
    : >disk.img
    [ "$(complete_words plat ver)" = verify ]
    [ "$(complete_words plat boot --acc)" = --accel ]
    [ "$(complete_words plat boot --accel '')" = $'auto\nkvm\ntcg' ]
    [ "$(complete_words plat boot --accel = k)" = kvm ]
    [ "$(complete_words plat boot x --bus n)" = nvme ]
    [ "$(complete_words plat verify di)" = disk.img ]
    [ "$(complete_words plat verify --color '')" = $'auto\nalways\nnever' ]
    [ "$(complete_words plat mk fat)" = fat32 ]
    complete_words plat formats '' | grep -qx gpt
    complete_words plat mk '' >words
    grep -qx fat32 words && grep -qx tar words
    ! grep -qxE 'gpt|mbr' words || false
    [ "$(complete_words plat mk fat32 di)" = disk.img ]
    [ "$(complete_words plat help bo)" = boot ]
    [ "$(complete_words plat completion z)" = zsh ]
}

# mk_names formats|options: what mk makes, by name; with options also the names of what each can be told
mk_names() {
    "$PLAT" formats --json | python3 -c '
import json, sys
for f in json.load(sys.stdin)["formats"]:
    if f["made_by"] == "mk":
        print(f["name"], *(o["name"] for o in f["options"] if sys.argv[1] == "options"), sep="\n")' "$1"
}

@test "completion: every option of every command is in each script" {
    for shell in bash zsh fish; do
        "$PLAT" completion $shell >$shell.txt
    done
    bash -n bash.txt
    # what zsh and fish offer for the format of mk, by their own words
    for line in "$(grep '^_plat_mk_formats' zsh.txt)" "$(grep '^function __plat_mk_formats' fish.txt)"; do
        line=${line#*plat formats} line="plat formats${line%\'*}'"
        [ "$(PATH=$(dirname "$PLAT"):$PATH bash -c "$line" | sort | tr '\n' ' ')" = "$(mk_names formats | sort | tr '\n' ' ')" ]
    done
    grep -q "'1:format:_plat_mk_formats'" zsh.txt
    grep -q "seen_subcommand_from mk' -F -a '(__plat_mk_formats)'" fish.txt
    for command in $commands; do
        for option in $("$PLAT" help "$command" | sed -n 's/^  \(-., \|    \)--\([a-z0-9-]*\).*/\2/p'); do
            grep -q -- "--$option\b" bash.txt
            grep -q -- "--$option\b" zsh.txt
            grep -q -- "__fish_seen_subcommand_from $command' -l $option\b" fish.txt
        done
    done
}

@test "completion: zsh and fish accept their scripts" {
    "$PLAT" completion zsh >_plat
    "$PLAT" completion fish >plat.fish
    found=0
    if command -v zsh >/dev/null; then zsh -n _plat && found=1; fi
    if command -v fish >/dev/null; then
        fish -n plat.fish
        [[ $(fish -c 'source plat.fish; complete -C "plat boot --bus "') == *virtio* ]]
        found=1
    fi
    [ $found -eq 1 ] || skip "neither zsh nor fish is installed"
}

# Catches: an option that a maker has and --help does not.
@test "mk --help lists the options of every format, formats says which command makes it" {
    "$PLAT" mk --help >help.txt
    mk_names options >names.txt
    [ "$(wc -l <names.txt)" -gt 5 ]
    while read -r name; do
        grep -Eq "^(Options of $name \\(-O\\)$|  $name(=| |$))" help.txt
    done <names.txt
    ! grep -q 'Options of gpt' help.txt || false
    [ -z "$(awk 'length > 100' help.txt)" ]
    run "$PLAT" formats
    [[ "$output" == *"gpt "*"yes     yes     build   yes "*"fat32 "*" mk "* ]]
}

@test "messages name the command and the file" {
    for command in verify dump hex ls boot; do
        run "$PLAT" $command absent.img
        echo "$output"
        [ "$status" -eq 2 ]
        [[ $output == "plat $command: "*absent.img* ]]
    done
}
