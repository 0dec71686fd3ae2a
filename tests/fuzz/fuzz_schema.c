/* Any bytes as a schema, and behind a NUL, which no schema has, as the image; a schema that loads is laid over the
 * image (a small one where none is given), walked, shown, checked and exported. */
#include <stdlib.h>
#include <string.h>

#include "lib/layout/export.h"
#include "lib/layout/inst.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int on_finding(void *ctx, const struct finding *finding)
{
    (void)finding;
    return ++*(unsigned *)ctx > 1000 ? PLAT_ESTOP : 0;
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct finding_sink sink = {on_finding, ctx};
    struct plat_err err;
    unsigned *count = ctx;
    struct strbuf text = {0};
    const struct type *shape = inst_shape(inst);
    for (size_t i = 0; shape != NULL && i < shape->n_fields; i++) {
        struct value value;
        if (shape->fields[i].repr == REPR_TYPE || inst_value(inst, &shape->fields[i], 0, &value, &err) != 0)
            continue;
        value_text(&value, &text);
        value_json(&value, &text);
    }
    strbuf_free(&text);
    int rc = inst_check(inst, &sink, &err);
    return rc != 0 ? rc : ++*count > 1000 ? PLAT_ESTOP : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t small[4096] = "TOY1\2\0\0\0EFI PART\1\2\3\4\5\6\7\10";
    const uint8_t *bytes = memchr(data, 0, n);
    size_t n_bytes = bytes != NULL ? n - (size_t)(++bytes - data) : sizeof small;
    n = bytes != NULL ? n - n_bytes - 1 : n;
    bytes = bytes != NULL ? bytes : small;
    struct layout *layout;
    struct plat_dev *dev;
    struct image *image;
    struct plat_err err;
    unsigned count = 0;
    if (layout_load((const char *)data, n, "fuzz", &layout, &err) != 0)
        return 0;
    struct strbuf text = {0};
    (void)layout_export_c(layout, EXPORT_FREESTANDING, &text, &err);
    strbuf_free(&text);
    (void)layout_export_kaitai(layout, &text, &err);
    strbuf_free(&text);
    (void)layout_export_markdown(layout, &text, &err);
    strbuf_free(&text);
    if (dev_open_const(bytes, n_bytes, "fuzz.img", &dev, &err) == 0) {
        bool matches;
        (void)layout_matches(layout, dev, NULL, 0, &matches, &err);
        if (image_open(layout, dev, NULL, 0, &image, &err) == 0) {
            struct walk_sink sink = {
                .ctx = &count, .instance = on_instance, .findings = {on_finding, &count}};
            (void)image_walk_map(image, &sink, &err);
            count = 0;
            (void)image_check_rules(image, &sink.findings, &err);
            image_close(image);
        }
        dev_close(dev);
    }
    layout_free(layout);
    return 0;
}
