/* plat mutate: images with one fault each, and what was done to them. */
#include "inspect/mutate.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inspect/commands.h"
#include "inspect/render.h"

enum { SHOWN_BYTES = 64, SHOWN_CHANGES = 16 };

struct mutation {
    const struct cli *cli;
    struct mutate mutate;
    const char *directory; /* NULL: --list */
    uint64_t seed, count;
    bool verify;
    struct strbuf manifest;
    uint64_t n, n_seen; /* faults; those that verification finds */
};

/* ---- the manifest ---- */

static void put_hex(struct strbuf *out, const char *key, const uint8_t *bytes, size_t n)
{
    strbuf_printf(out, ", \"%s\": \"", key);
    for (size_t i = 0; i < n && i < SHOWN_BYTES; i++)
        strbuf_printf(out, "%02x", bytes[i]);
    strbuf_puts(out, n > SHOWN_BYTES ? "...\"" : "\"");
}

static void put_value(struct strbuf *out, const char *key, const struct mutate_fault *fault,
                      const uint8_t *bytes)
{
    struct value value;
    struct strbuf text = {0};
    value_from_bytes(fault->group->field, bytes, fault->n, &value);
    value_text(&value, &text);
    strbuf_printf(out, ", \"%s\": ", key);
    strbuf_json(out, strbuf_str(&text), text.len);
    strbuf_free_into(&text, out);
}

struct changes {
    struct strbuf *out;
    uint64_t n;
};

static int on_change(void *ctx, const struct dev_change *change, struct plat_err *err)
{
    struct changes *changes = ctx;
    (void)err;
    if (changes->n++ < SHOWN_CHANGES)
        strbuf_printf(changes->out, "%s[%" PRIu64 ", %zu]", changes->n > 1 ? ", " : "", change->offset,
                      change->n);
    return 0;
}

static void put_verdict(struct strbuf *out, const struct mutate_verdict *verdict)
{
    const char *worst = verdict->unrecognised ? "unrecognised"
                        : verdict->worst == MUTATE_WORST_NOTHING
                            ? "nothing"
                            : severity_name((enum severity)verdict->worst);
    strbuf_printf(out, ", \"verify\": \"%s\", \"breaks\": [%s]", worst, strbuf_str(&verdict->list));
}

/* Which field it is, whatever structure it is in: what the list in plat-mutate(1) speaks of. */
static void put_field(struct strbuf *out, const struct mutate_group *group)
{
    const struct stack_layer *layer = group->layer;
    const char *format = layer->image != NULL ? layer->image->layout->name : "unknown";
    if (group->kind == MUTATE_EXTENT)
        strbuf_printf(out, ", \"field\": \"%s:%s\"", format, extent_kind_name(group->extent));
    else if (group->kind == MUTATE_SWAP)
        strbuf_printf(out, ", \"field\": \"%s.%s:swap\"", format, group->type->name);
    else
        strbuf_printf(out, ", \"field\": \"%s.%s.%s\"", format, group->type->name, group->field->name);
}

static int put_fault(struct mutation *run, const struct mutate_fault *fault, struct edit *edit,
                     const struct mutate_verdict *verdict, struct plat_err *err)
{
    struct strbuf *out = &run->manifest;
    struct changes changes = {.out = out};
    strbuf_printf(
        out, "{\"file\": \"%06" PRIu64 ".img\", \"seed\": %" PRIu64 ", \"kind\": \"%s\", \"fault\": \"%s\"",
        run->n, run->seed, mutate_kind_name(fault->group->kind), fault->what);
    strbuf_puts(out, ", \"path\": ");
    strbuf_json(out, fault->target->path, strlen(fault->target->path));
    put_field(out, fault->group);
    strbuf_printf(out, ", \"offset\": %" PRIu64 ", \"bytes\": %zu", fault->at, fault->n);
    put_hex(out, "old", fault->old, fault->n);
    put_hex(out, "new", fault->new, fault->n);
    if (fault->group->field != NULL) {
        put_value(out, "old_value", fault, fault->old);
        put_value(out, "new_value", fault, fault->new);
    }
    strbuf_printf(out, ", \"sealed\": %s, \"changed\": [", fault->sealed ? "true" : "false");
    int rc = dev_overlay_changes(edit->overlay, on_change, &changes, err);
    strbuf_puts(out, "]");
    if (verdict != NULL)
        put_verdict(out, verdict);
    strbuf_puts(out, "}\n");
    if (rc == 0 && out->failed)
        rc = err_nomem(err, "writing down a fault");
    return rc;
}

/* Behind all files: where there is a manifest, there are all that it names. */
static int write_manifest(const struct mutation *run, struct plat_err *err)
{
    struct strbuf path = {0};
    struct plat_dev *out = NULL;
    strbuf_printf(&path, "%s/manifest.jsonl", run->directory);
    int rc = path.failed ? err_nomem(err, "naming a file") : 0;
    if (rc == 0)
        rc = dev_output_open(strbuf_str(&path), run->manifest.len, &out, err);
    if (rc == 0)
        rc = dev_write(out, 0, strbuf_str(&run->manifest), run->manifest.len, err);
    if (rc == 0)
        rc = dev_output_commit(out, err);
    dev_close(out);
    strbuf_free(&path);
    return rc;
}

/* ---- the work ---- */

/* New, or empty: what is in it afterwards is what the manifest says. */
static int make_directory(const char *path, struct plat_err *err)
{
    if (mkdir(path, 0777) == 0)
        return 0;
    if (errno != EEXIST)
        return err_sys(err, errno, "cannot make the directory %s", path);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return err_sys(err, errno, "cannot read the directory %s", path);
    const struct dirent *entry;
    bool empty = true;
    while ((entry = readdir(dir)) != NULL)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    (void)closedir(dir);
    return empty
               ? 0
               : err_set(err, PLAT_EINVALID, "%s is not empty: name a directory that is, or a new one", path);
}

static int write_image(const struct mutation *run, struct edit *edit, struct plat_err *err)
{
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/%06" PRIu64 ".img", run->directory, run->n);
    int rc = path.failed ? err_nomem(err, "naming a file") : edit_write_to(edit, strbuf_str(&path), err);
    strbuf_free(&path);
    return rc;
}

static int do_fault(struct mutation *run, const struct mutate_fault *fault, struct plat_err *err)
{
    struct edit edit;
    struct mutate_verdict verdict = {.worst = MUTATE_WORST_NOTHING};
    struct plat_err why = {0};
    int rc = mutate_plant(&run->mutate, fault, &edit, &why);
    if (rc == PLAT_EIO || rc == PLAT_ENOMEM || rc == PLAT_EBUG) {
        *err = why;
        return rc;
    }
    if (rc != 0) /* sealing leads nowhere: there is no such image */
        return 0;
    run->n++;
    if (run->verify)
        rc = mutate_judge(&run->mutate, &edit, &verdict, err);
    if (rc == 0)
        rc = put_fault(run, fault, &edit, run->verify ? &verdict : NULL, err);
    if (rc == 0 && run->directory != NULL)
        rc = write_image(run, &edit, err);
    else if (rc == 0)
        rc = render_flush(&run->manifest);
    run->n_seen += verdict.unrecognised || verdict.n > 0;
    strbuf_free(&verdict.list);
    edit_close(&edit);
    return rc;
}

static int do_all(struct mutation *run, struct plat_err *err)
{
    struct mutate_fault *fault = malloc(sizeof *fault);
    int rc = fault == NULL ? err_nomem(err, "planting faults") : 0;
    while (rc == 0 && run->n < run->count) {
        rc = mutate_draw(&run->mutate, fault, err);
        if (rc == 0)
            rc = do_fault(run, fault, err);
    }
    free(fault);
    return rc == PLAT_ENOTFOUND && err->class == 0 ? 0 : rc;
}

static int mutate_image(struct mutation *run, const struct inspect_options *options, struct plat_err *err)
{
    struct inspect_image image = {0};
    int rc = inspect_open(run->mutate.name, options, true, &image, err);
    run->mutate.options = options;
    run->mutate.dev = image.dev;
    run->mutate.stack = image.stack;
    run->mutate.random = run->seed;
    if (rc == 0)
        rc = mutate_gather(&run->mutate, err);
    if (rc == 0 && run->verify)
        rc = mutate_know(&run->mutate, err);
    if (rc == 0 && run->directory != NULL)
        rc = make_directory(run->directory, err);
    if (rc == 0)
        rc = do_all(run, err);
    if (rc == 0 && run->directory != NULL)
        rc = write_manifest(run, err);
    mutate_free(&run->mutate);
    inspect_close(&image);
    return rc;
}

static void say_result(const struct mutation *run)
{
    FILE *to = run->directory != NULL ? stdout : stderr;
    struct strbuf line = {0};
    strbuf_printf(&line, "%s: ", run->directory != NULL ? run->directory : run->mutate.name);
    render_plural(&line, run->n, "fault");
    if (run->verify) {
        strbuf_puts(&line, ", ");
        render_count(&line, run->n_seen);
        strbuf_puts(&line, " of them found by verify");
    }
    if (run->n < run->count)
        strbuf_puts(&line, ": there are no more that differ");
    if (run->mutate.unreachable > 0) {
        strbuf_puts(&line, "; ");
        render_plural(&line, run->mutate.unreachable, "field");
        strbuf_puts(&line, " left alone, in compressed blocks");
    }
    (void)fprintf(to, "%s\n", strbuf_str(&line));
    strbuf_free(&line);
}

static int run_mutate(struct cli *cli)
{
    struct mutation run = {.cli = cli,
                           .mutate.name = cli->args[0],
                           .directory = cli_text(cli, "output"),
                           .seed = 1,
                           .count = 100,
                           .verify = cli_flag(cli, "verify")};
    const char *seal = cli_text(cli, "seal");
    struct inspect_options options;
    struct plat_err err = {0};
    int code = EXIT_YES;
    (void)cli_number(cli, "seed", &run.seed);
    (void)cli_number(cli, "count", &run.count);
    run.mutate.n_only = cli_list(cli, "only", &run.mutate.only);
    run.mutate.sealed = seal == NULL || strcmp(seal, "no") != 0;
    run.mutate.unsealed = seal == NULL || strcmp(seal, "yes") != 0;
    if ((run.directory != NULL) == cli_flag(cli, "list"))
        return cli_usage(cli, "expected either -o DIR or --list");
    if (run.count == 0 || run.count > MUTATE_MAX_COUNT)
        return cli_usage(cli, "--count is from 1 to %d: for more, take another --seed",
                         (int)MUTATE_MAX_COUNT);
    int rc = inspect_options_read(cli, true, &options, &err);
    if (rc == 0)
        rc = mutate_image(&run, &options, &err);
    if (rc != 0 && rc != PLAT_ESTOP) {
        if (err.class == 0)
            (void)err_nomem(&err, "planting faults");
        err_image(&err, run.mutate.name);
        code = cli_fail(cli, &err);
    } else if (rc == 0) {
        say_result(&run);
    }
    strbuf_free(&run.manifest);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    {.letter = 'o',
     .name = "output",
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .doc = "write the images and manifest.jsonl there; new, or empty",
     .complete = COMPLETE_DIR},
    {.name = "list", .kind = OPTION_FLAG, .doc = "print the manifest, and write nothing"},
    {.name = "seed",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .doc = "which faults: the same number gives the same ones (1)"},
    {.name = "count", .kind = OPTION_NUMBER, .argument = "N", .doc = "how many faults, one an image (100)"},
    {.name = "seal",
     .kind = OPTION_TEXT,
     .argument = "yes|no|both",
     .doc = "make checksums, counts and copies fit the fault, or leave them stale; both: draw (default)",
     .choices = "yes|no|both",
     .complete = COMPLETE_CHOICES},
    {.name = "only",
     .kind = OPTION_LIST,
     .argument = "PATTERN",
     .doc = "faults in these paths alone: a path and what is under it, or with * and ? (repeatable)",
     .complete = COMPLETE_NONE},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .doc = "ask plat verify --data about each, and put into the manifest what it finds"},
};

const struct command command_mutate = {
    .name = "mutate",
    .group = "Inspect",
    .summary = "make images with one fault each, to test what reads them",
    .synopsis = "IMAGE",
    .doc =
        "Writes copies of IMAGE with one fault each, and a manifest that says which: a corpus for kernels, "
        "bootloaders\n"
        "and tools. Faults are chosen from what the layouts say: each field gets borders of its range, "
        "neighbours of its\n"
        "value, other names of its enumeration and unknown ones, single flags, the value of another "
        "structure; copies\n"
        "are made to differ, neighbours in arrays are swapped, single bits of contents and free space "
        "flipped. Fields\n"
        "take turns, so that a long table does not hide a short header.\n"
        "\n"
        "A fault may be sealed: checksums, counts and copies are computed anew, as plat seal does, and the "
        "reader has to\n"
        "find the fault itself. Fields in compressed blocks are left alone: make the image with plain ones "
        "(squashfs: -O\n"
        "plain=inodes,fragments,ids,xattrs).\n"
        "\n"
        "manifest.jsonl has a line for each image: file, seed, kind, fault, path, field, offset, bytes, old, "
        "new (hex),\n"
        "old_value, new_value, sealed, changed ([offset, bytes] of all that differs); with --verify also "
        "verify (error,\n"
        "warning, note, unrecognised, nothing) and breaks (the first findings).\n"
        "\n"
        "Exit code: 0; 2 it could not be done.\n",
    .examples = "  plat mutate disk.img --count 1000 -o corpus\n"
                "  plat mutate disk.img --only gpt.primary --seal yes --seed 7 -o corpus\n"
                "  plat mutate disk.img --list --verify | jq 'select(.verify == \"nothing\")'\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = 1,
    .complete = COMPLETE_FILE,
    .run = run_mutate,
};
