/* An open CAPOSRO1 image, as the parts of its driver share it; reader.h has the layout and the reading. */
#ifndef PLAT_FORMATS_CAPOSRO1_VOLUME_H
#define PLAT_FORMATS_CAPOSRO1_VOLUME_H

#include "formats/caposro1/caposro1.h"
#include "formats/caposro1/reader.h"

struct ro1_fs {
    struct fs fs;
    struct volume vol;
};
static inline struct volume *volume_of(struct fs *fs)
{
    return &((struct ro1_fs *)(void *)fs)->vol; /* fs is its first member */
}

int caposro1_root(struct fs *fs, uint64_t *ret_node, struct plat_err *err);
int caposro1_lookup(struct fs *fs, uint64_t dir, const char *name, uint64_t *ret_node, struct plat_err *err);
int caposro1_readdir(struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *ctx, struct plat_err *err);
int caposro1_stat(struct fs *fs, uint64_t node, struct fs_stat *ret, struct plat_err *err);
int caposro1_read(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                  struct plat_err *err);
int caposro1_readlink(struct fs *fs, uint64_t node, struct strbuf *ret, struct plat_err *err);
int caposro1_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err);
int caposro1_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err);
int caposro1_scrub(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                   struct plat_err *err);

#endif
