/* Any text as an expression of the layout language: as the rule of a structure and as the place, count and
 * condition of a map entry, parsed, evaluated over bytes, printed as C. */
#include <stdlib.h>
#include <string.h>

#include "lib/layout/export.h"
#include "lib/layout/inst.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char before[] =
    "{\"layout\": \"toy\", \"title\": \"Toy\", \"endian\": \"little\", \"params\": {\"unit_bytes\": "
    "{\"default\": 16}}, "
    "\"types\": {\"head\": {\"kind\": \"struct\", \"size\": 16, \"fields\": [{\"name\": \"magic\", \"type\": "
    "\"char[4]\"}, "
    "{\"name\": \"n\", \"type\": \"u32\"}, {\"name\": \"pair\", \"type\": \"u8\", \"count\": 2}, {\"name\": "
    "\"s\", \"type\": \"s16be\"}, "
    "{\"name\": \"sum\", \"type\": \"u32\"}], \"rules\": [{\"id\": \"r\", \"must\": ";
static const char *const middles[] = {"}]}}, \"map\": [{\"name\": \"one\", \"type\": \"head\", \"at\": 0}, "
                                      "{\"name\": \"many\", \"type\": \"head\", \"at\": 16, \"count\": 3}]",
                                      ", \"say\": \"found {n} {pair[1]}\"}]}}, \"map\": [{\"name\": \"one\", "
                                      "\"type\": \"head\", \"at\": 0}, {\"name\": \"many\", \"type\": "
                                      "\"head\", \"at\": "};

static int on_finding(void *ctx, const struct finding *finding)
{
    (void)finding;
    return ++*(unsigned *)ctx > 200 ? PLAT_ESTOP : 0;
}
static int on_instance(void *ctx, const struct inst *inst)
{
    const struct finding_sink sink = {on_finding, ctx};
    struct plat_err err;
    return inst_check(inst, &sink, &err);
}

static void try_schema(const struct strbuf *json)
{
    static const uint8_t bytes[256] =
        "TOY1\3\0\0\0\1\2\377\376\5\6\7\10TOY2\377\377\377\377\1\2\200\0\5\6\7\10";
    struct layout *layout = NULL;
    struct plat_dev *dev = NULL;
    struct image *image = NULL;
    struct plat_err err = {0};
    unsigned count = 0;
    if (json->failed)
        return;
    if (layout_load(json->s, json->len, "fuzz", &layout, &err) != 0) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    struct strbuf text = {0};
    (void)layout_export_c(layout, EXPORT_FREESTANDING, &text, &err);
    strbuf_free(&text);
    if (dev_open_const(bytes, sizeof bytes, "fuzz.img", &dev, &err) == 0 &&
        image_open(layout, dev, NULL, 0, &image, &err) == 0) {
        const struct walk_sink sink = {
            .ctx = &count, .instance = on_instance, .findings = {on_finding, &count}};
        (void)image_walk_map(image, &sink, &err);
        (void)image_check_rules(image, &sink.findings, &err);
        image_close(image);
    }
    dev_close(dev);
    layout_free(layout);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct strbuf json = {0};
    strbuf_puts(&json, before);
    strbuf_json(&json, (const char *)data, n);
    strbuf_puts(&json, middles[0]);
    strbuf_puts(&json, ", \"rules\": [{\"id\": \"g\", \"each\": \"many\", \"must\": ");
    strbuf_json(&json, (const char *)data, n);
    strbuf_puts(&json, "}]}");
    try_schema(&json);
    strbuf_truncate(&json, 0);
    strbuf_puts(&json, before);
    strbuf_puts(&json, "\"n > 0\"");
    strbuf_puts(&json, middles[1]);
    strbuf_json(&json, (const char *)data, n);
    strbuf_puts(&json, ", \"count\": \"one.n\", \"when\": ");
    strbuf_json(&json, (const char *)data, n);
    strbuf_puts(&json, "}]}");
    try_schema(&json);
    strbuf_free(&json);
    return 0;
}
