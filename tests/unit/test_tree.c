/* lib/tree: targets, order, merging, directories, readers, limits. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/tree_shell.h"

static void test_targets(void)
{
    struct tree *tree = open_tree(NULL);
    ok(tree_add_literal(tree, "EFI/BOOT/BOOTX64.EFI", "efi", 3, &err) == 0, "a literal with parents");
    ok(tree_add_literal(tree, "/./EFI//BOOT/./b", "b", 1, &err) == 0,
       "leading '/', '//' and '.' mean nothing");
    ok(tree_add_symlink(tree, "EFI/link", "BOOT/b", &err) == 0, "a symbolic link");
    ok(tree_mkdir(tree, "empty/deep", &err) == 0, "an empty directory");
    ok(tree_add_literal(tree, "zero", "", 0, &err) == 0, "an empty file");
    static const char *const bad[] = {"", "/", "a/", "../x", "a/../x", "a/..", "."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ok(tree_add_literal(tree, bad[i], "x", 1, &err) == PLAT_EINVALID, "target '%s' is refused: %.60s",
           bad[i], err.text);
    ok(tree_add_literal(tree, "zero/x", "x", 1, &err) == PLAT_EINVALID, "a file as parent: %s", err.text);
    ok(tree_add_literal(tree, "EFI/link/x", "x", 1, &err) == PLAT_EINVALID &&
           strstr(err.text, "symbolic") != NULL,
       "a symbolic link as parent is not followed: %s", err.text);
    ok(tree_add_literal(tree, "EFI", "x", 1, &err) == PLAT_EINVALID && strstr(err.text, "EFI") != NULL,
       "a file over a directory with files: %s", err.text);
    ok(tree_add_literal(tree, "empty/deep", "now a file", 10, &err) == 0, "a file over an empty directory");
    ok(tree_add_literal(tree, "EFI/BOOT/b", "later", 5, &err) == 0, "a later file replaces an earlier one");
    char longest[TREE_MAX_NAME_BYTES + 2];
    memset(longest, 'n', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    ok(tree_add_literal(tree, longest, "x", 1, &err) == PLAT_ELIMIT, "a name of %zu bytes: %.60s",
       strlen(longest), err.text);
    longest[TREE_MAX_NAME_BYTES] = '\0';
    ok(tree_add_literal(tree, longest, "x", 1, &err) == 0, "a name of %zu bytes is possible",
       strlen(longest));
    struct strbuf deep = {0};
    for (int i = 0; i < TREE_MAX_DEPTH; i++)
        strbuf_puts(&deep, "d/");
    ok(tree_mkdir(tree, deep.s, &err) == 0, "%d directories deep", TREE_MAX_DEPTH);
    strbuf_puts(&deep, "e");
    ok(tree_mkdir(tree, deep.s, &err) == PLAT_ELIMIT, "one deeper: %.80s", err.text);
    strbuf_free(&deep);
    struct strbuf wide = {0};
    for (int i = 0; i < 100; i++)
        strbuf_printf(&wide, "%s%d/", longest, i % 10 == 0 ? 1 : 0);
    strbuf_truncate(&wide, 0);
    longest[700] = '\0';
    for (int i = 0; i < 100; i++)
        strbuf_printf(&wide, "%s/", longest);
    ok(tree_mkdir(tree, wide.s, &err) == PLAT_ELIMIT, "a path of %zu bytes: %.40s", wide.len, err.text);
    strbuf_free(&wide);
    ok(tree_finish(tree, &err) == 0, "finished");
    ok(is(tree, "EFI/BOOT/b", "later") && is(tree, "zero", "") && is(tree, "EFI/link", "BOOT/b"), "contents");
    ok(find(tree, "EFI")->mtime_s == 0 && find(tree, "EFI")->mode == 0755,
       "invented parents: mode 0755, time 0");
    ok(tree_add_literal(tree, "late", "x", 1, &err) == PLAT_EBUG, "a finished tree takes nothing");
    tree_close(tree);
}

static void test_paths(void)
{
    struct tree *tree = open_tree(NULL);
    tree_add_literal(tree, "a/b\n\x1b[31m/c", "x", 1, &err);
    struct tree_node *root = tree_root(tree);
    struct tree_node *c = root->child->child->child;
    char buf[64], label[TREE_LABEL_BYTES];
    ok(tree_path(root, buf, sizeof buf) == 0 && strcmp(buf, "/") == 0, "the root is '/'");
    ok(tree_path(c, buf, sizeof buf) == 0 && strcmp(buf, "/a/b\n\x1b[31m/c") == 0, "a full path");
    ok(tree_path(c, buf, 12) == PLAT_ELIMIT && buf[0] == '\0', "a buffer that is too small by one");
    ok(tree_path(c, buf, 13) == 0, "a buffer that just fits");
    tree_label(c, label);
    ok(strchr(label, '\x1b') == NULL && strchr(label, '\n') == NULL, "a label has no control characters: %s",
       label);
    struct strbuf deep = {0};
    for (int i = 0; i < 300; i++)
        strbuf_puts(&deep, "directory/");
    strbuf_puts(&deep, "last");
    tree_add_literal(tree, deep.s, "x", 1, &err);
    struct tree_node *n = root;
    while (n->child != NULL)
        n = n->child;
    tree_label(n, label);
    ok(strncmp(label, "...", 3) == 0 && strlen(label) < TREE_LABEL_BYTES &&
           strcmp(label + strlen(label) - 4, "last") == 0,
       "a long path shows its end");
    strbuf_free(&deep);
    tree_close(tree);
}

static void test_order(void)
{
    static const char *const names[] = {"b",  "a",  "a-b",      "a.b",       "B", "\xc3\xa9",
                                        "aa", "a0", "prefix-9", "prefix-10", "~"};
    enum { N = sizeof names / sizeof names[0] };
    char first[65] = "";
    bool same = true;
    for (unsigned turn = 0; turn < 8; turn++) {
        char top[32];
        snprintf(top, sizeof top, "order%u", turn);
        make_dir(top);
        for (unsigned i = 0; i < N; i++) {
            char name[128];
            unsigned k = (i * (turn + 1) + turn) % N; /* N is prime */
            snprintf(name, sizeof name, "%s/%s", top, names[turn == N ? i : k]);
            put_file(name, names[k]);
            struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
            utimensat(AT_FDCWD, at(name), times, 0);
        }
        struct tree *tree = open_tree(NULL);
        char digest[65];
        ok(tree_add_source(tree, at(top), &err) == 0 && tree_finish(tree, &err) == 0, "order %u scanned",
           turn);
        tree_digest(tree, true, digest);
        if (turn == 0) {
            strcpy(first, digest);
            ok(lists(tree, "B a a-b a.b a0 aa b prefix-10 prefix-9 ~ \xc3\xa9 "), "bytewise order");
        }
        same = same && strcmp(first, digest) == 0;
        tree_close(tree);
    }
    ok(same, "the digest does not depend on the order of creation (%.16s)", first);
}

static void test_digest(void)
{
    char base[65] = "", other[65] = "", plain[65] = "", plain_base[65] = "";
    for (int change = 0; change < 9; change++) {
        struct tree *tree = open_tree(NULL);
        tree_add_literal(tree, change == 1 ? "d/g" : "d/f", "12345", change == 2 ? 4 : 5, &err);
        tree_add_symlink(tree, "l", change == 3 ? "to" : "at", &err);
        tree_mkdir(tree, change == 4 ? "d/e" : "e", &err);
        struct tree_override o = {.pattern = "d/*"};
        if (change == 5) {
            o.has_mtime = true;
            o.mtime_s = 5;
        } else if (change == 6) {
            o.has_attributes = true;
            o.attributes = 1;
        } else if (change == 7) {
            o.has_mode = true;
            o.mode = 0600;
        } else if (change == 8) {
            o.has_gid = true;
            o.gid = 3;
        }
        tree_apply_override(tree, &o, &err);
        tree_finish(tree, &err);
        tree_digest(tree, true, change == 0 ? base : other);
        if (change > 0)
            ok(strcmp(base, other) != 0, "change %d changes the digest", change);
        tree_digest(tree, false, plain);
        if (change == 0)
            strcpy(plain_base, plain);
        if (change >= 7)
            ok(strcmp(plain, plain_base) == 0, "change %d (mode, owner) does not matter without owner",
               change);
        tree_close(tree);
    }
}

static void test_directory(void)
{
    make_dir("src");
    make_dir("src/sub");
    put_file("src/file", "hello");
    put_file("src/sub/deep", "deep");
    ok(symlink("../file", at("src/sub/sym")) == 0 && link(at("src/file"), at("src/hard")) == 0 &&
           mkfifo(at("src/fifo"), 0600) == 0 &&
           linkat(AT_FDCWD, at("src/sub/sym"), AT_FDCWD, at("src/sub/sym2"), 0) == 0,
       "a source with links and a FIFO");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", at("src/sock"));
    bool has_socket = bind(sock, (struct sockaddr *)&address, sizeof address) == 0;
    close(sock);
    chmod(at("src/file"), 04751);
    struct timespec times[2] = {{.tv_sec = 5000, .tv_nsec = 77}, {.tv_sec = 5000, .tv_nsec = 77}};
    utimensat(AT_FDCWD, at("src/file"), times, 0);

    struct tree *tree = open_tree(NULL);
    ok(tree_add_directory(tree, "/", at("src"), &err) == 0 && tree_finish(tree, &err) == 0, "scanned");
    ok(lists(tree, has_socket ? "fifo file hard sock sub/ sub/deep sub/sym sub/sym2 "
                              : "fifo file hard sub/ sub/deep sub/sym sub/sym2 "),
       "everything is there");
    struct tree_node *file = find(tree, "file");
    ok(file->mode == 04751 && file->mtime_s == 5000 && file->mtime_ns == 77 && file->uid == getuid(),
       "mode and time");
    ok(find(tree, "fifo")->kind == TREE_FIFO && find(tree, "sub/sym")->kind == TREE_SYMLINK &&
           (!has_socket || find(tree, "sock")->kind == TREE_SOCKET),
       "kinds");
    ok(is(tree, "file", "hello") && is(tree, "hard", "hello") && is(tree, "sub/deep", "deep") &&
           is(tree, "sub/sym", "../file"),
       "contents, hard links as files of their own");
    struct tree_totals totals;
    tree_totals(tree, &totals);
    ok(totals.n_files == 3 && totals.n_dirs == 2 && totals.data_bytes == 14, "totals");
    struct tree_reader reader;
    ok(tree_reader_open(tree, find(tree, "sub"), &reader, &err) == PLAT_EINVALID,
       "a directory cannot be read");
    ok(tree_reader_open(tree, file, &reader, &err) == 0 &&
           tree_reader_read(&reader, address.sun_path, 6, &err) == PLAT_EBUG,
       "more than the file has is a caller's mistake");
    tree_reader_close(&reader);
    tree_close(tree);

    tree = open_tree(&(struct tree_options){.links = true});
    ok(tree_add_directory(tree, "/", at("src"), &err) == 0 &&
           tree_add_literal(tree, "hard2", "x", 1, &err) == 0 &&
           tree_add_directory(tree, "again", at("src"), &err) == 0 && tree_finish(tree, &err) == 0,
       "scanned for links");
    const uint32_t link = find(tree, "file")->link;
    ok(link != 0 && find(tree, "hard")->link == link && find(tree, "again/hard")->link == link &&
           find(tree, "sub/deep")->link == 0 && find(tree, "hard2")->link == 0 && tree_link_count(tree) == 2,
       "hard links have one number, others none");
    const uint32_t sym = find(tree, "sub/sym")->link;
    ok(sym != 0 && sym != link && find(tree, "sub/sym2")->link == sym && find(tree, "fifo")->link == 0,
       "so have those of symbolic links");
    tree_close(tree);
    struct stat st;
    if (stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode)) {
        tree = open_tree(&(struct tree_options){
            .exclude = (const char *const[]){"[!n]*", "n[!u]*", "nu[!l]*", "*/**", NULL}});
        if (tree_add_directory(tree, "/", "/dev", &err) == 0 && find(tree, "null") != NULL)
            ok(find(tree, "null")->kind == TREE_CHAR && find(tree, "null")->from.device == st.st_rdev,
               "a device");
        tree_close(tree);
    }
}

static void test_changes(void)
{
    static const struct {
        const char *now, *word;
    } cases[] = {{"short", "changed"}, {"longer than before", "changed"}, {NULL, "cannot read"}};
    for (size_t i = 0; i < 3; i++) {
        make_dir("moving");
        put_file("moving/f", "as scanned");
        struct tree *tree = open_tree(NULL);
        struct tree_reader reader;
        tree_add_source(tree, at("moving"), &err);
        tree_finish(tree, &err);
        if (cases[i].now != NULL)
            put_file("moving/f", cases[i].now);
        else
            unlink(at("moving/f"));
        int r = tree_reader_open(tree, find(tree, "f"), &reader, &err);
        ok(r != 0 && strstr(err.text, cases[i].word) != NULL && strstr(err.text, "moving/f") != NULL,
           "a file that changed since the scan: %s", err.text);
        tree_close(tree);
    }
    put_file("moving/f", "as scanned");
    for (int longer = 0; longer < 2; longer++) {
        struct tree *tree = open_tree(NULL);
        struct tree_reader reader = {.fd = -1};
        char buf[32];
        put_file("moving/f", "as scanned");
        tree_add_file(tree, "f", at("moving/f"), &err);
        int r = tree_reader_open(tree, find(tree, "f"), &reader, &err);
        put_file("moving/f", longer ? "as scanned, and more" : "as");
        ok(r == 0 && tree_reader_read(&reader, buf, 10, &err) == PLAT_EIO,
           "a file that changes while it is open: %s", err.text);
        tree_reader_close(&reader);
        tree_close(tree);
    }
    /* A FIFO in the file's place must not hang. */
    struct tree *tree = open_tree(NULL);
    struct tree_reader reader;
    tree_add_source(tree, at("moving"), &err);
    tree_finish(tree, &err);
    unlink(at("moving/f"));
    ok(mkfifo(at("moving/f"), 0600) == 0 &&
           tree_reader_open(tree, find(tree, "f"), &reader, &err) == PLAT_EIO,
       "a FIFO in the file's place: %s", err.text);
    tree_close(tree);
}

static void test_unreadable(void)
{
    struct tree *tree = open_tree(NULL);
    ok(tree_add_source(tree, at("nowhere"), &err) == PLAT_ENOTFOUND && strstr(err.text, "nowhere") != NULL,
       "%s", err.text);
    ok(tree_add_directory(tree, "/", at("nowhere"), &err) == PLAT_ENOTFOUND, "%s", err.text);
    ok(tree_add_archive(tree, "/", at("nowhere"), &err) == PLAT_ENOTFOUND, "%s", err.text);
    ok(tree_add_file(tree, "x", at("nowhere"), &err) == PLAT_ENOTFOUND, "%s", err.text);
    ok(tree_add_file(tree, "x", dir, &err) == PLAT_EINVALID, "%.80s", err.text);
    ok(tree_add_directory(tree, "/", at("src/file"), &err) == PLAT_EIO, "a file as directory: %s", err.text);
    tree_close(tree);
    if (geteuid() == 0)
        return; /* root reads everything */
    make_dir("locked");
    make_dir("locked/in");
    chmod(at("locked/in"), 0);
    tree = open_tree(NULL);
    ok(tree_add_source(tree, at("locked"), &err) == PLAT_EIO && strstr(err.text, "locked/in") != NULL,
       "an unreadable directory: %s", err.text);
    chmod(at("locked/in"), 0755);
    tree_close(tree);
}

static void test_times(void)
{
    put_file("timed", "t");
    struct timespec times[2] = {{.tv_sec = 5000, .tv_nsec = 9}, {.tv_sec = 5000, .tv_nsec = 9}};
    utimensat(AT_FDCWD, at("timed"), times, 0);
    static const struct {
        struct tree_options options;
        int64_t file, made;
        uint32_t ns;
    } cases[] = {
        {.options = {0}, .file = 5000, .made = 0, .ns = 9},
        {.options = {.has_clamp = true, .clamp_s = 6000}, .file = 5000, .made = 0, .ns = 9},
        {.options = {.has_clamp = true, .clamp_s = 5000}, .file = 5000, .made = 0, .ns = 0},
        {.options = {.has_clamp = true, .clamp_s = 400}, .file = 400, .made = 0, .ns = 0},
        {.options = {.has_clamp = true, .clamp_s = -5}, .file = -5, .made = -5, .ns = 0},
        {.options = {.has_time = true, .time_s = 77}, .file = 77, .made = 77, .ns = 0},
        {.options = {.has_time = true, .time_s = 77, .has_clamp = true, .clamp_s = 5},
         .file = 77,
         .made = 77,
         .ns = 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tree *tree = open_tree(&cases[i].options);
        tree_add_file(tree, "d/f", at("timed"), &err);
        struct tree_node *f = find(tree, "d/f");
        ok(f->mtime_s == cases[i].file && f->mtime_ns == cases[i].ns && f->parent->mtime_s == cases[i].made &&
               tree_root(tree)->mtime_s == cases[i].made,
           "times, case %zu: %lld.%u, parent %lld", i, (long long)f->mtime_s, (unsigned)f->mtime_ns,
           (long long)f->parent->mtime_s);
        struct tree_override o = {.pattern = "d/f", .has_mtime = true, .mtime_s = 999999};
        ok(tree_apply_override(tree, &o, &err) == 0 && tree_finish(tree, &err) == 0 && f->mtime_s == 999999,
           "an override is exact");
        tree_close(tree);
    }
}

static void test_merge(void)
{
    make_dir("one");
    make_dir("one/common");
    make_dir("two");
    make_dir("two/common");
    put_file("one/common/a", "one-a");
    put_file("one/common/b", "one-b");
    put_file("two/common/b", "two-b");
    put_file("two/common/c", "two-c");
    put_file("one/swap", "file");
    make_dir("two/swap");
    put_file("two/swap/in", "in");
    chmod(at("two/common"), 0700);
    struct tree *tree = open_tree(NULL);
    ok(tree_add_source(tree, at("one"), &err) == 0 &&
           tree_add_directory(tree, "common/sub", at("one"), &err) == 0 &&
           tree_add_source(tree, at("two"), &err) == 0 && tree_finish(tree, &err) == 0,
       "two directories over each other");
    ok(lists(tree, "common/ common/a common/b common/c common/sub/ common/sub/common/ common/sub/common/a "
                   "common/sub/common/b common/sub/swap swap/ swap/in "),
       "merged");
    ok(is(tree, "common/a", "one-a") && is(tree, "common/b", "two-b") && is(tree, "common/c", "two-c") &&
           is(tree, "common/sub/common/b", "one-b") && is(tree, "swap/in", "in") &&
           is(tree, "common/a", "one-a"),
       "each file from its own source, in any order");
    ok(find(tree, "common")->mode == 0700, "the later directory's mode stays");
    tree_close(tree);
    tree = open_tree(NULL);
    ok(tree_add_source(tree, at("two"), &err) == 0 &&
           tree_add_source(tree, at("one"), &err) == PLAT_EINVALID && strstr(err.text, "one/swap") != NULL,
       "a file over a directory with files: %.200s", err.text);
    tree_close(tree);
}

static void test_exclude_and_override(void)
{
    make_dir("x");
    make_dir("x/keep");
    make_dir("x/drop");
    put_file("x/keep/a.o", "o");
    put_file("x/keep/a.c", "c");
    put_file("x/drop/a.c", "c");
    put_file("x/top.o", "o");
    static const char *const patterns[] = {"*.o", "/drop", NULL};
    char spare[3][16] = {"*.o", "/drop"};
    const char *const borrowed[] = {spare[0], spare[1], NULL};
    struct tree *tree = open_tree(&(struct tree_options){.exclude = borrowed});
    memset(spare, 'x', sizeof spare - 1); /* the tree must have its own copy */
    ok(tree_add_directory(tree, "t", at("x"), &err) == 0 &&
           tree_add_literal(tree, "t/named.o", "n", 1, &err) == 0 && tree_finish(tree, &err) == 0,
       "scanned with excludes");
    ok(lists(tree, "t/ t/keep/ t/keep/a.c t/named.o "), "excluded below their target, directories pruned");
    tree_close(tree);

    struct strbuf sb = {0};
    cpio_member(&sb, "keep/a.o", REG, 1, 1, "o");
    cpio_member(&sb, "./keep/a.c", REG, 2, 1, "c");
    cpio_member(&sb, "drop/deep/a.c", REG, 3, 1, "c");
    cpio_member(&sb, "drop", FOLDER, 4, 2, NULL);
    const char *path = save(&sb, "exclude.cpio", true);
    tree = open_tree(&(struct tree_options){.exclude = patterns});
    ok(tree_add_archive(tree, "/t", path, &err) == 0 && tree_finish(tree, &err) == 0 &&
           lists(tree, "t/ t/keep/ t/keep/a.c "),
       "the same for members of an archive");
    tree_close(tree);

    tree = open_tree(NULL);
    tree_add_source(tree, at("x"), &err);
    struct tree_override o = {
        .pattern = "**/*.c", .has_mode = true, .mode = 0100600, .has_uid = true, .uid = 5};
    ok(tree_apply_override(tree, &o, &err) == 0 && find(tree, "keep/a.c")->mode == 0600 &&
           find(tree, "drop/a.c")->uid == 5 && find(tree, "top.o")->mode != 0600,
       "an override where it matches");
    o = (struct tree_override){
        .pattern = "/", .has_gid = true, .gid = 9, .has_attributes = true, .attributes = 3};
    ok(tree_apply_override(tree, &o, &err) == 0 && tree_root(tree)->gid == 9 &&
           tree_root(tree)->attributes == 3 && find(tree, "keep")->gid != 9,
       "the root alone");
    o.pattern = "keep/nothing*";
    ok(tree_apply_override(tree, &o, &err) == PLAT_ENOTFOUND && strstr(err.text, "nothing") != NULL,
       "no match: %s", err.text);
    tree_close(tree);
}

static void test_large(void)
{
    enum { N = 65000 };
    make_dir("flat");
    int fd = open(at("flat"), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "file%06d", (int)((long)i * 7919 % N));
        int f = openat(fd, name, O_CREAT | O_WRONLY, 0644);
        close(f);
    }
    close(fd);
    struct tree *tree = open_tree(NULL);
    double start = seconds();
    ok(tree_add_source(tree, at("flat"), &err) == 0 && tree_finish(tree, &err) == 0,
       "%d files in one directory", N);
    double first = seconds() - start;
    ok(first < 2.0, "scanned and sorted in %.0f ms", first * 1e3);
    bool sorted = true;
    for (const struct tree_node *n = tree_root(tree)->child; n != NULL && n->next != NULL; n = n->next)
        sorted = sorted && strcmp(n->name, n->next->name) < 0;
    ok(sorted && tree_root(tree)->n_children == N, "in order");
    tree_close(tree);

    tree = open_tree(NULL);
    start = seconds();
    for (int k = 0; k < 3; k++)
        tree_add_source(tree, at("flat"), &err);
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "file%06d", i * 2);
        tree_add_literal(tree, name, "x", 1, &err);
    }
    tree_finish(tree, &err);
    double merged = seconds() - start;
    ok(merged < 5.0 && tree_root(tree)->n_children == N + N / 2,
       "merged three times and half overridden in %.0f ms", merged * 1e3);
    tree_close(tree);

    struct strbuf sb = {0};
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "d/file%06d", i);
        cpio_member(&sb, name, REG, (unsigned)i + 1, 1, "x");
    }
    const char *path = save(&sb, "large.cpio", true);
    tree = open_tree(NULL);
    start = seconds();
    ok(tree_add_source(tree, path, &err) == 0 && tree_finish(tree, &err) == 0 &&
           is(tree, "d/file064999", "x"),
       "%d members in one directory", N);
    ok(seconds() - start < 5.0, "unpacked in %.0f ms", (seconds() - start) * 1e3);
    tree_close(tree);
}

static void test_deep_scan(void)
{
    struct rlimit before, few = {.rlim_cur = 32, .rlim_max = 32};
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 600; i++) {
        mkdirat(fd, "down", 0755);
        int next = openat(fd, "down", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    int f = openat(fd, "bottom", O_CREAT | O_WRONLY, 0644);
    bool made = write(f, "deep", 4) == 4;
    close(f);
    close(fd);
    getrlimit(RLIMIT_NOFILE, &before);
    few.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    struct tree *tree = open_tree(NULL);
    int r = tree_add_directory(tree, "/", at("down"), &err);
    ok(made && r == 0, "600 directories deep with 32 descriptors");
    const struct tree_node *n = tree_root(tree);
    while (n->child != NULL)
        n = n->child;
    struct tree_reader reader;
    char buf[4];
    ok(strcmp(n->name, "bottom") == 0 && tree_reader_open(tree, n, &reader, &err) == 0 &&
           tree_reader_read(&reader, buf, 4, &err) == 0 && memcmp(buf, "deep", 4) == 0,
       "and the file at the bottom is read");
    tree_reader_close(&reader);
    tree_close(tree);
    setrlimit(RLIMIT_NOFILE, &before);
}

/* A hole is told where the source has one, and nothing is left out that is not. */
static void test_holes(void)
{
    struct tree_reader reader;
    char buf[5];
    FILE *f = fopen(at("holes"), "w");
    if (f == NULL || fputs("begin", f) < 0 || fseek(f, 1 << 20, SEEK_SET) != 0 || fputs("end", f) < 0 ||
        fclose(f) != 0 || truncate(at("holes"), 2 << 20) != 0) {
        printf("Bail out! a sparse file\n");
        exit(1);
    }
    struct tree *tree = open_tree(NULL);
    ok(tree_add_file(tree, "holes", at("holes"), &err) == 0 &&
           tree_add_literal(tree, "text", "text", 4, &err) == 0 && tree_finish(tree, &err) == 0 &&
           tree_reader_open(tree, find(tree, "holes"), &reader, &err) == 0,
       "a sparse file");
    ok(tree_reader_hole(&reader) == 0, "it begins with data");
    tree_reader_skip(&reader, 4096 * 16);
    const uint64_t hole = tree_reader_hole(&reader);
    ok(hole == 0 || hole == (1 << 20) - 4096 * 16, "a hole ends where data begins (%llu)",
       (unsigned long long)hole);
    tree_reader_skip(&reader, (1 << 20) - 4096 * 16);
    ok(tree_reader_hole(&reader) == 0 && tree_reader_read(&reader, buf, 3, &err) == 0 &&
           memcmp(buf, "end", 3) == 0,
       "what lies behind it is read");
    tree_reader_skip(&reader, 512 * 1024);
    const uint64_t rest = tree_reader_hole(&reader);
    ok(rest == 0 || rest == reader.left_bytes, "the hole at the end goes to the end (%llu)",
       (unsigned long long)rest);
    tree_reader_close(&reader);
    ok(tree_reader_open(tree, find(tree, "text"), &reader, &err) == 0 && tree_reader_hole(&reader) == 0,
       "a literal has none");
    tree_reader_close(&reader);
    tree_close(tree);
}

int main(void)
{
    if (!scratch_open())
        return 1;
    ok(sizeof(struct tree_node) <= 104, "a node takes %zu bytes", sizeof(struct tree_node));
    test_targets();
    test_paths();
    test_order();
    test_digest();
    test_directory();
    test_changes();
    test_unreadable();
    test_times();
    test_merge();
    test_exclude_and_override();
    test_large();
    test_deep_scan();
    test_holes();
    return scratch_close();
}
