/* plat set, plat seal: fields are edited by path, and what follows from them is computed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inspect/commands.h"
#include "inspect/edit.h"
#include "inspect/render.h"
#include "lib/io/undo.h"

struct set {
    struct cli *cli;
    const char *image;
    bool json, dry_run, force, quiet;
    struct strbuf out;      /* lines, or elements of "changes" */
    struct strbuf findings; /* JSON: elements of "findings" */
    uint64_t n_changes, n_findings;
};

static const char *why_name(enum edit_why why)
{
    static const char *const names[] = {
        [EDIT_SET] = "set", [EDIT_DERIVED] = "derived", [EDIT_MIRROR] = "copy", [EDIT_FOLLOWS] = "follows"};
    return names[why];
}

static int on_change(void *ctx, const struct edit_shown *shown)
{
    struct set *set = ctx;
    struct strbuf *out = &set->out;
    set->n_changes++;
    if (set->json) {
        strbuf_puts(out, set->n_changes > 1 ? ",\n  {\"path\": " : "\n  {\"path\": ");
        strbuf_json(out, shown->path, strlen(shown->path));
        strbuf_puts(out, ", \"old\": ");
        value_json(&shown->before, out);
        strbuf_puts(out, ", \"new\": ");
        value_json(&shown->after, out);
        strbuf_printf(out, ", \"why\": \"%s\"}", why_name(shown->why));
        return out->failed ? PLAT_ENOMEM : 0;
    }
    if (set->quiet)
        return 0;
    strbuf_puts(out, paint(set->cli, PAINT_NAME));
    strbuf_visible(out, shown->path, strlen(shown->path));
    strbuf_printf(out, "%s: ", paint(set->cli, PAINT_PLAIN));
    value_text(&shown->before, out);
    strbuf_puts(out, " -> ");
    value_text(&shown->after, out);
    if (shown->why != EDIT_SET)
        strbuf_printf(out, "  %s(%s)%s", paint(set->cli, PAINT_DIM), why_name(shown->why),
                      paint(set->cli, PAINT_PLAIN));
    strbuf_putc(out, '\n');
    return render_flush(out);
}

/* Findings are messages: to stderr, unless they are part of the document. */
static int on_finding(void *ctx, const struct finding *finding)
{
    enum { MOST_SHOWN = 20 };
    struct set *set = ctx;
    struct strbuf line = {0};
    set->n_findings++;
    if (set->json) {
        strbuf_puts(&set->findings, set->n_findings > 1 ? ",\n  {\"path\": " : "\n  {\"path\": ");
        strbuf_json(&set->findings, finding->path, strlen(finding->path));
        strbuf_puts(&set->findings, ", \"id\": ");
        strbuf_json(&set->findings, finding->id, strlen(finding->id));
        strbuf_puts(&set->findings, ", \"text\": ");
        strbuf_json(&set->findings, finding->text, strlen(finding->text));
        strbuf_putc(&set->findings, '}');
        return set->findings.failed ? PLAT_ENOMEM : 0;
    }
    if (set->n_findings > MOST_SHOWN)
        return 0;
    strbuf_printf(&line, "plat %s: %s: ", set->cli->command->name, set->image);
    strbuf_visible(&line, finding->path, strlen(finding->path));
    strbuf_puts(&line, ": ");
    strbuf_visible(&line, finding->text, strlen(finding->text));
    if (finding->expected != NULL && finding->found != NULL) {
        strbuf_puts(&line, ": expected ");
        strbuf_visible(&line, finding->expected, strlen(finding->expected));
        strbuf_puts(&line, ", would be ");
        strbuf_visible(&line, finding->found, strlen(finding->found));
    }
    strbuf_printf(&line, " [%s]\n", finding->id);
    (void)fwrite(strbuf_str(&line), 1, line.len, stderr);
    strbuf_free(&line);
    return 0;
}

static void put_document(struct set *set, bool written, const struct plat_err *err)
{
    struct strbuf out = {0};
    strbuf_puts(&out, "{\"image\": ");
    strbuf_json(&out, set->image, strlen(set->image));
    strbuf_printf(&out, ", \"dry_run\": %s, \"written\": %s,\n \"changes\": [%s],\n \"findings\": [%s]",
                  set->dry_run ? "true" : "false", written ? "true" : "false", strbuf_str(&set->out),
                  strbuf_str(&set->findings));
    if (err->class != 0) {
        strbuf_puts(&out, ",\n \"error\": ");
        strbuf_json(&out, err->text, strlen(err->text));
    }
    strbuf_puts(&out, "}\n");
    (void)fwrite(strbuf_str(&out), 1, out.len, stdout);
    strbuf_free(&out);
}

/* ---- the undo file ---- */

/* Where it is: beside the image, or where --undo-file says. Free it. */
static int undo_path(const struct cli *cli, const char *image, char **ret, struct plat_err *err)
{
    const char *given = cli_text(cli, "undo-file");
    struct strbuf path = {0};
    struct stat st;
    strbuf_printf(&path, "%s%s", given != NULL ? given : image, given != NULL ? "" : ".plat-undo");
    if (path.failed) {
        strbuf_free(&path);
        return err_nomem(err, "naming an undo file");
    }
    if (given == NULL && stat(image, &st) == 0 && S_ISBLK(st.st_mode)) {
        strbuf_free(&path);
        return err_set(
            err, PLAT_EINVALID,
            "%s is a device, and beside it is no place for a file that must survive a power cut: name "
            "one with --undo-file FILE",
            image);
    }
    *ret = path.s;
    return 0;
}

static int refuse_undo(const char *undo, const char *image, struct plat_err *err)
{
    if (!undo_exists(undo))
        return 0;
    return err_set(
        err, PLAT_EINVALID,
        "an earlier change was cut off: %s holds what was there before it. plat set --undo %s brings that "
        "back; remove the file to keep the image as it is",
        undo, image);
}

static int roll_back(struct cli *cli, const char *image, const char *undo, struct plat_err *err)
{
    struct plat_dev *dev = NULL;
    struct undo_state state;
    int rc = 0;
    if (!undo_exists(undo))
        rc = err_set(err, PLAT_ENOTFOUND, "there is nothing to undo: no %s", undo);
    if (rc == 0)
        rc = dev_open_file(image, true, &dev, err);
    if (rc == 0)
        rc = dev_lock(dev, err);
    if (rc == 0)
        rc = undo_read(undo, dev, &state, err);
    if (rc == 0)
        rc = undo_restore(undo, dev, err);
    if (rc == 0)
        rc = undo_remove(undo, err);
    if (rc == 0 && !cli_flag(cli, "json"))
        (void)printf("%s: %s\n", image,
                     state.is_old   ? "nothing of the change had been written; the undo file is removed"
                     : state.is_new ? "the change was complete, and is undone"
                                    : "the change was half done, and is undone");
    dev_close(dev);
    return rc;
}

/* ---- both commands ---- */

static int settle(struct set *set, struct edit *edit, const char *undo, bool *ret_written,
                  struct plat_err *err)
{
    const char *out = cli_text(set->cli, "output");
    uint64_t errors = 0;
    int rc = 0;
    if (!edit->no_seal)
        rc = edit_judge(edit, on_finding, set, &errors, err);
    if (rc == 0 && errors > 0 && !set->force) {
        if (!set->json)
            (void)fprintf(stderr,
                          "plat %s: %s: refused, nothing was written: verify would find %" PRIu64
                          " new %s; --force writes all the same\n",
                          set->cli->command->name, set->image, errors, errors == 1 ? "error" : "errors");
        return PLAT_ESTOP;
    }
    if (rc == 0)
        rc = edit_show(edit, on_change, set, err);
    if (rc != 0 || set->dry_run)
        return rc;
    rc = out != NULL ? edit_write_to(edit, out, err) : edit_write(edit, undo, err);
    *ret_written = rc == 0;
    return rc;
}

static int change(struct set *set, bool sealing, bool *ret_written, struct plat_err *err)
{
    struct cli *cli = set->cli;
    const bool in_place = !set->dry_run && cli_text(cli, "output") == NULL;
    struct inspect_options options;
    struct edit edit = {0};
    struct field_path path = {.text = ""};
    char *undo = NULL;
    int rc = inspect_options_read(cli, true, &options, err);
    if (rc == 0 && in_place)
        rc = undo_path(cli, set->image, &undo, err);
    if (rc == 0 && in_place)
        rc = refuse_undo(undo, set->image, err);
    if (rc == 0)
        rc = edit_open(set->image, &options, in_place, &edit, err);
    edit.no_seal = !sealing && cli_flag(cli, "no-seal");
    for (size_t i = 1; rc == 0 && !sealing && i < cli->n_args; i++)
        rc = edit_set(&edit, cli->args[i], err);
    if (rc == 0 && sealing && cli->n_args > 1) {
        const struct inspect_image image = {.name = set->image, .dev = edit.file, .stack = edit.before};
        rc = inspect_path(&image, cli->args[1], &path, err);
    }
    if (rc == 0 && !edit.no_seal)
        rc = edit_seal(&edit, sealing, path.n_steps > 0 ? &path : NULL, err);
    if (rc == 0)
        rc = settle(set, &edit, undo, ret_written, err);
    path_free(&path);
    edit_close(&edit);
    inspect_options_free(&options);
    free(undo);
    return rc;
}

static int run_either(struct cli *cli, bool sealing)
{
    struct set set = {.cli = cli,
                      .image = cli->args[0],
                      .json = cli_flag(cli, "json"),
                      .dry_run = cli_flag(cli, "dry-run"),
                      .force = cli_flag(cli, "force"),
                      .quiet = cli_flag(cli, "quiet")};
    struct plat_err err = {0};
    bool written = false;
    int code = EXIT_YES, rc;
    if (!sealing && cli_flag(cli, "undo")) {
        char *undo = NULL;
        if (cli->n_args > 1 || set.dry_run || cli_text(cli, "output") != NULL)
            return cli_usage(cli, "--undo takes IMAGE alone");
        rc = undo_path(cli, set.image, &undo, &err);
        if (rc == 0)
            rc = roll_back(cli, set.image, undo, &err);
        free(undo);
    } else if (!sealing && cli->n_args < 2) {
        return cli_usage(cli, "expected PATH=VALUE behind the image");
    } else if (set.dry_run && cli_text(cli, "output") != NULL) {
        return cli_usage(cli, "--dry-run and --output exclude each other");
    } else {
        rc = change(&set, sealing, &written, &err);
        if (set.json)
            put_document(&set, written, &err);
        else if (rc == 0 && !set.quiet && set.n_changes == 0)
            (void)printf("%s: nothing to change\n", set.image);
    }
    if (rc == PLAT_ESTOP && err.class == 0) {
        code = EXIT_NO;
    } else if (rc != 0) {
        if (err.class == 0)
            (void)err_nomem(&err, "editing an image");
        if (err.image[0] == '\0')
            err_image(&err, set.image);
        code = cli_fail(cli, &err);
    }
    strbuf_free(&set.out);
    strbuf_free(&set.findings);
    return cli_finish(cli, code);
}

static int run_set(struct cli *cli)
{
    return run_either(cli, false);
}

static int run_seal(struct cli *cli)
{
    return run_either(cli, true);
}

/* clang-format off */
#define EDIT_OPTIONS                                                                                               \
    INSPECT_IMAGE_OPTIONS,                                                                                         \
    {.letter = 'o', .name = "output", .kind = OPTION_TEXT, .argument = "FILE",                                     \
     .doc = "leave IMAGE alone, and write the changed image to FILE", .complete = COMPLETE_FILE},                  \
    {.letter = 'n', .name = "dry-run", .kind = OPTION_FLAG, .doc = "show what would change; write nothing"},       \
    {.letter = 'f', .name = "force", .kind = OPTION_FLAG, .doc = "write even what verify would find fault with"},  \
    {.name = "undo-file", .kind = OPTION_TEXT, .argument = "FILE",                                                 \
     .doc = "keep the old bytes there while writing; IMAGE.plat-undo unless given", .complete = COMPLETE_FILE},    \
    {.letter = 'q', .name = "quiet", .kind = OPTION_FLAG, .doc = "do not print the changes"},                      \
    {.name = "json", .kind = OPTION_FLAG, .doc = "print one JSON document"}
/* clang-format on */

static const struct option_desc set_options[] = {
    EDIT_OPTIONS,
    {.name = "no-seal",
     .kind = OPTION_FLAG,
     .doc = "set these fields and nothing else: checksums, counts and copies stay as they are"},
    {.name = "undo",
     .kind = OPTION_FLAG,
     .doc = "bring back what was there before a change that was cut off"},
};
static const struct option_desc seal_options[] = {EDIT_OPTIONS};

const struct command command_set = {
    .name = "set",
    .group = "Inspect",
    .summary = "set fields of an image; checksums, counts and copies follow",
    .synopsis = "IMAGE PATH=VALUE...",
    .doc =
        "Sets each field that a PATH names (as for plat get) to VALUE, and writes what is derived from it: "
        "checksums\n"
        "and counts, the copies that the format keeps, checksums over those, up to the top. Prints each "
        "field that\n"
        "changes.\n"
        "\n"
        "  VALUE = number (0x for hexadecimal, 0 in front for octal fields), name of an enum value or of a "
        "partition\n"
        "          type, flags a|b, GUID, text, bytes in hexadecimal, date 2026-11-21 or "
        "2026-11-21T10:00:00Z\n"
        "\n"
        "The result is judged before anything is written: what plat verify --data would find fault with, and "
        "did not\n"
        "before, is refused. The change is made in place, with the old bytes in IMAGE.plat-undo until it is "
        "done: a power\n"
        "cut leaves the old bytes, the new ones, or that file, which plat set --undo IMAGE restores from.\n"
        "\n"
        "Exit code: 0; 1 refused by verification, nothing was written; 2 it could not be done.\n",
    .examples = "  plat set disk.img gpt.primary.disk_guid=5f2a3c1e-0b5d-4c6e-9a37-1d2e3f405162\n"
                "  plat set --dry-run disk.img esp.boot.volume_id=0x1234abcd\n"
                "  plat set disk.img 'esp.dir[\"/EFI\"][0].write_date=2026-11-21' -o new.img\n"
                "  plat set --no-seal disk.img gpt.primary.header_crc32=0\n",
    .options = set_options,
    .n_options = sizeof set_options / sizeof *set_options,
    .min_args = 1,
    .max_args = 1000,
    .complete = COMPLETE_FILE,
    .run = run_set,
};

const struct command command_seal = {
    .name = "seal",
    .group = "Inspect",
    .summary = "compute checksums, counts and copies of an image anew",
    .synopsis = "IMAGE [PATH]",
    .doc = "Computes every derived field anew (under PATH alone, if it is given) and writes those that are "
           "stale: after\n"
           "plat set --no-seal, a hexeditor, or dd. Copies get what their original has. This makes checksums "
           "fit whatever is\n"
           "there: use plat repair for what has been damaged.\n"
           "\n"
           "Judged and written as plat set does.\n"
           "\n"
           "Exit code: 0; 1 refused by verification, nothing was written; 2 it could not be done.\n",
    .examples = "  plat seal disk.img\n"
                "  plat seal --dry-run disk.img gpt\n",
    .options = seal_options,
    .n_options = sizeof seal_options / sizeof *seal_options,
    .min_args = 1,
    .max_args = 2,
    .complete = COMPLETE_FILE,
    .run = run_seal,
};
