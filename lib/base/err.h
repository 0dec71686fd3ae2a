/* Errors: one class, one sentence, and where in which image it happened.
 *
 * Every fallible function returns 0 or a negative class and takes a `struct plat_err *` as its last
 * argument (NULL: the caller does not want the text). It is filled by the function that found the fault
 * and never printed below the command table: `return err_set(err, PLAT_EINVALID, "...")` keeps message and
 * return together. A text names what was expected, what was found, and what to do next. */
#ifndef PLAT_LIB_BASE_ERR_H
#define PLAT_LIB_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum plat_class {
    PLAT_OK = 0,
    PLAT_EIO = -1,          /* the operating system refused: errno is in the text */
    PLAT_ECORRUPT = -2,     /* the bytes contradict their format */
    PLAT_EUNSUPPORTED = -3, /* valid, but not something this code does */
    PLAT_ELIMIT = -4,       /* a named limit was exceeded */
    PLAT_ENOMEM = -5,       /* out of memory */
    PLAT_EINVALID = -6,     /* the request makes no sense (recipe, path, option) */
    PLAT_EBUG = -7,         /* a broken promise inside plat */
    PLAT_ENOTFOUND = -8,    /* no such file, field, partition */
    PLAT_ESTOP = -9         /* a callback asked to stop; not a failure */
};

enum { PLAT_ERR_TEXT_MAX = 640, PLAT_ERR_NAME_MAX = 256 };

struct plat_err {
    int class;                     /* enum plat_class */
    char text[PLAT_ERR_TEXT_MAX];  /* one sentence, no trailing newline */
    char image[PLAT_ERR_NAME_MAX]; /* file the fault is in; "" when unknown */
    char path[PLAT_ERR_NAME_MAX];  /* field or structure path; "" when none */
    uint64_t offset;               /* byte offset in image, when has_offset */
    bool has_offset;
};

/* Call these without "_raw": the macros below say to compilers and analysers that the result is never 0, so that they
 * see what a caller sees after `if (rc != 0) return rc;`. */

/* Fill *err (if any) and return `class`; image, path and offset are emptied. */
int err_set_raw(struct plat_err *err, int class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* As err_set, with a byte offset and a structure path (NULL: none). */
int err_at_raw(struct plat_err *err, int class, uint64_t offset, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* err_set with ": strerror(saved_errno)" behind; class PLAT_EIO (ENOENT: PLAT_ENOTFOUND, ENOMEM: PLAT_ENOMEM). */
int err_sys_raw(struct plat_err *err, int saved_errno, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Out of memory while doing `what`. */
int err_nomem_raw(struct plat_err *err, const char *what);
/* Makes *err say nothing, without the cost of zeroing all of it. */
static inline void err_clear(struct plat_err *err)
{
    err->class = PLAT_OK;
    err->text[0] = err->image[0] = err->path[0] = '\0';
    err->has_offset = false;
}
/* Put "prefix: " before the text already there; returns err's class. */
int err_prefix_raw(struct plat_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline int err_is_failure(int class)
{
    if (class >= 0)
        __builtin_unreachable();
    return class;
}
#define err_set(...) err_is_failure(err_set_raw(__VA_ARGS__))
#define err_at(...) err_is_failure(err_at_raw(__VA_ARGS__))
#define err_sys(...) err_is_failure(err_sys_raw(__VA_ARGS__))
#define err_nomem(...) err_is_failure(err_nomem_raw(__VA_ARGS__))
#define err_prefix(...) err_is_failure(err_prefix_raw(__VA_ARGS__))

/* Name the image the fault is in, unless one is named already. */
void err_image(struct plat_err *err, const char *image);
/* "image: at offset 0x200 (gpt.primary): text" into buf; always terminated. */
void err_format(const struct plat_err *err, char *buf, unsigned long buf_bytes);
/* Short name of a class: "I/O error", "corrupt", ... */
const char *err_class_name(int class);

#endif
