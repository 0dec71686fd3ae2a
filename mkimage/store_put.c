/* plat store put: files, directories, lists of files and standard input into a store, in one commit. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/tree/tree.h"
#include "mkimage/gather.h"
#include "mkimage/store.h"

enum { SPOOL_BYTES = 1 << 20, NS_PER_S = 1000000000 };

struct put {
    const struct cli *cli;
    struct store *store;
    struct store_time time;
    struct strbuf out; /* printed when it is committed, not before */
    struct cli_progress bar;
};

/* A hash and a name, as sha256sum prints them. */
static void put_report(struct put *put, const uint8_t *key, const char *name)
{
    char text[STORE_KEY_TEXT_BYTES];
    if (cli_flag(put->cli, "quiet"))
        return;
    store_key_text(key, text);
    strbuf_puts(&put->out, text);
    strbuf_puts(&put->out, "  ");
    strbuf_visible(&put->out, name, strlen(name));
    strbuf_putc(&put->out, '\n');
}

struct fd_source {
    int fd;
    struct put *put;
};
static int fd_next(void *ctx, void *buf, size_t n, struct plat_err *err)
{
    const struct fd_source *source = ctx;
    uint8_t *at = buf;
    for (size_t left = n; left > 0;) {
        ssize_t got = read(source->fd, at, left);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "cannot read");
        if (got == 0)
            return err_set(err, PLAT_EIO, "it became shorter while it was read");
        at += got;
        left -= (size_t)got;
    }
    progress_add(&source->put->bar.progress, n);
    return 0;
}

static int put_fd(struct put *put, int fd, uint64_t size_bytes, const char *name, struct plat_err *err)
{
    uint8_t key[STORE_KEY_BYTES];
    bool added;
    struct fd_source source = {fd, put};
    int rc = store_put_from(put->store, size_bytes, fd_next, &source, &put->time, key, &added, err);
    if (rc == 0)
        put_report(put, key, name);
    return rc;
}

/* How long standard input is shows at its end: it is spooled. */
static int put_stdin(struct put *put, struct plat_err *err)
{
    uint8_t *buf = malloc(SPOOL_BYTES);
    uint64_t size_bytes = 0;
    int fd = -1;
    int rc = buf == NULL ? err_nomem(err, "reading standard input") : tree_spool_open(NULL, &fd, err);
    while (rc == 0) {
        ssize_t got = read(STDIN_FILENO, buf, SPOOL_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = err_sys(err, errno, "cannot read standard input");
        if (got <= 0)
            break;
        for (ssize_t at = 0, wrote; rc == 0 && at < got; at += wrote)
            if ((wrote = write(fd, buf + at, (size_t)(got - at))) < 0) {
                wrote = 0;
                if (errno != EINTR)
                    rc = err_sys(err, errno, "cannot spool standard input");
            }
        size_bytes += (uint64_t)got;
    }
    if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
        rc = err_sys(err, errno, "cannot read the spool of standard input");
    if (rc == 0)
        rc = put_fd(put, fd, size_bytes, "-", err);
    if (fd >= 0)
        (void)close(fd);
    free(buf);
    return rc;
}

static int put_directory(struct put *put, const char *path, struct plat_err *err)
{
    struct tree *tree = NULL;
    struct strbuf name = {0};
    int rc = tree_open(NULL, &tree, err);
    if (rc == 0)
        rc = tree_add_directory(tree, "/", path, err);
    if (rc == 0)
        rc = tree_finish(tree, err);
    for (const struct tree_node *node = rc == 0 ? tree_root(tree) : NULL; rc == 0 && node != NULL;
         node = tree_next(node)) {
        struct tree_reader reader;
        char inside[4096];
        if (node->kind == TREE_DIR)
            continue;
        if ((rc = tree_path(node, inside, sizeof inside)) != 0) {
            (void)err_set(err, rc, "a path below it is too long");
            break;
        }
        strbuf_truncate(&name, 0);
        strbuf_printf(&name, "%s%s", path, inside);
        if (name.failed) {
            rc = err_nomem(err, "naming a file");
            break;
        }
        if (node->kind != TREE_FILE) {
            rc = err_set(err, PLAT_EUNSUPPORTED,
                         "'%.200s' is not a regular file, and a store keeps contents only", inside);
            break;
        }
        if ((rc = tree_reader_open(tree, node, &reader, err)) != 0)
            break;
        rc = put_fd(put, reader.fd, node->size_bytes, strbuf_str(&name), err);
        tree_reader_close(&reader);
    }
    strbuf_free(&name);
    if (tree != NULL)
        tree_close(tree);
    return rc;
}

static int put_file(struct put *put, const char *path, struct plat_err *err)
{
    struct stat st;
    int rc, fd;
    if (strcmp(path, "-") == 0)
        return put_stdin(put, err);
    /* O_NONBLOCK: a FIFO by mistake must not hang. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_sys(err, errno, "%.300s: cannot open", path);
    if (fstat(fd, &st) != 0)
        rc = err_sys(err, errno, "cannot stat");
    else if (S_ISDIR(st.st_mode))
        rc = put_directory(put, path, err);
    else if (!S_ISREG(st.st_mode))
        rc =
            err_set(err, PLAT_EINVALID, "neither a regular file nor a directory; \"-\" reads standard input");
    else
        rc = put_fd(put, fd, (uint64_t)st.st_size, path, err);
    (void)close(fd);
    return rc == 0 ? 0 : err_prefix(err, "%.300s", path);
}

static int put_list(struct put *put, const char *list, struct plat_err *err)
{
    FILE *f = strcmp(list, "-") == 0 ? stdin : fopen(list, "re");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = f == NULL ? err_sys(err, errno, "%.300s: cannot open", list) : 0;
    while (rc == 0 && (n = getline(&line, &cap, f)) > 0) {
        line[n - (line[n - 1] == '\n')] = '\0';
        if (strcmp(line, "-") == 0 && f == stdin)
            rc =
                err_set(err, PLAT_EINVALID, "standard input is the list of files and cannot be a file in it");
        else if (line[0] != '\0')
            rc = put_file(put, line, err);
    }
    /* Without memory for a line there is no error on the stream, and no end of the file either. */
    if (rc == 0 && !feof(f))
        rc = err_sys(err, errno, "%.300s: cannot read", list);
    free(line);
    if (f != NULL && f != stdin)
        (void)fclose(f);
    return rc;
}

/* --created and --clock. */
static int put_time(const struct cli *cli, struct store_time *ret, struct plat_err *err)
{
    const char *created = cli_text(cli, "created"), *clock = cli_text(cli, "clock");
    struct store_time time = {STORE_TIME_UNKNOWN, 0};
    uint64_t seconds;
    if (created == NULL || strcmp(created, "unknown") == 0) {
        if (clock != NULL)
            return err_set(err, PLAT_EINVALID,
                           "--clock goes with a time: --created now or --created SECONDS");
        *ret = time;
        return 0;
    }
    if (strcmp(created, "now") == 0) {
        struct timespec now;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        time = (struct store_time){STORE_TIME_UNTRUSTED, (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec};
    } else if (parse_u64(created, &seconds, NULL) == 0 && seconds <= INT64_MAX / NS_PER_S) {
        time = (struct store_time){STORE_TIME_STATED, (int64_t)seconds * NS_PER_S};
    } else {
        return err_set(err, PLAT_EINVALID,
                       "--created: expected now, unknown or seconds since 1970 up to %lld, found \"%.40s\"",
                       (long long)(INT64_MAX / NS_PER_S), created);
    }
    if (clock != NULL)
        time.provenance = strcmp(clock, "untrusted") == 0    ? STORE_TIME_UNTRUSTED
                          : strcmp(clock, "ntp-synced") == 0 ? STORE_TIME_NTP_SYNCED
                                                             : STORE_TIME_STATED;
    *ret = time;
    return 0;
}

int store_put_files(const struct cli *cli, struct store *store, struct plat_err *err)
{
    struct put put = {.cli = cli, .store = store};
    const char *list = cli_text(cli, "files-from");
    int rc = put_time(cli, &put.time, err);
    cli_progress_init(&put.bar, cli, "storing", 0);
    for (size_t i = 2; rc == 0 && i < cli->n_args; i++)
        rc = put_file(&put, cli->args[i], err);
    if (rc == 0 && list != NULL)
        rc = put_list(&put, list, err);
    if (rc == 0 && list == NULL && cli->n_args == 2)
        rc = put_stdin(&put, err);
    if (rc == 0 && put.out.failed)
        rc = err_nomem(err, "printing hashes");
    if (rc == 0)
        rc = store_commit(store, err);
    cli_progress_done(&put.bar);
    if (rc == 0)
        (void)fwrite(strbuf_str(&put.out), 1, put.out.len, stdout);
    strbuf_free(&put.out);
    return rc;
}
