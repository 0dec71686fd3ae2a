/* A terminal's byte stream without what only a terminal understands. */
#ifndef PLAT_BOOT_STRIP_H
#define PLAT_BOOT_STRIP_H

#include <stdbool.h>
#include <stdint.h>

enum {
    STRIP_SEQUENCE_MAX =
        64, /* bytes of a control sequence; a longer one is taken for text that lost its way */
    STRIP_STRING_MAX = 4096 /* bytes of a title or other string */
};

struct strip {
    int state;  /* private */
    unsigned n; /* bytes of the sequence so far */
    bool after_cr;
};
enum { STRIP_OUT_MAX = 2 };

/* Feeds one byte; returns how many plain characters came out (0 to STRIP_OUT_MAX) and puts them into ret. */
unsigned strip_byte(struct strip *strip, uint8_t byte, char ret[STRIP_OUT_MAX]);

/* The kernel's messages in plain text: "[   12.345678] " to the end of the line.
 * A '[' is held until it is known whether a time stamp follows. */
enum { STAMP_HELD_MAX = 40 };
struct stamp {
    int state; /* private */
    unsigned spaces, digits;
    char held[STAMP_HELD_MAX];
    unsigned n_held;
};
/* Feeds one plain character. Returns how many characters are the guest's, in order, copied to ret. */
unsigned stamp_char(struct stamp *stamp, char c, char ret[STAMP_HELD_MAX + 1]);
/* What is still held, at the end of the stream. */
unsigned stamp_end(struct stamp *stamp, char ret[STAMP_HELD_MAX + 1]);

#endif
