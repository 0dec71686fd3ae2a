/* An image as groups of lines. */
#include <inttypes.h>
#include <string.h>

#include "inspect/golden.h"
#include "inspect/render.h"
#include "lib/hash/hash.h"

enum { BLOCK_BYTES = 4096, SHOWN_BYTES = 16 };

struct taking {
    struct picture *picture;
    struct records *groups;
    struct strbuf key, body, path; /* path: the key without its first word, for the filter */
    struct inst inst;              /* the structure at hand */
    struct plat_err *err;
};

static void hex(struct strbuf *out, const uint8_t digest[HASH_SHA256_BYTES])
{
    for (size_t i = 0; i < HASH_SHA256_BYTES; i++)
        strbuf_printf(out, "%02x", digest[i]);
}

static void begin_group(struct taking *taking, const char *kind, const char *key, size_t key_bytes)
{
    strbuf_truncate(&taking->body, 0);
    strbuf_truncate(&taking->path, 0);
    strbuf_truncate(&taking->key, 0);
    strbuf_visible(&taking->path, key, key_bytes);
    strbuf_printf(&taking->key, "%s %s", kind, strbuf_str(&taking->path));
}

/* A line, unless it is filtered. `separator` stands between the path and the name. */
static void line(struct taking *taking, char separator, const char *name, const char *value,
                 const char *place)
{
    const size_t n = taking->path.len;
    strbuf_putc(&taking->path, separator);
    strbuf_puts(&taking->path, name);
    if (picture_wanted(taking->picture->filter, strbuf_str(&taking->path))) {
        strbuf_visible(&taking->body, name, strlen(name));
        strbuf_puts(&taking->body, " = ");
        strbuf_visible(&taking->body, value, strlen(value));
        strbuf_printf(&taking->body, "\t%s\n", place);
    }
    strbuf_truncate(&taking->path, n);
}

static int end_group(struct taking *taking)
{
    if (taking->key.failed || taking->body.failed || taking->path.failed)
        return err_nomem(taking->err, "writing an image down");
    const struct record_view group = {.key = strbuf_str(&taking->key),
                                      .key_bytes = taking->key.len,
                                      .body = (const uint8_t *)strbuf_str(&taking->body),
                                      .body_bytes = taking->body.len};
    return taking->body.len > 0 ? records_add(taking->groups, &group, taking->err) : 0;
}

/* ---- structures ---- */

/* Bytes that the text of a value does not show: long ones, and what stands behind a terminator. */
static bool hides(const struct value *value)
{
    if (value->field->repr == REPR_BYTES)
        return value->n > SHOWN_BYTES && !bytes_all(value->bytes, value->n, value->bytes[0]);
    if (value->field->repr != REPR_CHARS && value->field->repr != REPR_UTF16)
        return false;
    const size_t unit = value->field->repr == REPR_UTF16 ? 2 : 1;
    size_t i = 0;
    while (i + unit <= value->n && !bytes_all(value->bytes + i, unit, 0))
        i += unit;
    return i < value->n && !bytes_all(value->bytes + i, value->n - i, 0);
}

static int on_value(void *ctx, const struct value *value, const char *name, unsigned level)
{
    struct taking *taking = ctx;
    struct strbuf text = {0}, place = {0};
    struct inst at = taking->inst;
    (void)level;
    render_value(&text, value);
    if (hides(value)) {
        uint8_t digest[HASH_SHA256_BYTES];
        hash_sha256(value->bytes, value->n, digest);
        strbuf_puts(&text, " SHA-256 ");
        hex(&text, digest);
    }
    at.offset = value->place.start;
    render_place(&place, &at);
    line(taking, '.', name, strbuf_str(&text), strbuf_str(&place));
    strbuf_free_into(&text, &taking->body);
    strbuf_free_into(&place, &taking->body);
    return taking->body.len > RECORDS_MAX_BYTES / 2
               ? err_set(taking->err, PLAT_ELIMIT,
                         "%.200s has too many fields to be pinned: leave it out with --ignore",
                         taking->inst.path)
               : 0;
}

static int take_struct(struct taking *taking, const struct record_view *view)
{
    const struct field_sink sink = {.ctx = taking, .value = on_value};
    struct strbuf text = {0}, place = {0};
    struct plat_err why = {0};
    picture_struct(view, &taking->inst);
    const struct inst *inst = &taking->inst;
    /* The free places of a table say nothing; one that is taken later is found, and was not pinned. */
    if (inst->size_bytes <= PICTURE_SMALL_BYTES && view->key_bytes > 0 &&
        view->key[view->key_bytes - 1] == ']' && bytes_all(inst->bytes, inst->size_bytes, 0))
        return 0;
    const struct type *shape = inst_shape(inst);
    begin_group(taking, "structure", view->key, view->key_bytes);
    render_place(&place, inst);
    strbuf_printf(&text, "%s, %s, %zu bytes", strbuf_str(&place),
                  shape != NULL ? shape->name : inst->type->name, inst->size_bytes);
    line(taking, '.', "@", strbuf_str(&text), strbuf_str(&place));
    strbuf_free_into(&text, &taking->body);
    strbuf_free_into(&place, &taking->body);
    int rc = fields_visit(inst, &sink, &why);
    if (rc == PLAT_ENOMEM || rc == PLAT_ELIMIT) {
        if (taking->err->class == 0)
            *taking->err = why;
        return rc;
    }
    return end_group(taking);
}

/* ---- files ---- */

static bool says_something(const char *text)
{
    return text[0] != '\0' && strcmp(text, "0") != 0 && strcmp(text, "none") != 0 &&
           strcmp(text, "no time") != 0;
}

static int take_file(struct taking *taking, const struct record_view *view)
{
    struct picture_file file;
    struct picture_attribute attributes[PICTURE_ATTRIBUTES];
    char text[65];
    picture_file(view, &file);
    const struct picture_content content = {.fs = taking->picture->image->stack->layers[file.layer].fs,
                                            .node = file.node,
                                            .bytes = file.stat.size_bytes};
    begin_group(taking, "file", view->key, view->key_bytes);
    line(taking, ':', "kind", picture_kind(file.stat.kind), "");
    if (file.fault[0] != '\0') {
        line(taking, ':', "unreadable", file.fault, "");
        return end_group(taking);
    }
    if (file.stat.kind == TREE_SYMLINK)
        line(taking, ':', "target", file.target, "");
    picture_attributes(&file, attributes);
    for (size_t i = 0; i < PICTURE_ATTRIBUTES; i++)
        if (says_something(attributes[i].text))
            line(taking, ':', attributes[i].name, attributes[i].text, "");
    if (file.stat.kind == TREE_FILE && content.fs->driver->read != NULL) {
        struct plat_err why = {0};
        (void)snprintf(text, sizeof text, "%" PRIu64 " byte", content.bytes);
        line(taking, ':', "size", text, "");
        const int rc = picture_hash(&content, text, &why);
        if (rc == PLAT_ENOMEM)
            return err_nomem(taking->err, "hashing a file");
        line(taking, ':', "sha256", rc == 0 ? text : why.text, "");
    }
    return end_group(taking);
}

/* ---- other bytes ---- */

/* SHA-256 of a sequence's blocks that are not all zero, each behind its number: how the sequence is cut into pieces and
 * holes makes no difference, and holes take no time. */
struct sum {
    struct hash_sha256_state state;
    uint64_t position, n_blocks;
    uint8_t block[BLOCK_BYTES];
};

static void sum_block(struct sum *sum, uint64_t number)
{
    uint8_t head[8];
    if (bytes_all(sum->block, BLOCK_BYTES, 0))
        return;
    for (size_t i = 0; i < sizeof head; i++)
        head[i] = (uint8_t)(number >> (8 * i));
    hash_sha256_add(&sum->state, head, sizeof head);
    hash_sha256_add(&sum->state, sum->block, BLOCK_BYTES);
    memset(sum->block, 0, BLOCK_BYTES);
    sum->n_blocks++;
}

static int sum_add(struct sum *sum, struct plat_dev *dev, struct range place, struct plat_err *err)
{
    const uint64_t end = place.start + place.bytes;
    for (uint64_t at = place.start; at < end;) {
        struct range data;
        const bool any = dev_next_data(dev, at, &data) && data.start < end;
        const uint64_t next = !any ? end : data.start > at ? data.start : at;
        if (next > at) {
            const uint64_t before = sum->position / BLOCK_BYTES;
            sum->position += next - at;
            if (sum->position / BLOCK_BYTES != before)
                sum_block(sum, before);
            at = next;
            continue;
        }
        const size_t used = (size_t)(sum->position % BLOCK_BYTES);
        const size_t room = BLOCK_BYTES - used, n = end - at < room ? (size_t)(end - at) : room;
        int rc = dev_read(dev, at, sum->block + used, n, err);
        if (rc != 0)
            return rc;
        sum->position += n;
        at += n;
        if (n == room)
            sum_block(sum, sum->position / BLOCK_BYTES - 1);
    }
    return 0;
}

static void sum_text(struct sum *sum, struct strbuf *out)
{
    uint8_t digest[HASH_SHA256_BYTES];
    sum_block(sum, sum->position / BLOCK_BYTES);
    hash_sha256_end(&sum->state, digest);
    if (sum->n_blocks == 0)
        strbuf_puts(out, "zero");
    else
        hex(out, digest);
}

/* All pieces of one path; *view is the first one, and then what is behind the last one. */
static int take_bytes(struct taking *taking, struct record_view *view)
{
    struct picture_piece piece;
    struct strbuf text = {0}, key = {0};
    struct sum sum = {0};
    char place[24];
    picture_piece(view, &piece);
    const bool owned = view->key[0] != '\0';
    strbuf_add(&key, view->key, view->key_bytes);
    begin_group(taking, "bytes", owned ? view->key : "image", strlen(owned ? view->key : "image"));
    strbuf_printf(&taking->key, " %s", extent_kind_name(piece.kind));
    (void)snprintf(place, sizeof place, "0x%" PRIx64, piece.place.start);
    const bool fills = piece.kind != EXTENT_DATA && piece.kind != EXTENT_METADATA;
    const struct record_view own = {.key = strbuf_str(&key), .key_bytes = key.len};
    int rc = key.failed ? err_nomem(taking->err, "writing an image down") : 0;
    hash_sha256_begin(&sum.state);
    while (rc == 0 && record_compare(&own, view) == 0) {
        picture_piece(view, &piece);
        rc = sum_add(&sum, taking->picture->image->dev, piece.place, taking->err);
        if (rc == 0)
            rc = records_next(taking->picture->pieces, view, taking->err);
    }
    sum_text(&sum, &text);
    /* Free space and padding are zero unless something else is said, however much there is of it. */
    if (!fills || sum.n_blocks > 0) {
        line(taking, ':', "sum", strbuf_str(&text), place);
        strbuf_truncate(&text, 0);
        strbuf_printf(&text, "%" PRIu64 " byte", sum.position);
        line(taking, ':', "size", strbuf_str(&text), place);
    }
    strbuf_free_into(&text, &taking->body);
    strbuf_free_into(&key, &taking->body);
    return rc == 0 ? end_group(taking) : rc;
}

/* ---- all of it ---- */

static int take_image(struct taking *taking, bool with_sum)
{
    const struct stack *stack = taking->picture->image->stack;
    struct plat_dev *dev = taking->picture->part && stack->n_layers > 0 ? stack->layers[0].dev : stack->dev;
    struct strbuf text = {0};
    int rc = 0;
    begin_group(taking, "", "image", strlen("image"));
    strbuf_truncate(&taking->key, 0);
    strbuf_puts(&taking->key, "image");
    strbuf_printf(&text, "%" PRIu64 " byte", dev->size_bytes);
    line(taking, '.', "size", strbuf_str(&text), "");
    if (with_sum) {
        struct sum sum = {0};
        hash_sha256_begin(&sum.state);
        rc = sum_add(&sum, dev, (struct range){0, dev->size_bytes}, taking->err);
        strbuf_truncate(&text, 0);
        sum_text(&sum, &text);
        line(taking, '.', "sum", strbuf_str(&text), "");
    }
    strbuf_free_into(&text, &taking->body);
    return rc == 0 ? end_group(taking) : rc;
}

int golden_take(struct picture *picture, bool with_sum, struct records *groups, struct plat_err *err)
{
    struct plat_err why = {0};
    struct taking taking = {.picture = picture, .groups = groups, .err = &why};
    struct record_view view = {0};
    int rc = take_image(&taking, with_sum);
    while (rc == 0 && (rc = records_next(picture->structs, &view, &why)) == 0 && view.key != NULL)
        rc = take_struct(&taking, &view);
    while (rc == 0 && (rc = records_next(picture->files, &view, &why)) == 0 && view.key != NULL)
        rc = take_file(&taking, &view);
    if (rc == 0)
        rc = records_next(picture->pieces, &view, &why);
    while (rc == 0 && view.key != NULL)
        rc = take_bytes(&taking, &view);
    if (rc != 0 && err != NULL)
        *err = why;
    strbuf_free(&taking.key);
    strbuf_free(&taking.body);
    strbuf_free(&taking.path);
    return rc;
}
