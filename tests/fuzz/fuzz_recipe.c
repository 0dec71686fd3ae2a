/* Any bytes as a recipe: read, substituted, checked. Sources are not looked at, so no file but the recipe is
 * opened. The same bytes must get the same verdict and digest twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mkimage/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const defines[] = {"NAME=value", "EMPTY=", "NUMBER=7", "NESTED=${NAME}"};
    char path[64], digest[2][65] = {"", ""};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    int verdict[2] = {0, 0};
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (unsigned i = 0; i < 2; i++) {
        struct recipe *recipe = NULL;
        struct plat_err err = {0};
        verdict[i] = recipe_load(path, defines, sizeof defines / sizeof defines[0], &recipe, &err);
        if (verdict[i] != 0) {
            if (err.text[0] == '\0')
                abort();
            continue;
        }
        memcpy(digest[i], recipe->digest, sizeof digest[i]);
        if (recipe->n_partitions > 0 && recipe->partitions[0].content != NULL)
            (void)recipe_host_path(recipe, recipe->partitions[0].content);
        recipe_close(recipe);
    }
    if (verdict[0] != verdict[1] || strcmp(digest[0], digest[1]) != 0)
        abort();
    (void)close(fd);
    return 0;
}
