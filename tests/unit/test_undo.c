/* Undo files: whatever a power cut leaves of the writes, the undo file brings back the old bytes. Catches: a change that is
 * not in the file, a piece that is compared or restored too short, a later change that is overwritten, a damaged undo file
 * that is believed. */
#include <fcntl.h>
#include <unistd.h>

#include "lib/io/undo.h"
#include "tests/unit/tap.h"

enum { IMAGE_BYTES = 40000, ROUNDS = 300, WRITES = 12, CUTS = 20 };

static uint32_t state = 1;
static uint32_t draw(uint32_t below)
{
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

struct world {
    struct plat_dev *image, *overlay;
    uint8_t old[IMAGE_BYTES], new[IMAGE_BYTES];
    char path[64];
};

static bool make_world(struct world *w)
{
    struct plat_err err;
    uint8_t bytes[2000];
    if (dev_open_memory(IMAGE_BYTES, "image", &w->image, &err) != 0)
        return false;
    for (size_t i = 0; i < IMAGE_BYTES; i++)
        w->old[i] = (uint8_t)(draw(4) == 0 ? draw(256) : 0);
    memcpy(dev_memory_bytes(w->image), w->old, IMAGE_BYTES);
    if (dev_open_overlay(w->image, &w->overlay, &err) != 0)
        return false;
    for (unsigned i = 0; i < WRITES; i++) {
        const uint32_t n = 1 + draw(draw(3) == 0 ? sizeof bytes : 9), at = draw(IMAGE_BYTES - n + 1);
        for (uint32_t k = 0; k < n; k++)
            bytes[k] = (uint8_t)(draw(3) == 0 ? draw(256) : w->old[at + k]);
        if (dev_write(w->overlay, at, bytes, n, &err) != 0)
            return false;
    }
    return dev_read(w->overlay, 0, w->new, IMAGE_BYTES, &err) == 0 &&
           undo_write(w->path, w->overlay, &err) == 0;
}

static void end_world(struct world *w)
{
    dev_close(w->overlay);
    dev_close(w->image);
    (void)unlink(w->path);
}

/* Any subset of the writes, and the beginning or end of one, as a disk may leave them between two flushes. */
static void cut(struct world *w, const struct dev_event *events, size_t n)
{
    uint8_t *image = dev_memory_bytes(w->image);
    memcpy(image, w->old, IMAGE_BYTES);
    for (size_t i = 0; i < n; i++) {
        const size_t part = draw(3) == 0 ? draw((uint32_t)events[i].n + 1) : events[i].n;
        const size_t skip = draw(2) == 0 ? 0 : events[i].n - part;
        if (!events[i].flush && draw(2) == 0)
            memcpy(image + events[i].offset + skip, events[i].bytes + skip, part);
    }
}

static bool comes_back(struct world *w)
{
    struct undo_state found;
    struct plat_err err;
    if (undo_read(w->path, w->image, &found, &err) != 0 || undo_restore(w->path, w->image, &err) != 0) {
        printf("# %s\n", err.text);
        return false;
    }
    return memcmp(dev_memory_bytes(w->image), w->old, IMAGE_BYTES) == 0;
}

static void test_cuts(const char *path)
{
    unsigned bad = 0, flushed = 0, whole = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        static struct world w;
        struct plat_dev *recorder = NULL;
        const struct dev_event *events;
        struct undo_state found;
        struct plat_err err;
        (void)snprintf(w.path, sizeof w.path, "%s", path);
        if (!make_world(&w) || dev_open_recorder(w.image, &recorder, &err) != 0 ||
            undo_apply(w.overlay, recorder, &err) != 0) {
            ok(false, "round %u: %s", round, err.text);
            return;
        }
        const size_t n = dev_recorder_events(recorder, &events);
        flushed += n > 0 && events[n - 1].flush;
        whole += memcmp(dev_memory_bytes(w.image), w.new, IMAGE_BYTES) == 0 &&
                 undo_read(w.path, w.image, &found, &err) == 0 && found.is_new;
        for (unsigned i = 0; i < CUTS; i++) {
            cut(&w, events, n);
            bad += !comes_back(&w);
        }
        dev_close(recorder);
        end_world(&w);
    }
    ok(bad == 0, "%d cuts: the old bytes come back (%u did not)", ROUNDS * CUTS, bad);
    ok(flushed == ROUNDS, "the last thing that is done is a flush");
    ok(whole == ROUNDS, "the new bytes are all there, and known to be new");
}

/* A damaged undo file is refused and the image stays; so does one that was changed since. */
static void test_damage(const char *path)
{
    static struct world w;
    static char text[1 << 20];
    unsigned believed = 0, tried = 0;
    struct undo_state found;
    struct plat_err err;
    (void)snprintf(w.path, sizeof w.path, "%s", path);
    if (!ok(make_world(&w), "an undo file is written"))
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    const ssize_t n = read(fd, text, sizeof text);
    for (ssize_t i = 0; i < n; i += 1 + (ssize_t)draw(7), tried++) {
        const char flipped = (char)(text[i] ^ (1 << draw(7)));
        (void)pwrite(fd, &flipped, 1, i);
        believed += undo_read(path, w.image, &found, &err) == 0;
        (void)pwrite(fd, &text[i], 1, i);
    }
    ok(believed == 0 && tried > 100, "%u flipped bits: none is believed (%u were)", tried, believed);
    for (ssize_t size = n - 1; size > 0; size -= 1 + (ssize_t)draw(200)) {
        believed += ftruncate(fd, size) != 0 || undo_read(path, w.image, &found, &err) == 0;
    }
    ok(believed == 0, "nor one that was cut short");
    (void)pwrite(fd, text, (size_t)n, 0);
    (void)close(fd);
    ok(undo_read(path, w.image, &found, &err) == 0 && found.is_old && !found.is_new, "the whole one is");
    /* A byte that is neither old nor new. */
    for (size_t i = 0; i < IMAGE_BYTES; i++) {
        if (w.old[i] == w.new[i])
            continue;
        uint8_t other = 0;
        while (other == w.old[i] || other == w.new[i])
            other++;
        dev_memory_bytes(w.image)[i] = other;
        ok(undo_read(path, w.image, &found, &err) == PLAT_ECORRUPT && err.offset == i,
           "a byte that was changed since is found");
        break;
    }
    end_world(&w);
}

int main(void)
{
    char path[] = "/tmp/plat-undo-XXXXXX";
    int fd = mkstemp(path);
    (void)close(fd);
    (void)unlink(path);
    test_cuts(path);
    test_damage(path);
    return tap_done();
}
