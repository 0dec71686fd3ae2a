/* lib/tree: archives as sources, friendly and hostile. */
#include <archive.h>
#include <archive_entry.h>
#include <sys/sysmacros.h>

#include "tests/unit/tree_shell.h"

/* One member in an archive of its own: the class that comes out, and a word that the message must hold. */
static void refuse_member(const char *name, unsigned mode, const char *data, int class, const char *word)
{
    struct strbuf sb = {0};
    cpio_member(&sb, "good", REG, 1, 1, "fine");
    cpio_member(&sb, name, mode, 2, 1, data);
    const char *path = save(&sb, "hostile.cpio", true);
    struct tree *tree = open_tree(NULL);
    memset(&err, 0, sizeof err);
    int r = tree_add_archive(tree, "/", path, &err);
    ok(r == class && strstr(err.text, word) != NULL && strstr(err.text, "hostile.cpio") != NULL,
       "member '%.40s' is refused, naming the archive and '%s' (class %d: %.120s)", name, word, r, err.text);
    tree_close(tree);
}

static void test_archive_members(void)
{
    struct strbuf sb = {0};
    cpio_member(&sb, "/abs/file", REG, 1, 1, "absolute");
    cpio_member(&sb, "./dot//file", 0104711, 2, 1, "dotted");
    cpio_member(&sb, ".", 0040700, 3, 2, NULL);
    cpio_member(&sb, "dup", REG, 4, 1, "first");
    cpio_member(&sb, "dup", REG, 5, 1, "second");
    cpio_member(&sb, "sym", LINK, 6, 1, "../../etc/passwd");
    cpio_member(&sb, "null", CHAR_DEVICE, 7, 1, NULL);
    cpio_member(&sb, "late", FOLDER, 8, 2, NULL);
    cpio_member(&sb, "late", REG, 9, 1, "file after empty directory");
    const char *path = save(&sb, "members.cpio", true);
    struct tree *tree = open_tree(NULL);
    ok(tree_add_source(tree, path, &err) == 0 && tree_finish(tree, &err) == 0, "an archive as source");
    ok(lists(tree, "abs/ abs/file dot/ dot/file dup late null sym "), "members");
    ok(is(tree, "abs/file", "absolute") && is(tree, "dup", "second") && is(tree, "sym", "../../etc/passwd"),
       "absolute names lose their '/', later members win, symlinks are data");
    struct tree_node *f = find(tree, "dot/file");
    ok(f->mode == 04711 && f->uid == 7 && f->gid == 8 && f->mtime_s == 1000, "mode, owner, time");
    ok(tree_root(tree)->mode == 0700 && find(tree, "abs")->mode == 0755,
       "'.' is the root; parents are invented");
    ok(find(tree, "null")->kind == TREE_CHAR && major(find(tree, "null")->from.device) == 5 &&
           minor(find(tree, "null")->from.device) == 1,
       "a device");
    tree_close(tree);
}

static void test_hard_links(void)
{
    struct strbuf sb = {0};
    cpio_member(&sb, "bin/a", 0100755, 9, 3, NULL);
    cpio_member(&sb, "bin/b", 0100755, 9, 3, NULL);
    cpio_member(&sb, "bin/c", 0100755, 9, 3, "binary");
    cpio_member(&sb, "empty1", REG, 10, 2, NULL);
    cpio_member(&sb, "empty2", REG, 10, 2, NULL);
    cpio_member(&sb, "bin/b2", 0100755, 11, 2, NULL);
    cpio_member(&sb, "bin/b", REG, 12, 1, NULL);
    const char *path = save(&sb, "links.cpio", true);
    struct tree *tree = open_tree(NULL);
    ok(tree_add_archive(tree, "sub", path, &err) == 0 && tree_finish(tree, &err) == 0, "hard links in cpio");
    ok(is(tree, "sub/bin/a", "binary") && is(tree, "sub/bin/c", "binary") && is(tree, "sub/empty2", ""),
       "all names have the content that came last");
    ok(is(tree, "sub/bin/b", ""), "a name that was overridden since keeps what it got");
    ok(find(tree, "sub/bin/a")->from.spool_offset == find(tree, "sub/bin/c")->from.spool_offset,
       "stored once");
    tree_close(tree);
    char command[1200];
    snprintf(command, sizeof command,
             "cd %s && mkdir -p hl && cd hl && echo tar >a && ln a b && mkdir -p d && ln a d/c && "
             "ln -s a s && ln s s2 && mkfifo p && ln p d/p && tar cf ../hl.tar . && "
             "find . | cpio -o -H newc --quiet >../hl.cpio",
             dir);
    ok(system(command) == 0, "hard links by GNU tar and cpio");
    for (int i = 0; i < 2; i++) {
        tree = open_tree(NULL);
        ok(tree_add_source(tree, at(i == 0 ? "hl.tar" : "hl.cpio"), &err) == 0 && is(tree, "a", "tar\n") &&
               is(tree, "b", "tar\n") && is(tree, "d/c", "tar\n"),
           "read back from %s", i == 0 ? "tar" : "cpio");
        ok(find(tree, "a")->link == 0 && tree_link_count(tree) == 0, "links are not told unasked");
        tree_close(tree);
        tree = open_tree(&(struct tree_options){.links = true});
        ok(tree_add_source(tree, at(i == 0 ? "hl.tar" : "hl.cpio"), &err) == 0 &&
               find(tree, "a")->link != 0 && find(tree, "b")->link == find(tree, "a")->link &&
               find(tree, "d/c")->link == find(tree, "a")->link && find(tree, "d")->n_children == 2 &&
               is(tree, "b", "tar\n"),
           "links are told");
        const struct tree_node *const sym = find(tree, "s"), *const pipe = find(tree, "p");
        ok(sym->kind == TREE_SYMLINK && find(tree, "s2")->kind == TREE_SYMLINK && is(tree, "s2", "a") &&
               sym->link != 0 && sym->link != find(tree, "a")->link && find(tree, "s2")->link == sym->link,
           "further names of a symbolic link");
        /* GNU tar writes a FIFO under each of its names. */
        ok(pipe->kind == TREE_FIFO && find(tree, "d/p")->kind == TREE_FIFO &&
               pipe->link == find(tree, "d/p")->link && (pipe->link != 0) == (i == 1),
           "further names of a FIFO");
        tree_close(tree);
    }
}

static void test_hostile(void)
{
    refuse_member("../x", REG, "evil", PLAT_EINVALID, "..");
    refuse_member("a/../../x", REG, "evil", PLAT_EINVALID, "..");
    refuse_member("/..", FOLDER, NULL, PLAT_EINVALID, "..");
    refuse_member("good/below", REG, "x", PLAT_EINVALID, "good");
    refuse_member(".", REG, "x", PLAT_EINVALID, "without a name");
    refuse_member("kind", 0150000, NULL, PLAT_EUNSUPPORTED, "kind");
    refuse_member("long-link", LINK, NULL, PLAT_ECORRUPT, "long-link");
    char name[4096];
    memset(name, 'n', sizeof name);
    name[1000] = '\0';
    refuse_member(name, REG, "x", PLAT_ELIMIT, "1000 bytes");
    struct strbuf deep = {0};
    for (int i = 0; i < 1100; i++)
        strbuf_puts(&deep, "d/");
    strbuf_puts(&deep, "f");
    refuse_member(deep.s, REG, "x", PLAT_ELIMIT, "deeper");
    strbuf_free(&deep);

    struct strbuf sb = {0};
    cpio_member(&sb, "link", LINK, 1, 1, "/etc");
    cpio_member(&sb, "link/passwd", REG, 2, 1, "root::0:0");
    struct tree *tree = open_tree(NULL);
    ok(tree_add_archive(tree, "/", save(&sb, "through.cpio", true), &err) == PLAT_EINVALID &&
           strstr(err.text, "symbolic link") != NULL,
       "a member through a symbolic link: %.200s", err.text);
    tree_close(tree);
    sb = (struct strbuf){0};
    cpio_member(&sb, "d/f", REG, 1, 1, "x");
    cpio_member(&sb, "d", REG, 2, 1, "x");
    tree = open_tree(NULL);
    ok(tree_add_archive(tree, "/", save(&sb, "over.cpio", true), &err) == PLAT_EINVALID,
       "a file over its own parent: %.200s", err.text);
    tree_close(tree);
    put_file("random", "this is just some text, and no archive at all\n");
    put_file("nothing", "");
    put_file("mtree",
             "#mtree\nshadow type=file contents=/etc/shadow\npasswd type=file contents=/etc/passwd\n");
    static const char *const no_archives[] = {"random", "nothing", "mtree"};
    tree = open_tree(NULL);
    ok(tree_add_source(tree, at("mtree"), &err) == PLAT_EINVALID && strstr(err.text, "outside") != NULL,
       "a manifest that nobody called one reads no files of the host: %.200s", err.text);
    tree_close(tree);
    for (size_t i = 0; i < 3; i++) {
        tree = open_tree(NULL);
        ok(tree_add_archive(tree, "/", at(no_archives[i]), &err) == PLAT_ECORRUPT &&
               strstr(err.text, "archive") != NULL,
           "no archive: %.200s", err.text);
        tree_close(tree);
    }
}

static void test_truncated(void)
{
    struct strbuf sb = {0};
    cpio_member(&sb, "one", REG, 1, 1, "some content that is longer than a header, or at least not short");
    cpio_member(&sb, "two", REG, 2, 1, "more");
    size_t whole = sb.len; /* before the trailer */
    cpio_member(&sb, "TRAILER!!!", 0, 0, 1, NULL);
    size_t refused = 0;
    for (size_t n = 0; n < whole + 100; n++) {
        FILE *f = fopen(at("cut.cpio"), "w");
        bool written = f != NULL && fwrite(sb.s, 1, n, f) == n;
        if (f != NULL)
            fclose(f);
        struct tree *tree = open_tree(NULL);
        refused += written && tree_add_archive(tree, "/", at("cut.cpio"), &err) != 0;
        tree_close(tree);
    }
    ok(refused == whole + 100, "all %zu prefixes of a cpio archive are refused (%zu were)", whole + 100,
       refused);
    strbuf_free(&sb);
}

static void write_foreign(const char *name, int format_code, int filter_code)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    archive_write_set_format(a, format_code);
    archive_write_add_filter(a, filter_code);
    if (archive_write_open_filename(a, at(name)) != ARCHIVE_OK)
        printf("# %s: %s\n", name, archive_error_string(a));
    static const char *const names[] = {"dir/one.txt", "dir/two.txt", "empty"};
    for (size_t i = 0; i < 3; i++) {
        archive_entry_clear(e);
        archive_entry_set_pathname(e, names[i]);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0640);
        archive_entry_set_mtime(e, 1000000000, 0);
        archive_entry_set_size(e, i < 2 ? 3000 : 0);
        archive_write_header(a, e);
        char data[3000];
        memset(data, 'a' + (int)i, sizeof data);
        archive_write_data(a, data, i < 2 ? sizeof data : 0);
    }
    archive_entry_free(e);
    archive_write_close(a);
    archive_write_free(a);
}

static void test_formats(void)
{
    static const struct {
        const char *name;
        int format, filter;
    } cases[] = {
        {"f.tar", ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_NONE},
        {"f.tgz", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP},
        {"f.txz", ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_XZ},
        {"f.tzst", ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_ZSTD},
        {"f.tlz4", ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_LZ4},
        {"f.tbz", ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_BZIP2},
        {"f.zip", ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE},
        {"f.7z", ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE},
        {"f.cpio", ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_GZIP},
        {"f.odc", ARCHIVE_FORMAT_CPIO_POSIX, ARCHIVE_FILTER_NONE},
        {"f.iso", ARCHIVE_FORMAT_ISO9660, ARCHIVE_FILTER_NONE},
    };
    char expected[3001];
    memset(expected, 'b', 3000);
    expected[3000] = '\0';
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_foreign(cases[i].name, cases[i].format, cases[i].filter);
        for (int from_stdin = 0; from_stdin < 2; from_stdin++) {
            struct tree *tree = open_tree(&(struct tree_options){.spool_dir = dir});
            int saved = dup(STDIN_FILENO);
            char command[600];
            snprintf(command, sizeof command, "cat %s", at(cases[i].name));
            FILE *pipe = from_stdin ? popen(command, "r") : NULL;
            if (pipe != NULL)
                dup2(fileno(pipe), STDIN_FILENO);
            int r = tree_add_source(tree, from_stdin ? "-" : at(cases[i].name), &err);
            dup2(saved, STDIN_FILENO); /* closes the pipe's reading end, so that cat ends */
            close(saved);
            if (pipe != NULL)
                pclose(pipe);
            ok(r == 0 && tree_finish(tree, &err) == 0 && lists(tree, "dir/ dir/one.txt dir/two.txt empty ") &&
                   is(tree, "dir/two.txt", expected) && is(tree, "empty", "") &&
                   find(tree, "empty")->mtime_s == 1000000000,
               "%s%s", cases[i].name, from_stdin ? " on standard input" : "");
            tree_close(tree);
        }
    }
    struct tree *tree = open_tree(&(struct tree_options){.spool_dir = "/nonexistent"});
    ok(tree_add_source(tree, at("f.tar"), &err) == PLAT_ENOTFOUND && strstr(err.text, "/nonexistent") != NULL,
       "no place to spool: %s", err.text);
    tree_close(tree);
}

static void test_names(void)
{
    static const char *const names[] = {"e\xcc\x81-nfd", "\xc3\xa9-nfc", "latin1-\xe9", "\xf0\x9f\x92\xbe"};
    char command[700];
    make_dir("names");
    for (size_t i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "names/%s", names[i]);
        put_file(name, names[i]);
    }
    static const char *const tools[] = {"tar --format=pax -cf", "tar --format=gnu -cf",
                                        "bsdtar --format=pax -cf"};
    for (size_t k = 0; k < 3; k++) {
        snprintf(command, sizeof command, "cd %s/names && LC_ALL=C.UTF-8 %s ../names.tar . 2>/dev/null", dir,
                 tools[k]);
        bool packed = system(command) == 0;
        struct tree *tree = open_tree(NULL);
        bool good = packed && tree_add_source(tree, at("names.tar"), &err) == 0;
        for (size_t i = 0; i < 4 && good; i++)
            good = is(tree, names[i], names[i]);
        ok(good, "names that are not ASCII through %s", tools[k]);
        tree_close(tree);
    }
}

static void test_sparse(void)
{
    char command[1200];
    snprintf(
        command, sizeof command,
        "cd %s && mkdir -p sp && truncate -s 64M sp/holes && printf mid | dd of=sp/holes bs=1 seek=33554432 "
        "conv=notrunc status=none && tar -cSf sparse.tar -C sp . && bsdtar -cf sparse2.tar -C sp .",
        dir);
    ok(system(command) == 0, "a sparse file in an archive");
    for (int i = 0; i < 2; i++) {
        struct tree *tree = open_tree(NULL);
        struct tree_reader reader;
        ok(tree_add_source(tree, at(i == 0 ? "sparse.tar" : "sparse2.tar"), &err) == 0, "read");
        struct tree_node *n = find(tree, "holes");
        char *buf = calloc(1, 64 << 20);
        struct stat st;
        bool good = n != NULL && n->size_bytes == 64 << 20 && tree_reader_open(tree, n, &reader, &err) == 0 &&
                    tree_reader_read(&reader, buf, 64 << 20, &err) == 0 &&
                    memcmp(buf + (32 << 20), "mid", 3) == 0 && buf[0] == 0 && buf[(64 << 20) - 1] == 0;
        ok(good && fstat(reader.fd, &st) == 0 && st.st_blocks < 8192,
           "its holes are holes in the spool (%lld blocks)", good ? (long long)st.st_blocks : -1);
        free(buf);
        tree_close(tree);
    }
}

int main(void)
{
    if (!scratch_open())
        return 1;
    test_archive_members();
    test_hard_links();
    test_hostile();
    test_truncated();
    test_formats();
    test_names();
    test_sparse();
    return scratch_close();
}
