/* The whole image, front to back. Where the tables are, and how large it is, shows at the end: the superblock, which
 * says so, is written last. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

int sqm_put(struct sqm_image *image, const void *bytes, size_t n, struct plat_err *err)
{
    const uint8_t *from = bytes;
    while (n > 0) {
        const size_t part = n < FS_OUT_BYTES ? n : FS_OUT_BYTES;
        uint8_t *to;
        int rc = fs_out_take(&image->out, image->at, part, &to, err);
        if (rc != 0)
            return rc;
        memcpy(to, from, part);
        from += part;
        n -= part;
        image->at += part;
    }
    return 0;
}

/* ---- compressor options: what differs from what readers assume; of lz4 always ---- */

enum {
    OPTIONS_BYTES_MAX = 8,
    GZIP_LEVEL = 9,
    GZIP_LEVEL_MAX =
        9, /* the most that can be said; libdeflate has more, whose output is read all the same */
    ZSTD_LEVEL = 15,
    LZO_LEVEL = 8
};

static size_t options_gzip(const struct sqm_settings *settings, uint8_t bytes[OPTIONS_BYTES_MAX])
{
    struct squashfs_gzip_options_mut options;
    if (settings->codec.level == GZIP_LEVEL ||
        !squashfs_gzip_options_edit(bytes, SQUASHFS_GZIP_OPTIONS_BYTES, &options))
        return 0;
    squashfs_gzip_options_init(options);
    squashfs_gzip_options_set_level(
        options, (uint32_t)(settings->codec.level < GZIP_LEVEL_MAX ? settings->codec.level : GZIP_LEVEL_MAX));
    return SQUASHFS_GZIP_OPTIONS_BYTES;
}

static size_t options_lzo(const struct sqm_settings *settings, uint8_t bytes[OPTIONS_BYTES_MAX])
{
    struct squashfs_lzo_options_mut options;
    const bool levels = settings->codec.lzo_algorithm == CODEC_LZO_999;
    if ((levels && settings->codec.level == LZO_LEVEL) ||
        !squashfs_lzo_options_edit(bytes, SQUASHFS_LZO_OPTIONS_BYTES, &options))
        return 0;
    squashfs_lzo_options_init(options);
    squashfs_lzo_options_set_algorithm(options, (uint32_t)settings->codec.lzo_algorithm);
    squashfs_lzo_options_set_level(options, levels ? (uint32_t)settings->codec.level : 0);
    return SQUASHFS_LZO_OPTIONS_BYTES;
}

static size_t options_xz(const struct sqm_settings *settings, uint8_t bytes[OPTIONS_BYTES_MAX])
{
    struct squashfs_xz_options_mut options;
    const uint32_t dict_bytes = codec_xz_dict_bytes(&settings->codec, settings->block_bytes);
    const uint32_t assumed =
        settings->block_bytes < CODEC_DICT_BYTES_MIN ? CODEC_DICT_BYTES_MIN : settings->block_bytes;
    if ((dict_bytes == assumed && settings->codec.xz_filters == 0) ||
        !squashfs_xz_options_edit(bytes, SQUASHFS_XZ_OPTIONS_BYTES, &options))
        return 0;
    squashfs_xz_options_init(options);
    squashfs_xz_options_set_dictionary_bytes(options, dict_bytes);
    squashfs_xz_options_set_filters(options, settings->codec.xz_filters);
    return SQUASHFS_XZ_OPTIONS_BYTES;
}

static size_t options_lz4(const struct sqm_settings *settings, uint8_t bytes[OPTIONS_BYTES_MAX])
{
    struct squashfs_lz4_options_mut options;
    if (!squashfs_lz4_options_edit(bytes, SQUASHFS_LZ4_OPTIONS_BYTES, &options))
        return 0;
    squashfs_lz4_options_init(options);
    squashfs_lz4_options_set_flags(options, settings->codec.lz4_hc ? SQUASHFS_LZ4_FLAGS_HC : 0);
    return SQUASHFS_LZ4_OPTIONS_BYTES;
}

static size_t options_zstd(const struct sqm_settings *settings, uint8_t bytes[OPTIONS_BYTES_MAX])
{
    struct squashfs_zstd_options_mut options;
    if (settings->codec.level == ZSTD_LEVEL ||
        !squashfs_zstd_options_edit(bytes, SQUASHFS_ZSTD_OPTIONS_BYTES, &options))
        return 0;
    squashfs_zstd_options_init(options);
    squashfs_zstd_options_set_level(options, (uint32_t)settings->codec.level);
    return SQUASHFS_ZSTD_OPTIONS_BYTES;
}

/* Length of what there is to say; 0: nothing. */
static size_t options_fill(const struct sqm_settings *settings, uint8_t bytes[OPTIONS_BYTES_MAX])
{
    switch (settings->codec.id) {
    case CODEC_GZIP:
        return options_gzip(settings, bytes);
    case CODEC_LZO:
        return options_lzo(settings, bytes);
    case CODEC_XZ:
        return options_xz(settings, bytes);
    case CODEC_LZ4:
        return options_lz4(settings, bytes);
    case CODEC_ZSTD:
        return options_zstd(settings, bytes);
    case CODEC_LZMA:
    case CODEC_IDS:
    default:
        return 0;
    }
}

static int options_put(struct sqm_image *image, bool *ret_any, struct plat_err *err)
{
    uint8_t bytes[OPTIONS_BYTES_MAX], head[SQUASHFS_METADATA_HEADER_BYTES];
    struct squashfs_metadata_header_mut header;
    const size_t n = options_fill(&image->plan->settings, bytes);
    *ret_any = n > 0;
    if (n == 0)
        return 0;
    if (!squashfs_metadata_header_edit(head, sizeof head, &header))
        return err_set(err, PLAT_EBUG, "a metadata header of another size");
    squashfs_metadata_header_set_size(
        header, squashfs_metadata_size_with_plain(squashfs_metadata_size_with_bytes(0, (uint16_t)n), 1));
    int rc = sqm_put(image, head, sizeof head, err);
    return rc == 0 ? sqm_put(image, bytes, n, err) : rc;
}

/* ---- the superblock ---- */

static uint16_t flags_of(const struct sqm_settings *settings, bool has_options)
{
    unsigned flags = settings->keep_xattrs ? 0 : SQUASHFS_SUPER_FLAGS_NO_XATTRS;
    flags |= (settings->plain & SQM_PLAIN_INODES) != 0 ? SQUASHFS_SUPER_FLAGS_PLAIN_INODES : 0;
    flags |= (settings->plain & SQM_PLAIN_DATA) != 0 ? SQUASHFS_SUPER_FLAGS_PLAIN_DATA : 0;
    flags |= (settings->plain & SQM_PLAIN_FRAGMENTS) != 0 ? SQUASHFS_SUPER_FLAGS_PLAIN_FRAGMENTS : 0;
    flags |= (settings->plain & SQM_PLAIN_IDS) != 0 ? SQUASHFS_SUPER_FLAGS_PLAIN_IDS : 0;
    flags |= (settings->plain & SQM_PLAIN_XATTRS) != 0 ? SQUASHFS_SUPER_FLAGS_PLAIN_XATTRS : 0;
    flags |= settings->fragments == SQM_FRAGMENTS_NO ? SQUASHFS_SUPER_FLAGS_NO_FRAGMENTS : 0;
    flags |= settings->fragments == SQM_FRAGMENTS_ALWAYS ? SQUASHFS_SUPER_FLAGS_ALWAYS_FRAGMENTS : 0;
    flags |= !settings->keep_duplicates ? SQUASHFS_SUPER_FLAGS_DUPLICATES_REMOVED : 0;
    flags |= settings->exports ? SQUASHFS_SUPER_FLAGS_EXPORTABLE : 0;
    flags |= has_options ? SQUASHFS_SUPER_FLAGS_COMPRESSOR_OPTIONS : 0;
    return (uint16_t)flags;
}

static int super_begin(struct sqm_image *image, struct plat_err *err)
{
    const struct sqm_settings *settings = &image->plan->settings;
    bool has_options = false;
    if (!squashfs_superblock_edit(image->super_bytes, sizeof image->super_bytes, &image->super))
        return err_set(err, PLAT_EBUG, "a superblock of another size");
    squashfs_superblock_init(image->super);
    image->at = SQUASHFS_SUPERBLOCK_BYTES;
    int rc = options_put(image, &has_options, err);
    if (rc != 0)
        return rc;
    squashfs_superblock_set_inodes(image->super, image->plan->n_inodes);
    squashfs_superblock_set_made(image->super, image->plan->made);
    squashfs_superblock_set_block_bytes(image->super, settings->block_bytes);
    squashfs_superblock_set_block_log(image->super, (uint16_t)__builtin_ctz(settings->block_bytes));
    /* codec_id counts in the order of SquashFS, which begins at 1. */
    squashfs_superblock_set_compression(image->super, (uint16_t)(settings->codec.id + 1));
    squashfs_superblock_set_flags(image->super, flags_of(settings, has_options));
    return 0;
}

static int super_put(struct sqm_image *image, struct plat_err *err)
{
    static const uint8_t zeros[SQM_PAD_BYTES];
    squashfs_superblock_set_fragments(image->super, image->n_fragments);
    squashfs_superblock_set_ids(image->super, (uint16_t)image->ids.n);
    squashfs_superblock_set_bytes_used(image->super, image->at);
    squashfs_superblock_seal(image->super);
    const size_t odd = (size_t)(image->at % SQM_PAD_BYTES);
    int rc =
        odd == 0 || image->plan->settings.no_padding ? 0 : sqm_put(image, zeros, SQM_PAD_BYTES - odd, err);
    if (rc == 0)
        rc = fs_out_flush(&image->out, err);
    return rc == 0 ? dev_write(image->out.dev, 0, image->super_bytes, sizeof image->super_bytes, err) : rc;
}

/* ---- metadata ---- */

/* Directory by directory: what it holds, and its listing. */
static int nodes_put(struct sqm_image *image, struct plat_err *err)
{
    const struct make_plan *plan = image->plan;
    for (uint32_t dir = sqm_dir_first(plan); dir != SQM_NONE; dir = sqm_dir_next(plan, dir)) {
        const struct sqm_item *item = &plan->items[dir];
        for (uint32_t i = item->first_child; i < item->first_child + item->node->n_children; i++) {
            const uint32_t first = sqm_item_first(plan, i);
            int rc = plan->items[first].written ? 0 : sqm_inode_put(image, first, err);
            if (rc != 0)
                return rc;
        }
        int rc = sqm_listing_put(image, dir, err);
        if (rc != 0)
            return rc;
    }
    return sqm_inode_put(image, 0, err);
}

static uint64_t reference_of(const struct sqm_item *item)
{
    return squashfs_reference_with_offset(squashfs_reference_with_block(0, item->inode_block),
                                          item->inode_offset);
}

static int trees_put(struct sqm_image *image, struct plat_err *err)
{
    const bool plain = (image->plan->settings.plain & SQM_PLAIN_INODES) != 0;
    sqm_meta_begin(&image->inodes, image, false, plain);
    sqm_meta_begin(&image->directories, image, true, plain);
    squashfs_superblock_set_inode_table_start(image->super, image->at);
    int rc = nodes_put(image, err);
    if (rc == 0)
        rc = sqm_meta_end(&image->inodes, err);
    if (rc == 0)
        rc = sqm_meta_end(&image->directories, err);
    if (rc != 0)
        return rc;
    squashfs_superblock_set_root_inode(image->super, reference_of(&image->plan->items[0]));
    squashfs_superblock_set_directory_table_start(image->super, image->at);
    return sqm_put(image, image->directories.bytes, (size_t)image->directories.stored, err);
}

/* ---- tables that are read by number ---- */

static void fragment_entry(const struct sqm_image *image, uint64_t i, uint8_t *to)
{
    struct squashfs_fragment_entry_mut entry;
    if (!squashfs_fragment_entry_edit(to, SQUASHFS_FRAGMENT_ENTRY_BYTES, &entry))
        return;
    squashfs_fragment_entry_init(entry);
    squashfs_fragment_entry_set_start_block(entry, image->fragments[i].start);
    squashfs_fragment_entry_set_size(entry, image->fragments[i].word);
}

static void id_entry(const struct sqm_image *image, uint64_t i, uint8_t *to)
{
    struct squashfs_id_entry_mut entry;
    if (squashfs_id_entry_edit(to, SQUASHFS_ID_ENTRY_BYTES, &entry))
        squashfs_id_entry_set_id(entry, image->ids.list[i]);
}

static void export_entry(const struct sqm_image *image, uint64_t i, uint8_t *to)
{
    struct squashfs_export_entry_mut entry;
    if (squashfs_export_entry_edit(to, SQUASHFS_EXPORT_ENTRY_BYTES, &entry))
        squashfs_export_entry_set_inode(entry, reference_of(&image->plan->items[image->by_number[i]]));
}

static int exports_put(struct sqm_image *image, bool plain, struct plat_err *err)
{
    const struct make_plan *plan = image->plan;
    uint64_t start = 0;
    image->by_number = calloc((size_t)plan->n_inodes, sizeof *image->by_number);
    if (image->by_number == NULL)
        return err_nomem(err, "making a SquashFS image");
    for (uint32_t i = 0; i < plan->n_items; i++) {
        if (sqm_item_first(plan, i) == i)
            image->by_number[plan->items[i].number - 1] = i;
    }
    const struct sqm_table exports = {.n = plan->n_inodes,
                                      .entry_bytes = SQUASHFS_EXPORT_ENTRY_BYTES,
                                      .plain = plain,
                                      .entry = export_entry};
    int rc = sqm_table_put(image, &exports, &start, err);
    squashfs_superblock_set_export_table_start(image->super, start);
    return rc;
}

static int tables_put(struct sqm_image *image, struct plat_err *err)
{
    const struct sqm_settings *settings = &image->plan->settings;
    const struct sqm_table fragments = {.n = image->n_fragments,
                                        .entry_bytes = SQUASHFS_FRAGMENT_ENTRY_BYTES,
                                        .plain = (settings->plain & SQM_PLAIN_FRAGMENTS) != 0,
                                        .entry = fragment_entry};
    const struct sqm_table ids = {.n = image->ids.n,
                                  .entry_bytes = SQUASHFS_ID_ENTRY_BYTES,
                                  .plain = (settings->plain & SQM_PLAIN_IDS) != 0,
                                  .entry = id_entry};
    uint64_t start = 0;
    /* Without fragments, too, the list has a place: unsquashfs up to 4.5 wants one. */
    int rc = sqm_table_put(image, &fragments, &start, err);
    if (rc != 0)
        return rc;
    squashfs_superblock_set_fragment_table_start(image->super, start);
    if (settings->exports)
        rc = exports_put(image, (settings->plain & SQM_PLAIN_INODES) != 0, err);
    if (rc == 0)
        rc = sqm_table_put(image, &ids, &start, err);
    squashfs_superblock_set_id_table_start(image->super, start);
    start = UINT64_MAX; /* there is no such table */
    if (rc == 0)
        rc = sqm_xattrs_put(image, &start, err);
    squashfs_superblock_set_xattr_id_table_start(image->super, start);
    return rc;
}

/* ---- the whole ---- */

static int making_open(struct sqm_image *image, struct plat_dev *dev, struct progress *progress,
                       struct plat_err *err)
{
    const struct sqm_settings *settings = &image->plan->settings;
    image->scratch = malloc(settings->block_bytes);
    image->tails = malloc(settings->block_bytes);
    if (image->scratch == NULL || image->tails == NULL)
        return err_nomem(err, "making a SquashFS image");
    int rc = fs_out_open(&image->out, dev, progress, err);
    if (rc == 0)
        rc = sqm_ids_open(&image->ids, err);
    if (rc == 0 && settings->keep_xattrs)
        rc = sqm_xattrs_open(image, &image->xattrs, err);
    return rc == 0 ? codec_encoder_open(&settings->codec, SQM_META_BYTES, &image->encoder, err) : rc;
}

static void making_close(struct sqm_image *image)
{
    fs_out_close(&image->out);
    sqm_ids_close(&image->ids);
    sqm_xattrs_close(image->xattrs);
    codec_encoder_close(image->encoder);
    sqm_meta_close(&image->inodes);
    sqm_meta_close(&image->directories);
    free(image->by_number);
    free(image->scratch);
    free(image->tails);
    free(image->fragments);
    free(image);
}

int sqm_image_make(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                   struct plat_err *err)
{
    struct sqm_image *image = calloc(1, sizeof *image);
    if (image == NULL)
        return err_nomem(err, "making a SquashFS image");
    image->plan = plan;
    int rc = making_open(image, dev, progress, err);
    if (rc == 0)
        rc = super_begin(image, err);
    if (rc == 0)
        rc = sqm_data_put(image, err);
    if (rc == 0)
        rc = trees_put(image, err);
    if (rc == 0)
        rc = tables_put(image, err);
    if (rc == 0)
        rc = super_put(image, err);
    if (rc == 0)
        plan->image_bytes = image->at;
    making_close(image);
    return rc;
}
