/* Images that end too soon: cut at every sector of their metadata, and here and there in what follows.
 *
 * Whatever is cut, `verify` says so (1) or that nothing is left to judge (2), never that all is well; and no
 * command crashes or hangs.
 *
 * Catches: a read behind the end, a check that takes a missing structure for a sound one, a loop that waits
 * for bytes that do not come. */
#include "tests/unit/hostile_run.h"

enum { STEP_SECTORS = 977 /* between samples outside the metadata */, COMMANDS_EACH = 16 };

struct cut {
    const struct hostile *whole;
    struct hostile part; /* grows from cut to cut; dev is not used */
    uint64_t have_bytes;
    unsigned offered, share; /* one cut in `share` is tried */
    unsigned n, sound, failed, commands, odd;
};

static void cut_open(const struct hostile *whole, struct cut *ret)
{
    *ret = (struct cut){.whole = whole, .share = tap_share()};
    ret->part.fd = memfd_create("cut", MFD_CLOEXEC);
    if (ret->part.fd < 0)
        hostile_die("memory for an image", NULL);
    (void)snprintf(ret->part.path, sizeof ret->part.path, "/proc/self/fd/%d", ret->part.fd);
}

static void cut_close(struct cut *cut)
{
    (void)close(cut->part.fd);
}

/* The first size_bytes of the image; sizes only grow. */
static void cut_grow(struct cut *cut, uint64_t size_bytes)
{
    for (uint64_t at = cut->have_bytes; at < size_bytes; at += HOSTILE_SECTOR) {
        size_t n = size_bytes - at < HOSTILE_SECTOR ? (size_t)(size_bytes - at) : HOSTILE_SECTOR;
        if (bytes_all(cut->whole->bytes + at, n, 0))
            continue;
        if (pwrite(cut->part.fd, cut->whole->bytes + at, n, (off_t)at) != (ssize_t)n)
            hostile_die("writing an image", NULL);
    }
    if (ftruncate(cut->part.fd, (off_t)size_bytes) != 0)
        hostile_die("writing an image", NULL);
    cut->have_bytes = size_bytes;
}

static void run_all(struct cut *cut)
{
    const char *image = cut->part.path;
    char out[96], middle[32];
    (void)snprintf(out, sizeof out, "%s/out", run_scratch);
    (void)snprintf(middle, sizeof middle, "%llu", (unsigned long long)(cut->have_bytes / 2));
    const char *const lines[][RUN_MAX_ARGS] = {
        {"verify", "-q", image},
        {"ls", "-lR", image},
        {"ls", "--json", image},
        {"extract", image, "-C", out},
        {"extract", image, "-o", "-"},
        {"cat", image, "EFI/BOOT/BOOTX64.EFI"},
        {"dump", image},
        {"dump", "--json", image},
        {"dump", image, "gpt.entries"},
        {"hex", image, "--at", "0"},
        {"hex", image, "--at", middle, "--length", "600"},
        {"hex", image, "gpt"},
        {"hex", image, "boot"},
        {"get", image, "gpt.primary.entry_count"},
        {"get", image, "boot.bytes_per_sector"},
        {"get", image, "mbr.sector.partitions[0].sectors"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        int code = run_command(lines[i]);
        cut->commands++;
        bool good = code == 1 || code == 2 || (code == 0 && i > 0);
        cut->odd += !good;
        if (!good && cut->odd < 10)
            printf("# %s %s: exit %d at %llu bytes\n", lines[i][0], lines[i][1], code,
                   (unsigned long long)cut->have_bytes);
    }
    run_remove(out);
}

static void cut_one(struct cut *cut, uint64_t size_bytes)
{
    static struct hostile_verdict verdict;
    struct plat_err err = {0};
    struct plat_dev *dev = NULL;
    if (cut->offered++ % cut->share != 0)
        return;
    cut_grow(cut, size_bytes);
    cut->n++;
    (void)alarm(RUN_SECONDS);
    if (dev_open_file(cut->part.path, false, &dev, &err) == 0) {
        hostile_judge(dev, NULL, &verdict);
        dev_close(dev);
        int code = hostile_exit_code(&verdict);
        bool clear = code == 1 || (code == 2 && verdict.open_class != 0 && verdict.err.text[0] != '\0');
        cut->sound += code == 0;
        cut->failed += !clear && code != 0;
        if (!clear && cut->sound + cut->failed < 10) {
            printf("# exit %d at %llu bytes\n", code, (unsigned long long)size_bytes);
            hostile_print(&verdict);
        }
    }
    (void)alarm(0);
    if (cut->n % COMMANDS_EACH == 1)
        run_all(cut);
}

/* Where the image's metadata ends and free space begins: behind the last byte that is not 0 before `limit`.
 */
static uint64_t last_used(const struct hostile *image, uint64_t limit)
{
    while (limit > 0 && bytes_all(image->bytes + limit - HOSTILE_SECTOR, HOSTILE_SECTOR, 0))
        limit -= HOSTILE_SECTOR;
    return limit;
}

/* Every sector of [0, front] and [tail, end), samples between and at odd sizes. */
static void test_cuts(const char *what, const struct hostile *image, const struct range *dense,
                      size_t n_dense)
{
    struct cut cut;
    cut_open(image, &cut);
    const uint64_t sectors = image->size_bytes / HOSTILE_SECTOR;
    for (uint64_t sector = 0; sector < sectors; sector++) {
        uint64_t at = sector * HOSTILE_SECTOR;
        bool take = sector % STEP_SECTORS == 0;
        for (size_t i = 0; i < n_dense; i++)
            take = take || (at >= dense[i].start && at - dense[i].start <= dense[i].bytes);
        if (!take)
            continue;
        cut_one(&cut, at);
        if (sector % 7 == 0)
            cut_one(&cut, at + 1 + sector % 510);
    }
    ok(cut.n > 100 / cut.share && cut.sound == 0,
       "%s: cut at %u places, no rest of it is taken for a whole image", what, cut.n);
    ok(cut.failed == 0, "%s: verify never fails without a reason", what);
    ok(cut.commands > 100 / cut.share && cut.odd == 0, "%s: %u commands end with 0, 1 or 2", what,
       cut.commands);
    cut_close(&cut);
}

int main(void)
{
    struct hostile image;
    run_scratch_open();
    hostile_disk(&image);
    uint64_t used = last_used(&image, HOSTILE_FAT_START + HOSTILE_FAT_BYTES);
    const struct range disk[] = {
        {0, 40 * HOSTILE_SECTOR},
        {HOSTILE_FAT_START - HOSTILE_SECTOR, used - HOSTILE_FAT_START + 2 * HOSTILE_SECTOR},
        {HOSTILE_DISK_BYTES - 36 * HOSTILE_SECTOR, 36 * HOSTILE_SECTOR}};
    test_cuts("a GPT disk with a FAT32", &image, disk, 3);
    hostile_close(&image);

    hostile_open(HOSTILE_FAT_BYTES, &image);
    hostile_fat(image.dev, 0, HOSTILE_FAT_BYTES);
    const struct range fat = {0, last_used(&image, HOSTILE_FAT_BYTES) + HOSTILE_SECTOR};
    test_cuts("a FAT32", &image, &fat, 1);
    hostile_close(&image);

    hostile_mbr(&image);
    const struct range mbr[] = {{0, 4 * HOSTILE_SECTOR},
                                {HOSTILE_MIB - 64 * HOSTILE_SECTOR, 128 * HOSTILE_SECTOR}};
    test_cuts("an MBR disk", &image, mbr, 2);
    hostile_close(&image);
    run_remove(run_scratch);
    return tap_done();
}
