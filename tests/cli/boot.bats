#!/usr/bin/env bats
# plat boot: every outcome, played by a script in QEMU's place; and one real boot where QEMU and OVMF are installed.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    mkdir -p src && echo one >src/one.txt
    "$PLAT" mk fat32 src -o disk.img >/dev/null
    : >firmware.fd
    export FAKE_DIR=$BATS_TEST_TMPDIR FAKE_SCENE='' FAKE_REGISTERS='' FAKE_MUTE=''
    accel=tcg
}

# play SCENE OPTION...: sets $status, $output, $closing (the last line) and $elapsed (milliseconds)
play() {
    FAKE_SCENE=$1
    shift
    local start=${EPOCHREALTIME/./}
    run timeout 20 "$PLAT" boot disk.img --accel "$accel" --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" \
        --firmware firmware.fd "$@"
    elapsed=$(((${EPOCHREALTIME/./} - start) / 1000))
    closing=${lines[${#lines[@]} - 1]}
    echo "status $status, $elapsed ms"
    echo "$output"
    nobody_left
}

# No process of the fake is alive: each of them, and what it started, carries FAKE_DIR in its environment.
fakes() {
    local pid
    for pid in $(cat pids 2>/dev/null); do
        [ -d "/proc/$pid" ] && [ "$(cut -d' ' -f3 "/proc/$pid/stat")" != Z ] && echo "$pid"
    done
    grep -l -s -a -z "^FAKE_DIR=$BATS_TEST_TMPDIR$" /proc/[0-9]*/environ 2>/dev/null |
        while read -r file; do
            pid=${file#/proc/} pid=${pid%/environ}
            case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
            *fake-qemu.sh* | 'sleep '*) echo "$pid" ;;
            esac
        done
    return 0
}
nobody_left() {
    local try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        [ -z "$(fakes)" ] && return 0
        sleep 0.1
    done
    echo "still alive: $(fakes)"
    return 1
}
need_kvm() { { : <>/dev/kvm; } 2>/dev/null || skip "/dev/kvm does not open here, so auto has nothing to try"; }

@test "pass: expectations in order, and at once" {
    play 'sleep 0.2; say "first\r\nMARKER done\r\n"; stand_still' -e first -e 'MARKER \w+'
    [ "$status" -eq 0 ]
    [[ $closing == "plat boot: pass (2 of 2 expectations, "*" s, tcg)" ]]
    [ "$elapsed" -lt 1000 ]
}

@test "pass: within 0.1 s of the last marker" {
    FAKE_SCENE='sleep 0.3; date +%s%N >"$FAKE_DIR/said"; say "MARKER done\r\n"; stand_still'
    "$PLAT" boot disk.img --accel tcg --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd -e 'MARKER done'
    ended=$(date +%s%N)
    delay=$(((ended - $(cat said)) / 1000000))
    echo "delay $delay ms"
    [ "$delay" -lt 100 ]
}

@test "pass: a marker through escapes and across kernel messages" {
    play 'say "\033[2J\033[01;01HMA\033[1mRK[   12.345678] random: crng init done\r\nER\033[0m 1\r\n"; stand_still' \
        -e '^MARKER 1$'
    [ "$status" -eq 0 ]
    [[ $output != *$'\033'* ]]
}

@test "pass: a prompt without an end of line" {
    play 'say "host login: "; stand_still' -e 'login: $'
    [ "$status" -eq 0 ]
}

@test "pass: no expectation and a clean power-down" {
    play 'say "bye\r\n"; power_down'
    [ "$status" -eq 0 ]
    [[ $closing == "plat boot: pass ("* ]]
}

@test "missing: the guest powers down too early" {
    play 'say "one\r\ntwo\r\n"; power_down' -e one -e three
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: missing three (the guest powered down; 1 of 2 expectations, "* ]]
    [[ $output == *"the last lines of the console:"*"  | two"* ]]
}

@test "missing: expectations out of order" {
    play 'say "two\r\none\r\n"; power_down' -e one -e two
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: missing two "* ]]
}

@test "rejected: before the last expectation" {
    play 'say "I/O error\r\n"; sleep 0.3; say "done\r\n"; stand_still' -e done -r 'nothing' -r 'I/O \w+'
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: rejected I/O \\w+ ("* ]]
}

@test "panic: the kernel's message, with its trace in the last lines" {
    play 'say "[    1.000000] Kernel panic - not syncing: VFS\r\n"; sleep 0.05; say "[    1.000100] Call Trace:\r\n"
          stand_still' -e done
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: panic ("* ]]
    [[ $output == *"  | [    1.000100] Call Trace:"* ]]
}

@test "panic: QEMU's event" {
    play 'event GUEST_PANICKED "{\"action\": \"shutdown\"}"
          event SHUTDOWN "{\"guest\": true, \"reason\": \"guest-panic\"}"; exit 0' -e done
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: panic ("* ]]
}

@test "panic: can be expected" {
    play 'say "Kernel panic - not syncing: as planned\r\n"; stand_still' -e 'panic - .* as planned'
    [ "$status" -eq 0 ]
}

@test "timeout: names what is missing" {
    play 'say "one\r\n"; stand_still' -e one -e two --timeout 1
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: timeout after 1 s, missing two (1 of 2 expectations, "* ]]
    [ "$elapsed" -lt 2000 ]
}

@test "timeout: a guest that never stops talking" {
    play 'while :; do say "noise noise noise\r\n"; done' -e silence --timeout 1
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: timeout after 1 s, missing silence "* ]]
    [ "$elapsed" -lt 3000 ]
}

@test "guest-exit: the number that the guest wrote" {
    play 'say "result\r\n"; exit 85'
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: guest-exit 42 ("* ]]
}

@test "guest-reset: a reset without expectations" {
    play 'event SHUTDOWN "{\"guest\": true, \"reason\": \"guest-reset\"}"; exit 0'
    [ "$status" -eq 1 ]
    [[ $closing == "plat boot: guest-reset (the guest reset itself; "* ]]
}

@test "qemu-failed: QEMU's own words" {
    play 'echo "qemu: first" >&2; echo "qemu: could not open disk" >&2; exit 1' -e x
    [ "$status" -eq 2 ]
    [[ $closing == "plat boot: qemu-failed: exit status 1: qemu: could not open disk" ]]
}

@test "qemu-failed: ended by a signal" {
    play 'kill -SEGV $$' -e x
    [ "$status" -eq 2 ]
    [[ $closing == "plat boot: qemu-failed: ended by signal 11 (Segmentation fault)" ]]
}

@test "qemu-failed: the disk cannot be read" {
    play 'echo io-error >"$FAKE_DIR/status"; event STOP; stand_still' -e x
    [ "$status" -eq 2 ]
    [[ $closing == "plat boot: qemu-failed: QEMU stopped the guest with io-error" ]]
}

@test "auto: KVM that stops with an internal error gives way to tcg, within 1 s" {
    need_kvm
    accel=auto
    play 'if [ $accel = kvm ]; then sleep 0.29; echo internal-error >"$FAKE_DIR/status"; event STOP; stand_still
          else say "MARKER\r\n"; stand_still; fi' -e MARKER
    [ "$status" -eq 0 ]
    [ "$(tr '\n' ' ' <accels)" = "kvm tcg " ]
    [[ $output == *"plat boot: KVM does not run this guest (QEMU stopped the guest with internal-error after 0."* ]]
    [[ $closing == *" s, tcg because KVM does not run this guest)" ]]
    [ "$elapsed" -lt 1500 ]
}

@test "auto: KVM that runs nothing gives way to tcg" {
    need_kvm
    accel=auto FAKE_REGISTERS=still
    play '[ $accel = kvm ] || say "MARKER\r\n"; stand_still' -e MARKER
    [ "$status" -eq 0 ]
    [ "$(tr '\n' ' ' <accels)" = "kvm tcg " ]
    [[ $output == *"(the guest made no progress after 1.0"* ]]
}

@test "auto: QEMU that aborts under KVM gives way to tcg" {
    need_kvm
    accel=auto
    play 'if [ $accel = kvm ]; then echo "Assertion failed" >&2; kill -ABRT $$; else say "MARKER\r\n"; fi; stand_still' \
        -e MARKER
    [ "$status" -eq 0 ]
    [[ $output == *"(ended by signal 6 (Aborted): Assertion failed after 0."* ]]
}

@test "auto: KVM that runs the guest is kept" {
    need_kvm
    accel=auto
    play 'sleep 1.3; say "MARKER\r\n"; stand_still' -e MARKER
    [ "$status" -eq 0 ]
    [ "$(cat accels)" = kvm ]
    [[ $closing == *" s, kvm)" ]]
}

@test "auto: a marker before the trial is over is proof enough" {
    need_kvm
    accel=auto
    play 'say "MARKER\r\n"; stand_still' -e MARKER
    [ "$status" -eq 0 ]
    [ "$elapsed" -lt 900 ]
    [ "$(cat accels)" = kvm ]
}

@test "kvm asked for: no fallback" {
    accel=kvm
    play 'echo internal-error >"$FAKE_DIR/status"; event STOP; stand_still' -e MARKER
    [ "$status" -eq 2 ]
    [[ $closing == "plat boot: qemu-failed: QEMU stopped the guest with internal-error; \`--accel tcg\` "* ]]
}

@test "no orphan: plat killed with SIGKILL" {
    FAKE_SCENE='say "up\r\n"; sleep 100 & stand_still'
    "$PLAT" boot disk.img --accel tcg --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd -e never \
        >out 2>&1 3>&- &
    pid=$!
    for _ in $(seq 50); do grep -q up out && break; sleep 0.1; done
    grep -q up out
    [ -n "$(fakes)" ]
    kill -KILL $pid
    wait $pid || true
    nobody_left
}

@test "no orphan: plat ended by SIGTERM, SIGINT and SIGHUP" {
    FAKE_SCENE='say "up\r\n"; sleep 100 & stand_still'
    for signal in TERM INT HUP; do
        rm -f pids out
        # Bash starts background jobs with SIGINT ignored; env puts the default back.
        env --default-signal=INT "$PLAT" boot disk.img --accel tcg --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" \
            --firmware firmware.fd -e never >out 2>&1 3>&- &
        pid=$!
        for _ in $(seq 50); do grep -q up out && break; sleep 0.1; done
        [ -n "$(fakes)" ]
        kill -$signal $pid
        code=0
        wait $pid || code=$?
        [ "$code" -gt 128 ]
        nobody_left
    done
}

@test "no orphan: the reader of the output goes away" {
    FAKE_SCENE='while :; do say "noise\r\n"; done'
    "$PLAT" boot disk.img --accel tcg --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd -e never \
        3>&- | head -n 3
    nobody_left
}

@test "no orphan: the guard is killed, then plat" {
    FAKE_SCENE='say "up\r\n"; while :; do :; done'
    "$PLAT" boot disk.img --accel tcg --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd -e never \
        >out 2>&1 3>&- &
    pid=$!
    for _ in $(seq 50); do grep -q up out && break; sleep 0.1; done
    for child in $(cat /proc/$pid/task/$pid/children); do
        case $(cat /proc/$child/comm) in plat-boot-guard) kill -KILL "$child" ;; esac
    done
    kill -KILL $pid
    wait $pid || true
    sleep 0.2
    run cut -d' ' -f3 "/proc/$(head -1 pids)/stat"
    [ "$status" -ne 0 ] || [ "$output" = Z ]
    # what the fake started is beyond a dead guard; end it here
    for left in $(fakes); do kill -KILL "$left"; done
}

@test "could not run: no QEMU, no firmware, no image; nothing is started" {
    run "$PLAT" boot disk.img --qemu ./absent -e x
    [ "$status" -eq 2 ]
    [[ $output == "plat boot: no-qemu: --qemu ./absent: no such program" ]]
    run env PATH=/nowhere "$PLAT" boot disk.img -e x
    [ "$status" -eq 2 ]
    [[ $output == *"no-qemu: cannot find qemu-system-x86_64 in PATH; install the Debian package qemu-system-x86"* ]]
    play 'say x' --firmware ./absent.fd -e x
    [ "$status" -eq 2 ]
    [[ $closing == "plat boot: no-firmware: --firmware ./absent.fd: No such file or directory" ]]
    for image in absent.img /dev/null "$BATS_TEST_TMPDIR" empty.img text.img; do
        : >empty.img
        printf '%02000d' 0 >text.img
        run "$PLAT" boot "$image" --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd -e x
        echo "$output"
        [ "$status" -eq 2 ]
        [[ $output == "plat boot: "*"$image"* ]]
    done
    [ ! -e pids ]
}

@test "usage: mistakes are found before anything starts" {
    for wrong in '--expect=a(b' '--reject=[z-a]' '--expect=' '--timeout=0' '--timeout=soon' '--memory=1' \
        '--memory=lots' '--bus=scsi' '--accel=fast' '--disk=absent.img' '--log=/absent/log'; do
        run "$PLAT" boot disk.img --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd "$wrong"
        echo "$wrong: $output"
        [ "$status" -eq 2 ]
        [[ $output == "plat boot: "*"${wrong%%=*}"* || $output == *absent.img* ]]
    done
    [ ! -e pids ]
}

@test "a regular expression that explodes is stopped" {
    play 'say "%s!\r\n" "$(printf "%0200d" 0)"; stand_still' -e '(0+)+$'
    [ "$status" -eq 2 ]
    [[ $closing == *'matching "(0+)+$": match limit exceeded' ]]
}

@test "--log keeps every byte, also after the fallback" {
    play 'say "\033[1mone\033[0m\r\n\001two\r\n"; stand_still' -e two --log con.log
    [ "$status" -eq 0 ]
    printf '\033[1mone\033[0m\r\n\001two\r\n' >want
    cmp want con.log
}

@test "--json: one object, the console only in the log" {
    play 'say "one\r\ntwo\r\n"; power_down' -e one -e three --json
    [ "$status" -eq 1 ]
    python3 - <<PY
import json
got = json.loads('''$output''')
assert got["outcome"] == "missing" and got["exit"] == 1 and got["accel"] == "tcg", got
assert [e["met"] for e in got["expectations"]] == [True, False], got
assert got["console_tail"] == ["one", "two"], got
PY
}

@test "--json: what cannot be run is an object, too" {
    for args in "missing.img" "disk.img -e (" "disk.img --log /nonexistent/x"; do
        # shellcheck disable=SC2086
        status=0
        output=$("$PLAT" boot $args --json --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd 2>errors) ||
            status=$?
        [ "$status" -eq 2 ]
        [ -s errors ]
        python3 -c 'import json, sys; got = json.loads(sys.argv[1]); assert got["outcome"] == "error" and got["exit"] == 2 and got["detail"], got' "$output"
    done
}

@test "the command line: buses, disks, snapshot, memory" {
    cp disk.img 'more, of it.img'
    "$PLAT" boot disk.img --print-command --accel tcg --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd \
        --bus nvme --disk 'more, of it.img' --memory 1GiB >line
    eval "set -- $(cat line)"
    printf '%s\n' "$@" >words
    grep -qx -- '1024M' words
    grep -q 'file.filename=disk.img,snapshot=on$' words
    grep -q 'file.filename=more,, of it.img,snapshot=on$' words
    grep -qx 'nvme,drive=disk1,serial=plat1' words
    "$PLAT" boot disk.img --print-command --accel tcg --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd \
        --write --bus ahci >line
    run grep -c snapshot=on line
    [ "$output" = 0 ]
    grep -q 'ide-hd,bus=ide.0,drive=disk0,bootindex=0' line
    [ ! -e pids ]
}

@test "firmware in two parts: code and variables" {
    : >OVMF_CODE_x.fd
    : >OVMF_VARS_x.fd
    "$PLAT" boot disk.img --print-command --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware OVMF_CODE_x.fd >line
    grep -q 'if=pflash,unit=0,format=raw,readonly=on,file.driver=file,file.filename=OVMF_CODE_x.fd' line
    grep -q 'if=pflash,unit=1,format=raw,snapshot=on,file.driver=file,file.filename=OVMF_VARS_x.fd' line
}

@test "a disk with 4096-byte sectors is attached as one" {
    cat >r.json <<'JSON'
{"table": "gpt", "sector_bytes": 4096, "partitions": [{"name": "data", "type": "linux-data", "size": "1MiB"}]}
JSON
    "$PLAT" build r.json -o big.img
    "$PLAT" boot big.img --print-command --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd >line
    grep -q 'virtio-blk-pci,drive=disk0,bootindex=0,logical_block_size=4096,physical_block_size=4096' line
    run "$PLAT" boot big.img --bus ahci --qemu "$BATS_TEST_DIRNAME/fake-qemu.sh" --firmware firmware.fd
    [ "$status" -eq 2 ]
    [[ $output == *"4096-byte sectors"*"use --bus virtio or nvme"* ]]
}

@test "real: OVMF starts from a disk that plat built, and the disk stays as it was" {
    command -v qemu-system-x86_64 >/dev/null || skip "QEMU is not installed (qemu-system-x86)"
    [ -r /usr/share/ovmf/OVMF.fd ] || [ -r /usr/share/OVMF/OVMF_CODE_4M.fd ] || skip "OVMF is not installed (ovmf)"
    loader=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
    [ -r $loader ] || skip "systemd-boot is not installed (systemd-boot-efi)"
    mkdir -p esp/EFI/BOOT esp/loader
    cp $loader esp/EFI/BOOT/BOOTX64.EFI
    printf 'timeout menu-force\n' >esp/loader/loader.conf
    cat >r.json <<'JSON'
{"table": "gpt", "partitions": [
 {"name": "esp", "type": "esp", "format": "fat32", "files": [{"to": "/", "from": "esp"}]}]}
JSON
    "$PLAT" build r.json -o real.img
    sha256sum real.img >before
    run "$PLAT" boot real.img --accel tcg --timeout 90 --log real.log -e 'BdsDxe: starting Boot' \
        -e 'Reboot Into Firmware Interface'
    echo "$output"
    [ "$status" -eq 0 ]
    sha256sum -c before
}

# Catches: a SquashFS that unsquashfs and the kernel of this machine read, but a distribution's kernel does not boot from.
@test "real: Debian's kernel takes the SquashFS of examples/linux-disk as its root, and finds its files whole" {
    command -v qemu-system-x86_64 >/dev/null || skip "QEMU is not installed (qemu-system-x86)"
    [ -r /usr/share/ovmf/OVMF.fd ] || [ -r /usr/share/OVMF/OVMF_CODE_4M.fd ] || skip "OVMF is not installed (ovmf)"
    [ -r /usr/lib/systemd/boot/efi/systemd-bootx64.efi ] || skip "systemd-boot is not installed (systemd-boot-efi)"
    [ -x /bin/busybox ] || skip "busybox is not installed (busybox-static)"
    for module in /lib/modules/*-cloud-amd64/kernel/fs/squashfs/squashfs.ko; do
        release=${module#/lib/modules/} release=${release%%/*}
    done
    [ -r "/boot/vmlinuz-$release" ] || skip "no kernel with its modules here (linux-image-cloud-amd64)"
    "$PLAT" build "$root/examples/linux-disk/recipe.json" -D "RELEASE=$release" -o linux.img
    run "$PLAT" boot linux.img --bus nvme --accel tcg --timeout 150 --log linux.log \
        -e 'PLAT-GUEST root is squashfs ro' \
        -e "PLAT-GUEST sha256 $(sha256sum </bin/busybox | cut -c1-64)  /bin/busybox" \
        -e "PLAT-GUEST motd: $(cat "$root/examples/linux-disk/root/etc/motd")" -r 'SQUASHFS error'
    echo "$output"
    [ "$status" -eq 0 ]
}
