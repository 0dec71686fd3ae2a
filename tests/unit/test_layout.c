/* The layout engine on a toy format: expressions, decoding, checking, sealing, dynamic structs, unions, hostile
 * schemas. Catches: wrong precedence or silent wrap in expressions, a check that never fires, a seal that does not
 * satisfy its own check, self-dependent shapes that recurse. */
#include <unistd.h>

#include "lib/layout/export.h"
#include "lib/layout/inst.h"
#include "tests/unit/tap.h"

static const char toy[] =
    "{'layout':'toy','endian':'little','params':{'unit_bytes':{'default':16,'choices':[16,32]}},"
    " 'identify':[{'at':0,'bytes':'TOY1'}],"
    " 'types':{"
    "  'head':{'kind':'struct','size':32,'fields':["
    "    {'name':'magic','type':'char[4]','const':'TOY1'},"
    "    {'name':'count','type':'u16be','valid':{'must':'self <= 4','say':'{self} items are too "
    "many','refused_by':['linux']}},"
    "    {'name':'color','type':'color'},{'name':'rest','type':'u8','reserved':true},"
    "    {'name':'sum','type':'u32','as':'hex','derive':'crc32(bytes(parent), zero: self)'},"
    "    {'name':'delta','type':'s16'},{'name':'when','type':'when'},{'name':'both','type':'u16both'},"
    "    {'name':'opts','type':'opts'},{'name':'double_count','type':'u16','derive':'count * 2'},"
    "    {'name':'label','type':'char[9]','pad':'space'}],"
    "    'rules':[{'id':'delta-small','must':'delta < 100','severity':'warning','say':'delta {delta} of "
    "{count}'}]},"
    "  'color':{'kind':'enum','base':'u8','values':[{'name':'red','value':1},{'name':'blue','value':2}]},"
    "  'when':{'kind':'bits','base':'u16','fields':[{'name':'day','width':5,'valid':'self >= 1'},"
    "          {'name':'month','width':4},{'name':'year','width':7}]},"
    "  "
    "'opts':{'kind':'flags','base':'u8','values':[{'name':'fast','bit':0},{'name':'level','bit':4,'width':3}]"
    "},"
    "  'item':{'kind':'struct','fields':[{'name':'kind','type':'u8'},{'name':'n','type':'u8'},"
    "          {'name':'name','type':'char[n]'},{'name':'tail','type':'u16'}]},"
    "  'tag':{'kind':'struct','size':2,'fields':[{'name':'kind','type':'u8'},{'name':'a','type':'u8'}]},"
    "  'small':{'kind':'struct','size':4,'fields':[{'name':'kind','type':'u8'},{'name':'b','type':'u24'}]},"
    "  "
    "'big':{'kind':'struct','size':4,'fields':[{'name':'kind','type':'u8'},{'name':'x','type':'u8'},{'name':'"
    "y','type':'u16be'}]},"
    "  'either':{'kind':'union','size':4,'head':'tag','cases':[{'name':'small','type':'small','when':'kind "
    "== 1'},"
    "            {'name':'big','type':'big'}]}},"
    " 'map':[{'name':'head','type':'head','at':0},"
    "        {'name':'items','type':'item','at':'unit_bytes * 2','count':'head.count','stride':'unit_bytes'},"
    "        {'name':'u','type':'either','at':96,'count':2},"
    "        {'name':'copy','mirror':'head','at':128,'when':'head.opts.fast == 1','severity':'warning'},"
    "        {'name':'rest','extent':'free','at':160,'bytes':'image.bytes - 160'}],"
    " 'rules':[{'id':'ordered','each':'items','when':'index > 0','must':'kind > items[index - "
    "1].kind','say':'item {index} is out of order'},"
    "          {'id':'has-room','must':'image.bytes >= 160'}]}";

static struct layout *load(const char *text)
{
    static char json[16384];
    struct layout *layout = NULL;
    struct plat_err err;
    (void)snprintf(json, sizeof json, "%s", text);
    for (char *s = json; *s != '\0'; s++)
        if (*s == '\'')
            *s = '"';
    if (layout_load(json, strlen(json), "toy.json", &layout, &err) != 0)
        printf("# %s: %s\n", err.path, err.text);
    return layout;
}

struct list {
    char text[4096];
    int n;
};

static int collect(void *ctx, const struct finding *f)
{
    struct list *list = ctx;
    size_t used = strlen(list->text);
    list->n++;
    (void)snprintf(list->text + used, sizeof list->text - used, "%s:%s;", f->path, f->id);
    return 0;
}

static void fill(struct plat_dev *dev, struct image **image, struct layout *layout)
{
    struct plat_err err;
    struct inst head;
    uint8_t bytes[32];
    static const uint8_t items[32] = {1, 3, 'a', 'b', 'c', 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 7};
    static const uint8_t unions[8] = {1, 0x11, 0x22, 0x33, 9, 5, 0x12, 0x34};
    inst_init(layout_type(layout, "head"), bytes, sizeof bytes, &err);
    dev_write(dev, 0, bytes, sizeof bytes, &err);
    image_open(layout, dev, NULL, 0, image, &err);
    image_map_inst(*image, layout_map(layout, "head"), 0, &head, &err);
    uint8_t *p = dev_memory_bytes(dev);
    memcpy(bytes, head.bytes, sizeof bytes);
    head.bytes = bytes;
    const struct type *t = head.type;
    inst_set(&head, type_field(t, "count"), 0, "2", bytes, &err);
    inst_set(&head, type_field(t, "color"), 0, "blue", bytes, &err);
    inst_set(&head, type_field(t, "delta"), 0, "-5", bytes, &err);
    inst_set(&head, type_field(t, "when"), 0, "0x5a21", bytes, &err);
    inst_set(&head, type_field(t, "both"), 0, "0x1234", bytes, &err);
    inst_set(&head, type_field(t, "opts"), 0, "0x31", bytes, &err);
    inst_set(&head, type_field(t, "label"), 0, "disk", bytes, &err);
    ok(inst_seal(&head, bytes, &err) == 0, "seal succeeds");
    memcpy(p, bytes, sizeof bytes);
    memcpy(p + 128, bytes, sizeof bytes);
    memcpy(p + 32, items, sizeof items);
    memcpy(p + 96, unions, sizeof unions);
    image_invalidate(*image);
}

static const char *text_of(const struct inst *inst, const char *name)
{
    static struct strbuf sb;
    static struct plat_err err;
    struct value v;
    strbuf_truncate(&sb, 0);
    if (inst_value(inst, type_field(inst_shape(inst), name), 0, &v, &err) != 0)
        return err.text;
    value_text(&v, &sb);
    return strbuf_str(&sb);
}

static void test_decode(struct image *image, struct layout *layout)
{
    struct inst inst;
    struct plat_err err;
    ok(image_map_inst(image, layout_map(layout, "head"), 0, &inst, &err) == 0, "head decodes");
    ok_text(text_of(&inst, "magic"), "'TOY1'", "constant written by init");
    ok_text(text_of(&inst, "count"), "2", "big-endian field");
    ok_text(text_of(&inst, "color"), "blue (0x2)", "enum");
    ok_text(text_of(&inst, "delta"), "-5", "signed field");
    ok_text(text_of(&inst, "when"), "0x5a21 (day=1 month=1 year=45)", "bit fields");
    ok_text(text_of(&inst, "opts"), "0x31 (fast|level=3)", "flags");
    ok_text(text_of(&inst, "double_count"), "4", "derived by seal");
    ok_text(text_of(&inst, "label"), "'disk'", "space padding");
    ok(image_map_inst(image, layout_map(layout, "items"), 0, &inst, &err) == 0 && inst.size_bytes == 7,
       "dynamic struct finds its size");
    ok_text(text_of(&inst, "name"), "'abc'", "text of dynamic length");
    ok_text(text_of(&inst, "tail"), "4660", "field behind a dynamic one");
    ok(image_map_inst(image, layout_map(layout, "u"), 0, &inst, &err) == 0, "union decodes");
    ok_text(inst_shape(&inst)->name, "small", "union case by tag");
    ok(image_map_inst(image, layout_map(layout, "u"), 1, &inst, &err) == 0, "second union decodes");
    ok_text(text_of(&inst, "y"), "4660", "field of the default case");
    ok(image_map_inst(image, layout_map(layout, "items"), 2, &inst, &err) == PLAT_ENOTFOUND,
       "index past the end");
}

static void check_all(struct image *image, struct layout *layout, struct list *list)
{
    struct plat_err err;
    struct inst inst;
    struct finding_sink sink = {collect, list};
    *list = (struct list){0};
    image_invalidate(image);
    if (image_map_inst(image, layout_map(layout, "head"), 0, &inst, &err) == 0)
        inst_check(&inst, &sink, &err);
    image_check_rules(image, &sink, &err);
}

static void test_check(struct plat_dev *dev, struct image *image, struct layout *layout)
{
    static const struct {
        unsigned at;
        uint8_t xor ;
        const char *want; /* a part of the list of findings */
    } cases[] = {
        {0, 0x20, "head.magic:const;"},     {5, 0x08, "head.count:valid;"},
        {6, 0x04, "head.color:enum;"},      {7, 0x01, "head.rest:reserved;"},
        {9, 0x01, "head.sum:derive;"},      {13, 0x80, "head.sum:derive;"},
        {14, 0x01, "head.when.day:valid;"}, {16, 0x01, "head.both:both;"},
        {20, 0x80, "head.opts:flags;"},     {21, 0x01, "head.double_count:derive;"},
        {130, 0x01, "copy.magic:mirror;"},  {32, 0x02, "items[1]:ordered;"},
    };
    struct list list = {0};
    check_all(image, layout, &list);
    ok(list.n == 0, "sound image has no findings (%s)", list.text);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dev_memory_bytes(dev)[cases[i].at] ^= cases[i].xor ;
        check_all(image, layout, &list);
        ok(strstr(list.text, cases[i].want) != NULL, "byte %u changed: %s in %s", cases[i].at, cases[i].want,
           list.text);
        dev_memory_bytes(dev)[cases[i].at] ^= cases[i].xor ;
    }
    /* Every byte of the head is covered by its sum. */
    int missed = 0;
    for (unsigned at = 0; at < 32; at++) {
        dev_memory_bytes(dev)[at] ^= 0x40;
        check_all(image, layout, &list);
        missed += strstr(list.text, "head") == NULL;
        dev_memory_bytes(dev)[at] ^= 0x40;
    }
    ok(missed == 0, "each flipped byte of the head is found (%d missed)", missed);
}

/* What is decompressed has a place in a stream and a block in the image; its bytes are those in memory. */
static int collect_place(void *ctx, const struct finding *f)
{
    struct list *list = ctx;
    size_t used = strlen(list->text);
    (void)snprintf(list->text + used, sizeof list->text - used, "%s:%s %s+%llu in %llu, %llu;", f->path,
                   f->id, f->stream != NULL ? f->stream : "-", (unsigned long long)f->position,
                   (unsigned long long)f->offset, (unsigned long long)f->bytes);
    return 0;
}
static void test_stream(struct image *image, struct layout *layout)
{
    const struct type *type = layout_type(layout, "head");
    uint8_t bytes[40] = {0};
    struct inst inst;
    struct list list = {.n = 0};
    const struct finding_sink sink = {collect_place, &list};
    struct plat_err err = {0};
    ok(inst_init(type, bytes, 32, &err) == 0 &&
           inst_make(image, type, bytes, 32, 1000, "head", &inst, &err) == 0,
       "an instance of 32 bytes");
    inst.source = (struct inst_source){"names", {64, 20}};
    bytes[6] = 1;  /* color: red */
    bytes[14] = 1; /* day 1 */
    ok(inst_seal(&inst, bytes, &err) == 0 && inst_check(&inst, &sink, &err) == 0,
       "sealed and checked in memory (%s)", err.text);
    ok_text(list.text, "", "its checksum is that of its own bytes, wherever the device ends");
    bytes[8] ^= 1; /* sum */
    (void)inst_check(&inst, &sink, &err);
    ok_text(list.text, "head.sum:derive names+1008 in 64, 20;",
            "a finding has the block, and the position in the stream");
}

static void test_expressions(void)
{
    static const struct {
        const char *text;
        int rc;
        long long value;
    } cases[] = {
        {"1 + 2 * 3", 0, 7},
        {"(1 + 2) * 3", 0, 9},
        {"10 - 3 - 2", 0, 5},
        {"1 << 3 + 1", 0, 16},
        {"0xff & 0x0f == 0x0f", 0, 1},
        {"1 | 2 ^ 3 & 1", 0, 3},
        {"1 ? 2 : 0 ? 3 : 4", 0, 2},
        {"0 && 1 / 0", 0, 0},
        {"1 || 1 / 0", 0, 1},
        {"-5 / 2", 0, -2},
        {"!0 + !7", 0, 1},
        {"~0 == 0xffffffffffffffff", 0, 1},
        {"18446744073709551615 + 1", PLAT_ECORRUPT, 0},
        {"0 - 9223372036854775808 - 1", PLAT_ECORRUPT, 0},
        {"4294967296 * 4294967296", PLAT_ECORRUPT, 0},
        {"1 / 0", PLAT_ECORRUPT, 0},
        {"1 % 0", PLAT_ECORRUPT, 0},
        {"1 << 64", PLAT_ECORRUPT, 0},
        {"3 << 63", PLAT_ECORRUPT, 0},
        {"-1 & 1", PLAT_ECORRUPT, 0},
        {"min(3, 4) + max(3, 4)", 0, 7},
        {"align_up(513, 512)", 0, 1024},
        {"align_down(513, 512)", 0, 512},
        {"is_pow2(64) + is_pow2(0) + is_pow2(3)", 0, 1},
        {"log2(4096)", 0, 12},
        {"align_up(1, 0)", PLAT_ECORRUPT, 0},
        {"len('abc')", 0, 3},
        {"'a' == 'a'", 0, 1},
        {"'a' == \\\"b\\\"", 0, 0},
        {"crc32('123456789')", 0, 0xcbf43926},
        {"crc32c('123456789')", 0, 0xe3069283},
        {"uint_be('\\u0001\\u0002')", 0, 258},
        {"bytes_at(image.bytes, 1) == 'x'", PLAT_ECORRUPT, 0},
        {"all_zero(bytes_at(0, 16))", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[1024];
        struct layout *layout = NULL;
        struct image *image = NULL;
        struct plat_dev *dev = NULL;
        struct plat_err err = {0};
        struct map_place place = {0};
        /* -5 / 2 and the like are negative: shift them so that a map offset can hold them. */
        (void)snprintf(
            json, sizeof json,
            "{\"layout\":\"e\",\"endian\":\"little\",\"types\":{\"t\":{\"kind\":\"struct\",\"fields\":[{"
            "\"name\":"
            "\"a\",\"type\":\"u8\"}]}},\"map\":[{\"name\":\"m\",\"type\":\"t\",\"at\":\"100 + (%s)\"}]}",
            cases[i].text);
        bool good = layout_load(json, strlen(json), "e", &layout, &err) == 0 &&
                    dev_open_memory(64, "m", &dev, &err) == 0 &&
                    image_open(layout, dev, NULL, 0, &image, &err) == 0;
        int rc = good ? image_map_place(image, layout_map(layout, "m"), &place, &err) : 1;
        ok(rc == cases[i].rc && (rc != 0 || place.offset == (uint64_t)(100 + cases[i].value)),
           "%s (rc %d, %lld) %s", cases[i].text, rc, (long long)place.offset - 100, rc != 0 ? err.text : "");
        image_close(image);
        layout_free(layout);
        dev_close(dev);
    }
}

static void test_hostile(void)
{
    static const char *const schemas[] = {
        /* a place that depends on itself, directly and in a circle */
        "{'layout':'x','endian':'little','types':{'t':{'kind':'struct','fields':[{'name':'a','type':'u8'}]}},"
        "'map':[{'name':'m','type':'t','at':'m.a'}]}",
        "{'layout':'x','endian':'little','types':{'t':{'kind':'struct','fields':[{'name':'a','type':'u8'}]}},"
        "'map':[{'name':'m','type':'t','at':'n.a'},{'name':'n','type':'t','at':'m.a'}]}",
        /* a length that depends on the structure it is part of */
        "{'layout':'x','endian':'little','types':{'t':{'kind':'struct','fields':[{'name':'a','type':'u8'},"
        "{'name':'b','type':'bytes[m.a]'}]}},'map':[{'name':'m','type':'t','at':0}]}",
        /* elements without an extent */
        "{'layout':'x','endian':'little','types':{'t':{'kind':'struct','fields':[{'name':'b','type':'bytes["
        "image.bytes - 64]'}]}},"
        "'map':[{'name':'m','type':'t','at':0,'count':1000000000000,'stride':0}]}",
        "{'layout':'x','endian':'little','types':{'t':{'kind':'struct','fields':[{'name':'b','type':'bytes["
        "image.bytes * "
        "100000000000]'}]}},'map':[{'name':'m','type':'t','at':0}]}",
    };
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        struct layout *layout = load(schemas[i]);
        struct plat_dev *dev = NULL;
        struct image *image = NULL;
        struct plat_err err = {0};
        struct inst inst;
        int rc = 0;
        if (layout != NULL && dev_open_memory(64, "m", &dev, &err) == 0 &&
            image_open(layout, dev, NULL, 0, &image, &err) == 0)
            rc = image_map_inst(image, layout_map(layout, "m"), 0, &inst, &err);
        ok(layout != NULL && rc < 0 && err.text[0] != '\0', "hostile schema %zu ends in an error: %s", i,
           err.text);
        struct list list = {0};
        struct walk_sink sink = {.findings = {collect, &list}};
        ok(image != NULL && image_walk_map(image, &sink, &err) == 0 && list.n > 0, "its walk reports it");
        image_close(image);
        layout_free(layout);
        dev_close(dev);
    }
}

/* Every operator that nests, as deep as the language allows: the work and the generated code grow with the length of
 * the text. Twice on each level would be 2^60 steps. */
static void test_nested(void)
{
    static const struct {
        const char *before, *after;
    } shapes[] = {{"", " == 1"},
                  {"1 == ", ""},
                  {"", " != 0"},
                  {"0 < ", ""},
                  {"", " || 0"},
                  {"", " && 1"},
                  {"", " ? 1 : 0"},
                  {"1 ? ", " : 0"},
                  {"min(1, ", ")"},
                  {"max(", ", 0)"},
                  {"align_up(", ", 1)"},
                  {"align_down(", ", 1)"},
                  {"is_pow2(", ")"},
                  {"", " + 0"},
                  {"!!", ""},
                  {"~~", ""},
                  {"", " << 0"},
                  {"", " % 7"},
                  {"len(bytes_at(0, ", "))"}};
    static char text[1024], json[2 * 1024];
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct layout *layout = NULL;
        struct image *image = NULL;
        struct plat_dev *dev = NULL;
        struct plat_err err = {0};
        struct inst inst;
        struct list list = {0};
        const struct finding_sink sink = {collect, &list};
        struct strbuf code = {0};
        unsigned deep = 60;
        do { /* the deepest that is allowed */
            size_t n = 0;
            for (unsigned k = 0; k < deep; k++)
                n += (size_t)snprintf(text + n, sizeof text - n, "(%s", shapes[i].before);
            n += (size_t)snprintf(text + n, sizeof text - n, "a");
            for (unsigned k = 0; k < deep && n < sizeof text; k++)
                n += (size_t)snprintf(text + n, sizeof text - n, "%s)", shapes[i].after);
            (void)snprintf(
                json, sizeof json,
                "{\"layout\":\"e\",\"endian\":\"little\",\"types\":{\"t\":{\"kind\":\"struct\","
                "\"fields\":[{\"name\":\"a\",\"type\":\"u8\"}],\"rules\":[{\"id\":\"r\",\"must\":\"%s\"}]}},"
                "\"map\":[{\"name\":\"m\",\"type\":\"t\",\"at\":0}]}",
                text);
        } while (layout_load(json, strlen(json), "e", &layout, &err) != 0 && --deep > 20);
        (void)alarm(20);
        if (layout != NULL && dev_open_memory(64, "m", &dev, &err) == 0) {
            dev_memory_bytes(dev)[0] = 1;
            (void)image_open(layout, dev, NULL, 0, &image, &err);
        }
        int rc = image != NULL ? image_map_inst(image, layout_map(layout, "m"), 0, &inst, &err) : 1;
        if (rc == 0)
            rc = inst_check(&inst, &sink, &err);
        ok(rc == 0 && list.n == 0, "%u times (%sx%s): evaluated", deep, shapes[i].before, shapes[i].after);
        rc = layout != NULL ? layout_export_c(layout, EXPORT_FREESTANDING, &code, &err) : 1;
        ok(rc == 0 && code.len < 100000, "as C it takes %zu bytes", code.len);
        (void)alarm(0);
        strbuf_free(&code);
        image_close(image);
        layout_free(layout);
        dev_close(dev);
    }
}

int main(void)
{
    struct plat_err err;
    struct plat_dev *dev;
    struct image *image;
    struct layout *layout = load(toy);
    if (!ok(layout != NULL, "toy schema loads") || dev_open_memory(256, "toy.img", &dev, &err) != 0)
        return tap_done();
    fill(dev, &image, layout);
    bool matches = false;
    ok(layout_matches(layout, dev, NULL, 0, &matches, &err) == 0 && matches, "identified by its bytes");
    const struct param_setting wrong = {"unit_bytes", 24}, unknown = {"x", 1};
    struct image *none;
    ok(image_open(layout, dev, &wrong, 1, &none, &err) == PLAT_EINVALID, "parameter outside its choices");
    ok(image_open(layout, dev, &unknown, 1, &none, &err) == PLAT_EINVALID, "unknown parameter");
    test_decode(image, layout);
    test_check(dev, image, layout);
    test_stream(image, layout);
    test_expressions();
    test_hostile();
    test_nested();
    image_close(image);
    dev_close(dev);
    layout_free(layout);
    return tap_done();
}
