/* Finding QEMU and its firmware, and the command line. */
#include "boot/qemu.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char qemu_name[] = "qemu-system-x86_64";

/* Code and variables in one file first: 2 MiB files boot faster than 4 MiB pairs. */
static const struct {
    const char *code, *variables;
} firmwares[] = {
    {"/usr/share/ovmf/OVMF.fd", NULL},                                                /* Debian, Ubuntu */
    {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},           /* Debian, Ubuntu */
    {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},                 /* Debian, Fedora */
    {"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},       /* Fedora */
    {"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},   /* Arch */
    {"/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"}, /* openSUSE */
};

/* ---- finding ---- */

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int qemu_find(const char *given, struct arena *arena, const char **ret, struct plat_err *err)
{
    const char *name = given != NULL ? given : qemu_name;
    if (strchr(name, '/') != NULL) {
        if (!is_program(name))
            return err_set(err, PLAT_ENOTFOUND, "--qemu %s: no such program", name);
        *ret = name;
        return 0;
    }
    const char *path = getenv("PATH");
    for (path = path != NULL ? path : "/usr/bin:/bin"; *path != '\0';) {
        size_t n = strcspn(path, ":");
        size_t room = n + strlen(name) + 3;
        char *file = arena_bytes(arena, room);
        if (file == NULL)
            return err_nomem(err, "looking for QEMU");
        (void)snprintf(file, room, "%.*s/%s", n > 0 ? (int)n : 1, n > 0 ? path : ".", name);
        if (is_program(file)) {
            *ret = file;
            return 0;
        }
        path += n + (path[n] == ':');
    }
    return err_set(
        err, PLAT_ENOTFOUND,
        "cannot find %s in PATH; install the Debian package qemu-system-x86, or name the program with "
        "--qemu FILE",
        name);
}

/* "OVMF_CODE_4M.fd" has its variables beside it in "OVMF_VARS_4M.fd". */
static const char *variables_beside(const char *code, struct arena *arena)
{
    static const char *const names[][2] = {{"CODE", "VARS"}, {"code", "vars"}};
    const char *base = strrchr(code, '/') != NULL ? strrchr(code, '/') : code;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *at = strstr(base, names[i][0]);
        char *path = at != NULL ? arena_strdup(arena, code) : NULL;
        if (path == NULL)
            continue;
        memcpy(path + (at - code), names[i][1], strlen(names[i][1]));
        if (access(path, R_OK) == 0)
            return path;
    }
    return NULL;
}

int firmware_find(const char *given, struct arena *arena, const char **ret_code, const char **ret_variables,
                  struct plat_err *err)
{
    if (given != NULL) {
        if (access(given, R_OK) != 0)
            return err_sys(err, errno, "--firmware %s", given);
        *ret_code = given;
        *ret_variables = variables_beside(given, arena);
        return 0;
    }
    for (size_t i = 0; i < sizeof firmwares / sizeof *firmwares; i++) {
        if (access(firmwares[i].code, R_OK) != 0 ||
            (firmwares[i].variables != NULL && access(firmwares[i].variables, R_OK) != 0))
            continue;
        *ret_code = firmwares[i].code;
        *ret_variables = firmwares[i].variables;
        return 0;
    }
    return err_set(
        err, PLAT_ENOTFOUND,
        "cannot find UEFI firmware (%s and %zu other places); install the Debian package ovmf, or name the "
        "file with --firmware FILE",
        firmwares[0].code, sizeof firmwares / sizeof *firmwares - 1);
}

/* ---- command line ---- */

static void add(struct qemu_argv *argv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct qemu_argv *argv, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        argv->failed = true;
        return;
    }
    char *copy = argv->n < QEMU_MAX_ARGS ? arena_strdup(&argv->arena, text) : NULL;
    if (copy != NULL)
        argv->args[argv->n++] = copy;
    else
        argv->failed = true;
    free(text);
}

/* A file name inside an option: commas are doubled. */
static const char *option_file(struct qemu_argv *argv, const char *path)
{
    char *text = arena_bytes(&argv->arena, 2 * strlen(path) + 1);
    if (text == NULL) {
        argv->failed = true;
        return "";
    }
    char *to = text;
    for (; *path != '\0'; path++) {
        if (*path == ',')
            *to++ = ',';
        *to++ = *path;
    }
    *to = '\0';
    return text;
}

static void add_accel(struct qemu_argv *argv, enum accel accel)
{
    if (accel != ACCEL_TCG) {
        add(argv, "-accel");
        add(argv, "kvm");
    }
    if (accel != ACCEL_KVM) {
        add(argv, "-accel");
        add(argv, "tcg");
    }
    add(argv, "-cpu");
    add(argv, "max");
}

static void add_firmware(struct qemu_argv *argv, const struct qemu_machine *machine)
{
    if (machine->variables == NULL) {
        add(argv, "-bios");
        add(argv, "%s", machine->firmware);
        return;
    }
    add(argv, "-drive");
    add(argv, "if=pflash,unit=0,format=raw,readonly=on,file.driver=file,file.filename=%s",
        option_file(argv, machine->firmware));
    /* The variables are scratch: a snapshot, so that each boot starts from the same ones. */
    add(argv, "-drive");
    add(argv, "if=pflash,unit=1,format=raw,snapshot=on,file.driver=file,file.filename=%s",
        option_file(argv, machine->variables));
}

static void add_disk(struct qemu_argv *argv, const struct qemu_machine *machine, unsigned i)
{
    const struct boot_disk *disk = &machine->disks[i];
    /* Only the first disk is started from: with one bootindex OVMF tries nothing else. */
    const char *first = i == 0 ? ",bootindex=0" : "";
    char blocks[80] = "";
    if (disk->sector_bytes != 512)
        (void)snprintf(blocks, sizeof blocks, ",logical_block_size=%u,physical_block_size=%u",
                       disk->sector_bytes, disk->sector_bytes);
    /* file.driver keeps QEMU from reading "nbd:..." or "json:..." into a file's name. */
    add(argv, "-drive");
    add(argv, "if=none,id=disk%u,format=raw,cache=%s,file.driver=%s,file.filename=%s%s", i,
        machine->writable ? "writeback" : "unsafe", disk->block_device ? "host_device" : "file",
        option_file(argv, disk->path), machine->writable ? "" : ",snapshot=on");
    add(argv, "-device");
    switch (machine->bus) {
    case BUS_VIRTIO:
        add(argv, "virtio-blk-pci,drive=disk%u%s%s", i, first, blocks);
        break;
    case BUS_NVME:
        add(argv, "nvme,drive=disk%u,serial=plat%u%s%s", i, i, first, blocks);
        break;
    case BUS_AHCI:
        add(argv, "ide-hd,bus=ide.%u,drive=disk%u%s", i, i, first);
        break;
    }
}

void qemu_command_line(const struct qemu_machine *machine, enum accel accel, int serial_fd, int qmp_fd,
                       struct qemu_argv *ret)
{
    add(ret, "%s", machine->qemu);
    add(ret, "-nodefaults");
    add(ret, "-no-user-config");
    add(ret, "-machine");
    add(ret, "q35");
    add_accel(ret, accel);
    add(ret, "-m");
    add(ret, "%lluM", (unsigned long long)(machine->memory_bytes >> 20));
    add_firmware(ret, machine);
    for (unsigned i = 0; i < machine->n_disks; i++)
        add_disk(ret, machine, i);
    add(ret, "-display");
    add(ret, "none");
    add(ret, "-no-reboot");
    /* A guest can report a panic, and end QEMU with a number of its choice. */
    add(ret, "-device");
    add(ret, "pvpanic");
    add(ret, "-device");
    add(ret, "isa-debug-exit,iobase=0xf4,iosize=0x04");
    if (serial_fd >= 0) {
        add(ret, "-chardev");
        add(ret, "socket,id=console,fd=%d", serial_fd);
        add(ret, "-serial");
        add(ret, "chardev:console");
    } else {
        add(ret, "-serial");
        add(ret, "stdio");
    }
    if (qmp_fd >= 0) {
        add(ret, "-chardev");
        add(ret, "socket,id=control,fd=%d", qmp_fd);
        add(ret, "-mon");
        add(ret, "chardev=control,mode=control");
    }
}

void qemu_argv_free(struct qemu_argv *argv)
{
    arena_free(&argv->arena);
    argv->n = 0;
}

void qemu_argv_quote(const struct qemu_argv *argv, struct strbuf *ret)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./=,:+@%";
    for (size_t i = 0; i < argv->n; i++) {
        const char *arg = argv->args[i];
        if (i > 0)
            strbuf_putc(ret, ' ');
        if (arg[0] != '\0' && arg[strspn(arg, plain)] == '\0') {
            strbuf_puts(ret, arg);
            continue;
        }
        strbuf_putc(ret, '\'');
        for (; *arg != '\0'; arg++) {
            if (*arg == '\'')
                strbuf_puts(ret, "'\\''");
            else
                strbuf_putc(ret, *arg);
        }
        strbuf_putc(ret, '\'');
    }
}
