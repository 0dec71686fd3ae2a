/* Showing a plan: as a table for people, as JSON for programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mkimage/plan.h"

enum { MAX_COLUMNS = 9, MIN_GAP = 2 };

/* Cells of a table whose columns are as wide as their widest cell. */
struct table_text {
    const char *const *headings;
    size_t n_columns;
    bool right[MAX_COLUMNS]; /* aligned to the right */
    struct strbuf *cells;    /* n_rows * n_columns */
    size_t n_rows;
};

static size_t shown_width(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void put_cell(struct strbuf *ret, const char *text, size_t width, bool right, bool last)
{
    size_t pad = width - shown_width(text);
    for (size_t i = 0; right && i < pad; i++)
        strbuf_putc(ret, ' ');
    strbuf_puts(ret, text);
    for (size_t i = 0; !last && i < MIN_GAP + (right ? 0 : pad); i++)
        strbuf_putc(ret, ' ');
}

static void put_table(const struct table_text *table, struct strbuf *ret)
{
    size_t widths[MAX_COLUMNS];
    for (size_t c = 0; c < table->n_columns; c++) {
        widths[c] = shown_width(table->headings[c]);
        for (size_t r = 0; r < table->n_rows; r++) {
            size_t width = shown_width(strbuf_str(&table->cells[r * table->n_columns + c]));
            if (width > widths[c])
                widths[c] = width;
        }
    }
    for (size_t r = 0; r <= table->n_rows; r++) {
        for (size_t c = 0; c < table->n_columns; c++) {
            const char *text =
                r == 0 ? table->headings[c] : strbuf_str(&table->cells[(r - 1) * table->n_columns + c]);
            put_cell(ret, text, widths[c], table->right[c], c + 1 == table->n_columns);
        }
        while (ret->len > 0 && ret->s[ret->len - 1] == ' ')
            strbuf_truncate(ret, ret->len - 1);
        strbuf_putc(ret, '\n');
    }
}

static void visible(struct strbuf *ret, const char *text)
{
    strbuf_visible(ret, text, strlen(text));
}

static void size_text(struct strbuf *ret, uint64_t bytes)
{
    char size[16];
    format_size(bytes, size);
    strbuf_puts(ret, size);
}

/* "3 files, 1 directory, 1.2 MiB" */
static void contents_text(const struct plan_part *part, struct strbuf *ret)
{
    if (part->tree != NULL) {
        const struct tree_totals *t = &part->totals;
        strbuf_printf(ret, "%llu file%s", (unsigned long long)t->n_files, t->n_files == 1 ? "" : "s");
        if (t->n_others != 0)
            strbuf_printf(ret, ", %llu other%s", (unsigned long long)t->n_others,
                          t->n_others == 1 ? "" : "s");
        strbuf_puts(ret, ", ");
        size_text(ret, t->data_bytes);
    } else if (part->content != NULL) {
        visible(ret, part->recipe->content);
        strbuf_puts(ret, ", ");
        size_text(ret, part->content_bytes);
    } else {
        strbuf_puts(ret, "empty");
    }
}

static void guid_text(struct strbuf *ret, const uint8_t guid[16])
{
    char text[37];
    format_guid(guid, text);
    strbuf_puts(ret, text);
}

static void place_cells(const struct plan *plan, const struct range *place, struct strbuf *cells)
{
    uint64_t sector = plan->recipe->sector_bytes;
    strbuf_printf(&cells[0], "%llu", (unsigned long long)place->start);
    size_text(&cells[1], place->bytes);
    strbuf_printf(&cells[2], "%llu", (unsigned long long)(place->start / sector));
    strbuf_printf(&cells[3], "%llu", (unsigned long long)((place->start + place->bytes - 1) / sector));
}

static void part_row(const struct plan *plan, size_t index, struct strbuf *cells)
{
    const struct plan_part *part = &plan->parts[index];
    strbuf_printf(&cells[0], "%u", plan->entries[index].number);
    visible(&cells[1], part->recipe->name[0] != '\0' ? part->recipe->name : "-");
    visible(&cells[2], plan->entries[index].type);
    strbuf_puts(&cells[3], part->driver != NULL ? part->driver->name : "raw");
    place_cells(plan, &part->place, &cells[4]);
    contents_text(part, &cells[8]);
}

static void raw_row(const struct plan *plan, size_t index, struct strbuf *cells)
{
    const struct plan_raw *raw = &plan->raws[index];
    strbuf_puts(&cells[0], "-");
    visible(&cells[1], raw->recipe->name[0] != '\0' ? raw->recipe->name : "-");
    strbuf_puts(&cells[2], "-");
    strbuf_puts(&cells[3], "raw");
    place_cells(plan, &raw->place, &cells[4]);
    visible(&cells[8], raw->content != NULL ? raw->recipe->content : "bytes from the recipe");
}

static void rows_text(const struct plan *plan, struct strbuf *ret)
{
    static const char *const headings[] = {"#",    "NAME",  "TYPE", "FORMAT",  "START",
                                           "SIZE", "FIRST", "LAST", "CONTENTS"};
    struct table_text table = {.headings = headings, .n_columns = MAX_COLUMNS};
    size_t n_cells = (plan->n_parts + plan->n_raws) * MAX_COLUMNS;
    for (size_t c = 4; c < 8; c++)
        table.right[c] = true;
    table.right[0] = true;
    table.cells = calloc(n_cells + 1, sizeof *table.cells);
    if (table.cells == NULL) {
        ret->failed = true;
        return;
    }
    for (size_t i = 0; i < plan->n_order; i++) {
        const struct plan_extent *extent = &plan->order[i];
        struct strbuf *cells = &table.cells[table.n_rows * MAX_COLUMNS];
        if (extent->kind != PLAN_PART && extent->kind != PLAN_RAW)
            continue;
        if (extent->kind == PLAN_PART)
            part_row(plan, extent->index, cells);
        else
            raw_row(plan, extent->index, cells);
        table.n_rows++;
    }
    put_table(&table, ret);
    for (size_t i = 0; i < n_cells; i++)
        strbuf_free(&table.cells[i]);
    free(table.cells);
}

/* What each maker has to say, and the identifiers. */
static void details_text(const struct plan *plan, struct strbuf *ret)
{
    bool gpt = strcmp(plan->recipe->table, "gpt") == 0;
    for (size_t i = 0; i < plan->n_order; i++) {
        if (plan->order[i].kind != PLAN_PART)
            continue;
        const struct plan_part *part = &plan->parts[plan->order[i].index];
        const struct table_partition *entry = &plan->entries[plan->order[i].index];
        strbuf_printf(ret, "%u: ", entry->number);
        if (gpt) {
            strbuf_puts(ret, "guid ");
            guid_text(ret, entry->guid);
        } else {
            strbuf_puts(ret, (entry->attributes & 0x80) != 0 ? "active" : "not active");
        }
        if (gpt && entry->attributes != 0)
            strbuf_printf(ret, ", attributes 0x%llx", (unsigned long long)entry->attributes);
        if (part->driver != NULL && part->driver->maker->describe != NULL) {
            strbuf_puts(ret, "; ");
            part->driver->maker->describe(part->make, ret);
        }
        strbuf_putc(ret, '\n');
    }
}

void plan_text(const struct plan *plan, struct strbuf *ret)
{
    strbuf_printf(ret, "%s table, %u-byte sectors, ", plan->recipe->table, plan->recipe->sector_bytes);
    size_text(ret, plan->disk_bytes);
    strbuf_printf(ret, " (%llu bytes), ", (unsigned long long)plan->disk_bytes);
    if (strcmp(plan->recipe->table, "gpt") == 0) {
        strbuf_puts(ret, "disk guid ");
        guid_text(ret, plan->spec.disk_guid);
    } else {
        strbuf_printf(ret, "signature 0x%08x", plan->spec.mbr_signature);
    }
    if (plan->recipe->boot_code != NULL) {
        strbuf_puts(ret, ", boot code ");
        visible(ret, plan->recipe->boot_code);
        strbuf_printf(ret, " (%zu bytes)", plan->spec.n_boot_code);
    }
    strbuf_puts(ret, "\n\n");
    rows_text(plan, ret);
    strbuf_putc(ret, '\n');
    details_text(plan, ret);
}

/* ---- JSON ---- */

static json_t *guid_json(const uint8_t guid[16])
{
    char text[37];
    format_guid(guid, text);
    return json_string(text);
}

/* Above 2^53 as text, as everywhere in plat's JSON. */
static json_t *number_json(uint64_t value)
{
    char text[24];
    if (value <= (uint64_t)1 << 53)
        return json_integer((json_int_t)value);
    (void)snprintf(text, sizeof text, "0x%llx", (unsigned long long)value);
    return json_string(text);
}

static json_t *place_json(const struct plan *plan, const struct range *place)
{
    uint64_t sector = plan->recipe->sector_bytes;
    return json_pack("{s:o, s:o, s:o, s:o}", "start_bytes", number_json(place->start), "size_bytes",
                     number_json(place->bytes), "first_sector", number_json(place->start / sector),
                     "last_sector", number_json((place->start + place->bytes - 1) / sector));
}

static json_t *part_json(const struct plan *plan, size_t index)
{
    const struct plan_part *part = &plan->parts[index];
    const struct table_partition *entry = &plan->entries[index];
    json_t *json = place_json(plan, &part->place);
    (void)json_object_set_new(json, "number", json_integer(entry->number));
    (void)json_object_set_new(json, "name", json_string(part->recipe->name));
    (void)json_object_set_new(json, "type", json_string(entry->type));
    (void)json_object_set_new(json, "format", json_string(part->driver != NULL ? part->driver->name : "raw"));
    if (strcmp(plan->recipe->table, "gpt") == 0) {
        (void)json_object_set_new(json, "guid", guid_json(entry->guid));
        (void)json_object_set_new(json, "attributes", number_json(entry->attributes));
    } else {
        (void)json_object_set_new(json, "active", json_boolean((entry->attributes & 0x80) != 0));
    }
    if (part->tree != NULL) {
        (void)json_object_set_new(json, "files", number_json(part->totals.n_files));
        (void)json_object_set_new(json, "directories", number_json(part->totals.n_dirs));
        (void)json_object_set_new(json, "others", number_json(part->totals.n_others));
        (void)json_object_set_new(json, "data_bytes", number_json(part->totals.data_bytes));
    } else if (part->content != NULL) {
        (void)json_object_set_new(json, "content", json_string(part->recipe->content));
        (void)json_object_set_new(json, "data_bytes", number_json(part->content_bytes));
    }
    if (part->driver != NULL && part->driver->maker->describe != NULL) {
        struct strbuf text = {0};
        part->driver->maker->describe(part->make, &text);
        (void)json_object_set_new(json, "geometry", json_string(strbuf_str(&text)));
        strbuf_free(&text);
    }
    return json;
}

json_t *plan_json(const struct plan *plan)
{
    json_t *json = json_object(), *parts = json_array(), *raws = json_array();
    (void)json_object_set_new(json, "table", json_string(plan->recipe->table));
    (void)json_object_set_new(json, "sector_bytes", json_integer(plan->recipe->sector_bytes));
    (void)json_object_set_new(json, "disk_bytes", number_json(plan->disk_bytes));
    if (strcmp(plan->recipe->table, "gpt") == 0)
        (void)json_object_set_new(json, "disk_guid", guid_json(plan->spec.disk_guid));
    else
        (void)json_object_set_new(json, "mbr_signature", json_integer(plan->spec.mbr_signature));
    if (plan->recipe->boot_code != NULL) {
        (void)json_object_set_new(json, "boot_code", json_string(plan->recipe->boot_code));
        (void)json_object_set_new(json, "boot_code_bytes", number_json(plan->spec.n_boot_code));
    }
    for (size_t i = 0; i < plan->n_order; i++) {
        const struct plan_extent *extent = &plan->order[i];
        if (extent->kind == PLAN_PART) {
            (void)json_array_append_new(parts, part_json(plan, extent->index));
        } else if (extent->kind == PLAN_RAW) {
            const struct plan_raw *raw = &plan->raws[extent->index];
            json_t *item = place_json(plan, &raw->place);
            (void)json_object_set_new(item, "name", json_string(raw->recipe->name));
            (void)json_array_append_new(raws, item);
        }
    }
    (void)json_object_set_new(json, "partitions", parts);
    (void)json_object_set_new(json, "raw", raws);
    return json;
}
