/* Walking an image for all that it holds. */
#include "inspect/picture.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/files.h"
#include "inspect/map.h"
#include "inspect/runs.h"
#include "lib/hash/hash.h"

enum {
    MAX_COVERED = 1 << 21 /* separate ranges; what is beyond counts as bytes that no structure has, too */
};

/* ---- patterns ---- */

static bool at_border(const char *text)
{
    return *text == '\0' || strchr(".[:/", *text) != NULL;
}

bool picture_matches(const char *pattern, const char *path)
{
    const char *star = NULL, *from = NULL; /* the last '*', and what is behind what it stands for */
    while (true) {
        if (*pattern == '*') {
            star = ++pattern;
            from = path;
        } else if (*pattern == '\0' && at_border(path)) {
            return true;
        } else if (*pattern != '\0' && *path != '\0' && (*pattern == '?' || *pattern == *path)) {
            pattern++;
            path++;
        } else if (star != NULL && *from != '\0') {
            pattern = star;
            path = ++from;
        } else {
            return false;
        }
    }
}

bool picture_wanted(const struct picture_filter *filter, const char *path)
{
    bool wanted = filter->n_only == 0;
    for (size_t i = 0; !wanted && i < filter->n_only; i++)
        wanted = picture_matches(filter->only[i], path);
    for (size_t i = 0; wanted && i < filter->n_ignore; i++)
        wanted = !picture_matches(filter->ignore[i], path);
    return wanted;
}

/* Whatever lies below `path` is ignored: no need to keep it. */
static bool ignored(const struct picture *picture, const char *path)
{
    for (size_t i = 0; i < picture->filter->n_ignore; i++)
        if (picture_matches(picture->filter->ignore[i], path))
            return true;
    return false;
}

/* ---- records ---- */

static size_t layer_at(const struct picture *picture, const char *path)
{
    const struct stack_layer *layer = inspect_layer_at(picture->image, path);
    return layer == NULL ? SIZE_MAX : (size_t)(layer - picture->image->stack->layers);
}

/* picture->key becomes the path with the layer's key before it. */
static void begin_key(struct picture *picture, size_t layer, const char *path)
{
    strbuf_truncate(&picture->key, 0);
    if (layer != SIZE_MAX) {
        strbuf_puts(&picture->key, picture->layers[layer].key);
        path += strlen(picture->image->stack->layers[layer].prefix);
    }
    strbuf_puts(&picture->key, path);
}

static int put_record(struct picture *picture, struct records *records)
{
    if (picture->key.failed || picture->body.failed)
        return err_nomem(&picture->err, "comparing images");
    const struct record_view view = {.key = strbuf_str(&picture->key),
                                     .key_bytes = picture->key.len,
                                     .body = (const uint8_t *)strbuf_str(&picture->body),
                                     .body_bytes = picture->body.len};
    return records_add(records, &view, &picture->err);
}

static void begin_body(struct picture *picture, const void *head, size_t n)
{
    strbuf_truncate(&picture->body, 0);
    strbuf_add(&picture->body, head, n);
}

static void body_text(struct picture *picture, const char *text)
{
    strbuf_add(&picture->body, text, strlen(text) + 1);
}

void picture_struct(const struct record_view *record, struct inst *ret)
{
    memcpy(ret, record->body, sizeof *ret);
    ret->path = (const char *)record->body + sizeof *ret;
    ret->bytes = (const uint8_t *)ret->path + strlen(ret->path) + 1;
    ret->parent = NULL;
}

void picture_file(const struct record_view *record, struct picture_file *ret)
{
    memcpy(ret, record->body, sizeof *ret);
    ret->path = (const char *)record->body + sizeof *ret;
    ret->target = ret->path + strlen(ret->path) + 1;
    ret->fault = ret->target + strlen(ret->target) + 1;
}

void picture_piece(const struct record_view *record, struct picture_piece *ret)
{
    memcpy(ret, record->body, sizeof *ret);
    ret->path = (const char *)record->body + sizeof *ret;
}

/* ---- structures ---- */

/* By what an element of an array is called. The first of these whose fields it has; the rest go by their index. */
static const char *const names[][2] = {
    {"unique_guid", NULL}, {"name", "extension"}, {"name", NULL}, {"key", NULL}, {"checksum", "order"},
};

/* All of it: the text of many bytes shows the first ones alone. */
static void name_text(struct picture *picture, const struct value *value)
{
    if (value->field->repr != REPR_BYTES) {
        value_text(value, &picture->key);
        return;
    }
    for (size_t i = 0; i < value->n; i++)
        strbuf_printf(&picture->key, "%02x", value->bytes[i]);
}

/* "[2]" at the end of the key becomes "[name='BOOT']". */
static void name_element(struct picture *picture, const struct inst *inst, const struct type *shape,
                         size_t base_bytes)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct field *first = type_field(shape, names[i][0]);
        const struct field *second = names[i][1] != NULL ? type_field(shape, names[i][1]) : NULL;
        struct value value;
        if (first == NULL || first->repr == REPR_TYPE || first->is_array ||
            (names[i][1] != NULL && (second == NULL || second->repr == REPR_TYPE || second->is_array)) ||
            inst_value(inst, first, 0, &value, NULL) != 0 || value.n > RECORDS_MAX_BYTES / 16)
            continue;
        strbuf_truncate(&picture->key, base_bytes);
        strbuf_printf(&picture->key, "[%s=", first->name);
        name_text(picture, &value);
        if (second != NULL && inst_value(inst, second, 0, &value, NULL) == 0) {
            strbuf_puts(&picture->key, " ");
            name_text(picture, &value);
        }
        strbuf_putc(&picture->key, ']');
        return;
    }
}

static int cover(struct picture *picture, const struct inst *inst)
{
    struct range *last = picture->n_covered > 0 ? &picture->covered[picture->n_covered - 1] : NULL;
    if (inst->source.stream != NULL || inst->size_bytes == 0)
        return 0;
    if (last != NULL && last->start + last->bytes == inst->offset) {
        last->bytes += inst->size_bytes;
        return 0;
    }
    if (picture->n_covered == MAX_COVERED)
        return 0;
    if (picture->covered == NULL || picture->n_covered == picture->cap_covered) {
        const size_t cap = 2 * picture->cap_covered + 1024;
        struct range *covered = reallocarray(picture->covered, cap, sizeof *covered);
        if (covered == NULL)
            return err_nomem(&picture->err, "comparing images");
        picture->covered = covered;
        picture->cap_covered = cap;
    }
    picture->covered[picture->n_covered++] = (struct range){inst->offset, inst->size_bytes};
    return 0;
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct picture *picture = ctx;
    const size_t layer = layer_at(picture, inst->path);
    const struct type *shape = inst_shape(inst);
    size_t base;
    uint64_t index;
    const bool element = run_split_path(inst->path, &base, &index);
    if (layer == SIZE_MAX || picture->layers[layer].files_only || picture->layers[layer].left_out)
        return 0;
    if (inst->size_bytes > RECORDS_MAX_BYTES / 4 ||
        (element && index >= picture->small_from && inst->size_bytes <= PICTURE_SMALL_BYTES))
        return 0;
    int rc = cover(picture, inst);
    if (rc != 0 || ignored(picture, inst->path))
        return rc;
    begin_key(picture, layer, inst->path);
    if (element && shape != NULL) {
        const struct stack_layer *of = &picture->image->stack->layers[layer];
        const size_t before = picture->key.len;
        name_element(picture, inst, shape, base - strlen(of->prefix) + strlen(picture->layers[layer].key));
        /* A slot that nobody uses has no name. */
        if (picture->key.len != before && bytes_all(inst->bytes, inst->size_bytes, 0))
            return 0;
    }
    begin_body(picture, inst, sizeof *inst);
    body_text(picture, inst->path);
    strbuf_add(&picture->body, (const char *)inst->bytes, inst->size_bytes);
    return put_record(picture, picture->structs);
}

static int on_finding(void *ctx, const struct finding *finding)
{
    struct picture *picture = ctx;
    if (finding->severity != SEVERITY_ERROR || picture->n_damaged++ > 0)
        return 0;
    struct strbuf text = {0};
    strbuf_visible(&text, finding->path, strlen(finding->path));
    strbuf_puts(&text, ": ");
    strbuf_visible(&text, finding->text, strlen(finding->text));
    strbuf_truncate(&text, text.len < sizeof picture->damage ? text.len : sizeof picture->damage - 1);
    memcpy(picture->damage, strbuf_str(&text), text.len + 1);
    strbuf_free(&text);
    return 0;
}

/* ---- bytes that no structure has ---- */

static int compare_starts(const void *a, const void *b)
{
    const uint64_t x = ((const struct range *)a)->start, y = ((const struct range *)b)->start;
    return x < y ? -1 : x > y;
}

static void join_covered(struct picture *picture)
{
    size_t n = 0;
    if (picture->n_covered > 0)
        qsort(picture->covered, picture->n_covered, sizeof *picture->covered, compare_starts);
    for (size_t i = 0; i < picture->n_covered; i++) {
        const struct range next = picture->covered[i];
        struct range *last = n > 0 ? &picture->covered[n - 1] : NULL;
        if (last == NULL || next.start > last->start + last->bytes)
            picture->covered[n++] = next;
        else if (next.start + next.bytes > last->start + last->bytes)
            last->bytes = next.start + next.bytes - last->start;
    }
    picture->n_covered = n;
    picture->cursor = 0;
}

static bool is_content(const struct picture *picture, size_t layer, const struct map_row *row)
{
    if (layer == SIZE_MAX || row->kind != EXTENT_DATA)
        return false;
    const struct stack_layer *of = &picture->image->stack->layers[layer];
    const char *inside = row->path + strlen(of->prefix);
    return of->fs != NULL && of->driver->read != NULL && of->driver->readdir != NULL &&
           (inside[0] == '/' || (inside[0] == ':' && inside[1] == '/'));
}

static int put_piece(struct picture *picture, const struct map_row *row, size_t layer, struct range place)
{
    const struct picture_piece piece = {.place = place, .kind = row->kind, .layer = layer};
    begin_key(picture, layer, row->path);
    /* What a path has of metadata and of padding are two things. */
    strbuf_add(&picture->key, "", 1);
    strbuf_putc(&picture->key, (char)('0' + (int)row->kind));
    begin_body(picture, &piece, sizeof piece);
    body_text(picture, row->path);
    return put_record(picture, picture->pieces);
}

static int on_row(void *ctx, const struct map_row *row)
{
    struct picture *picture = ctx;
    const size_t layer = layer_at(picture, row->path);
    const uint64_t end = row->place.start + row->place.bytes;
    uint64_t at = row->place.start;
    int rc = 0;
    if ((layer != SIZE_MAX && (picture->layers[layer].files_only || picture->layers[layer].left_out)) ||
        is_content(picture, layer, row) || ignored(picture, row->path))
        return 0;
    while (rc == 0 && at < end) {
        const struct range *covered = &picture->covered[picture->cursor];
        if (picture->cursor == picture->n_covered || covered->start >= end)
            return put_piece(picture, row, layer, (struct range){at, end - at});
        const uint64_t behind = covered->start + covered->bytes;
        if (covered->start > at)
            rc = put_piece(picture, row, layer, (struct range){at, covered->start - at});
        at = behind > at ? behind : at;
        picture->cursor += behind <= end;
    }
    return rc;
}

static int take_pieces(struct picture *picture, struct plat_err *err)
{
    struct map *map = malloc(sizeof *map);
    if (map == NULL)
        return err_nomem(err, "comparing images");
    join_covered(picture);
    int rc = map_open(picture->image, picture->part, map, err);
    if (rc == 0)
        rc = map_sweep(map, on_row, picture, err);
    map_close(map);
    free(map);
    return rc;
}

/* ---- files ---- */

struct gathering {
    struct picture *picture;
    size_t layer;
    struct fs *fs;
    const char *fault;
};

struct digest {
    struct hash_sha256_state state;
    uint64_t n;
};

static int on_xattr(void *ctx, const struct fs_xattr *xattr)
{
    struct digest *digest = ctx;
    const uint64_t sizes[2] = {strlen(xattr->name), xattr->value_bytes};
    digest->n++;
    hash_sha256_add(&digest->state, sizes, sizeof sizes);
    hash_sha256_add(&digest->state, xattr->name, strlen(xattr->name));
    hash_sha256_add(&digest->state, xattr->value, xattr->value_bytes);
    return 0;
}

static int put_file(struct gathering *gathering, const struct file_visit *visit)
{
    struct picture *picture = gathering->picture;
    const struct stack_layer *layer = &picture->image->stack->layers[gathering->layer];
    const struct fs_driver *driver = layer->driver;
    struct picture_file file = {
        .layer = gathering->layer, .node = visit->node, .stat = {.kind = visit->kind}};
    struct strbuf target = {0}, path = {0};
    struct digest digest = {0};
    struct plat_err why = {0};
    strbuf_printf(&path, "%s%s/%s", layer->prefix, layer->prefix[0] != '\0' ? ":" : "", visit->path);
    if (path.failed || ignored(picture, strbuf_str(&path))) {
        const bool failed = path.failed;
        strbuf_free(&path);
        return failed ? err_nomem(&picture->err, "comparing images") : 0;
    }
    int rc = gathering->fault == NULL ? driver->stat(layer->fs, visit->node, &file.stat, &why) : 0;
    if (rc == 0 && file.stat.kind == TREE_SYMLINK && driver->readlink != NULL)
        rc = driver->readlink(layer->fs, visit->node, &target, &why);
    hash_sha256_begin(&digest.state);
    if (rc == 0 && gathering->fault == NULL && driver->xattrs != NULL && !file.stat.no_xattrs)
        rc = driver->xattrs(layer->fs, visit->node, on_xattr, &digest, &why);
    hash_sha256_end(&digest.state, file.xattrs);
    file.n_xattrs = digest.n;
    if (rc == PLAT_ENOMEM) {
        picture->err = why;
    } else {
        begin_key(picture, gathering->layer, strbuf_str(&path));
        begin_body(picture, &file, sizeof file);
        body_text(picture, strbuf_str(&path));
        body_text(picture, strbuf_str(&target));
        body_text(picture, gathering->fault != NULL ? gathering->fault : why.text);
        rc = put_record(picture, picture->files);
    }
    strbuf_free(&target);
    strbuf_free(&path);
    return rc;
}

static int on_file(void *ctx, const struct file_visit *visit)
{
    struct gathering *gathering = ctx;
    gathering->fault = NULL;
    return put_file(gathering, visit);
}

static int on_trouble(void *ctx, const struct file_visit *visit, const struct plat_err *why)
{
    struct gathering *gathering = ctx;
    gathering->fault = why->text;
    gathering->picture->n_damaged++;
    if (gathering->picture->damage[0] == '\0')
        memcpy(gathering->picture->damage, why->text, sizeof gathering->picture->damage - 1);
    return put_file(gathering, visit);
}

static int take_files(struct picture *picture, size_t layer, struct plat_err *err)
{
    struct fs *fs = picture->image->stack->layers[layer].fs;
    struct node_set seen = {0};
    struct gathering gathering = {.picture = picture, .layer = layer, .fs = fs};
    const struct file_walk walk = {
        .ctx = &gathering, .enter = on_file, .entry = on_file, .trouble = on_trouble, .seen = &seen};
    struct file_visit root = {.path = "", .name = "", .kind = TREE_DIR};
    bool added;
    int rc = fs->driver->root(fs, &root.node, err);
    if (rc != 0) /* what is wrong with it is the walk's to say */
        return rc == PLAT_ENOMEM || rc == PLAT_EIO ? rc : 0;
    rc = node_set_add(&seen, root.node, &added, err);
    if (rc == 0)
        rc = file_walk(fs, &root, &walk, err);
    node_set_free(&seen);
    return rc;
}

/* ---- all of it ---- */

int picture_open(const struct inspect_image *image, bool part, const struct picture_filter *filter,
                 struct picture *ret, struct plat_err *err)
{
    const size_t n = image->stack->n_layers;
    *ret = (struct picture){.image = image, .part = part, .filter = filter, .small_from = WALK_BULK_ELEMENTS};
    ret->layers = calloc(n + 1, sizeof *ret->layers);
    if (ret->layers == NULL)
        return err_nomem(err, "comparing images");
    for (size_t i = 0; i < n; i++)
        ret->layers[i].key = image->stack->layers[i].prefix;
    int rc = records_open(&ret->structs, err);
    if (rc == 0)
        rc = records_open(&ret->files, err);
    return rc == 0 ? records_open(&ret->pieces, err) : rc;
}

int picture_take(struct picture *picture, struct plat_err *err)
{
    const struct walk_sink sink = {.ctx = picture,
                                   .elements = true,
                                   .instance = on_instance,
                                   .findings = {.fn = on_finding, .ctx = picture}};
    const struct stack *stack = picture->image->stack;
    int rc = stack_walk(picture->image->stack, &sink, err);
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++) {
        const struct stack_layer *layer = &stack->layers[i];
        if (layer->fs != NULL && layer->driver->root != NULL && layer->driver->readdir != NULL &&
            layer->driver->stat != NULL && !picture->layers[i].left_out)
            rc = take_files(picture, i, err);
    }
    if (rc == 0)
        rc = take_pieces(picture, err);
    if (rc == 0)
        rc = records_rewind(picture->structs, err);
    if (rc == 0)
        rc = records_rewind(picture->files, err);
    if (rc == 0)
        rc = records_rewind(picture->pieces, err);
    if (rc != 0 && picture->err.class != 0 && err != NULL)
        *err = picture->err;
    return rc;
}

void picture_close(struct picture *picture)
{
    records_close(picture->structs);
    records_close(picture->files);
    records_close(picture->pieces);
    free(picture->covered);
    free(picture->layers);
    strbuf_free(&picture->key);
    strbuf_free(&picture->body);
    *picture = (struct picture){0};
}
