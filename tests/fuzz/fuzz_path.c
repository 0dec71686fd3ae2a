/* Any text as a path into structures, and as the numbers, sizes, GUIDs and patterns that people type. A
 * path's canonical spelling must read back as itself. */
#include <stdlib.h>
#include <string.h>

#include "inspect/path.h"
#include "lib/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_path(const char *text, const char *other)
{
    struct field_path path = {0}, again = {0}, head = {0}, renamed = {0};
    struct plat_err err = {0};
    if (path_parse(text, &path, &err) == 0) {
        if (path_parse(path.text, &again, &err) != 0 || strcmp(path.text, again.text) != 0 ||
            path.n_steps != again.n_steps || path_relate(&path, again.text) != PATH_SAME)
            abort();
        (void)path_relate(&path, other);
        if (path_relate(&path, path.text) != PATH_SAME || path_steps_in(&path, path.text) != path.n_steps)
            abort();
        for (size_t i = 0; i <= path.n_steps; i++) {
            if (path_head(&path, i, &head, &err) == 0 && head.n_steps != i)
                abort();
            path_free(&head);
            head = (struct field_path){0};
        }
        if (path.n_steps > 0)
            (void)path_with_first_name(&path, "other-name", &renamed, &err);
    } else if (err.text[0] == '\0') {
        abort();
    }
    path_free(&renamed);
    path_free(&again);
    path_free(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    uint8_t guid[16];
    uint64_t number;
    char guid_text[37];
    if (text == NULL)
        return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    /* A first line and the rest, for what takes two texts. */
    size_t split = strcspn(text, "\n");
    const char *other = split < n ? text + split + 1 : "";
    char *first = strndup(text, split);
    if (first != NULL) {
        check_path(text, other);
        check_path(first, other);
        (void)parse_u64(first, &number, NULL);
        (void)parse_size(first, &number, NULL);
        if (parse_guid(first, guid))
            format_guid(guid, guid_text);
        if (strlen(first) < 64 && strlen(other) < 256)
            (void)glob_match(first, other);
        struct strbuf json = {0};
        strbuf_json(&json, (const char *)data, n);
        strbuf_visible(&json, (const char *)data, n);
        if (!json.failed && !utf8_valid(json.s, json.len))
            abort();
        strbuf_free(&json);
    }
    free(first);
    free(text);
    return 0;
}
