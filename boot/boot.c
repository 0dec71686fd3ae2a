/* plat boot: options in, QEMU's verdict out. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/commands.h"
#include "boot/loop.h"
#include "boot/report.h"
#include "lib/fs/driver.h"
#include "lib/fs/stack.h"
#include "lib/io/dev.h"

enum { TIMEOUT_DEFAULT_S = 60, TIMEOUT_MAX_S = 7 * 24 * 3600, AHCI_PORTS = 6 };
static const uint64_t memory_default_bytes = UINT64_C(512) << 20;
static const uint64_t memory_min_bytes = UINT64_C(32) << 20;
static const uint64_t memory_max_bytes = UINT64_C(1) << 40;
static const uint64_t mib_bytes = UINT64_C(1) << 20;

static const struct option_desc options[] = {
    {.letter = 'e',
     .name = "expect",
     .kind = OPTION_LIST,
     .argument = "REGEX",
     .doc = "text that the console has to show; several are met in the order given",
     .complete = COMPLETE_NONE},
    {.letter = 'r',
     .name = "reject",
     .kind = OPTION_LIST,
     .argument = "REGEX",
     .doc = "text that the console must not show before the last expectation is met",
     .complete = COMPLETE_NONE},
    {.letter = 't',
     .name = "timeout",
     .kind = OPTION_NUMBER,
     .argument = "SECONDS",
     .doc = "give up after this long; 60 unless told",
     .complete = COMPLETE_NONE},
    {.name = "accel",
     .kind = OPTION_TEXT,
     .argument = "auto|kvm|tcg",
     .doc = "how the guest's code runs: by KVM, by QEMU's translator, or (auto, the default) by KVM once it "
            "has proved "
            "that it runs the guest, else by the translator",
     .choices = "auto|kvm|tcg",
     .complete = COMPLETE_CHOICES},
    {.letter = 'l',
     .name = "log",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .doc = "write all that comes from the console to FILE, byte for byte",
     .complete = COMPLETE_FILE},
    {.letter = 'm',
     .name = "memory",
     .kind = OPTION_SIZE,
     .argument = "SIZE",
     .doc = "the guest's memory; 512MiB unless told",
     .complete = COMPLETE_NONE},
    {.name = "bus",
     .kind = OPTION_TEXT,
     .argument = "virtio|nvme|ahci",
     .doc = "how the disks are attached; virtio unless told",
     .choices = "virtio|nvme|ahci",
     .complete = COMPLETE_CHOICES},
    {.letter = 'd',
     .name = "disk",
     .kind = OPTION_LIST,
     .argument = "FILE",
     .doc = "one more disk, behind IMAGE",
     .complete = COMPLETE_FILE},
    {.letter = 'w',
     .name = "write",
     .kind = OPTION_FLAG,
     .doc = "keep what the guest writes to its disks; without it the files stay as they are"},
    {.name = "firmware",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .doc = "UEFI firmware in place of the installed OVMF; a file named *CODE* takes its variables from the "
            "*VARS* "
            "beside it",
     .complete = COMPLETE_FILE},
    {.name = "qemu",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .doc = "program to run in place of qemu-system-x86_64",
     .complete = COMPLETE_FILE},
    {.name = "print-command",
     .kind = OPTION_FLAG,
     .doc = "print QEMU's command line for a shell and run nothing"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .doc = "print the outcome as JSON; the console then goes to --log only"},
};

/* ---- disks ---- */

/* Of a disk whose table does not say it: what the filesystems on it do. */
static uint32_t sectors_of(struct plat_dev *dev)
{
    struct stack *stack;
    if (stack_open(dev, &(struct stack_options){.degraded = true}, &stack, NULL) != 0)
        return 0;
    uint32_t sector_bytes = stack->sector_bytes;
    stack_close(stack);
    return sector_bytes;
}

static int add_disk(struct qemu_machine *machine, const char *path, bool must_be_image, struct plat_err *err)
{
    struct plat_dev *dev = NULL;
    const struct fs_driver *driver = NULL;
    struct fs_probe_result probe = {0};
    struct stat st;
    if (machine->n_disks >= QEMU_MAX_DISKS)
        return err_set(err, PLAT_ELIMIT, "more than %d disks", QEMU_MAX_DISKS);
    if (stat(path, &st) != 0)
        return err_sys(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(err, PLAT_EINVALID, "%s: neither a file nor a block device", path);
    int r = dev_open_file(path, machine->writable, &dev, err);
    if (r != 0)
        return r;
    uint64_t size_bytes = dev->size_bytes;
    r = fs_probe_all(dev, &(struct fs_open_options){0}, &driver, &probe, err);
    if (r == 0 && probe.sector_bytes == 0)
        probe.sector_bytes = sectors_of(dev);
    dev_close(dev);
    if (r != 0)
        return r;
    if (size_bytes == 0)
        return err_set(err, PLAT_EINVALID, "%s: the file is empty", path);
    if (must_be_image && driver == NULL && probe.refusal[0] == '\0')
        return err_set(
            err, PLAT_EINVALID,
            "%s: not a disk image: no partition table and no filesystem that plat knows (`plat formats` "
            "lists them)",
            path);
    machine->disks[machine->n_disks++] =
        (struct boot_disk){.path = path,
                           .sector_bytes = probe.sector_bytes == 4096 ? 4096 : 512,
                           .block_device = S_ISBLK(st.st_mode)};
    return 0;
}

static int add_disks(const struct cli *cli, struct qemu_machine *machine, struct plat_err *err)
{
    const char *const *extra;
    size_t n_extra = cli_list(cli, "disk", &extra);
    int r = add_disk(machine, cli->args[0], true, err);
    for (size_t i = 0; i < n_extra && r == 0; i++)
        r = add_disk(machine, extra[i], false, err);
    if (r != 0 || machine->bus != BUS_AHCI)
        return r;
    if (machine->n_disks > AHCI_PORTS)
        return err_set(err, PLAT_EINVALID,
                       "--bus ahci has %d ports, but there are %zu disks; use virtio or nvme", AHCI_PORTS,
                       machine->n_disks);
    for (size_t i = 0; i < machine->n_disks; i++)
        if (machine->disks[i].sector_bytes != 512)
            return err_set(
                err, PLAT_EINVALID,
                "%s has %u-byte sectors, which QEMU's ahci disks do not offer; use --bus virtio or nvme",
                machine->disks[i].path, machine->disks[i].sector_bytes);
    return 0;
}

/* ---- options ---- */

static size_t choice_index(const struct cli *cli, const char *option, const char *const *names, size_t n)
{
    const char *text = cli_text(cli, option);
    for (size_t i = 0; i < n && text != NULL; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return 0;
}

static int read_options(const struct cli *cli, struct qemu_machine *machine, struct boot_plan *plan)
{
    static const char *const accels[] = {"auto", "kvm", "tcg"};
    static const char *const buses[] = {"virtio", "nvme", "ahci"};
    uint64_t seconds = TIMEOUT_DEFAULT_S;
    machine->memory_bytes = memory_default_bytes;
    (void)cli_number(cli, "memory", &machine->memory_bytes);
    (void)cli_number(cli, "timeout", &seconds);
    if (seconds == 0 || seconds > TIMEOUT_MAX_S)
        return cli_usage(cli, "--timeout must be 1 to %d seconds, not %llu", TIMEOUT_MAX_S,
                         (unsigned long long)seconds);
    if (machine->memory_bytes < memory_min_bytes || machine->memory_bytes > memory_max_bytes ||
        machine->memory_bytes % mib_bytes != 0)
        return cli_usage(cli, "--memory must be a whole number of MiB from 32MiB to 1TiB, not %llu bytes",
                         (unsigned long long)machine->memory_bytes);
    machine->bus = (enum disk_bus)choice_index(cli, "bus", buses, 3);
    machine->writable = cli_flag(cli, "write");
    plan->accel = (enum accel)choice_index(cli, "accel", accels, 3);
    plan->timeout_ns = seconds * UINT64_C(1000000000);
    plan->console.n_expect = cli_list(cli, "expect", &plan->console.expect);
    plan->console.n_reject = cli_list(cli, "reject", &plan->console.reject);
    return EXIT_YES;
}

static bool kvm_opens(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static int print_command(const struct cli *cli, const struct qemu_machine *machine,
                         const struct boot_plan *plan)
{
    struct qemu_argv argv = {0};
    struct strbuf line = {0};
    enum accel accel = plan->accel == ACCEL_AUTO && !plan->kvm_present ? ACCEL_TCG : plan->accel;
    qemu_command_line(machine, accel, -1, -1, &argv);
    qemu_argv_quote(&argv, &line);
    int code = EXIT_YES;
    if (argv.failed || line.failed)
        code = cli_fail(cli, &(struct plat_err){.class = PLAT_ENOMEM, .text = "out of memory"});
    else
        (void)printf("%s\n", strbuf_str(&line));
    strbuf_free(&line);
    qemu_argv_free(&argv);
    return cli_finish(cli, code);
}

/* Finds the programs; a failure is an outcome of its own. */
static int find_programs(const struct cli *cli, struct arena *arena, struct qemu_machine *machine,
                         struct boot_result *result, struct plat_err *err)
{
    int r = qemu_find(cli_text(cli, "qemu"), arena, &machine->qemu, err);
    result->outcome = BOOT_NO_QEMU;
    if (r == 0) {
        r = firmware_find(cli_text(cli, "firmware"), arena, &machine->firmware, &machine->variables, err);
        result->outcome = BOOT_NO_FIRMWARE;
    }
    if (r != 0)
        (void)snprintf(result->detail, sizeof result->detail, "%.390s", err->text);
    return r;
}

static int check_patterns(const struct boot_plan *plan, struct plat_err *err)
{
    struct console *console = NULL;
    int r = console_open(&plan->console, &console, err);
    console_close(console);
    return r;
}

static int run_boot(struct cli *cli)
{
    struct qemu_machine machine = {0};
    struct boot_report report = {.cli = cli, .json = cli_flag(cli, "json"), .line_open = false};
    struct boot_plan plan = {.machine = &machine,
                             .kvm_present = kvm_opens(),
                             .log_fd = -1,
                             .text = report.json ? NULL : boot_report_text,
                             .remark = report.json ? NULL : boot_report_remark,
                             .ctx = &report};
    struct boot_result result = {0};
    struct plat_err err = {0};
    struct arena arena = {0};
    const char *log = cli_text(cli, "log");
    int code = read_options(cli, &machine, &plan);
    if (code != EXIT_YES)
        return code;
    int r = check_patterns(&plan, &err);
    if (r == 0)
        r = add_disks(cli, &machine, &err);
    if (r != 0)
        return boot_report_error(&report, &err);
    if (find_programs(cli, &arena, &machine, &result, &err) != 0) {
        code = boot_report_end(&report, &plan, &result);
        goto out;
    }
    if (cli_flag(cli, "print-command")) {
        code = print_command(cli, &machine, &plan);
        goto out;
    }
    if (log != NULL && (plan.log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        r = err_sys(&err, errno, "--log %s", log);
    if (r == 0)
        r = boot_run(&plan, &result, &err);
    if (r == 0 && plan.log_fd >= 0) {
        int fd = plan.log_fd;
        plan.log_fd = -1;
        if (close(fd) != 0)
            r = err_sys(&err, errno, "--log %s", log);
    }
    code = r == 0 ? boot_report_end(&report, &plan, &result) : boot_report_error(&report, &err);
out:
    if (plan.log_fd >= 0)
        (void)close(plan.log_fd);
    strbuf_free(&result.tail);
    arena_free(&arena);
    return code;
}

const struct command command_boot = {
    .name = "boot",
    .group = "Run",
    .summary = "boot an image in QEMU and judge its console",
    .synopsis = "IMAGE",
    .doc = "Boots IMAGE in QEMU (x86-64, UEFI by OVMF) with its console on a serial line, and prints what "
           "the console "
           "says, without escape sequences. It is over as soon as every --expect is met; the guest is then "
           "killed, as by a "
           "power cut. Without --expect the guest has to power itself down. The image is opened as a "
           "snapshot unless "
           "--write is given.\n"
           "\n"
           "A REGEX (PCRE2) is matched within one line. It also finds text that escape sequences run "
           "through, and text "
           "that was split by a message of the kernel: \"MARK[   12.345678] some message\" and \"ER\" on the "
           "next line "
           "are MARKER.\n"
           "\n"
           "The last line names the outcome:\n"
           "  pass               every expectation is met, or the guest powered down and none was given\n"
           "  missing REGEX      the guest ended before this expectation was met\n"
           "  rejected REGEX     the console showed what --reject forbids\n"
           "  panic              the kernel panicked (not looked for when an expectation speaks of a panic)\n"
           "  timeout            --timeout passed\n"
           "  guest-exit N       the guest wrote N to QEMU's isa-debug-exit port, 0xf4\n"
           "  guest-reset        the guest reset itself, and no expectation was given\n"
           "  no-qemu, no-firmware, qemu-failed\n"
           "                     it could not be run; the line says what to do\n"
           "\n"
           "Exit status: 0 for pass; 2 when it could not be run; 1 for the rest.\n",
    .examples =
        "  plat boot disk.img --expect 'login: $'\n"
        "  plat boot disk.img -e 'MARKER init' -e 'MARKER done' -r 'I/O error' --timeout 120 --log boot.log\n"
        "  plat boot disk.img --bus nvme --disk data.img --write\n",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .min_args = 1,
    .max_args = 1,
    .complete = COMPLETE_FILE,
    .run = run_boot,
};
