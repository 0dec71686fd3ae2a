#include "boot/strip.h"

#include <string.h>

/* ---- escape sequences (ECMA-48) ---- */

enum strip_state {
    GROUND,
    ESCAPE,       /* ESC */
    INTERMEDIATE, /* ESC ( */
    CONTROL,      /* ESC [ */
    STRING,       /* ESC ] ... until BEL or ESC \ */
    STRING_ESCAPE
};
enum { BEL = 7, CAN = 0x18, SUB = 0x1A, ESC = 0x1B, DEL = 0x7F };

static unsigned ground_byte(struct strip *strip, uint8_t byte, char ret[STRIP_OUT_MAX])
{
    unsigned n = 0;
    if (byte == '\r') {
        /* A CR that another CR follows is one line end, as in CR CR LF. */
        strip->after_cr = true;
        return 0;
    }
    if (byte == '\n') {
        strip->after_cr = false;
        ret[0] = '\n';
        return 1;
    }
    if ((byte < ' ' && byte != '\t') || byte == DEL)
        return 0;
    if (strip->after_cr)
        ret[n++] = '\n';
    strip->after_cr = false;
    ret[n++] = (char)byte;
    return n;
}

/* The byte that follows ESC. */
static void escape_byte(struct strip *strip, uint8_t byte)
{
    strip->n = 0;
    if (byte == '[')
        strip->state = CONTROL;
    else if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_')
        strip->state = STRING;
    else
        strip->state = byte >= ' ' && byte < '0' ? INTERMEDIATE : GROUND;
}

unsigned strip_byte(struct strip *strip, uint8_t byte, char ret[STRIP_OUT_MAX])
{
    if (strip->state == GROUND && byte != ESC)
        return ground_byte(strip, byte, ret);
    if (strip->state == STRING_ESCAPE && byte == '\\') {
        strip->state = GROUND;
        return 0;
    }
    if (byte == ESC) {
        strip->state = strip->state == STRING ? STRING_ESCAPE : ESCAPE;
        return 0;
    }
    if (byte == CAN || byte == SUB || (byte == BEL && strip->state == STRING)) {
        strip->state = GROUND;
        return 0;
    }
    /* No sequence spans a line end or grows for ever: such a one was cut short by other output. */
    unsigned limit = strip->state == STRING ? STRIP_STRING_MAX : STRIP_SEQUENCE_MAX;
    if (byte < ' ' || strip->n++ >= limit) {
        strip->state = GROUND;
        return ground_byte(strip, byte, ret);
    }
    switch (strip->state) {
    case ESCAPE:
    case STRING_ESCAPE:
        escape_byte(strip, byte);
        return 0;
    case INTERMEDIATE:
        if (byte >= '0')
            strip->state = GROUND;
        return 0;
    case CONTROL:
        /* No sequence ends in '[': a kernel message has cut this one short. */
        if (byte == '[' || byte >= DEL) {
            strip->state = GROUND;
            return ground_byte(strip, byte, ret);
        }
        if (byte >= '@')
            strip->state = GROUND;
        return 0;
    default:
        return 0;
    }
}

/* ---- kernel messages ---- */

enum stamp_state { TEXT, PADDING, SECONDS, FRACTION, CLOSED, MESSAGE };
enum { PADDING_MAX = 12, SECONDS_DIGITS_MAX = 12, FRACTION_DIGITS = 6 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Moves on when `c` continues a time stamp; false: it was none after all. */
static bool stamp_continues(struct stamp *stamp, char c)
{
    switch (stamp->state) {
    case PADDING:
        if (c == ' ')
            return stamp->spaces++ < PADDING_MAX;
        stamp->state = SECONDS;
        stamp->digits = 1;
        return is_digit(c);
    case SECONDS:
        if (is_digit(c))
            return stamp->digits++ < SECONDS_DIGITS_MAX;
        stamp->state = FRACTION;
        stamp->digits = 0;
        return c == '.';
    case FRACTION:
        if (is_digit(c))
            return stamp->digits++ < FRACTION_DIGITS;
        stamp->state = CLOSED;
        return c == ']' && stamp->digits == FRACTION_DIGITS;
    default: /* CLOSED: "] " or, with the caller's number, "][" */
        if (c != ' ' && c != '[')
            return false;
        stamp->state = MESSAGE;
        return true;
    }
}

unsigned stamp_char(struct stamp *stamp, char c, char ret[STAMP_HELD_MAX + 1])
{
    if (stamp->state == MESSAGE) {
        if (c == '\n')
            stamp->state = TEXT;
        return 0;
    }
    unsigned n = 0;
    if (stamp->state != TEXT) {
        if (stamp_continues(stamp, c)) {
            stamp->held[stamp->n_held++] = c;
            if (stamp->state == MESSAGE)
                stamp->n_held = 0;
            return 0;
        }
        n = stamp_end(stamp, ret);
    }
    if (c == '[') {
        *stamp = (struct stamp){.state = PADDING, .held = {c}, .n_held = 1};
        return n;
    }
    ret[n++] = c;
    return n;
}

unsigned stamp_end(struct stamp *stamp, char ret[STAMP_HELD_MAX + 1])
{
    unsigned n = stamp->n_held;
    memcpy(ret, stamp->held, n);
    stamp->n_held = 0;
    if (stamp->state != MESSAGE)
        stamp->state = TEXT;
    return n;
}
