/* plat repair: bad copies are rewritten from good ones, and nothing else is touched. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/fs/repair.h"
#include "lib/fs/verify.h"
#include "mkimage/commands.h"

struct repair_report {
    const char *image;
    bool json, dry_run;
    struct strbuf repairs, refusals; /* JSON: elements of the two lists */
};

static void put(struct strbuf *out)
{
    (void)fwrite(strbuf_str(out), 1, out->len, stdout);
    strbuf_free(out);
}

static void json_member(struct strbuf *out, const char *key, const char *text)
{
    strbuf_printf(out, "\"%s\": ", key);
    if (text[0] != '\0')
        strbuf_json(out, text, strlen(text));
    else
        strbuf_puts(out, "null");
}

static int on_repaired(void *ctx, const struct repair_done *done)
{
    struct repair_report *report = ctx;
    struct strbuf line = {0}, *out = report->json ? &report->repairs : &line;
    if (report->json) {
        strbuf_puts(out, out->len > 0 ? ",\n   {" : "\n   {");
        json_member(out, "path", done->path);
        strbuf_puts(out, ", ");
        json_member(out, "source", done->source);
        strbuf_printf(out,
                      ", \"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"written_bytes\": %" PRIu64
                      ", \"source_offset\": %" PRIu64 ", ",
                      done->offset, done->bytes, done->written_bytes, done->source_offset);
        json_member(out, "finding", done->finding);
        strbuf_puts(out, ", ");
        json_member(out, "why", done->why);
        strbuf_putc(out, '}');
        return out->failed ? PLAT_ENOMEM : 0;
    }
    strbuf_printf(out, "%s: ", report->image);
    strbuf_visible(out, done->path, strlen(done->path));
    strbuf_puts(out, report->dry_run ? ": would be rewritten from " : ": rewritten from ");
    strbuf_visible(out, done->source, strlen(done->source));
    strbuf_printf(out, " (%" PRIu64 " bytes at 0x%" PRIx64, done->written_bytes, done->offset);
    if (done->written_bytes != done->bytes)
        strbuf_printf(out, ", the last before 0x%" PRIx64, done->offset + done->bytes);
    strbuf_puts(out, done->why[0] != '\0' ? "): " : ")");
    strbuf_visible(out, done->why, strlen(done->why));
    strbuf_putc(out, '\n');
    bool failed = out->failed;
    put(out);
    return failed ? PLAT_ENOMEM : 0;
}

static int on_refused(void *ctx, const char *path, uint64_t offset, const char *text)
{
    struct repair_report *report = ctx;
    struct strbuf line = {0}, *out = report->json ? &report->refusals : &line;
    if (report->json) {
        strbuf_puts(out, out->len > 0 ? ",\n   {" : "\n   {");
        json_member(out, "path", path);
        strbuf_printf(out, ", \"offset\": %" PRIu64 ", ", offset);
        json_member(out, "text", text);
        strbuf_putc(out, '}');
        return out->failed ? PLAT_ENOMEM : 0;
    }
    strbuf_printf(out, "%s: ", report->image);
    strbuf_visible(out, path, strlen(path));
    strbuf_printf(out, "%snot repaired (at 0x%" PRIx64 "): ", path[0] != '\0' ? ": " : "", offset);
    strbuf_visible(out, text, strlen(text));
    strbuf_putc(out, '\n');
    bool failed = out->failed;
    put(out);
    return failed ? PLAT_ENOMEM : 0;
}

/* What verify finds in the image as it is now. */
static int count_errors(struct plat_dev *dev, const struct stack_options *options, uint64_t *ret,
                        struct plat_err *err)
{
    const struct finding_sink nobody = {0};
    struct verify_totals totals = {0};
    struct stack *stack;
    int rc = stack_open(dev, options, &stack, err);
    if (rc != 0)
        return rc;
    rc = stack_verify(stack, &nobody, &totals, err);
    stack_close(stack);
    if (rc == 0)
        *ret = totals.errors;
    return rc;
}

static void closing_line(const struct repair_report *report, const struct repair_totals *totals,
                         uint64_t errors_left)
{
    if (totals->repaired == 0 && totals->refused == 0 && errors_left == 0) {
        (void)printf("%s: nothing to repair\n", report->image);
        return;
    }
    (void)printf("%s: %" PRIu64 " %s, %" PRIu64 " %s left", report->image, totals->repaired,
                 report->dry_run ? "to be repaired" : "repaired", errors_left,
                 errors_left == 1 ? "error" : "errors");
    if (errors_left > 0 || totals->refused > 0)
        (void)printf("; plat verify %s shows %s", report->image, report->dry_run ? "all" : "what remains");
    (void)printf("\n");
}

static void closing_json(struct repair_report *report, const struct repair_totals *totals,
                         uint64_t errors_left, const struct plat_err *err)
{
    struct strbuf out = {0};
    strbuf_puts(&out, "{\"image\": ");
    strbuf_json(&out, report->image, strlen(report->image));
    strbuf_printf(&out, ", \"dry_run\": %s,\n \"repairs\": [%s],\n \"refused\": [%s]",
                  report->dry_run ? "true" : "false", strbuf_str(&report->repairs),
                  strbuf_str(&report->refusals));
    strbuf_printf(&out,
                  ",\n \"totals\": {\"repaired\": %" PRIu64 ", \"refused\": %" PRIu64
                  ", \"errors_left\": %" PRIu64 "}",
                  totals->repaired, totals->refused, errors_left);
    if (err->class != 0) {
        strbuf_puts(&out, ", ");
        json_member(&out, "error", err->text);
    }
    strbuf_puts(&out, "}\n");
    put(&out);
}

/* The image, locked; or for a dry run what it would be, in memory. */
static int open_image(const char *path, bool dry_run, struct plat_dev **ret_file, struct plat_dev **ret_dev,
                      struct plat_err *err)
{
    int rc = dev_open_file(path, !dry_run, ret_file, err);
    if (rc != 0)
        return dry_run || (rc != PLAT_EIO)
                   ? rc
                   : err_prefix(err, "a repair writes to the image (--dry-run only looks)");
    if (dry_run)
        return dev_open_overlay(*ret_file, ret_dev, err);
    *ret_dev = *ret_file;
    return dev_lock(*ret_file, err);
}

static int run(struct cli *cli)
{
    struct repair_report report = {
        .image = cli->args[0], .json = cli_flag(cli, "json"), .dry_run = cli_flag(cli, "dry-run")};
    const struct repair_sink sink = {.ctx = &report, .repaired = on_repaired, .refused = on_refused};
    struct stack_options options = {.partition = cli_text(cli, "partition"), .degraded = true};
    struct repair_totals totals = {0};
    struct plat_dev *file = NULL, *dev = NULL;
    struct plat_err err = {0};
    uint64_t errors_left = 0, sector_bytes = 0;
    int code = EXIT_YES;
    if (cli_number(cli, "sector-bytes", &sector_bytes) && sector_bytes != 512 && sector_bytes != 4096)
        return cli_usage(cli, "--sector-bytes %" PRIu64 ": 512 or 4096", sector_bytes);
    options.sector_bytes = (uint32_t)sector_bytes;
    int rc = open_image(report.image, report.dry_run, &file, &dev, &err);
    if (rc == 0)
        rc = stack_repair(dev, &options, &sink, &totals, &err);
    if (rc == 0)
        rc = count_errors(dev, &options, &errors_left, &err);
    if (rc != 0 && err.class == 0)
        (void)err_nomem(&err, "reporting repairs");
    if (rc != 0)
        err_image(&err, report.image);
    if (report.json)
        closing_json(&report, &totals, errors_left, &err);
    else if (rc == 0)
        closing_line(&report, &totals, errors_left);
    if (rc != 0)
        code = cli_fail(cli, &err);
    else if (errors_left > 0 || totals.refused > 0 || (report.dry_run && totals.repaired > 0))
        code = EXIT_NO;
    if (dev != file)
        dev_close(dev);
    dev_close(file);
    strbuf_free(&report.repairs);
    strbuf_free(&report.refusals);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    {.letter = 'p',
     .name = "partition",
     .kind = OPTION_TEXT,
     .argument = "NAME|NUMBER",
     .doc = "this partition alone; the table and all others are left as they are",
     .complete = COMPLETE_NONE},
    {.name = "sector-bytes",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .doc = "logical sector size of the disk: 512 or 4096; found out unless given",
     .complete = COMPLETE_NONE},
    {.letter = 'n', .name = "dry-run", .kind = OPTION_FLAG, .doc = "say what would be done; write nothing"},
    {.name = "json", .kind = OPTION_FLAG, .doc = "print one JSON document"},
};

const struct command command_repair = {
    .name = "repair",
    .group = "Inspect",
    .summary = "rewrite bad copies of structures from good ones",
    .synopsis = "IMAGE",
    .doc =
        "Where a format keeps a second copy of a structure (the two halves of a GPT, the FATs, boot sectors "
        "and\n"
        "FSInfo of a FAT32, the superblocks of a store), and one of them is bad, it is rewritten from the "
        "good\n"
        "one, in place. Nothing else is touched.\n"
        "\n"
        "A copy is good when every check that plat verify makes passes with it. Where both are bad, or both "
        "are\n"
        "good and differ, this is said and neither is touched. Only bytes that differ are written; they are\n"
        "flushed, read again and compared. The good copy is never written to: a power cut does no harm, and\n"
        "repair can be run again. Another writer is refused meanwhile.\n"
        "\n"
        "Exit code: 0 nothing was wrong, or all of it was repaired; 1 faults are left (plat verify shows "
        "them), or,\n"
        "with --dry-run, something would be repaired; 2 it could not be done.\n"
        "\n"
        "With --json: {image, dry_run, repairs, refused, totals}, with \"error\" where the work could not be "
        "done.\n",
    .examples = "  plat repair disk.img\n"
                "  plat repair --dry-run disk.img\n"
                "  plat repair -p esp disk.img\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = 1,
    .complete = COMPLETE_FILE,
    .run = run,
};
