/* The functions of the expression language. */
#include <stdlib.h>
#include <string.h>

#include <nettle/sha2.h>
#include <xxhash.h>

#include "lib/hash/hash.h"
#include "lib/layout/eval.h"

static int fail_call(const struct expr *e, struct plat_err *err, int class, const char *what)
{
    return err_set(err, class, "column %u: %s(): %s", e->column, e->text, what);
}

int ev_place(const struct eval *ctx, const struct ev *ev, struct ev *ret, struct plat_err *err)
{
    struct range place;
    struct map_place map;
    int rc;
    *ret = (struct ev){.kind = EV_BYTES};
    switch (ev->kind) {
    case EV_BYTES:
        *ret = *ev;
        if (ret->bytes == ev->digest)
            ret->bytes = ret->digest;
        return 0;
    case EV_TEXT:
        ret->bytes = ev->bytes;
        ret->n = ev->n;
        return 0;
    case EV_INST:
        ret->bytes = ev->inst.bytes;
        ret->n = ev->inst.size_bytes;
        ret->in_image = true;
        ret->in_stream = ev->inst.source.stream != NULL;
        ret->offset = ev->inst.offset;
        return 0;
    case EV_FIELD:
        if ((rc = inst_field_place(&ev->inst, ev->field, &place, err)) != 0)
            return rc;
        if (!ev->whole && ev->field->is_array) {
            uint64_t one = (uint64_t)ev->field->width_bytes * (ev->field->repr == REPR_BOTH ? 2 : 1);
            if (ev->index >= place.bytes / one)
                return err_set(err, PLAT_ECORRUPT, "index %llu lies outside array '%s'",
                               (unsigned long long)ev->index, ev->field->name);
            place.start += ev->index * one;
            place.bytes = one;
        }
        ret->bytes = ev->inst.bytes + place.start;
        ret->n = place.bytes;
        ret->in_image = true;
        ret->in_stream = ev->inst.source.stream != NULL;
        ret->offset = ev->inst.offset + place.start;
        return 0;
    case EV_MAP:
        if ((rc = image_map_place(ctx->image, ev->entry, &map, err)) != 0)
            return rc;
        if (!map.present)
            return err_set(err, PLAT_ENOTFOUND, "'%s' is not present", ev->entry->name);
        if (ev->entry->next != NULL)
            return err_set(err, PLAT_EINVALID, "the elements of '%s' do not lie in one piece",
                           ev->entry->name);
        if (!mul_u64(map.count, map.stride, &ret->n))
            return err_set(err, PLAT_ECORRUPT, "size of '%s' leaves 64 bits", ev->entry->name);
        ret->in_image = true;
        ret->offset = map.offset;
        return 0;
    default:
        return err_set(err, PLAT_EINVALID, "a number has no bytes");
    }
}

/* What hashes have in common: fed piece by piece. */
struct hasher {
    const char *name;
    uint32_t sum;
    struct sha256_ctx sha256;
    XXH64_state_t *xxh64;
};

static void hasher_feed(struct hasher *h, const uint8_t *p, size_t n)
{
    if (strcmp(h->name, "crc16") == 0)
        h->sum = hash_crc16((uint16_t)h->sum, p, n);
    else if (strcmp(h->name, "crc32") == 0)
        h->sum = hash_crc32(h->sum, p, n);
    else if (strcmp(h->name, "crc32c") == 0)
        h->sum = hash_crc32c(h->sum, p, n);
    else if (strcmp(h->name, "adler32") == 0)
        h->sum = hash_adler32(h->sum, p, n);
    else if (strcmp(h->name, "sum8ror") == 0)
        h->sum = hash_sum8ror((uint8_t)h->sum, p, n);
    else if (strcmp(h->name, "sha256") == 0)
        sha256_update(&h->sha256, n, p);
    else
        (void)XXH64_update(h->xxh64, p, n);
}

/* Feeds bytes [from, from+n) of `b`, from memory or from the device. */
static int hasher_feed_range(struct hasher *h, const struct eval *ctx, const struct ev *b, struct range part,
                             struct plat_err *err)
{
    if (b->bytes != NULL) {
        hasher_feed(h, b->bytes + part.start, part.bytes);
        return 0;
    }
    enum { CHUNK_BYTES = 64 * 1024 };
    uint8_t *chunk = malloc(CHUNK_BYTES);
    if (chunk == NULL)
        return err_nomem(err, "hashing");
    int rc = 0;
    for (uint64_t done = 0; rc == 0 && done < part.bytes;) {
        size_t n = part.bytes - done < CHUNK_BYTES ? (size_t)(part.bytes - done) : CHUNK_BYTES;
        rc = dev_read(ctx->image->dev, b->offset + part.start + done, chunk, n, err);
        if (rc == 0)
            hasher_feed(h, chunk, n);
        done += n;
    }
    free(chunk);
    return rc;
}

static int call_hash(const struct eval *ctx, const struct expr *e, const struct ev *b, struct ev *ret,
                     struct plat_err *err)
{
    if (b->n > EVAL_MAX_HASH_BYTES)
        return fail_call(e, err, PLAT_ELIMIT, "more than 256 MiB to hash");
    if (b->bytes == NULL && !range_within((struct range){b->offset, b->n}, ctx->image->dev->size_bytes))
        return fail_call(e, err, PLAT_ECORRUPT, "the bytes to hash run past the end of the image");
    struct range zero = {b->n, 0}; /* in b */
    int rc;
    if (e->zero_arg != NULL) {
        struct ev arg, place;
        if ((rc = eval_any(ctx, e->zero_arg, &arg, err)) != 0 || (rc = ev_place(ctx, &arg, &place, err)) != 0)
            return rc;
        if (!b->in_image || !place.in_image || b->in_stream != place.in_stream || place.offset < b->offset ||
            !range_within((struct range){place.offset - b->offset, place.n}, b->n))
            return fail_call(e, err, PLAT_ECORRUPT,
                             "the field to take as zero lies outside the bytes to hash");
        zero = (struct range){place.offset - b->offset, place.n};
    }
    uint64_t before = 0;
    if (e->n_args > 1 && (rc = eval_u64(ctx, e->arg[1], &before, err)) != 0)
        return rc;
    if (before > (strcmp(e->text, "crc16") == 0 ? UINT16_MAX : UINT32_MAX))
        return fail_call(e, err, PLAT_ECORRUPT, "goes on from a number that is no such sum");
    struct hasher h = {.name = e->text, .sum = (uint32_t)before};
    sha256_init(&h.sha256);
    if (strcmp(e->text, "xxh64") == 0) {
        if ((h.xxh64 = XXH64_createState()) == NULL)
            return err_nomem(err, "hashing");
        (void)XXH64_reset(h.xxh64, 0);
    }
    rc = hasher_feed_range(&h, ctx, b, (struct range){0, zero.start}, err);
    static const uint8_t zeros[64];
    for (uint64_t done = 0; rc == 0 && done < zero.bytes; done += sizeof zeros)
        hasher_feed(&h, zeros, zero.bytes - done < sizeof zeros ? (size_t)(zero.bytes - done) : sizeof zeros);
    uint64_t behind = zero.start + zero.bytes;
    if (rc == 0)
        rc = hasher_feed_range(&h, ctx, b, (struct range){behind, b->n - behind}, err);
    ret->kind = EV_NUM;
    ret->num = (expr_num)h.sum;
    if (strcmp(e->text, "sha256") == 0) {
        sha256_digest(&h.sha256, HASH_SHA256_BYTES, ret->digest);
        ret->kind = EV_BYTES;
        ret->in_image = false;
        ret->bytes = ret->digest;
        ret->n = HASH_SHA256_BYTES;
    } else if (h.xxh64 != NULL) {
        ret->num = (expr_num)XXH64_digest(h.xxh64);
    }
    (void)XXH64_freeState(h.xxh64);
    return rc;
}

/* n bytes from offset + start where they lie in the structure at hand, which may be newer than the image; else NULL. */
static const uint8_t *bytes_at_hand(const struct inst *inst, uint64_t offset, uint64_t start, uint64_t n)
{
    uint64_t at;
    if (inst == NULL || !add_u64(offset, start, &at) || at < inst->offset ||
        !range_within((struct range){at - inst->offset, n}, inst->size_bytes))
        return NULL;
    return inst->bytes + (at - inst->offset);
}

/* bytes(x, s, n): part of x's bytes; the part may reach past x into the image. */
static int call_bytes(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    struct ev x;
    uint64_t start = 0, n = 0;
    int rc = eval_any(ctx, e->arg[0], &x, err);
    if (rc == 0)
        rc = ev_place(ctx, &x, ret, err);
    if (rc == 0 && e->n_args > 1)
        rc = eval_u64(ctx, e->arg[1], &start, err);
    if (rc == 0 && e->n_args > 2)
        rc = eval_u64(ctx, e->arg[2], &n, err);
    if (rc != 0 || e->n_args == 1)
        return rc;
    if (e->n_args == 2) {
        if (start > ret->n)
            return fail_call(e, err, PLAT_ECORRUPT, "starts behind the end");
        n = ret->n - start;
    }
    uint64_t offset;
    if (range_within((struct range){start, n}, ret->n)) {
        ret->bytes = ret->bytes == NULL ? NULL : ret->bytes + start;
    } else if (!ret->in_image || ret->in_stream) {
        return fail_call(e, err, PLAT_ECORRUPT, "reaches past the end");
    } else {
        ret->bytes = bytes_at_hand(ctx->inst, ret->offset, start, n);
    }
    if (ret->in_image && !add_u64(ret->offset, start, &offset))
        return fail_call(e, err, PLAT_ECORRUPT, "offset leaves 64 bits");
    if (ret->in_image) {
        ret->offset = offset;
        if (ret->bytes == NULL && !range_within((struct range){offset, n}, ctx->image->dev->size_bytes))
            return fail_call(e, err, PLAT_ECORRUPT, "reaches past the end of the image");
    }
    ret->n = n;
    return 0;
}

static int call_all_zero(const struct eval *ctx, const struct ev *b, struct ev *ret, struct plat_err *err)
{
    ret->kind = EV_NUM;
    ret->num = 1;
    if (b->n > EVAL_MAX_HASH_BYTES)
        return err_set(err, PLAT_ELIMIT, "all_zero(): more than 256 MiB");
    if (b->bytes != NULL) {
        ret->num = bytes_all(b->bytes, b->n, 0);
        return 0;
    }
    uint8_t chunk[4096];
    for (uint64_t at = 0; at < b->n; at += sizeof chunk) {
        size_t n = b->n - at < sizeof chunk ? (size_t)(b->n - at) : sizeof chunk;
        int rc = dev_read(ctx->image->dev, b->offset + at, chunk, n, err);
        if (rc != 0)
            return rc;
        if (!bytes_all(chunk, n, 0)) {
            ret->num = 0;
            return 0;
        }
    }
    return 0;
}

static int call_on_bytes(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    struct ev arg, b;
    int rc = eval_any(ctx, e->arg[0], &arg, err);
    if (rc == 0)
        rc = ev_place(ctx, &arg, &b, err);
    if (rc != 0)
        return rc;
    if (strcmp(e->text, "all_zero") == 0)
        return call_all_zero(ctx, &b, ret, err);
    if (strcmp(e->text, "len") == 0) {
        ret->kind = EV_NUM;
        ret->num = (expr_num)b.n;
        return 0;
    }
    if (strncmp(e->text, "uint_", 5) != 0)
        return call_hash(ctx, e, &b, ret, err);
    uint8_t raw[8];
    if (b.n == 0 || b.n > sizeof raw)
        return fail_call(e, err, PLAT_ECORRUPT, "takes 1 to 8 bytes");
    if (b.bytes != NULL)
        memcpy(raw, b.bytes, b.n);
    else if ((rc = dev_read(ctx->image->dev, b.offset, raw, b.n, err)) != 0)
        return rc;
    ret->kind = EV_NUM;
    ret->num = (expr_num)load_uint(raw, (unsigned)b.n, strcmp(e->text, "uint_be") == 0);
    return 0;
}

static int call_place(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    struct ev arg, place;
    int rc = eval_any(ctx, e->arg[0], &arg, err);
    if (rc == 0)
        rc = ev_place(ctx, &arg, &place, err);
    if (rc != 0)
        return rc;
    ret->kind = EV_NUM;
    if (strcmp(e->text, "size") == 0) {
        ret->num = (expr_num)place.n;
        return 0;
    }
    if (!place.in_image)
        return fail_call(e, err, PLAT_EINVALID, "the value has no place in the image");
    ret->num = (expr_num)place.offset;
    return 0;
}

static int call_map(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    struct map_place place;
    if (e->arg[0]->binding != BIND_MAP)
        return fail_call(e, err, PLAT_EINVALID, "takes the name of a map entry");
    int rc = image_map_place(ctx->image, e->arg[0]->target, &place, err);
    if (rc != 0)
        return rc;
    ret->kind = EV_NUM;
    ret->num = place.present;
    if (!place.present || strcmp(e->text, "present") == 0)
        return 0;
    uint64_t n;
    if ((rc = image_map_count(ctx->image, e->arg[0]->target, &n, err)) == 0)
        ret->num = (expr_num)n;
    return rc;
}

static int call_number(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    expr_num a, b = 0;
    int rc = eval_num(ctx, e->arg[0], &a, err);
    if (rc == 0 && e->n_args > 1)
        rc = eval_num(ctx, e->arg[1], &b, err);
    if (rc != 0)
        return rc;
    ret->kind = EV_NUM;
    const char *name = e->text;
    if (strcmp(name, "min") == 0) {
        ret->num = a < b ? a : b;
    } else if (strcmp(name, "max") == 0) {
        ret->num = a > b ? a : b;
    } else if (strncmp(name, "align", 5) == 0) {
        if (a < 0 || b <= 0)
            return fail_call(e, err, PLAT_ECORRUPT, "alignment must be positive and the number not negative");
        expr_num rest = a % b;
        expr_num up = rest == 0 ? 0 : b - rest;
        return expr_arith(strcmp(name, "align_up") == 0 ? EXPR_ADD : EXPR_SUB, a,
                          strcmp(name, "align_up") == 0 ? up : rest, &ret->num)
                   ? 0
                   : fail_call(e, err, PLAT_ECORRUPT, "leaves 64 bits");
    } else if (strcmp(name, "is_pow2") == 0) {
        ret->num = a > 0 && (a & (a - 1)) == 0;
    } else {
        if (a <= 0)
            return fail_call(e, err, PLAT_ECORRUPT, "takes a positive number");
        ret->num = 0;
        while (a >>= 1)
            ret->num++;
    }
    return 0;
}

/* Text of unknown length in the image. */
static int call_text_at(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    enum { MAX_TEXT_BYTES = 4096, CHUNK_BYTES = 256 };
    *ret = (struct ev){.kind = EV_BYTES, .in_image = true};
    int rc = eval_u64(ctx, e->arg[0], &ret->offset, err);
    if (rc != 0)
        return rc;
    uint64_t size = ctx->image->dev->size_bytes;
    uint64_t left = ret->offset < size ? size - ret->offset : 0;
    left = left < MAX_TEXT_BYTES ? left : MAX_TEXT_BYTES;
    for (uint64_t at = 0; at < left; at += CHUNK_BYTES) {
        uint8_t chunk[CHUNK_BYTES];
        size_t n = left - at < sizeof chunk ? (size_t)(left - at) : sizeof chunk;
        if ((rc = dev_read(ctx->image->dev, ret->offset + at, chunk, n, err)) != 0)
            return rc;
        const uint8_t *end = memchr(chunk, 0, n);
        if (end != NULL) {
            ret->n = at + (uint64_t)(end - chunk);
            return 0;
        }
    }
    return fail_call(e, err, PLAT_ECORRUPT, "no text ends there within 4096 bytes");
}

/* A number as the bytes that hold it. */
static int call_bytes_of(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    uint64_t number, n;
    int rc = eval_u64(ctx, e->arg[0], &number, err);
    if (rc == 0)
        rc = eval_u64(ctx, e->arg[1], &n, err);
    if (rc != 0)
        return rc;
    if (n < 1 || n > 8 || (n < 8 && number >> (8 * n) != 0))
        return fail_call(e, err, PLAT_ECORRUPT, "the number does not fit, or not 1 to 8 bytes are asked for");
    *ret = (struct ev){.kind = EV_BYTES, .n = n};
    store_uint(ret->digest, (unsigned)n, strcmp(e->text, "bytes_be") == 0, number);
    ret->bytes = ret->digest;
    return 0;
}

int eval_call(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    const char *name = e->text;
    if (strcmp(name, "offset") == 0 || strcmp(name, "size") == 0)
        return call_place(ctx, e, ret, err);
    if (strcmp(name, "count") == 0 || strcmp(name, "present") == 0)
        return call_map(ctx, e, ret, err);
    if (strcmp(name, "bytes") == 0)
        return call_bytes(ctx, e, ret, err);
    if (strcmp(name, "bytes_at") == 0) {
        *ret = (struct ev){.kind = EV_BYTES, .in_image = true};
        int rc = eval_u64(ctx, e->arg[0], &ret->offset, err);
        if (rc == 0)
            rc = eval_u64(ctx, e->arg[1], &ret->n, err);
        if (rc == 0 && !range_within((struct range){ret->offset, ret->n}, ctx->image->dev->size_bytes))
            rc = fail_call(e, err, PLAT_ECORRUPT, "reaches past the end of the image");
        return rc;
    }
    if (strcmp(name, "text_at") == 0)
        return call_text_at(ctx, e, ret, err);
    if (strncmp(name, "bytes_", 6) == 0)
        return call_bytes_of(ctx, e, ret, err);
    static const char *const numeric[] = {"min", "max", "align_up", "align_down", "is_pow2", "log2"};
    for (size_t i = 0; i < sizeof numeric / sizeof numeric[0]; i++)
        if (strcmp(name, numeric[i]) == 0)
            return call_number(ctx, e, ret, err);
    return call_on_bytes(ctx, e, ret, err);
}
