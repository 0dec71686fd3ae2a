/* Where everything lies.
 *
 *   0        usable.start                                        usable end   disk_bytes
 *   | head   |  raw?  | 1: esp       | 2: root ... (rest) | 3: data |  | tail |
 *
 * Partitions follow each other in the recipe's order, each at its alignment or at its own "start". Those
 * behind the one that takes the rest are laid backwards from the end (or from the next explicit start). */
#include "mkimage/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"

/* Sizes that plat chooses are multiples of this, so that disks of 512-byte sectors suit 4 KiB hardware, too.
 */
enum { GRAIN_BYTES = 4096, AUTO_GRAIN_MAX_BYTES = 1 << 20 };

static const char *key_path(struct plan *plan, const struct plan_part *part, const char *key)
{
    return recipe_path_key(plan->recipe, part->recipe->path, key);
}

static uint64_t part_align(const struct plan *plan, const struct plan_part *part)
{
    return part->recipe->align_bytes != 0 ? part->recipe->align_bytes : plan->recipe->align_bytes;
}

/* A size that plat chooses ends where the next partition may start, which sgdisk and encrypted volumes like;
 * a huge alignment does not make every partition huge. */
static uint64_t auto_grain(const struct plan *plan, const struct plan_part *part)
{
    uint64_t align = part_align(plan, part);
    if (part->recipe->compact)
        return GRAIN_BYTES;
    return align < GRAIN_BYTES ? GRAIN_BYTES : align > AUTO_GRAIN_MAX_BYTES ? AUTO_GRAIN_MAX_BYTES : align;
}

static int too_large(struct plan *plan, const struct plan_part *part, struct plat_err *err)
{
    return recipe_fail(plan->recipe, key_path(plan, part, "size"), err,
                       "the partition would end beyond 2^63 bytes; make it or those before it smaller");
}

/* ---- sizes ---- */

/* Free space that the recipe asks for beside `content_bytes`. */
static bool slack_bytes(const struct recipe_partition *recipe, uint64_t content_bytes, uint64_t *ret)
{
    uint64_t share = 0;
    if (recipe->slack_percent != 0) {
        if (!mul_u64(content_bytes, recipe->slack_percent, &share))
            return false;
        share = div_up_u64(share, 100);
    }
    return add_u64(recipe->slack_bytes, share, ret);
}

/* Size of a part that is not "rest"; the maker's plan must exist. */
static int part_size(struct plan *plan, struct plan_part *part, uint64_t *ret, struct plat_err *err)
{
    const struct recipe_partition *recipe = part->recipe;
    uint64_t slack, bytes = 0;
    if (recipe->size_kind == RECIPE_SIZE_FIXED) {
        *ret = recipe->size_bytes;
        return 0;
    }
    if (!slack_bytes(recipe, part->driver != NULL ? part->totals.data_bytes : part->content_bytes, &slack))
        return too_large(plan, part, err);
    if (part->driver != NULL) {
        int rc = part->driver->maker->min_bytes(part->make, slack, &bytes, err);
        if (rc != 0)
            return recipe_blame(plan->recipe, recipe->path, err);
    } else if (part->content_bytes == 0 && slack == 0) {
        return recipe_fail(plan->recipe, key_path(plan, part, "size"), err,
                           "there is nothing to fit: %.300s is empty; give a size", part->content);
    } else if (!add_u64(part->content_bytes, slack, &bytes)) {
        return too_large(plan, part, err);
    }
    if (!align_up_u64(bytes, auto_grain(plan, part), ret) || *ret > INT64_MAX)
        return too_large(plan, part, err);
    return 0;
}

/* The part has its place: everything that depends on it. */
static int settle(struct plan *plan, struct plan_part *part, struct plat_err *err)
{
    uint64_t end, needed = div_up_u64(part->content_bytes, GRAIN_BYTES) * GRAIN_BYTES;
    if (!add_u64(part->place.start, part->place.bytes, &end) || end > INT64_MAX)
        return too_large(plan, part, err);
    if (part->content_bytes > part->place.bytes)
        return recipe_fail(
            plan->recipe, key_path(plan, part, "content"), err,
            "%.300s has %llu bytes and the partition only %llu; give it a size of at least %llu",
            part->content, (unsigned long long)part->content_bytes, (unsigned long long)part->place.bytes,
            (unsigned long long)needed);
    if (part->driver != NULL && part->driver->maker->settle(part->make, part->place.bytes, err) != 0)
        return recipe_blame(plan->recipe, key_path(plan, part, "size"), err);
    return 0;
}

/* ---- places ---- */

/* Where a part begins when everything before it ends at `cursor`. */
static int part_start(struct plan *plan, struct plan_part *part, uint64_t cursor, uint64_t *ret,
                      struct plat_err *err)
{
    const struct recipe_partition *recipe = part->recipe;
    if (!recipe->has_start) {
        if (!align_up_u64(cursor, part_align(plan, part), ret))
            return too_large(plan, part, err);
        return 0;
    }
    if (recipe->align_bytes != 0 && recipe->start_bytes % recipe->align_bytes != 0)
        return recipe_fail(plan->recipe, key_path(plan, part, "start"), err,
                           "%llu is not a multiple of the partition's \"align\", %llu",
                           (unsigned long long)recipe->start_bytes, (unsigned long long)recipe->align_bytes);
    if (recipe->start_bytes < plan->usable.start)
        return recipe_fail(plan->recipe, key_path(plan, part, "start"), err,
                           "%llu lies in the partition table itself; the first byte that works is %llu",
                           (unsigned long long)recipe->start_bytes, (unsigned long long)plan->usable.start);
    *ret = recipe->start_bytes;
    return 0;
}

static int place_forward(struct plan *plan, struct plan_part *part, uint64_t *cursor, struct plat_err *err)
{
    int ret = part_start(plan, part, *cursor, &part->place.start, err);
    if (ret == 0)
        ret = plan_make(plan, part, part->place.start, err);
    if (ret == 0)
        ret = part_size(plan, part, &part->place.bytes, err);
    if (ret == 0)
        ret = settle(plan, part, err);
    if (ret == 0)
        *cursor = part->place.start + part->place.bytes;
    return ret;
}

static int no_room(struct plan *plan, const struct plan_part *part, struct plat_err *err)
{
    return recipe_fail(
        plan->recipe, key_path(plan, part, "size"), err,
        "no room is left for it on a disk of %llu bytes; make \"disk_size\" larger or other partitions "
        "smaller",
        (unsigned long long)plan->disk_bytes);
}

/* Lays parts [first, end) so that the last ends at `limit`; *ret_limit is where the first begins. A maker has
 * to know where its image starts, which depends on its size: it plans once for the size and once for the
 * place. */
static int place_backward(struct plan *plan, size_t first, size_t end, uint64_t limit, uint64_t *ret_limit,
                          struct plat_err *err)
{
    for (size_t i = end; i-- > first;) {
        struct plan_part *part = &plan->parts[i];
        uint64_t bytes = 0;
        int ret = plan_make(plan, part, 0, err);
        if (ret == 0)
            ret = part_size(plan, part, &bytes, err);
        if (ret != 0)
            return ret;
        if (bytes > limit)
            return no_room(plan, part, err);
        part->place.bytes = bytes;
        part->place.start = align_down_u64(limit - bytes, part_align(plan, part));
        limit = part->place.start;
        ret = plan_make(plan, part, part->place.start, err);
        if (ret == 0)
            ret = settle(plan, part, err);
        if (ret != 0)
            return ret;
    }
    *ret_limit = limit;
    return 0;
}

/* Places part *index, which takes the rest, and those behind it up to the next explicit start. */
static int place_rest(struct plan *plan, size_t *index, uint64_t *cursor, struct plat_err *err)
{
    struct plan_part *part = &plan->parts[*index];
    size_t end = *index + 1;
    while (end < plan->n_parts && !plan->parts[end].recipe->has_start)
        end++;
    uint64_t limit =
        end < plan->n_parts ? plan->parts[end].recipe->start_bytes : plan->usable.start + plan->usable.bytes;
    uint64_t behind = limit;
    int ret = part_start(plan, part, *cursor, &part->place.start, err);
    if (ret == 0)
        ret = place_backward(plan, *index + 1, end, limit, &behind, err);
    if (ret != 0)
        return ret;
    uint64_t start = part->place.start;
    uint64_t room = behind > start ? behind - start : 0;
    part->place.bytes = align_down_u64(room, room >= GRAIN_BYTES ? GRAIN_BYTES : plan->recipe->sector_bytes);
    if (part->place.bytes == 0)
        return no_room(plan, part, err);
    ret = plan_make(plan, part, start, err);
    if (ret == 0)
        ret = settle(plan, part, err);
    *index = end - 1;
    *cursor = limit;
    return ret;
}

/* ---- the disk ---- */

static uint64_t tail_bytes(const struct plan *plan)
{
    return (uint64_t)plan->room.tail_sectors * plan->recipe->sector_bytes;
}

/* The smallest disk that holds everything where it lies; false beyond 2^63 bytes. */
static bool least_disk_bytes(const struct plan *plan, uint64_t *ret)
{
    uint64_t least = plan->usable.start, end;
    for (size_t i = 0; i < plan->n_parts + plan->n_raws; i++) {
        const struct range *place =
            i < plan->n_parts ? &plan->parts[i].place : &plan->raws[i - plan->n_parts].place;
        if (!add_u64(place->start, place->bytes, &end))
            return false;
        least = end > least ? end : least;
    }
    return add_u64(least, tail_bytes(plan), &end) && align_up_u64(end, GRAIN_BYTES, ret) && *ret <= INT64_MAX;
}

static int size_disk(struct plan *plan, struct plat_err *err)
{
    uint64_t end;
    if (plan->recipe->disk_bytes != 0)
        return 0;
    for (size_t i = 0; i < plan->n_raws; i++) {
        const struct range *place = &plan->raws[i].place;
        if (!add_u64(place->start, place->bytes, &end) || end > INT64_MAX)
            return recipe_fail(plan->recipe, plan->raws[i].recipe->path, err, "would end beyond 2^63 bytes");
    }
    if (!least_disk_bytes(plan, &end))
        return recipe_fail(plan->recipe, "", err, "the disk would be larger than 2^63 bytes");
    plan->disk_bytes = end;
    plan->usable.bytes = end - tail_bytes(plan) - plan->usable.start;
    return 0;
}

static const char *extent_path(const struct plan *plan, const struct plan_extent *extent)
{
    return extent->kind == PLAN_PART  ? plan->parts[extent->index].recipe->path
           : extent->kind == PLAN_RAW ? plan->raws[extent->index].recipe->path
                                      : "";
}

static void extent_name(const struct plan *plan, const struct plan_extent *extent, char *buf,
                        size_t buf_bytes)
{
    const char *path = extent_path(plan, extent);
    const char *name = extent->kind == PLAN_PART  ? plan->parts[extent->index].recipe->name
                       : extent->kind == PLAN_RAW ? plan->raws[extent->index].recipe->name
                                                  : "";
    if (path[0] == '\0')
        (void)snprintf(buf, buf_bytes, "the partition table");
    else if (name[0] != '\0')
        (void)snprintf(buf, buf_bytes, "%s (\"%.120s\")", path, name);
    else
        (void)snprintf(buf, buf_bytes, "%s", path);
}

static int compare_extents(const void *a, const void *b)
{
    const struct plan_extent *x = a, *y = b;
    if (x->place.start != y->place.start)
        return x->place.start < y->place.start ? -1 : 1;
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : x->index < y->index ? -1 : x->index > y->index;
}

static int check_overlap(struct plan *plan, const struct plan_extent *a, const struct plan_extent *b,
                         struct plat_err *err)
{
    if (a->place.start + a->place.bytes <= b->place.start)
        return 0;
    /* The table is nobody's fault. */
    const struct plan_extent *blamed = b->kind == PLAN_TAIL ? a : b, *other = b->kind == PLAN_TAIL ? b : a;
    char name[256];
    extent_name(plan, other, name, sizeof name);
    bool boot_code = blamed->kind == PLAN_RAW && other->kind == PLAN_HEAD &&
                     blamed->place.start < plan->room.boot_code_bytes;
    return recipe_fail(plan->recipe, extent_path(plan, blamed), err,
                       "bytes %llu to %llu overlap %s, bytes %llu to %llu; move one of them with \"%s\"%s",
                       (unsigned long long)blamed->place.start,
                       (unsigned long long)(blamed->place.start + blamed->place.bytes - 1), name,
                       (unsigned long long)other->place.start,
                       (unsigned long long)(other->place.start + other->place.bytes - 1),
                       blamed->kind == PLAN_RAW ? "offset" : "start",
                       boot_code ? "; code for a BIOS goes into \"boot_code\"" : "");
}

static int past_the_end(struct plan *plan, const struct plan_extent *extent, uint64_t usable_end,
                        struct plat_err *err)
{
    char least[64] = "larger";
    uint64_t bytes;
    if (least_disk_bytes(plan, &bytes))
        (void)snprintf(least, sizeof least, "at least %llu", (unsigned long long)bytes);
    return recipe_fail(
        plan->recipe, extent_path(plan, extent), err,
        "%llu bytes at %llu run past the usable end of the disk at %llu (disk_size %llu); make "
        "\"disk_size\" %s, or leave it out",
        (unsigned long long)extent->place.bytes, (unsigned long long)extent->place.start,
        (unsigned long long)usable_end, (unsigned long long)plan->disk_bytes, least);
}

static int order_extents(struct plan *plan, struct plat_err *err)
{
    struct plan_extent *order = plan->order;
    uint64_t usable_end = plan->usable.start + plan->usable.bytes;
    size_t n = 0;
    order[n++] = (struct plan_extent){{0, plan->usable.start}, PLAN_HEAD, 0};
    for (size_t i = 0; i < plan->n_parts; i++)
        order[n++] = (struct plan_extent){plan->parts[i].place, PLAN_PART, i};
    for (size_t i = 0; i < plan->n_raws; i++)
        order[n++] = (struct plan_extent){plan->raws[i].place, PLAN_RAW, i};
    for (size_t i = 0; i < n; i++) {
        if (range_within(order[i].place, plan->disk_bytes) &&
            order[i].place.start + order[i].place.bytes <= usable_end)
            continue;
        return past_the_end(plan, &order[i], usable_end, err);
    }
    if (plan->disk_bytes > usable_end)
        order[n++] = (struct plan_extent){{usable_end, plan->disk_bytes - usable_end}, PLAN_TAIL, 0};
    plan->n_order = n;
    qsort(order, n, sizeof *order, compare_extents);
    for (size_t i = 1; i < n; i++) {
        int ret = check_overlap(plan, &order[i - 1], &order[i], err);
        if (ret != 0)
            return ret;
    }
    return 0;
}

int plan_place(struct plan *plan, struct plat_err *err)
{
    const struct recipe *recipe = plan->recipe;
    uint64_t head = plan->room.first_usable_sector * recipe->sector_bytes;
    uint64_t tail = tail_bytes(plan);
    plan->usable.start = head;
    plan->disk_bytes = recipe->disk_bytes;
    if (recipe->disk_bytes != 0) {
        uint64_t table_bytes = head + tail;
        if (recipe->disk_bytes <= table_bytes)
            return recipe_fail(recipe, "disk_size", err, "the %s table alone takes %llu bytes, found %llu",
                               recipe->table, (unsigned long long)table_bytes,
                               (unsigned long long)recipe->disk_bytes);
        plan->usable.bytes = recipe->disk_bytes - head - tail;
    }
    uint64_t cursor = head;
    for (size_t i = 0; i < plan->n_parts; i++) {
        struct plan_part *part = &plan->parts[i];
        int ret = part->recipe->size_kind == RECIPE_SIZE_REST ? place_rest(plan, &i, &cursor, err)
                                                              : place_forward(plan, part, &cursor, err);
        if (ret != 0)
            return ret;
    }
    int ret = size_disk(plan, err);
    if (ret == 0)
        ret = order_extents(plan, err);
    for (size_t i = 0; ret == 0 && i < plan->n_parts; i++) {
        plan->entries[i].first_sector = plan->parts[i].place.start / recipe->sector_bytes;
        plan->entries[i].sectors = plan->parts[i].place.bytes / recipe->sector_bytes;
    }
    return ret;
}
