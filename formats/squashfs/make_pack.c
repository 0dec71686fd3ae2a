/* The order in which the ends of files are stored with -O pack: what is alike shares blocks.
 *
 *      all tails, by kind (extension, name) ---> windows, one after the other
 *      window: samples of each tail ---> how many two have in common ---> clusters of at most a block ---> order
 *
 * Nothing but names and contents decides, so the order is the same with any number of threads. Memory does not grow with the
 * tree, but for 4 bytes a tail: a window takes SQM_PACK_BYTES. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

enum { SAMPLES_SPARE = 8 /* that a short tail may have beyond the rate */ };

/* ---- kinds ---- */

/* The extension of a name, without numbers behind it: "so" of "libz.so.1.2". */
static const char *kind_of(const char *name, size_t *ret_n)
{
    size_t end = strlen(name);
    for (size_t i = end; i-- > 0;) {
        if (name[i] == '.' && i + 1 < end && strspn(name + i + 1, "0123456789") < end - i - 1) {
            *ret_n = end - i - 1;
            return name + i + 1;
        }
        if (name[i] == '.')
            end = i;
    }
    *ret_n = 0;
    return name;
}

static int compare_kinds(const void *va, const void *vb, void *ctx)
{
    const struct make_plan *plan = ctx;
    const uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;
    const char *name_a = plan->items[a].node->name, *name_b = plan->items[b].node->name;
    size_t n_a, n_b;
    const char *kind_a = kind_of(name_a, &n_a), *kind_b = kind_of(name_b, &n_b);
    int order = memcmp(kind_a, kind_b, n_a < n_b ? n_a : n_b);
    if (order == 0)
        order = n_a < n_b ? -1 : n_a > n_b;
    if (order == 0)
        order = strcmp(name_a, name_b);
    return order != 0 ? order : a < b ? -1 : a > b;
}

static bool has_tail(const struct make_plan *plan, uint32_t i)
{
    const struct sqm_item *item = &plan->items[i];
    if (sqm_tail_bytes(&plan->settings, item->node->size_bytes) == 0)
        return false;
    return item->node->size_bytes < plan->settings.block_bytes ||
           (item->has.file != NULL && item->has.file->item == i);
}

int sqm_pack_open(struct make_plan *plan, struct sqm_pack **ret, struct plat_err *err)
{
    struct sqm_pack *pack = calloc(1, sizeof *pack);
    size_t n = 0;
    if (pack == NULL)
        return err_nomem(err, "ordering files");
    pack->plan = plan;
    pack->block_bytes = plan->settings.block_bytes;
    struct sqm_files files = sqm_files_begin(plan);
    for (uint32_t i; (i = sqm_files_next(&files)) != SQM_NONE;)
        n += has_tail(plan, i);
    pack->items = malloc((n + 1) * sizeof *pack->items);
    pack->tails = calloc(SQM_WINDOW_TAILS, sizeof *pack->tails);
    pack->reading = calloc(SQM_WINDOW_TAILS, sizeof *pack->reading);
    pack->order = calloc(SQM_WINDOW_TAILS, sizeof *pack->order);
    pack->common = calloc(SQM_WINDOW_TAILS, sizeof *pack->common);
    pack->samples = malloc(SQM_WINDOW_SAMPLES * sizeof *pack->samples);
    pack->keys = malloc(SQM_WINDOW_SAMPLES * sizeof *pack->keys);
    if (pack->items == NULL || pack->tails == NULL || pack->reading == NULL || pack->order == NULL ||
        pack->common == NULL || pack->samples == NULL || pack->keys == NULL) {
        sqm_pack_close(pack);
        return err_nomem(err, "ordering files");
    }
    files = sqm_files_begin(plan);
    for (uint32_t i; (i = sqm_files_next(&files)) != SQM_NONE;)
        if (has_tail(plan, i))
            pack->items[pack->n_items++] = i;
    qsort_r(pack->items, pack->n_items, sizeof *pack->items, compare_kinds, plan);
    *ret = pack;
    return 0;
}

void sqm_pack_close(struct sqm_pack *pack)
{
    if (pack == NULL)
        return;
    free(pack->items);
    free(pack->tails);
    free(pack->reading);
    free(pack->order);
    free(pack->common);
    free(pack->samples);
    free(pack->keys);
    free(pack);
}

/* ---- a window ---- */

static uint32_t samples_max(uint32_t n_bytes)
{
    const uint32_t n = (n_bytes >> SQM_SAMPLE_RATE_LOG) + SAMPLES_SPARE;
    return n < SQM_SAMPLES_MAX ? n : SQM_SAMPLES_MAX;
}

bool sqm_pack_window(struct sqm_pack *pack)
{
    const struct make_plan *plan = pack->plan;
    uint32_t n_samples = 0;
    pack->n_tails = 0;
    while (pack->at < pack->n_items && pack->n_tails < SQM_WINDOW_TAILS) {
        const uint32_t item = pack->items[pack->at];
        const uint32_t n = sqm_tail_bytes(&plan->settings, plan->items[item].node->size_bytes);
        if (n_samples + samples_max(n) > SQM_WINDOW_SAMPLES)
            break;
        pack->tails[pack->n_tails] = (struct sqm_tail){.item = item, .n_bytes = n, .samples_at = n_samples};
        pack->reading[pack->n_tails++] = item;
        n_samples += samples_max(n);
        pack->at++;
    }
    /* Read they are by directory, which is quicker. */
    uint64_t *keys = pack->keys;
    for (uint32_t i = 0; i < pack->n_tails; i++)
        keys[i] = (uint64_t)pack->tails[i].item << SQM_RANK_BITS | i;
    sqm_sort(keys, pack->n_tails);
    for (uint32_t i = 0; i < pack->n_tails; i++)
        pack->reading[i] = (uint32_t)(keys[i] & SQM_RANK_MASK);
    return pack->n_tails > 0;
}

void sqm_pack_add(struct sqm_pack *pack, uint32_t rank, uint64_t hash, const uint32_t *samples, uint32_t n)
{
    struct sqm_tail *tail = &pack->tails[rank];
    const uint32_t max = samples_max(tail->n_bytes);
    tail->hash = hash;
    tail->n_samples = n < max ? n : max;
    memcpy(pack->samples + tail->samples_at, samples, tail->n_samples * sizeof *samples);
}
