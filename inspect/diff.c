/* plat diff: what two images differ in, by structure and field, then by file, then by what is left. */
#include "inspect/diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/commands.h"
#include "inspect/render.h"

enum { SHOWN_AS_TEXT = 1000 };

/* ---- which layer is which ---- */

static bool same_partition(const struct stack_layer *a, const struct stack_layer *b)
{
    static const uint8_t none[sizeof a->partition.guid];
    return a->from_table && b->from_table && a->driver == b->driver &&
           memcmp(a->partition.guid, none, sizeof none) != 0 &&
           memcmp(a->partition.guid, b->partition.guid, sizeof none) == 0;
}

static size_t partner_of(const struct stack *a, const struct stack_layer *layer, const bool *taken)
{
    for (size_t i = 0; i < a->n_layers; i++)
        if (!taken[i] && strcmp(a->layers[i].prefix, layer->prefix) == 0)
            return i;
    for (size_t i = 0; i < a->n_layers; i++)
        if (!taken[i] && same_partition(&a->layers[i], layer))
            return i;
    return SIZE_MAX;
}

static const struct layout *layout_of(const struct stack_layer *layer)
{
    return layer->image != NULL ? layer->image->layout : NULL;
}

static int report_layer(struct diff *diff, enum diff_kind kind,
                        const struct stack_layer *const layers[DIFF_SIDES])
{
    struct strbuf texts[DIFF_SIDES] = {{0}};
    struct difference difference = {.part = DIFF_IMAGE, .kind = kind};
    for (int side = DIFF_B; side >= DIFF_A; side--) {
        if (layers[side] == NULL)
            continue;
        difference.path = layers[side]->prefix[0] != '\0' ? layers[side]->prefix : "image";
        render_layer(&texts[side], layers[side]);
        difference.value[side] = strbuf_str(&texts[side]);
    }
    int rc = diff_report(diff, &difference);
    strbuf_free(&texts[DIFF_A]);
    strbuf_free(&texts[DIFF_B]);
    return rc;
}

/* Pairs the layers, and tells what has no partner, or one of another format. */
static int pair_layers(struct diff *diff, size_t *layer_of_b, bool *taken)
{
    const struct stack *a = diff->images[DIFF_A].stack, *b = diff->images[DIFF_B].stack;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < b->n_layers; i++) {
        const size_t k = partner_of(a, &b->layers[i], taken);
        struct picture_layer *theirs = &diff->pictures[DIFF_B].layers[i];
        const struct stack_layer *pair[DIFF_SIDES] = {k != SIZE_MAX ? &a->layers[k] : NULL, &b->layers[i]};
        layer_of_b[i] = k;
        if (k == SIZE_MAX) {
            theirs->left_out = true;
            rc = report_layer(diff, DIFF_ADDED, pair);
            continue;
        }
        taken[k] = true;
        theirs->key = a->layers[k].prefix;
        const struct stack_layer *ours = &a->layers[k];
        if (ours->driver != b->layers[i].driver || layout_of(ours) != layout_of(&b->layers[i])) {
            theirs->files_only = diff->pictures[DIFF_A].layers[k].files_only = true;
            rc = report_layer(diff, DIFF_CHANGED, pair);
        }
    }
    for (size_t i = 0; rc == 0 && i < a->n_layers; i++) {
        const struct stack_layer *pair[DIFF_SIDES] = {&a->layers[i], NULL};
        diff->pictures[DIFF_A].layers[i].left_out = !taken[i];
        rc = taken[i] ? 0 : report_layer(diff, DIFF_REMOVED, pair);
    }
    return rc;
}

/* ---- all bytes ---- */

/* What is compared: the image, or the partition behind -p. */
static struct plat_dev *whole(const struct diff *diff, int side)
{
    const struct stack *stack = diff->images[side].stack;
    return diff->part && stack->n_layers > 0 ? stack->layers[0].dev : stack->dev;
}

/* Are they equal, and where does the first byte differ? */
static int compare_all(struct plat_dev *a, struct plat_dev *b, bool *ret_equal, uint64_t *ret_at,
                       struct plat_err *err)
{
    const struct picture_content x = {.dev = a, .bytes = a->size_bytes};
    const struct picture_content y = {.dev = b, .bytes = b->size_bytes};
    return picture_compare(&x, &y, ret_equal, ret_at, err);
}

static int report_sizes(struct diff *diff)
{
    char texts[DIFF_SIDES][40];
    struct difference difference = {.part = DIFF_IMAGE, .path = "image:bytes"};
    const uint64_t sizes[DIFF_SIDES] = {whole(diff, DIFF_A)->size_bytes, whole(diff, DIFF_B)->size_bytes};
    if (sizes[DIFF_A] == sizes[DIFF_B])
        return 0;
    for (int side = 0; side < DIFF_SIDES; side++) {
        (void)snprintf(texts[side], sizeof texts[side], "%" PRIu64 " byte", sizes[side]);
        difference.value[side] = texts[side];
    }
    return diff_report(diff, &difference);
}

/* Nothing above found what differs: bytes that moved and nothing points to, say. They are not passed over in silence. */
static int report_rest(struct diff *diff, uint64_t at)
{
    const struct stack *stack = diff->images[DIFF_A].stack;
    const uint64_t base = diff->part && stack->n_layers > 0 ? stack->layers[0].dev->base_offset : 0;
    const struct range place = {base + at, 1};
    char text[40];
    (void)snprintf(text, sizeof text, "0x%" PRIx64, base + at);
    const struct difference difference = {.part = DIFF_BYTES,
                                          .path = "image",
                                          .value = {"the same things", "other bytes"},
                                          .place = {text, text},
                                          .bytes = {&place, &place}};
    return diff_report(diff, &difference);
}

/* ---- the command ---- */

static int compare_parts(struct diff *diff, uint64_t at, struct plat_err *err)
{
    int rc = 0;
    for (int side = 0; rc == 0 && side < DIFF_SIDES; side++) {
        rc = picture_take(&diff->pictures[side], err);
        if (rc != 0)
            err_image(err, diff->images[side].name);
    }
    if (rc == 0)
        rc = diff_structs(diff, err);
    if (rc == 0)
        rc = diff_files(diff, err);
    if (rc == 0)
        rc = diff_bytes(diff, err);
    const bool chosen = diff->filter.n_only + diff->filter.n_ignore > 0;
    const struct stack *stack = diff->images[DIFF_A].stack;
    const bool beside = stack->n_layers > 0 && stack->layers[0].beside;
    if (rc == 0 && diff_total(diff) == 0 && !chosen && !(diff->part && beside))
        rc = report_rest(diff, at);
    return rc;
}

static int compare(struct diff *diff, bool *ret_equal, struct plat_err *err)
{
    const size_t n_a = diff->images[DIFF_A].stack->n_layers, n_b = diff->images[DIFF_B].stack->n_layers;
    size_t *layer_of_b = calloc(n_b + 1, sizeof *layer_of_b);
    bool *taken = calloc(n_a + 1, sizeof *taken);
    uint64_t at = 0;
    diff->seen = calloc(n_a + 1, sizeof *diff->seen);
    diff->layer_of_b = layer_of_b;
    int rc =
        layer_of_b == NULL || taken == NULL || diff->seen == NULL ? err_nomem(err, "comparing images") : 0;
    for (int side = 0; rc == 0 && side < DIFF_SIDES; side++)
        rc = picture_open(&diff->images[side], diff->part, &diff->filter, &diff->pictures[side], err);
    if (rc == 0)
        rc = compare_all(whole(diff, DIFF_A), whole(diff, DIFF_B), ret_equal, &at, err);
    if (rc == 0)
        diff_begin(diff);
    if (rc == 0 && !*ret_equal)
        rc = report_sizes(diff);
    if (rc == 0 && !*ret_equal)
        rc = pair_layers(diff, layer_of_b, taken);
    if (rc == 0 && !*ret_equal)
        rc = compare_parts(diff, at, err);
    if (rc == 0)
        rc = diff_end(diff, *ret_equal, err);
    free(layer_of_b);
    free(taken);
    free(diff->seen);
    return rc;
}

static void say_damage(const struct diff *diff)
{
    (void)fflush(stdout);
    for (int side = 0; side < DIFF_SIDES; side++)
        if (diff->pictures[side].n_damaged > 0)
            (void)fprintf(stderr, "plat diff: %s: damaged, compared as far as it can be read: %s\n",
                          diff->images[side].name, diff->pictures[side].damage);
}

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct diff diff = {.cli = cli,
                        .json = cli_flag(cli, "json"),
                        .all = cli_flag(cli, "all"),
                        .part = cli_text(cli, "partition") != NULL};
    struct plat_err err = {0};
    bool equal = false;
    diff.filter.n_only = cli_list(cli, "only", &diff.filter.only);
    diff.filter.n_ignore = cli_list(cli, "ignore", &diff.filter.ignore);
    if (!cli_number(cli, "max", &diff.max))
        diff.max = diff.json ? UINT64_MAX : SHOWN_AS_TEXT;
    int rc = inspect_options_read(cli, true, &options, &err);
    for (int side = 0; rc == 0 && side < DIFF_SIDES; side++)
        rc = inspect_open_any(cli->args[side], &options, &diff.images[side], &err);
    if (rc == 0)
        rc = compare(&diff, &equal, &err);
    int code = equal || diff_total(&diff) == 0 ? EXIT_YES : EXIT_NO;
    if (rc == 0)
        say_damage(&diff);
    else if (rc != PLAT_ESTOP)
        code = cli_fail(cli, &err);
    for (int side = 0; side < DIFF_SIDES; side++) {
        picture_close(&diff.pictures[side]);
        inspect_close(&diff.images[side]);
    }
    diff_folds_end(&diff);
    strbuf_free(&diff.out);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    PICTURE_PATTERN_OPTIONS,
    {.name = "max",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .doc = "show so many differences at most (1000 as text, all as JSON); all are counted"},
    {.name = "all", .kind = OPTION_FLAG, .doc = "show each difference, also where many are alike"},
    {.name = "json", .kind = OPTION_FLAG, .doc = "print one JSON document"},
};

const struct command command_diff = {
    .name = "diff",
    .group = "Inspect",
    .summary = "tell what two images differ in",
    .synopsis = "A B",
    .doc = "Compares two images by structure and field, then by file, then by the bytes that belong to "
           "neither, through\n"
           "all layers. Things are matched by what they are, not by where they lie: partitions by name or "
           "GUID, elements\n"
           "of an array by their own name where they have one, files by path, and what is left of them by "
           "content, so\n"
           "that a file that has moved is a move.\n"
           "\n"
           "Exit status: 0 when the bytes are equal, or all that differs is ignored; 1 when something "
           "differs; 2 when\n"
           "they could not be compared. Without --only and --ignore, 0 means byte for byte.\n",
    .examples = "  plat diff first.img second.img            why is this build not reproducible?\n"
                "  plat diff --ignore '*.mtime' --ignore '*:mtime' a.img b.img\n"
                "  plat diff -p esp --json a.img b.img\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .min_args = 2,
    .max_args = 2,
    .complete = COMPLETE_FILE,
    .run = run,
};
