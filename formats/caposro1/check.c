/* What the layout cannot say: that the nodes are one tree, that names are legal and in order, and that names, contents
 * and children follow one another without a gap or an overlap. One pass over the node table, in bounded memory:
 *
 *     1. each record by itself
 *     2. its parent counts it among its children
 *     3. its name: legal, behind the one before it in the same directory, right behind the last string
 *     4. its content: right behind the last content;  its children: right behind the last children
 *
 * What walk has judged (tables up to WALK_BULK_ELEMENTS) is not reported twice. */
#include "formats/caposro1/volume.h"

#include <stdio.h>
#include <string.h>

/* Behind a record that cannot be used nobody knows where the next things should be. */
#define NOT_KNOWN UINT64_MAX

struct check {
    struct fs *fs;
    struct volume *vol;
    const struct finding_sink *sink;
    bool bulk;                        /* walk has not judged the records */
    uint64_t next_string;             /* in the strings */
    uint64_t next_block;              /* of the contents */
    uint64_t next_child;              /* number of a node */
    uint32_t directory, end;          /* whose children are seen, and the first node behind those */
    uint8_t name[RO1_NAME_MAX_BYTES]; /* the one before, of the same directory */
    size_t name_bytes;
    struct plat_err *err;
};

static int report(struct check *check, uint32_t index, const char *id, const char *field, const char *text)
{
    char path[RO1_PATH_BYTES];
    const uint64_t offset = ro1_record_offset(check->vol, index);
    ro1_field_path(path, index, field);
    return finding_report(check->sink, SEVERITY_ERROR, id, path, &offset, NULL, "%s", text);
}

struct counted {
    const struct finding_sink *outer;
    unsigned n;
};
static int count_and_pass(void *ctx, const struct finding *finding)
{
    struct counted *counted = ctx;
    counted->n++;
    return counted->outer->fn == NULL ? 0 : counted->outer->fn(counted->outer->ctx, finding);
}

/* The layout's words for a record of a table that walk left out. */
static int report_record(struct check *check, uint32_t index, const char *field, const char *fault)
{
    struct image *image = check->fs->image;
    const struct map_entry *entry = layout_map(image->layout, "nodes");
    struct counted counted = {.outer = check->sink};
    const struct finding_sink sink = {.fn = count_and_pass, .ctx = &counted};
    int rc = 0;
    if (check->bulk && entry != NULL) {
        struct inst inst;
        char path[RO1_PATH_BYTES];
        rc = image_map_inst(image, entry, index, &inst, check->err);
        ro1_field_path(path, index, "");
        inst.path = path;
        if (rc == 0)
            rc = inst_check(&inst, &sink, check->err);
    }
    /* Places in the tree are not the layout's business, so it may have found nothing. */
    bool of_the_tree = strcmp(field, "kind") == 0 || strcmp(field, "parent_node") == 0 ||
                       strcmp(field, "name_bytes") == 0 || strcmp(field, "first_child") == 0;
    if (rc == 0 && counted.n == 0 && (check->bulk || of_the_tree))
        rc = report(check, index, "ro1-node", field, fault);
    return rc;
}

/* Step 2. The directory's record is read only when another one begins. */
static int check_parent(struct check *check, uint32_t index, const struct ro1_node *node)
{
    struct ro1_node parent;
    if (index == 0)
        return 0;
    if (check->end == 0 || node->parent != check->directory) {
        check->name_bytes = 0;
        check->directory = node->parent;
        check->end = 0;
        int rc = ro1_node_read(check->vol, node->parent, &parent, check->err);
        if (rc == PLAT_ECORRUPT)
            return report(check, index, "ro1-tree", "parent_node", "the parent's record cannot be used");
        if (rc != 0)
            return rc;
        if (parent.kind == CAPOSRO1_NODE_KIND_DIRECTORY && index >= parent.first_child &&
            index - parent.first_child < parent.child_count)
            check->end = parent.first_child + parent.child_count;
    }
    if (index < check->end)
        return 0;
    check->end = 0;
    return report(check, index, "ro1-tree", "parent_node", "the parent does not count the node as its child");
}

/* Step 3. */
static int check_name(struct check *check, uint32_t index, const struct ro1_node *node)
{
    const uint8_t *name;
    int rc = ro1_name_read(check->vol, index, node, &name, check->err);
    if (rc == PLAT_ECORRUPT)
        /* Walk said so of the record's name_crc32c. */
        rc = check->bulk
                 ? report(check, index, "derive", "name_crc32c", "the name does not match its checksum")
                 : 0;
    else if (rc == 0 && index > 0) {
        const char *fault = ro1_name_fault(name, node->name_bytes);
        char text[96];
        (void)snprintf(text, sizeof text, "the name is not possible: %s", fault != NULL ? fault : "");
        if (fault != NULL)
            rc = report(check, index, "ro1-name", "name_offset", text);
        if (rc == 0 && check->name_bytes > 0 &&
            ro1_name_compare(check->name, check->name_bytes, name, node->name_bytes) >= 0)
            rc = report(check, index, "ro1-order", "name_offset",
                        "the name is not behind the one before it: readers that search will not find it");
        memcpy(check->name, name, node->name_bytes);
        check->name_bytes = node->name_bytes;
    }
    if (rc == 0 && check->next_string != NOT_KNOWN && node->name_offset != check->next_string)
        rc = report(check, index, "ro1-strings", "name_offset",
                    "the name is not right behind the string before it: a gap, or an overlap");
    check->next_string = node->name_offset + node->name_bytes +
                         (node->kind == CAPOSRO1_NODE_KIND_SYMLINK ? node->size_bytes : 0);
    return rc;
}

/* The target of a link, where walk has not compared it. */
static int check_target(struct check *check, uint32_t index, const struct ro1_node *node)
{
    struct plat_err why = {0};
    const uint8_t *target;
    size_t n;
    if (node->kind != CAPOSRO1_NODE_KIND_SYMLINK || !check->bulk)
        return 0;
    int rc = ro1_target_read(check->vol, index, &target, &n, &why);
    if (rc == PLAT_ECORRUPT)
        return report(check, index, "derive", "content_crc32c", "the target does not match its checksum");
    if (rc != 0 && check->err != NULL)
        *check->err = why;
    return rc;
}

/* Step 4. */
static int check_places(struct check *check, uint32_t index, const struct ro1_node *node)
{
    int rc = 0;
    if (node->kind == CAPOSRO1_NODE_KIND_FILE && node->size_bytes > 0) {
        if (check->next_block != NOT_KNOWN && node->first_block != check->next_block)
            rc = report(check, index, "ro1-contents", "first_block",
                        "the content is not right behind the one before it: a gap, or an overlap");
        check->next_block = node->first_block + div_up_u64(node->size_bytes, RO1_BLOCK_BYTES);
    }
    if (rc == 0 && node->child_count > 0) {
        if (check->next_child != NOT_KNOWN && node->first_child != check->next_child)
            rc = report(
                check, index, "ro1-tree", "first_child",
                "the children are not right behind those of the directory before: a gap, or an overlap");
        check->next_child = (uint64_t)node->first_child + node->child_count;
    }
    return rc;
}

static int check_node(struct check *check, uint32_t index)
{
    struct caposro1_node record;
    const char *field;
    int rc = ro1_record(check->vol, index, &record, check->err);
    if (rc != 0)
        return rc;
    const char *fault = ro1_fault(check->vol, index, record, &field);
    if (fault != NULL) {
        check->next_string = check->next_block = check->next_child = NOT_KNOWN;
        return report_record(check, index, field, fault);
    }
    const struct ro1_node node = ro1_decode(check->vol, record);
    rc = check_parent(check, index, &node);
    if (rc == 0)
        rc = check_name(check, index, &node);
    if (rc == 0)
        rc = check_target(check, index, &node);
    return rc != 0 ? rc : check_places(check, index, &node);
}

static int check_end(struct check *check, const char *path, uint64_t found, uint64_t expected,
                     const char *what)
{
    const uint64_t offset = 0;
    if (found == expected || found == NOT_KNOWN)
        return 0;
    return finding_report(check->sink, SEVERITY_ERROR, "ro1-end", path, &offset, NULL,
                          "%s end at %llu, and the superblock says %llu", what, (unsigned long long)found,
                          (unsigned long long)expected);
}

static int check_zero(struct check *check, const char *path, uint64_t start, uint64_t end)
{
    bool found = false;
    uint64_t at = 0;
    int rc = dev_find_nonzero(check->vol->dev, (struct range){start, end - start}, &found, &at, check->err);
    if (rc != 0 || !found)
        return rc;
    return finding_report(check->sink, SEVERITY_ERROR, "ro1-padding", path, &at, NULL,
                          "the bytes behind the end of the %s must be zero", path);
}

int caposro1_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    const struct ro1_geometry *geo = &vol->geo;
    struct check check = {.fs = fs, .vol = vol, .sink = sink, .err = err, .next_block = 1, .next_child = 1};
    int rc = 0;
    /* The layout has said what is wrong with the superblock. */
    if (!vol->sound)
        return 0;
    check.bulk = geo->node_count > WALK_BULK_ELEMENTS;
    for (uint32_t i = 0; rc == 0 && i < geo->node_count; i++)
        rc = check_node(&check, i);
    if (rc == 0)
        rc = check_end(&check, "superblock.strings_bytes", check.next_string, geo->strings_bytes,
                       "the strings");
    if (rc == 0)
        rc = check_end(&check, "superblock.strings_block", check.next_block,
                       geo->contents_end / RO1_BLOCK_BYTES, "the contents");
    if (rc == 0)
        rc = check_end(&check, "superblock.node_count", check.next_child, geo->node_count,
                       "the children of all directories");
    if (rc == 0)
        rc = check_zero(&check, "strings", geo->contents_end + geo->strings_bytes, geo->nodes_offset);
    return rc != 0 ? rc
                   : check_zero(&check, "nodes", geo->nodes_end,
                                div_up_u64(geo->nodes_end, RO1_BLOCK_BYTES) * RO1_BLOCK_BYTES);
}
