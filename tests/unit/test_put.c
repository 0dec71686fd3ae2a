/* plat put when staged changes take more memory than they may: commits between whole files, and what a failure behind them
 * leaves. The command itself is tested by tests/cli/caposwf1_files.bats.
 *
 * Catches: a file that a commit cuts in two, a count of what is stored that is wrong, a commit where none is needed. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/caposwf1/writer.h"
#include "mkimage/commands.h"
#include "mkimage/files.h"
#include "tests/unit/tap.h"

enum { FILES = 60, FILE_BYTES = 3000, BLOCKS = 4000 };

static void must(bool good, const char *what)
{
    if (good)
        return;
    printf("Bail out! %s\n", what);
    exit(1);
}

static void make_sources(void)
{
    char name[32];
    must(mkdir("src", 0755) == 0, "mkdir");
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "src/%02d", i);
        FILE *f = fopen(name, "we");
        must(f != NULL, "fopen");
        for (int k = 0; k < FILE_BYTES; k++)
            (void)putc(1 + i, f);
        must(fclose(f) == 0, "fclose");
    }
}

static void make_image(void)
{
    struct plat_dev *dev;
    const struct wf1_shape shape = {.region_first_block = 2, .region_blocks = BLOCKS - 2};
    FILE *f = fopen("w.img", "we");
    must(f != NULL && fclose(f) == 0 && truncate("w.img", (off_t)BLOCKS * WF1_BLOCK_BYTES) == 0, "an image");
    must(dev_open_file("w.img", true, &dev, NULL) == 0 && wf1_format(dev, &shape, NULL) == 0, "a filesystem");
    dev_close(dev);
}

/* ---- what a reader sees ---- */

struct seen {
    struct fs *fs;
    unsigned files, broken;
};
static int count_file(void *ctx, const struct fs_dirent *entry)
{
    struct seen *seen = ctx;
    seen->files += entry->kind == TREE_FILE;
    return 0;
}

static void look(unsigned *ret_files, unsigned *ret_broken)
{
    struct plat_dev *dev;
    struct volume *vol;
    const struct fs_open_options options = {0};
    uint64_t dir, node;
    must(dev_open_file("w.img", false, &dev, NULL) == 0 &&
             wf1_volume_open(dev, NULL, &options, NULL, &vol, NULL) == 0,
         "opening for reading");
    struct seen seen = {.fs = &vol->fs};
    if (fs_resolve(&vol->fs, "/src", &dir, NULL) == 0)
        must(vol->fs.driver->readdir(&vol->fs, dir, count_file, &seen, NULL) == 0, "readdir");
    for (unsigned i = 0; i < seen.files; i++) {
        uint8_t bytes[FILE_BYTES + 1];
        char name[32];
        size_t n = 0;
        (void)snprintf(name, sizeof name, "/src/%02u", i);
        bool good = fs_resolve(&vol->fs, name, &node, NULL) == 0 &&
                    vol->fs.driver->read(&vol->fs, node, 0, bytes, sizeof bytes, &n, NULL) == 0;
        seen.broken += !good || n != FILE_BYTES || !bytes_all(bytes, n, (uint8_t)(1 + i));
    }
    *ret_files = seen.files;
    *ret_broken = seen.broken;
    wf1_volume_close(vol);
    dev_close(dev);
}

/* ---- the command, with less memory ---- */

static uint64_t staged_max_bytes, committed;
static int put_rc;

static int run_put(struct cli *cli)
{
    struct files files = {.cli = cli, .image = cli->args[0]};
    struct plat_err err = {0};
    const size_t last = cli->n_args - 1;
    committed = 0;
    must(files_enter(&files, NULL, 0, &err) == 0 && files_begin(&files, &err) == 0, err.text);
    put_rc = files_put(&files, cli->args + 1, last - 1, cli->args[last], staged_max_bytes, &committed, &err);
    if (put_rc == 0)
        must(files.driver->writer->finish(files.fs, &err) == 0, err.text);
    files_leave(&files);
    return EXIT_YES;
}

static void put(uint64_t max_bytes, const char *second)
{
    struct command command = command_put;
    const struct command *const commands[] = {&command};
    char *argv[] = {(char *)"plat", (char *)"put",  (char *)"w.img",
                    (char *)"src",  (char *)second, (char *)"/"};
    command.run = run_put;
    staged_max_bytes = max_bytes;
    make_image();
    must(cli_main(commands, 1, 6, argv) == 0, "the command line");
}

int main(void)
{
    char dir[] = "/tmp/plat-put-XXXXXX";
    unsigned files, broken;
    must(mkdtemp(dir) != NULL && chdir(dir) == 0, "a directory");
    make_sources();

    put(UINT64_MAX, "src/00");
    look(&files, &broken);
    ok(put_rc == 0 && committed == 0 && files == FILES && broken == 0, "with memory enough it is one commit");

    put(12000, "src/00");
    look(&files, &broken);
    ok(put_rc == 0 && committed > 1 && files == FILES && broken == 0,
       "with little memory there are commits on the way: the last of them behind %llu entries",
       (unsigned long long)committed);

    put(UINT64_MAX, "nowhere");
    look(&files, &broken);
    ok(put_rc == PLAT_ENOTFOUND && committed == 0 && files == 0,
       "a source that is not there: nothing is stored");

    put(12000, "nowhere");
    look(&files, &broken);
    ok(put_rc == PLAT_ENOTFOUND && files > 1 && files == committed && files < FILES && broken == 0,
       "a source that is not there, behind commits: %u whole files are stored, and that is said", files);

    must(system("rm -rf src w.img") == 0 && chdir("/") == 0 && rmdir(dir) == 0, "cleaning up");
    return tap_done();
}
