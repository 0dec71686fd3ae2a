#include "inspect/schemas.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int is_layout(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_one(const char *directory, const char *name, struct layout **list, size_t *n,
                    struct plat_err *err)
{
    struct strbuf path = {0};
    int rc;
    strbuf_printf(&path, "%s/%s", directory, name);
    if (path.failed)
        rc = err_nomem(err, "reading PLAT_SCHEMAS");
    else if (*n == SCHEMAS_MAX)
        rc = err_set(err, PLAT_ELIMIT, "PLAT_SCHEMAS: more than %d layouts", (int)SCHEMAS_MAX);
    else if ((rc = layout_load_file(strbuf_str(&path), &list[*n], err)) == 0)
        ++*n;
    strbuf_free(&path);
    return rc;
}

static int load_directory(const char *directory, struct layout **list, size_t *n, struct plat_err *err)
{
    struct dirent **entries;
    int n_entries = scandir(directory, &entries, is_layout, by_name);
    if (n_entries < 0) {
        int rc = err_sys(err, errno, "PLAT_SCHEMAS names a directory that cannot be read");
        err_image(err, directory);
        return rc;
    }
    int rc = 0;
    for (int i = 0; i < n_entries; i++) {
        if (rc == 0)
            rc = load_one(directory, entries[i]->d_name, list, n, err);
        free(entries[i]);
    }
    free((void *)entries);
    return rc;
}

int schemas_load(const char *path, struct layout ***ret, size_t *ret_n, struct plat_err *err)
{
    size_t n = 0;
    int rc = 0;
    if (path == NULL || path[0] == '\0') {
        *ret = NULL;
        *ret_n = 0;
        return 0;
    }
    struct layout **list = calloc(SCHEMAS_MAX, sizeof(struct layout *));
    char *names = strdup(path), *rest = names, *directory;
    if (list == NULL || names == NULL)
        rc = err_nomem(err, "reading PLAT_SCHEMAS");
    while (rc == 0 && (directory = strsep(&rest, ":")) != NULL)
        if (directory[0] != '\0')
            rc = load_directory(directory, list, &n, err);
    free(names);
    if (rc != 0) {
        schemas_free(list, n);
        return rc;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

void schemas_free(struct layout **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        layout_free(list[i]);
    free((void *)list);
}
