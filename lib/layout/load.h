/* Private to lib/layout: the loader's state and the helpers that its parts share. */
#ifndef PLAT_LIB_LAYOUT_LOAD_H
#define PLAT_LIB_LAYOUT_LOAD_H

#include <jansson.h>

#include "lib/layout/layout.h"

enum load_state { LOAD_NEW, LOAD_BUSY, LOAD_DONE };

struct loader {
    struct layout *layout;
    struct type **types; /* as layout->types, writable */
    json_t **type_json;
    unsigned char *type_state; /* enum load_state */
    unsigned nesting;
    struct strbuf path; /* where in the schema we are */
    struct plat_err *err;
};

/* Path bookkeeping: mark = load_push(ld, ".fields[%zu]", i); ...; load_pop(ld, mark). */
size_t load_push(struct loader *ld, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void load_pop(struct loader *ld, size_t mark);
/* PLAT_EINVALID at the current path. Without "_raw", as err_set: analysers learn that it is never 0. */
int load_fail_raw(struct loader *ld, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int load_nomem_raw(struct loader *ld);
#define load_fail(...) err_is_failure(load_fail_raw(__VA_ARGS__))
#define load_nomem(ld) err_is_failure(load_nomem_raw(ld))

/* `known`: space-separated key names. Anything else in the object is an error that lists them. */
int load_keys(struct loader *ld, json_t *object, const char *known);
/* Optional members: *ret stays untouched when the key is absent. Text is copied into the arena. */
int load_text(struct loader *ld, json_t *object, const char *key, const char **ret);
int load_bool(struct loader *ld, json_t *object, const char *key, bool *ret);
int load_expr(struct loader *ld, json_t *object, const char *key, const struct expr **ret,
              const char **ret_text);
/* Number, or text holding a number; negative ones in two's complement with *ret_negative set. */
int load_number_value(struct loader *ld, json_t *value, uint64_t *ret, bool *ret_negative);
int load_number(struct loader *ld, json_t *object, const char *key, uint64_t max, uint64_t *ret);
/* An identifier: [a-z_][a-z0-9_]* of bounded length that is not a word of the language. */
int load_name(struct loader *ld, const char *name);
int load_choice(struct loader *ld, json_t *object, const char *key, const char *const *choices, int *ret);
int load_expr_text(struct loader *ld, json_t *value, const struct expr **ret, const char **ret_text);
/* "hex:55aa" or text; into the arena. */
int load_byte_text(struct loader *ld, json_t *value, const uint8_t **ret, size_t *ret_n);
int load_rules(struct loader *ld, json_t *value, bool each_allowed, const struct rule **ret, size_t *ret_n);

/* "follows"; needs the map. */
int load_follows(struct loader *ld, json_t *json);

int load_all_types(struct loader *ld, json_t *types);
/* The type called `name`, loaded (its own types first); an unknown one is an error. */
int load_type_named(struct loader *ld, const char *name, const struct type **ret);
int load_const(struct loader *ld, json_t *object, const char *key, const struct field *field,
               struct const_value *ret);
int load_field(struct loader *ld, json_t *json, const struct type *type, struct field *ret);

/* Binds every name in every expression; reports those that resolve to nothing. */
int load_resolve(struct loader *ld);

#endif
