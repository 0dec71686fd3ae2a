/* Names of one hash in a directory of a CAPOSWF1: they run over several blocks.
 *
 * Catches: a name that is looked for in the wrong one of them, one that is removed with another. */
#include "tests/unit/caposwf1_change.h"

enum { TOGGLES = 64, NAME_CHARS = 16 };

/* Names of 16 letters with the CRC-32C of the first: toggling a bit changes the sum by a constant, so sets of toggles
 * whose constants cancel out are found by elimination. */
static size_t colliding(char (*ret)[NAME_CHARS + 1], size_t most)
{
    struct row {
        uint32_t sum;
        uint64_t toggles;
    } rows[TOGGLES];
    char base[NAME_CHARS];
    memset(base, 0x68, sizeof base);
    const uint32_t zero = wf1_name_hash(base, sizeof base);
    for (size_t i = 0; i < TOGGLES; i++) {
        char name[NAME_CHARS];
        memcpy(name, base, sizeof name);
        name[i / 4] ^= (char)(1 << i % 4);
        rows[i] = (struct row){wf1_name_hash(name, sizeof name) ^ zero, 1ull << i};
    }
    size_t used = 0;
    for (int bit = 31; bit >= 0; bit--) {
        size_t pivot = used;
        while (pivot < TOGGLES && (rows[pivot].sum >> bit & 1) == 0)
            pivot++;
        if (pivot == TOGGLES)
            continue;
        const struct row row = rows[pivot];
        rows[pivot] = rows[used];
        rows[used] = row;
        for (size_t i = used + 1; i < TOGGLES; i++)
            if ((rows[i].sum >> bit & 1) != 0)
                rows[i] = (struct row){rows[i].sum ^ row.sum, rows[i].toggles ^ row.toggles};
        used++;
    }
    size_t n = 0;
    for (; n < most; n++) { /* n as a sum of the rows that are left, whose sums are 0 */
        uint64_t toggles = 0;
        for (size_t i = used; i < TOGGLES; i++)
            if ((n >> (i - used) & 1) != 0)
                toggles ^= rows[i].toggles;
        memcpy(ret[n], base, sizeof base);
        for (size_t i = 0; i < TOGGLES; i++)
            if ((toggles >> i & 1) != 0)
                ret[n][i / 4] ^= (char)(1 << i % 4);
        ret[n][NAME_CHARS] = '\0';
    }
    return n;
}

static void test_collisions(void)
{
    enum { NAMES = 400 };
    static char names[NAMES][NAME_CHARS + 1];
    static uint64_t nodes[NAMES];
    struct plat_dev *dev = fresh(4000, 0);
    struct fs *fs = reach(dev, true);
    uint64_t node;
    bool same = true, found = true;
    const size_t n = colliding(names, NAMES);
    for (size_t i = 0; i < n; i++)
        same = same && wf1_name_hash(names[i], NAME_CHARS) == wf1_name_hash(names[0], NAME_CHARS);
    ok(same, "400 names of one hash");
    for (size_t i = 0; i < n; i++) {
        char text[32];
        must(add(fs, WF1_ROOT_NODE, names[i], TREE_FILE, &nodes[i]), "create");
        (void)snprintf(text, sizeof text, "between %zu", i);
        must(add(fs, WF1_ROOT_NODE, text, TREE_FILE, &node), "create");
    }
    must(writer->finish(fs, &err), "finish");
    for (size_t i = 0; i < n; i++)
        found = found && caposwf1_driver.lookup(fs, WF1_ROOT_NODE, names[i], &node, &err) == 0 &&
                node == nodes[i];
    ok(found && sound(dev), "each of them is found, and the directory is sound");
    found = true;
    for (size_t i = 0; i < n; i += 2) {
        const struct fs_place place = {WF1_ROOT_NODE, names[i]};
        must(writer->remove(fs, &place, &err), "remove");
    }
    for (size_t i = 0; i < n; i++)
        found =
            found && (caposwf1_driver.lookup(fs, WF1_ROOT_NODE, names[i], &node, &err) == 0) == (i % 2 == 1);
    must(writer->finish(fs, &err), "finish");
    ok(found && sound(dev), "half of them removed: the others are found, those are not");
    leave(fs);
    dev_close(dev);
}

int main(void)
{
    test_collisions();
    return tap_done();
}
