/* GUIDs and UUIDs: their bytes on disk, their text, and the names that an enum gives them. */
#include <string.h>

#include "lib/layout/layout.h"

/* Where the i-th byte of a uuid (which lies on disk as it is written) stands in a guid. */
static const uint8_t guid_order[LAYOUT_ID_BYTES] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

bool repr_is_id(enum field_repr repr)
{
    return repr == REPR_GUID || repr == REPR_UUID;
}

bool type_names_ids(const struct type *type)
{
    return type != NULL && type->kind == TYPE_ENUM && repr_is_id(type->base);
}

bool layout_parse_id(enum field_repr repr, const char *text, uint8_t ret[LAYOUT_ID_BYTES])
{
    uint8_t guid[LAYOUT_ID_BYTES];
    if (!parse_guid(text, guid))
        return false;
    for (unsigned i = 0; i < LAYOUT_ID_BYTES; i++)
        ret[i] = repr == REPR_UUID ? guid[guid_order[i]] : guid[i];
    return true;
}

void layout_format_id(enum field_repr repr, const uint8_t *bytes, char ret[LAYOUT_ID_TEXT_BYTES])
{
    uint8_t guid[LAYOUT_ID_BYTES];
    for (unsigned i = 0; i < LAYOUT_ID_BYTES; i++)
        guid[i] = repr == REPR_UUID ? bytes[guid_order[i]] : bytes[i];
    format_guid(guid, ret);
}

const struct enum_value *type_id(const struct type *type, const uint8_t *bytes)
{
    for (size_t i = 0; type_names_ids(type) && i < type->n_values; i++)
        if (memcmp(type->values[i].id, bytes, LAYOUT_ID_BYTES) == 0)
            return &type->values[i];
    return NULL;
}

bool field_parse_id(const struct field *field, const char *text, size_t n, uint8_t ret[LAYOUT_ID_BYTES])
{
    char word[LAYOUT_ID_TEXT_BYTES];
    for (size_t i = 0; type_names_ids(field->type) && i < field->type->n_values; i++) {
        const struct enum_value *v = &field->type->values[i];
        if (strlen(v->name) == n && memcmp(v->name, text, n) == 0) {
            memcpy(ret, v->id, LAYOUT_ID_BYTES);
            return true;
        }
    }
    if (n >= sizeof word)
        return false;
    memcpy(word, text, n);
    word[n] = '\0';
    return layout_parse_id(field->repr, word, ret);
}
