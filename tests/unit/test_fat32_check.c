/* Damage to a volume that mkfs.fat and mtools made: each fault gives the finding that names it, whatever is
 * damaged nothing hangs or crashes, and a flipped byte in any structure is found, or is one that the format
 * leaves free.
 *
 * Catches: a check lost, a finding with the wrong path, an endless chain, a read past the end of a short
 * image. */
#include "tests/unit/fat32_shell.h"

/* ---- the volume ---- */

struct bench {
    struct opened o; /* writable */
    struct fat32_geometry geo;
    uint32_t n_used; /* clusters 2 .. n_used + 1 are in use */
    struct findings found;
};
static struct bench bench;

static bool make_volume(void)
{
    return sh(
        "truncate -s 36M t.img; PATH=$PATH:/usr/sbin mkfs.fat -F 32 -s 1 -n PLAT t.img >/dev/null\n"
        "head -c 3000 /dev/urandom > big; head -c 700 /dev/urandom > other; : > empty\n"
        "mmd -i t.img ::/EFI ::/EFI/BOOT ::/tree ::/tree/sub\n"
        "mcopy -i t.img big ::/EFI/BOOT/BOOTX64.EFI; mcopy -i t.img big ::/first.bin\n"
        "mcopy -i t.img other ::/second.bin; mcopy -i t.img empty ::/empty; mcopy -i t.img empty ::/gone; "
        "mdel -i t.img ::/gone\n"
        "mcopy -i t.img other '::/A long name for a file.txt'; mcopy -i t.img other '::/Another name.txt'\n"
        "for i in 1 2 3 4 5 6 7 8; do mcopy -i t.img other ::/tree/sub/file-number-$i; done");
}

/* FSInfo's copy is stale after mtools; made equal, the volume has no finding at all to begin with. */
static bool settle_volume(void)
{
    struct plat_dev *dev = bench.o.dev;
    uint8_t sector[512];
    if (!open_fs(&bench.o))
        return false;
    bench.geo = volume_of(bench.o.fs)->geo;
    bench.n_used = 0;
    for (uint32_t i = 2; i < bench.geo.usable_clusters; i++) {
        uint32_t value = 0;
        if (fat_get(volume_of(bench.o.fs), i, &value, NULL) == 0 && value != 0)
            bench.n_used = i - 1;
    }
    fs_close(bench.o.fs);
    bench.o.fs = NULL;
    return dev_read(dev, 512, sector, sizeof sector, NULL) == 0 &&
           dev_write(dev, (uint64_t)7 * 512, sector, sizeof sector, NULL) == 0;
}

/* ---- making damage, and undoing it ---- */

enum { MAX_UNDO = 64 };
static struct {
    uint64_t offset;
    uint8_t byte;
} undo[MAX_UNDO];
static size_t n_undo;

static void poke(uint64_t offset, uint8_t byte)
{
    if (n_undo == MAX_UNDO)
        abort();
    undo[n_undo].offset = offset;
    if (dev_read(bench.o.dev, offset, &undo[n_undo++].byte, 1, NULL) != 0 ||
        dev_write(bench.o.dev, offset, &byte, 1, NULL) != 0)
        abort();
}

static void mend(void)
{
    while (n_undo > 0) {
        n_undo--;
        if (dev_write(bench.o.dev, undo[n_undo].offset, &undo[n_undo].byte, 1, NULL) != 0)
            abort();
    }
}

static uint8_t peek(uint64_t offset)
{
    uint8_t byte = 0;
    if (dev_read(bench.o.dev, offset, &byte, 1, NULL) != 0)
        abort();
    return byte;
}

static uint32_t peek_link(uint32_t cluster)
{
    uint8_t bytes[4];
    if (dev_read(bench.o.dev, fat32_link_offset(&bench.geo, 0, cluster), bytes, 4, NULL) != 0)
        abort();
    return load_le32(bytes);
}

/* In every FAT. */
static void poke_link(uint32_t cluster, uint32_t value)
{
    for (uint32_t fat = 0; fat < bench.geo.num_fats; fat++) {
        for (unsigned i = 0; i < 4; i++)
            poke(fat32_link_offset(&bench.geo, fat, cluster) + i, (uint8_t)(value >> (8 * i)));
    }
}

/* Offset of a file's short entry. */
static uint64_t entry_at(const char *path)
{
    uint64_t node = 0;
    if (!open_fs(&bench.o) || fs_resolve(bench.o.fs, path, &node, &bench.o.err) != 0) {
        printf("# %s: %s\n", path, bench.o.err.text);
        abort();
    }
    fs_close(bench.o.fs);
    bench.o.fs = NULL;
    return node;
}

/* Rewrites an entry through its setters. */
struct entry_edit {
    uint64_t offset;
    uint8_t bytes[FAT32_SHORT_ENTRY_BYTES];
    struct fat32_short_entry_mut entry;
};
static struct entry_edit edit_begin(uint64_t offset)
{
    struct entry_edit edit = {.offset = offset};
    if (dev_read(bench.o.dev, offset, edit.bytes, sizeof edit.bytes, NULL) != 0)
        abort();
    return edit;
}
static void edit_end(const struct entry_edit *edit)
{
    for (size_t i = 0; i < sizeof edit->bytes; i++) {
        if (peek(edit->offset + i) != edit->bytes[i])
            poke(edit->offset + i, edit->bytes[i]);
    }
}
static uint32_t first_cluster(uint64_t offset)
{
    struct entry_edit edit = edit_begin(offset);
    struct fat32_short_entry view;
    if (!fat32_short_entry_view(edit.bytes, sizeof edit.bytes, &view))
        abort();
    return fat32_short_entry_first_cluster_low(view);
}
static void set_first_cluster(uint64_t offset, uint32_t cluster)
{
    struct entry_edit edit = edit_begin(offset);
    if (!fat32_short_entry_edit(edit.bytes, sizeof edit.bytes, &edit.entry))
        abort();
    fat32_short_entry_set_first_cluster_low(edit.entry, (uint16_t)cluster);
    fat32_short_entry_set_first_cluster_high(edit.entry, (uint16_t)(cluster >> 16));
    edit_end(&edit);
}
static void set_size(uint64_t offset, uint32_t bytes)
{
    struct entry_edit edit = edit_begin(offset);
    if (!fat32_short_entry_edit(edit.bytes, sizeof edit.bytes, &edit.entry))
        abort();
    fat32_short_entry_set_size_bytes(edit.entry, bytes);
    edit_end(&edit);
}

/* Everything a reader would do, three levels deep; results do not matter, coming back does. */
struct visitor {
    unsigned depth;
    uint64_t bytes;
};
static int visit_entry(void *ctx, const struct fs_dirent *entry)
{
    struct visitor *v = ctx;
    struct fs *fs = bench.o.fs;
    static uint8_t buf[65536];
    size_t n = 1;
    if (entry->kind == TREE_DIR && v->depth < 3) {
        v->depth++;
        (void)fs->driver->readdir(fs, entry->node, visit_entry, v, NULL);
        v->depth--;
    }
    for (uint64_t at = 0; entry->kind == TREE_FILE && n > 0 && at < 1 << 20; at += n) {
        if (fs->driver->read(fs, entry->node, at, buf, sizeof buf, &n, NULL) != 0)
            break;
        v->bytes += n;
    }
    return 0;
}
static int ignore_extent(void *ctx, const struct extent *extent)
{
    *(uint64_t *)ctx += extent->place.bytes;
    return 0;
}
static void read_all(void)
{
    struct visitor v = {0};
    uint64_t total = 0;
    const struct walk_sink sink = {.ctx = &total, .extent = ignore_extent};
    if (!open_fs(&bench.o))
        return;
    (void)bench.o.fs->driver->readdir(bench.o.fs, FAT_ROOT_NODE, visit_entry, &v, NULL);
    (void)bench.o.fs->driver->walk(bench.o.fs, &sink, NULL);
    fs_close(bench.o.fs);
    bench.o.fs = NULL;
}

/* Verifies, expects the finding, reads everything, and mends. `text` (may be NULL) must be in its sentence.
 */
static void expect(const char *title, enum severity severity, const char *id, const char *path,
                   const char *text)
{
    bool ran = verify_into(&bench.o, &bench.found);
    const struct found *found = find_finding(&bench.found, id, path);
    if (!ok(ran && found != NULL && found->severity == severity &&
                (text == NULL || strstr(found->text, text) != NULL),
            "%s: %s %s at %s", title, severity_name(severity), id, path))
        print_findings(&bench.found);
    read_all();
    mend();
}

static void expect_link(const char *title, const char *id, uint32_t cluster, const char *text)
{
    char path[FAT_PATH_BYTES];
    (void)snprintf(path, sizeof path, "fat[%u]", cluster);
    expect(title, SEVERITY_ERROR, id, path, text);
}

/* ---- the faults ---- */

static void test_chains(void)
{
    uint64_t a = entry_at("/first.bin"), b = entry_at("/second.bin"), empty = entry_at("/empty");
    uint32_t a0 = first_cluster(a), b0 = first_cluster(b);
    uint32_t last = a0;
    while (peek_link(last) < FAT32_LINK_BAD)
        last = peek_link(last);

    poke_link(last, a0);
    expect_link("a chain that returns to its start", "chain-loop", last, "/first.bin");
    poke_link(last, last);
    expect_link("a cluster that leads to itself", "chain-loop", last, "/first.bin");
    poke_link(a0, b0 + 1);
    expect("two chains meet", SEVERITY_ERROR, "cross-link", "fat[", "'/first.bin' and '/second.bin'");
    set_first_cluster(b, a0);
    expect("two files with one start", SEVERITY_ERROR, "cross-link", "dir[\"/\"][",
           "'/first.bin' and '/second.bin'");
    poke_link(a0, bench.geo.cluster_count + 2);
    expect_link("a link one past the end", "chain-broken", a0, "past the last cluster");
    poke_link(a0 + 1, 0);
    expect_link("a link to nothing", "chain-broken", a0 + 1, "free");
    poke_link(a0, 0);
    expect("a start that is free", SEVERITY_ERROR, "first-cluster", "dir[\"/\"][3].first_cluster_low",
           "free");
    poke_link(a0, 1);
    expect_link("a reserved value", "chain-broken", a0, "reserved");
    poke_link(a0, FAT32_LINK_BAD);
    expect_link("a bad cluster in a chain", "chain-broken", a0, "bad");
    poke_link(a0, FAT32_LINK_END);
    expect("a chain cut short", SEVERITY_ERROR, "chain-short", "dir[\"/\"][", "/first.bin");
    poke_link(a0, FAT32_LINK_END);
    expect_link("and what it lost", "lost-clusters", a0 + 1, NULL);
    set_size(a, 3000 + 512);
    expect("a size beyond its chain", SEVERITY_ERROR, "chain-short", "dir[\"/\"][", "/first.bin");
    set_size(a, 100);
    expect("a chain beyond its size", SEVERITY_ERROR, "chain-long", "dir[\"/\"][", "/first.bin");
    set_first_cluster(a, 0);
    expect("a file without a start", SEVERITY_ERROR, "first-cluster", "dir[\"/\"][", "/first.bin");
    set_first_cluster(a, 0xFFFFFFF);
    expect("a start that is an end mark", SEVERITY_ERROR, "first-cluster", "dir[\"/\"][", "/first.bin");
    set_first_cluster(empty, bench.n_used + 10);
    expect("an empty file with a cluster", SEVERITY_ERROR, "empty-with-cluster", "dir[\"/\"][", "/empty");
    poke_link(bench.n_used + 20, FAT32_LINK_END);
    expect_link("a cluster of nobody", "lost-clusters", bench.n_used + 20, NULL);
    poke_link(bench.n_used + 20, FAT32_LINK_BAD);
    expect("a bad cluster by itself", SEVERITY_NOTE, "bad-clusters", "fat[", NULL);
    poke(fat32_link_offset(&bench.geo, 1, a0), 0x77);
    expect("FATs that differ", SEVERITY_ERROR, "mirror", "fat2[", NULL);
    poke_link(a0, peek_link(a0) | 0xF0000000u);
    expect("upper bits in a link", SEVERITY_WARNING, "fat-top-bits", "fat[", NULL);
    poke(bench.geo.fat_offset + bench.geo.fat_bytes - 1, 1);
    expect("an entry behind the last", SEVERITY_WARNING, "fat-slack", "fat[", NULL);
}

static void test_directories(void)
{
    uint64_t tree = entry_at("/tree"), sub = entry_at("/tree/sub");
    uint32_t tree0 = first_cluster(tree), sub0 = first_cluster(sub);
    uint64_t dot = fat32_cluster_offset(&bench.geo, sub0), dotdot = dot + FAT32_SHORT_ENTRY_BYTES;

    poke_link(sub0, sub0);
    expect_link("a directory that is a loop", "chain-loop", sub0, "/tree/sub");
    set_first_cluster(sub, tree0);
    expect("a directory within itself", SEVERITY_ERROR, "cross-link", "dir[\"/tree\"][2].first_cluster_low",
           "'/tree'");
    set_first_cluster(sub, bench.geo.root_cluster);
    expect("the root as a subdirectory", SEVERITY_ERROR, "cross-link", "dir[\"/tree\"][2].first_cluster_low",
           "'/'");
    set_first_cluster(sub, 0);
    expect("a directory without a start", SEVERITY_ERROR, "first-cluster",
           "dir[\"/tree\"][2].first_cluster_low", NULL);
    poke_link(sub0, 0);
    expect_link("a directory with a broken chain", "chain-broken", sub0, "/tree/sub");
    set_first_cluster(sub, bench.n_used + 30);
    expect("a directory at a free cluster", SEVERITY_ERROR, "first-cluster",
           "dir[\"/tree\"][2].first_cluster_low", "free");
    set_first_cluster(sub, first_cluster(entry_at("/second.bin")));
    expect("a directory at a file's cluster", SEVERITY_ERROR, "dot-missing",
           "dir[\"/tree\"][2].first_cluster_low", "neither");
    poke(sub + 11, 0x18);
    expect("a directory that is a label, too", SEVERITY_ERROR, "label-and-directory",
           "dir[\"/tree\"][2].attributes", NULL);
    set_first_cluster(dot, sub0 + 1);
    expect("'.' elsewhere", SEVERITY_ERROR, "dot-target", "dir[\"/tree/sub\"][0].first_cluster_low", NULL);
    set_first_cluster(dotdot, 0);
    expect("'..' elsewhere", SEVERITY_ERROR, "dotdot-target", "dir[\"/tree/sub\"][1].first_cluster_low",
           NULL);
    set_first_cluster(fat32_cluster_offset(&bench.geo, tree0) + FAT32_SHORT_ENTRY_BYTES,
                      bench.geo.root_cluster);
    expect("'..' of a child of the root not 0", SEVERITY_ERROR, "dotdot-target", "dir[\"/tree\"][1]", "0");
    poke(dot, 'X');
    expect("'.' is missing", SEVERITY_ERROR, "dot-missing", "dir[\"/tree/sub\"][0]", NULL);
    poke(dotdot, 0xE5);
    expect("'..' is missing", SEVERITY_ERROR, "dot-missing", "dir[\"/tree/sub\"][1]", NULL);
    uint64_t behind = fat32_cluster_offset(&bench.geo, tree0) + bench.geo.cluster_bytes - 1;
    poke(behind, 1);
    expect("bytes behind the end of a directory", SEVERITY_WARNING, "directory-behind-end",
           "dir[\"/tree\"][15]", NULL);
}

static void test_names(void)
{
    uint64_t file = entry_at("/A long name for a file.txt"), second = entry_at("/second.bin");
    uint64_t other = entry_at("/Another name.txt");
    uint64_t piece = file - 2 * FAT32_SHORT_ENTRY_BYTES; /* second half of the name */

    poke(piece, 0x43);
    expect("a long name with a wrong number", SEVERITY_ERROR, "long-order", "dir[\"/\"][", NULL);
    poke(piece + 1, '*');
    expect("a forbidden character in a long name", SEVERITY_ERROR, "long-name", "dir[\"/\"][", NULL);
    poke(other - 2 * FAT32_SHORT_ENTRY_BYTES + 28, 0x41);
    expect("a long name whose padding is not FFFF", SEVERITY_ERROR, "long-padding", "dir[\"/\"][", NULL);
    poke(other - 2 * FAT32_SHORT_ENTRY_BYTES + 7, 'x'); /* its terminator */
    expect("a long name that runs into its padding", SEVERITY_ERROR, "long-name", "dir[\"/\"][", "padding");
    poke(file, 'B');
    expect("a long name with another checksum", SEVERITY_ERROR, "long-checksum", "dir[\"/\"][", NULL);
    poke(file, 0xE5);
    expect("a long name without its file", SEVERITY_ERROR, "long-orphan", "dir[\"/\"][", NULL);
    poke(second, 'a');
    expect("a small letter in an 8.3 name", SEVERITY_ERROR, "short-name", "dir[\"/\"][", NULL);
    static const char first[] = "FIRST   ";
    for (unsigned i = 0; i < 8; i++)
        poke(second + i, (uint8_t)first[i]);
    expect("two files of one name", SEVERITY_ERROR, "duplicate-name", "dir[\"/\"][", NULL);
}

static void test_left_overs(void)
{
    uint64_t file = entry_at("/first.bin");
    uint32_t a0 = first_cluster(file);
    poke(fat32_cluster_offset(&bench.geo, a0) + 3001, 1);
    expect("bytes behind the end of a file", SEVERITY_WARNING, "slack-not-zero", "dir[\"/\"][3].size_bytes",
           "/first.bin");
    poke(fat32_cluster_offset(&bench.geo, bench.n_used + 30), 1);
    expect("bytes in free space", SEVERITY_NOTE, "free-not-zero", "free", NULL);
    poke((uint64_t)20 * 512, 1);
    expect("bytes in reserved sectors", SEVERITY_NOTE, "reserved-not-zero", "reserved", "20");
    poke(512 + 489, 0x33);
    expect("a wrong count of free clusters", SEVERITY_ERROR, "fsinfo-count", "fsinfo.free_clusters", NULL);
    uint64_t label = fat32_cluster_offset(&bench.geo, bench.geo.root_cluster);
    poke(label, 'Q');
    expect("labels that differ", SEVERITY_ERROR, "label-differs", "dir[\"/\"][0].label", "QLAT");
    poke(label, 0xE5);
    expect("no label in the root", SEVERITY_ERROR, "label-missing", "boot.volume_label", NULL);
}

static void test_boot(void)
{
    for (unsigned i = 0; i < 12; i++)
        poke(i + 11, 0);
    expect("a wiped boot sector", SEVERITY_ERROR, "boot-damaged", "boot", "backup is good");
    poke(12, 4); /* 1024-byte sectors: plausible, but there is no FAT there */
    expect("a boot sector with plausible lies", SEVERITY_ERROR, "boot-damaged", "fat[0]", "backup");
    poke(22, 1);
    poke((uint64_t)6 * 512 + 22, 1);
    expect("16-bit FAT size set in both boot sectors", SEVERITY_ERROR, "boot-damaged",
           "boot.sectors_per_fat_16", "16-bit");
    poke(13, 0);
    poke((uint64_t)6 * 512 + 13, 0);
    expect("no boot sector to believe", SEVERITY_ERROR, "boot-damaged", "boot.sectors_per_cluster",
           "no file");

    struct opened o;
    const struct fs_open_options strict = {0};
    poke(13, 0);
    ok(open_dev(&o, "t.img", false) &&
           fs_open(&fat32_driver, o.dev, &strict, &o.fs, &o.err) == PLAT_ECORRUPT &&
           strstr(o.err.text, "backup is good") != NULL &&
           strcmp(o.err.path, "boot.sectors_per_cluster") == 0,
       "without degraded it does not open: %s", o.err.text);
    close_all(&o);
    mend();
}

/* ---- every byte of every structure ---- */

struct structure {
    uint64_t offset;
    size_t n;
    char path[64];
    const struct type *shape;
};
static struct {
    struct structure *list;
    size_t n;
} all;

static int keep_structure(void *ctx, const struct inst *inst)
{
    (void)ctx;
    /* FAT entries behind the used ones are all alike. */
    if (strncmp(inst->path, "fat", 3) == 0 && inst->index > bench.n_used + 3)
        return 0;
    all.list = realloc(all.list, (all.n + 1) * sizeof *all.list);
    if (all.list == NULL)
        abort();
    struct structure *s = &all.list[all.n++];
    *s = (struct structure){.offset = inst->offset, .n = inst->size_bytes, .shape = inst_shape(inst)};
    (void)snprintf(s->path, sizeof s->path, "%s", inst->path);
    return 0;
}

static const struct field *field_at(const struct type *type, size_t at)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        if (at >= f->offset_bytes && at < (size_t)f->offset_bytes + f->size_bytes)
            return f;
    }
    return NULL;
}

/* Where a change may go unseen, because the format leaves the byte free; the list that check.c has in words.
 */
static bool may_be_silent(const char *type, const char *field)
{
    static const char *const names[] = {
        "fsinfo.next_free",        "short_entry.name",          "short_entry.extension",
        "short_entry.attributes",  "short_entry.case",          "short_entry.create_time",
        "short_entry.create_date", "short_entry.create_tenths", "short_entry.access_date",
        "short_entry.write_time",  "short_entry.write_date",    "short_entry.size_bytes",
        "label_entry.case",        "label_entry.attributes",    "label_entry.create_time",
        "label_entry.create_date", "label_entry.access_date",   "label_entry.write_time",
        "label_entry.write_date",  "label_entry.create_tenths", "long_entry.name_1",
        "long_entry.name_2",       "long_entry.name_3",         "deleted_entry.unused",
    };
    char name[96];
    (void)snprintf(name, sizeof name, "%s.%s", type, field);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* Does some finding name the structure (its array, or for boot sectors the other copy)? */
static bool names_structure(const struct structure *s)
{
    size_t stem = strcspn(s->path, "[.");
    const char *path = s->path + (strncmp(s->path, "backup_", 7) == 0 ? 7 : 0);
    stem -= (size_t)(path - s->path);
    if (strncmp(path, "fat", 3) == 0)
        stem = 3;
    for (size_t i = 0; i < bench.found.n; i++) {
        const char *found = bench.found.list[i].path;
        found += strncmp(found, "backup_", 7) == 0 ? 7 : 0;
        if (strncmp(found, path, stem) == 0)
            return true;
        /* A rule of the whole layout has no path; its id says what it is about. */
        if (found[0] == '\0' && strstr(bench.found.list[i].id, stem == 3 ? "fat" : path) != NULL)
            return true;
    }
    return false;
}

static void test_flips(uint8_t flip)
{
    unsigned flips = 0, silent = 0, unnamed = 0, missed = 0;
    for (size_t i = 0; i < all.n; i++) {
        const struct structure *s = &all.list[i];
        for (size_t at = 0; at < s->n; at++) {
            const struct field *f = field_at(s->shape, at);
            /* Long runs of opaque bytes are alike. */
            if (f == NULL ||
                (f->repr == REPR_BYTES && f->size_bytes > 64 && (at - f->offset_bytes) % 16 != 0))
                continue;
            poke(s->offset + at, peek(s->offset + at) ^ flip);
            bool ran = verify_into(&bench.o, &bench.found);
            flips++;
            if (!ran || (bench.found.n == 0 && !may_be_silent(s->shape->name, f->name))) {
                printf("# nothing found: %s.%s byte %zu\n", s->path, f->name, at);
                missed++;
            } else if (bench.found.n > 0 && !names_structure(s)) {
                printf("# structure not named: %s.%s byte %zu\n", s->path, f->name, at);
                print_findings(&bench.found);
                unnamed++;
            }
            silent += bench.found.n == 0;
            mend();
        }
    }
    ok(flips > 2000 && missed == 0, "each of %u bytes changed by %02x is found, or free (%u)", flips, flip,
       silent);
    ok(unnamed == 0, "and the finding names the structure");
}

static void gather_structures(void)
{
    const struct walk_sink sink = {.instance = keep_structure, .elements = true};
    ok(open_fs(&bench.o) && bench.o.fs->driver->walk(bench.o.fs, &sink, &bench.o.err) == 0 && all.n > 100,
       "%zu structures are there", all.n);
    fs_close(bench.o.fs);
    bench.o.fs = NULL;
}

/* ---- short images ---- */

static void test_truncated(void)
{
    uint64_t end = fat32_cluster_offset(&bench.geo, bench.n_used + 2);
    struct plat_dev *whole = bench.o.dev;
    unsigned n = 0, bad = 0;
    for (uint64_t size = 512; size < end; size += 512) {
        struct plat_err err;
        if (dev_open_window(whole, (struct range){0, size}, &bench.o.dev, &err) != 0)
            abort();
        bool opened = open_fs(&bench.o);
        if (opened) {
            fs_close(bench.o.fs);
            bench.o.fs = NULL;
            bool found =
                verify_into(&bench.o, &bench.found) && count_findings(&bench.found, SEVERITY_ERROR) > 0;
            bad += !found;
            if (size < (uint64_t)64 * 512 || size > bench.geo.data_offset)
                read_all();
        }
        n++;
        dev_close(bench.o.dev);
        bench.o.dev = whole;
    }
    ok(n > 1000 && bad == 0, "an image cut at any of %u sectors is an error and never a crash", n);
}

int main(void)
{
    if (!have_tools())
        return 0;
    if (!scratch_open() || !make_volume() || !open_dev(&bench.o, "t.img", true) || !settle_volume()) {
        ok(false, "the volume is made");
        return tap_done();
    }
    if (!ok(verify_into(&bench.o, &bench.found) && bench.found.n == 0, "the sound volume has no finding"))
        print_findings(&bench.found);
    test_chains();
    test_directories();
    test_names();
    test_left_overs();
    test_boot();
    gather_structures();
    test_flips(0xFF);
    test_flips(0x01);
    test_truncated();
    ok(verify_into(&bench.o, &bench.found) && bench.found.n == 0, "and is sound again at the end");
    close_all(&bench.o);
    free(bench.found.list);
    free(all.list);
    scratch_close();
    return tap_done();
}
