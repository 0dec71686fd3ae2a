/* Names of a directory: blocks of them, in order of hash and then bytewise. */
#include "formats/caposwf1/writer.h"

struct names {
    uint32_t n;
    struct wf1_name name[WF1_NAMES_MAX + 1]; /* into `bytes`, but for the one that is added */
    uint8_t bytes[WF1_BLOCK_BYTES];
};

static int names_load(struct wf1_reader *reader, const struct wf1_entry *leaf, struct names *ret,
                      struct plat_err *err)
{
    const uint8_t *bytes;
    uint32_t offset = 0;
    int rc = wf1_block(reader, (struct wf1_pointer){leaf->block, leaf->crc32c}, &bytes, err);
    if (rc != 0)
        return rc;
    memcpy(ret->bytes, bytes, sizeof ret->bytes);
    for (ret->n = 0; ret->n < leaf->count; ret->n++)
        if (ret->n == WF1_NAMES_MAX || !wf1_name_decode(ret->bytes, &offset, &ret->name[ret->n]))
            return err_set(err, PLAT_ECORRUPT, "block %u: its names do not fit in it; run plat verify",
                           leaf->block);
    return 0;
}

static uint32_t stored_bytes(const struct wf1_name *name)
{
    return WF1_NAME_HEAD_BYTES + name->bytes;
}

static void leaf_add(struct wf1_leaf *leaf, uint32_t *used, const struct wf1_name *name)
{
    if (leaf->count++ == 0)
        leaf->key = name->hash;
    wf1_name_encode(name, leaf->bytes + *used);
    *used += stored_bytes(name);
}

/* As few blocks as hold them; two of about the same size, where two do. */
static void names_pack(const struct names *names, struct wf1_leaves *ret)
{
    uint32_t total = 0, used = 0;
    for (uint32_t i = 0; i < names->n; i++)
        total += stored_bytes(&names->name[i]);
    memset(ret, 0, sizeof *ret);
    if (names->n == 0)
        return;
    ret->n = 1;
    for (uint32_t i = 0, done = 0; i < names->n; i++) {
        const uint32_t bytes = stored_bytes(&names->name[i]);
        const bool half = total > WF1_BLOCK_BYTES && ret->n == 1 && used > 0 &&
                          done + bytes / 2 > total / 2 && total - done <= WF1_BLOCK_BYTES;
        if (used + bytes > WF1_BLOCK_BYTES || half) {
            ret->n++;
            used = 0;
        }
        leaf_add(&ret->leaf[ret->n - 1], &used, &names->name[i]);
        done += bytes;
    }
}

/* The bottom block that the name belongs to, and its names. */
static int find_leaf(struct wf1_reader *reader, const struct wf1_node *dir, const struct wf1_name *name,
                     struct wf1_cursor *cursor, struct names *names, struct plat_err *err)
{
    int rc = wf1_cursor_seek(cursor, reader, dir, name->hash, err);
    if (rc == 0 && cursor->end)
        return err_set(err, PLAT_EBUG, "a directory without names is searched");
    if (rc == 0)
        rc = names_load(reader, &cursor->leaf, names, err);
    /* Names of the same hash may run over several blocks. */
    while (rc == 0 && names->n > 0 && wf1_name_compare(&names->name[names->n - 1], name) < 0) {
        struct wf1_cursor next = *cursor;
        rc = wf1_cursor_next(&next, err);
        if (rc != 0 || next.end || next.leaf.key > name->hash)
            break;
        *cursor = next;
        rc = names_load(reader, &cursor->leaf, names, err);
    }
    return rc;
}

int wf1_name_add(struct wf1_writer *writer, uint32_t dir, const struct wf1_name *name, struct plat_err *err)
{
    struct wf1_reader *reader = &writer->vol->reader;
    struct wf1_leaves leaves;
    struct wf1_cursor cursor;
    struct names names = {0};
    struct wf1_node node;
    int rc = wf1_node_read(reader, dir, &node, err);
    if (rc != 0)
        return rc;
    names.n = 0;
    if (node.levels > 0)
        rc = find_leaf(reader, &node, name, &cursor, &names, err);
    if (rc != 0)
        return rc;
    uint32_t at = 0;
    while (at < names.n && wf1_name_compare(&names.name[at], name) < 0)
        at++;
    memmove(&names.name[at + 1], &names.name[at], (names.n - at) * sizeof names.name[0]);
    names.name[at] = *name;
    names.n++;
    names_pack(&names, &leaves);
    rc = node.levels > 0 ? wf1_map_replace(writer, &node, &cursor, &leaves, err)
                         : wf1_map_begin(writer, &node, &leaves, err);
    node.size_bytes++;
    return rc == 0 ? wf1_node_put(writer, dir, &node, err) : rc;
}

int wf1_name_drop(struct wf1_writer *writer, uint32_t dir, const uint8_t *name, size_t n,
                  struct plat_err *err)
{
    struct wf1_reader *reader = &writer->vol->reader;
    const struct wf1_name wanted = {.hash = wf1_name_hash(name, n), .bytes = (uint32_t)n, .name = name};
    struct wf1_leaves leaves;
    struct wf1_cursor cursor;
    struct names names = {0};
    struct wf1_node node;
    int rc = wf1_node_read(reader, dir, &node, err);
    if (rc == 0 && node.levels == 0)
        rc = err_set(err, PLAT_ENOTFOUND, "no such name");
    if (rc == 0)
        rc = find_leaf(reader, &node, &wanted, &cursor, &names, err);
    if (rc != 0)
        return rc;
    uint32_t at = 0;
    while (at < names.n && wf1_name_compare(&names.name[at], &wanted) != 0)
        at++;
    if (at == names.n)
        return err_set(err, PLAT_ENOTFOUND, "no such name");
    names.n--;
    memmove(&names.name[at], &names.name[at + 1], (names.n - at) * sizeof names.name[0]);
    names_pack(&names, &leaves);
    rc = wf1_map_replace(writer, &node, &cursor, &leaves, err);
    node.size_bytes--;
    return rc == 0 ? wf1_node_put(writer, dir, &node, err) : rc;
}
