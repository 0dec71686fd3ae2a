/* plat golden: pins what an image holds in a text file, and compares images with it. */
#include "inspect/golden.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/commands.h"
#include "inspect/render.h"

enum { PINNED, FOUND, MAX_SHOWN = 1000, SMALL_FROM = 1024, FLUSH_BYTES = 1 << 16 };

struct golden {
    const struct cli *cli;
    struct golden_head head;
    struct picture_filter filter;
    struct inspect_image image;
    struct picture picture;
    struct records *sets[RECORDS_SIDES];
    bool any, json;
    uint64_t n_lines, n_failed, shown, max;
    struct strbuf out;
};

/* ---- lines of a group ---- */

struct row {
    char *name, *value, *place; /* in a copy of the group's body */
};
struct rows {
    char *text;
    struct row *list;
    size_t n;
};

static void rows_free(struct rows *rows)
{
    free(rows->text);
    free(rows->list);
}

/* "NAME = VALUE", and behind a tab the place. */
static int split_rows(const struct record_view *group, struct rows *ret, struct plat_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < group->body_bytes; i++)
        n += group->body[i] == '\n';
    ret->text = malloc(group->body_bytes + 1);
    ret->list = calloc(n + 1, sizeof *ret->list);
    if (ret->text == NULL || ret->list == NULL)
        return err_nomem(err, "comparing with a golden file");
    memcpy(ret->text, group->body, group->body_bytes);
    ret->text[group->body_bytes] = '\0';
    for (char *at = ret->text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        char *equals = strstr(at, " = "), *tab = strchr(at, '\t');
        if (equals == NULL)
            continue;
        if (tab != NULL)
            *tab = '\0';
        *equals = '\0';
        ret->list[ret->n++] =
            (struct row){.name = at, .value = equals + 3, .place = tab != NULL ? tab + 1 : end};
    }
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static bool in_step(const struct rows *a, const struct rows *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = compare_rows(&a->list[i], &b->list[i]) == 0;
    return same;
}

/* ---- failures ---- */

static void put_text(struct golden *golden, const char *path, const struct row *const rows[RECORDS_SIDES])
{
    struct strbuf *out = &golden->out;
    strbuf_printf(out, "%s%s%s: ", paint(golden->cli, PAINT_STRONG), path, paint(golden->cli, PAINT_PLAIN));
    if (rows[PINNED] != NULL)
        strbuf_printf(out, "pinned %s, ", rows[PINNED]->value);
    if (rows[FOUND] != NULL)
        strbuf_printf(out, "found %s%s", rows[FOUND]->value, rows[PINNED] == NULL ? ", not pinned" : "");
    else
        strbuf_puts(out, "not found");
    if (rows[FOUND] != NULL && rows[FOUND]->place[0] != '\0')
        strbuf_printf(out, "  %sat %s%s", paint(golden->cli, PAINT_DIM), rows[FOUND]->place,
                      paint(golden->cli, PAINT_PLAIN));
    strbuf_putc(out, '\n');
}

static void put_json(struct golden *golden, const char *path, const struct row *const rows[RECORDS_SIDES])
{
    struct strbuf *out = &golden->out;
    strbuf_puts(out, golden->any ? ",\n  {\"path\": " : "\n  {\"path\": ");
    golden->any = true;
    strbuf_json(out, path, strlen(path));
    for (int side = 0; side < RECORDS_SIDES; side++) {
        strbuf_puts(out, side == PINNED ? ", \"pinned\": " : ", \"found\": ");
        if (rows[side] != NULL)
            strbuf_json(out, rows[side]->value, strlen(rows[side]->value));
        else
            strbuf_puts(out, "null");
    }
    if (rows[FOUND] != NULL && rows[FOUND]->place[0] != '\0') {
        strbuf_puts(out, ", \"place\": ");
        strbuf_json(out, rows[FOUND]->place, strlen(rows[FOUND]->place));
    }
    strbuf_putc(out, '}');
}

/* "structure gpt.primary" and "my_lba" as "gpt.primary.my_lba"; "bytes esp.free free" and "sum" as "esp.free:sum". */
static void row_path(struct strbuf *out, const char *group, const char *name)
{
    const char *word = strchr(group, ' '), *path = word != NULL ? word + 1 : group;
    const char *kind = strncmp(group, "bytes ", 6) == 0 ? strrchr(path, ' ') : NULL;
    const bool dotted = word == NULL || strncmp(group, "structure ", 10) == 0;
    strbuf_add(out, path, kind != NULL ? (size_t)(kind - path) : strlen(path));
    if (name[0] != '\0')
        strbuf_printf(out, "%c%s", dotted ? '.' : ':', name);
}

static int fail(struct golden *golden, const char *group, const struct row *const rows[RECORDS_SIDES],
                struct plat_err *err)
{
    struct strbuf path = {0};
    golden->n_failed++;
    if (golden->shown == golden->max)
        return 0;
    golden->shown++;
    row_path(&path, group, (rows[PINNED] != NULL ? rows[PINNED] : rows[FOUND])->name);
    if (golden->json)
        put_json(golden, strbuf_str(&path), rows);
    else
        put_text(golden, strbuf_str(&path), rows);
    strbuf_free_into(&path, &golden->out);
    int rc = golden->out.len < FLUSH_BYTES && !golden->out.failed ? 0 : render_flush(&golden->out);
    return rc == PLAT_ENOMEM ? err_nomem(err, "comparing with a golden file") : rc;
}

/* A pinned line that --only and --ignore of this call leave out. */
static bool left_out(const struct golden *golden, const char *group, const struct row *row)
{
    struct strbuf path = {0};
    row_path(&path, group, row->name);
    const bool wanted = path.failed || picture_wanted(&golden->filter, strbuf_str(&path));
    strbuf_free(&path);
    return !wanted;
}

/* A structure or file that is not there, or that nobody pinned, is one failure. */
static int compare_alone(struct golden *golden, const struct record_view *view, int side,
                         struct plat_err *err)
{
    struct rows rows = {0};
    char text[40], name[] = "", place[1] = "";
    int rc = split_rows(view, &rows, err);
    uint64_t n = 0;
    for (size_t i = 0; rc == 0 && i < rows.n; i++)
        n += side == FOUND || !left_out(golden, view->key, &rows.list[i]);
    (void)snprintf(text, sizeof text, "%" PRIu64 " value%s", n, n == 1 ? "" : "s");
    struct row row = {.name = name, .value = text, .place = place};
    const struct row *const pair[RECORDS_SIDES] = {side == PINNED ? &row : NULL, side == FOUND ? &row : NULL};
    golden->n_lines += n;
    if (rc == 0 && n > 0)
        rc = fail(golden, view->key, pair, err);
    rows_free(&rows);
    return rc;
}

static int compare_group(struct golden *golden, const struct record_view views[RECORDS_SIDES],
                         struct plat_err *err)
{
    struct rows rows[RECORDS_SIDES] = {{0}};
    const char *group = views[PINNED].key;
    int rc = 0;
    if (views[PINNED].key == NULL || views[FOUND].key == NULL) {
        const int side = views[PINNED].key != NULL ? PINNED : FOUND;
        return compare_alone(golden, &views[side], side, err);
    }
    for (int side = 0; rc == 0 && side < RECORDS_SIDES; side++)
        rc = split_rows(&views[side], &rows[side], err);
    const struct rows *a = &rows[PINNED], *b = &rows[FOUND];
    const bool sorted = !in_step(a, b);
    if (sorted && a->n > 0)
        qsort(a->list, a->n, sizeof *a->list, compare_rows);
    if (sorted && b->n > 0)
        qsort(b->list, b->n, sizeof *b->list, compare_rows);
    for (size_t i = 0, k = 0; rc == 0 && (i < a->n || k < b->n);) {
        const int order = i == a->n ? 1 : k == b->n ? -1 : compare_rows(&a->list[i], &b->list[k]);
        const struct row *const pair[RECORDS_SIDES] = {order <= 0 ? &a->list[i] : NULL,
                                                       order >= 0 ? &b->list[k] : NULL};
        i += order <= 0;
        k += order >= 0;
        if (pair[FOUND] == NULL && left_out(golden, group, pair[PINNED]))
            continue;
        golden->n_lines++;
        if (order != 0 || strcmp(pair[PINNED]->value, pair[FOUND]->value) != 0)
            rc = fail(golden, group, pair, err);
    }
    rows_free(&rows[PINNED]);
    rows_free(&rows[FOUND]);
    return rc;
}

/* ---- record ---- */

static void put_head(FILE *file, const struct golden *golden, const char *partition)
{
    (void)fprintf(file, "plat-golden %d\n", (int)GOLDEN_VERSION);
    if (partition != NULL)
        (void)fprintf(file, "partition %s\n", partition);
    for (size_t i = 0; i < golden->filter.n_only; i++)
        (void)fprintf(file, "only %s\n", golden->filter.only[i]);
    for (size_t i = 0; i < golden->filter.n_ignore; i++)
        (void)fprintf(file, "ignore %s\n", golden->filter.ignore[i]);
}

/* Into a device that is only seen when it is complete. */
static int write_groups(const struct golden *golden, FILE *file, struct plat_err *err)
{
    struct record_view group;
    int rc = records_rewind(golden->sets[FOUND], err);
    put_head(file, golden, cli_text(golden->cli, "partition"));
    while (rc == 0 && (rc = records_next(golden->sets[FOUND], &group, err)) == 0 && group.key != NULL) {
        const char *at = (const char *)group.body, *behind = at + group.body_bytes;
        (void)fprintf(file, "\n%s\n", group.key);
        while (at < behind) {
            const char *end = memchr(at, '\n', (size_t)(behind - at));
            const char *tab = memchr(at, '\t', (size_t)(behind - at));
            (void)fprintf(file, "    %.*s\n", (int)(tab - at), at);
            at = end + 1;
        }
    }
    return rc;
}

static int record(struct golden *golden, const char *to, struct plat_err *err)
{
    const bool out = strcmp(to, "-") == 0;
    FILE *file = out ? stdout : tmpfile();
    if (file == NULL)
        return err_set(err, PLAT_EIO, "a temporary file cannot be made (TMPDIR)");
    int rc = write_groups(golden, file, err);
    struct plat_dev *dev = NULL;
    const long size = out ? 0 : ftell(file);
    if (rc == 0 && (fflush(file) != 0 || ferror(file) || size < 0))
        rc = err_set(err, PLAT_EIO, "writing the golden file failed: is the disk full?");
    if (rc == 0 && !out)
        rc = dev_output_open(to, (uint64_t)size, &dev, err);
    if (rc == 0 && !out) {
        (void)rewind(file);
        rc = dev_write_from_fd(dev, 0, fileno(file), (uint64_t)size, err);
    }
    if (rc == 0 && !out)
        rc = dev_output_commit(dev, err);
    dev_close(dev);
    if (!out)
        (void)fclose(file);
    return rc;
}

/* ---- check ---- */

static int compare_groups(struct golden *golden, struct plat_err *err)
{
    struct records_pair pair = {.sets = {golden->sets[PINNED], golden->sets[FOUND]}};
    struct record_view views[RECORDS_SIDES];
    int rc = records_rewind(pair.sets[PINNED], err);
    if (rc == 0)
        rc = records_rewind(pair.sets[FOUND], err);
    if (golden->json)
        strbuf_puts(&golden->out, "{\"failures\": [");
    while (rc == 0 && (rc = records_pair_next(&pair, views, err)) == 0 &&
           (views[PINNED].key != NULL || views[FOUND].key != NULL))
        rc = compare_group(golden, views, err);
    return rc;
}

static int show_end(struct golden *golden, struct plat_err *err)
{
    struct strbuf *out = &golden->out;
    if (golden->json) {
        strbuf_printf(out, "],\n \"values\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n", golden->n_lines,
                      golden->n_failed);
    } else {
        if (golden->n_failed > golden->shown) {
            render_plural(out, golden->n_failed - golden->shown, "more failure");
            strbuf_puts(out, " (--max)\n");
        }
        strbuf_visible(out, golden->image.name, strlen(golden->image.name));
        strbuf_puts(out, golden->n_failed == 0 ? ": as pinned, " : ": not as pinned: ");
        if (golden->n_failed > 0) {
            render_count(out, golden->n_failed);
            strbuf_puts(out, " of ");
        }
        render_plural(out, golden->n_lines, "value");
        strbuf_putc(out, '\n');
    }
    int rc = render_flush(out);
    return rc == PLAT_ENOMEM ? err_nomem(err, "comparing with a golden file") : rc;
}

/* ---- the command ---- */

/* The patterns of the file, and of this call behind them. */
static int join_patterns(struct golden *golden, struct plat_err *err)
{
    struct golden_patterns *only = &golden->head.only, *ignore = &golden->head.ignore;
    const char *const *list;
    for (int i = 0; i < 2; i++) {
        struct golden_patterns *patterns = i == 0 ? only : ignore;
        const size_t n = cli_list(golden->cli, i == 0 ? "only" : "ignore", &list);
        for (size_t k = 0; k < n; k++) {
            if (patterns->n == GOLDEN_MAX_PATTERNS || strpbrk(list[k], "\n\r") != NULL)
                return err_set(err, PLAT_EINVALID, "a pattern with a line break, or more than %d of them",
                               (int)GOLDEN_MAX_PATTERNS);
            patterns->list[patterns->n++] = list[k];
        }
    }
    golden->filter = (struct picture_filter){
        .only = only->list, .ignore = ignore->list, .n_only = only->n, .n_ignore = ignore->n};
    return 0;
}

static int take(struct golden *golden, const struct inspect_options *options, struct plat_err *err)
{
    const bool part = options->stack.partition != NULL;
    const bool all = !part && golden->filter.n_only + golden->filter.n_ignore == 0;
    int rc = inspect_open_any(golden->cli->args[1], options, &golden->image, err);
    if (rc == 0)
        rc = picture_open(&golden->image, part, &golden->filter, &golden->picture, err);
    golden->picture.small_from = SMALL_FROM;
    if (rc == 0)
        rc = picture_take(&golden->picture, err);
    if (rc == 0)
        rc = golden_take(&golden->picture, all, golden->sets[FOUND], err);
    if (rc != 0)
        err_image(err, golden->cli->args[1]);
    return rc;
}

static int work(struct golden *golden, struct inspect_options *options, bool check, struct plat_err *err)
{
    int rc = records_open(&golden->sets[PINNED], err);
    if (rc == 0)
        rc = records_open(&golden->sets[FOUND], err);
    if (rc == 0 && check)
        rc = golden_read(golden->cli->args[2], &golden->head, golden->sets[PINNED], err);
    if (rc == 0)
        rc = join_patterns(golden, err);
    if (rc == 0 && options->stack.partition == NULL)
        options->stack.partition = golden->head.partition;
    if (rc == 0)
        rc = take(golden, options, err);
    if (rc == 0 && check)
        rc = compare_groups(golden, err);
    if (rc == 0 && check)
        return show_end(golden, err);
    return rc == 0 ? record(golden, cli_text(golden->cli, "output"), err) : rc;
}

static int run(struct cli *cli)
{
    const bool check = strcmp(cli->args[0], "check") == 0;
    struct golden golden = {.cli = cli, .json = cli_flag(cli, "json"), .max = MAX_SHOWN};
    struct inspect_options options;
    struct plat_err err = {0};
    if (!check && strcmp(cli->args[0], "record") != 0)
        return cli_usage(cli, "expected 'record' or 'check', found '%s'", cli->args[0]);
    if (check ? cli->n_args != 3 : cli->n_args != 2)
        return cli_usage(cli, check ? "check takes an image and a golden file" : "record takes one image");
    if (check != (cli_text(cli, "output") == NULL))
        return cli_usage(cli, check ? "check writes nothing: no -o"
                                    : "record needs -o FILE ('-': standard output)");
    if (!check && golden.json)
        return cli_usage(cli, "--json belongs to check");
    if (!cli_number(cli, "max", &golden.max) && golden.json)
        golden.max = UINT64_MAX;
    int rc = inspect_options_read(cli, true, &options, &err);
    if (rc == 0)
        rc = work(&golden, &options, check, &err);
    int code = golden.n_failed > 0 ? EXIT_NO : EXIT_YES;
    if (rc != 0 && rc != PLAT_ESTOP)
        code = cli_fail(cli, &err);
    picture_close(&golden.picture);
    inspect_close(&golden.image);
    records_close(golden.sets[PINNED]);
    records_close(golden.sets[FOUND]);
    arena_free(&golden.head.arena);
    strbuf_free(&golden.out);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    {.letter = 'o',
     .name = "output",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .doc = "record: the file to write; - is standard output",
     .complete = COMPLETE_FILE},
    PICTURE_PATTERN_OPTIONS,
    {.name = "max",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .doc = "check: show so many failures at most (1000)"},
    {.name = "json", .kind = OPTION_FLAG, .doc = "check: print one JSON document"},
};

const struct command command_golden = {
    .name = "golden",
    .group = "Inspect",
    .summary = "pin what an image holds in a text file, and check images against it",
    .synopsis = "record IMAGE -o FILE | check IMAGE FILE",
    .doc = "record writes down all structures with their fields, all files with the SHA-256 of their "
           "contents, and sums of\n"
           "all other bytes, one value a line: a file to be reviewed and kept beside the source. check "
           "compares an image\n"
           "with it; each failure names the field, where it lies, what was pinned, and what was found.\n"
           "\n"
           "What --only and --ignore left out when the file was recorded is left out of each check. Without "
           "them and -p,\n"
           "an image that passes has the bytes of the one that was recorded.\n"
           "\n"
           "Exit status: 0 as pinned, 1 not as pinned, 2 it could not be found out.\n",
    .examples = "  plat golden record disk.img -o disk.golden\n"
                "  plat golden record disk.img --ignore '*.mtime' --ignore '*:mtime' -o disk.golden\n"
                "  plat golden check disk.img disk.golden\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .min_args = 1,
    .max_args = 3,
    .complete = COMPLETE_FILE,
    .subcommands = "record|check",
    .run = run,
};
