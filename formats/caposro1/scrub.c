/* Contents against their checksums, and zeros where zeros must be, front to back. The tables behind the contents are
 * walk's and check's. */
#include "formats/caposro1/volume.h"

#include <stdlib.h>

#include "lib/hash/hash.h"

enum { SCRUB_BYTES = 1 << 20 };

struct scrub {
    struct volume *vol;
    const struct finding_sink *sink;
    struct progress *progress;
    uint8_t *buf;
    struct plat_err *err;
};

static int content_sum(struct scrub *scrub, const struct ro1_node *node, uint32_t *ret)
{
    uint32_t crc32c = 0;
    for (uint64_t done = 0; done < node->size_bytes;) {
        const uint64_t left = node->size_bytes - done;
        const size_t n = left < SCRUB_BYTES ? (size_t)left : SCRUB_BYTES;
        int rc = dev_read(scrub->vol->dev, node->content + done, scrub->buf, n, scrub->err);
        if (rc != 0)
            return rc;
        crc32c = hash_crc32c(crc32c, scrub->buf, n);
        progress_add(scrub->progress, n);
        done += n;
    }
    *ret = crc32c;
    return 0;
}

static int scrub_zero(struct scrub *scrub, const char *path, uint64_t start, uint64_t end, const char *what)
{
    bool found = false;
    uint64_t at = 0;
    if (start >= end)
        return 0;
    int rc = dev_find_nonzero(scrub->vol->dev, (struct range){start, end - start}, &found, &at, scrub->err);
    progress_add(scrub->progress, end - start);
    if (rc != 0 || !found)
        return rc;
    return finding_report(scrub->sink, SEVERITY_ERROR, "ro1-zero", path, &at, NULL,
                          "%s must be zero, and the byte at 0x%llx is not", what, (unsigned long long)at);
}

static int scrub_file(struct scrub *scrub, uint32_t index, const struct ro1_node *node)
{
    char path[RO1_PATH_BYTES];
    uint32_t crc32c = 0;
    int rc = content_sum(scrub, node, &crc32c);
    if (rc == 0 && crc32c != node->content_crc32c) {
        ro1_field_path(path, index, "content_crc32c");
        rc =
            finding_report(scrub->sink, SEVERITY_ERROR, "derive", path, &node->content, NULL,
                           "the content (%llu bytes from here) does not match its checksum: expected 0x%08x, "
                           "found 0x%08x",
                           (unsigned long long)node->size_bytes, node->content_crc32c, crc32c);
    }
    if (rc != 0)
        return rc;
    const uint64_t end = node->content + node->size_bytes;
    ro1_field_path(path, index, "size_bytes");
    return scrub_zero(scrub, path, end, div_up_u64(end, RO1_BLOCK_BYTES) * RO1_BLOCK_BYTES,
                      "what follows the content in its last block");
}

int caposro1_scrub(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                   struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    const struct ro1_geometry *geo = &vol->geo;
    struct scrub scrub = {.vol = vol, .sink = sink, .progress = progress, .err = err};
    uint64_t next = RO1_BLOCK_BYTES;
    int rc = 0;
    if (!vol->sound)
        return 0;
    scrub.buf = malloc(SCRUB_BYTES);
    if (scrub.buf == NULL)
        return err_nomem(err, "reading contents");
    progress_add(progress, RO1_BLOCK_BYTES);
    for (uint32_t i = 0; rc == 0 && i < geo->node_count; i++) {
        struct ro1_node node;
        rc = ro1_node_read(vol, i, &node, err);
        if (rc == PLAT_ECORRUPT) {
            rc = 0; /* check has said so */
            continue;
        }
        /* Of contents that overlap, which check has found, the first is read: so this ends. */
        if (rc != 0 || node.kind != CAPOSRO1_NODE_KIND_FILE || node.size_bytes == 0 || node.content < next)
            continue;
        rc = scrub_zero(&scrub, "unknown", next, node.content, "a gap between contents");
        if (rc == 0)
            rc = scrub_file(&scrub, i, &node);
        next = div_up_u64(node.content + node.size_bytes, RO1_BLOCK_BYTES) * RO1_BLOCK_BYTES;
    }
    const uint64_t used = div_up_u64(geo->nodes_end, RO1_BLOCK_BYTES) * RO1_BLOCK_BYTES;
    if (rc == 0)
        progress_add(progress, used - geo->contents_end);
    if (rc == 0)
        rc = scrub_zero(&scrub, "free", used, geo->end, "free space");
    if (rc == 0)
        rc = scrub_zero(&scrub, "tail", geo->end, fs->dev->size_bytes,
                        "what the image has behind the filesystem");
    free(scrub.buf);
    return rc;
}
