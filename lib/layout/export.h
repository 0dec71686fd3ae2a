/* A layout in other languages: C, Rust, Markdown, man pages.
 *
 * Each function writes the whole text into *ret, which the caller zero-initialises and frees with strbuf_free; it
 * is untouched on failure. The text depends on the layout alone: no times, no host paths.
 *
 * Errors: PLAT_EINVALID when two names of the layout would become one name in the target language (the text names
 * both), PLAT_ENOMEM. */
#ifndef PLAT_LIB_LAYOUT_EXPORT_H
#define PLAT_LIB_LAYOUT_EXPORT_H

#include "lib/base/err.h"
#include "lib/base/text.h"
#include "lib/layout/layout.h"

/* C17 for gcc and clang.
 *
 * For each struct type: a read-only and a writable view made by one bounds-checked constructor, getters, setters,
 * and x_init, x_check, x_seal. x_check and x_seal carry every rule of severity "error" whose inputs lie in the
 * struct, in params or in its position (trailing arguments); a comment lists each rule that needs the run-time
 * engine instead. Fields whose place depends on earlier fields have no accessor (a comment says so). */
enum export_c {
    EXPORT_HEADER,      /* <layout>.gen.h of plat itself */
    EXPORT_SOURCE,      /* <layout>.gen.c beside it; hashes from lib/hash/hash.h */
    EXPORT_FREESTANDING /* one header that includes only <stdint.h> <stddef.h> <stdbool.h> and calls nothing */
};
int layout_export_c(const struct layout *layout, enum export_c what, struct strbuf *ret,
                    struct plat_err *err);

/* One Rust module, `no_std`, edition 2021: views over &[u8] and &mut [u8], accessors, enums. */
int layout_export_rust(const struct layout *layout, struct strbuf *ret, struct plat_err *err);

/* Kaitai Struct (.ksy): structures and where they lie; what it has no words for stands in comments. */
/* PLAT_ELIMIT: an expression has no end there. */
int layout_export_kaitai(const struct layout *layout, struct strbuf *ret, struct plat_err *err);

/* Reference of the format for people. */
int layout_export_markdown(const struct layout *layout, struct strbuf *ret, struct plat_err *err);
/* plat-<layout>(5), mdoc. */
int layout_export_man(const struct layout *layout, struct strbuf *ret, struct plat_err *err);

/* C program that compares the generated C with the run-time engine on random bytes (tests/unit/test_agree.c drives
 * it). */
int layout_export_agree(const struct layout *layout, struct strbuf *ret, struct plat_err *err);

#endif
