#include "lib/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A class that is none would be taken for success. */
static int failure(int class)
{
    return class < 0 ? class : PLAT_EBUG;
}

static void fill(struct plat_err *err, int class, const char *fmt, va_list ap)
{
    err->class = failure(class);
    err->has_offset = false;
    err->offset = 0;
    err->image[0] = '\0';
    err->path[0] = '\0';
    (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
}

int err_set_raw(struct plat_err *err, int class, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        fill(err, class, fmt, ap);
        va_end(ap);
    }
    return failure(class);
}

int err_at_raw(struct plat_err *err, int class, uint64_t offset, const char *path, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        fill(err, class, fmt, ap);
        va_end(ap);
        err->offset = offset;
        err->has_offset = true;
        if (path != NULL)
            (void)snprintf(err->path, sizeof err->path, "%s", path);
    }
    return failure(class);
}

int err_sys_raw(struct plat_err *err, int saved_errno, const char *fmt, ...)
{
    int class = saved_errno == ENOENT ? PLAT_ENOTFOUND : saved_errno == ENOMEM ? PLAT_ENOMEM : PLAT_EIO;
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        fill(err, class, fmt, ap);
        va_end(ap);
        size_t used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(saved_errno));
    }
    return class;
}

int err_nomem_raw(struct plat_err *err, const char *what)
{
    return err_set(err, PLAT_ENOMEM, "out of memory while %s", what);
}

int err_prefix_raw(struct plat_err *err, const char *fmt, ...)
{
    if (err == NULL)
        return PLAT_EBUG;
    char prefix[PLAT_ERR_NAME_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    size_t prefix_bytes = strlen(prefix);
    size_t room = sizeof err->text - 3; /* ": " and the terminator */
    if (prefix_bytes > room)
        prefix_bytes = room;
    size_t keep = strlen(err->text);
    if (keep > room - prefix_bytes)
        keep = room - prefix_bytes;
    memmove(err->text + prefix_bytes + 2, err->text, keep);
    memcpy(err->text, prefix, prefix_bytes);
    memcpy(err->text + prefix_bytes, ": ", 2);
    err->text[prefix_bytes + 2 + keep] = '\0';
    return failure(err->class);
}

void err_image(struct plat_err *err, const char *image)
{
    if (err != NULL && err->image[0] == '\0' && image != NULL)
        (void)snprintf(err->image, sizeof err->image, "%s", image);
}

void err_format(const struct plat_err *err, char *buf, unsigned long buf_bytes)
{
    char at[64] = "";
    char path[PLAT_ERR_NAME_MAX + 4] = "";
    if (err->path[0] != '\0')
        (void)snprintf(path, sizeof path, "%s(%s)", err->has_offset ? " " : "", err->path);
    if (err->has_offset)
        (void)snprintf(at, sizeof at, "at offset 0x%llx", (unsigned long long)err->offset);
    const char *sep = at[0] != '\0' || path[0] != '\0' ? ": " : "";
    (void)snprintf(buf, buf_bytes, "%s%s%s%s%s%s", err->image, err->image[0] != '\0' ? ": " : "", at, path,
                   sep, err->text);
}

const char *err_class_name(int class)
{
    switch (class) {
    case PLAT_OK:
        return "ok";
    case PLAT_EIO:
        return "I/O error";
    case PLAT_ECORRUPT:
        return "corrupt";
    case PLAT_EUNSUPPORTED:
        return "unsupported";
    case PLAT_ELIMIT:
        return "limit exceeded";
    case PLAT_ENOMEM:
        return "out of memory";
    case PLAT_EINVALID:
        return "invalid request";
    case PLAT_ENOTFOUND:
        return "not found";
    case PLAT_ESTOP:
        return "stopped";
    default:
        return "internal error";
    }
}
