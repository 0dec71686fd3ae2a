/* Settings: defaults, ranges, and the text for them. */
#include "lib/codec/private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"

enum {
    HC_LEVEL_MIN = 3,
    HC_LEVEL_MAX = 12,
    LZO_999_LEVEL_MAX = 9,
    LZO_999_LEVEL = 8,
    XZ_LC = 3,
    XZ_PB = 2,
    XZ_SUM_MAX = 4, /* lc + lp, and pb */
    TEXT_MAX = 200
};

static const char *const filter_names[] = {"x86",      "powerpc", "ia64",  "arm",
                                           "armthumb", "sparc",   "arm64", "riscv"};
enum { N_FILTERS = sizeof filter_names / sizeof filter_names[0] };
static const char *const lzo_names[CODEC_LZO_ALGORITHMS] = {"1", "1_11", "1_12", "1_15", "999"};

/* Both 0: there are no levels. */
static void level_range(const struct codec_settings *s, int *ret_min, int *ret_max, int *ret_default)
{
    const struct codec_ops *ops = codec_ops_of(s->id);
    *ret_min = ops->level_min;
    *ret_max = ops->level_max;
    *ret_default = ops->level_default;
    if (s->id == CODEC_LZ4 && s->lz4_hc) {
        *ret_min = HC_LEVEL_MIN;
        *ret_max = *ret_default = HC_LEVEL_MAX;
    } else if (s->id == CODEC_LZO && s->lzo_algorithm == CODEC_LZO_999) {
        *ret_min = 1;
        *ret_max = LZO_999_LEVEL_MAX;
        *ret_default = LZO_999_LEVEL;
    }
}

void codec_settings_default(enum codec_id id, struct codec_settings *ret)
{
    int min = 0;
    int max = 0;
    *ret = (struct codec_settings){.id = id, .xz_lc = XZ_LC, .xz_pb = XZ_PB, .lzo_algorithm = CODEC_LZO_999};
    level_range(ret, &min, &max, &ret->level);
}

/* 2^n or 3 * 2^n: what the LZMA2 header can say. */
static bool is_dict_size(uint64_t bytes)
{
    return is_pow2_u64(bytes) || (bytes % 3 == 0 && is_pow2_u64(bytes / 3));
}

static int xz_check(const struct codec_settings *s, struct plat_err *err)
{
    uint32_t lacking = s->xz_filters & ~codec_xz_filters_known();
    if (s->xz_dict_bytes != 0 &&
        (s->xz_dict_bytes < CODEC_DICT_BYTES_MIN || s->xz_dict_bytes > CODEC_BLOCK_BYTES_MAX ||
         !is_dict_size(s->xz_dict_bytes)))
        return err_set(err, PLAT_EINVALID,
                       "xz dictionary of %u bytes; expected 2^n or 3 * 2^n, from %d to %d (64KiB, 96KiB)",
                       s->xz_dict_bytes, (int)CODEC_DICT_BYTES_MIN, (int)CODEC_BLOCK_BYTES_MAX);
    if (lacking != 0)
        return err_set(err, lacking >> N_FILTERS != 0 ? PLAT_EINVALID : PLAT_EUNSUPPORTED,
                       "xz filters 0x%x are not among those of this liblzma, 0x%x", lacking,
                       codec_xz_filters_known());
    if (s->xz_lc + s->xz_lp > XZ_SUM_MAX || s->xz_pb > XZ_SUM_MAX)
        return err_set(err, PLAT_EINVALID,
                       "xz lc=%u, lp=%u, pb=%u; expected lc + lp at most 4 and pb at most 4", s->xz_lc,
                       s->xz_lp, s->xz_pb);
    return 0;
}

int codec_settings_check(const struct codec_settings *s, struct plat_err *err)
{
    int min = 0;
    int max = 0;
    int usual = 0;
    if (codec_ops_of(s->id) == NULL)
        return err_set(err, PLAT_EINVALID, "no codec has the number %d", (int)s->id);
    if (!codec_can_encode(s->id))
        return err_set(err, PLAT_EUNSUPPORTED, "%s can be decompressed only; choose xz, its successor",
                       codec_name(s->id));
    if ((unsigned)s->lzo_algorithm >= CODEC_LZO_ALGORITHMS)
        return err_set(err, PLAT_EINVALID, "no lzo algorithm has the number %d", (int)s->lzo_algorithm);
    level_range(s, &min, &max, &usual);
    if (max == 0 && s->level != 0)
        return err_set(err, PLAT_EINVALID, "%s has no levels%s", codec_name(s->id),
                       s->id == CODEC_LZ4 ? "; for smaller output choose lz4:hc" : " but with algorithm 999");
    if (s->level < min || s->level > max)
        return err_set(err, PLAT_EINVALID, "%s level %d; expected %d to %d", codec_name(s->id), s->level, min,
                       max);
    return s->id == CODEC_XZ ? xz_check(s, err) : 0;
}

uint32_t codec_xz_dict_bytes(const struct codec_settings *settings, size_t max_block_bytes)
{
    size_t most = max_block_bytes > CODEC_DICT_BYTES_MIN ? max_block_bytes : CODEC_DICT_BYTES_MIN;
    if (settings->xz_dict_bytes != 0 && settings->xz_dict_bytes < most)
        return settings->xz_dict_bytes;
    uint32_t dict = CODEC_DICT_BYTES_MIN;
    while (dict < most) /* 8192, 12288, 16384, 24576, ... */
        dict += is_pow2_u64(dict) ? dict / 2 : dict / 3;
    return dict;
}

/* ---- text ---- */

static bool find_name(const char *text, const char *const *names, size_t n_names, size_t *ret)
{
    for (size_t i = 0; i < n_names; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

static int parse_number(const char *key, const char *text, uint64_t max, uint64_t *ret, struct plat_err *err)
{
    uint64_t value = 0;
    int rc = parse_u64(text, &value, err);
    if (rc != 0)
        return rc;
    if (value > max)
        return err_set(err, PLAT_EINVALID, "%s %s is too large; expected at most %llu", key, text,
                       (unsigned long long)max);
    *ret = value;
    return 0;
}

static int parse_filters(char *text, uint32_t *ret, struct plat_err *err)
{
    uint32_t mask = 0;
    char *rest = NULL;
    for (const char *name = strtok_r(text, "+", &rest); name != NULL; name = strtok_r(NULL, "+", &rest)) {
        size_t i = 0;
        if (!find_name(name, filter_names, N_FILTERS, &i))
            return err_set(
                err, PLAT_EINVALID,
                "no xz filter '%s'; expected some of x86, powerpc, ia64, arm, armthumb, sparc, arm64, "
                "riscv, joined by +",
                name);
        mask |= UINT32_C(1) << i;
    }
    *ret = mask;
    return 0;
}

struct setting_parse {
    struct codec_settings *settings;
    bool has_level;
};

static int parse_level(struct setting_parse *p, const char *text, struct plat_err *err)
{
    uint64_t level = 0;
    int rc = parse_number("level", text, 99, &level, err);
    p->settings->level = (int)level;
    p->has_level = true;
    return rc;
}

static int parse_xz_value(struct codec_settings *s, const char *key, char *value, struct plat_err *err)
{
    uint64_t number = 0;
    if (strcmp(key, "filters") == 0)
        return parse_filters(value, &s->xz_filters, err);
    if (strcmp(key, "dict") == 0) {
        int rc = parse_size(value, &number, err);
        if (rc == 0 && number > UINT32_MAX)
            rc = err_set(err, PLAT_EINVALID, "xz dictionary of %s; at most %d bytes", value,
                         (int)CODEC_BLOCK_BYTES_MAX);
        if (rc == 0)
            s->xz_dict_bytes = (uint32_t)number;
        return rc;
    }
    uint8_t *place = strcmp(key, "lc") == 0   ? &s->xz_lc
                     : strcmp(key, "lp") == 0 ? &s->xz_lp
                     : strcmp(key, "pb") == 0 ? &s->xz_pb
                                              : NULL;
    if (place == NULL)
        return err_set(err, PLAT_EINVALID,
                       "no setting '%s' of xz; expected level, extreme, dict, filters, lc, lp or pb", key);
    int rc = parse_number(key, value, XZ_SUM_MAX, &number, err);
    if (rc == 0)
        *place = (uint8_t)number;
    return rc;
}

static int parse_item(struct setting_parse *p, char *item, struct plat_err *err)
{
    struct codec_settings *s = p->settings;
    char *value = strchr(item, '=');
    if (value == NULL && item[0] >= '0' && item[0] <= '9')
        return parse_level(p, item, err);
    if (value == NULL && strcmp(item, "hc") == 0 && s->id == CODEC_LZ4) {
        s->lz4_hc = true;
        return 0;
    }
    if (value == NULL && strcmp(item, "extreme") == 0 && s->id == CODEC_XZ) {
        s->xz_extreme = true;
        return 0;
    }
    if (value == NULL)
        return err_set(err, PLAT_EINVALID, "'%s' is no setting of %s; expected KEY=VALUE, or a level", item,
                       codec_name(s->id));
    *value++ = '\0';
    if (s->id == CODEC_GZIP && (strcmp(item, "window") == 0 || strcmp(item, "strategy") == 0))
        return err_set(
            err, PLAT_EUNSUPPORTED,
            "gzip is compressed by libdeflate, which has neither windows of other sizes than 32 KiB "
            "nor strategies: leave '%s' out, and choose a level up to 12 for smaller output",
            item);
    if (strcmp(item, "level") == 0)
        return parse_level(p, value, err);
    if (s->id == CODEC_XZ)
        return parse_xz_value(s, item, value, err);
    size_t algorithm = 0;
    if (s->id != CODEC_LZO || strcmp(item, "algorithm") != 0)
        return err_set(err, PLAT_EINVALID, "no setting '%s' of %s", item, codec_name(s->id));
    if (!find_name(value, lzo_names, CODEC_LZO_ALGORITHMS, &algorithm))
        return err_set(err, PLAT_EINVALID, "no lzo algorithm '%s'; expected 1, 1_11, 1_12, 1_15 or 999",
                       value);
    s->lzo_algorithm = (enum codec_lzo_algorithm)algorithm;
    return 0;
}

static int parse_codec_name(const char *name, enum codec_id *ret, struct plat_err *err)
{
    for (unsigned i = 0; i < CODEC_IDS; i++)
        if (strcmp(name, codec_name((enum codec_id)i)) == 0) {
            *ret = (enum codec_id)i;
            return 0;
        }
    return err_set(err, PLAT_EINVALID, "no codec '%s'; expected gzip, lzo, xz, lz4 or zstd", name);
}

int codec_parse(const char *text, struct codec_settings *ret, struct plat_err *err)
{
    char copy[TEXT_MAX];
    enum codec_id id = CODEC_GZIP;
    int min = 0;
    int max = 0;
    int usual = 0;
    if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
        return err_set(err, PLAT_EINVALID, "compression '%.40s...' is too long", text);
    char *rest = strchr(copy, ':');
    if (rest != NULL)
        *rest++ = '\0';
    int rc = parse_codec_name(copy, &id, err);
    if (rc != 0)
        return rc;
    struct codec_settings settings;
    struct setting_parse p = {.settings = &settings};
    codec_settings_default(id, &settings);
    while (rc == 0 && rest != NULL) {
        char *item = strsep(&rest, ",");
        rc = parse_item(&p, item, err);
    }
    if (rc == 0 && !p.has_level) {
        level_range(&settings, &min, &max, &usual);
        settings.level = usual;
    }
    if (rc == 0)
        rc = codec_settings_check(&settings, err);
    if (rc == 0)
        *ret = settings;
    return rc;
}

struct described {
    struct strbuf *to;
    char separator;
};

__attribute__((format(printf, 2, 3))) static void describe_item(struct described *d, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    strbuf_putc(d->to, d->separator);
    strbuf_puts(d->to, text);
    d->separator = ',';
}

static void describe_xz(const struct codec_settings *s, struct described *d)
{
    if (s->xz_extreme)
        describe_item(d, "extreme");
    if (s->xz_dict_bytes != 0)
        describe_item(d, "dict=%u", s->xz_dict_bytes);
    if (s->xz_filters != 0) {
        describe_item(d, "filters=");
        for (unsigned i = 0, n = 0; i < N_FILTERS; i++)
            if ((s->xz_filters >> i & 1) != 0)
                strbuf_printf(d->to, "%s%s", n++ > 0 ? "+" : "", filter_names[i]);
    }
    if (s->xz_lc != XZ_LC)
        describe_item(d, "lc=%u", s->xz_lc);
    if (s->xz_lp != 0)
        describe_item(d, "lp=%u", s->xz_lp);
    if (s->xz_pb != XZ_PB)
        describe_item(d, "pb=%u", s->xz_pb);
}

void codec_describe(const struct codec_settings *settings, struct strbuf *to)
{
    struct described d = {.to = to, .separator = ':'};
    int min = 0;
    int max = 0;
    int usual = 0;
    strbuf_puts(to, codec_name(settings->id));
    if (codec_ops_of(settings->id) == NULL)
        return;
    level_range(settings, &min, &max, &usual);
    if (settings->id == CODEC_LZ4 && settings->lz4_hc)
        describe_item(&d, "hc");
    if (settings->id == CODEC_LZO && settings->lzo_algorithm < CODEC_LZO_999)
        describe_item(&d, "algorithm=%s", lzo_names[settings->lzo_algorithm]);
    if (settings->level != usual)
        describe_item(&d, "level=%d", settings->level);
    if (settings->id == CODEC_XZ)
        describe_xz(settings, &d);
}
