/* plat map --html: one page that shows the map. Its data is text from an image that nobody has checked: JSON in which no
 * character that means something to HTML stands as itself. */
#ifndef PLAT_INSPECT_MAP_HTML_H
#define PLAT_INSPECT_MAP_HTML_H

#include "inspect/map.h"

enum {
    MAP_PAGE_RANGES = 60000,            /* more are drawn in groups of neighbours */
    MAP_PAGE_STRUCTURES = 6000,         /* that are shown with their fields */
    MAP_PAGE_ELEMENTS = 64,             /* of one array of them */
    MAP_PAGE_STRUCTURE_BYTES = 4 << 20, /* of all of them, as text */
    MAP_PAGE_TEXT_BYTES = 300           /* of a path or value; what is longer is cut */
};
/* The page at `path` appears whole or not at all; "-" is standard output. Sweeps the map. */
int map_html(struct map *map, const char *path, struct plat_err *err);

#endif
