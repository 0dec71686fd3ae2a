/* Embedded layouts, each loaded once.
 *
 * This is the one exception to "no global mutable state in lib/": a layout is immutable once it is loaded and
 * costs a millisecond to load, so the process keeps those that were asked for. The lock makes it safe for
 * threads; what it guards never changes back, so nobody can see the difference but by time. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/driver.h"

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct layout **cache; /* by index in embedded_schemas; NULL: not loaded yet */

static int load_locked(size_t i, const struct layout **ret, struct plat_err *err)
{
    if (cache == NULL) {
        cache = calloc(n_embedded_schemas, sizeof *cache);
        if (cache == NULL)
            return err_nomem(err, "loading a layout");
    }
    if (cache[i] == NULL) {
        const struct embedded_schema *schema = &embedded_schemas[i];
        int rc = layout_load(schema->json, schema->n, schema->name, &cache[i], err);
        if (rc != 0)
            return rc;
    }
    *ret = cache[i];
    return 0;
}

bool fs_layout_is_alone(const char *name)
{
    for (size_t i = 0; i < n_fs_drivers; i++)
        if (fs_drivers[i]->layout_name != NULL && strcmp(fs_drivers[i]->layout_name, name) == 0)
            return false;
    return true;
}

int fs_layout(const char *name, const struct layout **ret, struct plat_err *err)
{
    for (size_t i = 0; i < n_embedded_schemas; i++) {
        if (strcmp(embedded_schemas[i].name, name) != 0)
            continue;
        (void)pthread_mutex_lock(&cache_lock);
        int rc = load_locked(i, ret, err);
        (void)pthread_mutex_unlock(&cache_lock);
        return rc;
    }
    struct strbuf known = {0};
    for (size_t i = 0; i < n_embedded_schemas; i++)
        strbuf_printf(&known, "%s%s", i == 0 ? "" : ", ", embedded_schemas[i].name);
    int rc = err_set(err, PLAT_ENOTFOUND, "no layout is called '%.80s'; there are: %.400s", name,
                     strbuf_str(&known));
    strbuf_free(&known);
    return rc;
}
