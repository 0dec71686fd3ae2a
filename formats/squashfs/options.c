/* Options of the maker: one list, for parsing and for help. */
#include "formats/squashfs/make.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/options.h"

enum {
    OPTION_COMPRESS,
    OPTION_LEVEL,
    OPTION_BLOCK,
    OPTION_FRAGMENTS,
    OPTION_DUPLICATES,
    OPTION_PACK,
    OPTION_PLAIN,
    OPTION_EXPORTS,
    OPTION_XATTRS,
    OPTION_OWNER,
    OPTION_ROOT_MODE,
    OPTION_PADDING,
    OPTION_THREADS,
    OPTION_MEMORY,
    OPTION_NODE /* whoever makes the tree puts them in */
};

const struct make_option_desc sqm_option_descs[SQM_N_OPTIONS] = {
    [OPTION_COMPRESS] = {.name = "compress",
                         .argument = "CODEC[:SETTINGS]",
                         .doc = "gzip (default), zstd, xz, lz4 or lzo, and settings such as zstd:19, lz4:hc, "
                                "xz:dict=64KiB,filters=x86"},
    [OPTION_LEVEL] = {.name = "level",
                      .argument = "N",
                      .doc = "level of the codec: gzip 1-12 (9), zstd 1-22 (15), xz 0-9 (6), lzo 1-9 (8)"},
    [OPTION_BLOCK] = {.name = "block-bytes",
                      .argument = "SIZE",
                      .doc = "size of a block, a power of two from 4KiB to 1MiB (128KiB)"},
    [OPTION_FRAGMENTS] = {.name = "fragments",
                          .argument = "yes|no|always",
                          .doc =
                              "small files share blocks (default); none do; the ends of large files do, too"},
    [OPTION_DUPLICATES] = {.name = "duplicates",
                           .argument = "remove|keep",
                           .doc = "equal files are stored once (default), or each on its own"},
    [OPTION_PACK] = {.name = "pack",
                     .argument = "no|yes",
                     .doc = "small files, and the ends of large ones, share blocks with what is like them: a "
                            "smaller image, slower to make; default no"},
    [OPTION_PLAIN] =
        {.name = "plain",
         .argument = "PART[,...]",
         .doc =
             "what is not compressed: inodes (and listings), data, fragments, ids, xattrs; default nothing"},
    [OPTION_EXPORTS] = {.name = "exports",
                        .argument = "no|yes",
                        .doc = "a table that NFS needs to find files by number; default no"},
    [OPTION_XATTRS] = {.name = "xattrs",
                       .argument = "drop|keep",
                       .doc = "extended attributes user.*, trusted.* and security.*: left out (default), or "
                              "kept, and others refused"},
    [OPTION_OWNER] = {.name = "owner",
                      .argument = "zero|keep",
                      .doc = "owner and group of every node: 0, or what the source has; default zero"},
    [OPTION_ROOT_MODE] = {.name = "root-mode",
                          .argument = "MODE",
                          .doc = "permissions of the root in octal; default the source's"},
    [OPTION_PADDING] = {.name = "padding",
                        .argument = "yes|no",
                        .doc = "end at a multiple of 4096 bytes, as Linux wants it (default), or not"},
    [OPTION_THREADS] = {.name = "threads",
                        .argument = "N",
                        .doc =
                            "compress in so many threads, 0 for one each processor (default); the image is "
                            "the same"},
    [OPTION_NODE] = {.name = "node", .argument = "PATH:TYPE:...[,...]", .doc = MAKE_OPTION_NODE_DOC},
    [OPTION_MEMORY] =
        {.name = "memory",
         .argument = "SIZE",
         .doc = "the most that making the image may take, the tree of names included: fewer threads "
                "compress; the image is the same"},
};

static int read_codec(json_t *extra, struct sqm_settings *settings, struct plat_err *err)
{
    json_t *compress = json_object_get(extra, "compress"), *level = json_object_get(extra, "level");
    codec_settings_default(CODEC_GZIP, &settings->codec);
    int rc = 0;
    if (compress != NULL)
        rc = json_is_string(compress)
                 ? codec_parse(json_string_value(compress), &settings->codec, err)
                 : err_set(err, PLAT_EINVALID, "expected the name of a codec, found something else");
    if (rc == 0 && level != NULL &&
        (!json_is_integer(level) || json_integer_value(level) < 0 || json_integer_value(level) > 100))
        return err_set(err, PLAT_EINVALID, "option level: expected a small whole number");
    if (rc == 0 && level != NULL)
        settings->codec.level = (int)json_integer_value(level);
    if (rc == 0)
        rc = codec_settings_check(&settings->codec, err);
    return rc == 0 ? 0 : err_prefix(err, "option compress");
}

/* A whole number of bytes, or text such as "128KiB"; *ret 0: it is neither. Absent: *ret stays. */
static int read_size(json_t *extra, size_t option, uint64_t *ret, struct plat_err *err)
{
    json_t *value = json_object_get(extra, sqm_option_descs[option].name);
    uint64_t bytes = 0;
    if (value == NULL)
        return 0;
    if (json_is_integer(value) && json_integer_value(value) > 0)
        bytes = (uint64_t)json_integer_value(value);
    else if (json_is_string(value) && parse_size(json_string_value(value), &bytes, err) != 0)
        return err_prefix(err, option == OPTION_BLOCK ? "option block-bytes" : "option memory");
    *ret = bytes;
    return 0;
}

static int read_memory(json_t *extra, uint64_t *ret, struct plat_err *err)
{
    uint64_t bytes = UINT64_MAX;
    int rc = read_size(extra, OPTION_MEMORY, &bytes, err);
    if (rc == 0 && bytes == 0)
        rc = err_set(err, PLAT_EINVALID, "option memory: expected a size such as 64MiB");
    if (rc == 0 && bytes != UINT64_MAX)
        *ret = bytes;
    return rc;
}

static int read_block(json_t *extra, uint32_t *ret, struct plat_err *err)
{
    uint64_t bytes = *ret;
    int rc = read_size(extra, OPTION_BLOCK, &bytes, err);
    if (rc != 0)
        return rc;
    if (bytes < SQM_BLOCK_BYTES_MIN || bytes > SQM_BLOCK_BYTES_MAX || !is_pow2_u64(bytes))
        return err_set(err, PLAT_EINVALID,
                       "option block-bytes: expected a power of two from %d to %d, found %llu",
                       SQM_BLOCK_BYTES_MIN, SQM_BLOCK_BYTES_MAX, (unsigned long long)bytes);
    *ret = (uint32_t)bytes;
    return 0;
}

static int read_plain(json_t *value, unsigned *ret, struct plat_err *err)
{
    static const char *const parts[] = {"inodes", "data", "fragments", "ids", "xattrs"};
    const char *at = json_string_value(value);
    if (value == NULL)
        return 0;
    for (size_t n; at != NULL && *at != '\0'; at += n + (at[n] == ',')) {
        size_t i = 0;
        n = strcspn(at, ",");
        while (i < sizeof parts / sizeof *parts && (strlen(parts[i]) != n || strncmp(parts[i], at, n) != 0))
            i++;
        if (i == sizeof parts / sizeof *parts)
            return err_set(err, PLAT_EINVALID,
                           "option plain: expected some of inodes,data,fragments,ids,xattrs, found '%.*s'",
                           (int)(n < 80 ? n : 80), at);
        *ret |= 1U << i;
    }
    return at != NULL ? 0 : err_set(err, PLAT_EINVALID, "option plain: expected text such as inodes,data");
}

/* Octal text. -O 755 arrives as a number, whose digits are meant. */
static int read_mode(json_t *value, struct sqm_settings *settings, struct plat_err *err)
{
    char digits[24] = "";
    if (value == NULL)
        return 0;
    if (json_is_integer(value))
        (void)snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
    else if (json_is_string(value) && strlen(json_string_value(value)) < sizeof digits)
        (void)snprintf(digits, sizeof digits, "%s", json_string_value(value));
    const size_t n = strspn(digits, "01234567");
    const unsigned long mode = n > 0 && n <= 5 && digits[n] == '\0' ? strtoul(digits, NULL, 8) : ULONG_MAX;
    if (mode > 07777)
        return err_set(err, PLAT_EINVALID, "option root-mode: expected permissions in octal, such as 0755");
    settings->has_root_mode = true;
    settings->root_mode = (uint32_t)mode;
    return 0;
}

static int read_choice(json_t *extra, size_t option, size_t *ret, struct plat_err *err)
{
    const struct make_option_desc *desc = &sqm_option_descs[option];
    *ret = 0;
    return make_option_choice(desc, json_object_get(extra, desc->name), ret, err);
}

int sqm_options_read(const struct make_options *options, struct sqm_settings *ret, struct plat_err *err)
{
    struct sqm_settings settings = {.block_bytes = 128 * 1024};
    size_t fragments, duplicates, pack, exports, xattrs, owner, padding;
    uint64_t threads = 0;
    json_t *extra = options->extra;
    if (options->label != NULL || options->uuid != NULL)
        return err_set(err, PLAT_EINVALID, "squashfs has no %s: leave it out",
                       options->label != NULL ? "label" : "UUID");
    int rc = make_options_known(sqm_option_descs, SQM_N_OPTIONS, "squashfs", extra, err);
    if (rc == 0)
        rc = read_codec(extra, &settings, err);
    if (rc == 0)
        rc = read_block(extra, &settings.block_bytes, err);
    if (rc == 0)
        rc = read_memory(extra, &settings.memory_bytes, err);
    if (rc == 0)
        rc = read_plain(json_object_get(extra, "plain"), &settings.plain, err);
    if (rc == 0)
        rc = read_mode(json_object_get(extra, "root-mode"), &settings, err);
    if (rc == 0)
        rc = make_option_number(extra, "threads", PAR_THREADS_MAX, &threads, err);
    if (rc != 0 || (rc = read_choice(extra, OPTION_FRAGMENTS, &fragments, err)) != 0 ||
        (rc = read_choice(extra, OPTION_DUPLICATES, &duplicates, err)) != 0 ||
        (rc = read_choice(extra, OPTION_PACK, &pack, err)) != 0 ||
        (rc = read_choice(extra, OPTION_EXPORTS, &exports, err)) != 0 ||
        (rc = read_choice(extra, OPTION_XATTRS, &xattrs, err)) != 0 ||
        (rc = read_choice(extra, OPTION_OWNER, &owner, err)) != 0 ||
        (rc = read_choice(extra, OPTION_PADDING, &padding, err)) != 0)
        return rc;
    settings.fragments = (enum sqm_fragments)fragments;
    settings.pack = pack == 1;
    if (settings.pack && settings.fragments == SQM_FRAGMENTS_NO)
        return err_set(
            err, PLAT_EINVALID,
            "option pack: small files that are alike share blocks, and fragments=no says that none "
            "do; leave one of them out");
    if (settings.pack)
        settings.fragments = SQM_FRAGMENTS_ALWAYS;
    settings.keep_duplicates = duplicates == 1;
    settings.exports = exports == 1;
    settings.keep_xattrs = xattrs == 1;
    settings.keep_owner = owner == 1;
    settings.no_padding = padding == 1;
    settings.n_threads = (unsigned)threads;
    *ret = settings;
    return 0;
}
