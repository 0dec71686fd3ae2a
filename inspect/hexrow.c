#include "inspect/hexrow.h"

#include <inttypes.h>
#include <string.h>

#include "inspect/render.h"

enum { HEX_WIDEST = 16 };

void hexrow_init(struct hexrow *hex, const struct cli *cli, struct strbuf *out, uint64_t image_bytes,
                 bool all)
{
    unsigned digits = 8;
    while (digits < 16 && image_bytes >> (4 * digits) != 0)
        digits++;
    *hex = (struct hexrow){
        .cli = cli,
        .out = out,
        .per_row = cli->columns >= HEX_WIDE_COLUMNS     ? HEX_WIDEST
                   : cli->columns >= HEX_NARROW_COLUMNS ? 8
                                                        : 4,
        .offset_digits = digits,
        .all = all,
    };
}

/* Zeros are dim, text is coloured as text: structure shows at a glance. */
static enum paint byte_paint(uint8_t byte)
{
    return byte == 0 ? PAINT_DIM : byte >= 0x20 && byte < 0x7f ? PAINT_VALUE : PAINT_PLAIN;
}

static void put_byte(const struct hexrow *hex, uint8_t byte, enum paint *at)
{
    enum paint wanted = byte_paint(byte);
    if (wanted != *at) {
        strbuf_puts(hex->out, paint(hex->cli, PAINT_PLAIN));
        if (wanted != PAINT_PLAIN)
            strbuf_puts(hex->out, paint(hex->cli, wanted));
        *at = wanted;
    }
}

static void end_paint(const struct hexrow *hex, enum paint *at)
{
    if (*at != PAINT_PLAIN)
        strbuf_puts(hex->out, paint(hex->cli, PAINT_PLAIN));
    *at = PAINT_PLAIN;
}

static void put_note(const struct hexrow *hex, const char *note)
{
    size_t room = SIZE_MAX;
    size_t n = 0;
    /* offset, two blanks, "xx " each, a blank, characters, two blanks */
    size_t used = hex->offset_digits + 2 + 4 * (size_t)hex->per_row + 3;
    if (hex->cli->out_tty)
        room = (size_t)hex->cli->columns > used ? (size_t)hex->cli->columns - used : 0;
    for (size_t width = 0; note[n] != '\0'; n++) {
        bool starts = ((unsigned char)note[n] & 0xc0) != 0x80;
        if (starts && width++ == room)
            break;
    }
    if (n > 0) {
        strbuf_puts(hex->out, "  ");
        strbuf_add(hex->out, note, n);
    }
}

static void put_row(const struct hexrow *hex, uint64_t offset, const uint8_t *bytes, size_t n,
                    const char *note)
{
    struct strbuf *out = hex->out;
    enum paint at = PAINT_PLAIN;
    strbuf_printf(out, "%s%0*" PRIx64 "%s ", paint(hex->cli, PAINT_NAME), (int)hex->offset_digits, offset,
                  paint(hex->cli, PAINT_PLAIN));
    for (size_t i = 0; i < n; i++) {
        strbuf_putc(out, ' ');
        put_byte(hex, bytes[i], &at);
        strbuf_printf(out, "%02x", bytes[i]);
    }
    end_paint(hex, &at);
    for (size_t i = n; i < hex->per_row; i++)
        strbuf_puts(out, "   ");
    strbuf_puts(out, "  ");
    for (size_t i = 0; i < n; i++) {
        put_byte(hex, bytes[i], &at);
        strbuf_putc(out, bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.');
    }
    end_paint(hex, &at);
    if (note[0] != '\0') {
        for (size_t i = n; i < hex->per_row; i++)
            strbuf_putc(out, ' ');
        put_note(hex, note);
    }
    strbuf_putc(out, '\n');
}

void hexrow_bytes(const struct hexrow *hex, uint64_t offset, const uint8_t *bytes, size_t n, const char *note)
{
    bool starred = false;
    for (size_t at = 0; at < n; at += hex->per_row) {
        size_t row = n - at < hex->per_row ? n - at : hex->per_row;
        bool repeats = at > 0 && row == hex->per_row && at + row < n &&
                       memcmp(bytes + at, bytes + at - hex->per_row, row) == 0;
        if (repeats && !hex->all) {
            if (!starred)
                strbuf_puts(hex->out, "*\n");
            starred = true;
            continue;
        }
        starred = false;
        put_row(hex, offset + at, bytes + at, row, at == 0 ? note : "");
    }
}

void hexrow_heading(const struct hexrow *hex, uint64_t offset, const char *text)
{
    strbuf_printf(hex->out, "%s%0*" PRIx64 "%s  %s", paint(hex->cli, PAINT_NAME), (int)hex->offset_digits,
                  offset, paint(hex->cli, PAINT_PLAIN), paint(hex->cli, PAINT_STRONG));
    strbuf_visible(hex->out, text, strlen(text));
    strbuf_printf(hex->out, "%s\n", paint(hex->cli, PAINT_PLAIN));
}
