/* `plat ls --mtree`: what an image holds, as mtree(5), which `plat mk` takes as a source (lib/tree/manifest.h). */
#ifndef PLAT_INSPECT_MANIFEST_H
#define PLAT_INSPECT_MANIFEST_H

#include "inspect/files.h"

/* The first line. */
void manifest_begin(struct strbuf *out);
/* The line of one node. Contents are said to lie in the directory `contents` ("": that of the manifest), under the node's
 * path. PLAT_ECORRUPT for a name that no tree can have; out of memory shows in `out`. */
int manifest_put(struct strbuf *out, struct fs *fs, const struct file_visit *visit,
                 const struct fs_stat *stat, const char *contents, struct plat_err *err);

#endif
