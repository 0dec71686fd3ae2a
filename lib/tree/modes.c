/* Permissions and owners of a whole tree at once. */
#include "lib/tree/private.h"

#include <stdlib.h>
#include <string.h>

enum {
    MODE_ALL = 07777,
    SET_IDS = 06000,
    STICKY = 01000,
    EXECUTE = 0111,
    OCTAL_DIGITS_EXACT = 5 /* so many say set-user-id and set-group-id of directories, too */
};

/* One thing to do: "u+x", or all of "0755". */
struct change {
    char op;           /* '=', '+', '-' */
    uint32_t affected; /* of whom; 0: everybody, as nobody was named */
    uint32_t value;
    uint32_t stated;    /* bits that were written down: set-ids that were not stay with directories */
    bool copies;        /* the bits of another: g=u */
    bool executable_if; /* X */
};

static uint32_t change_apply(const struct change *change, bool directory, uint32_t mode)
{
    const uint32_t kept = directory ? SET_IDS & ~change->stated : 0;
    uint32_t value = change->value;
    if (change->copies) {
        value &= mode;
        value |= (value & 0444 ? 0444U : 0U) | (value & 0222 ? 0222U : 0U) | (value & 0111 ? 0111U : 0U);
    }
    if (change->executable_if && (directory || (mode & EXECUTE) != 0))
        value |= EXECUTE;
    value &= (change->affected != 0 ? change->affected : MODE_ALL) & ~kept;
    const uint32_t others = (change->affected != 0 ? ~change->affected : 0U) | kept;
    switch (change->op) {
    case '+':
        return mode | value;
    case '-':
        return mode & ~value;
    default:
        return ((mode & others) | value) & MODE_ALL;
    }
}

/* "ugo": whose bits. */
static const char *read_who(const char *p, uint32_t *ret)
{
    uint32_t who = 0;
    for (;; p++) {
        if (*p == 'u')
            who |= 04700;
        else if (*p == 'g')
            who |= 02070;
        else if (*p == 'o')
            who |= STICKY | 07;
        else if (*p == 'a')
            who |= MODE_ALL;
        else
            break;
    }
    *ret = who;
    return p;
}

static uint32_t letter_bits(char c)
{
    switch (c) {
    case 'r':
        return 0444;
    case 'w':
        return 0222;
    case 'x':
        return EXECUTE;
    case 's':
        return SET_IDS;
    case 't':
        return STICKY;
    default:
        return 0;
    }
}

/* What stands behind "u+": "rwX", or "g". */
static const char *read_value(const char *p, struct change *change)
{
    if (*p == 'u' || *p == 'g' || *p == 'o') {
        change->copies = true;
        change->value = *p == 'u' ? 0700 : *p == 'g' ? 0070 : 07;
        p++;
    } else {
        for (; *p == 'X' || letter_bits(*p) != 0; p++) {
            change->executable_if = change->executable_if || *p == 'X';
            change->value |= letter_bits(*p);
        }
    }
    change->stated = change->affected != 0 ? change->affected & change->value : change->value;
    return p;
}

static bool read_octal(const char *text, struct change *ret)
{
    const size_t n = strspn(text, "01234567");
    const unsigned long value = n > 0 && n <= 8 && text[n] == '\0' ? strtoul(text, NULL, 8) : MODE_ALL + 1UL;
    if (value > MODE_ALL)
        return false;
    *ret = (struct change){.op = '=', .affected = MODE_ALL, .value = (uint32_t)value};
    ret->stated = n < OCTAL_DIGITS_EXACT ? (uint32_t)value & SET_IDS : SET_IDS;
    return true;
}

/* Does to *mode what the text says; false: it says nothing that can be understood. */
static bool modes_apply(const char *text, bool directory, uint32_t *mode)
{
    struct change change;
    if (read_octal(text, &change)) {
        *mode = change_apply(&change, directory, *mode);
        return true;
    }
    const char *p = text;
    do {
        uint32_t who;
        p = read_who(p, &who);
        if (*p != '+' && *p != '-' && *p != '=')
            return false;
        while (*p == '+' || *p == '-' || *p == '=') {
            change = (struct change){.op = *p, .affected = who};
            p = read_value(p + 1, &change);
            *mode = change_apply(&change, directory, *mode);
        }
    } while (*p == ',' && p++ != NULL);
    return *p == '\0';
}

int tree_change_modes(struct tree *tree, const char *changes, struct plat_err *err)
{
    uint32_t ignored = 0;
    if (!modes_apply(changes, false, &ignored))
        return err_set(
            err, PLAT_EINVALID,
            "expected permissions in octal (0755) or as chmod has them (u=rwX,go=rX), found '%.80s'",
            changes);
    for (struct tree_node *n = tree->root; n != NULL; n = tree_next(n)) {
        if (n->kind != TREE_SYMLINK)
            (void)modes_apply(changes, n->kind == TREE_DIR, &n->mode);
    }
    return 0;
}

void tree_own_all(struct tree *tree, uint32_t uid, uint32_t gid)
{
    for (struct tree_node *n = tree->root; n != NULL; n = tree_next(n)) {
        n->uid = uid;
        n->gid = gid;
    }
}
