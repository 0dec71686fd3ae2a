/* Reading what mkfs.fat and mtools wrote: every sector and cluster size, one FAT and several, fragmented
 * chains, long names, deep trees. Each file must come back byte for byte, verify must find nothing worse than
 * a note, and the walk must give each byte of the volume to exactly one owner. Names that mtools cannot write
 * are built by hand.
 *
 * Catches: wrong cluster arithmetic, runs merged across a gap, slots counted wrongly over cluster borders, a
 * name decoded wrongly, bytes that no extent covers, a probe that takes FAT16 for FAT32. */
#include "tests/unit/fat32_shell.h"

/* ---- reading back ---- */

/* Reads a node in pieces of `step` bytes into a file of the scratch directory. */
static bool copy_out(struct opened *o, uint64_t node, const char *path, size_t step)
{
    FILE *f = fopen(path, "wb");
    uint8_t *buf = malloc(step);
    uint64_t offset = 0;
    size_t n = 1;
    bool good = f != NULL && buf != NULL;
    while (good && n > 0) {
        good = o->fs->driver->read(o->fs, node, offset, buf, step, &n, &o->err) == 0 &&
               fwrite(buf, 1, n, f) == n;
        offset += n;
    }
    free(buf);
    return f != NULL && fclose(f) == 0 && good;
}

struct extraction {
    struct opened *o;
    char path[1024];
    size_t step;
    bool good;
};

static int extract_entry(void *ctx, const struct fs_dirent *entry)
{
    struct extraction *x = ctx;
    size_t used = strlen(x->path);
    struct fs_stat stat;
    (void)snprintf(x->path + used, sizeof x->path - used, "/%s", entry->name);
    if (x->o->fs->driver->stat(x->o->fs, entry->node, &stat, &x->o->err) != 0 || stat.kind != entry->kind ||
        !stat.has_mtime)
        x->good = false;
    else if (entry->kind == TREE_DIR)
        x->good = x->good && sh("mkdir '%s'", x->path) &&
                  x->o->fs->driver->readdir(x->o->fs, entry->node, extract_entry, x, &x->o->err) == 0;
    else
        x->good = copy_out(x->o, entry->node, x->path, x->step) && x->good;
    x->path[used] = '\0';
    return 0;
}

static bool extract_all(struct opened *o, const char *to, size_t step)
{
    struct extraction x = {.o = o, .step = step, .good = true};
    uint64_t root;
    (void)snprintf(x.path, sizeof x.path, "%s/%s", scratch, to);
    if (!sh("rm -rf %s; mkdir %s", to, to))
        return false;
    return o->fs->driver->root(o->fs, &root, &o->err) == 0 &&
           o->fs->driver->readdir(o->fs, root, extract_entry, &x, &o->err) == 0 && x.good;
}

/* ---- coverage ---- */

struct coverage {
    struct range *ranges;
    size_t n, cap;
    uint64_t instances, outside;
    uint64_t size_bytes;
};

static int cover_extent(void *ctx, const struct extent *extent)
{
    struct coverage *c = ctx;
    if (c->n == c->cap) {
        c->cap = c->cap == 0 ? 256 : c->cap * 2;
        c->ranges = realloc(c->ranges, c->cap * sizeof *c->ranges);
        if (c->ranges == NULL)
            abort();
    }
    c->outside += !range_within(extent->place, c->size_bytes);
    c->ranges[c->n++] = extent->place;
    return 0;
}

static int cover_instance(void *ctx, const struct inst *inst)
{
    struct coverage *c = ctx;
    c->instances++;
    c->outside += inst->path == NULL || inst->path[0] == '\0';
    return 0;
}

static int range_compare(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Does the walk give every byte to one extent? */
static bool covers_once(struct opened *o)
{
    struct coverage c = {.size_bytes = o->dev->size_bytes};
    const struct walk_sink sink = {.ctx = &c, .instance = cover_instance, .extent = cover_extent};
    bool good = o->fs->driver->walk(o->fs, &sink, &o->err) == 0 && c.outside == 0 && c.instances > 3;
    qsort(c.ranges, c.n, sizeof *c.ranges, range_compare);
    uint64_t at = 0;
    for (size_t i = 0; i < c.n && good; i++) {
        good = c.ranges[i].start == at;
        if (!good)
            printf("# %s at 0x%llx, next extent at 0x%llx\n", c.ranges[i].start > at ? "gap" : "overlap",
                   (unsigned long long)at, (unsigned long long)c.ranges[i].start);
        at = c.ranges[i].start + c.ranges[i].bytes;
    }
    free(c.ranges);
    return good && at == o->dev->size_bytes;
}

/* ---- volumes of many shapes ---- */

static const struct shape {
    const char *title, *size, *options;
    uint32_t cluster_bytes;
    const char *warning; /* what the schema says about the shape itself */
} shapes[] = {
    {"512-byte clusters", "40M", "-s 1", 512, NULL},
    {"4 KiB clusters", "300M", "-s 8", 4096, NULL},
    {"32 KiB clusters", "2200M", "-s 64", 32768, NULL},
    {"64 KiB clusters", "4400M", "-s 128", 65536, NULL},
    {"1 KiB sectors, 2 KiB clusters", "140M", "-S 1024 -s 2", 2048, NULL},
    {"4 KiB sectors", "280M", "-S 4096 -s 1", 4096, NULL},
    {"one FAT", "40M", "-s 1 -f 1", 512, NULL},
    {"three FATs, 77 reserved sectors", "40M", "-s 1 -f 3 -R 77", 512, "fat-copies-many"},
    {"no label, unaligned", "40M", "-s 1 -a", 512, NULL},
};

/* Files around cluster borders; names long, short, lower-case, in other scripts; a deep path; a directory
 * over many clusters. */
static bool make_tree(void)
{
    return sh("mkdir -p in/EFI/BOOT in/many in/empty-directory in/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/d11/d12\n"
              "for n in 0 1 511 512 513 4095 4096 4097 32767 32768 32769 65536 65537 300001; do\n"
              "  head -c $n /dev/urandom > in/EFI/BOOT/size-$n.bin; done\n"
              "cp in/EFI/BOOT/size-300001.bin in/EFI/BOOT/BOOTX64.EFI; echo short > in/README.TXT; echo nt > "
              "in/lower.txt\n"
              "echo 13 > in/d1/d2/d3/d4/thirteen-char\n"
              "echo 26 > in/d1/d2/d3/d4/twenty-six-characters-here\n"
              "echo x > in/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/d11/d12/bottom\n"
              "echo u > in/d1/'Grüße, 日本語 и мир.txt'\n"
              "echo l > in/d1/$(printf 'x%%.0s' $(seq 250)).long\n"
              "for i in $(seq 300); do echo $i > \"in/many/entry number $i.conf\"; done");
}

/* mtools searches for room from the hint in FSInfo on; without one it begins at the start, and fills holes.
 */
static bool forget_hint(void)
{
    struct opened o;
    uint8_t buf[FAT32_FSINFO_BYTES];
    struct fat32_fsinfo_mut fsinfo;
    if (!open_dev(&o, "t.img", true) || !open_fs(&o))
        return false;
    uint64_t offset = volume_of(o.fs)->geo.sector_bytes; /* sector 1 */
    bool good =
        dev_read(o.dev, offset, buf, sizeof buf, &o.err) == 0 && fat32_fsinfo_edit(buf, sizeof buf, &fsinfo);
    if (good) {
        fat32_fsinfo_set_next_free(fsinfo, UINT32_MAX);
        good = dev_write(o.dev, offset, buf, sizeof buf, &o.err) == 0;
    }
    close_all(&o);
    return good;
}

/* Copies the tree in, makes holes, and fills them with one file, whose chain is then in many pieces. */
static bool make_image(const struct shape *shape)
{
    return sh("rm -f t.img; truncate -s %s t.img; PATH=$PATH:/usr/sbin mkfs.fat -F 32 %s -n PLAT t.img "
              ">/dev/null\n"
              "head -c %u /dev/urandom > piece; rm -rf tree; cp -r in tree; mcopy -Q -s -i t.img in/* ::/\n"
              "i=0; while [ $i -lt 40 ]; do mcopy -i t.img piece ::/gap$i; i=$((i+1)); done\n"
              "i=0; while [ $i -lt 40 ]; do mdel -i t.img ::/gap$i; i=$((i+2)); done",
              shape->size, shape->options, shape->cluster_bytes) &&
           forget_hint() &&
           sh("head -c %u /dev/urandom > tree/fragmented; mcopy -i t.img tree/fragmented ::/\n"
              "i=1; while [ $i -lt 40 ]; do cp piece tree/gap$i; i=$((i+2)); done",
              shape->cluster_bytes * 30 + 7);
}

/* Findings worse than a note, but for those with the id. */
static size_t count_unexpected(const struct findings *all, const char *id)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++)
        n += all->list[i].severity != SEVERITY_NOTE && (id == NULL || strcmp(all->list[i].id, id) != 0);
    return n;
}

static void test_shape(const struct shape *shape)
{
    struct opened o;
    struct findings found = {0};
    struct fs_probe_result probe = {0};
    if (!ok(make_image(shape), "%s: mkfs.fat and mcopy make the image", shape->title))
        return;
    if (!ok(open_dev(&o, "t.img", false), "%s: the image opens", shape->title))
        return;
    const struct fs_open_options options = {0};
    ok(fat32_driver.probe(o.dev, &options, &probe, &o.err) == 0 && probe.score == FS_PROBE_YES &&
           probe.refusal[0] == '\0',
       "%s: probe is sure", shape->title);
    if (!ok(verify_into(&o, &found) && count_unexpected(&found, shape->warning) == 0,
            "%s: verify finds nothing worse than a note", shape->title))
        print_findings(&found);
    if (!ok(open_fs(&o), "%s: the volume opens", shape->title))
        return;
    ok(volume_of(o.fs)->geo.cluster_bytes == shape->cluster_bytes, "%s: cluster size", shape->title);
    ok(extract_all(&o, "out", 100003) && sh("diff -r tree out"), "%s: every file comes back equal",
       shape->title);
    ok(extract_all(&o, "out", 777) && sh("diff -r tree out"), "%s: and in small pieces", shape->title);
    ok(covers_once(&o), "%s: each byte has one owner", shape->title);
    struct fs_space space;
    ok(o.fs->driver->space(o.fs, &space, &o.err) == 0 && strcmp(space.label, "PLAT") == 0 &&
           strlen(space.uuid) == 9 && space.block_bytes == shape->cluster_bytes && space.n_files > 300,
       "%s: space, label and serial number", shape->title);
    close_all(&o);
    free(found.list);
}

/* ---- one file, many ways ---- */

static void test_fragments(void)
{
    struct opened o;
    uint64_t node;
    if (!open_dev(&o, "t.img", false) || !open_fs(&o)) {
        ok(false, "fragments: the image opens");
        return;
    }
    struct volume *vol = volume_of(o.fs);
    struct dir_entry entry;
    unsigned runs = 0;
    ok(fs_resolve(o.fs, "/fragmented", &node, &o.err) == 0 && fat32_entry_of(vol, node, &entry, &o.err) == 0,
       "fragments: the file is found");
    uint32_t cluster = entry.first_cluster;
    while (fat_link_of(vol, cluster) == FAT_LINK_NEXT) {
        struct fat_run run;
        if (fat_run_at(vol, cluster, UINT32_MAX, &run, &o.err) != 0)
            break;
        runs++;
        cluster = run.next;
    }
    ok(runs >= 10, "fragments: its chain really is in %u pieces", runs);

    /* Anywhere, in any order. */
    uint8_t *whole = malloc(entry.size_bytes), part[300];
    size_t n = 0;
    bool good = whole != NULL &&
                o.fs->driver->read(o.fs, node, 0, whole, entry.size_bytes, &n, &o.err) == 0 &&
                n == entry.size_bytes;
    for (uint64_t i = 0; i < 500 && good; i++) {
        uint64_t at = i * 2654435761u % entry.size_bytes;
        uint64_t want = entry.size_bytes - at < sizeof part ? entry.size_bytes - at : sizeof part;
        good = o.fs->driver->read(o.fs, node, at, part, sizeof part, &n, &o.err) == 0 && n == want &&
               memcmp(part, whole + at, n) == 0;
    }
    ok(good, "fragments: reads at any offset agree with the whole");
    ok(o.fs->driver->read(o.fs, node, entry.size_bytes, part, sizeof part, &n, &o.err) == 0 && n == 0,
       "fragments: nothing behind the end");
    free(whole);

    uint64_t upper, by_short;
    ok(fs_resolve(o.fs, "/efi/boot/bootx64.efi", &upper, &o.err) == 0, "lookup: another case finds the file");
    ok(fs_resolve(o.fs, "/d1/d2/d3/d4/twenty-six-characters-here", &upper, &o.err) == 0 &&
           fs_resolve(o.fs, "/D1/D2/D3/D4/TWENTY~1", &by_short, &o.err) == 0 && upper == by_short,
       "lookup: the 8.3 name finds the long one");
    ok(fs_resolve(o.fs, "/EFI/none", &node, &o.err) == PLAT_ENOTFOUND,
       "lookup: what is not there is not found");
    ok(o.fs->driver->stat(o.fs, 12345, &(struct fs_stat){0}, &o.err) == PLAT_EINVALID,
       "stat: a made-up node is refused");
    close_all(&o);
}

/* ---- lazy walks ---- */

struct selection {
    const char *want;
    size_t instances, arrays;
    char last[160];
};

/* As dump does for one path: what leads to it, and what lies in it. */
static bool select_path(void *ctx, const char *path)
{
    struct selection *s = ctx;
    size_t n = strlen(path), m = strlen(s->want);
    return strncmp(path, s->want, n < m ? n : m) == 0 &&
           (n == m || (n < m ? s->want[n] == '[' || s->want[n] == '.' : path[m] == '[' || path[m] == '.'));
}

static int select_instance(void *ctx, const struct inst *inst)
{
    struct selection *s = ctx;
    s->instances++;
    (void)snprintf(s->last, sizeof s->last, "%s", inst->path);
    return 0;
}

static int select_array(void *ctx, const char *path, uint64_t count, const struct type *type)
{
    struct selection *s = ctx;
    s->arrays += strncmp(path, "dir[", 4) == 0 && count > 0 && strcmp(type->name, "dir_entry") == 0;
    return 0;
}

static void test_lazy(void)
{
    struct opened o;
    if (!open_dev(&o, "t.img", false) || !open_fs(&o)) {
        ok(false, "lazy: the image opens");
        return;
    }
    struct selection one = {.want = "dir[\"/EFI/BOOT\"][0]"}, boot = {.want = "boot"},
                     entry = {.want = "fat[3]"};
    struct walk_sink sink = {
        .wants = select_path, .instance = select_instance, .array = select_array, .elements = true};
    sink.ctx = &one;
    ok(o.fs->driver->walk(o.fs, &sink, &o.err) == 0 && one.instances == 1 && one.arrays == 1 &&
           strcmp(one.last, one.want) == 0,
       "lazy: one slot of one directory is one instance");
    sink.ctx = &boot;
    ok(o.fs->driver->walk(o.fs, &sink, &o.err) == 0 && boot.instances == 1 && boot.arrays == 0,
       "lazy: the boot sector alone");
    sink.ctx = &entry;
    ok(o.fs->driver->walk(o.fs, &sink, &o.err) == 0 && entry.instances == 1 &&
           strcmp(entry.last, "fat[3]") == 0,
       "lazy: one FAT entry");
    close_all(&o);
}

/* ---- names by hand ---- */

enum { SLOT = FAT32_SHORT_ENTRY_BYTES };
struct slots {
    uint8_t bytes[64 * SLOT];
    uint32_t n;
};

static void put_short(struct slots *slots, const char *name11, uint8_t attributes, uint8_t name_case)
{
    struct fat32_short_entry_mut entry;
    if (!fat32_short_entry_edit(slots->bytes + (size_t)slots->n++ * SLOT, SLOT, &entry))
        abort();
    fat32_short_entry_set_name(entry, (const uint8_t *)name11);
    fat32_short_entry_set_extension(entry, (const uint8_t *)name11 + 8);
    fat32_short_entry_set_attributes(entry, attributes);
    fat32_short_entry_set_case(entry, name_case);
}

static uint8_t sum_of(const char *name11)
{
    unsigned sum = 0;
    for (size_t i = 0; i < 11; i++)
        sum = (((sum & 1) << 7 | sum >> 1) + (uint8_t)name11[i]) & 0xFF;
    return (uint8_t)sum;
}

/* One piece; units beyond the name: 0000, then `fill`. */
static void put_piece(struct slots *slots, unsigned order, uint8_t sum, const uint16_t *units, size_t n,
                      uint16_t fill)
{
    struct fat32_long_entry_mut piece;
    if (!fat32_long_entry_edit(slots->bytes + (size_t)slots->n++ * SLOT, SLOT, &piece))
        abort();
    fat32_long_entry_set_order(piece, (uint8_t)order);
    fat32_long_entry_set_attributes(piece, 0x0F);
    fat32_long_entry_set_checksum(piece, sum);
    size_t at = ((order & 0x3F) - 1) * 13;
    for (size_t i = 0; i < 13; i++, at++) {
        uint16_t unit = at < n ? units[at] : at == n ? 0 : fill;
        if (i < 5)
            fat32_long_entry_set_name_1(piece, i, unit);
        else if (i < 11)
            fat32_long_entry_set_name_2(piece, i - 5, unit);
        else
            fat32_long_entry_set_name_3(piece, i - 11, unit);
    }
}

struct faults {
    unsigned seen[5];
};
static int count_fault(void *ctx, uint32_t slot, enum long_fault fault)
{
    (void)slot;
    ((struct faults *)ctx)->seen[fault]++;
    return 0;
}

/* Parses the slots; the names found, separated by '|'. */
static const char *parse(struct slots *slots, struct faults *faults)
{
    static char text[4096];
    struct dir dir = {.bytes = slots->bytes, .n_bytes = sizeof slots->bytes, .n_slots = slots->n};
    struct dir_parser parser = {.dir = &dir, .fault = count_fault, .ctx = faults};
    struct dir_entry entry;
    *faults = (struct faults){0};
    text[0] = '\0';
    while (dir_next(&parser, &entry, NULL) == 1)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", text[0] != '\0' ? "|" : "",
                       entry.name);
    return text;
}

static void test_names(void)
{
    static const uint16_t clef[] = {'a', 0xD834, 0xDD1E, 'b'}; /* U+1D11E */
    static const uint16_t lone[] = {'a', 0xD834, 'b'};
    uint16_t thirteen[13], many[260];
    struct slots s = {0};
    struct faults f;
    for (size_t i = 0; i < 260; i++)
        many[i] = 'm';
    for (uint16_t i = 0; i < 13; i++)
        thirteen[i] = (uint16_t)('a' + i);

    put_short(&s, "README  TXT", 0x20, 0);
    put_short(&s, "BASE    TXT", 0x20, 0x08);
    put_short(&s, "BASE2   TXT", 0x20, 0x18);
    put_short(&s,
              "\x05"
              "AB        ",
              0x20, 0);
    put_short(&s, "\x81       X  ", 0x20, 0);
    ok_text(parse(&s, &f),
            "README.TXT|base.TXT|base2.txt|\xC3\x95"
            "AB|\xC3\xBC.X",
            "8.3 names: case bits, 05, code page");

    s = (struct slots){0};
    put_piece(&s, 0x41, sum_of("ACLEFB~1   "), clef, 4, 0xFFFF);
    put_short(&s, "ACLEFB~1   ", 0x20, 0);
    put_piece(&s, 0x41, sum_of("LONE~1     "), lone, 3, 0xFFFF);
    put_short(&s, "LONE~1     ", 0x20, 0);
    put_piece(&s, 0x41, sum_of("ABCDEF~1   "), thirteen, 13, 0xFFFF);
    put_short(&s, "ABCDEF~1   ", 0x20, 0);
    ok_text(parse(&s, &f),
            "a\xF0\x9D\x84\x9E"
            "b|a\xEF\xBF\xBD"
            "b|abcdefghijklm",
            "long names: surrogate pair, lone surrogate, exactly 13 units");
    ok(f.seen[LONG_PADDING] == 0 && f.seen[LONG_ORPHAN] == 0, "long names: no fault in good ones");

    s = (struct slots){0};
    put_piece(&s, 0x41, 0x55, thirteen, 5, 0xFFFF); /* checksum of something else */
    put_short(&s, "SUM     TXT", 0x20, 0);
    put_piece(&s, 0x42, sum_of("GAP     TXT"), many, 20, 0xFFFF); /* piece 1 is missing */
    put_short(&s, "GAP     TXT", 0x20, 0);
    put_piece(&s, 0x43, sum_of("ORDER   TXT"), many, 30, 0xFFFF);
    put_piece(&s, 0x01, sum_of("ORDER   TXT"), many, 30, 0xFFFF); /* 2 left out */
    put_short(&s, "ORDER   TXT", 0x20, 0);
    put_piece(&s, 0x41, sum_of("PAD     TXT"), thirteen, 5, 0x2020);
    put_short(&s, "PAD     TXT", 0x20, 0);
    put_piece(&s, 0x01, sum_of("TAIL    TXT"), thirteen, 5, 0xFFFF); /* no last piece */
    put_short(&s, "TAIL    TXT", 0x20, 0);
    put_piece(&s, 0x41, 0x11, thirteen, 5, 0xFFFF); /* nothing behind it */
    ok_text(parse(&s, &f), "SUM.TXT|GAP.TXT|ORDER.TXT|abcde|TAIL.TXT",
            "broken long names fall back to the 8.3 name");
    ok(f.seen[LONG_CHECKSUM] == 1 && f.seen[LONG_ORDER] == 1 && f.seen[LONG_PADDING] == 1 &&
           f.seen[LONG_ORPHAN] == 3,
       "and each fault is told (%u checksum, %u order, %u padding, %u orphan)", f.seen[LONG_CHECKSUM],
       f.seen[LONG_ORDER], f.seen[LONG_PADDING], f.seen[LONG_ORPHAN]);

    s = (struct slots){0};
    for (unsigned i = 20; i >= 1; i--)
        put_piece(&s, i == 20 ? 0x54 : i, sum_of("MANY    TXT"), many, 260, 0xFFFF);
    put_short(&s, "MANY    TXT", 0x20, 0);
    parse(&s, &f);
    ok(f.seen[LONG_TOO_LONG] == 1, "260 units are too many");
}

/* ---- what is not FAT32 ---- */

static void test_refusals(void)
{
    static const struct {
        const char *script, *word;
    } others[] = {
        {"truncate -s 20M o.img; mkfs.fat -F 16 o.img", "FAT16"},
        {"truncate -s 2M o.img; mkfs.fat -F 12 o.img", "FAT12"},
        {"truncate -s 8M o.img; printf '\\353v\\220EXFAT   ' | dd of=o.img conv=notrunc status=none",
         "exFAT"},
        {"truncate -s 8M o.img; printf '\\353R\\220NTFS    \\000\\002\\010' | dd of=o.img conv=notrunc "
         "status=none",
         "NTFS"},
    };
    const struct fs_open_options options = {.degraded = true};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct opened o;
        struct fs_probe_result probe = {0};
        if (!sh("rm -f o.img; PATH=$PATH:/usr/sbin; { %s; } >/dev/null", others[i].script) ||
            !open_dev(&o, "o.img", false)) {
            ok(false, "%s: the image is made", others[i].word);
            continue;
        }
        ok(fat32_driver.probe(o.dev, &options, &probe, &o.err) == 0 && probe.score > FS_PROBE_NO &&
               strstr(probe.refusal, others[i].word) == probe.refusal &&
               strstr(probe.refusal, "FAT32") != NULL,
           "%s is recognised: %s", others[i].word, probe.refusal);
        ok(fs_open(&fat32_driver, o.dev, &options, &o.fs, &o.err) == PLAT_EUNSUPPORTED, "%s is refused: %s",
           others[i].word, o.err.text);
        close_all(&o);
    }
    struct opened o;
    struct fs_probe_result probe = {.score = 1};
    ok(sh("rm -f o.img; truncate -s 1M o.img") && open_dev(&o, "o.img", false) &&
           fat32_driver.probe(o.dev, &options, &probe, &o.err) == 0 && probe.score == FS_PROBE_NO,
       "zeros are not FAT32");
    close_all(&o);
}

int main(void)
{
    if (!have_tools())
        return 0;
    if (!scratch_open() || !make_tree()) {
        ok(false, "the scratch directory and its tree are made");
        return tap_done();
    }
    test_names();
    test_refusals();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        test_shape(&shapes[i]);
        test_fragments();
    }
    test_lazy();
    scratch_close();
    return tap_done();
}
