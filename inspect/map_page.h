/* The parts of the page that plat map --html writes (inspect/page/), as layoutc puts them into the program. */
#ifndef PLAT_INSPECT_MAP_PAGE_H
#define PLAT_INSPECT_MAP_PAGE_H

extern const char map_page_html[];
extern const char map_page_css[];
extern const char map_page_js[];

#endif
