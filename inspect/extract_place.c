/* Directories of the target. Every open is relative to a directory that is already open, of a single name, with O_NOFOLLOW:
 * a symbolic link where a directory should be ends it there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "inspect/extract_dir.h"

static int open_dir_at(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void place_temp_name(char ret[TEMP_NAME_BYTES])
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        number = (uint64_t)getpid();
    (void)snprintf(ret, TEMP_NAME_BYTES, ".plat-%016llx", (unsigned long long)number);
}

static struct place *place_new(struct place *parent, const char *name)
{
    struct place *place = calloc(1, sizeof *place);
    if (place != NULL)
        place->name = strdup(name);
    if (place == NULL || place->name == NULL) {
        free(place);
        return NULL;
    }
    place->fd = -1;
    place->refs = 1;
    place->parent = parent;
    if (parent != NULL)
        parent->refs++;
    return place;
}

void place_close_fd(struct place *place)
{
    if (place->fd >= 0)
        (void)close(place->fd);
    place->fd = -1;
}

void place_unref(struct place *place)
{
    while (place != NULL && --place->refs == 0) {
        struct place *parent = place->parent;
        place_close_fd(place);
        free(place->name);
        free(place);
        place = parent;
    }
}

static const char *name_now(const struct place *place)
{
    return place->temp[0] != '\0' ? place->temp : place->name;
}

/* Makes the directory of `place`: in one that was there before under a temporary name. */
static int make_place(struct place *place)
{
    const struct place *parent = place->parent;
    int rc = -1;
    if (parent->fresh) {
        rc = mkdirat(parent->fd, place->name, 0700);
    } else {
        for (int i = 0; rc != 0 && i < TEMP_TRIES && (i == 0 || errno == EEXIST); i++) {
            place_temp_name(place->temp);
            rc = mkdirat(parent->fd, place->temp, 0700);
        }
        if (rc != 0)
            place->temp[0] = '\0';
    }
    place->made = rc == 0;
    return rc;
}

/* A directory as it is made belongs to whom a file in it will: its group comes from above, with or without a bit for that. */
static int learn_owner(struct place *place)
{
    struct stat st;
    place->uid = place->made ? place->parent->uid : (uid_t)-1; /* nobody's: not known */
    place->gid = place->made ? place->parent->gid : (gid_t)-1;
    if (!place->made || place->parent->fresh)
        return 0;
    if (fstat(place->fd, &st) != 0)
        return -1;
    place->uid = st.st_uid;
    place->gid = st.st_gid;
    return 0;
}

/* Where the parent is fresh the directory is most likely missing; else it has to be looked for. */
static int enter(struct place *place)
{
    const struct place *parent = place->parent;
    if (!parent->fresh) {
        place->fd = open_dir_at(parent->fd, place->name);
        if (place->fd >= 0 || errno != ENOENT)
            return place->fd >= 0 ? 0 : -1;
    }
    if (make_place(place) != 0 && !(parent->fresh && errno == EEXIST))
        return -1;
    place->fresh = true;
    place->fd = open_dir_at(parent->fd, name_now(place));
    if (place->fd >= 0 && learn_owner(place) == 0)
        return 0;
    const int saved = errno;
    if (place->made)
        (void)unlinkat(parent->fd, name_now(place), AT_REMOVEDIR);
    errno = saved;
    return -1;
}

int place_enter(struct place *parent, const char *name, struct place **ret, struct plat_err *err)
{
    struct place *place = place_new(parent, name);
    if (place == NULL)
        return err_nomem(err, "extracting");
    if (enter(place) != 0) {
        const int saved = errno;
        parent->refs--;
        place_close_fd(place);
        free(place->name);
        free(place);
        return err_sys(err, saved,
                       saved == ELOOP || saved == ENOTDIR
                           ? "the target holds something else where the directory should be"
                           : "cannot make or open its directory");
    }
    *ret = place;
    return 0;
}

/* The target does not exist: it is made beside its place. */
static int make_target(const char *target, struct place **ret, struct plat_err *err)
{
    size_t n = strlen(target);
    while (n > 1 && target[n - 1] == '/')
        n--;
    char *path = strndup(target, n);
    if (path == NULL)
        return err_nomem(err, "extracting");
    char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    struct place *above = place_new(NULL, "");
    int rc = above == NULL ? err_nomem(err, "extracting") : 0;
    if (rc == 0 && slash == path) {
        above->fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } else if (rc == 0) {
        if (slash != NULL)
            *slash = '\0';
        above->fd = open(slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (rc == 0 && above->fd < 0)
        rc = err_sys(err, errno, "cannot make the directory %.200s", target);
    if (rc == 0 && faccessat(above->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        rc = err_set(err, PLAT_EINVALID,
                     "%.200s is a link that leads nowhere: no directory can be made there", target);
    if (rc == 0)
        rc = place_enter(above, name, ret, err);
    place_unref(above);
    free(path);
    return rc;
}

int place_open_target(const char *target, struct place **ret, struct plat_err *err)
{
    /* The target itself is the user's choice: it may be a symbolic link. */
    const int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && target[0] != '\0')
        return make_target(target, ret, err);
    if (fd < 0)
        return err_sys(err, errno, "cannot open the directory %.200s", target);
    struct place *place = place_new(NULL, "");
    if (place == NULL) {
        (void)close(fd);
        return err_nomem(err, "extracting");
    }
    place->fd = fd;
    *ret = place;
    return 0;
}

/* ---- removing ---- */

/* Everything in a directory, whose descriptor is taken over. */
static void empty_dir(int fd)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry;
    if (dir == NULL) {
        (void)close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(dirfd(dir), name, 0) == 0)
            continue;
        const int inner = open_dir_at(dirfd(dir), name);
        if (inner >= 0) {
            (void)fchmod(inner, 0700);
            empty_dir(inner);
        }
        (void)unlinkat(dirfd(dir), name, AT_REMOVEDIR);
    }
    (void)closedir(dir);
}

void place_remove(struct place *place)
{
    if (place->temp[0] == '\0')
        return;
    place_close_fd(place);
    const int fd = open_dir_at(place->parent->fd, place->temp);
    if (fd >= 0) {
        (void)fchmod(fd, 0700);
        empty_dir(fd);
    }
    (void)unlinkat(place->parent->fd, place->temp, AT_REMOVEDIR);
    place->temp[0] = '\0';
}

/* ---- publishing ---- */

int place_publish(struct place *place, struct plat_err *err)
{
    if (place->temp[0] == '\0')
        return 0;
    const int above = place->parent->fd;
    int rc = renameat2(above, place->temp, above, place->name, RENAME_NOREPLACE);
    /* Where the filesystem does not know that: an empty directory is the most that rename replaces by a directory. */
    if (rc != 0 && (errno == EINVAL || errno == ENOSYS))
        rc = renameat(above, place->temp, above, place->name);
    if (rc == 0) {
        place->temp[0] = '\0';
        place->fresh = false;
        return 0;
    }
    const int saved = errno;
    place_remove(place);
    return saved == EEXIST || saved == ENOTEMPTY
               ? err_set(err, PLAT_EINVALID,
                         "somebody else has made it meanwhile; what was extracted is removed")
               : err_sys(err, saved, "cannot give it its name; what was extracted is removed");
}

int place_reopen(const struct place *place)
{
    if (place->fd >= 0)
        return fcntl(place->fd, F_DUPFD_CLOEXEC, 0);
    if (place->parent == NULL) {
        errno = ENOENT;
        return -1;
    }
    const int above = place_reopen(place->parent);
    if (above < 0)
        return -1;
    const int fd = openat(above, name_now(place), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const int saved = errno;
    (void)close(above);
    errno = saved;
    return fd;
}
