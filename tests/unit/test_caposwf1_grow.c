/* A full CAPOSWF1 (the smallest image of a tree) that grows until its bitmap needs another level, cut off behind each of
 * its writes: the next writer clears what that left, and growing it again works.
 *
 * Catches: blocks behind the region that nobody clears, which verify reports and the next growth takes for somebody
 * else's. */
#include "lib/fs/verify.h"
#include "tests/unit/caposwf1_image.h"

enum { FULL_BYTES = 2088900, MORE_BYTES = 400 * WF1_BLOCK_BYTES };

static int first_error(void *ctx, const struct finding *finding)
{
    char *text = ctx;
    if (finding->severity == SEVERITY_ERROR && text[0] == '\0')
        (void)snprintf(text, 200, "%.40s %.140s", finding->id, finding->text);
    return 0;
}

static struct volume *reach(struct plat_dev *dev)
{
    const struct fs_open_options options = {.writable = true};
    struct volume *vol = NULL;
    if (wf1_volume_open(dev, NULL, &options, NULL, &vol, &err) != 0)
        die("opening");
    return vol;
}

/* The next writer, and then what is wrong; "": nothing. */
static const char *next_writer(struct plat_dev *dev, uint64_t size_bytes)
{
    static char text[200];
    const struct finding_sink sink = {first_error, text};
    struct volume *vol = reach(dev);
    int rc = caposwf1_writer.finish(&vol->fs, &err);
    wf1_volume_close(vol);
    vol = reach(dev);
    text[0] = '\0';
    if (rc != 0 || caposwf1_check(&vol->fs, &sink, &err) != 0 ||
        caposwf1_scrub(&vol->fs, &sink, NULL, &err) != 0)
        die("verify");
    if (caposwf1_writer.grow(&vol->fs, size_bytes, &err) != 0)
        (void)snprintf(text, sizeof text, "grow: %.150s", err.text);
    wf1_volume_close(vol);
    return text;
}

/* An image that is full, as long as it is to become. */
static struct plat_dev *full(size_t file_bytes, uint64_t *ret_region)
{
    static uint8_t bytes[FULL_BYTES + 64 * WF1_BLOCK_BYTES];
    const struct wanted wanted = {.compact = true};
    struct tree *tree = open_tree(NULL);
    struct plat_dev *small, *dev;
    memset(bytes, 1, sizeof bytes);
    if (tree_add_literal(tree, "file", bytes, file_bytes, &err) != 0 || tree_finish(tree, &err) != 0 ||
        make(tree, &wanted, false, &small) != 0 ||
        dev_open_memory(small->size_bytes + MORE_BYTES, "image", &dev, &err) != 0)
        die("making");
    memcpy(dev_memory_bytes(dev), dev_memory_bytes(small), (size_t)small->size_bytes);
    *ret_region = small->size_bytes / WF1_BLOCK_BYTES - WF1_DEFAULT_BLOCK - 2;
    dev_close(small);
    tree_close(tree);
    return dev;
}

static void cut(size_t file_bytes)
{
    uint64_t region;
    struct plat_dev *dev = full(file_bytes, &region), *recorder, *state;
    const size_t n = (size_t)dev->size_bytes;
    uint8_t *bytes = malloc(n);
    const struct dev_event *events;
    const char *text = "";
    size_t at = 0;
    if (bytes == NULL || dev_open_recorder(dev, &recorder, &err) != 0)
        die("recording");
    memcpy(bytes, dev_memory_bytes(dev), n);
    struct volume *vol = reach(recorder);
    if (caposwf1_writer.grow(&vol->fs, n, &err) != 0 || caposwf1_writer.finish(&vol->fs, &err) != 0)
        die("growing");
    wf1_volume_close(vol);
    const size_t n_events = dev_recorder_events(recorder, &events);
    for (; at < n_events && text[0] == '\0'; at++) {
        if (!events[at].flush)
            memcpy(bytes + events[at].offset, events[at].bytes, events[at].n);
        if (dev_open_memory(n, "state", &state, &err) != 0)
            die("memory");
        memcpy(dev_memory_bytes(state), bytes, n);
        text = next_writer(state, n);
        dev_close(state);
    }
    ok(text[0] == '\0' && at == n_events && at > 4,
       "%llu blocks and none free: grown, cut off at each of %zu places, cleared and grown %s",
       (unsigned long long)region, n_events, text);
    free(bytes);
    dev_close(recorder);
    dev_close(dev);
}

int main(void)
{
    if (!scratch_open())
        die("a directory");
    /* From some way below the 4096 blocks that one block of the bitmap counts, to all of them. */
    cut(FULL_BYTES - 100 * WF1_BLOCK_BYTES);
    for (size_t blocks = 0; blocks < 20; blocks++)
        cut(FULL_BYTES + blocks * WF1_BLOCK_BYTES);
    return scratch_close();
}
