/* What decompression alone costs: the floor under plat verify --data.
 *
 *      decode_floor [-j THREADS] IMAGE
 *
 * Finds the blocks of a SquashFS image (contents and fragments, each once), and decompresses them out of memory: no reading, no
 * order, no verdict but that it works. Build: make build/bench/decode_floor; use: tests/bench/squashfs_read.sh, which takes the time. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/squashfs/check.h"
#include "lib/fs/driver.h"
#include "lib/io/private.h"

enum { THREADS_MAX = 64, RUN_BLOCKS = 32 };

struct floor {
    struct sq_check check; /* first */
    const uint8_t *image;
    atomic_size_t next;
    atomic_uint failed;
};

static void *decode_some(void *arg)
{
    struct floor *floor = arg;
    struct volume *vol = floor->check.vol;
    struct sq_worker *worker = NULL;
    uint8_t *out = malloc(vol->super.block_bytes);
    struct plat_err err;
    if (out == NULL || sq_worker_take(vol, &worker, &err) != 0) {
        atomic_fetch_add(&floor->failed, 1);
        free(out);
        return NULL;
    }
    for (size_t i; (i = atomic_fetch_add(&floor->next, RUN_BLOCKS)) < floor->check.n_blocks;) {
        for (size_t k = i; k < i + RUN_BLOCKS && k < floor->check.n_blocks; k++) {
            const struct sq_stored *block = &floor->check.blocks[k];
            size_t n = 0;
            const bool again = k > 0 && block->offset == block[-1].offset;
            if (!again && squashfs_block_size_plain(block->word) == 0 &&
                codec_decode(worker->decoder, floor->image + block->offset,
                             squashfs_block_size_bytes(block->word), out, vol->super.block_bytes, &n,
                             &err) != 0)
                atomic_fetch_add(&floor->failed, 1);
        }
    }
    sq_worker_give(vol, worker);
    free(out);
    return NULL;
}

static int run(const char *path, unsigned n_threads, struct plat_err *err)
{
    const struct fs_open_options options = {0};
    const struct finding_sink nobody = {0};
    struct plat_dev *dev = NULL;
    struct fs *fs = NULL;
    struct floor floor = {.check = {.sink = &nobody, .err = err}};
    pthread_t threads[THREADS_MAX];
    unsigned started = 0;
    int rc = dev_open_file(path, false, &dev, err);
    if (rc == 0)
        rc = fs_open(fs_driver_find("squashfs"), dev, &options, &fs, err);
    if (rc == 0) {
        void *image = mmap(NULL, (size_t)dev->size_bytes, PROT_READ, MAP_SHARED, dev_fd(dev), 0);
        rc = image == MAP_FAILED ? err_set(err, PLAT_EIO, "cannot map the image") : 0;
        floor.image = image;
        floor.check.vol = volume_of(fs);
    }
    if (rc == 0)
        rc = sq_check_collect(&floor.check, false);
    if (rc == 0) {
        sq_check_sort(&floor.check);
        while (started < n_threads && pthread_create(&threads[started], NULL, decode_some, &floor) == 0)
            started++;
        for (unsigned i = 0; i < started; i++)
            (void)pthread_join(threads[i], NULL);
        if (started == 0 || atomic_load(&floor.failed) > 0)
            rc = err_set(err, PLAT_ECORRUPT, "%u blocks do not decompress", atomic_load(&floor.failed));
    }
    sq_check_free(&floor.check);
    fs_close(fs);
    dev_close(dev);
    return rc;
}

int main(int argc, char **argv)
{
    struct plat_err err = {0};
    unsigned n_threads = 1;
    for (int c; (c = getopt(argc, argv, "j:")) != -1;) {
        n_threads = c == 'j' ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        if (n_threads == 0 || n_threads > THREADS_MAX)
            return 2;
    }
    if (argc != optind + 1 || run(argv[optind], n_threads, &err) != 0) {
        (void)fprintf(stderr, "decode_floor: %s\n", argc != optind + 1 ? "one image" : err.text);
        return 2;
    }
    return 0;
}
