/* plat store: objects into and out of a content-addressed store, in place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/caposst1/store.h"
#include "lib/fs/stack.h"
#include "mkimage/commands.h"
#include "mkimage/store.h"

enum { READ_BYTES = 1 << 20 };

/* ---- opening ---- */

struct store_image {
    struct plat_dev *dev;
    struct stack *stack;
    struct store *store;
};

static void image_leave(struct store_image *image)
{
    store_close(image->store);
    if (image->stack != NULL)
        stack_close(image->stack);
    dev_close(image->dev);
    *image = (struct store_image){0};
}

/* The store in the image: all of it, the partition that -p names, or the only one there is. */
static int find_layer(struct stack *stack, struct stack_layer **ret, struct plat_err *err)
{
    struct stack_layer *found = NULL;
    for (size_t i = 0; i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        if (layer->driver == NULL || strcmp(layer->driver->name, "caposst1") != 0)
            continue;
        if (found != NULL)
            return err_set(err, PLAT_EINVALID, "there is more than one store: name the partition with -p");
        found = layer;
    }
    if (found == NULL)
        return err_set(
            err, PLAT_EUNSUPPORTED,
            "no store is in it; plat mk caposst1 makes one, plat formats lists what else there is");
    /* What is wrong with it store_open says. */
    *ret = found;
    return 0;
}

static int image_enter(const struct cli *cli, const char *path, bool writable, struct store_image *ret,
                       struct plat_err *err)
{
    struct store_image image = {0};
    struct stack_layer *layer;
    const struct stack_options options = {.partition = cli_text(cli, "partition"), .degraded = true};
    const struct store_options how = {.writable = writable};
    int rc = dev_open_file(path, writable, &image.dev, err);
    /* The lock comes before anything is read: what was read before another writer's commit would be stale. */
    if (rc == 0 && writable)
        rc = dev_lock(image.dev, err);
    if (rc == 0)
        rc = stack_open(image.dev, &options, &image.stack, err);
    if (rc == 0)
        rc = find_layer(image.stack, &layer, err);
    if (rc == 0)
        rc = store_open(layer->dev, &how, &image.store, err);
    if (rc != 0) {
        err_image(err, path);
        image_leave(&image);
        return rc;
    }
    *ret = image;
    return 0;
}

static int parse_key(const char *text, uint8_t ret[STORE_KEY_BYTES], struct plat_err *err)
{
    return store_key_parse(text, ret)
               ? 0
               : err_set(
                     err, PLAT_EINVALID,
                     "\"%.80s\" is not the hash of an object; expected 64 hexadecimal digits (plat store ls)",
                     text);
}

/* ---- get, has, delete, compact ---- */

static int get_one(struct store *store, const char *text, uint8_t *buf, struct plat_err *err)
{
    uint8_t key[STORE_KEY_BYTES], found[STORE_KEY_BYTES];
    struct store_object object;
    struct hash_sha256_state state;
    uint64_t index;
    int rc = parse_key(text, key, err);
    if (rc != 0)
        return rc;
    if (!store_find(store, key, &index))
        return err_set(err, PLAT_ENOTFOUND, "no object %s is stored", text);
    store_entry(store, index, &object);
    hash_sha256_begin(&state);
    for (uint64_t at = 0; at < object.size_bytes;) {
        size_t n = 0;
        rc = store_read(store, index, at, buf, READ_BYTES, &n, err);
        if (rc != 0)
            return rc;
        hash_sha256_add(&state, buf, n);
        if (fwrite(buf, 1, n, stdout) < n)
            return PLAT_ESTOP;
        at += n;
    }
    hash_sha256_end(&state, found);
    if (memcmp(found, key, sizeof key) != 0)
        return err_at(err, PLAT_ECORRUPT, object.offset, NULL,
                      "the bytes of object %s do not have that hash: what was printed is damaged", text);
    return 0;
}

static int run_get(struct cli *cli)
{
    struct store_image image;
    struct plat_err err = {0};
    uint8_t *buf = malloc(READ_BYTES);
    int code = EXIT_YES;
    int rc = buf == NULL ? err_nomem(&err, "reading objects")
                         : image_enter(cli, cli->args[1], false, &image, &err);
    if (rc != 0) {
        free(buf);
        return cli_fail(cli, &err);
    }
    for (size_t i = 2; i < cli->n_args && rc == 0 && !ferror(stdout); i++)
        rc = get_one(image.store, cli->args[i], buf, &err);
    if (rc != 0 && rc != PLAT_ESTOP) {
        err_image(&err, cli->args[1]);
        code = cli_fail(cli, &err);
    }
    image_leave(&image);
    free(buf);
    return cli_finish(cli, code);
}

static int run_has(struct cli *cli)
{
    struct store_image image;
    struct plat_err err = {0};
    int code = EXIT_YES;
    if (image_enter(cli, cli->args[1], false, &image, &err) != 0)
        return cli_fail(cli, &err);
    for (size_t i = 2; i < cli->n_args && code != EXIT_CANNOT; i++) {
        uint8_t key[STORE_KEY_BYTES];
        uint64_t index;
        if (parse_key(cli->args[i], key, &err) != 0)
            code = cli_fail(cli, &err);
        else if (!store_find(image.store, key, &index))
            code = EXIT_NO;
    }
    image_leave(&image);
    return cli_finish(cli, code);
}

static int delete_all(const struct cli *cli, struct store *store, struct plat_err *err)
{
    int rc = 0;
    for (size_t i = 2; rc == 0 && i < cli->n_args; i++) {
        uint8_t key[STORE_KEY_BYTES];
        rc = parse_key(cli->args[i], key, err);
        if (rc == 0)
            rc = store_delete(store, key, err);
    }
    return rc == 0 ? store_commit(store, err) : rc;
}

static int compact(const struct cli *cli, struct store *store, struct plat_err *err)
{
    struct store_space before, after;
    char size[16];
    store_space(store, &before);
    int rc = store_compact(store, err);
    if (rc != 0)
        return rc;
    store_space(store, &after);
    format_size(after.free_bytes - before.free_bytes, size);
    (void)printf("%s: %llu entries and %s given back\n", cli->args[1],
                 (unsigned long long)(after.free_entries - before.free_entries), size);
    return 0;
}

/* Opens for writing, does it, and leaves the store at rest; also after a failure, which changes nothing. */
static int run_change(struct cli *cli, int (*change)(const struct cli *, struct store *, struct plat_err *))
{
    struct store_image image;
    struct plat_err err = {0};
    if (image_enter(cli, cli->args[1], true, &image, &err) != 0)
        return cli_fail(cli, &err);
    int rc = change(cli, image.store, &err);
    int finished = store_finish(image.store, rc == 0 ? &err : NULL);
    image_leave(&image);
    if (rc != 0 || finished != 0) {
        err_image(&err, cli->args[1]);
        (void)cli_fail(cli, &err);
        return cli_finish(cli, rc == PLAT_ENOTFOUND && change == delete_all ? EXIT_NO : EXIT_CANNOT);
    }
    return cli_finish(cli, EXIT_YES);
}

/* ---- ls ---- */

static const char *const provenance_names[] = {"unknown", "untrusted", "ntp-synced", "stated"};

static void ls_one(const struct cli *cli, const struct store_object *object, bool first)
{
    char key[STORE_KEY_TEXT_BYTES], time[32] = "-";
    const struct store_time *when = &object->time;
    store_key_text(object->key, key);
    if (when->provenance != STORE_TIME_UNKNOWN)
        format_unix_time(when->created_ns / 1000000000 - (when->created_ns % 1000000000 < 0), time);
    if (cli_flag(cli, "json")) {
        (void)printf("%s\n  {\"key\": \"%s\", \"size_bytes\": %llu, \"offset\": %llu, \"created_ns\": ",
                     first ? "" : ",", key, (unsigned long long)object->size_bytes,
                     (unsigned long long)object->offset);
        if (when->provenance != STORE_TIME_UNKNOWN)
            (void)printf("\"%lld\"", (long long)when->created_ns);
        else
            (void)printf("null");
        (void)printf(", \"provenance\": \"%s\"}", provenance_names[when->provenance]);
    } else if (cli_flag(cli, "long")) {
        (void)printf("%s %12llu  %-19s  %s\n", key, (unsigned long long)object->size_bytes, time,
                     provenance_names[when->provenance]);
    } else {
        (void)printf("%s\n", key);
    }
}

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct store_object *)a)->key, ((const struct store_object *)b)->key,
                  STORE_KEY_BYTES);
}

static int run_ls(struct cli *cli)
{
    struct store_image image;
    struct plat_err err = {0};
    struct store_space space;
    if (image_enter(cli, cli->args[1], false, &image, &err) != 0)
        return cli_fail(cli, &err);
    store_space(image.store, &space);
    struct store_object *objects = calloc(space.n_objects + 1, sizeof *objects);
    size_t n = 0;
    if (objects == NULL) {
        image_leave(&image);
        (void)err_nomem(&err, "listing objects");
        return cli_fail(cli, &err);
    }
    for (uint64_t i = 0; i < store_count(image.store) && n < space.n_objects; i++) {
        store_entry(image.store, i, &objects[n]);
        n += !objects[n].is_tombstone && !objects[n].is_dead;
    }
    qsort(objects, n, sizeof *objects, by_key);
    bool json = cli_flag(cli, "json");
    if (json)
        (void)printf("{\"version\": %u, \"objects\": [", space.version);
    for (size_t i = 0; i < n && !ferror(stdout); i++)
        ls_one(cli, &objects[i], i == 0);
    if (json)
        (void)printf(
            "],\n \"live_bytes\": %llu, \"free_bytes\": %llu, \"free_entries\": %llu, \"deleted\": %llu}\n",
            (unsigned long long)space.live_bytes, (unsigned long long)space.free_bytes,
            (unsigned long long)space.free_entries, (unsigned long long)space.n_tombstones);
    free(objects);
    image_leave(&image);
    return cli_finish(cli, EXIT_YES);
}

/* ---- the command ---- */

static int run_store(struct cli *cli)
{
    static const struct {
        const char *name;
        size_t min_args; /* with the action and IMAGE */
    } actions[] = {{"put", 2}, {"get", 3}, {"has", 3}, {"delete", 3}, {"ls", 2}, {"compact", 2}};
    enum { PUT, GET, HAS, DELETE, LS, COMPACT, N_ACTIONS };
    size_t action = 0;
    while (action < N_ACTIONS && strcmp(cli->args[0], actions[action].name) != 0)
        action++;
    if (action == N_ACTIONS)
        return cli_usage(cli, "unknown action \"%s\"; there are put, get, has, delete, ls and compact",
                         cli->args[0]);
    if (cli->n_args < actions[action].min_args)
        return cli_usage(cli, "%s needs IMAGE%s", actions[action].name,
                         actions[action].min_args > 2 ? " and the HASH of an object" : "");
    if ((action == LS || action == COMPACT) && cli->n_args > 2)
        return cli_usage(cli, "%s takes one IMAGE and nothing else", actions[action].name);
    switch (action) {
    case PUT:
        return run_change(cli, store_put_files);
    case GET:
        return run_get(cli);
    case HAS:
        return run_has(cli);
    case DELETE:
        return run_change(cli, delete_all);
    case LS:
        return run_ls(cli);
    default:
        return run_change(cli, compact);
    }
}

static const struct option_desc options_table[] = {
    {.letter = 'p',
     .name = "partition",
     .kind = OPTION_TEXT,
     .argument = "NAME|NUMBER",
     .doc = "the partition that holds the store",
     .complete = COMPLETE_NONE},
    {.letter = 'T',
     .name = "files-from",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .doc = "put: names of further files, one a line; \"-\" is standard input",
     .complete = COMPLETE_FILE},
    {.name = "created",
     .kind = OPTION_TEXT,
     .argument = "now|unknown|SECONDS",
     .doc = "put: the time that objects get in a store of version 2 (unknown)",
     .complete = COMPLETE_NONE},
    {.name = "clock",
     .kind = OPTION_TEXT,
     .argument = "untrusted|ntp-synced|stated",
     .doc = "put: where that time comes from (untrusted for now, else stated)",
     .choices = "untrusted|ntp-synced|stated",
     .complete = COMPLETE_CHOICES},
    {.letter = 'q', .name = "quiet", .kind = OPTION_FLAG, .doc = "put: print no hashes"},
    {.letter = 'l', .name = "long", .kind = OPTION_FLAG, .doc = "ls: size, time, where the time comes from"},
    {.name = "json", .kind = OPTION_FLAG, .doc = "ls: print one JSON document"},
};

const struct command command_store = {
    .name = "store",
    .group = "Files",
    .summary = "put, get and delete objects of a store",
    .synopsis = "put|get|has|delete|ls|compact IMAGE [ARGUMENT]...",
    .doc = "Works on a content-addressed store (plat-caposst1(5)) in IMAGE, in place. An object is named by "
           "the\n"
           "SHA-256 of its bytes.\n"
           "\n"
           "  put IMAGE [FILE]...     store files, directories (each file below), standard input (\"-\", or "
           "no FILE);\n"
           "                          prints hash and name of each. All of them become visible at once, or "
           "none\n"
           "  get IMAGE HASH...       print objects, checked against their hash\n"
           "  has IMAGE HASH...       exit 0 when all are there, 1 when one is not\n"
           "  delete IMAGE HASH...    delete objects, all at once; exit 1 when one is not there\n"
           "  ls IMAGE                list what is stored\n"
           "  compact IMAGE           give back the room of what was deleted; put does it when it has to\n"
           "\n"
           "What was committed survives a power cut at any time. There is one writer at a time: a second one "
           "is\n"
           "refused. Readers see the last commit.\n"
           "\n"
           "Exit code: 0; 1 the answer is no; 2 it could not be done, and nothing was changed.\n",
    .examples = "  plat store put store.img notes.txt photos/\n"
                "  echo hello | plat store put store.img\n"
                "  find . -type f | plat store put -q -T - store.img\n"
                "  plat store get store.img $(plat store ls store.img | head -n 1)\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = SIZE_MAX,
    .complete = COMPLETE_FILE,
    .subcommands = "put|get|has|delete|ls|compact",
    .run = run_store,
};
