/* Options of cpio and tar: one list, for parsing and for help. */
#include "formats/archive/private.h"
#include "lib/fs/options.h"

#include <string.h>

enum { OPTION_COMPRESS, OPTION_LEVEL, OPTION_OWNER, OPTION_MODES, OPTION_NODE };

const struct make_option_desc archive_option_descs[N_ARCHIVE_OPTIONS] = {
    [OPTION_COMPRESS] =
        {.name = "compress",
         .argument = "none|gzip|xz|zstd|lz4",
         .doc = "compression; for cpio always in a form that the Linux kernel unpacks; default none"},
    [OPTION_LEVEL] =
        {.name = "level",
         .argument = "N",
         .doc = "compression level: gzip 1-9, xz 0-9, zstd 1-22, lz4 1-9; default is the codec's own"},
    [OPTION_OWNER] = {.name = "owner",
                      .argument = "zero|keep",
                      .doc = "owner and group of every entry: 0, or what the source has; default zero"},
    [OPTION_MODES] =
        {.name = "modes",
         .argument = "keep|portable",
         .doc = "permissions: the source's, or 0755 and 0644 by the owner's execute bit, so that the "
                "umask of the source does not matter; default keep"},
    [OPTION_NODE] = {.name = "node", .argument = "PATH:TYPE:...[,...]", .doc = MAKE_OPTION_NODE_DOC},
};

static const struct codec_facts {
    const char *name;
    unsigned min_level, max_level;
} codecs[N_CODECS] = {
    [CODEC_NONE] = {.name = "none", .min_level = 1, .max_level = 0},
    [CODEC_GZIP] = {.name = "gzip", .min_level = 1, .max_level = 9},
    [CODEC_XZ] = {.name = "xz", .min_level = 0, .max_level = 9},
    [CODEC_ZSTD] = {.name = "zstd", .min_level = 1, .max_level = 22},
    [CODEC_LZ4] = {.name = "lz4", .min_level = 1, .max_level = 9},
};

const char *archive_codec_name(enum archive_codec codec)
{
    return codecs[codec].name;
}

static int read_option(const char *name, json_t *value, struct archive_options *o, struct plat_err *err)
{
    size_t which = 0;
    size_t choice = 0;
    int r = 0;
    while (which < N_ARCHIVE_OPTIONS && strcmp(archive_option_descs[which].name, name) != 0)
        which++;
    switch (which) {
    case OPTION_COMPRESS:
        r = make_option_choice(&archive_option_descs[which], value, &choice, err);
        o->codec = (enum archive_codec)choice;
        return r;
    case OPTION_LEVEL:
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 100)
            return err_set(err, PLAT_EINVALID, "option level: expected a small whole number");
        o->has_level = true;
        o->level = (unsigned)json_integer_value(value);
        return 0;
    case OPTION_OWNER:
        r = make_option_choice(&archive_option_descs[which], value, &choice, err);
        o->keep_owner = choice == 1;
        return r;
    case OPTION_MODES:
        r = make_option_choice(&archive_option_descs[which], value, &choice, err);
        o->portable_modes = choice == 1;
        return r;
    case OPTION_NODE:
        return 0; /* whoever made the tree put them in */
    default:
        return err_set(err, PLAT_EINVALID,
                       "unknown option '%s': there are compress, level, owner, modes, node", name);
    }
}

int archive_options_read(json_t *extra, struct archive_options *ret, struct plat_err *err)
{
    struct archive_options o = {.codec = CODEC_NONE};
    const char *name;
    json_t *value;
    json_object_foreach(extra, name, value)
    {
        int r = read_option(name, value, &o, err);
        if (r != 0)
            return r;
    }
    const struct codec_facts *codec = &codecs[o.codec];
    if (o.has_level && codec->min_level > codec->max_level)
        return err_set(err, PLAT_EINVALID,
                       "option level %u without compression: add compress=gzip or leave it out", o.level);
    if (o.has_level && (o.level < codec->min_level || o.level > codec->max_level))
        return err_set(err, PLAT_EINVALID, "option level: %s has levels %u to %u, found %u", codec->name,
                       codec->min_level, codec->max_level, o.level);
    *ret = o;
    return 0;
}
