/* FAT32 names: what is legal, which 8.3 name a long name gets, and that names come back as they went in.
 *
 * Catches: wrong characters or cut points in aliases, numbers that are not the lowest free one, quadratic
 * time with colliding names, case bits that change a name, surrogate pairs torn apart. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "formats/fat32/names_alias.h"
#include "tests/unit/tap.h"

/* ---- aliases ---- */

/* As the maker does it for one directory: names that are 8.3 themselves first, then the others in order. */
static void check_directory(const char *const names[], const char *const expected[], size_t n)
{
    struct fat32_aliases aliases = {0};
    struct fat32_basis basis[64];
    struct plat_err err = {0};
    char what[400];

    if (fat32_aliases_begin(&aliases, (uint32_t)n, &err) < 0)
        ok(false, "%s", err.text);
    for (size_t i = 0; i < n; i++) {
        uint16_t units[FAT32_LONG_UNITS_MAX];
        size_t n_units = 0;
        if (fat32_name_to_units(names[i], units, &n_units, &err) < 0) {
            ok(false, "%s", err.text);
            return;
        }
        basis[i] = fat32_basis_make(units, n_units);
        if (!basis[i].needs_tail)
            fat32_aliases_add(&aliases, basis[i].short_name);
    }
    for (size_t i = 0; i < n; i++) {
        char text[FAT32_SHORT_TEXT_BYTES], found[FAT32_SHORT_TEXT_BYTES + 16];
        if (basis[i].needs_tail && fat32_aliases_tail(&aliases, basis[i].short_name, &err) < 0)
            ok(false, "%s", err.text);
        fat32_short_to_name(basis[i].short_name, 0, text);
        snprintf(found, sizeof(found), "%s %02x%s", text, basis[i].name_case,
                 basis[i].needs_long ? " long" : "");
        snprintf(what, sizeof(what), "%s becomes %s (found %s)", names[i], expected[i], found);
        ok(strcmp(found, expected[i]) == 0, "%s", what);
    }
    fat32_aliases_free(&aliases);
}

/* The table of reference/FAT32_FORMAT.md section 9, measured with mtools 4.0.32 and Linux 6.1. The 8.3 names
 * agree with both, except: CON.txt     CON~1.TXT as mtools; Linux writes CON.TXT, which DOS and Windows
 * cannot open names that are not ASCII: ___~1.TXT as Linux; mtools writes ___.TXT, or bytes of code page 850
 * The case bits are those of mtools; Linux writes a long name instead. */
static void test_measured(void)
{
    static const char *const names[] = {
        "config-entry-00001.json",
        "config-entry-00002.json",
        "readme.md",
        "README.TXT",
        "Makefile",
        "Mixed.Txt",
        "UPPER.low",
        "lower.UPP",
        "a b.txt",
        ".hidden",
        "foo.tar.gz",
        "a+b.txt",
        "a.b.c",
        "x[1].txt",
        "name.html",
        "日本語.txt",
        "CON.txt",
        "ünï.txt",
    };
    static const char *const expected[] = {
        "CONFIG~1.JSO 00 long", "CONFIG~2.JSO 00 long", "README.MD 18",        "README.TXT 00",
        "MAKEFILE 00 long",     "MIXED.TXT 00 long",    "UPPER.LOW 10",        "LOWER.UPP 08",
        "AB~1.TXT 00 long",     "HIDDEN~1 00 long",     "FOOTAR~1.GZ 00 long", "A_B~1.TXT 00 long",
        "AB~1.C 00 long",       "X_1_~1.TXT 00 long",   "NAME~1.HTM 00 long",  "___~1.TXT 00 long",
        "CON~1.TXT 00 long",    "_N_~1.TXT 00 long",
    };
    check_directory(names, expected, sizeof(names) / sizeof(names[0]));
}

static void test_corners(void)
{
    static const char *const names[] = {
        "x",        "12345678.123", "123456789", "a.txt2", "..a",  " a", "nul", "com1.log", "com0", "lpt9",
        "coma.txt", "a~1.txt",      "a .txt",    "😀.bin",  "a.b.", "~",  "A.b", "a-b_c!.d", "é",    "a..b",
    };
    static const char *const expected[] = {
        "X 08",        "12345678.123 00", "123456~1 00 long",   "A~2.TXT 00 long", "A~1 00 long",
        "A~2 00 long", "NUL~1 00 long",   "COM1~1.LOG 00 long", "COM0 08",         "LPT9~1 00 long",
        "COMA.TXT 18", "A~1.TXT 18",      "A~3.TXT 00 long",    "_~1.BIN 00 long", "",
        "~ 00",        "A.B 10",          "A-B_C!.D 18",        "_~1 00 long",     "A~1.B 00 long",
    };
    /* "a.b." is not a legal name; it is left out. */
    const char *legal[20], *wanted[20];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (expected[i][0] == '\0')
            continue;
        legal[n] = names[i];
        wanted[n++] = expected[i];
    }
    check_directory(legal, wanted, n);
}

/* 65,536 / 2 names that share everything: the lowest number each, in constant time a name. */
static void test_many(void)
{
    enum { MANY = 32768 };
    struct fat32_aliases aliases = {0};
    struct plat_err err = {0};
    struct timespec from, to;
    bool right = true;

    clock_gettime(CLOCK_MONOTONIC, &from);
    right = fat32_aliases_begin(&aliases, MANY, &err) == 0;
    for (uint32_t i = 1; right && i <= MANY; i++) {
        uint8_t name[FAT32_SHORT_BYTES + 1] = "PREFIX-ATXT";
        char number[16], wanted[32];
        right = fat32_aliases_tail(&aliases, name, &err) == 0;
        int digits = snprintf(number, sizeof(number), "%u", i);
        snprintf(wanted, sizeof(wanted), "%.*s~%sTXT", 7 - digits, "PREFIX-A", number);
        right = right && memcmp(name, wanted, FAT32_SHORT_BYTES) == 0;
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    fat32_aliases_free(&aliases);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    ok(right, "32,768 names with one basis get ~1 to ~32768, in order");
    ok(seconds < 1.0, "... in less than a second (quadratic search takes minutes)");
}

/* Groups that share a shorter cut take numbers from one another, so each must skip what the others have. */
static void test_shared_cut(void)
{
    struct fat32_aliases aliases = {0};
    struct plat_err err = {0};
    uint8_t name[FAT32_SHORT_BYTES + 1];
    bool right = fat32_aliases_begin(&aliases, 64, &err) == 0;

    for (int i = 0; right && i < 12; i++) {
        memcpy(name, "ABCDEFGHTXT", sizeof(name));
        right = fat32_aliases_tail(&aliases, name, &err) == 0;
    }
    ok(right && memcmp(name, "ABCDE~12TXT", FAT32_SHORT_BYTES) == 0, "ABCDEFGH: the twelfth is ABCDE~12");
    for (int i = 0; right && i < 10; i++) {
        memcpy(name, "ABCDEXYZTXT", sizeof(name));
        right = fat32_aliases_tail(&aliases, name, &err) == 0;
    }
    ok(right && memcmp(name, "ABCDE~13TXT", FAT32_SHORT_BYTES) == 0,
       "ABCDEXYZ: the tenth is ABCDE~13, 10 to 12 being taken");
    fat32_aliases_free(&aliases);
}

/* ---- legality ---- */

static void test_illegal(void)
{
    static const struct {
        const char *name, *part;
    } cases[] = {
        {"", "empty"},
        {".", "ends in a dot"},
        {"..", "ends in a dot"},
        {"a.", "ends in a dot"},
        {"a ", "ends in a space"},
        {"a:b", "':'"},
        {"a*", "'*'"},
        {"a?", "'?'"},
        {"a\\b", "'\\'"},
        {"a|b", "'|'"},
        {"a<b", "'<'"},
        {"a>b", "'>'"},
        {"a\"b", "'\"'"},
        {"a\nb", "0x0a"},
        {"a~\xff", "not UTF-8"},
        {"A\x7f", "U+007F"},
        {"a\xc2\x80", "U+0080"},
        {"\xc2\x9f.txt", "U+009F"},
        {"\xed\xa0\x80", "not UTF-8"},
        {"a\xc3", "not UTF-8"},
        {"a\xef\xbf\xbf", "U+FFFF"},
        {"\xc0\x80", "not UTF-8"},
    };
    char what[200];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct plat_err err = {0};
        uint16_t units[FAT32_LONG_UNITS_MAX];
        size_t n = 12345;
        int r = fat32_name_to_units(cases[i].name, units, &n, &err);
        snprintf(what, sizeof(what), "illegal name %zu is refused, naming \"%s\"", i, cases[i].part);
        ok(r == PLAT_EINVALID && strstr(err.text, cases[i].part) != NULL && n == 12345, "%s", what);
    }
}

static void test_lengths(void)
{
    uint16_t units[FAT32_LONG_UNITS_MAX];
    char name[2048];
    struct plat_err err = {0};
    size_t n = 0;

    memset(name, 'a', sizeof(name));
    name[255] = '\0';
    ok(fat32_name_to_units(name, units, &n, &err) == 0 && n == 255, "255 units are legal");
    name[255] = 'a';
    name[256] = '\0';
    ok(fat32_name_to_units(name, units, &n, &err) == PLAT_EINVALID, "256 units are not");
    name[0] = '\0';
    for (int i = 0; i < 127; i++)
        strcat(name, "\xf0\x9d\x84\x9e"); /* U+1D11E, which mtools cuts to U+D11E */
    strcat(name, "b");
    ok(fat32_name_to_units(name, units, &n, &err) == 0 && n == 255, "127 pairs and a letter are 255 units");
    ok(units[0] == 0xD834 && units[1] == 0xDD1E, "U+1D11E is the pair D834 DD1E");
    char back[FAT32_NAME_BYTES_MAX];
    ok(fat32_units_to_name(units, n, back) == strlen(name) && strcmp(back, name) == 0,
       "... and comes back whole");
    name[strlen(name) - 1] = '\0';
    strcat(name, "\xf0\x9d\x84\x9e");
    ok(fat32_name_to_units(name, units, &n, &err) == PLAT_EINVALID, "128 pairs are refused");
}

/* ---- reading ---- */

static void test_reading(void)
{
    static const struct {
        const char *bytes;
        uint8_t name_case;
        const char *name;
    } cases[] = {
        {"README  TXT", 0x00, "README.TXT"},    {"README  TXT", 0x08, "readme.TXT"},
        {"README  TXT", 0x18, "readme.txt"},    {"NOEXT      ", 0x18, "noext"},
        {"\x9aN\xd8     TXT", 0x18, "ünï.txt"}, {"\x05XX     BIN", 0, "ÕXX.BIN"},
    };
    char text[FAT32_SHORT_TEXT_BYTES];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = fat32_short_to_name((const uint8_t *)cases[i].bytes, cases[i].name_case, text);
        ok(n == strlen(cases[i].name) && strcmp(text, cases[i].name) == 0, "%s", cases[i].name);
    }
    static const uint16_t lone[] = {'a', 0xD800, 'b', 0xDC00};
    char back[FAT32_NAME_BYTES_MAX];
    fat32_units_to_name(lone, 4, back);
    ok(strcmp(back, "a\xef\xbf\xbd"
                    "b\xef\xbf\xbd") == 0,
       "half pairs become U+FFFD");
    ok(fat32_units_fault(lone, 4) != NULL && fat32_units_fault(lone, 1) == NULL, "... and are a fault");
    static const uint16_t endless[] = {'a', 0xFFFF};
    ok(fat32_units_fault(endless, 2) != NULL, "padding within a name is a fault");
    ok(fat32_short_fault((const uint8_t *)"README  TXT") == NULL, "README.TXT is a legal 8.3 name");
    ok(fat32_short_fault((const uint8_t *)"readme  TXT") != NULL, "readme.TXT is not");
    ok(fat32_short_fault((const uint8_t *)"A/B     TXT") != NULL, "A/B.TXT is not");
    ok(fat32_short_fault((const uint8_t *)"A B     TXT") != NULL, "'A B.TXT' is not");
    ok(fat32_short_fault((const uint8_t *)"A\x7f"
                                          "B     TXT") != NULL,
       "nor is one with 7F, which fsck.fat renames");
    ok(fat32_short_fault((const uint8_t *)"\x05       TXT") == NULL, "a first 05 (E5) is");
}

static bool same(const char *a, const char *b)
{
    uint16_t units_a[FAT32_LONG_UNITS_MAX], units_b[FAT32_LONG_UNITS_MAX];
    size_t n = fat32_name_fold(a, units_a);
    return n == fat32_name_fold(b, units_b) && memcmp(units_a, units_b, n * sizeof(units_a[0])) == 0;
}

static void test_folding(void)
{
    ok(same("ReadMe.TXT", "rEADmE.txt"), "case of ASCII letters is ignored");
    ok(same("Ünï", "üNÏ"), "case of Latin letters is ignored");
    ok(same("ПРИВЕТ", "привет"), "case of Cyrillic letters is ignored");
    ok(!same("readme", "readm"), "a prefix is not the same name");
    ok(!same("e", "é"), "an accent makes another name");
}

int main(void)
{
    test_measured();
    test_corners();
    test_many();
    test_shared_cut();
    test_illegal();
    test_lengths();
    test_reading();
    test_folding();
    return tap_done();
}
