/* Images made to mislead: chains that loop, run into free or foreign clusters or out of the volume;
 * directories that hold themselves; names that lead elsewhere; sizes that overflow.
 *
 * For each: verify finds it (exit 1), every other command ends, extract never writes outside its target, and
 * memory stays small.
 *
 * Catches: an endless loop, a product that wraps, an allocation as large as a field says, a name that is
 * believed. */
#include <dirent.h>
#include <sys/resource.h>

#include "formats/fat32/fat32.h"
#include "gpt.gen.h"
#include "lib/hash/hash.h"
#include "mbr.gen.h"
#include "tests/unit/hostile_run.h"

enum { SLOT = FAT32_SHORT_ENTRY_BYTES, UNITS = FAT32_LONG_UNITS_EACH, MAX_RSS_KIB = 192 * 1024 };
enum { LINK_END = 0x0FFFFFFF, LINK_BAD = 0x0FFFFFF7 };

struct bench {
    struct hostile image;
    uint8_t *fat; /* the volume */
    struct fat32_geometry geo;
    uint8_t *saved;
    size_t saved_bytes; /* metadata and files: what cases change */
};
static struct bench bench;

static void bench_open(void)
{
    struct plat_err err = {0};
    struct fat32_boot boot;
    hostile_disk(&bench.image);
    bench.fat = bench.image.bytes + HOSTILE_FAT_START;
    if (!fat32_boot_view(bench.fat, FAT32_BOOT_BYTES, &boot) ||
        fat32_geometry_from_boot(boot, HOSTILE_FAT_BYTES, &bench.geo, &err) != 0)
        hostile_die("reading the boot sector", &err);
    bench.saved_bytes = HOSTILE_FAT_START + (size_t)bench.geo.data_offset + 256 * HOSTILE_CLUSTER;
    bench.saved = malloc(bench.saved_bytes);
    if (bench.saved == NULL)
        hostile_die("memory", NULL);
    memcpy(bench.saved, bench.image.bytes, bench.saved_bytes);
}

static void bench_close(void)
{
    free(bench.saved);
    hostile_close(&bench.image);
}

/* ---- making damage ---- */

static uint8_t *cluster_at(uint32_t cluster)
{
    return bench.fat + fat32_cluster_offset(&bench.geo, cluster);
}

/* The short entry with these 11 bytes, in any directory. */
static uint8_t *entry_of(const char *short_name)
{
    uint8_t *from = bench.fat + bench.geo.data_offset;
    uint8_t *entry = memmem(from, 256 * HOSTILE_CLUSTER, short_name, FAT32_SHORT_BYTES);
    if (entry == NULL || (entry - from) % SLOT != 0)
        hostile_die(short_name, NULL);
    return entry;
}

static struct fat32_short_entry_mut edit(uint8_t *entry)
{
    struct fat32_short_entry_mut ret = {0};
    (void)fat32_short_entry_edit(entry, SLOT, &ret);
    return ret;
}
static uint32_t start_of(uint8_t *entry)
{
    return fat32_short_entry_first_cluster_low(fat32_short_entry_of(edit(entry)));
}
static void set_start(uint8_t *entry, uint32_t cluster)
{
    fat32_short_entry_set_first_cluster_high(edit(entry), (uint16_t)(cluster >> 16));
    fat32_short_entry_set_first_cluster_low(edit(entry), (uint16_t)cluster);
}
/* In both FATs. */
static void set_link(uint32_t cluster, uint32_t value)
{
    for (uint32_t i = 0; i < bench.geo.num_fats; i++)
        store_le32(bench.fat + fat32_link_offset(&bench.geo, i, cluster), value);
}
static struct fat32_boot_mut boot_edit(unsigned which)
{
    struct fat32_boot_mut ret = {0};
    (void)fat32_boot_edit(bench.fat + (which == 0 ? 0 : 6 * (size_t)HOSTILE_SECTOR), FAT32_BOOT_BYTES, &ret);
    return ret;
}

/* Gives the file behind the three long-name slots of the root another long name (at most 39 units). */
static void set_long_name(const uint16_t *units, size_t n)
{
    uint8_t *entry = entry_of("ALONGN~1TEX");
    size_t pieces = n / UNITS + (n % UNITS != 0 || n == 0);
    for (size_t i = 0; i < 3; i++) {
        struct fat32_long_entry_mut piece = {0};
        uint8_t *slot = entry - (i + 1) * SLOT;
        if (!fat32_long_entry_edit(slot, SLOT, &piece))
            hostile_die("a long name", NULL);
        if (i >= pieces) {
            slot[0] = 0xE5;
            continue;
        }
        fat32_long_entry_set_order(piece, (uint8_t)((i + 1) | (i + 1 == pieces ? 0x40 : 0)));
        for (size_t k = 0; k < UNITS; k++) {
            size_t at = i * UNITS + k;
            uint16_t unit = at < n ? units[at] : at == n ? 0 : 0xFFFF;
            if (k < FAT32_LONG_ENTRY_NAME_1_UNITS)
                fat32_long_entry_set_name_1(piece, k, unit);
            else if (k < FAT32_LONG_ENTRY_NAME_1_UNITS + FAT32_LONG_ENTRY_NAME_2_UNITS)
                fat32_long_entry_set_name_2(piece, k - FAT32_LONG_ENTRY_NAME_1_UNITS, unit);
            else
                fat32_long_entry_set_name_3(
                    piece, k - FAT32_LONG_ENTRY_NAME_1_UNITS - FAT32_LONG_ENTRY_NAME_2_UNITS, unit);
        }
    }
}

/* ---- judging it ---- */

/* Nothing but the target and the canary in the scratch directory, and the canary as it was. */
static bool contained(void)
{
    char canary[96], text[16] = "";
    unsigned others = 0;
    (void)snprintf(canary, sizeof canary, "%s/canary", run_scratch);
    DIR *dir = opendir(run_scratch);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        others += e->d_name[0] != '.' && strcmp(e->d_name, "canary") != 0 && strcmp(e->d_name, "out") != 0;
    if (dir != NULL)
        (void)closedir(dir);
    FILE *f = fopen(canary, "r");
    if (f == NULL || fgets(text, sizeof text, f) == NULL)
        text[0] = '\0';
    if (f != NULL)
        (void)fclose(f);
    return dir != NULL && others == 0 && strcmp(text, "alive") == 0;
}

static unsigned bad_names, out_files;
static int look_at_name(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    out_files += S_ISREG(st->st_mode);
    for (const char *c = path + ftw->base; *c != '\0'; c++)
        bad_names += (unsigned char)*c < 0x20 || *c == 0x7f;
    return flag == FTW_SL ? 1 : 0; /* FAT32 has no links */
}

/* What a command says, and how many of its bytes a terminal would obey. */
static int run_looking(const char *const *args, unsigned *obeyed)
{
    static int fd = -1;
    static uint8_t text[1 << 22];
    if (fd < 0)
        fd = memfd_create("output", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0)
        hostile_die("a place for output", NULL);
    int code = run_command_into(fd, args);
    ssize_t n = pread(fd, text, sizeof text, 0);
    unsigned bad = 0;
    for (ssize_t i = 0; i < n; i++) {
        bool c1 = text[i] == 0xC2 && i + 1 < n && text[i + 1] >= 0x80 && text[i + 1] < 0xA0;
        bad += (text[i] < 0x20 && text[i] != '\n') || text[i] == 0x7F || c1;
    }
    *obeyed += bad;
    return code;
}

static void canary_make(void)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/canary", run_scratch);
    FILE *f = fopen(path, "w");
    if (f == NULL || fputs("alive", f) < 0 || fclose(f) != 0)
        hostile_die("the canary", NULL);
}

/* Judges the image as it is, then makes it sound again. `id`: of a finding that must be there, or NULL.
 * want_extract: its exit code, or -1 for any. */
static void expect(const char *what, const char *id, int want_extract)
{
    static struct hostile_verdict verdict;
    const char *image = bench.image.path;
    char out[96];
    (void)snprintf(out, sizeof out, "%s/out", run_scratch);
    (void)alarm(RUN_SECONDS);
    hostile_judge(bench.image.dev, NULL, &verdict);
    (void)alarm(0);
    bool has_id = id == NULL;
    for (size_t i = 0; i < verdict.n; i++)
        has_id = has_id || (id != NULL && strcmp(verdict.list[i].id, id) == 0);
    if (!ok(hostile_exit_code(&verdict) == 1 && has_id, "%s: verify finds it%s%s", what,
            id != NULL ? ", as " : "", id != NULL ? id : ""))
        hostile_print(&verdict);
    const char *const extract[] = {"extract", image, "-C", out, NULL};
    unsigned odd = 0, obeyed = 0;
    int code = run_looking(extract, &obeyed);
    bad_names = out_files = 0;
    bool walked = access(out, F_OK) != 0 || nftw(out, look_at_name, 16, FTW_PHYS) == 0;
    if (!ok((want_extract < 0 ? code >= 0 && code <= 2 : code == want_extract) && contained() && walked &&
                bad_names == 0,
            "%s: extract stays in its target (exit %d, %u files)", what, code, out_files))
        printf("# wanted %d, contained %d, bad names %u\n", want_extract, contained(), bad_names);
    const char *const others[][5] = {{"ls", "-lR", image},
                                     {"dump", image},
                                     {"dump", "--json", image},
                                     {"hex", image, "--at", "1100000"},
                                     {"verify", image},
                                     {"ls", "--json", "-R", image},
                                     {"extract", image, "-o", "-"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        bool archive = i + 1 == sizeof others / sizeof others[0];
        unsigned before = obeyed;
        int other = archive ? run_command(others[i]) : run_looking(others[i], &obeyed);
        odd += other < 0 || other > 2;
        if (obeyed > before)
            printf("# %s %s prints control characters\n", others[i][0], others[i][1]);
    }
    if (odd > 0 || obeyed > 0)
        ok(false, "%s: every command ends with 0, 1 or 2, and prints no control characters", what);
    run_remove(out);
    memcpy(bench.image.bytes, bench.saved, bench.saved_bytes);
}

/* ---- chains ---- */

static void test_chains(void)
{
    uint8_t *boot = entry_of("BOOTX64 EFI"), *last = entry_of("LAST    BIN");
    uint32_t first = start_of(boot);
    set_link(first + 5, first);
    expect("a file whose chain is a loop behind its end", "chain-loop", 0);
    set_link(first + 2, first + 2);
    expect("a cluster that leads to itself", "chain-loop", 1);
    set_link(first + 4, first + 2);
    expect("a file whose chain comes back before its end", "chain-loop", 1);
    set_link(first + 2, 0);
    expect("a chain that runs into a free cluster", "chain-broken", 1);
    set_link(first + 2, 1);
    expect("a chain that runs into cluster 1", "chain-broken", 1);
    set_link(first + 2, LINK_BAD);
    expect("a chain that runs into a bad cluster", "chain-broken", 1);
    set_link(first + 2, bench.geo.cluster_count + 2);
    expect("a chain that leaves the volume by one", "chain-broken", 1);
    set_link(first + 2, 0x0FFFFFF5);
    expect("a chain that leaves the volume by far", "chain-broken", 1);
    set_link(first + 2, LINK_END);
    expect("a chain that ends too soon", NULL, 1);
    set_link(first + 2, start_of(last));
    expect("two files that share clusters", "cross-link", -1);
    set_start(last, first);
    expect("two files that start at one cluster", "cross-link", -1);
    set_start(boot, 0x0FFFFFF0);
    expect("a file that starts outside", "first-cluster", 1);
    set_start(boot, 0);
    expect("a file that starts nowhere", "first-cluster", 1);
    fat32_short_entry_set_size_bytes(edit(boot), UINT32_MAX);
    expect("a file of 4 GiB in six clusters", NULL, 1);
}

static void test_directories(void)
{
    uint8_t *tree = entry_of("TREE       "), *sub = entry_of("SUB        ");
    uint32_t tree0 = start_of(tree), sub0 = start_of(sub);
    set_link(sub0, sub0);
    expect("a directory whose chain is a loop", "chain-loop", 1);
    set_start(sub, tree0);
    expect("a directory in itself", "cross-link", 1);
    set_start(sub, bench.geo.root_cluster);
    expect("the root in a directory", "cross-link", 1);
    set_start(sub, 0);
    expect("the root in a directory, by number 0", "first-cluster", -1);
    set_start(tree, sub0);
    expect("a directory in the place of one below it", "dotdot-target", -1);
    set_start(sub, start_of(entry_of("SECOND~1CON")));
    expect("a directory in a file's place", "cross-link", -1);
    set_link(sub0, 0x0FFFFFF5);
    expect("a directory whose chain leaves the volume", "chain-broken", 1);
    /* The root's chain. */
    set_link(bench.geo.root_cluster, bench.geo.root_cluster);
    expect("a root that is a loop", "chain-loop", -1);
    /* Every entry a directory that starts at the root: as bushy as trees can get. */
    for (size_t i = 2; i < 16; i++) {
        uint8_t *slot = cluster_at(tree0) + i * SLOT;
        memcpy(slot, "DIR0       \x10", 12);
        slot[3] = (uint8_t)('A' + i);
        set_start(slot, tree0);
    }
    expect("a directory full of itself", "cross-link", 1);
}

/* ---- names ---- */

static void test_long_names(void)
{
    static const struct {
        const char *what;
        uint16_t units[40];
        int extract; /* 0: the name that is left is harmless */
    } names[] = {
        {"..", {'.', '.'}, 1},
        {".", {'.'}, 1},
        {"../canary", {'.', '.', '/', 'c', 'a', 'n', 'a', 'r', 'y'}, 1},
        {"../../../../tmp/x",
         {'.', '.', '/', '.', '.', '/', '.', '.', '/', '.', '.', '/', 't', 'm', 'p', '/', 'x'},
         1},
        {"/tmp/x", {'/', 't', 'm', 'p', '/', 'x'}, 1},
        {"a/b", {'a', '/', 'b'}, 1},
        {"/", {'/'}, 1},
        {"a newline", {'a', '\n', 'b'}, 1},
        {"an escape", {'a', 0x1B, '[', '2', 'J'}, 1},
        {"a delete", {'a', 0x7F}, 1},
        {"a C1 control", {'a', 0x85, 'b'}, 1},
        {"\\..\\canary", {'\\', '.', '.', '\\', 'c'}, 0},
        {"half a pair", {'a', 0xD800, 'b'}, 0},
        {"the other half", {0xDC00}, 0},
        {"a wildcard", {'*'}, 0},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = 0;
        char what[64];
        while (names[i].units[n] != 0)
            n++;
        set_long_name(names[i].units, n);
        (void)snprintf(what, sizeof what, "a long name: %s", names[i].what);
        /* DEL and C1 controls are legal on FAT32, and only extract minds: verify gets another fault to find.
         */
        bool legal = names[i].units[1] == 0x7F || names[i].units[1] == 0x85;
        if (!legal) {
            expect(what, "long-name", names[i].extract);
        } else {
            set_link(start_of(entry_of("LAST    BIN")), 1);
            expect(what, NULL, names[i].extract);
        }
    }
    static const uint16_t hidden[] = {'.', '.', 0, '/', 'x'};
    set_long_name(hidden, 5);
    expect("a long name with a NUL in it", "long-padding", 1);
    static const uint16_t nothing[] = {0};
    set_long_name(nothing, 0);
    expect("an empty long name", NULL, 0);
}

static void test_short_names(void)
{
    static const struct {
        const char *what;
        uint8_t bytes[FAT32_SHORT_BYTES + 1];
        int extract;
    } names[] = {
        {"A/B", "A/B        ", 1},
        {"/", "/          ", 1},
        {"../A", "../A       ", 1},
        {"control",
         "A\x01"
         "B        ",
         1},
        {"escape", "\x1b[2J       ", 1},
        {"NUL", "A\0B        ", 0},
        {"spaces", "           ", 0},
        {"a dot inside", "A.B     C  ", 0},
        {"an extension alone", "        EXT", -1},
        {"..", "..         ", -1},
        {"delete", "A\x7f         ", 1},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char what[64];
        memcpy(entry_of("README  TXT"), names[i].bytes, FAT32_SHORT_BYTES);
        if (names[i].bytes[1] == 0x7F) /* legal on FAT32: only extract minds */
            set_link(start_of(entry_of("LAST    BIN")), 1);
        (void)snprintf(what, sizeof what, "an 8.3 name: %s", names[i].what);
        expect(what, NULL, names[i].extract);
    }
    /* A directory whose name leads up, with a file in it. */
    memcpy(entry_of("SUB        "), "..         ", FAT32_SHORT_BYTES);
    expect("a second '..' that is a directory with files", NULL, -1);
    memcpy(entry_of("SUB        "), "../X       ", FAT32_SHORT_BYTES);
    expect("a directory called '../X'", "short-name", 1);
}

/* ---- sizes ---- */

static void test_boot_sizes(void)
{
    for (unsigned i = 0; i < 12; i++) {
        static const char *const what[] = {"the largest count of sectors",
                                           "the largest FAT",
                                           "65,535 reserved sectors",
                                           "255 FATs",
                                           "128 sectors a cluster",
                                           "sectors of 4096 bytes",
                                           "a root beyond all clusters",
                                           "FSInfo beyond all",
                                           "a backup beyond all",
                                           "everything at its largest",
                                           "no sector at all",
                                           "a FAT of one sector"};
        for (unsigned copy = 0; copy < 2; copy++) {
            struct fat32_boot_mut boot = boot_edit(copy);
            if (i == 0 || i == 9)
                fat32_boot_set_total_sectors_32(boot, UINT32_MAX);
            if (i == 1 || i == 9)
                fat32_boot_set_sectors_per_fat(boot, UINT32_MAX);
            if (i == 2 || i == 9)
                fat32_boot_set_reserved_sectors(boot, UINT16_MAX);
            if (i == 3 || i == 9)
                fat32_boot_set_num_fats(boot, UINT8_MAX);
            if (i == 4 || i == 9)
                fat32_boot_set_sectors_per_cluster(boot, 128);
            if (i == 5 || i == 9)
                fat32_boot_set_bytes_per_sector(boot, 4096);
            if (i == 6 || i == 9)
                fat32_boot_set_root_cluster(boot, UINT32_MAX);
            if (i == 7)
                fat32_boot_set_fsinfo_sector(boot, UINT16_MAX);
            if (i == 8)
                fat32_boot_set_backup_boot_sector(boot, UINT16_MAX);
            if (i == 10)
                fat32_boot_set_total_sectors_32(boot, 0);
            if (i == 11)
                fat32_boot_set_sectors_per_fat(boot, 1);
        }
        expect(what[i], NULL, -1);
    }
    for (unsigned copy = 0; copy < 2; copy++) {
        fat32_boot_set_total_sectors_32(boot_edit(copy), UINT32_MAX);
        fat32_boot_set_sectors_per_fat(boot_edit(copy), 0x00FFFFFF);
    }
    expect("as many clusters as sectors can be counted, and a FAT for them", NULL, -1);
}

/* Both headers, sealed again, so that nothing but the sizes is wrong. */
struct gpt_change {
    const char *what;
    uint64_t entries_lba, alternate_lba, first_usable, last_usable; /* 0: as it is */
    uint32_t count, bytes, header_bytes;
    uint64_t first_lba, last_lba; /* of partition 1 */
};

static void gpt_apply(const struct gpt_change *c)
{
    uint8_t *bytes = bench.image.bytes;
    const uint64_t backup = HOSTILE_DISK_BYTES / HOSTILE_SECTOR - 1;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *sector = bytes + (i == 0 ? 1 : backup) * HOSTILE_SECTOR;
        struct gpt_header_mut header = {0};
        struct gpt_entry_mut entry = {0};
        if (!gpt_header_edit(sector, HOSTILE_SECTOR, &header))
            hostile_die("a GPT header", NULL);
        uint8_t *array = bytes + gpt_header_entries_lba(gpt_header_of(header)) * HOSTILE_SECTOR;
        if (!gpt_entry_edit(array, GPT_ENTRY_BYTES, &entry))
            hostile_die("a GPT entry", NULL);
        if (c->first_lba != 0)
            gpt_entry_set_first_lba(entry, c->first_lba);
        if (c->last_lba != 0)
            gpt_entry_set_last_lba(entry, c->last_lba);
        gpt_header_set_entries_crc32(header, hash_crc32(0, array, 128 * GPT_ENTRY_BYTES));
        if (c->entries_lba != 0)
            gpt_header_set_entries_lba(header, c->entries_lba);
        if (c->alternate_lba != 0)
            gpt_header_set_alternate_lba(header, c->alternate_lba);
        if (c->first_usable != 0)
            gpt_header_set_first_usable_lba(header, c->first_usable);
        if (c->last_usable != 0)
            gpt_header_set_last_usable_lba(header, c->last_usable);
        if (c->count != 0)
            gpt_header_set_entry_count(header, c->count);
        if (c->bytes != 0)
            gpt_header_set_entry_bytes(header, c->bytes);
        if (c->header_bytes != 0)
            gpt_header_set_header_bytes(header, c->header_bytes);
        gpt_header_set_header_crc32(header, 0);
        gpt_header_set_header_crc32(header, hash_crc32(0, sector, GPT_HEADER_BYTES));
    }
}

static void test_gpt_sizes(void)
{
    static const struct gpt_change changes[] = {
        {.what = "2^32-1 entries", .count = UINT32_MAX},
        {.what = "entries of 2^32-1 bytes", .bytes = UINT32_MAX},
        {.what = "2^32-1 entries of 2^32-1 bytes", .count = UINT32_MAX, .bytes = UINT32_MAX},
        {.what = "an array of 2^32 bytes", .count = 1u << 25, .bytes = 128},
        {.what = "an array of 4 MiB and one entry", .count = (1u << 15) + 1},
        {.what = "entries of one byte", .bytes = 1, .count = 16384},
        {.what = "an array at sector 2^64-1", .entries_lba = UINT64_MAX},
        {.what = "an array at sector 2^55", .entries_lba = 1ull << 55},
        {.what = "an array whose end overflows", .entries_lba = (1ull << 55) - 1},
        {.what = "a backup at sector 2^64-1", .alternate_lba = UINT64_MAX},
        {.what = "a backup at sector 2^55", .alternate_lba = 1ull << 55},
        {.what = "a usable area to 2^64-1", .last_usable = UINT64_MAX},
        {.what = "a usable area from 2^64-1", .first_usable = UINT64_MAX, .last_usable = UINT64_MAX},
        {.what = "a header of 2^32-1 bytes", .header_bytes = UINT32_MAX},
        {.what = "a partition to sector 2^64-1", .last_lba = UINT64_MAX},
        {.what = "a partition at sector 2^64-1", .first_lba = UINT64_MAX, .last_lba = UINT64_MAX},
        {.what = "a partition of 2^64-1 sectors", .first_lba = 1, .last_lba = UINT64_MAX},
        {.what = "a partition at sector 2^55", .first_lba = 1ull << 55, .last_lba = (1ull << 55) + 99},
        {.what = "a partition of 2^55 sectors", .first_lba = 2048, .last_lba = (1ull << 55) + 2047},
        {.what = "a partition over all there is, and more", .first_lba = 1, .last_lba = 1ull << 54},
    };
    const size_t tail = 40 * (size_t)HOSTILE_SECTOR;
    uint8_t *end = bench.image.bytes + HOSTILE_DISK_BYTES - tail;
    uint8_t *saved = malloc(tail);
    if (saved == NULL)
        hostile_die("memory", NULL);
    memcpy(saved, end, tail);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        gpt_apply(&changes[i]);
        expect(changes[i].what, NULL, -1);
        memcpy(end, saved, tail);
    }
    free(saved);
}

static void test_mbr_sizes(void)
{
    static const uint32_t values[][2] = {{UINT32_MAX, 1}, {1, UINT32_MAX},          {UINT32_MAX, UINT32_MAX},
                                         {0, UINT32_MAX}, {0x80000000, 0x80000000}, {8192, 1}};
    static struct hostile_verdict verdict;
    struct hostile image;
    hostile_mbr(&image);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct mbr_boot_record_mut mbr = {0};
        struct mbr_record_mut record = {0};
        if (!mbr_boot_record_edit(image.bytes, HOSTILE_SECTOR, &mbr) ||
            !mbr_boot_record_edit_partitions(mbr, 0, &record))
            hostile_die("an MBR", NULL);
        mbr_record_set_first_lba(record, values[i][0]);
        mbr_record_set_sectors(record, values[i][1]);
        hostile_judge(image.dev, NULL, &verdict);
        if (!ok(hostile_exit_code(&verdict) == 1, "MBR: a partition at sector %u of %u sectors is an error",
                values[i][0], values[i][1]))
            hostile_print(&verdict);
    }
    hostile_close(&image);
}

int main(void)
{
    struct rusage usage = {0};
    run_scratch_open();
    canary_make();
    bench_open();
    test_chains();
    test_directories();
    test_long_names();
    test_short_names();
    test_boot_sizes();
    test_gpt_sizes();
    test_mbr_sizes();
    static struct hostile_verdict verdict;
    hostile_judge(bench.image.dev, NULL, &verdict);
    if (!ok(verdict.open_class == 0 && verdict.n == 0, "the image is sound again at the end"))
        hostile_print(&verdict);
    bench_close();
    (void)getrusage(RUSAGE_SELF, &usage);
#ifndef __SANITIZE_ADDRESS__
    ok(usage.ru_maxrss < MAX_RSS_KIB, "no size made memory grow beyond %ld KiB", usage.ru_maxrss);
#endif
    run_remove(run_scratch);
    return tap_done();
}
