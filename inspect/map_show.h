/* What the ways of showing a map share. */
#ifndef PLAT_INSPECT_MAP_SHOW_H
#define PLAT_INSPECT_MAP_SHOW_H

#include "inspect/map.h"
#include "lib/base/text.h"
#include "lib/cli/cli.h"

enum { MAP_BAR_COLUMNS = 200 };

struct map_show {
    const struct cli *cli;
    struct map *map;
    struct strbuf out;
    uint64_t max;   /* rows to show */
    uint64_t shown; /* so far */
    bool summary;   /* no rows, totals alone */
    uint64_t columns[MAP_BAR_COLUMNS]
                    [EXTENT_KINDS + 1]; /* bytes of each kind in each column of the bar; wrong ones */
    size_t n_columns;                   /* 0: no bar */
};
/* All of it to standard output. */
int map_text(struct map_show *show, struct plat_err *err);
int map_json(struct map_show *show, struct plat_err *err);
uint64_t map_n_findings(const struct map *map);

struct map_query {
    const struct cli *cli;
    const struct inspect_image *image;
    bool json;
    struct strbuf out;
};
/* --at: what the byte is, in every layer. */
int map_at(struct map_query *query, uint64_t offset, struct plat_err *err);
/* --of: where a structure, field or file lies. */
int map_of(struct map_query *query, const char *path, struct plat_err *err);

#endif
