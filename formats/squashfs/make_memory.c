/* How much memory making an image takes, before it is made: a formula, whose parts are below, each an upper bound. With a cap
 * (-O memory) fewer threads compress; where one is too many still, the least that would do is named.
 *
 *      what the program itself takes, PROGRAM_BYTES
 *      the tree                       a tree_node for each node, and its name
 *      items, files, equal files      sqm_item a node; sqm_file, 16 bytes and a slot a file
 *      listings                       what they have before they are compressed
 *      blocks, tails                  4 bytes each, 32 a file that has blocks, and 48 for each of the first SQM_KNOWN_BLOCKS_MAX
 *      blocks that are shared         SHARED_BLOCKS of them
 *      pack                           SQM_PACK_BYTES and 8 bytes a file
 *      a thread                       8 blocks twice, an encoder, THREAD_BYTES
 *
 * Extended attributes, which the tree holds, come on top. */
#include "formats/squashfs/make.h"

enum {
    PROGRAM_BYTES = 10 << 20, /* code, libraries, buffers of input and output */
    THREAD_BYTES = 512 << 10, /* stack, and what the allocator keeps for a thread */
    SIZE_BYTES =
        4, /* of a file's size; while those of all are sorted it is 16, and there is no sqm_file yet */
    SLOT_BYTES = 12, /* of its place among the files that are stored, at most */
    KNOWN_BYTES = 48,
    ALIGN_BYTES = 16, /* what the arena may lose, and one word more than there are blocks */
    PACKED_BYTES = 8,
    SHARED_BLOCKS = 3 /* the tails at hand, scratch, and a byte for each length that a tail can have */
};

/* What grows with the tree. */
static uint64_t tree_bytes(const struct make_plan *plan)
{
    const struct sqm_settings *settings = &plan->settings;
    uint64_t bytes = 0, n_blocks = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const struct tree_node *node = plan->items[i].node;
        const size_t name_bytes = strlen(node->name) + 1;
        bytes += sizeof *node + name_bytes + sizeof plan->items[i];
        bytes += SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES + name_bytes;
        if (node->kind == TREE_DIR)
            bytes += SQUASHFS_DIRECTORY_HEADER_BYTES + sizeof(struct sqm_dir);
        if (node->kind != TREE_FILE || plan->items[i].first != i)
            continue;
        bytes += sizeof(struct sqm_file) + SIZE_BYTES + SLOT_BYTES + (settings->pack ? PACKED_BYTES : 0);
        if (node->size_bytes >= settings->block_bytes || settings->fragments == SQM_FRAGMENTS_NO)
            bytes += sizeof(struct sqm_blocks) + ALIGN_BYTES;
        n_blocks += div_up_u64(node->size_bytes, settings->block_bytes);
    }
    bytes += n_blocks * (sizeof(uint32_t) + sizeof(struct sqm_fragment));
    bytes += (n_blocks < SQM_KNOWN_BLOCKS_MAX ? n_blocks : SQM_KNOWN_BLOCKS_MAX) * KNOWN_BYTES;
    return bytes + (settings->exports ? plan->n_inodes * sizeof(uint32_t) : 0);
}

static uint64_t thread_bytes(const struct sqm_settings *settings)
{
    return (uint64_t)PAR_JOBS_PER_THREAD * 2 * settings->block_bytes +
           codec_encoder_memory_bytes(&settings->codec, settings->block_bytes) + THREAD_BYTES;
}

uint64_t sqm_memory_bytes(const struct make_plan *plan, unsigned n_threads)
{
    const struct sqm_settings *settings = &plan->settings;
    return PROGRAM_BYTES + tree_bytes(plan) + SHARED_BLOCKS * (uint64_t)settings->block_bytes +
           codec_encoder_memory_bytes(&settings->codec, SQM_META_BYTES) +
           (settings->pack ? SQM_PACK_BYTES : 0) + n_threads * thread_bytes(settings);
}

int sqm_memory_settle(struct make_plan *plan, struct plat_err *err)
{
    struct sqm_settings *settings = &plan->settings;
    if (settings->memory_bytes == 0)
        return 0;
    const uint64_t least = sqm_memory_bytes(plan, 1), each = thread_bytes(settings);
    if (least > settings->memory_bytes) {
        char wanted[16];
        format_size(least, wanted);
        return err_set(
            err, PLAT_EINVALID,
            "%llu bytes of memory are too few: with these options %u nodes of a tree take %llu (%s), "
            "even with one thread; allow as much%s",
            (unsigned long long)settings->memory_bytes, plan->n_items, (unsigned long long)least, wanted,
            settings->pack ? ", or leave pack out" : "");
    }
    const uint64_t more = (settings->memory_bytes - least) / each;
    const unsigned wanted = settings->n_threads != 0 ? settings->n_threads : par_processors();
    settings->n_threads = more + 1 < wanted ? (unsigned)more + 1 : wanted;
    return 0;
}
