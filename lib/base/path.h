/* Paths of fields, such as nodes[17].size_bytes, made without memory and without the C library. */
#ifndef PLAT_LIB_BASE_PATH_H
#define PLAT_LIB_BASE_PATH_H

#include <stddef.h>
#include <stdint.h>

/* "array[index].field", or "array[index]" where field is ""; always terminated, cut to ret_bytes (not 0). */
void path_element(char *ret, size_t ret_bytes, const char *array, uint64_t index, const char *field);

#endif
