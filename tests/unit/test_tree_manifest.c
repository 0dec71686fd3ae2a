/* lib/tree: manifests (mtree) as sources, friendly and hostile. */
#include <sys/sysmacros.h>

#include "lib/tree/manifest.h"
#include "tests/unit/tree_shell.h"

/* A manifest of these lines behind "#mtree", added; the class that comes out. */
static int add(struct tree *tree, const char *name, const char *lines)
{
    struct strbuf sb = {0};
    strbuf_printf(&sb, "#mtree\n%s", lines);
    put_file(name, strbuf_str(&sb));
    strbuf_free(&sb);
    memset(&err, 0, sizeof err);
    return tree_add_source(tree, at(name), &err);
}

static void test_kinds(void)
{
    struct tree *tree = open_tree(&(struct tree_options){.links = true});
    put_file("host/one", "content of one\n");
    put_file("host/two words", "2");
    const int r = add(tree, "m.mtree",
                      "/set type=file uid=7 gid=8 mode=0640 time=1700000000.000000007 flags=none\n"
                      ". type=dir mode=0701 nlink=3\n"
                      "./one contents=host/one size=15 cksum=5\n"
                      "./spaced\\040name contents=host/two\\040words \\\n"
                      "    mode=04755 \\\n"
                      "  time=-5.25\n"
                      "./dev/tty type=char device=native,5,70000 mode=0620\n"
                      "./disk type=block device=native,8,1\n"
                      "./pipe type=fifo\n"
                      "./sock type=socket uid=0\n"
                      "./link type=link link=../to\\040x\n"
                      "./gone optional contents=host/gone\n"
                      "./a#b contents=host/one nlink=2 inode=5\n"
                      "./again contents=host/one nlink=2 inode=5\n"
                      "./link2 type=link link=../to\\040x nlink=2 inode=6\n"
                      "./link3 type=link link=../to\\040x nlink=2 inode=6\n"
                      "# host type=socket\n"
                      "host type=dir\n"
                      "    one\n"
                      "    sub type=dir\n"
                      "    ..\n"
                      "..\n"
                      "/unset all\n"
                      "./bare type=file contents=host/one\n"
                      "./bare-dir type=dir\n"
                      "./bytes\\303\\244\\377 type=file optional contents=host/one");
    ok(r == 0 && tree_finish(tree, &err) == 0 &&
           lists(tree, "a#b again bare bare-dir/ bytes\xc3\xa4\xff dev/ dev/tty disk host/ host/one "
                       "host/sub/ link link2 link3 one "
                       "pipe sock spaced name "),
       "a manifest: %s", err.text);
    struct tree_node *one = find(tree, "one"), *two = find(tree, "spaced name"), *tty = find(tree, "dev/tty");
    ok(is(tree, "one", "content of one\n") && is(tree, "spaced name", "2") &&
           is(tree, "host/one", "content of one\n") && is(tree, "link", "../to x"),
       "contents by contents=, by path; a link's target");
    ok(one->uid == 7 && one->gid == 8 && one->mode == 0640 && one->mtime_s == 1700000000 &&
           one->mtime_ns == 7 && two->mode == 04755 && two->mtime_s == -5,
       "owner, mode, time in ns; a line in three");
    ok(tty->kind == TREE_CHAR && major(tty->from.device) == 5 && minor(tty->from.device) == 70000 &&
           find(tree, "disk")->kind == TREE_BLOCK && find(tree, "pipe")->kind == TREE_FIFO &&
           find(tree, "sock")->kind == TREE_SOCKET && find(tree, "sock")->uid == 0,
       "special files");
    ok(find(tree, "a#b")->link != 0 && find(tree, "a#b")->link == find(tree, "again")->link &&
           one->link == 0 && find(tree, "link2")->link != 0 &&
           find(tree, "link2")->link == find(tree, "link3")->link &&
           find(tree, "link2")->link != find(tree, "a#b")->link,
       "files and links with two names");
    ok(tree_root(tree)->mode == 0701 && find(tree, "bare")->mode == 0644 && find(tree, "bare")->uid == 0 &&
           find(tree, "bare-dir")->mode == 0755 && find(tree, "bare")->mtime_s == 0,
       "what is not given is the same everywhere");
    tree_close(tree);

    /* A target and patterns. */
    static const char *const exclude[] = {"*.o", "dir/", "!keep.o", NULL};
    put_file("plain", "#mtree\na.o type=dir\n..\ndir type=dir\n  x type=fifo\n..\n./keep.o type=fifo\n");
    tree = open_tree(&(struct tree_options){.exclude = exclude});
    ok(tree_add_manifest(tree, "to/here", at("plain"), &err) == 0 && tree_finish(tree, &err) == 0 &&
           lists(tree, "to/ to/here/ to/here/keep.o "),
       "below a target, with patterns: %s", err.text);
    tree_close(tree);
}

static void test_refusals(void)
{
    static const struct {
        const char *lines, *word;
    } cases[] = {
        {". contents=x", "type"},
        {"./a type=file contents=../outside", "outside the manifest's directory"},
        {"./a type=file contents=host/out/passwd", "outside the manifest's directory"},
        {"./a type=file contents=nothere", "nothere"},
        {"./a type=file", "'./a'"},
        {"./a type=file contents=host/one/x", "Not a directory"},
        {"./a type=file contents=host/one size=14", "15 bytes"},
        {"./a type=file contents=host/one size=0", "15 bytes"},
        {"./a type=file contents=host/one size=99999999999999999999", "15 bytes"},
        {"./a type=file contents=host", "no regular file"},
        {"./a type=file contents=host/fifo", "no regular file"},
        {"./a type=file link=host/one", "type=link"},
        {"./a type=sock", "sock"},
        {"./a type=dir mode=u+x", "u+x"},
        {"./a type=dir mode=0999", "octal mode"},
        {"/set mode=77777\n./a type=dir", "line 2: expected an octal mode"},
        {"./a type=dir uid=abc", "expected a number, found 'uid=abc'"},
        {"./a type=dir uid=4294967296", "32-bit"}, /* no owner at all, inside */
        {"./a type=dir gid=", "expected a number"},
        {"./a type=dir time=abc", "expected seconds"},
        {"./a type=dir time=5.5s", "expected seconds"},
        {"./a type=file uname=bob contents=host/one", "uid="},
        {"./a type=file gname=bob contents=host/one", "gid="},
        {"./a type=dir uid=4294967297", "32-bit"},
        {"../a type=dir", "'..'"},
        {"./x/../../a type=dir", "'..'"},
        {"./a\\000b type=dir", "line 2: expected text without NUL"},
        {"./a\\0b type=dir", "NUL"},
        {"\n./a type=dir \\\n mode=0\\000755", "line 4"},
        {"/abs type=dir", "/set, /unset or a name"},
        {"./a type=dir # comment", "comments have lines"},
        {"./a type=link", "link="},
        {"./a type=link link=x contents=y", "contents="},
        {"./a type=dir colour=red", "colour"},
        {"./a type=dir\n./a/b type=fifo\n./a type=fifo", "'a' is a file"},
        {"./a type=fifo\n./a/b type=fifo", "'a' is a file"},
        {"", "no such test"},
    };
    put_file("outside", "secret");
    ok(symlink("/etc", at("host/out")) == 0 && mkfifo(at("host/fifo"), 0600) == 0, "a trap and a FIFO");
    make_dir("deep");
    for (size_t i = 0; cases[i].lines[0] != '\0'; i++) {
        struct tree *tree = open_tree(NULL);
        const int r = add(tree, "m.mtree", cases[i].lines);
        ok((r == PLAT_EINVALID || r == PLAT_ENOTFOUND || r == PLAT_ELIMIT || r == PLAT_ECORRUPT ||
            r == PLAT_EIO) &&
               strstr(err.text, "m.mtree") != NULL && strstr(err.text, cases[i].word) != NULL,
           "%.40s: %.200s", cases[i].lines, err.text);
        tree_close(tree);
    }
    struct tree *tree = open_tree(NULL);
    struct strbuf sb = {0};
    strbuf_printf(&sb, "./a type=file contents=%s", at("outside"));
    ok(add(tree, "m.mtree", strbuf_str(&sb)) == 0 && is(tree, "a", "secret"),
       "an absolute path, where it is called a manifest");
    strbuf_free(&sb);
    tree_close(tree);

    FILE *f = fopen(at("nul.mtree"), "w");
    ok(f != NULL && fwrite("#mtree\n\n./a\0 type=dir\n", 1, 23, f) == 23 && fclose(f) == 0, "written");
    tree = open_tree(NULL);
    ok(tree_add_source(tree, at("nul.mtree"), &err) < 0 && strstr(err.text, "line 3") != NULL, "a NUL: %s",
       err.text);
    tree_close(tree);
}

/* Lines without end, names without end, directories without end. */
static void test_large(void)
{
    for (int which = 0; which < 4; which++) {
        struct strbuf sb = {0};
        strbuf_puts(&sb, "#mtree\n");
        for (int i = 0; i < (which == 1 ? 300 : which == 3 ? 100000 : 70000); i++)
            strbuf_puts(&sb, which == 0   ? "x"
                             : which == 1 ? "d type=dir\n" /* one in the other */
                             : which == 2 ? "x "
                                          : "");
        for (int i = 0; which == 3 && i < 100000; i++)
            strbuf_printf(&sb, "./%05d type=fifo\n", i);
        put_file("large.mtree", strbuf_str(&sb));
        strbuf_free(&sb);
        struct tree *tree = open_tree(NULL);
        const double before = seconds();
        memset(&err, 0, sizeof err);
        const int r = tree_add_source(tree, at("large.mtree"), &err);
        static const bool good[] = {false, true, false, true};
        ok((r == 0) == good[which] && seconds() - before < 20, "large manifest %d: class %d, %.2f s: %.100s",
           which, r, seconds() - before, err.text);
        tree_close(tree);
    }
    struct strbuf sb = {0};
    for (int i = 0; i < 1100; i++)
        strbuf_puts(&sb, "d type=dir\n");
    struct tree *tree = open_tree(NULL);
    ok(add(tree, "deep.mtree", strbuf_str(&sb)) == PLAT_ELIMIT, "1100 directories, one in the other: %.200s",
       err.text);
    strbuf_free(&sb);
    tree_close(tree);
}

/* The words come out the same however the manifest is cut into blocks. */
static void test_blocks(void)
{
    static const char text[] = "#mtree\n/set type=file optional\n./a contents=x \\\n type=socket flags=q\n"
                               "/unset contents optional mode\nb#c\\\\ link=x\\#\n\n./last mode=1";
    struct strbuf whole = {0};
    for (size_t step = sizeof text; step > 0; step = step > 40 ? 40 : step - 1) {
        struct strbuf out = {0};
        struct manifest_words *words = NULL;
        const char *some;
        size_t n = 1;
        int r = manifest_words_open(&words, &err);
        for (size_t at = 0; r == 0 && at < sizeof text - 1; at += step) {
            const size_t left = sizeof text - 1 - at;
            r = manifest_words_feed(words, (const uint8_t *)text + at, step < left ? step : left, &some, &n,
                                    &err);
            strbuf_add(&out, some, r == 0 ? n : 0);
        }
        for (n = 1; r == 0 && n > 0;) {
            r = manifest_words_feed(words, (const uint8_t *)text, 0, &some, &n, &err);
            strbuf_add(&out, some, r == 0 ? n : 0);
        }
        manifest_words_close(words);
        if (step == sizeof text)
            strbuf_puts(&whole, strbuf_str(&out));
        else if (r != 0 || strcmp(strbuf_str(&whole), strbuf_str(&out)) != 0)
            ok(false, "blocks of %zu bytes: %s", step, strbuf_str(&out));
        strbuf_free(&out);
    }
    ok(strstr(strbuf_str(&whole), "./a link=\\001cx type=fifo link=\\001s") != NULL &&
           strstr(strbuf_str(&whole), "/unset link flags mode\n/set mode=") != NULL &&
           strstr(strbuf_str(&whole), "b\\043c\\\\ link=x\\043\n") != NULL,
       "words in blocks of 1 to 40 bytes: %s", strbuf_str(&whole));
    strbuf_free(&whole);
}

int main(void)
{
    if (!scratch_open())
        return 1;
    make_dir("host");
    test_kinds();
    test_refusals();
    test_large();
    test_blocks();
    return scratch_close();
}
