/* Any bytes as an archive: gathered into a tree, listed, read back, and planned as a FAT32 filesystem. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fs/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct tree_options tree_options = {.has_clamp = true, .clamp_s = 1700000000, .spool_dir = "/dev/shm"};
    struct make_options options = {.seed = "fuzz", .sector_bytes = 512};
    struct tree *tree;
    struct plat_err err;
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0 &&
        tree_open(&tree_options, &tree, &err) == 0) {
        if (tree_add_archive(tree, "/", path, &err) == 0 && tree_finish(tree, &err) == 0) {
            char digest[65];
            struct make_plan *plan;
            const struct fs_maker *maker = fs_driver_find("fat32")->maker;
            uint64_t least;
            tree_digest(tree, true, digest);
            if (maker->plan(tree, &options, &plan, &err) == 0) {
                (void)maker->min_bytes(plan, 0, &least, &err);
                maker->close(plan);
            }
        }
        tree_close(tree);
    }
    (void)close(fd);
    return 0;
}
