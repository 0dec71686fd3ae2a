/* What the two halves of the page's writer share. */
#ifndef PLAT_INSPECT_MAP_HTML_PRIVATE_H
#define PLAT_INSPECT_MAP_HTML_PRIVATE_H

#include "inspect/map_html.h"

struct page {
    struct map *map;
    struct plat_dev *dev;
    uint64_t at;       /* bytes written */
    struct strbuf out; /* not written yet */
    struct strbuf json;
    uint64_t n_rows;
    uint64_t structures_left_off;
    struct plat_err *err;
};
int page_flush(struct page *page);
/* Appends JSON to the page, and empties it. */
int page_data(struct page *page, struct strbuf *json);
/* ,"ranges":[...] and ,"structures":[...] as inspect/page/page.js has them. */
int page_ranges(struct page *page);
int page_structures(struct page *page);

#endif
