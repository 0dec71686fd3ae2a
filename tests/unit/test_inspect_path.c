/* Paths into structures: what the grammar takes and refuses, canonical spelling, and how paths relate. Would
 * catch a path that selects its neighbour (entries[1] and entries[12]), and quotes that end a name too early.
 */
#include "lib/base/nearest.h"
#include "inspect/path.h"
#include "inspect/runs.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

static void accepts(const char *text, const char *canonical, size_t n_steps)
{
    struct field_path path;
    struct plat_err err = {0};
    int r = path_parse(text, &path, &err);
    if (ok(r == 0, "'%s' is a path", text)) {
        ok_text(path.text, canonical, "its canonical spelling");
        ok(path.n_steps == n_steps, "it has %zu steps", n_steps);
        ok(n_steps == 0 || path.steps[n_steps - 1].end == path.n, "its last step ends where it ends");
    } else {
        printf("# %s\n", err.text);
    }
    path_free(&path);
}

static void refuses(const char *text, int class, const char *words)
{
    struct field_path path;
    struct plat_err err = {0};
    int r = path_parse(text, &path, &err);
    ok(r == class && strstr(err.text, words) != NULL, "'%.40s' is refused: %s", text, err.text);
    path_free(&path);
}

static void relates(const char *text, const char *other, enum path_relation want)
{
    struct field_path path;
    if (path_parse(text, &path, NULL) == 0)
        ok(path_relate(&path, other) == want, "'%s' and '%s'", text, other);
    path_free(&path);
}

static void test_grammar(void)
{
    accepts("", "", 0);
    accepts("boot", "boot", 1);
    accepts("esp.boot.bytes_per_sector", "esp.boot.bytes_per_sector", 3);
    accepts("gpt.entries[0x10].name", "gpt.entries[16].name", 4);
    accepts("a[007]", "a[7]", 2);
    accepts("a[18446744073709551615]", "a[18446744073709551615]", 2);
    accepts("my-root.dir[\"/a b/].x\"][2].size", "my-root.dir[\"/a b/].x\"][2].size", 5);
    accepts("d[\"say \\\"hi\\\" \\\\ \"]", "d[\"say \\\"hi\\\" \\\\ \"]", 2);
    accepts("d[\"a\\b\"]", "d[\"a\\\\b\"]", 2);       /* a lone backslash stands for itself */
    accepts("d[\"a\\u001b\"]", "d[\"a\\u001b\"]", 2); /* control characters, as paths spell them */
    refuses(".a", PLAT_EINVALID, "column 1");
    refuses("a.", PLAT_EINVALID, "column 3");
    refuses("a..b", PLAT_EINVALID, "found '.'");
    refuses("a[", PLAT_EINVALID, "a number");
    refuses("a[1", PLAT_EINVALID, "']'");
    refuses("a[x]", PLAT_EINVALID, "a number");
    refuses("a[-1]", PLAT_EINVALID, "a number");
    refuses("a[18446744073709551616]", PLAT_EINVALID, "a number");
    refuses("a[\"x", PLAT_EINVALID, "closing");
    refuses("a[\"x\"", PLAT_EINVALID, "']'");
    refuses("a b", PLAT_EINVALID, "column 2");
    refuses("7up", PLAT_EINVALID, "a name");
    refuses("[1]", PLAT_EINVALID, "a name");
    refuses("a\x01", PLAT_EINVALID, "a byte");
}

static void test_limits(void)
{
    struct strbuf text = {0};
    strbuf_puts(&text, "a");
    for (int i = 0; i < PATH_MAX_STEPS; i++)
        strbuf_puts(&text, "[0]");
    refuses(strbuf_str(&text), PLAT_ELIMIT, "steps");
    strbuf_truncate(&text, 0);
    for (int i = 0; i <= PATH_MAX_TEXT_BYTES; i++)
        strbuf_putc(&text, 'a');
    refuses(strbuf_str(&text), PLAT_ELIMIT, "bytes");
    strbuf_free(&text);
}

static void test_relations(void)
{
    relates("gpt.entries[1]", "gpt.entries[1]", PATH_SAME);
    relates("gpt.entries[1]", "gpt.entries[12]", PATH_APART);
    relates("gpt.entries[12]", "gpt.entries[1]", PATH_APART);
    relates("gpt.entries", "gpt.entries[12]", PATH_INSIDE);
    relates("gpt.entries[1].name", "gpt.entries[1]", PATH_OUTSIDE);
    relates("gpt.entries[1].name", "gpt", PATH_OUTSIDE);
    relates("gpt", "gpt2.x", PATH_APART);
    relates("gpt2", "gpt", PATH_APART);
    relates("", "anything", PATH_INSIDE);
    relates("fat", "fat2[3]", PATH_APART);
    relates("boot", "", PATH_OUTSIDE);
    struct field_path path, head, renamed;
    if (path_parse("p1.dir[\"/x\"][3].size", &path, NULL) == 0) {
        ok(path_steps_in(&path, "p1.dir[\"/x\"]") == 3, "three steps lead to the directory");
        ok(path_head(&path, 3, &head, NULL) == 0 && strcmp(head.text, "p1.dir[\"/x\"]") == 0, "its head");
        path_free(&head);
        ok(path_with_first_name(&path, "esp", &renamed, NULL) == 0, "it is renamed");
        ok_text(renamed.text, "esp.dir[\"/x\"][3].size", "to the layer's prefix");
        path_free(&renamed);
        ok(path_with_first_name(&path, "", &renamed, NULL) == 0, "the first name goes");
        ok_text(renamed.text, "dir[\"/x\"][3].size", "without its dot");
        path_free(&renamed);
    }
    path_free(&path);
}

static void test_nearest(void)
{
    static const char *const names[] = {"fat", "boot", "boot", "fsinfo", "backup_boot", "dir", "fat2"};
    struct nearest nearest = {.wanted = "bot"};
    struct strbuf text = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        nearest_add(&nearest, names[i], strlen(names[i]));
    nearest_list(&nearest, &text);
    ok(strncmp(strbuf_str(&text), "boot, fat, dir", 14) == 0, "nearest first, each once: %s",
       strbuf_str(&text));
    strbuf_free(&text);
}

static void test_elements(void)
{
    size_t base = 0;
    uint64_t index = 0;
    ok(run_split_path("gpt.entries[12]", &base, &index) && base == 11 && index == 12, "an element");
    ok(run_split_path("d[\"/a[1]\"][0]", &base, &index) && base == 10 && index == 0,
       "an element behind a name");
    ok(!run_split_path("d[\"12\"]", &base, &index), "a name in brackets is no index");
    ok(!run_split_path("boot", &base, &index), "no element");
    ok(!run_split_path("a[99999999999999999999]", &base, &index), "an index that does not fit");
}

int main(void)
{
    test_grammar();
    test_limits();
    test_relations();
    test_nearest();
    test_elements();
    return tap_done();
}
