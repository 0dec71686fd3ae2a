/* plat hex --at: what claims a range of bytes.
 *
 * Structures come first, then data, free space and padding, then metadata that is known as a range only; what
 * is left is claimed by nothing. Each class is a list sorted by place, so that one pass over the range shows
 * all of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/hex.h"
#include "inspect/render.h"

enum { HEX_MAX_PIECES = 1 << 18, DEFAULT_DATA_BYTES = 16, MAX_OTHER_OWNERS = 4 };
enum piece_class { PIECE_STRUCT, PIECE_EXTENT, PIECE_METADATA, PIECE_CLASSES };

struct piece {
    struct range place;
    const char *path;
    struct inst inst;      /* structures */
    enum extent_kind kind; /* extents */
    uint64_t position;     /* extents: of their first byte in what `path` names */
};
struct pieces {
    struct piece *list;
    size_t n, cap;
    size_t next; /* all before this one end before the position that the printing has reached */
};
struct collector {
    struct hex *hex;
    struct range part;
    struct pieces classes[PIECE_CLASSES];
    struct arena arena;
    struct plat_err err;                       /* what a callback found wrong */
    struct strbuf first_derived, last_derived; /* paths */
    uint64_t n_derived;
};

static int add_piece(struct collector *c, enum piece_class class, const struct piece *piece)
{
    struct pieces *pieces = &c->classes[class];
    if (pieces->n == HEX_MAX_PIECES)
        return err_set(&c->err, PLAT_ELIMIT,
                       "more than %d structures in this range: ask for a shorter --length", HEX_MAX_PIECES);
    if (pieces->n == pieces->cap) {
        size_t cap = pieces->cap == 0 ? 64 : pieces->cap * 2;
        struct piece *list = realloc(pieces->list, cap * sizeof *list);
        if (list == NULL)
            return err_nomem(&c->err, "collecting structures");
        pieces->list = list;
        pieces->cap = cap;
    }
    struct piece copy = *piece;
    copy.path = arena_strdup(&c->arena, piece->path);
    if (class == PIECE_STRUCT) {
        char *bytes = arena_bytes(&c->arena, piece->inst.size_bytes);
        if (bytes != NULL)
            memcpy(bytes, piece->inst.bytes, piece->inst.size_bytes);
        copy.inst.bytes = (const uint8_t *)bytes;
        copy.inst.path = copy.path;
    }
    if (copy.path == NULL || (class == PIECE_STRUCT && copy.inst.bytes == NULL))
        return err_nomem(&c->err, "collecting structures");
    pieces->list[pieces->n++] = copy;
    return 0;
}

static bool overlaps(struct range a, struct range b)
{
    return a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

/* What the bytes of the range decompress to: there may be hundreds in a byte, so the first and the last are named. */
static int add_derived(struct collector *c, const char *path)
{
    strbuf_truncate(&c->last_derived, 0);
    strbuf_puts(c->n_derived == 0 ? &c->first_derived : &c->last_derived, path);
    c->n_derived++;
    return c->last_derived.failed || c->first_derived.failed ? err_nomem(&c->err, "collecting structures")
                                                             : 0;
}

static void show_derived(struct collector *c)
{
    struct strbuf *out = &c->hex->out;
    if (c->n_derived == 0)
        return;
    strbuf_puts(out, "decompressed: ");
    strbuf_visible(out, strbuf_str(&c->first_derived), c->first_derived.len);
    if (c->n_derived > 1) {
        strbuf_puts(out, " to ");
        strbuf_visible(out, strbuf_str(&c->last_derived), c->last_derived.len);
        strbuf_puts(out, ", ");
        render_plural(out, c->n_derived, "structure");
    }
    strbuf_putc(out, '\n');
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct collector *c = ctx;
    const struct piece piece = {.place = {inst->offset, inst->size_bytes}, .path = inst->path, .inst = *inst};
    if (inst->source.stream != NULL)
        return overlaps(inst->source.block, c->part) ? add_derived(c, inst->path) : 0;
    return overlaps(piece.place, c->part) ? add_piece(c, PIECE_STRUCT, &piece) : 0;
}

static int on_extent(void *ctx, const struct extent *extent)
{
    struct collector *c = ctx;
    const struct piece piece = {
        .place = extent->place, .path = extent->path, .kind = extent->kind, .position = extent->position};
    enum piece_class class = extent->kind == EXTENT_METADATA ? PIECE_METADATA : PIECE_EXTENT;
    return overlaps(piece.place, c->part) ? add_piece(c, class, &piece) : 0;
}

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->place.start != y->place.start)
        return x->place.start < y->place.start ? -1 : 1;
    return x->place.bytes > y->place.bytes ? -1 : x->place.bytes < y->place.bytes;
}

/* The first piece that covers `at`, or begins behind it; NULL: none. */
static const struct piece *piece_at(struct pieces *pieces, uint64_t at)
{
    while (pieces->next < pieces->n) {
        const struct piece *piece = &pieces->list[pieces->next];
        if (piece->place.start + piece->place.bytes > at)
            return piece;
        pieces->next++;
    }
    return NULL;
}

static void extent_note(const struct pieces *pieces, const struct piece *piece, uint64_t at,
                        struct strbuf *note)
{
    strbuf_printf(note, "%s  ", extent_kind_name(piece->kind));
    strbuf_visible(note, piece->path, strlen(piece->path));
    uint64_t position = piece->position + (at - piece->place.start);
    if (piece->kind == EXTENT_DATA) {
        strbuf_puts(note, ", byte ");
        render_count(note, position);
    }
    /* Cross-linked: others claim this byte as well. */
    size_t others = 0;
    for (const struct piece *other = piece + 1; other < pieces->list + pieces->n; other++) {
        if (other->place.start > at || others == MAX_OTHER_OWNERS)
            break;
        if (other->place.start + other->place.bytes <= at)
            continue;
        strbuf_puts(note, others++ == 0 ? "; also " : ", ");
        strbuf_visible(note, other->path, strlen(other->path));
    }
}

static int show_extent(struct collector *c, const struct pieces *pieces, const struct piece *piece,
                       struct range place)
{
    struct strbuf note = {0};
    extent_note(pieces, piece, place.start, &note);
    int r = hex_plain(c->hex, place, strbuf_str(&note));
    strbuf_free_into(&note, &c->hex->out);
    return r;
}

/* Shows what is at `at`; *ret_next is where to go on. */
static int show_at(struct collector *c, uint64_t at, uint64_t end, uint64_t *ret_next)
{
    uint64_t until = end;
    for (int class = 0; class < PIECE_CLASSES; class ++) {
        const struct piece *piece = piece_at(&c->classes[class], at);
        if (piece == NULL)
            continue;
        uint64_t piece_end = piece->place.start + piece->place.bytes;
        if (piece->place.start > at) {
            until = piece->place.start < until ? piece->place.start : until;
            continue;
        }
        *ret_next = piece_end < until ? piece_end : until;
        const struct range place = {at, *ret_next - at};
        return class == PIECE_STRUCT ? hex_struct(c->hex, &piece->inst, place)
                                     : show_extent(c, &c->classes[class], piece, place);
    }
    *ret_next = until;
    return hex_plain(c->hex, (struct range){at, until - at}, "claimed by nothing");
}

int hex_range(struct hex *hex, struct range part, bool given_length)
{
    uint64_t size = hex->image->dev->size_bytes;
    struct collector c = {.hex = hex};
    if (part.start >= size)
        return err_set(hex->err, PLAT_EINVALID,
                       "offset 0x%" PRIx64 " lies behind the end of the image (0x%" PRIx64 ")", part.start,
                       size);
    if (!given_length)
        part.bytes = DEFAULT_DATA_BYTES;
    if (part.bytes > size - part.start)
        part.bytes = size - part.start;
    c.part = part;
    const struct walk_sink sink = {.ctx = &c, .elements = true, .instance = on_instance, .extent = on_extent};
    int r = stack_walk(hex->image->stack, &sink, hex->err);
    for (int class = 0; class < PIECE_CLASSES; class ++)
        if (c.classes[class].n > 0)
            qsort(c.classes[class].list, c.classes[class].n, sizeof(struct piece), compare_pieces);
    if (c.err.class != 0 && hex->err != NULL)
        *hex->err = c.err;
    /* One field answers the question; a single byte of data says little, so a row of it is shown. */
    const struct piece *first = piece_at(&c.classes[PIECE_STRUCT], part.start);
    if (!given_length && first != NULL && first->place.start <= part.start)
        part.bytes = 1;
    for (uint64_t at = part.start, end = part.start + part.bytes; r == 0 && at < end;) {
        r = show_at(&c, at, end, &at);
        if (r == 0)
            r = render_flush(&hex->out);
    }
    if (r == 0)
        show_derived(&c);
    for (int class = 0; class < PIECE_CLASSES; class ++)
        free(c.classes[class].list);
    strbuf_free_into(&c.first_derived, &hex->out);
    strbuf_free_into(&c.last_derived, &hex->out);
    arena_free(&c.arena);
    return r;
}
