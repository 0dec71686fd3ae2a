/* Errors where there is no C library: err.c is not linked, this is (make freestanding).
 *
 * Messages are the same as on a host for what the carried files use of printf: %s, %.Ns, %.*s, %d, %u, %zu, %llu, %llx,
 * %lld, %x and %08x. A conversion that is not known is shown as it stands, and ends the message: the size of its argument
 * is not known either. */
#include "lib/base/err.h"

#include <stdarg.h>
#include <stddef.h>

struct text {
    char *at, *end; /* end: the terminator's place at the latest */
};

static void put(struct text *text, char c)
{
    if (text->at < text->end)
        *text->at++ = c;
}

static void put_text(struct text *text, const char *s, int most)
{
    for (int i = 0; (most < 0 || i < most) && s[i] != '\0'; i++)
        put(text, s[i]);
}

static void put_number(struct text *text, unsigned long long value, unsigned base, int least_digits)
{
    char digits[24];
    int n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    for (int i = n; i < least_digits; i++)
        put(text, '0');
    while (n > 0)
        put(text, digits[--n]);
}

static int number_at(const char **fmt)
{
    int n = 0;
    for (; **fmt >= '0' && **fmt <= '9'; ++*fmt)
        n = n < 1000 ? n * 10 + (**fmt - '0') : n;
    return n;
}

enum size { SIZE_INT, SIZE_LONG, SIZE_LONG_LONG };
static enum size size_at(const char **fmt)
{
    enum size size = SIZE_INT;
    if (**fmt == 'z') {
        ++*fmt;
        return sizeof(size_t) == sizeof(int) ? SIZE_INT : SIZE_LONG;
    }
    for (; **fmt == 'l' && size < SIZE_LONG_LONG; ++*fmt)
        size++;
    return size;
}

/* One conversion; *fmt stands behind its '%'. False: not known. The list of arguments is passed on in a structure, as a
 * va_list may be an array. */
struct arguments {
    va_list list;
};
static bool convert(struct text *text, const char **fmt, struct arguments *args)
{
    int width = number_at(fmt), most = -1;
    if (**fmt == '.') {
        ++*fmt;
        if (**fmt == '*') {
            ++*fmt;
            most = va_arg(args->list, int);
        } else {
            most = number_at(fmt);
        }
    }
    const enum size size = size_at(fmt);
    const char kind = **fmt;
    if (kind == 's') {
        put_text(text, va_arg(args->list, const char *), most);
    } else if (kind == 'd') {
        const long long v = size == SIZE_LONG_LONG ? va_arg(args->list, long long)
                            : size == SIZE_LONG    ? va_arg(args->list, long)
                                                   : va_arg(args->list, int);
        if (v < 0)
            put(text, '-');
        put_number(text, v < 0 ? 0 - (unsigned long long)v : (unsigned long long)v, 10, width);
    } else if (kind == 'u' || kind == 'x') {
        const unsigned long long v = size == SIZE_LONG_LONG ? va_arg(args->list, unsigned long long)
                                     : size == SIZE_LONG    ? va_arg(args->list, unsigned long)
                                                            : va_arg(args->list, unsigned);
        put_number(text, v, kind == 'x' ? 16 : 10, width);
    } else {
        return false;
    }
    ++*fmt;
    return true;
}

static void format(char *ret, size_t ret_bytes, const char *fmt, struct arguments *args)
{
    struct text text = {ret, ret + ret_bytes - 1};
    while (*fmt != '\0') {
        const char *const from = fmt++;
        if (*from != '%') {
            put(&text, *from);
        } else if (*fmt == '%') {
            put(&text, *fmt++);
        } else if (!convert(&text, &fmt, args)) {
            put_text(&text, from, -1);
            break;
        }
    }
    *text.at = '\0';
}

static void copy(char *ret, size_t ret_bytes, const char *from)
{
    struct text text = {ret, ret + ret_bytes - 1};
    put_text(&text, from, -1);
    *text.at = '\0';
}

static void fill(struct plat_err *err, int class, const char *fmt, struct arguments *args)
{
    err_clear(err);
    err->class = class;
    format(err->text, sizeof err->text, fmt, args);
}

int err_set_raw(struct plat_err *err, int class, const char *fmt, ...)
{
    if (err != NULL) {
        struct arguments args;
        va_start(args.list, fmt);
        fill(err, class, fmt, &args);
        va_end(args.list);
    }
    return class;
}

int err_at_raw(struct plat_err *err, int class, uint64_t offset, const char *path, const char *fmt, ...)
{
    if (err != NULL) {
        struct arguments args;
        va_start(args.list, fmt);
        fill(err, class, fmt, &args);
        va_end(args.list);
        err->offset = offset;
        err->has_offset = true;
        if (path != NULL)
            copy(err->path, sizeof err->path, path);
    }
    return class;
}

void err_image(struct plat_err *err, const char *image)
{
    if (err != NULL && err->image[0] == '\0' && image != NULL)
        copy(err->image, sizeof err->image, image);
}
