/* Manifests: mtree(5) specifications as sources. libarchive parses them; this is what it does not do.
 *
 *     #mtree
 *     /set type=file uid=0 gid=0 mode=0644
 *     .               type=dir mode=0755 time=1700000000.0
 *     ./bin/tool      mode=0755 contents=build/tool
 *     ./dev/null      type=char mode=0666 device=native,1,3
 *
 * libarchive would open the files itself, wherever they are, or keep contents= to itself; and what is not given (mode,
 * size, owner) comes out as 0. So the words of a manifest pass through here on their way to it: some keywords get
 * another name, under which it gives them back, and defaults that nobody can write stand in front. */
#ifndef PLAT_LIB_TREE_MANIFEST_H
#define PLAT_LIB_TREE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct archive_entry; /* libarchive's */
struct tree;
struct tree_spec;

/* ---- manifest_words.c: on the way to libarchive ---- */

struct manifest_words;
int manifest_words_open(struct manifest_words **ret, struct plat_err *err);
/* The next n bytes of the manifest (0: there are no more), and what they become; *ret stays until the next call. */
int manifest_words_feed(struct manifest_words *words, const uint8_t *bytes, size_t n, const char **ret,
                        size_t *ret_n, struct plat_err *err);
void manifest_words_close(struct manifest_words *words);

/* What an entry says for "not given", and where keywords of ours hide. */
#define MANIFEST_NO_MODE 01000000
#define MANIFEST_NO_SIZE (INT64_MAX - 1)
#define MANIFEST_NO_OWNER (INT64_C(1) << 32)
#define MANIFEST_CONTENTS "\001c" /* link= of a file: contents= */
#define MANIFEST_SOCKET "\001s"   /* link= of a FIFO: it is a socket */
#define MANIFEST_OPTIONAL "optional"

/* ---- manifest.c: on the way back ---- */

struct manifest;
/* `host_path` names the manifest: what it names lies in its directory ("-": in the current one). `anywhere`: absolute paths
 * are what they say. Where it was not said that this is a manifest, a stranger's archive may have turned out to be one. */
int manifest_open(struct tree *tree, const char *host_path, bool anywhere, struct manifest **ret,
                  struct plat_err *err);
/* Makes an ordinary entry of what libarchive gives. *ret_left_out: it is optional, and its file is not there. */
int manifest_settle(struct manifest *manifest, struct archive_entry *entry, bool *ret_left_out,
                    struct plat_err *err);
/* The contents of the file that was settled last. */
int manifest_contents(struct manifest *manifest, struct archive_entry *entry, struct tree_spec *spec,
                      struct plat_err *err);
void manifest_close(struct manifest *manifest);

#endif
