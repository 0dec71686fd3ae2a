/* What came of the items, each in its turn. */
#include <stdlib.h>
#include <unistd.h>

#include "inspect/extract_queue.h"

static void tell(struct dir_sink *s, const char *path, enum tree_kind kind, int rc,
                 const struct plat_err *why)
{
    const struct extract_report *report = &s->options->report;
    struct plat_err none = {0};
    if (rc == 0) {
        report->done(report->ctx, path, kind);
        return;
    }
    if (why == NULL) {
        (void)err_nomem(&none, "extracting");
        why = &none;
    }
    report->failed(report->ctx, path, why);
}

void stop_when_full(struct dir_sink *s, bool full)
{
    if (full && !s->stopping)
        s->options->report.warn(s->options->report.ctx,
                                "the target takes no more: what follows is not extracted");
    s->stopping = s->stopping || full;
}

static void finish_made(struct dir_sink *s, const struct batch *batch, struct item *item)
{
    const struct made made = item_made(batch, item);
    struct plat_err why = {0};
    if (item->rc == 0 && item->first != NULL) {
        item_fail(item, first_name_set(item->first, item->dir, made.name, &why), &why);
        item->first->there = item->rc == 0;
    }
    if (item->stat.kind == TREE_FILE && item->large == NULL)
        progress_add(s->options->report.progress, item->stat.size_bytes);
    tell(s, item_path(batch, item), item->stat.kind, item->rc, item->why);
    stop_when_full(s, item->full);
}

static void finish_piece(struct dir_sink *s, const struct item *item)
{
    struct large *large = item->large;
    progress_add(s->options->report.progress, item->piece.bytes);
    if (item->rc == 0 || large->rc != 0)
        return;
    large->rc = item->rc;
    if (item->why != NULL)
        large->why = *item->why;
    else
        (void)err_nomem(&large->why, "extracting");
    large->full = item->full;
    atomic_store(&large->failed, true);
}

static void finish_whole(struct dir_sink *s, const struct batch *batch, struct item *item)
{
    struct large *large = item->large;
    const struct made made = item_made(batch, item);
    /* The first piece that fails is in front of what the search for the next one has found. */
    if (large->rc == 0 && item->rc != 0) {
        large->rc = item->rc;
        large->why = item->why != NULL ? *item->why : (struct plat_err){.class = PLAT_ENOMEM};
    }
    free(item->why);
    item->why = NULL;
    s->maker.full = false;
    const int rc = make_close(&s->maker, &made, &large->file, large->rc, &large->why);
    item_fail(item, rc, &large->why);
    item->full = large->full || s->maker.full;
    finish_made(s, batch, item);
    free(large);
    s->n_open--;
}

static void finish_link(struct dir_sink *s, const struct batch *batch, struct item *item)
{
    struct first_name *first = item->first;
    const struct made made = item_made(batch, item);
    struct plat_err why = {0};
    int rc = PLAT_EUNSUPPORTED;
    s->maker.full = false;
    if (first->there) {
        const int from = first->dir == item->dir ? item->dir->fd : place_reopen(first->dir);
        if (from >= 0)
            rc = make_link(&s->maker, &made, from, first->name, &why);
        if (from >= 0 && from != item->dir->fd)
            (void)close(from);
        s->copies += rc == PLAT_EUNSUPPORTED;
    }
    if (rc != PLAT_EUNSUPPORTED) {
        item->first = NULL; /* the name that is linked to stays */
    } else {                /* no more links to that one, or its name could not be made: this may do */
        err_clear(&why);
        rc = make_entry(&s->maker, &made, &why);
    }
    item_fail(item, rc, &why);
    item->full = s->maker.full;
    finish_made(s, batch, item);
}

static void finish_place(struct dir_sink *s, const struct batch *batch, const struct item *item)
{
    struct place *place = item->dir;
    const struct fs_stat none = {.kind = TREE_DIR};
    struct plat_err why = {0};
    int rc = 0;
    s->maker.full = false;
    if (s->discard) {
        place_remove(place);
    } else if (item->has_stat || place->made) {
        rc = attr_set_fd(&s->maker, place->fd, NULL, item->node, item->has_stat ? &item->stat : &none,
                         place->made ? 0777 : 0, &why);
        if (rc == 0)
            rc = place_publish(place, &why);
        else if (place->temp[0] != '\0') { /* what is in it is whole: better so than not at all */
            struct plat_err again;
            err_clear(&again);
            (void)place_publish(place, &again);
        }
    }
    if (rc != 0)
        tell(s, item_path(batch, item), TREE_DIR, rc, &why);
    stop_when_full(s, s->maker.full);
    place_close_fd(place);
    place_unref(place);
    s->n_open--;
}

void finish_item(struct dir_sink *s, const struct batch *batch, struct item *item)
{
    switch (item->kind) {
    case ITEM_REFUSED:
    case ITEM_ENTERED:
        tell(s, item_path(batch, item), TREE_DIR, item->rc, item->why);
        break;
    case ITEM_MAKE:
        finish_made(s, batch, item);
        break;
    case ITEM_PIECE:
        finish_piece(s, item);
        break;
    case ITEM_WHOLE:
        finish_whole(s, batch, item);
        break;
    case ITEM_LINK:
        finish_link(s, batch, item);
        break;
    case ITEM_LEFT:
        finish_place(s, batch, item);
        break;
    }
}
