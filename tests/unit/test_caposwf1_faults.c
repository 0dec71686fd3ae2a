/* Faults that are planted in a CAPOSWF1 behind right checksums, one after the other: check has a word for each.
 *
 * Catches: a rule that check forgets, a fault that hides behind another's name. */
#include "tests/unit/caposwf1_shell.h"

static void used_bit(const struct image_of *image)
{
    const struct caposwf1_superblock v = caposwf1_superblock_of(super_of(image));
    const uint32_t bit = caposwf1_pointer_block(caposwf1_superblock_nodes(v)) - 2;
    bottom_of(image, false, 0)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}
static void free_bit(const struct image_of *image)
{
    bottom_of(image, false, 0)[12] ^= 1; /* block 96 of the region, which is free */
}
static void free_blocks(const struct image_of *image)
{
    caposwf1_superblock_set_free_blocks(super_of(image), 5);
}
static void twice(const struct image_of *image)
{
    const uint32_t block =
        caposwf1_extent_first_block((struct caposwf1_extent){below_of(image, FILE_SPARSE)});
    caposwf1_extent_set_first_block(entry_of(image, FILE_SMALL, 0), block);
}
static void parent(const struct image_of *image)
{
    caposwf1_node_head_set_parent_node(head_of(image, FILE_SMALL), 0);
}
static void name_kind(const struct image_of *image)
{
    const struct caposwf1_name_entry_head_mut m = {name_of(image, DIR_A, FILE_SMALL)};
    caposwf1_name_entry_head_set_kind(m, CAPOSWF1_NODE_KIND_SOCKET);
}
static void name_free(const struct image_of *image)
{
    const struct caposwf1_name_entry_head_mut m = {name_of(image, DIR_A, FILE_SMALL)};
    caposwf1_name_entry_head_set_kind(m, CAPOSWF1_NODE_KIND_FREE);
}
static void name_node(const struct image_of *image, uint64_t node)
{
    const struct caposwf1_name_entry_head_mut m = {name_of(image, DIR_A, FILE_SMALL)};
    caposwf1_name_entry_head_set_node(m, (uint32_t)node);
}
static void name_again(const struct image_of *image)
{
    name_node(image, FILE_SPARSE);
}
static void name_root(const struct image_of *image)
{
    name_node(image, 0);
}
static void name_beyond(const struct image_of *image)
{
    name_node(image, caposwf1_superblock_node_count(caposwf1_superblock_of(super_of(image))));
}
/* /a/b becomes a directory that is in /a/b/a; what was there is in the root. */
static void loop(const struct image_of *image)
{
    const struct caposwf1_name_entry_head_mut root_name = {name_of(image, 0, DIR_A)},
                                              inner_name = {below_of(image, DIR_B)};
    const uint32_t other = caposwf1_name_entry_head_node(caposwf1_name_entry_head_of(inner_name));
    caposwf1_name_entry_head_set_node(root_name, other);
    caposwf1_name_entry_head_set_kind(root_name, CAPOSWF1_NODE_KIND_FIFO);
    caposwf1_name_entry_head_set_node(inner_name, DIR_A);
    caposwf1_name_entry_head_set_kind(inner_name, CAPOSWF1_NODE_KIND_DIRECTORY);
    caposwf1_node_head_set_parent_node(head_of(image, other), 0);
    caposwf1_node_head_set_parent_node(head_of(image, DIR_A), DIR_B);
}
static void free_next(const struct image_of *image)
{
    const uint64_t first = caposwf1_superblock_free_node(caposwf1_superblock_of(super_of(image)));
    caposwf1_node_head_set_parent_node(head_of(image, first), 0);
}
static void free_used(const struct image_of *image)
{
    caposwf1_superblock_set_free_node(super_of(image), FILE_SMALL);
}
static void free_circle(const struct image_of *image)
{
    const uint64_t first = caposwf1_superblock_free_node(caposwf1_superblock_of(super_of(image)));
    caposwf1_node_head_set_parent_node(head_of(image, first), (uint32_t)first);
}
static void free_count(const struct image_of *image)
{
    caposwf1_superblock_set_free_node_count(super_of(image), 1);
}
static void name_hash(const struct image_of *image)
{
    const struct caposwf1_name_entry_head_mut m = {name_of(image, DIR_A, FILE_SMALL)};
    caposwf1_name_entry_head_set_hash(m, 5);
}
/* Puts other bytes into a name, with the right hash. */
static void name_bytes(const struct image_of *image, const char *bytes)
{
    uint8_t *at = name_of(image, DIR_A, FILE_SMALL);
    const struct caposwf1_name_entry_head_mut m = {at};
    memcpy(at + WF1_NAME_HEAD_BYTES, bytes, 5);
    caposwf1_name_entry_head_set_hash(m, wf1_name_hash(bytes, 5));
}
static void name_slash(const struct image_of *image)
{
    name_bytes(image, "sm/ll");
}
static void name_nul(const struct image_of *image)
{
    name_bytes(image, "sm\0ll");
}
/* Two names of one length change places. */
static void name_order(const struct image_of *image)
{
    uint8_t *block = below_of(image, DIR_B), kept[WF1_BLOCK_BYTES];
    struct wf1_name one, two;
    for (uint32_t at = 0; wf1_name_decode(block, &at, &one);) {
        uint32_t behind = at;
        const uint32_t n = WF1_NAME_HEAD_BYTES + one.bytes;
        if (wf1_name_decode(block, &behind, &two) && two.bytes == one.bytes) {
            memcpy(kept, block + at - n, n);
            memcpy(block + at - n, block + at, n);
            memcpy(block + at, kept, n);
            return;
        }
    }
    die("no two names of one length");
}
static void names_key(const struct image_of *image)
{
    caposwf1_extent_set_file_block(entry_of(image, DIR_A, 0), UINT32_MAX);
}
static void names_many(const struct image_of *image)
{
    caposwf1_extent_set_blocks(entry_of(image, DIR_A, 0), 46);
}
static void extents_order(const struct image_of *image)
{
    caposwf1_extent_set_file_block((struct caposwf1_extent_mut){below_of(image, FILE_SPARSE)}, 300);
}
static void extents_key(const struct image_of *image)
{
    caposwf1_extent_set_file_block(entry_of(image, FILE_SPARSE, 0), 1);
}
static void extents_many(const struct image_of *image)
{
    caposwf1_extent_set_blocks(entry_of(image, FILE_SPARSE, 0), 33);
}
static void behind_end(const struct image_of *image)
{
    caposwf1_node_head_set_size_bytes(head_of(image, FILE_SMALL), 100);
}
static void names_count(const struct image_of *image)
{
    caposwf1_node_head_set_size_bytes(head_of(image, DIR_B), 3);
}
static void extents_rest(const struct image_of *image)
{
    below_of(image, FILE_SPARSE)[WF1_BLOCK_BYTES - 1] = 1;
}
static void names_rest(const struct image_of *image)
{
    below_of(image, DIR_A)[WF1_BLOCK_BYTES - 1] = 1;
}
static void records_rest(const struct image_of *image)
{
    const uint64_t n = caposwf1_superblock_node_count(caposwf1_superblock_of(super_of(image)));
    caposwf1_superblock_set_node_count(super_of(image), n - 1);
}
static void reserved(const struct image_of *image)
{
    record_of(image, EMPTY)[CAPOSWF1_EXTENT_NODE_RESERVED_OFFSET] = 1;
}
static void pointer_behind(const struct image_of *image)
{
    const struct caposwf1_superblock v = caposwf1_superblock_of(super_of(image));
    uint8_t *root =
        image->bytes + (size_t)caposwf1_pointer_block(caposwf1_superblock_nodes(v)) * WF1_BLOCK_BYTES;
    const struct caposwf1_pointer_mut m = {root + (WF1_POINTERS - 1) * CAPOSWF1_POINTER_BYTES};
    caposwf1_pointer_set_block(m, 90);
}
static void pointer_outside(const struct image_of *image)
{
    const struct caposwf1_superblock v = caposwf1_superblock_of(super_of(image));
    uint8_t *root =
        image->bytes + (size_t)caposwf1_pointer_block(caposwf1_superblock_nodes(v)) * WF1_BLOCK_BYTES;
    caposwf1_pointer_set_block((struct caposwf1_pointer_mut){root}, 1);
}
static void target(const struct image_of *image)
{
    below_of(image, LINK)[3] = 0;
}
static void target_none(const struct image_of *image)
{
    caposwf1_node_head_set_size_bytes(head_of(image, LINK), 0);
}
static void mode(const struct image_of *image)
{
    caposwf1_node_head_set_mode(head_of(image, EMPTY), 010000);
}
static void kind(const struct image_of *image)
{
    caposwf1_node_head_set_kind(head_of(image, EMPTY), 9);
}
static void root_file(const struct image_of *image)
{
    caposwf1_node_head_set_parent_node(head_of(image, 0), 1);
}
static void levels(const struct image_of *image)
{
    caposwf1_node_head_set_levels(head_of(image, FILE_SPARSE), 13);
}
static void clock_missing(const struct image_of *image)
{
    const struct caposwf1_plain_node_mut m = {record_of(image, EMPTY)};
    caposwf1_node_times_set_created_clock(caposwf1_plain_node_edit_times(m), CAPOSWF1_PROVENANCE_UNKNOWN);
}
static void tail(const struct image_of *image)
{
    below_of(image, FILE_SMALL)[2 * WF1_BLOCK_BYTES - 1] = 1;
}
static void free_block(const struct image_of *image)
{
    image->bytes[image->n - 1] = 1;
}
static void state(const struct image_of *image)
{
    caposwf1_superblock_set_state(super_of(image), CAPOSWF1_STATE_WRITING);
}
static void nodes_many(const struct image_of *image)
{
    caposwf1_superblock_set_node_count(super_of(image), UINT32_MAX);
    caposwf1_superblock_set_node_levels(super_of(image), wf1_levels_for(UINT32_MAX / WF1_RECORDS + 1));
}

static void test_planted(void)
{
    static const struct {
        void (*plant)(const struct image_of *image);
        const char *what, *id;
    } faults[] = {
        {used_bit, "a used block that is marked free", "wf1-unmarked"},
        {free_bit, "a free block that is marked used", "wf1-leaked"},
        {free_blocks, "another number of free blocks", "wf1-free-blocks"},
        {twice, "an extent in two files", "wf1-shared-block"},
        {parent, "another parent", "wf1-parent"},
        {name_kind, "another kind in the name", "wf1-kind"},
        {name_free, "a name for a free record", "wf1-kind"},
        {name_again, "two names for one node", "wf1-name-again"},
        {name_again, "... and none for another", "wf1-orphan"},
        {name_root, "a name for the root", "wf1-name-node"},
        {name_beyond, "a name for a node that is not there", "wf1-name-node"},
        {loop, "a directory that is inside itself", "wf1-loop"},
        {free_next, "a free list that ends early", "wf1-free-list"},
        {free_used, "a used record in the free list", "wf1-free-list"},
        {free_circle, "a free list that goes round", "wf1-free-list"},
        {free_count, "another number of free records", "wf1-free-nodes"},
        {name_hash, "another hash", "wf1-hash"},
        {name_slash, "a name with a slash", "wf1-name"},
        {name_nul, "a name with a NUL", "wf1-name"},
        {name_order, "names out of order", "wf1-order"},
        {names_key, "names below their key", "wf1-order"},
        {names_many, "more names than there are", "wf1-names"},
        {extents_order, "extents out of order", "wf1-map"},
        {extents_key, "extents below their key", "wf1-order"},
        {extents_many, "more extents than fit", "wf1-map"},
        {behind_end, "an extent behind the end", "wf1-behind-end"},
        {names_count, "another number of names", "wf1-names"},
        {extents_rest, "bytes behind the extents", "wf1-padding"},
        {names_rest, "bytes behind the names", "wf1-padding"},
        {records_rest, "bytes behind the records", "wf1-padding"},
        {reserved, "a reserved byte", "wf1-reserved"},
        {pointer_behind, "a pointer behind the last", "wf1-pointer"},
        {pointer_outside, "a pointer out of the region", "wf1-place"},
        {target, "a target with a NUL", "wf1-target"},
        {target_none, "a target without a byte", "wf1-node"},
        {mode, "a mode of too many bits", "wf1-node"},
        {kind, "an unknown kind", "wf1-node"},
        {root_file, "a root that has a parent", "wf1-node"},
        {levels, "too many levels", "wf1-node"},
        {clock_missing, "a time without a clock", "wf1-node"},
        {tail, "bytes behind the end of a file", "wf1-zero"},
        {free_block, "bytes in a free block", "wf1-zero"},
        {state, "a superblock that says a writer is at work", "wf1-state"},
        {nodes_many, "more nodes than blocks hold", "wf1-nodes"},
    };
    struct image_of image = make(100, 0, 22);
    uint8_t *sound = malloc(image.n);
    struct words words;
    if (sound == NULL)
        die("memory");
    memcpy(sound, image.bytes, image.n);
    reseal_image(image.bytes, image.n, 0);
    ok(memcmp(sound, image.bytes, image.n) == 0, "sealing a sound image changes nothing");
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        char id[40];
        faults[i].plant(&image);
        reseal_image(image.bytes, image.n, 0);
        (void)snprintf(id, sizeof id, "[%s ", faults[i].id);
        const bool found = judge_fast(image.dev, NULL, &words) > 0 && strstr(words.text, id) != NULL;
        ok(found, "%s: %.200s", faults[i].what, words.text);
        ok(judge(image.dev, &words) > 0 && strstr(words.text, id) != NULL, "... layers: %.200s", words.text);
        memcpy(image.bytes, sound, image.n);
    }
    free(sound);
    dev_close(image.dev);
}

int main(void)
{
    test_planted();
    return tap_done();
}
