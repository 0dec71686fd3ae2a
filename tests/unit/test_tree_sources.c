/* lib/tree: what is left out, what is written down, what is changed of a whole tree. */
#include <sys/sysmacros.h>

#include "lib/tree/private.h"
#include "tests/unit/tree_shell.h"

/* ---- patterns ---- */

/* Are these paths (a slash at the end: a directory) left out by the patterns? */
static void patterns(const char *const *list, const char *const *out, const char *const *in)
{
    struct tree_ignore ignore = {0};
    for (size_t i = 0; list[i] != NULL; i++)
        ok(tree_ignore_add(&ignore, list[i], &err) == 0, "'%s' is a pattern", list[i]);
    for (int left_out = 0; left_out < 2; left_out++) {
        for (const char *const *p = left_out ? out : in; *p != NULL; p++) {
            char path[512];
            snprintf(path, sizeof path, "%s", *p);
            const size_t n = strlen(path);
            const bool directory = path[n - 1] == '/';
            path[n - directory] = '\0';
            ok(tree_ignores(&ignore, path, directory) == left_out, "%s: '%s' is left %s", list[0], *p,
               left_out ? "out" : "in");
        }
    }
    tree_ignore_free(&ignore);
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE ((const char *const[]){NULL})

static void test_patterns(void)
{
    patterns(LIST("*.o"), LIST("a.o", "x/y/b.o", ".o", "dir.o/"), LIST("a.oo", "x.o/y", "o"));
    patterns(LIST("build/"), LIST("build/", "x/build/"), LIST("build", "x/build", "builds/"));
    patterns(LIST("/notes"), LIST("notes", "notes/"), LIST("x/notes"));
    patterns(LIST("doc/x.txt"), LIST("doc/x.txt"), LIST("x/doc/x.txt", "doc"));
    patterns(LIST("doc/*.txt"), LIST("doc/a.txt"), LIST("doc/x/a.txt"));
    patterns(LIST("**/foo"), LIST("foo", "a/foo", "a/b/foo"), LIST("foo/a"));
    patterns(LIST("a/**/b"), LIST("a/b", "a/x/b", "a/x/y/b"), LIST("a/xb", "x/a/b", "a"));
    patterns(LIST("a/**"), LIST("a/b", "a/b/c"), LIST("a", "a/", "b/a/c"));
    patterns(LIST("a/**/**/b/**/c"), LIST("a/b/c", "a/1/b/2/3/b/c"), LIST("a/c", "a/b/d"));
    patterns(LIST("*.o", "!keep.o", "keep.o/"), LIST("a.o", "keep.o/"), LIST("keep.o", "x/keep.o"));
    patterns(LIST("\\#a", "\\!b", "c\\ "), LIST("#a", "!b", "c "), LIST("a", "b", "c", "\\#a"));
    patterns(LIST("[a-c]?[!x]"), LIST("a-y", "b__"), LIST("a-x", "d_y", "ab", "a/b"));
    patterns(LIST("[]-]", "[[:digit:]-]x", "[^a]z", "[\\]]q"), LIST("]", "-", "7x", "-x", "bz", "]q"),
             LIST("x", "az", ":x", "\\q"));
    patterns(LIST("a[/]b/c"), NONE, LIST("a/b/c"));
    patterns(LIST("#"), LIST("#"), LIST("x"));
    static const char *const bad[] = {"", "!", "/", "!/", "a[b", "x\\", "[[:nothing:]]", "[", "a/[z-/b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tree_ignore ignore = {0};
        ok(tree_ignore_add(&ignore, bad[i], &err) == PLAT_EINVALID &&
               strstr(err.text, "matches no path") != NULL,
           "'%s' is refused: %s", bad[i], err.text);
        tree_ignore_free(&ignore);
    }
}

static void test_pattern_files(void)
{
    struct tree_ignore ignore = {0};
    put_file("pats", "\xef\xbb\xbf# comment\n\n*.o  \r\n\\#x\n  lead\ntrail\\  \n!/keep.o");
    ok(tree_ignore_read(&ignore, at("pats"), &err) == 0 && ignore.n == 5, "a file: %zu patterns", ignore.n);
    ok(tree_ignores(&ignore, "a.o", false) && tree_ignores(&ignore, "#x", false) &&
           tree_ignores(&ignore, "  lead", false) && tree_ignores(&ignore, "trail ", false) &&
           !tree_ignores(&ignore, "keep.o", false) && tree_ignores(&ignore, "a/keep.o", false) &&
           !tree_ignores(&ignore, "# comment", false),
       "comments, blanks, the mark of UTF-8, CRLF");
    put_file("pats", "a\nb\n[c\n");
    ok(tree_ignore_read(&ignore, at("pats"), &err) == PLAT_EINVALID && strstr(err.text, "pats:3") != NULL,
       "the line of a bad pattern: %s", err.text);
    FILE *f = fopen(at("pats"), "w");
    ok(f != NULL && fwrite("a\0b\n", 1, 4, f) == 4 && fclose(f) == 0 &&
           tree_ignore_read(&ignore, at("pats"), &err) == PLAT_EINVALID && strstr(err.text, "byte 1") != NULL,
       "a NUL: %s", err.text);
    ok(tree_ignore_read(&ignore, at("nothing"), &err) == PLAT_ENOTFOUND, "no file: %s", err.text);
    ok(truncate(at("pats"), 17 << 20) == 0 && tree_ignore_read(&ignore, at("pats"), &err) == PLAT_ELIMIT,
       "too long a file: %s", err.text);
    char *huge = malloc(5000);
    memset(huge, '*', 4999);
    huge[4999] = '\0';
    ok(tree_ignore_add(&ignore, huge, &err) == PLAT_ELIMIT, "too long a pattern: %.60s", err.text);
    tree_ignore_free(&ignore);

    /* Stars against a long name, where trying every place of every star would never end. */
    for (size_t i = 0; i < 4000; i++)
        huge[i] = i % 2 == 0 ? '*' : 'a';
    strcpy(huge + 4000, "b");
    char name[801];
    memset(name, 'a', sizeof name - 1);
    name[800] = '\0';
    const double before = seconds();
    ok(tree_ignore_add(&ignore, huge, &err) == 0 && !tree_ignores(&ignore, name, false) &&
           seconds() - before < 5,
       "2000 stars take %.3f s", seconds() - before);
    for (size_t i = 0; i < 3600; i += 6)
        memcpy(huge + i, i % 12 == 0 ? "**/a*/" : "*a*/**", 6);
    for (size_t i = 1; i < 800; i += 2)
        name[i] = '/';
    ok(tree_ignore_add(&ignore, huge, &err) == 0 && !tree_ignores(&ignore, name, false) &&
           seconds() - before < 5,
       "so do double stars");
    tree_ignore_free(&ignore);
    free(huge);
}

/* ---- nodes ---- */

static struct tree *small_tree(void)
{
    struct tree *tree = open_tree(NULL);
    tree_add_literal(tree, "init", "#!", 2, &err);
    tree_add_literal(tree, "a/b", "x", 1, &err);
    return tree;
}

static void test_bad_nodes(void)
{
    static const char *const bad[][3] = {
        {"dev/x:c:5:1", NULL, "dev/x"},
        {"dev/x:c:5:1:0999", NULL, "octal"},
        {"dev/x:c:99999:1:0600", NULL, "expected PATH"},
        {"dev/x:b:1:0x100000:0600", NULL, "expected PATH"},
        {"dev/x:q:0600", NULL, "expected PATH"},
        {"dev/x:c:5:1:0600:7", NULL, "expected PATH"},
        {"dev/x:c:5:1:0600:7:8:9", NULL, "expected PATH"},
        {"dev/x:p:0600:7:4294967296", NULL, "expected PATH"},
        {"dev/x:p:17777", NULL, "expected PATH"},
        {"x:p", NULL, "expected PATH"},
        {"x:l:", NULL, "expected PATH"},
        {"x\\:p:0600", NULL, "expected PATH"},
        {"../x:p:0600", NULL, "'..'"},
        {"/:d:0755", NULL, "the root"},
        {":p:0600", NULL, "the root"},
        {"", NULL, "expected PATH"},
        {"init/x:p:0600", NULL, "'init' is a file"},
        {"p:p:0600", "p/x:p:0600", "'p' is a file"},
        {"x:p:0600", "/./x:p:0600", "'x': is given twice"},
        {"l:l:a", "l:l:b", "twice"},
        {"a:p:0600", NULL, "'a' is a directory in the source"},
        {"init:d:0755", NULL, "'init' is no directory in the source"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tree *tree = small_tree();
        bool owned;
        ok(tree_add_nodes(tree, bad[i], bad[i][1] != NULL ? 2 : 1, &owned, &err) == PLAT_EINVALID &&
               strstr(err.text, bad[i][2]) != NULL,
           "'%s' is refused: %.150s", bad[i][0], err.text);
        tree_close(tree);
    }
}

static void test_nodes(void)
{
    static const char *const nodes[] = {"dev/tty:c:5:70000:0620:0:5", "dev:d:0750", "a\\:b\\\\:l:x:y:z",
                                        "a:d:01777:3:4", "init:s:0600"};
    struct tree *tree = open_tree(&(struct tree_options){.has_time = true, .time_s = 99});
    bool owned = false;
    tree_add_literal(tree, "init", "#!", 2, &err);
    tree_add_literal(tree, "a/b", "x", 1, &err);
    ok(tree_add_nodes(tree, nodes, 5, &owned, &err) == 0 && owned && tree_finish(tree, &err) == 0 &&
           lists(tree, "a/ a/b a:b\\ dev/ dev/tty init "),
       "nodes: %s", err.text);
    struct tree_node *tty = find(tree, "dev/tty"), *a = find(tree, "a");
    ok(tty->kind == TREE_CHAR && major(tty->from.device) == 5 && minor(tty->from.device) == 70000 &&
           tty->mode == 0620 && tty->gid == 5 && tty->mtime_s == 99 && tree_is_stated(tty) &&
           find(tree, "dev")->mode == 0750,
       "a device with an owner, in a directory that came after it");
    ok(a->mode == 01777 && a->uid == 3 && a->gid == 4 && a->n_children == 1 && tree_is_stated(a) &&
           !tree_is_stated(find(tree, "a/b")),
       "a directory of the source keeps what it holds");
    ok(is(tree, "a:b\\", "x:y:z") && find(tree, "init")->kind == TREE_SOCKET,
       "a link whose target has colons; a file replaced");
    tree_close(tree);
}

/* ---- modes ---- */

static void test_modes(void)
{
    static const struct {
        const char *changes;
        unsigned file, script, folder; /* of 0640, 0751, 02775 */
    } cases[] = {
        {"0755", 0755, 0755, 02755},
        {"00755", 0755, 0755, 0755},
        {"7", 7, 7, 02007},
        {"6755", 06755, 06755, 06755},
        {"u=rwX,go=rX", 0644, 0755, 02755},
        {"a-w", 0440, 0551, 02555},
        {"+x", 0751, 0751, 02775},
        {"g=u", 0660, 0771, 02775},
        {"o=u-w,g+s", 02644, 02755, 02775},
        {"=", 0, 0, 02000},
        {"u+s,g-s,+t", 05640, 05751, 05775},
        {"go=", 0600, 0700, 02700},
        {"a=rX", 0444, 0555, 02555},
        {"ug-x+X", 0640, 0641 | 0110, 02775},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const struct tree_override o[] = {{.pattern = "file", .has_mode = true, .mode = 0640},
                                                 {.pattern = "script", .has_mode = true, .mode = 0751},
                                                 {.pattern = "folder", .has_mode = true, .mode = 02775}};
        struct tree *tree = open_tree(NULL);
        tree_add_literal(tree, "file", "", 0, &err);
        tree_add_literal(tree, "script", "", 0, &err);
        tree_mkdir(tree, "folder", &err);
        tree_add_symlink(tree, "link", "x", &err);
        for (size_t k = 0; k < 3; k++)
            tree_apply_override(tree, &o[k], &err);
        const int r = tree_change_modes(tree, cases[i].changes, &err);
        ok(r == 0 && find(tree, "file")->mode == cases[i].file &&
               find(tree, "script")->mode == cases[i].script &&
               find(tree, "folder")->mode == cases[i].folder && find(tree, "link")->mode == 0777,
           "%s: %04o %04o %04o", cases[i].changes, (unsigned)find(tree, "file")->mode,
           (unsigned)find(tree, "script")->mode, (unsigned)find(tree, "folder")->mode);
        tree_own_all(tree, 0, 0);
        tree_close(tree);
    }
    static const char *const bad[] = {"",     "rwx",  "u",     "u=q",   "8",  "17777",       "u=rwx,",
                                      ",u=r", "u=gr", "0755x", "u==r ", "-1", "000000000755"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tree *tree = open_tree(NULL);
        ok(tree_change_modes(tree, bad[i], &err) == PLAT_EINVALID && tree_root(tree)->mode == 0755,
           "'%s' is refused: %s", bad[i], err.text);
        tree_close(tree);
    }
}

int main(void)
{
    if (!scratch_open())
        return 1;
    test_patterns();
    test_pattern_files();
    test_bad_nodes();
    test_nodes();
    test_modes();
    return scratch_close();
}
