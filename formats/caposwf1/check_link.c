/* Each node has one name, in the directory that its record says; what has none is in the free list; and from each
 * directory the way up leads to the root.
 *
 * Record and name of a node come in any order: the one that comes first leaves its half in links and flags, the
 * other one is compared with it. */
#include "formats/caposwf1/check.h"

static enum caposwf1_node_kind kind_of(const struct check *check, uint64_t number)
{
    return (enum caposwf1_node_kind)(check->flags[number] & WF1_KIND_BITS);
}

static const char *kind_name(enum caposwf1_node_kind kind)
{
    const char *name = caposwf1_node_kind_name((uint64_t)kind);
    return name != NULL ? name : "unknown";
}

static void keep(struct check *check, uint64_t number, enum caposwf1_node_kind kind, uint32_t link,
                 uint8_t flag)
{
    check->flags[number] = (uint8_t)((check->flags[number] & ~WF1_KIND_BITS) | (uint8_t)kind | flag);
    check->links[number] = link;
}

/* Both halves are there. */
static int compare_halves(struct check *check, uint64_t number, enum caposwf1_node_kind record_kind,
                          enum caposwf1_node_kind name_kind, uint32_t parent, uint32_t dir, uint64_t offset,
                          const struct wf1_where *where)
{
    if (record_kind != name_kind)
        return finding_report(check->sink, SEVERITY_ERROR, "wf1-kind", wf1_where_text(check, where), &offset,
                              NULL,
                              "node %llu: expected the kind that its record has, %s; found a name for one "
                              "of kind %s",
                              (unsigned long long)number, kind_name(record_kind), kind_name(name_kind));
    if (parent != dir)
        return finding_report(check->sink, SEVERITY_ERROR, "wf1-parent", wf1_where_text(check, where),
                              &offset, NULL,
                              "node %llu: expected a name in directory %u, its parent; found one in %u",
                              (unsigned long long)number, parent, dir);
    return 0;
}

int wf1_link_record(struct check *check, uint64_t number, const struct wf1_node *node, uint64_t offset)
{
    const struct wf1_where where = wf1_where("nodes", number);
    const bool named = (check->flags[number] & WF1_NAME_SEEN) != 0;
    int rc = 0;
    check->free_records += node->kind == CAPOSWF1_NODE_KIND_FREE;
    if (named)
        rc = compare_halves(check, number, node->kind, kind_of(check, number), node->parent,
                            check->links[number], offset, &where);
    keep(check, number, node->kind, node->parent, WF1_RECORD_SEEN);
    return rc;
}

int wf1_link_name(struct check *check, uint32_t dir, const struct wf1_name *name, uint64_t offset,
                  const struct wf1_where *where)
{
    const uint64_t count = check->reader->super.node_count;
    if (name->node == WF1_ROOT_NODE || name->node >= count)
        return finding_report(check->sink, SEVERITY_ERROR, "wf1-name-node", wf1_where_text(check, where),
                              &offset, NULL, "expected a node from 1 to %llu, found %u",
                              (unsigned long long)(count - 1), name->node);
    if ((check->flags[name->node] & WF1_NAME_SEEN) != 0)
        return finding_report(check->sink, SEVERITY_ERROR, "wf1-name-again", wf1_where_text(check, where),
                              &offset, NULL, "expected one name for node %u, found another", name->node);
    check->flags[name->node] |= WF1_NAME_SEEN;
    if ((check->flags[name->node] & WF1_RECORD_SEEN) != 0)
        return compare_halves(check, name->node, kind_of(check, name->node), name->kind,
                              check->links[name->node], dir, offset, where);
    keep(check, name->node, name->kind, dir, WF1_NAME_SEEN);
    return 0;
}

/* ---- when all have been seen ---- */

/* Where the record lies; only faults need to know. */
static uint64_t record_offset(struct check *check, uint64_t number)
{
    const struct wf1_super *super = &check->reader->super;
    struct wf1_pointer at = {0, 0};
    if (wf1_radix(check->reader, super->nodes, super->node_levels, number / WF1_RECORDS, &at, NULL) != 0)
        at.block = super->nodes.block;
    return (uint64_t)at.block * WF1_BLOCK_BYTES + number % WF1_RECORDS * CAPOSWF1_PLAIN_NODE_BYTES;
}

static int report_node(struct check *check, uint64_t number, const char *id, const char *text)
{
    const struct wf1_where where = wf1_where("nodes", number);
    const uint64_t offset = record_offset(check, number);
    return finding_report(check->sink, SEVERITY_ERROR, id, wf1_where_text(check, &where), &offset, NULL, "%s",
                          text);
}

/* The list names each free record once, and only those. */
static int check_free_list(struct check *check)
{
    const struct wf1_super *super = &check->reader->super;
    const uint64_t offset =
        ((uint64_t)check->vol->superblock_block + (uint64_t)check->vol->pair.ruling) * WF1_BLOCK_BYTES;
    uint64_t at = super->free_node;
    /* Each step visits a node for the first time, so this ends. */
    while (at != 0) {
        if (kind_of(check, at) != CAPOSWF1_NODE_KIND_FREE)
            return report_node(check, at, "wf1-free-list",
                               "expected a free record, as the list of them names it; found one in use");
        if ((check->flags[at] & WF1_VISITED) != 0)
            return report_node(
                check, at, "wf1-free-list",
                "expected the end of the list of free records, found one that it named before");
        check->flags[at] |= WF1_VISITED;
        at = check->links[at];
    }
    if (check->free_records != super->free_node_count)
        return finding_report(check->sink, SEVERITY_ERROR, "wf1-free-nodes", "superblock.free_node_count",
                              &offset, NULL, "expected %llu, the number of free records; found %llu",
                              (unsigned long long)check->free_records,
                              (unsigned long long)super->free_node_count);
    return 0;
}

static int check_seen(struct check *check)
{
    int rc = 0;
    for (uint64_t i = 1; rc == 0 && i < check->reader->super.node_count; i++) {
        const uint8_t flags = check->flags[i];
        if ((flags & WF1_KIND_BITS) == CAPOSWF1_NODE_KIND_FREE) {
            if ((flags & WF1_VISITED) == 0)
                rc = report_node(check, i, "wf1-free-list",
                                 "expected in the list of free records, which does not name it");
        } else if ((flags & WF1_NAME_SEEN) == 0) {
            rc = report_node(check, i, "wf1-orphan", "expected a name in a directory, found none");
        }
    }
    return rc;
}

/* From each directory up to the root, or to where somebody went before. */
static int check_ways_up(struct check *check)
{
    int rc = 0;
    for (uint64_t i = 1; rc == 0 && i < check->reader->super.node_count; i++) {
        uint64_t at = i;
        if (kind_of(check, i) != CAPOSWF1_NODE_KIND_DIRECTORY)
            continue;
        while (at != WF1_ROOT_NODE && (check->flags[at] & (WF1_VISITED | WF1_ON_PATH)) == 0) {
            check->flags[at] |= WF1_ON_PATH;
            at = check->links[at];
        }
        if (at != WF1_ROOT_NODE && (check->flags[at] & WF1_ON_PATH) != 0)
            rc = report_node(check, at, "wf1-loop",
                             "expected a way up to the root, found a directory that is inside itself");
        for (at = i; at != WF1_ROOT_NODE && (check->flags[at] & WF1_VISITED) == 0; at = check->links[at])
            check->flags[at] = (uint8_t)((check->flags[at] & ~WF1_ON_PATH) | WF1_VISITED);
    }
    return rc;
}

int wf1_check_links(struct check *check)
{
    /* Behind what cannot be read there may be names, records and links. */
    if (check->incomplete)
        return 0;
    int rc = check_free_list(check);
    if (rc == 0)
        rc = check_seen(check);
    return rc != 0 ? rc : check_ways_up(check);
}
