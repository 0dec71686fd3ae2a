#include "lib/io/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "lib/hash/hash.h"

enum {
    UNDO_LINE_BYTES = 64 + 4 * DEV_CHANGE_BYTES,
    UNDO_MAX_BYTES = 1 << 30 /* of the file */
};

bool undo_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- writing ---- */

static void put_hex(struct strbuf *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        const char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        strbuf_add(out, pair, 2);
    }
}

struct undo_text {
    struct strbuf out;
    uint64_t n;
};

static int put_change(void *ctx, const struct dev_change *change, struct plat_err *err)
{
    struct undo_text *text = ctx;
    strbuf_printf(&text->out, "0x%" PRIx64 " %zu ", change->offset, change->n);
    put_hex(&text->out, change->old, change->n);
    strbuf_putc(&text->out, ' ');
    put_hex(&text->out, change->new, change->n);
    strbuf_putc(&text->out, '\n');
    text->n++;
    if (text->out.len > UNDO_MAX_BYTES)
        return err_set(err, PLAT_ELIMIT, "the change is too large to be undone: write to another file (-o)");
    return 0;
}

int undo_write(const char *path, struct plat_dev *overlay, struct plat_err *err)
{
    struct undo_text text = {0};
    struct plat_dev *dev = NULL;
    strbuf_printf(&text.out, "plat-undo 1\nimage %" PRIu64 "\n", overlay->size_bytes);
    int rc = dev_overlay_changes(overlay, put_change, &text, err);
    if (rc == 0)
        strbuf_printf(&text.out, "end %" PRIu64 " 0x%08" PRIx32 "\n", text.n,
                      hash_crc32c(0, text.out.s, text.out.len));
    if (rc == 0 && text.out.failed)
        rc = err_nomem(err, "keeping the old bytes");
    if (rc == 0)
        rc = dev_output_open(path, text.out.len, &dev, err);
    if (rc == 0)
        rc = dev_write(dev, 0, text.out.s, text.out.len, err);
    if (rc == 0)
        rc = dev_output_commit(dev, err);
    if (rc != 0)
        err_prefix(err, "the old bytes cannot be kept in %s", path);
    dev_close(dev);
    strbuf_free(&text.out);
    return rc;
}

static int apply_change(void *ctx, const struct dev_change *change, struct plat_err *err)
{
    return dev_write(ctx, change->offset, change->new, change->n, err);
}

int undo_apply(struct plat_dev *overlay, struct plat_dev *image, struct plat_err *err)
{
    int rc = dev_overlay_changes(overlay, apply_change, image, err);
    return rc == 0 ? dev_flush(image, err) : rc;
}

int undo_remove(const char *path, struct plat_err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (dir == NULL)
        return err_nomem(err, "removing an undo file");
    int rc = unlink(path) != 0 ? err_sys(err, errno, "cannot remove %s", path) : 0;
    int fd = rc == 0 ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    /* Filesystems that cannot flush a directory have nothing to flush. */
    if (fd >= 0 && fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        rc = err_sys(err, errno, "cannot flush %s", dir);
    if (fd >= 0)
        (void)close(fd);
    free(dir);
    return rc;
}

/* ---- reading ---- */

struct undo_reader {
    FILE *file;
    const char *path;
    uint32_t crc; /* of the lines so far */
    uint64_t lines;
    char line[UNDO_LINE_BYTES + 2];
    uint8_t old[DEV_CHANGE_BYTES], new[DEV_CHANGE_BYTES];
    uint64_t offset;
    size_t n;
};

static int not_whole(const struct undo_reader *reader, struct plat_err *err)
{
    return err_set(err, PLAT_ECORRUPT, "%s, line %" PRIu64 ": this is not a whole undo file", reader->path,
                   reader->lines + 1);
}

static bool read_hex(const char **text, uint8_t *ret, size_t n)
{
    for (size_t i = 0; i < n; i++, *text += 2) {
        const char pair[3] = {(*text)[0], (*text)[0] == '\0' ? '\0' : (*text)[1], '\0'};
        if (strspn(pair, "0123456789abcdef") != 2)
            return false;
        ret[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

static int next_line(struct undo_reader *reader, struct plat_err *err)
{
    if (fgets(reader->line, sizeof reader->line, reader->file) == NULL)
        return ferror(reader->file) ? err_sys(err, errno, "cannot read %s", reader->path)
                                    : not_whole(reader, err);
    return strchr(reader->line, '\n') == NULL ? not_whole(reader, err) : 0;
}

/* The next change; *ret_end: there is none, and the file is whole. */
static int next_change(struct undo_reader *reader, bool *ret_end, struct plat_err *err)
{
    uint64_t lines;
    uint32_t crc;
    int at = 0;
    int rc = next_line(reader, err);
    if (rc != 0)
        return rc;
    if (sscanf(reader->line, "end %" SCNu64 " 0x%8" SCNx32 "\n", &lines, &crc) == 2) {
        if (lines != reader->lines - 2 || crc != reader->crc)
            return not_whole(reader, err);
        *ret_end = true;
        return 0;
    }
    if (sscanf(reader->line, "0x%" SCNx64 " %zu %n", &reader->offset, &reader->n, &at) != 2 || at == 0 ||
        reader->n == 0 || reader->n > DEV_CHANGE_BYTES)
        return not_whole(reader, err);
    const char *hex = reader->line + at;
    if (!read_hex(&hex, reader->old, reader->n) || *hex++ != ' ' || !read_hex(&hex, reader->new, reader->n) ||
        *hex != '\n')
        return not_whole(reader, err);
    reader->crc = hash_crc32c(reader->crc, reader->line, strlen(reader->line));
    reader->lines++;
    return 0;
}

static int open_reader(const char *path, struct plat_dev *image, struct undo_reader *ret,
                       struct plat_err *err)
{
    uint64_t size_bytes;
    *ret = (struct undo_reader){.file = fopen(path, "rbe"), .path = path};
    if (ret->file == NULL)
        return err_sys(err, errno, "cannot open the undo file %s", path);
    for (int i = 0; i < 2; i++) {
        int rc = next_line(ret, err);
        if (rc == 0 && i == 0 && strcmp(ret->line, "plat-undo 1\n") != 0)
            rc = err_set(err, PLAT_EUNSUPPORTED, "%s is no undo file of this version", path);
        if (rc == 0 && i == 1 && sscanf(ret->line, "image %" SCNu64 "\n", &size_bytes) != 1)
            rc = not_whole(ret, err);
        if (rc != 0)
            return rc;
        ret->crc = hash_crc32c(ret->crc, ret->line, strlen(ret->line));
        ret->lines++;
    }
    if (size_bytes != image->size_bytes)
        return err_set(err, PLAT_ECORRUPT,
                       "%s is of an image of %" PRIu64 " bytes, and this one has %" PRIu64, path, size_bytes,
                       image->size_bytes);
    return 0;
}

/* Is each byte that is there an old or a new one? A cut may stop in the middle of a piece. */
static int compare(struct undo_reader *reader, struct plat_dev *image, struct undo_state *state,
                   struct plat_err *err)
{
    uint8_t found[DEV_CHANGE_BYTES];
    int rc = dev_read(image, reader->offset, found, reader->n, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < reader->n; i++)
        if (found[i] != reader->old[i] && found[i] != reader->new[i])
            return err_at(err, PLAT_ECORRUPT, reader->offset + i, NULL,
                          "the image was changed since: %02x here, and neither %02x (old) nor %02x (new)",
                          found[i], reader->old[i], reader->new[i]);
    state->is_old = state->is_old && memcmp(found, reader->old, reader->n) == 0;
    state->is_new = state->is_new && memcmp(found, reader->new, reader->n) == 0;
    state->bytes += reader->n;
    state->changes++;
    return 0;
}

int undo_read(const char *path, struct plat_dev *image, struct undo_state *ret, struct plat_err *err)
{
    struct undo_reader reader;
    struct undo_state state = {.is_old = true, .is_new = true};
    bool end = false;
    int rc = open_reader(path, image, &reader, err);
    while (rc == 0 && (rc = next_change(&reader, &end, err)) == 0 && !end)
        rc = compare(&reader, image, &state, err);
    if (reader.file != NULL)
        (void)fclose(reader.file);
    if (rc == 0)
        *ret = state;
    return rc;
}

int undo_restore(const char *path, struct plat_dev *image, struct plat_err *err)
{
    struct undo_reader reader;
    bool end = false;
    int rc = open_reader(path, image, &reader, err);
    while (rc == 0 && (rc = next_change(&reader, &end, err)) == 0 && !end)
        rc = dev_write(image, reader.offset, reader.old, reader.n, err);
    if (rc == 0)
        rc = dev_flush(image, err);
    if (reader.file != NULL)
        (void)fclose(reader.file);
    return rc;
}
