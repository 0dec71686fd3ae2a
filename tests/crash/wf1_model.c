#include "tests/crash/wf1_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/hash/hash.h"

void model_init(struct model *model, uint64_t root, uint64_t room_blocks)
{
    memset(model, 0, sizeof *model);
    for (size_t i = 0; i < MODEL_BLOCKS; i++)
        model->blocks[i].node = -1;
    model->nodes[0] = (struct model_node){.used = true, .kind = TREE_DIR, .given = root, .mode = 0755};
    model->room_blocks = room_blocks;
}

void model_name(unsigned name, char ret[MODEL_NAME_BYTES])
{
    static const char *const odd[] = {"\n", "\xff\xfe", "a b", "...", "\x1b[31m", "-", "\xc3\xa4", ".x"};
    if (name < sizeof odd / sizeof odd[0]) {
        (void)snprintf(ret, MODEL_NAME_BYTES, "%s", odd[name]);
        return;
    }
    /* Every third fills a good part of a block of names; one is as long as names may be. */
    const size_t n = name % 3 != 0 ? 4 : name == MODEL_NAMES - 1 ? MODEL_NAME_BYTES - 1 : 100 + name % 64;
    memset(ret, 'n', n);
    (void)snprintf(ret + n - 3, 4, "%03u", name % 1000);
}

int model_find(const struct model *model, int dir, unsigned name)
{
    for (int i = 1; i < MODEL_NODES; i++)
        if (model->nodes[i].used && model->nodes[i].parent == dir && model->nodes[i].name == name)
            return i;
    return -1;
}

unsigned model_children(const struct model *model, int dir)
{
    unsigned n = 0;
    for (int i = 1; i < MODEL_NODES; i++)
        n += model->nodes[i].used && model->nodes[i].parent == dir;
    return n;
}

bool model_below(const struct model *model, int node, int dir)
{
    while (node != dir && node != 0)
        node = model->nodes[node].parent;
    return node == dir;
}

int model_create(struct model *model, int dir, unsigned name, enum tree_kind kind, uint64_t given)
{
    for (int i = 1; i < MODEL_NODES; i++) {
        if (model->nodes[i].used)
            continue;
        model->nodes[i] =
            (struct model_node){.used = true, .kind = kind, .parent = dir, .name = name, .given = given};
        return i;
    }
    return -1;
}

/* The block of a node; NULL: it is all zeros. */
static struct model_block *block_find(struct model *model, int node, uint64_t at)
{
    for (size_t i = 0; i < MODEL_BLOCKS; i++)
        if (model->blocks[i].node == node && model->blocks[i].at == at)
            return &model->blocks[i];
    return NULL;
}
static struct model_block *block_get(struct model *model, int node, uint64_t at)
{
    struct model_block *found = block_find(model, node, at);
    if (found != NULL)
        return found;
    for (size_t i = 0; i < MODEL_BLOCKS; i++) {
        found = &model->blocks[i];
        if (found->node >= 0)
            continue;
        *found = (struct model_block){.node = node, .at = at};
        return found;
    }
    (void)fprintf(stderr, "crash: more blocks than an image has\n");
    exit(2);
}

void model_write(struct model *model, int node, uint64_t offset, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n;) {
        const uint64_t at = (offset + i) / MODEL_BLOCK_BYTES;
        const size_t inside = (size_t)((offset + i) % MODEL_BLOCK_BYTES);
        const size_t part = n - i < MODEL_BLOCK_BYTES - inside ? n - i : MODEL_BLOCK_BYTES - inside;
        struct model_block *block = block_get(model, node, at);
        memcpy(block->bytes + inside, bytes + i, part);
        if (bytes_all(block->bytes, MODEL_BLOCK_BYTES, 0))
            block->node = -1;
        i += part;
    }
    if (n > 0 && offset + n > model->nodes[node].size_bytes)
        model->nodes[node].size_bytes = offset + n;
}

void model_truncate(struct model *model, int node, uint64_t size_bytes)
{
    for (size_t i = 0; i < MODEL_BLOCKS; i++) {
        struct model_block *block = &model->blocks[i];
        const uint64_t start = block->at * MODEL_BLOCK_BYTES;
        if (block->node != node || start + MODEL_BLOCK_BYTES <= size_bytes)
            continue;
        const size_t keep = start < size_bytes ? (size_t)(size_bytes - start) : 0;
        memset(block->bytes + keep, 0, MODEL_BLOCK_BYTES - keep);
        if (bytes_all(block->bytes, MODEL_BLOCK_BYTES, 0))
            block->node = -1;
    }
    model->nodes[node].size_bytes = size_bytes;
}

void model_remove(struct model *model, int node)
{
    model_truncate(model, node, 0);
    model->nodes[node].used = false;
}

void model_rename(struct model *model, int node, int dir, unsigned name)
{
    const int there = model_find(model, dir, name);
    if (there >= 0 && there != node)
        model_remove(model, there);
    model->nodes[node].parent = dir;
    model->nodes[node].name = name;
}

void model_read(const struct model *model, int node, uint64_t offset, uint8_t *ret, size_t n)
{
    memset(ret, 0, n);
    for (size_t i = 0; i < MODEL_BLOCKS; i++) {
        const struct model_block *block = &model->blocks[i];
        if (block->node != node)
            continue;
        for (size_t k = 0; k < MODEL_BLOCK_BYTES; k++) {
            const uint64_t at = block->at * MODEL_BLOCK_BYTES + k;
            if (at >= offset && at - offset < n)
                ret[at - offset] = block->bytes[k];
        }
    }
}

/* ---- digests ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = (a ^ (b + 0x9E3779B97F4A7C15u + (a << 6) + (a >> 2))) * 0xFF51AFD7ED558CCDu;
    z = (z ^ z >> 33) * 0xC4CEB9FE1A85EC53u;
    return z ^ z >> 29;
}

uint64_t digest_path(uint64_t dir_path, const void *name, size_t n)
{
    return mix(dir_path, hash_xxh64(name, n));
}

uint64_t digest_block(uint64_t at, const uint8_t bytes[MODEL_BLOCK_BYTES])
{
    return mix(at, hash_xxh64(bytes, MODEL_BLOCK_BYTES));
}

uint64_t digest_node(uint64_t path, const struct digest_node *node)
{
    const uint64_t fields[] = {node->kind,
                               node->mode,
                               node->uid,
                               node->gid,
                               node->created.clock,
                               (uint64_t)node->created.ns,
                               node->modified.clock,
                               (uint64_t)node->modified.ns,
                               node->device,
                               node->size_bytes,
                               node->content};
    return mix(path, hash_xxh64(fields, sizeof fields));
}

static uint64_t path_of(const struct model *model, int node)
{
    char name[MODEL_NAME_BYTES];
    if (node == 0)
        return DIGEST_ROOT_PATH;
    model_name(model->nodes[node].name, name);
    return digest_path(path_of(model, model->nodes[node].parent), name, strlen(name));
}

uint64_t model_digest(const struct model *model)
{
    uint64_t contents[MODEL_NODES] = {0}, digest = model->room_blocks;
    for (size_t i = 0; i < MODEL_BLOCKS; i++)
        if (model->blocks[i].node >= 0)
            contents[model->blocks[i].node] += digest_block(model->blocks[i].at, model->blocks[i].bytes);
    for (int i = 0; i < MODEL_NODES; i++) {
        const struct model_node *node = &model->nodes[i];
        const struct digest_node plain = {.kind = node->kind,
                                          .mode = node->mode,
                                          .uid = node->uid,
                                          .gid = node->gid,
                                          .created = node->created,
                                          .modified = node->modified,
                                          .device = node->device,
                                          .size_bytes = node->size_bytes,
                                          .content = contents[i]};
        if (node->used)
            digest += digest_node(path_of(model, i), &plain);
    }
    return digest;
}
