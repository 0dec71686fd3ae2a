/* plat verify: judging images. */
#include "inspect/commands.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "inspect/open.h"
#include "inspect/render.h"
#include "lib/fs/verify.h"

enum { FINDINGS_SHOWN = 1000 }; /* more text than that nobody reads; programs get all of them */

struct report {
    const struct cli *cli;
    const char *image;
    struct strbuf out;
    bool json, quiet, data;
    uint64_t data_bytes; /* read by --data */
    uint64_t data_ns;    /* and how long it took */
    uint64_t max;        /* findings to show */
    uint64_t shown;
    uint64_t left_off;
};

static void finding_place(struct strbuf *out, const struct finding *finding)
{
    if (!finding->has_offset)
        return;
    strbuf_printf(out, " at 0x%" PRIx64, finding->offset);
    if (finding->stream != NULL)
        strbuf_printf(out, " (%s+0x%" PRIx64 ")", finding->stream, finding->position);
}

static void finding_text(struct report *report, const struct finding *finding)
{
    const struct cli *cli = report->cli;
    struct strbuf *out = &report->out;
    strbuf_printf(out, "%s: %s%s%s: ", report->image, paint(cli, paint_severity(finding->severity)),
                  severity_name(finding->severity), paint(cli, PAINT_PLAIN));
    if (finding->path != NULL && finding->path[0] != '\0') {
        strbuf_puts(out, paint(cli, PAINT_STRONG));
        strbuf_visible(out, finding->path, strlen(finding->path));
        strbuf_puts(out, paint(cli, PAINT_PLAIN));
        finding_place(out, finding);
        strbuf_puts(out, ": ");
    } else if (finding->has_offset) {
        strbuf_printf(out, "at 0x%" PRIx64 ": ", finding->offset);
    }
    if (finding->text != NULL)
        strbuf_visible(out, finding->text, strlen(finding->text));
    strbuf_putc(out, '\n');
    if (finding->expected != NULL || finding->found != NULL) {
        strbuf_puts(out, "    expected ");
        strbuf_puts(out, finding->expected != NULL ? finding->expected : "something else");
        if (finding->found != NULL)
            strbuf_printf(out, ", found %s", finding->found);
        strbuf_putc(out, '\n');
    }
    if (finding->refused_by != NULL && finding->refused_by[0] != NULL) {
        strbuf_puts(out, "    refused by ");
        for (size_t i = 0; finding->refused_by[i] != NULL; i++)
            strbuf_printf(out, "%s%s", i == 0 ? "" : ", ", finding->refused_by[i]);
        strbuf_putc(out, '\n');
    }
}

static void json_text(struct strbuf *out, const char *key, const char *text)
{
    strbuf_printf(out, ", \"%s\": ", key);
    if (text != NULL)
        strbuf_json(out, text, strlen(text));
    else
        strbuf_puts(out, "null");
}

static void finding_json(struct report *report, const struct finding *finding)
{
    struct strbuf *out = &report->out;
    strbuf_printf(out, "%s\n  {\"severity\": \"%s\"", report->shown == 0 ? "" : ",",
                  severity_name(finding->severity));
    json_text(out, "id", finding->id);
    json_text(out, "path", finding->path);
    if (finding->has_offset)
        strbuf_printf(out, ", \"offset\": %" PRIu64, finding->offset);
    else
        strbuf_puts(out, ", \"offset\": null");
    strbuf_printf(out, ", \"bytes\": %" PRIu64, finding->bytes);
    if (finding->stream != NULL) {
        json_text(out, "stream", finding->stream);
        strbuf_printf(out, ", \"position\": %" PRIu64, finding->position);
    }
    json_text(out, "text", finding->text);
    json_text(out, "expected", finding->expected);
    json_text(out, "found", finding->found);
    strbuf_puts(out, ", \"refused_by\": [");
    for (size_t i = 0; finding->refused_by != NULL && finding->refused_by[i] != NULL; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        strbuf_json(out, finding->refused_by[i], strlen(finding->refused_by[i]));
    }
    strbuf_puts(out, "]}");
}

static int on_finding(void *ctx, const struct finding *finding)
{
    struct report *report = ctx;
    if (report->shown == report->max) {
        report->left_off++;
        return 0;
    }
    if (report->json)
        finding_json(report, finding);
    else if (!report->quiet)
        finding_text(report, finding);
    report->shown++;
    return render_flush(&report->out);
}

static void closing_line(struct report *report, const struct verify_totals *totals)
{
    const struct cli *cli = report->cli;
    struct strbuf *out = &report->out;
    enum paint colour = totals->errors > 0 ? PAINT_ERROR : totals->warnings > 0 ? PAINT_WARNING : PAINT_VALUE;
    strbuf_printf(out, "%s: %s", report->image, paint(cli, colour));
    render_plural(out, totals->errors, "error");
    strbuf_puts(out, ", ");
    render_plural(out, totals->warnings, "warning");
    strbuf_puts(out, ", ");
    render_plural(out, totals->notes, "note");
    strbuf_puts(out, paint(cli, PAINT_PLAIN));
    strbuf_puts(out, " in ");
    render_plural(out, totals->structures, "structure");
    if (report->data && report->data_bytes > 0) {
        char size[16], rate[16];
        format_size(report->data_bytes, size);
        double seconds = (double)(report->data_ns + 1) / 1e9;
        format_size((uint64_t)((double)report->data_bytes / seconds), rate);
        strbuf_printf(out, ", %s of contents at %s/s", size, rate);
    }
    if (report->left_off > 0) {
        strbuf_puts(out, " (");
        render_plural(out, report->left_off, "finding");
        strbuf_puts(out, " not shown; --max N shows more)");
    }
    strbuf_putc(out, '\n');
}

/* What stopped the work, on stderr, and where the object of this image is open, in there. */
static int cannot(struct report *report, struct plat_err *err)
{
    err_image(err, report->image);
    if (report->json)
        json_text(&report->out, "error", err->text);
    return cli_fail(report->cli, err);
}

/* Every byte of the contents, with a progress line. */
static int verify_data(struct report *report, const struct inspect_image *image,
                       const struct finding_sink *sink, struct verify_totals *totals, struct plat_err *err)
{
    struct cli_progress bar;
    struct timespec start, end;
    cli_progress_init(&bar, report->cli, "reading", 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    int r = stack_scrub(image->stack, sink, totals, &bar.progress, err);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    cli_progress_done(&bar);
    report->data_bytes = bar.progress.done_bytes;
    report->data_ns = (uint64_t)((end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec);
    return r;
}

static int verify_layers(struct report *report, const struct inspect_image *image,
                         struct verify_totals *totals, struct plat_err *err)
{
    const struct finding_sink sink = {.fn = on_finding, .ctx = report};
    report->shown = 0;
    report->left_off = 0;
    report->data_bytes = 0;
    if (report->json)
        strbuf_puts(&report->out, ", \"findings\": [");
    int r = stack_verify(image->stack, &sink, totals, err);
    if (r == 0 && report->data)
        r = verify_data(report, image, &sink, totals, err);
    if (report->json)
        strbuf_printf(&report->out,
                      "],\n \"totals\": {\"errors\": %" PRIu64 ", \"warnings\": %" PRIu64
                      ", \"notes\": %" PRIu64 ", \"structures\": %" PRIu64 ", \"data_bytes\": %" PRIu64
                      ", \"not_shown\": %" PRIu64 "}",
                      totals->errors, totals->warnings, totals->notes, totals->structures, report->data_bytes,
                      report->left_off);
    else if (!report->quiet && r == 0)
        closing_line(report, totals);
    return r == PLAT_ESTOP ? 0 : r;
}

static int verify_one(struct report *report, const struct inspect_options *options, bool strict)
{
    struct inspect_image image = {0};
    struct verify_totals totals = {0};
    struct plat_err err = {0};
    if (report->json) {
        strbuf_puts(&report->out, "{\"image\": ");
        strbuf_json(&report->out, report->image, strlen(report->image));
    }
    int r = inspect_open(report->image, options, true, &image, &err);
    if (r == 0)
        r = verify_layers(report, &image, &totals, &err);
    int code = totals.errors > 0 || (strict && totals.warnings > 0) ? EXIT_NO : EXIT_YES;
    if (r != 0)
        code = cannot(report, &err);
    if (report->json)
        strbuf_puts(&report->out, "}");
    if (render_flush(&report->out) == PLAT_ENOMEM) {
        (void)err_nomem(&err, "printing findings");
        code = cli_fail(report->cli, &err);
    }
    inspect_close(&image);
    return code;
}

static int run(struct cli *cli)
{
    struct report report = {.cli = cli,
                            .json = cli_flag(cli, "json"),
                            .quiet = cli_flag(cli, "quiet"),
                            .data = cli_flag(cli, "data")};
    struct inspect_options options;
    struct plat_err err = {0};
    int code = EXIT_YES;
    report.max = report.json ? UINT64_MAX : FINDINGS_SHOWN;
    (void)cli_number(cli, "max", &report.max);
    if (inspect_options_read(cli, true, &options, &err) != 0) {
        inspect_options_free(&options);
        return cli_fail(cli, &err);
    }
    bool list = report.json && cli->n_args > 1;
    strbuf_puts(&report.out, list ? "[" : "");
    for (size_t i = 0; i < cli->n_args && !ferror(stdout); i++) {
        strbuf_puts(&report.out, list && i > 0 ? ",\n " : "");
        report.image = cli->args[i];
        int one = verify_one(&report, &options, cli_flag(cli, "strict"));
        code = one > code ? one : code;
    }
    strbuf_puts(&report.out, list ? "]" : "");
    strbuf_puts(&report.out, report.json ? "\n" : "");
    (void)render_flush(&report.out);
    strbuf_free(&report.out);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    {.name = "json", .kind = OPTION_FLAG, .doc = "print findings and totals as JSON"},
    {.letter = 'q', .name = "quiet", .kind = OPTION_FLAG, .doc = "print nothing; the exit code tells"},
    {.name = "data",
     .kind = OPTION_FLAG,
     .doc = "read file contents as well: checksums, free space, padding"},
    {.name = "strict", .kind = OPTION_FLAG, .doc = "warnings count as faults, too"},
    {.name = "max",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .doc = "show N findings at most: 1000 unless told, with --json all; all are counted"},
};

const struct command command_verify = {
    .name = "verify",
    .group = "Inspect",
    .summary = "check every layer of an image",
    .synopsis = "IMAGE...",
    .doc =
        "Checks every structure of every layer of each IMAGE (partition tables, filesystems) against its "
        "layout:\n"
        "constants, checksums, counts, copies, reserved bytes, and what the layers say of one another; "
        "then chains,\n"
        "directories and overlaps. Each finding names the path and absolute byte offset of what is wrong, "
        "what was\n"
        "expected and found, and who refuses such an image: firmware, kernels, tools.\n"
        "\n"
        "With --data every byte of the contents is read as well, in ascending order, and compared with its "
        "checksum;\n"
        "free space and padding must be zero. Formats without checksums of contents say so in a note.\n"
        "\n"
        "Exit code: 0 no errors (warnings and notes do not count, unless --strict); 1 errors were found; "
        "2 an image\n"
        "cannot be read, or nothing in it is recognised.\n"
        "\n"
        "With --json: one object {image, findings, totals}, with \"error\" in it where the work could not "
        "be done; a list\n"
        "of them for more than one IMAGE.\n",
    .examples = "  plat verify disk.img\n"
                "  plat verify --strict -p esp disk.img\n"
                "  plat verify --data root.img\n"
                "  plat verify --json disk.img | jq '.findings[].path'\n"
                "  plat verify --schema myformat.json image.bin\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = SIZE_MAX,
    .complete = COMPLETE_FILE,
    .run = run,
};
