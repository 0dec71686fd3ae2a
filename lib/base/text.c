#include "lib/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool strbuf_room(struct strbuf *sb, size_t n)
{
    if (sb->failed)
        return false;
    if (n < sb->cap - sb->len && sb->cap != 0)
        return true;
    size_t cap = sb->cap == 0 ? 64 : sb->cap;
    while (cap - sb->len <= n) {
        if (cap > SIZE_MAX / 2) {
            sb->failed = true;
            return false;
        }
        cap *= 2;
    }
    char *s = realloc(sb->s, cap);
    if (s == NULL) {
        sb->failed = true;
        return false;
    }
    sb->s = s;
    sb->cap = cap;
    return true;
}

void strbuf_add(struct strbuf *sb, const char *bytes, size_t n)
{
    if (n == 0 || !strbuf_room(sb, n))
        return;
    memcpy(sb->s + sb->len, bytes, n);
    sb->len += n;
    sb->s[sb->len] = '\0';
}

void strbuf_puts(struct strbuf *sb, const char *s)
{
    strbuf_add(sb, s, strlen(s));
}

void strbuf_putc(struct strbuf *sb, char c)
{
    strbuf_add(sb, &c, 1);
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    char small[256];
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) {
        sb->failed = true;
    } else if ((size_t)n < sizeof small) {
        strbuf_add(sb, small, (size_t)n);
    } else if (strbuf_room(sb, (size_t)n)) {
        (void)vsnprintf(sb->s + sb->len, (size_t)n + 1, fmt, again);
        sb->len += (size_t)n;
    }
    va_end(again);
}

void strbuf_truncate(struct strbuf *sb, size_t len)
{
    if (len < sb->len) {
        sb->len = len;
        sb->s[len] = '\0';
    }
}

const char *strbuf_str(const struct strbuf *sb)
{
    return sb->s == NULL ? "" : sb->s;
}

void strbuf_free(struct strbuf *sb)
{
    free(sb->s);
    *sb = (struct strbuf){0};
}

void strbuf_free_into(struct strbuf *sb, struct strbuf *to)
{
    to->failed = to->failed || sb->failed;
    strbuf_free(sb);
}

/* Length of the well-formed UTF-8 sequence at s (0: malformed); no overlong forms, no surrogates. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
                 : (s[0] & 0xf0) == 0xe0        ? 3
                 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

bool utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = utf8_sequence((const unsigned char *)s + i, n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

void strbuf_json(struct strbuf *sb, const char *s, size_t n)
{
    strbuf_putc(sb, '"');
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t len = utf8_sequence((const unsigned char *)s + i, n - i);
        bool c1 = len == 2 && c == 0xc2 && (unsigned char)s[i + 1] < 0xa0;
        if (len == 0) {
            strbuf_puts(sb, "\xef\xbf\xbd");
            i++;
        } else {
            if (c == '"' || c == '\\') {
                strbuf_putc(sb, '\\');
                strbuf_putc(sb, (char)c);
            } else if (c < 0x20 || c == 0x7f || c1) { /* JSON allows the last two, terminals obey them */
                strbuf_printf(sb, "\\u%04x", c1 ? (unsigned char)s[i + 1] : c);
            } else {
                strbuf_add(sb, s + i, len);
            }
            i += len;
        }
    }
    strbuf_putc(sb, '"');
}

void strbuf_visible(struct strbuf *sb, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t len = utf8_sequence((const unsigned char *)s + i, n - i);
        bool c1 = len == 2 && c == 0xc2 && (unsigned char)s[i + 1] < 0xa0;
        if (len == 0 || c < 0x20 || c == 0x7f || c1) {
            for (size_t k = 0; k < (c1 ? 2 : 1); k++)
                strbuf_printf(sb, "\\x%02x", (unsigned char)s[i + k]);
            i += c1 ? 2 : 1;
        } else {
            strbuf_add(sb, s + i, len);
            i += len;
        }
    }
}

/* ---- arena ---- */

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    unsigned char bytes[] __attribute__((aligned(16)));
};
enum { ARENA_BLOCK_BYTES = 64 * 1024 - 64 };

static void *arena_take(struct arena *a, size_t n, size_t align)
{
    struct arena_block *b = a->first;
    if (b != NULL) {
        size_t start = (b->used + align - 1) & ~(align - 1);
        if (start <= b->size && n <= b->size - start) {
            b->used = start + n;
            a->used_bytes += n;
            return b->bytes + start;
        }
    }
    if (n > SIZE_MAX - sizeof *b - ARENA_BLOCK_BYTES)
        return NULL;
    size_t size = n > ARENA_BLOCK_BYTES / 4 ? n : ARENA_BLOCK_BYTES;
    b = malloc(sizeof *b + size);
    if (b == NULL)
        return NULL;
    b->size = size;
    b->used = n;
    /* A large block goes behind the current one, so that the current one's room is not lost. */
    if (size == n && a->first != NULL) {
        b->next = a->first->next;
        a->first->next = b;
    } else {
        b->next = a->first;
        a->first = b;
    }
    a->used_bytes += n;
    return b->bytes;
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p = arena_take(a, n, 16);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

char *arena_bytes(struct arena *a, size_t n)
{
    return arena_take(a, n, 1);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = n == SIZE_MAX ? NULL : arena_bytes(a, n + 1);
    if (p != NULL) {
        memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->first; b != NULL;) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    *a = (struct arena){0};
}
