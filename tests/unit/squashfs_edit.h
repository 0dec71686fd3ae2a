/* SquashFS images taken apart and put together again, for tests that plant faults: the metadata as plain streams, which
 * may be changed byte by byte or grow, then cut into metadata blocks anew, compressed or plain, with the lists of
 * blocks and the superblock to go with them.
 *
 *     image -> front (superblock, options, contents) | streams of the tables -> image
 *
 * References count in stored bytes. They stay right where each stream that they lead into has one block, or where the
 * blocks are plain and were before (struct squashfs_edit.plain). */
#ifndef PLAT_TESTS_SQUASHFS_EDIT_H
#define PLAT_TESTS_SQUASHFS_EDIT_H

#include <stdlib.h>
#include <unistd.h>

#include "formats/squashfs/volume.h"
#include "tests/unit/tap.h"

struct squashfs_bytes {
    uint8_t *bytes;
    size_t n;
};
struct squashfs_edit {
    struct squashfs_bytes front, streams[SQ_TABLES];
    bool plain; /* how metadata is written */
    uint16_t compression;
    bool is_there[SQ_TABLES];
};

__attribute__((noreturn)) static inline void edit_die(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(1);
}

/* ---- making images ---- */

static char edit_scratch[] = "/tmp/plat-squashfs-XXXXXX";

/* In the scratch directory; $PLAT is the program. */
static inline void edit_shell(const char *command)
{
    char line[4096], plat[1024] = "";
    const char *given = getenv("PLAT");
    if (given == NULL && realpath("build/plat", plat) == NULL)
        edit_die("say where the program is: PLAT=");
    (void)snprintf(line, sizeof line, "cd %s && PLAT=%s && { %s\n} >/dev/null 2>log", edit_scratch,
                   given != NULL ? given : plat, command);
    if (system(line) != 0) /* NOLINT(cert-env33-c): made of constants */
        edit_die(command);
}

static inline void edit_scratch_open(void)
{
    if (mkdtemp(edit_scratch) == NULL)
        edit_die("a scratch directory");
}
static inline void edit_scratch_close(void)
{
    edit_shell("rm -rf -- \"$PWD\"");
}

static inline struct squashfs_bytes edit_load(const char *name)
{
    struct squashfs_bytes image = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", edit_scratch, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        edit_die(path);
    image.n = (size_t)ftell(f);
    rewind(f);
    image.bytes = malloc(image.n);
    if (image.bytes == NULL || fread(image.bytes, 1, image.n, f) != image.n)
        edit_die(path);
    (void)fclose(f);
    return image;
}

/* Every kind of inode, basic and extended, in t.tar; with -D LARGE a directory that has an index as well. */
static inline void edit_tree(bool large)
{
    static const char script[] =
        "import tarfile, io\n"
        "t = tarfile.open(\"t.tar\", \"w\", format=tarfile.PAX_FORMAT)\n"
        "def add(name, kind=tarfile.REGTYPE, data=b\"\", attributes={}, **more):\n"
        "    i = tarfile.TarInfo(name); i.type = kind; i.size = len(data); i.mtime = 1700000000\n"
        "    i.mode = 0o755 if kind == tarfile.DIRTYPE else 0o640\n"
        "    for k, v in more.items(): setattr(i, k, v)\n"
        "    i.pax_headers = {\"SCHILY.xattr.\" + k: v for k, v in attributes.items()}\n"
        "    t.addfile(i, io.BytesIO(data))\n"
        "long = {\"user.comment\": \"one\", \"user.lonG\": \"v\", \"user.long\": \"z\" * 300}\n"
        "add(\"d\", tarfile.DIRTYPE, attributes={\"user.dir\": \"d\"})\n"
        "add(\"d/e\", tarfile.DIRTYPE)\n"
        "add(\"d/e/file\", data=b\"hello\", attributes=long)\n"
        "add(\"d/e/text\", data=b\"\".join(b\"line %d\" % i for i in range(3000)), uid=1000, gid=100)\n"
        "add(\"empty\", tarfile.DIRTYPE)\n"
        "add(\"hard\", tarfile.LNKTYPE, linkname=\"d/e/text\")\n"
        "add(\"link\", tarfile.SYMTYPE, linkname=\"d/e/file\", attributes={\"trusted.l\": \"link\"})\n"
        "add(\"null\", tarfile.CHRTYPE, devmajor=1, devminor=3, attributes={\"trusted.l\": \"z\" * 300})\n"
        "add(\"disk\", tarfile.BLKTYPE, devmajor=8, devminor=70000)\n"
        "add(\"pipe\", tarfile.FIFOTYPE, attributes={\"security.p\": \"p\"})\n"
        "add(\"plain_link\", tarfile.SYMTYPE, linkname=\"../x\")\n"
        "add(\"plain_pipe\", tarfile.FIFOTYPE)\n"
        "add(\"sparse\", data=bytes(20000) + b\"end\")\n"
        "add(\"tail\", data=b\"y\" * 5000)\n"
        "for i in range(LARGE):\n"
        "    add(\"many/name_of_some_length_%03d\" % i, data=b\"%d\" % i)\n"
        "t.close()\n";
    char command[sizeof script + 64];
    (void)snprintf(command, sizeof command, "python3 - <<'PYTHON'\nLARGE = %d\n%s\nPYTHON", large ? 600 : 0,
                   script);
    edit_shell(command);
}

/* ---- taking apart ---- */

static inline void bytes_add(struct squashfs_bytes *to, const void *bytes, size_t n)
{
    to->bytes = realloc(to->bytes, to->n + n + 1);
    if (to->bytes == NULL)
        edit_die("memory");
    memcpy(to->bytes + to->n, bytes, n);
    to->n += n;
}

static inline struct fs *edit_fs(const struct squashfs_bytes *image, struct plat_dev **ret_dev)
{
    const struct fs_open_options options = {0};
    struct fs *fs = NULL;
    struct plat_err err = {0};
    if (dev_open_const(image->bytes, image->n, "image", ret_dev, NULL) != 0 ||
        fs_open(&squashfs_driver, *ret_dev, &options, &fs, &err) != 0)
        edit_die(err.text);
    return fs;
}

static inline void edit_open(const struct squashfs_bytes *image, struct squashfs_edit *ret)
{
    struct plat_dev *dev;
    struct fs *fs = edit_fs(image, &dev);
    struct volume *vol = volume_of(fs);
    struct sq_block *block = malloc(sizeof *block);
    *ret = (struct squashfs_edit){.compression = vol->super.compression};
    bytes_add(&ret->front, image->bytes, (size_t)vol->super.inode_table);
    for (unsigned id = 0; id < SQ_TABLES; id++) {
        struct sq_map map = {0};
        ret->is_there[id] = vol->tables[id].start < vol->tables[id].end;
        if (!ret->is_there[id])
            continue;
        if (block == NULL || sq_map_build(vol, (enum sq_table_id)id, &map, NULL) != 0)
            edit_die("the metadata of the sound image");
        for (size_t i = 0; i < map.n; i++) {
            if (sq_block_read(vol, &vol->tables[id], map.offsets[i], block, NULL) != 0)
                edit_die("the metadata of the sound image");
            bytes_add(&ret->streams[id], block->bytes, block->n);
        }
        sq_map_free(&map);
    }
    free(block);
    fs_close(fs);
    dev_close(dev);
}

static inline void edit_close(struct squashfs_edit *edit)
{
    free(edit->front.bytes);
    for (unsigned id = 0; id < SQ_TABLES; id++)
        free(edit->streams[id].bytes);
}

/* ---- putting together ---- */

/* Appends the blocks of a stream; their places to *starts, which are returned as little-endian numbers. */
static inline void edit_put_stream(const struct squashfs_edit *edit, unsigned id,
                                   struct codec_encoder *encoder, struct squashfs_bytes *to,
                                   struct squashfs_bytes *ret_list)
{
    const struct squashfs_bytes *stream = &edit->streams[id];
    for (size_t at = 0; at < stream->n; at += SQ_META_BYTES) {
        uint8_t block[SQUASHFS_METADATA_HEADER_BYTES + SQ_META_BYTES], place[8];
        const size_t left = stream->n - at, n = left < SQ_META_BYTES ? left : SQ_META_BYTES;
        size_t packed = 0;
        if (!edit->plain && n > 1 &&
            codec_encode(encoder, stream->bytes + at, n, block + SQUASHFS_METADATA_HEADER_BYTES, n - 1,
                         &packed, NULL) != 0)
            edit_die("compression");
        if (packed == 0)
            memcpy(block + SQUASHFS_METADATA_HEADER_BYTES, stream->bytes + at, n);
        const uint16_t size = squashfs_metadata_size_with_plain(
            squashfs_metadata_size_with_bytes(0, (uint16_t)(packed != 0 ? packed : n)), packed == 0);
        store_le16(block, size);
        store_le64(place, to->n);
        bytes_add(ret_list, place, sizeof place);
        bytes_add(to, block, SQUASHFS_METADATA_HEADER_BYTES + (packed != 0 ? packed : n));
    }
}

static inline void edit_build(const struct squashfs_edit *edit, struct squashfs_bytes *ret)
{
    static const size_t fields[SQ_TABLES] = {
        [SQ_INODES] = SQUASHFS_SUPERBLOCK_INODE_TABLE_START_OFFSET,
        [SQ_DIRECTORIES] = SQUASHFS_SUPERBLOCK_DIRECTORY_TABLE_START_OFFSET,
        [SQ_FRAGMENTS] = SQUASHFS_SUPERBLOCK_FRAGMENT_TABLE_START_OFFSET,
        [SQ_EXPORTS] = SQUASHFS_SUPERBLOCK_EXPORT_TABLE_START_OFFSET,
        [SQ_IDS] = SQUASHFS_SUPERBLOCK_ID_TABLE_START_OFFSET,
        [SQ_XATTR_IDS] = SQUASHFS_SUPERBLOCK_XATTR_ID_TABLE_START_OFFSET};
    static const uint8_t zeros[4096];
    struct codec_settings settings;
    struct codec_encoder *encoder = NULL;
    uint64_t pairs_start = 0;
    codec_settings_default((enum codec_id)(edit->compression - 1), &settings);
    if (!edit->plain && codec_encoder_open(&settings, SQ_META_BYTES, &encoder, NULL) != 0)
        edit_die("a codec");
    ret->n = 0;
    bytes_add(ret, edit->front.bytes, edit->front.n);
    for (unsigned id = 0; id < SQ_TABLES; id++) {
        struct squashfs_bytes list = {0};
        if (!edit->is_there[id])
            continue;
        const uint64_t start = ret->n;
        edit_put_stream(edit, id, encoder, ret, &list);
        const uint64_t list_start = ret->n;
        if (id == SQ_XATTRS)
            pairs_start = start;
        else
            store_le64(ret->bytes + fields[id], id == SQ_INODES || id == SQ_DIRECTORIES ? start : list_start);
        if (id == SQ_XATTR_IDS) {
            uint8_t header[SQUASHFS_XATTR_HEADER_BYTES] = {0};
            store_le64(header + SQUASHFS_XATTR_HEADER_KV_START_OFFSET, pairs_start);
            store_le32(header + SQUASHFS_XATTR_HEADER_IDS_OFFSET,
                       (uint32_t)(edit->streams[id].n / SQUASHFS_XATTR_ID_BYTES));
            bytes_add(ret, header, sizeof header);
        }
        if (id != SQ_INODES && id != SQ_DIRECTORIES && id != SQ_XATTRS)
            bytes_add(ret, list.bytes, list.n);
        free(list.bytes);
    }
    store_le64(ret->bytes + SQUASHFS_SUPERBLOCK_BYTES_USED_OFFSET, ret->n);
    if (ret->n % sizeof zeros != 0)
        bytes_add(ret, zeros, sizeof zeros - ret->n % sizeof zeros);
    codec_encoder_close(encoder);
}

/* ---- places ---- */

/* Where a structure is: by its path, "inodes[3]", and of names by the name: "names[" and "file". */
struct edit_place {
    const char *path, *name;
    const char *stream; /* NULL: none, offset is in the image */
    uint64_t offset;
    size_t in_image; /* where its bytes are, if its block is plain */
    bool found;
};

static inline int edit_on_instance(void *ctx, const struct inst *inst)
{
    struct edit_place *place = ctx;
    const size_t n = place->name != NULL ? strlen(place->name) : 0;
    const bool named = n > 0 && inst->size_bytes == SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES + n &&
                       strncmp(inst->path, place->path, strlen(place->path)) == 0 &&
                       memcmp(inst->bytes + SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES, place->name, n) == 0;
    if (!named && (place->name != NULL || strcmp(inst->path, place->path) != 0))
        return 0;
    place->stream = inst->source.stream;
    place->offset = inst->offset;
    place->in_image = (size_t)inst->source.block.start + SQUASHFS_METADATA_HEADER_BYTES +
                      (size_t)(inst->offset % SQ_META_BYTES);
    place->found = true;
    return PLAT_ESTOP;
}

static inline void edit_find(const struct squashfs_bytes *image, struct edit_place *place)
{
    const struct walk_sink sink = {.ctx = place, .instance = edit_on_instance};
    struct plat_dev *dev;
    struct fs *fs = edit_fs(image, &dev);
    (void)squashfs_walk(fs, &sink, NULL);
    fs_close(fs);
    dev_close(dev);
    if (!place->found)
        edit_die(place->path);
}

#endif
