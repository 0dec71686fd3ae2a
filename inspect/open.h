/* What every command that looks at an image does first: read the common options, open the layers. */
#ifndef PLAT_INSPECT_OPEN_H
#define PLAT_INSPECT_OPEN_H

#include "inspect/path.h"
#include "lib/cli/cli.h"
#include "lib/fs/stack.h"

/* Entries for a command's option table. */
/* clang-format off */
#define INSPECT_PARTITION_OPTION                                                                                   \
    {.letter = 'p', .name = "partition", .kind = OPTION_TEXT, .argument = "NAME|NUMBER",                           \
     .doc = "look at this partition alone; paths then start inside it", .complete = COMPLETE_NONE}
#define INSPECT_IMAGE_OPTIONS                                                                                      \
    INSPECT_PARTITION_OPTION,                                                                                      \
    {.name = "schema", .kind = OPTION_TEXT, .argument = "FILE|NAME",                                               \
     .doc = "lay this over the image: a layout file (plat-layout(5)) or a built-in layout",                        \
     .complete = COMPLETE_FILE},                                                                                   \
    {.name = "param", .kind = OPTION_LIST, .argument = "NAME=VALUE",                                               \
     .doc = "set a parameter of the schema (repeatable)", .complete = COMPLETE_NONE},                              \
    {.name = "sector-bytes", .kind = OPTION_NUMBER, .argument = "N",                                               \
     .doc = "logical sector size of the disk; found out unless given", .complete = COMPLETE_NONE}
/* clang-format on */

enum { INSPECT_MAX_PARAMS = 64 };

/* The options, read; the schema, loaded. One serves all images of a command line. */
struct inspect_options {
    struct stack_options stack;
    bool with_schema;            /* the command has --schema */
    const struct layout *schema; /* NULL: none was given */
    struct layout *owned;        /* the same, where it came from a file */
    struct layout **known;       /* from the directories in PLAT_SCHEMAS */
    size_t n_known;
    struct param_setting settings[INSPECT_MAX_PARAMS];
    struct arena arena;
};
/* Reads --partition, and --schema, --param, --sector-bytes where the command has them (`with_schema`). Free
 * with inspect_options_free, also after a failure. */
int inspect_options_read(const struct cli *cli, bool with_schema, struct inspect_options *ret,
                         struct plat_err *err);
void inspect_options_free(struct inspect_options *options);

struct inspect_image {
    const char *name;
    struct plat_dev *dev;
    struct stack *stack;
};
/* Opens an image with all its layers. PLAT_EUNSUPPORTED when nothing is recognised, naming what was looked
 * for. err's image is set. */
int inspect_open(const char *name, const struct inspect_options *options, bool degraded,
                 struct inspect_image *ret, struct plat_err *err);
/* Also where nothing is recognised; degraded. */
int inspect_open_any(const char *name, const struct inspect_options *options, struct inspect_image *ret,
                     struct plat_err *err);
/* PLAT_EUNSUPPORTED, naming what was looked for, when the layers show nothing that can be talked about. */
int inspect_recognised(const struct stack *stack, const struct inspect_options *options,
                       struct plat_err *err);
void inspect_close(struct inspect_image *image);

/* The layer called `prefix` (or by its alias p<N>, or, alone behind -p, by its partition's name); NULL: none.
 */
struct stack_layer *inspect_layer(const struct inspect_image *image, const char *prefix);
/* The layer that a full path lies in; NULL when unknown. */
const struct stack_layer *inspect_layer_at(const struct inspect_image *image, const char *path);
/* A structure path as typed: parsed, and its first name resolved to the layer's prefix. */
int inspect_path(const struct inspect_image *image, const char *text, struct field_path *ret,
                 struct plat_err *err);
/* A file path as typed: "/EFI/BOOT", or "esp:/EFI/BOOT" with the layer's prefix, alias or name before it.
 * Returns the path inside that layer ("/EFI/BOOT"), or NULL when the text is no file path. Without a prefix
 * *ret_layer is the only filesystem, or the layer behind -p; NULL when there is no such single layer. */
const char *inspect_file_path(const struct inspect_image *image, const char *text,
                              struct stack_layer **ret_layer);
/* "FAT32 filesystem", or the layout's title, or "unknown". */
const char *inspect_layer_title(const struct stack_layer *layer);

#endif
