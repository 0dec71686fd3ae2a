/* 8.3 names for long names.
 *
 *   1. upper-case; a character that is not ASCII, or one of + , ; = [ ], becomes _            (lossy)
 *   2. spaces and leading dots go; the last dot that is left separates base and extension,
 *      other dots go too                                                                      (lossy)
 *   3. base: first 8 characters, extension: first 3                                           (lossy if cut)
 *   4. lossless: that is the name. Otherwise ~1, ~2, ... go behind as much of the base as fits, the lowest
 * number that is free in the directory
 *
 * As mtools and Linux do, but: what is not ASCII never reaches the disk as code page bytes (their meaning
 * depends on the reader's code page), no number is taken from the clock (Linux, after ~9), and the names of
 * DOS devices get a tail (as in mtools). Names that are 8.3 themselves are placed first by the caller, so
 * that no alias can equal another file's name.
 *
 * Step 4 in constant time: the lowest free number of d digits is the same for all names that share the first
 * 7 - d characters and the extension, and it only grows; one counter for each such group remembers it. */
#include <stdlib.h>

#include "formats/fat32/names_alias.h"
#include "lib/hash/hash.h"

enum { BASE_BYTES = 8, EXTENSION_BYTES = 3, TAIL_DIGITS_MAX = 6, CAPACITY_MIN = 16 };

struct fat32_alias_slot {
    uint8_t name[FAT32_SHORT_BYTES]; /* first byte 0: free */
};
struct fat32_alias_counter {
    uint8_t group[FAT32_SHORT_BYTES]; /* base cut for the tail, and extension; first byte 0: free */
    uint8_t digits;
    uint32_t next;
};

/* ---- the basis ---- */

static bool is_device_name(const uint8_t base[BASE_BYTES])
{
    static const char *const plain[] = {"CON     ", "PRN     ", "AUX     ", "NUL     "};

    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (memcmp(base, plain[i], BASE_BYTES) == 0)
            return true;
    if (memcmp(base, "COM", 3) != 0 && memcmp(base, "LPT", 3) != 0)
        return false;
    return base[3] >= '1' && base[3] <= '9' && base[4] == ' ';
}

/* Letters met in one part of the name, to see whether the case bits can stand for them. */
struct letters {
    bool upper, lower;
};

/* One unit of the long name as a byte of the short one. */
static uint8_t short_byte(uint16_t unit, struct letters *letters, bool *lossy)
{
    if (unit >= 0x80 || strchr("+,;=[]", unit) != NULL) {
        *lossy = true;
        return '_';
    }
    if (unit >= 'a' && unit <= 'z') {
        letters->lower = true;
        return (uint8_t)(unit - 'a' + 'A');
    }
    if (unit >= 'A' && unit <= 'Z')
        letters->upper = true;
    return (uint8_t)unit;
}

struct fat32_basis fat32_basis_make(const uint16_t *units, size_t n)
{
    struct fat32_basis basis = {0};
    struct letters base_letters = {0}, extension_letters = {0};
    bool lossy = false;
    size_t first = 0, dot = n, base = 0, extension = 0;

    /* Spaces are taken out wherever they are, so a dot behind leading spaces is a leading dot. */
    while (first < n && (units[first] == '.' || units[first] == ' '))
        first++;
    for (size_t i = first; i < n; i++)
        if (units[i] == '.')
            dot = i;
    lossy = first != 0;

    memset(basis.short_name, ' ', sizeof(basis.short_name));
    for (size_t i = first; i < n; i++) {
        bool low_surrogate = units[i] >= 0xDC00 && units[i] <= 0xDFFF;
        if (i == dot)
            continue;
        if (units[i] == ' ' || units[i] == '.') {
            lossy = true;
            continue;
        }
        if (low_surrogate) /* one _ for the pair */
            continue;
        if (i < dot ? base == BASE_BYTES : extension == EXTENSION_BYTES) {
            lossy = true;
            continue;
        }
        if (i < dot)
            basis.short_name[base++] = short_byte(units[i], &base_letters, &lossy);
        else
            basis.short_name[BASE_BYTES + extension++] = short_byte(units[i], &extension_letters, &lossy);
    }

    bool mixed =
        (base_letters.upper && base_letters.lower) || (extension_letters.upper && extension_letters.lower);
    basis.needs_tail = lossy || is_device_name(basis.short_name);
    basis.needs_long = basis.needs_tail || mixed;
    if (!basis.needs_long) {
        if (base_letters.lower)
            basis.name_case |= FAT32_NAME_CASE_BASE_LOWER;
        if (extension_letters.lower)
            basis.name_case |= FAT32_NAME_CASE_EXTENSION_LOWER;
    }
    return basis;
}

/* ---- the set ---- */

int fat32_aliases_begin(struct fat32_aliases *aliases, uint32_t n, struct plat_err *err)
{
    uint64_t capacity = CAPACITY_MIN;

    if (n > FAT32_DIR_MAX_SLOTS)
        return err_set(err, PLAT_ELIMIT, "%u names in a directory that can have %d entries", n,
                       FAT32_DIR_MAX_SLOTS);
    while (capacity * 3 < (uint64_t)n * 4)
        capacity *= 2;
    if (aliases->used_allocated < capacity) {
        struct fat32_alias_slot *used = realloc(aliases->used, capacity * sizeof(*used));
        if (used == NULL)
            return err_nomem(err, "choosing 8.3 names");
        aliases->used = used;
        aliases->used_allocated = (uint32_t)capacity;
    }
    aliases->capacity = (uint32_t)capacity;
    aliases->counters_ready = false;
    memset(aliases->used, 0, capacity * sizeof(aliases->used[0]));
    return 0;
}

bool fat32_aliases_add(struct fat32_aliases *aliases, const uint8_t short_name[FAT32_SHORT_BYTES])
{
    uint64_t mask = aliases->capacity - 1;

    for (uint64_t i = hash_xxh64(short_name, FAT32_SHORT_BYTES);; i++) {
        struct fat32_alias_slot *slot = &aliases->used[i & mask];
        if (slot->name[0] == 0) {
            memcpy(slot->name, short_name, FAT32_SHORT_BYTES);
            return true;
        }
        if (memcmp(slot->name, short_name, FAT32_SHORT_BYTES) == 0)
            return false;
    }
}

static int counters_begin(struct fat32_aliases *aliases, struct plat_err *err)
{
    if (aliases->counters_allocated < aliases->capacity) {
        struct fat32_alias_counter *counters =
            realloc(aliases->counters, aliases->capacity * sizeof(*counters));
        if (counters == NULL)
            return err_nomem(err, "choosing 8.3 names");
        aliases->counters = counters;
        aliases->counters_allocated = aliases->capacity;
    }
    memset(aliases->counters, 0, aliases->capacity * sizeof(aliases->counters[0]));
    aliases->counters_ready = true;
    return 0;
}

static struct fat32_alias_counter *counter_find(struct fat32_aliases *aliases,
                                                const uint8_t group[FAT32_SHORT_BYTES], uint8_t digits,
                                                uint32_t first)
{
    uint64_t mask = aliases->capacity - 1;

    for (uint64_t i = hash_xxh64(group, FAT32_SHORT_BYTES) + digits;; i++) {
        struct fat32_alias_counter *counter = &aliases->counters[i & mask];
        if (counter->group[0] == 0) {
            memcpy(counter->group, group, FAT32_SHORT_BYTES);
            counter->digits = digits;
            counter->next = first;
            return counter;
        }
        if (counter->digits == digits && memcmp(counter->group, group, FAT32_SHORT_BYTES) == 0)
            return counter;
    }
}

/* Writes ~number behind the first BASE_BYTES - 1 - digits characters of the base, or behind all if it is
 * shorter. */
static void tail_put(uint8_t name[FAT32_SHORT_BYTES], uint32_t number, unsigned digits)
{
    size_t at = 0;
    while (at < BASE_BYTES - 1 - digits && name[at] != ' ')
        at++;
    memset(name + at, ' ', BASE_BYTES - at);
    name[at] = '~';
    for (size_t i = digits; i > 0; i--, number /= 10)
        name[at + i] = (uint8_t)('0' + number % 10);
}

int fat32_aliases_tail(struct fat32_aliases *aliases, uint8_t short_name[FAT32_SHORT_BYTES],
                       struct plat_err *err)
{
    if (!aliases->counters_ready) {
        int r = counters_begin(aliases, err);
        if (r < 0)
            return r;
    }
    uint32_t first = 1;
    for (uint8_t digits = 1; digits <= TAIL_DIGITS_MAX; digits++, first *= 10) {
        uint8_t group[FAT32_SHORT_BYTES];
        memcpy(group, short_name, sizeof(group));
        memset(group + BASE_BYTES - 1 - digits, ' ', digits + 1u);
        struct fat32_alias_counter *counter = counter_find(aliases, group, digits, first);
        while (counter->next < first * 10) {
            uint8_t name[FAT32_SHORT_BYTES];
            memcpy(name, short_name, sizeof(name));
            tail_put(name, counter->next++, digits);
            if (fat32_aliases_add(aliases, name)) {
                memcpy(short_name, name, sizeof(name));
                return 0;
            }
        }
    }
    return err_set(err, PLAT_ELIMIT, "the 8.3 names %.6s~1 to ~999999 are all taken in this directory",
                   (const char *)short_name);
}

void fat32_aliases_free(struct fat32_aliases *aliases)
{
    free(aliases->used);
    free(aliases->counters);
    *aliases = (struct fat32_aliases){0};
}
