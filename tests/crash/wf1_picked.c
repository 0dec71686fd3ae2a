/* What has to be tried whatever the dice say. Each is run on the images of three or more seeds, so in a filesystem of its
 * own, in one that grows and beside somebody else's bytes. */
#include "tests/crash/wf1_work.h"

enum { FILE_A = 10, FILE_B = 11, DIR_A = 13, DIR_B = 14, WINDOW = 65536 };

/* Makes a file with contents where there is none. */
static int file_with(struct session *s, int dir, unsigned name, size_t n, int *ret)
{
    int node = model_find(s->model, dir, name);
    int rc = node >= 0 ? 0 : step_create(s, dir, name, TREE_FILE, &node);
    if (rc == 0 && node >= 0)
        rc = step_write(s, node, 0, n, name);
    *ret = node;
    return rc;
}
static int dir_with(struct session *s, int dir, unsigned name, int *ret)
{
    *ret = model_find(s->model, dir, name);
    return *ret >= 0 ? 0 : step_create(s, dir, name, TREE_DIR, ret);
}

/* A file over a file, a directory over an empty one, and what must be refused. */
static int rename_over(struct session *s)
{
    int a = -1, b = -1, c = -1, d = -1;
    int rc = file_with(s, 0, FILE_A, 1200, &a);
    if (rc == 0)
        rc = file_with(s, 0, FILE_B, 300, &b);
    if (rc == 0)
        rc = dir_with(s, 0, DIR_A, &c);
    if (rc == 0)
        rc = dir_with(s, 0, DIR_B, &d);
    if (rc == 0)
        rc = step_commit(s);
    if (rc == 0)
        rc = step_rename(s, a, 0, FILE_B);
    if (rc == 0)
        rc = step_commit(s);
    if (rc == 0)
        rc = step_rename(s, c, 0, DIR_B);
    if (rc == 0)
        rc = step_rename(s, a, c, 3);
    if (rc == 0)
        rc = step_commit(s);
    if (rc == 0)
        rc = step_rename(s, c, c, 4); /* into itself */
    if (rc == 0)
        rc = step_rename(s, a, 0, DIR_B); /* a file over a directory */
    if (rc == 0)
        rc = step_remove(s, c); /* not empty */
    if (rc == 0)
        rc = step_rename(s, a, c, 3); /* nothing happens */
    return rc == 0 ? step_read(s, c) : rc;
}

/* Writes until there is no room, gives some back, and goes on. */
static int full_disk(struct session *s)
{
    int a = -1, b = -1;
    int rc = file_with(s, 0, FILE_A, 4000, &a);
    if (rc == 0)
        rc = file_with(s, 0, FILE_B, 4000, &b);
    if (rc == 0)
        rc = step_commit(s);
    s->full = 0;
    for (unsigned i = 0; rc == 0 && s->full < 3 && i < 100; i++)
        rc = step_write(s, a, s->model->nodes[a].size_bytes, s->full == 0 ? 3000 : 700, i * 8 + 1);
    if (rc == 0 && s->full < 3)
        return err_set(s->err, PLAT_EBUG, "a small disk never became full");
    for (unsigned i = 0; rc == 0 && i < 12; i++)
        rc = step_create(s, 0, 20 + i, TREE_DIR, NULL);
    if (rc == 0)
        rc = step_commit(s);
    /* Overwriting takes room before it gives any back. */
    if (rc == 0)
        rc = step_write(s, a, 100, 9000, 5);
    if (rc == 0)
        rc = step_remove(s, b);
    if (rc == 0)
        rc = step_commit(s);
    if (rc == 0)
        rc = step_write(s, a, 100, 2000, 6);
    if (rc == 0)
        rc = step_truncate(s, a, 700);
    if (rc == 0)
        rc = step_commit(s);
    for (unsigned i = 0; rc == 0 && i < 12; i++) {
        const int node = model_find(s->model, 0, 20 + i);
        rc = node < 0 ? 0 : step_remove(s, node);
    }
    return rc;
}

/* A directory whose names take several blocks, and lose them again. */
static int many_names(struct session *s)
{
    int dir = -1;
    int rc = dir_with(s, 0, DIR_A, &dir);
    for (unsigned i = 0; rc == 0 && i < 24; i++) {
        if (model_find(s->model, dir, i) < 0)
            rc = step_create(s, dir, i, i % 5 == 0 ? TREE_FIFO : TREE_FILE, NULL);
        if (rc == 0 && i % 8 == 7)
            rc = step_commit(s);
    }
    if (rc == 0)
        rc = step_read(s, dir);
    for (unsigned i = 0; rc == 0 && i < 24; i += 2) {
        const int node = model_find(s->model, dir, i);
        rc = node < 0 ? 0 : step_remove(s, node);
    }
    if (rc == 0)
        rc = step_commit(s);
    for (unsigned i = 1; rc == 0 && i < 24; i += 2) {
        const int node = model_find(s->model, dir, i);
        rc = node < 0 ? 0 : step_rename(s, node, i % 4 == 1 ? 0 : dir, i + 14);
    }
    return rc == 0 ? step_read(s, dir) : rc;
}

/* A map that does not fit into its record, grows a level, and shrinks. */
static int wide_map(struct session *s)
{
    int a = -1;
    int rc = file_with(s, 0, FILE_A, 600, &a);
    for (unsigned i = 1; rc == 0 && i < 36; i++) {
        rc = step_write(s, a, (uint64_t)i * WINDOW, 200, 2 * i + 1);
        if (rc == 0 && (i == 3 || i == 4 || i == 33))
            rc = step_commit(s);
    }
    if (rc == 0)
        rc = step_commit(s);
    if (rc == 0)
        rc = step_write(s, a, 10 * (uint64_t)WINDOW - 300, 900, 7);
    if (rc == 0)
        rc = step_truncate(s, a, 20 * (uint64_t)WINDOW + 100);
    if (rc == 0)
        rc = step_truncate(s, a, 40 * (uint64_t)WINDOW);
    if (rc == 0)
        rc = step_commit(s);
    for (unsigned i = 0; rc == 0 && i < 4; i++)
        rc = step_read(s, a);
    if (rc == 0)
        rc = step_truncate(s, a, 2 * (uint64_t)WINDOW);
    if (rc == 0)
        rc = step_commit(s);
    return rc == 0 ? step_write(s, a, 700, 40000, 9) : rc;
}

/* Much is given back at once, and taken again. */
static int many_frees(struct session *s)
{
    int node = -1;
    int rc = 0;
    for (unsigned round = 0; rc == 0 && round < 2; round++) {
        for (unsigned i = 0; rc == 0 && i < 12; i++)
            rc = file_with(s, 0, 8 + i, 600 + 200 * (i % 3), &node);
        if (rc == 0)
            rc = step_commit(s);
        for (unsigned i = 0; rc == 0 && i < 12; i++) {
            node = model_find(s->model, 0, 8 + i);
            if (node >= 0)
                rc = step_remove(s, node);
        }
        if (rc == 0)
            rc = step_commit(s);
    }
    return rc == 0 ? file_with(s, 0, FILE_A, 5000, &node) : rc;
}

/* Links, devices, attributes; and more room where there is some. */
static int others(struct session *s)
{
    static const enum tree_kind kinds[] = {TREE_SYMLINK, TREE_CHAR, TREE_BLOCK, TREE_FIFO, TREE_SOCKET};
    int rc = 0, node = -1;
    for (unsigned i = 0; rc == 0 && i < sizeof kinds / sizeof kinds[0]; i++) {
        node = model_find(s->model, 0, i);
        if (node < 0)
            rc = step_create(s, 0, i, kinds[i], &node);
        if (rc == 0 && node >= 0)
            rc = step_read(s, node);
    }
    if (rc == 0)
        rc = step_commit(s);
    if (rc == 0)
        rc = step_set(s, 0);
    for (int i = 1; rc == 0 && i < 4; i++)
        if (s->model->nodes[i].used)
            rc = step_set(s, i);
    if (rc == 0 && !s->vol->reader.super.shared)
        rc = step_grow(s);
    if (rc == 0)
        rc = file_with(s, 0, FILE_A, 9000, &node);
    if (rc == 0 && node >= 0)
        rc = step_write(s, node, 513, 1024, 8); /* zeros */
    return rc;
}

/* More nodes than one level of pointers counts; and a bitmap that becomes two blocks, when the filesystem grows. */
static int many_nodes(struct session *s)
{
    enum { NODES = 270, DIRS = 4 };
    int dirs[DIRS], node = -1, rc = 0;
    for (unsigned i = 0; rc == 0 && i < DIRS; i++)
        rc = dir_with(s, 0, i, &dirs[i]);
    for (unsigned i = 0; rc == 0 && i < NODES; i++) {
        if (model_find(s->model, dirs[i % DIRS], DIRS + i) < 0)
            rc = step_create(s, dirs[i % DIRS], DIRS + i, TREE_FIFO, NULL);
        if (rc == 0 && (i == 30 || i == NODES - 6))
            rc = step_commit(s);
    }
    if (rc == 0)
        rc = step_commit(s);
    if (rc == 0 && !s->vol->reader.super.shared)
        rc = step_grow(s);
    if (rc == 0)
        rc = file_with(s, 0, FILE_A, 9000, &node);
    if (rc == 0)
        rc = step_commit(s);
    for (unsigned i = 200; rc == 0 && i < NODES; i++) {
        node = model_find(s->model, dirs[i % DIRS], DIRS + i);
        if (node >= 0)
            rc = step_remove(s, node);
    }
    return rc == 0 ? step_read(s, dirs[0]) : rc;
}

int wf1_picked(struct session *s, uint64_t seed, unsigned session)
{
    /* The second session finds what the first one left. */
    (void)session;
    switch (seed / 4) {
    case 0:
        return wide_map(s);
    case 1:
        return rename_over(s);
    case 2:
        return full_disk(s);
    case 3:
        return many_names(s);
    case 4:
        return many_frees(s);
    case 5:
        return others(s);
    default:
        return many_nodes(s);
    }
}
