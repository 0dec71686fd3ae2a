/* 8.3 names for long names, in constant time a name: a set of the names in use in one directory, and for each
 * place where a number can go the next one to try. */
#ifndef PLAT_FORMATS_FAT32_NAMES_ALIAS_H
#define PLAT_FORMATS_FAT32_NAMES_ALIAS_H

#include "formats/fat32/fat32.h"

/* What a long name becomes when squeezed into 8 + 3 characters. */
struct fat32_basis {
    uint8_t short_name[FAT32_SHORT_BYTES]; /* ASCII, upper-case, space-padded */
    uint8_t name_case;                     /* fat32_name_case, when that says all that the long name would */
    bool needs_tail;                       /* something was lost, or the name is that of a DOS device */
    bool needs_long;                       /* the 8.3 name and name_case do not give the name back */
};
/* `units` is a legal long name (fat32_name_to_units). */
struct fat32_basis fat32_basis_make(const uint16_t *units, size_t n);

/* The 8.3 names of one directory. Zero-initialise; begin for each directory; free at the end. */
struct fat32_aliases {
    struct fat32_alias_slot *used;
    struct fat32_alias_counter *counters; /* made when the first tail is needed */
    uint32_t capacity;                    /* of both, a power of two: for this directory */
    uint32_t used_allocated, counters_allocated;
    bool counters_ready;
};
/* An empty set for at most n names. */
int fat32_aliases_begin(struct fat32_aliases *aliases, uint32_t n, struct plat_err *err);
/* False when the name is taken already. */
bool fat32_aliases_add(struct fat32_aliases *aliases, const uint8_t short_name[FAT32_SHORT_BYTES]);
/* Turns the basis in `short_name` into BASE~N.EXT with the lowest N that is not taken, and adds it to the
 * set. PLAT_ELIMIT after ~999999. */
int fat32_aliases_tail(struct fat32_aliases *aliases, uint8_t short_name[FAT32_SHORT_BYTES],
                       struct plat_err *err);
void fat32_aliases_free(struct fat32_aliases *aliases);

#endif
