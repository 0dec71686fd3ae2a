/* The Nth allocation fails, for every N, once or from then on: loading layouts and recipes, planning and
 * making a filesystem, judging an image, and the commands that look at one.
 *
 * What comes back is PLAT_ENOMEM (exit 2 from a command), or the same answer as always where plat can do
 * without; never a crash, and never another answer. Under the address sanitizer this also shows that nothing
 * leaks.
 *
 * Catches: a NULL that is not looked at, an error path that leaks or frees twice, memory that runs out while
 * something is checked and so makes it look sound.
 *
 * The linker sends the allocations of plat's own objects here (--wrap, tests/tests.mk); jansson's come
 * through its hook. libarchive's are its own. */
#include "formats/caposst1/store.h"
#include "lib/hash/hash.h"
#include "lib/tree/tree.h"
#include "mkimage/recipe.h"
#include "tests/unit/hostile_run.h"
#include "tests/unit/memory_fails.h"

/* ---- the loop ---- */

enum { ALL_OF = 600, STRIDE = 29 }; /* every allocation up to ALL_OF, then each STRIDE-th */

struct task {
    const char *name;
    /* Returns a class, or an exit code; *ret_answer: what a success says. */
    int (*run)(struct plat_err *err, uint64_t *ret_answer);
    bool is_command; /* out of memory is exit code 2 */
    bool json;       /* jansson's allocations, too: it calls some of them syntax errors */
};

static void test_task(const struct task *task)
{
    struct plat_err err = {0};
    uint64_t want = 0;
    json_set_alloc_funcs(task->json ? __wrap_malloc : __real_malloc, free);
    (void)task->run(&err, &want); /* layouts are loaded once in a process: not counted below */
    memory.n = memory.failed = 0;
    memory.armed = false;
    err = (struct plat_err){0};
    want = 0;
    int rc = task->run(&err, &want);
    const unsigned long total = memory.n;
    if (!ok(rc == 0 && total > 0, "%s takes %lu allocations %s", task->name, total, err.text))
        return;
    for (int stays = 0; stays < 2; stays++) {
        unsigned wrong = 0, run = 0, without = 0;
        for (unsigned long nth = 0; nth < total; nth += nth < ALL_OF ? 1 : STRIDE) {
            uint64_t answer = 0;
            err = (struct plat_err){0};
            memory.left = nth;
            memory.stays = stays;
            memory.failed = 0;
            memory.armed = true;
            rc = task->run(&err, &answer);
            memory.armed = false;
            run++;
            bool same = rc == 0 && answer == want;
            bool told = task->is_command
                            ? rc == EXIT_CANNOT
                            : (rc == PLAT_ENOMEM || (rc < 0 && task->json)) && err.text[0] != '\0';
            without += same;
            if ((memory.failed == 0 || (!same && !told)) && wrong++ < 5)
                printf("# allocation %lu: %d, answer %llu for %llu, %s\n", nth, rc,
                       (unsigned long long)answer, (unsigned long long)want, err.text);
        }
        ok(wrong == 0, "%s: each of %u allocations may fail%s (it does without %u)", task->name, run,
           stays ? ", and all behind it" : "", without);
    }
}

/* ---- what is tried ---- */

static struct hostile disk, blank;

static int load_schema(const char *name, struct plat_err *err, uint64_t *ret_answer)
{
    const struct embedded_schema *schema = embedded_schema_find(name);
    struct layout *layout = NULL;
    int rc = layout_load(schema->json, schema->n, name, &layout, err);
    if (rc == 0) {
        *ret_answer = layout->n_types * 1000 + layout->n_map;
        layout_free(layout);
    }
    return rc;
}
static int load_gpt(struct plat_err *err, uint64_t *ret_answer)
{
    return load_schema("gpt", err, ret_answer);
}
static int load_fat32(struct plat_err *err, uint64_t *ret_answer)
{
    return load_schema("fat32", err, ret_answer);
}

static int add_all(struct tree *tree, struct plat_err *err)
{
    static const uint8_t content[4096] = {1, 2, 3};
    for (size_t i = 0; i < HOSTILE_FILES; i++) {
        int rc = tree_add_literal(tree, hostile_files[i].path, content, hostile_files[i].n, err);
        if (rc != 0)
            return rc;
    }
    return tree_finish(tree, err);
}

static int make_labelled(const char *format, const char *label, json_t *extra, struct plat_err *err,
                         uint64_t *ret_answer)
{
    const struct tree_options tree_options = {.has_time = true, .time_s = HOSTILE_TIME, .links = true};
    const struct make_options options = {
        .label = label, .seed = "fault", .sector_bytes = HOSTILE_SECTOR, .extra = extra};
    const struct fs_maker *maker = fs_driver_find(format)->maker;
    struct make_plan *plan = NULL;
    struct tree *tree = NULL;
    struct strbuf text = {0};
    int rc = tree_open(&tree_options, &tree, err);
    if (rc != 0)
        return rc;
    if ((rc = add_all(tree, err)) == 0 && (rc = maker->plan(tree, &options, &plan, err)) == 0) {
        uint64_t least = 0;
        rc = maker->min_bytes(plan, 0, &least, err);
        if (rc == 0)
            rc = maker->settle(plan, HOSTILE_FAT_BYTES, err);
        if (rc == 0)
            rc = maker->write(plan, blank.dev, NULL, err);
        if (rc == 0) {
            maker->describe(plan, &text);
            *ret_answer = least;
        }
        strbuf_free(&text);
        maker->close(plan);
    }
    tree_close(tree);
    return rc;
}

static int make_image(const char *format, struct plat_err *err, uint64_t *ret_answer)
{
    return make_labelled(format, "FAULT", NULL, err, ret_answer);
}

static int make_fat(struct plat_err *err, uint64_t *ret_answer)
{
    return make_image("fat32", err, ret_answer);
}
static int make_wf1(struct plat_err *err, uint64_t *ret_answer)
{
    return make_image("caposwf1", err, ret_answer);
}
static int make_data(struct plat_err *err, uint64_t *ret_answer)
{
    return make_image("capos-data", err, ret_answer);
}

/* In one thread: allocations are counted in one. */
static int make_squashfs(struct plat_err *err, uint64_t *ret_answer)
{
    static json_t *extra;
    if (extra == NULL)
        extra = json_pack("{s:i, s:s, s:s, s:s}", "threads", 1, "exports", "yes", "xattrs", "keep",
                          "compress", "zstd:1");
    return make_labelled("squashfs", NULL, extra, err, ret_answer);
}

static int make_squashfs_packed(struct plat_err *err, uint64_t *ret_answer)
{
    static json_t *extra;
    if (extra == NULL)
        extra = json_pack("{s:i, s:s, s:s}", "threads", 1, "pack", "yes", "block-bytes", "4KiB");
    return make_labelled("squashfs", NULL, extra, err, ret_answer);
}

static int ignore_finding(void *ctx, const struct finding *finding)
{
    (void)ctx;
    (void)finding;
    return 0;
}
static int count_instance(void *ctx, const struct inst *inst)
{
    (void)inst;
    ++*(uint64_t *)ctx;
    return 0;
}
static int count_extent(void *ctx, const struct extent *extent)
{
    *(uint64_t *)ctx += extent->place.bytes;
    return 0;
}

static int open_stack(struct stack **ret, struct plat_err *err)
{
    const struct stack_options options = {.degraded = true};
    struct stack *stack = NULL;
    int rc = stack_open(disk.dev, &options, &stack, err);
    if (rc == 0)
        *ret = stack;
    return rc;
}
static int verify_disk(struct plat_err *err, uint64_t *ret_answer)
{
    const struct finding_sink sink = {.fn = ignore_finding};
    struct verify_totals totals = {0};
    struct stack *stack = NULL;
    int rc = open_stack(&stack, err);
    if (rc == 0)
        rc = stack_verify(stack, &sink, &totals, err);
    *ret_answer =
        totals.structures + totals.errors * 1000000 + totals.warnings * 10000000 + totals.notes * 100000000;
    stack_close(stack);
    return rc;
}
static int walk_disk(struct plat_err *err, uint64_t *ret_answer)
{
    const struct walk_sink sink = {.ctx = ret_answer,
                                   .instance = count_instance,
                                   .extent = count_extent,
                                   .findings = {.fn = ignore_finding}};
    struct stack *stack = NULL;
    int rc = open_stack(&stack, err);
    if (rc == 0)
        rc = stack_walk(stack, &sink, err);
    stack_close(stack);
    return rc;
}

static int load_recipe(struct plat_err *err, uint64_t *ret_answer)
{
    static const char text[] =
        "{\"table\": \"gpt\", \"seed\": \"${SEED}\", \"partitions\": ["
        "{\"name\": \"esp\", \"type\": \"esp\", \"format\": \"fat32\", \"label\": \"X\", \"files\": ["
        "{\"to\": \"a\", \"text\": \"hello\"}, {\"to\": \"dir/\", \"from\": \"tree/\", \"exclude\": "
        "[\"*.o\"]},"
        "{\"to\": \"initrd\", \"pack\": {\"format\": \"cpio\", \"files\": [{\"to\": \"/\", \"from\": "
        "\"x\"}]}}]},"
        "{\"name\": \"rest\", \"type\": \"linux-data\", \"size\": \"8MiB\"}]}";
    static const char *const defines[] = {"SEED=seed"};
    struct recipe *recipe = NULL;
    static int fd = -1;
    char path[64];
    if (fd < 0) {
        fd = memfd_create("recipe", MFD_CLOEXEC);
        if (fd < 0 || write(fd, text, sizeof text - 1) != (ssize_t)sizeof text - 1)
            hostile_die("a recipe", NULL);
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = recipe_load(path, defines, 1, &recipe, err);
    if (rc == 0) {
        *ret_answer = recipe->n_partitions * 100 + recipe->partitions[0].tree.n_files;
        for (const char *c = recipe->digest; *c != '\0'; c++)
            *ret_answer = *ret_answer * 31 + (uint8_t)*c;
        recipe_close(recipe);
    }
    return rc;
}

/* The answer of a command is what it prints. */
static int run_one(const char *const *args, uint64_t *ret_answer)
{
    static int fd = -1;
    static uint8_t text[1 << 20];
    if (fd < 0 && (fd = memfd_create("output", MFD_CLOEXEC)) < 0)
        hostile_die("a place for output", NULL);
    if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0)
        hostile_die("a place for output", NULL);
    int code = run_command_into(fd, args);
    ssize_t n = pread(fd, text, sizeof text, 0);
    *ret_answer = n < 0 ? 0 : hash_xxh64(text, (size_t)n);
    return code;
}
static int run_verify(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_one((const char *const[]){"verify", disk.path, NULL}, ret_answer);
}
static int run_ls(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_one((const char *const[]){"ls", "-lR", disk.path, NULL}, ret_answer);
}
static int run_ls_json(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_one((const char *const[]){"ls", "-R", "--json", disk.path, NULL}, ret_answer);
}
static int run_dump(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_one((const char *const[]){"dump", "--json", disk.path, "esp.dir", NULL}, ret_answer);
}
static int run_dump_text(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_one((const char *const[]){"dump", disk.path, "gpt.primary", NULL}, ret_answer);
}
static int run_get(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_one((const char *const[]){"get", disk.path, "esp.boot.volume_label", NULL}, ret_answer);
}
static int run_hex(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_one((const char *const[]){"hex", disk.path, "--at", "1MiB", "--length", "200", NULL},
                   ret_answer);
}
static int run_cat(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_one((const char *const[]){"cat", disk.path, "EFI/BOOT/BOOTX64.EFI", NULL}, ret_answer);
}
static int run_extract(struct plat_err *err, uint64_t *ret_answer)
{
    char out[96];
    (void)err;
    (void)snprintf(out, sizeof out, "%s/out", run_scratch);
    int code = run_one((const char *const[]){"extract", disk.path, "-C", out, NULL}, ret_answer);
    run_remove(out);
    return code;
}

/* ---- a store, which is written in place: behind a failure it is what it was before, or what the command makes of it ---- */

enum { STORE_BLOCKS = 512, STORE_HARMED = 99 };
static struct hostile store_image;
static uint8_t store_before[STORE_BLOCKS * HOSTILE_SECTOR];
static uint64_t digest_before, digest_after;
static char store_keys[3][STORE_KEY_TEXT_BYTES]; /* the last one of an object that is deleted */

static int count_error(void *ctx, const struct finding *finding)
{
    *(unsigned *)ctx += finding->severity == SEVERITY_ERROR;
    return 0;
}

/* Its live keys in one number; false: it is damaged. Allocations neither fail nor count meanwhile. */
static bool store_digest(uint64_t *ret)
{
    const bool armed = memory.armed;
    const unsigned long n = memory.n;
    const struct store_options reading = {0};
    const struct stack_options options = {.degraded = true};
    unsigned errors = 0;
    const struct finding_sink sink = {.fn = count_error, .ctx = &errors};
    struct store *store = NULL;
    struct stack *stack = NULL;
    uint64_t digest = 0;
    memory.armed = false;
    bool good = stack_open(store_image.dev, &options, &stack, NULL) == 0 &&
                stack_verify(stack, &sink, NULL, NULL) == 0 &&
                stack_scrub(stack, &sink, NULL, NULL, NULL) == 0 && errors == 0 &&
                store_open(store_image.dev, &reading, &store, NULL) == 0;
    for (uint64_t i = 0; good && i < store_count(store); i++) {
        struct store_object object;
        store_entry(store, i, &object);
        if (!object.is_tombstone && !object.is_dead)
            digest += hash_xxh64(object.key, sizeof object.key);
    }
    store_close(store);
    stack_close(stack);
    memory.armed = armed;
    memory.n = n;
    *ret = digest;
    return good;
}

static void store_image_open(void)
{
    const struct store_shape shape = {
        .version = STORE_VERSION_PLAIN, .region_blocks = STORE_BLOCKS, .entries = 64, .shadow = true};
    const struct store_options writing = {.writable = true};
    struct store *store = NULL;
    struct plat_err err = {0};
    hostile_open(sizeof store_before, &store_image);
    int rc = store_format(store_image.dev, &shape, &err);
    if (rc == 0)
        rc = store_open(store_image.dev, &writing, &store, &err);
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        uint8_t key[STORE_KEY_BYTES];
        bool added;
        rc = store_put(store, "three objects" + i, 9, NULL, key, &added, &err);
        store_key_text(key, store_keys[i]);
        if (rc == 0 && i == 2)
            rc = store_delete(store, key, &err);
    }
    if (rc == 0)
        rc = store_commit(store, &err);
    if (rc == 0)
        rc = store_finish(store, &err);
    store_close(store);
    memcpy(store_before, store_image.bytes, sizeof store_before);
    if (rc != 0 || !store_digest(&digest_before))
        hostile_die("a store", &err);
}

static int run_store(const char *const *args, uint64_t *ret_answer)
{
    uint64_t digest;
    memcpy(store_image.bytes, store_before, sizeof store_before);
    int code = run_one(args, ret_answer);
    if (!store_digest(&digest))
        return STORE_HARMED;
    if (code == EXIT_YES)
        digest_after = digest;
    *ret_answer += digest;
    return digest == digest_before || digest == digest_after ? code : STORE_HARMED;
}
static int run_store_put(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_store(
        (const char *const[]){"store", "put", store_image.path, "CHANGELOG.md", "examples/esp", NULL},
        ret_answer);
}
static int run_store_get(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_store((const char *const[]){"store", "get", store_image.path, store_keys[0], NULL},
                     ret_answer);
}
static int run_store_delete(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_store(
        (const char *const[]){"store", "delete", store_image.path, store_keys[1], store_keys[0], NULL},
        ret_answer);
}
static int run_store_ls(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_store((const char *const[]){"store", "ls", "-l", store_image.path, NULL}, ret_answer);
}
static int run_store_ls_json(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_store((const char *const[]){"store", "ls", "--json", store_image.path, NULL}, ret_answer);
}
static int run_store_compact(struct plat_err *err, uint64_t *ret_answer)
{
    (void)err;
    return run_store((const char *const[]){"store", "compact", store_image.path, NULL}, ret_answer);
}

int main(void)
{
    static const struct task tasks[] = {
        {"loading the gpt layout", load_gpt, false, false},
        {"loading the fat32 layout", load_fat32, false, false},
        {"loading a recipe", load_recipe, false, false},
        {"loading the gpt layout through jansson", load_gpt, false, true},
        {"loading a recipe through jansson", load_recipe, false, true},
        {"making a FAT32", make_fat, false, false},
        {"making a CAPOSWF1", make_wf1, false, false},
        {"making a capos-data", make_data, false, false},
        {"making a SquashFS image", make_squashfs, false, false},
        {"making a SquashFS image by likeness", make_squashfs_packed, false, false},
        {"making a capos-data through jansson", make_data, false, true},
        {"verifying a disk", verify_disk, false, false},
        {"walking a disk", walk_disk, false, false},
        {"plat verify", run_verify, true, false},
        {"plat ls -lR", run_ls, true, false},
        {"plat ls --json", run_ls_json, true, false},
        {"plat dump --json", run_dump, true, false},
        {"plat dump", run_dump_text, true, false},
        {"plat get", run_get, true, false},
        {"plat hex", run_hex, true, false},
        {"plat cat", run_cat, true, false},
        {"plat extract", run_extract, true, false},
        {"plat store put", run_store_put, true, false},
        {"plat store get", run_store_get, true, false},
        {"plat store delete", run_store_delete, true, false},
        {"plat store ls -l", run_store_ls, true, false},
        {"plat store ls --json", run_store_ls_json, true, false},
        {"plat store compact", run_store_compact, true, false},
    };
    run_scratch_open();
    hostile_disk(&disk);
    store_image_open();
    hostile_open(HOSTILE_FAT_BYTES, &blank);
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
        test_task(&tasks[i]);
    hostile_close(&blank);
    hostile_close(&store_image);
    hostile_close(&disk);
    run_remove(run_scratch);
    return tap_done();
}
