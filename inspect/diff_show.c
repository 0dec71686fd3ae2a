/* What plat diff prints. */
#include <inttypes.h>
#include <string.h>

#include "inspect/diff.h"
#include "inspect/render.h"

enum { FLUSH_BYTES = 1 << 16 };

static const char *const part_names[DIFF_PARTS] = {"image", "structure", "file", "bytes"};
static const char *const kind_names[DIFF_KINDS] = {"changed", "added", "removed", "moved"};

static void show_json(struct diff *diff, const struct difference *difference)
{
    static const char sides[DIFF_SIDES] = {'a', 'b'};
    struct strbuf *out = &diff->out;
    strbuf_printf(out, "%s\n  {\"part\": \"%s\", \"kind\": \"%s\", \"path\": ", diff->any ? "," : "",
                  part_names[difference->part], kind_names[difference->kind]);
    diff->any = true;
    strbuf_json(out, difference->path, strlen(difference->path));
    if (difference->path_b != NULL) {
        strbuf_puts(out, ", \"path_b\": ");
        strbuf_json(out, difference->path_b, strlen(difference->path_b));
    }
    for (int side = 0; side < DIFF_SIDES; side++) {
        if (difference->value[side] == NULL)
            continue;
        strbuf_printf(out, ", \"%c\": {\"value\": ", sides[side]);
        strbuf_json(out, difference->value[side], strlen(difference->value[side]));
        if (difference->bytes[side] != NULL)
            strbuf_printf(out, ", \"offset\": %" PRIu64 ", \"bytes\": %" PRIu64,
                          difference->bytes[side]->start, difference->bytes[side]->bytes);
        if (difference->place[side] != NULL) {
            strbuf_puts(out, ", \"place\": ");
            strbuf_json(out, difference->place[side], strlen(difference->place[side]));
        }
        strbuf_putc(out, '}');
    }
    strbuf_putc(out, '}');
}

static void put_visible(struct strbuf *out, const char *text)
{
    strbuf_visible(out, text, strlen(text));
}

static void show_heading(struct diff *diff, enum diff_part part)
{
    static const char *const headings[DIFF_PARTS] = {"IMAGE", "STRUCTURES", "FILES", "OTHER BYTES"};
    if (diff->any && diff->heading == part)
        return;
    strbuf_printf(&diff->out, "%s%s%s%s\n", diff->any ? "\n" : "", paint(diff->cli, PAINT_DIM),
                  headings[part], paint(diff->cli, PAINT_PLAIN));
    diff->heading = part;
    diff->any = true;
}

static void show_text(struct diff *diff, const struct difference *difference)
{
    static const char marks[DIFF_KINDS] = {' ', '+', '-', ' '};
    struct strbuf *out = &diff->out;
    const char *a = difference->value[DIFF_A], *b = difference->value[DIFF_B];
    show_heading(diff, difference->part);
    strbuf_printf(out, "%c %s", marks[difference->kind], paint(diff->cli, PAINT_STRONG));
    put_visible(out, difference->path);
    strbuf_printf(out, "%s", paint(diff->cli, PAINT_PLAIN));
    if (difference->kind == DIFF_MOVED)
        strbuf_puts(out, " moved to ");
    else if (difference->path_b != NULL)
        strbuf_puts(out, ", in the other image ");
    if (difference->path_b != NULL)
        put_visible(out, difference->path_b);
    strbuf_puts(out, ": ");
    if (a != NULL)
        put_visible(out, a);
    if (difference->kind == DIFF_CHANGED && a != NULL && b != NULL) {
        strbuf_puts(out, " against ");
        put_visible(out, b);
    } else if (a == NULL && b != NULL) {
        put_visible(out, b);
    }
    const char *x = difference->place[DIFF_A], *y = difference->place[DIFF_B];
    if (x != NULL || y != NULL) {
        strbuf_printf(out, "  %sat %s", paint(diff->cli, PAINT_DIM), x != NULL ? x : y);
        if (x != NULL && y != NULL && strcmp(x, y) != 0)
            strbuf_printf(out, " and %s", y);
        strbuf_puts(out, paint(diff->cli, PAINT_PLAIN));
    }
    strbuf_putc(out, '\n');
}

int diff_report(struct diff *diff, const struct difference *difference)
{
    /* What differs in all of an image is nobody's choice; what moved is wanted when either path is. */
    if (difference->part != DIFF_IMAGE && !picture_wanted(&diff->filter, difference->path) &&
        !(difference->path_b != NULL && difference->kind == DIFF_MOVED &&
          picture_wanted(&diff->filter, difference->path_b))) {
        diff->ignored++;
        return 0;
    }
    diff->counts[difference->part][difference->kind]++;
    if (diff->folds != NULL && diff->heading != difference->part)
        diff_folds_end(diff);
    if (diff_folds(diff, difference)) {
        diff->folded++;
        return 0;
    }
    if (diff->shown == diff->max)
        return 0;
    diff->shown++;
    if (diff->json)
        show_json(diff, difference);
    else
        show_text(diff, difference);
    return diff->out.len < FLUSH_BYTES && !diff->out.failed ? 0 : render_flush(&diff->out);
}

int diff_report_in(struct diff *diff, size_t layer, const struct difference *difference)
{
    if (layer != SIZE_MAX)
        diff->seen[layer]++;
    return diff_report(diff, difference);
}

uint64_t diff_total(const struct diff *diff)
{
    uint64_t total = 0;
    for (int part = 0; part < DIFF_PARTS; part++)
        for (int kind = 0; kind < DIFF_KINDS; kind++)
            total += diff->counts[part][kind];
    return total;
}

void diff_begin(struct diff *diff)
{
    if (!diff->json)
        return;
    strbuf_puts(&diff->out, "{\"a\": ");
    strbuf_json(&diff->out, diff->images[DIFF_A].name, strlen(diff->images[DIFF_A].name));
    strbuf_puts(&diff->out, ", \"b\": ");
    strbuf_json(&diff->out, diff->images[DIFF_B].name, strlen(diff->images[DIFF_B].name));
    strbuf_puts(&diff->out, ",\n \"differences\": [");
}

static void end_json(struct diff *diff, bool equal)
{
    strbuf_printf(&diff->out, "],\n \"equal\": %s, \"bytes_equal\": %s",
                  diff_total(diff) == 0 ? "true" : "false", equal ? "true" : "false");
    for (int part = 0; part < DIFF_PARTS; part++) {
        strbuf_printf(&diff->out, ",\n \"%s\": {", part_names[part]);
        for (int kind = 0; kind < DIFF_KINDS; kind++)
            strbuf_printf(&diff->out, "%s\"%s\": %" PRIu64, kind == 0 ? "" : ", ", kind_names[kind],
                          diff->counts[part][kind]);
        strbuf_putc(&diff->out, '}');
    }
    strbuf_printf(&diff->out,
                  ",\n \"elsewhere\": %" PRIu64 ", \"ignored\": %" PRIu64 ", \"left_off\": %" PRIu64 "}\n",
                  diff->elsewhere, diff->ignored, diff_total(diff) - diff->shown);
}

static void end_text(struct diff *diff, bool equal)
{
    struct strbuf *out = &diff->out;
    const uint64_t total = diff_total(diff), left_off = total - diff->shown - diff->folded;
    diff_folds_end(diff);
    if (left_off > 0) {
        render_plural(out, left_off, "more difference");
        strbuf_puts(out, " (--max)\n");
    }
    strbuf_puts(out, diff->any ? "\n" : "");
    put_visible(out, diff->images[DIFF_A].name);
    strbuf_puts(out, " and ");
    put_visible(out, diff->images[DIFF_B].name);
    strbuf_puts(out, ": ");
    if (equal) {
        strbuf_puts(out, "the same bytes");
    } else if (total == 0) {
        strbuf_puts(out, diff->filter.n_only + diff->filter.n_ignore > 0 ? "no difference but what is ignored"
                                                                         : "no difference in this layer");
    } else {
        render_plural(out, total, "difference");
        static const char *const words[DIFF_PARTS] = {"the images", "structures", "files", "other bytes"};
        const char *before = " (";
        for (int part = 0; part < DIFF_PARTS; part++) {
            uint64_t n = 0;
            for (int kind = 0; kind < DIFF_KINDS; kind++)
                n += diff->counts[part][kind];
            if (n == 0)
                continue;
            strbuf_puts(out, before);
            render_count(out, n);
            strbuf_printf(out, " in %s", words[part]);
            before = ", ";
        }
        strbuf_putc(out, ')');
    }
    if (diff->elsewhere > 0) {
        strbuf_puts(out, "; ");
        render_plural(out, diff->elsewhere, "structure");
        strbuf_puts(out, diff->elsewhere == 1 ? " lies elsewhere" : " lie elsewhere");
    }
    if (diff->ignored > 0) {
        strbuf_puts(out, "; ignored: ");
        render_count(out, diff->ignored);
    }
    strbuf_putc(out, '\n');
}

int diff_end(struct diff *diff, bool equal, struct plat_err *err)
{
    if (diff->json)
        end_json(diff, equal);
    else
        end_text(diff, equal);
    const int rc = render_flush(&diff->out);
    return rc == PLAT_ENOMEM ? err_nomem(err, "showing differences") : rc;
}
