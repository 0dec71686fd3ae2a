/* Text: a growing string, an arena, and parsers for the numbers people write.
 *
 * struct strbuf: zero-initialise, append, read .s (never NULL after a successful append; use strbuf_str),
 * strbuf_free. An append that runs out of memory sets .failed and does nothing more, so a chain of appends
 * needs one check at its end. */
#ifndef PLAT_LIB_BASE_TEXT_H
#define PLAT_LIB_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct strbuf {
    char *s;
    size_t len;
    size_t cap;
    bool failed;
};
void strbuf_add(struct strbuf *sb, const char *bytes, size_t n);
void strbuf_puts(struct strbuf *sb, const char *s);
void strbuf_putc(struct strbuf *sb, char c);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_truncate(struct strbuf *sb, size_t len);
const char *strbuf_str(const struct strbuf *sb); /* "" when empty */
void strbuf_free(struct strbuf *sb);
/* Frees sb, whose text went into `to`; if an append to it had failed, `to` counts as failed, too. So text that
 * is made of pieces needs one check at its end as well. */
void strbuf_free_into(struct strbuf *sb, struct strbuf *to);
/* JSON string literal with quotes; bytes that are not UTF-8 become U+FFFD. */
void strbuf_json(struct strbuf *sb, const char *s, size_t n);
/* Text safe for a terminal: control characters and bytes that are not UTF-8 as \xNN. */
void strbuf_visible(struct strbuf *sb, const char *s, size_t n);

/* Memory that is released all at once. Zero-initialise; arena_free. Returns NULL when out of memory. */
struct arena {
    struct arena_block *first;
    size_t used_bytes; /* handed out so far */
};
void *arena_alloc(struct arena *a, size_t n); /* zeroed, 16-byte aligned */
char *arena_bytes(struct arena *a, size_t n); /* not zeroed, unaligned: for text */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
void arena_free(struct arena *a);

/* "123", "0x7b": the whole string or PLAT_EINVALID. */
int parse_u64(const char *s, uint64_t *ret, struct plat_err *err);
/* A size: "4096", "4KiB", "4K", "1.5GiB" is refused, "10MB" is decimal. K M G T P are binary, as are KiB ...;
 * kB MB GB TB are decimal; "s" suffix (sectors) is not accepted. */
int parse_size(const char *s, uint64_t *ret, struct plat_err *err);
/* GUID text, 36 characters; ret is in on-disk mixed-endian order (first three groups byte-swapped). */
bool parse_guid(const char *s, uint8_t ret[16]);
/* GUID text as people have it: as above, or in the braces that Windows puts around it. */
bool parse_guid_braced(const char *s, uint8_t ret[16]);
void format_guid(const uint8_t guid[16], char ret[37]); /* lower-case */
/* "4.0 GiB", "512 B": at most 12 bytes with terminator. */
void format_size(uint64_t bytes, char ret[16]);
/* UTC "2026-11-21 10:00:00"; years outside 0..9999 as @seconds. */
void format_unix_time(int64_t seconds, char ret[32]);
bool utf8_valid(const char *s, size_t n);

/* Bytewise wildcard match: * ? [a-z]; ** crosses '/'. */
bool glob_match(const char *pattern, const char *text);

#endif
