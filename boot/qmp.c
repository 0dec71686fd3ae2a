#include "boot/qmp.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

int qmp_push(struct qmp *qmp, const char *bytes, size_t n, struct plat_err *err)
{
    const char *last = memrchr(bytes, '\n', n);
    size_t unfinished = last != NULL ? (size_t)(bytes + n - last) : qmp->in.len - qmp->taken + n;
    if (unfinished > QMP_LINE_MAX || qmp->in.len - qmp->taken > 2 * (size_t)QMP_LINE_MAX)
        return err_set(err, PLAT_ELIMIT, "QEMU's control channel sent a line of more than %d bytes",
                       QMP_LINE_MAX);
    if (qmp->taken == qmp->in.len) {
        strbuf_truncate(&qmp->in, 0);
        qmp->taken = 0;
    }
    strbuf_add(&qmp->in, bytes, n);
    return qmp->in.failed ? err_nomem(err, "reading QEMU's control channel") : 0;
}

static void copy(char *to, size_t n, const json_t *value)
{
    (void)snprintf(to, n, "%s", json_is_string(value) ? json_string_value(value) : "");
}

static bool interpret(const json_t *root, struct qmp_message *ret)
{
    const json_t *value = NULL;
    const json_t *id = json_object_get(root, "id");
    if (json_is_integer(id) && json_integer_value(id) > 0 && json_integer_value(id) <= 0xFFFFFFFF)
        ret->id = (unsigned)json_integer_value(id);
    if (json_is_object(json_object_get(root, "QMP"))) {
        ret->kind = QMP_GREETING;
        return true;
    }
    if ((value = json_object_get(root, "return")) != NULL) {
        ret->kind = QMP_RETURN;
        copy(ret->status, sizeof ret->status, json_object_get(value, "status"));
        copy(ret->text, sizeof ret->text, value);
        return true;
    }
    if ((value = json_object_get(root, "error")) != NULL) {
        ret->kind = QMP_ERROR;
        copy(ret->text, sizeof ret->text, json_object_get(value, "desc"));
        return true;
    }
    if (json_is_string(value = json_object_get(root, "event"))) {
        const json_t *data = json_object_get(root, "data");
        ret->kind = QMP_EVENT;
        copy(ret->name, sizeof ret->name, value);
        copy(ret->reason, sizeof ret->reason, json_object_get(data, "reason"));
        ret->guest = json_is_true(json_object_get(data, "guest"));
        return true;
    }
    return false;
}

int qmp_next(struct qmp *qmp, struct qmp_message *ret, struct plat_err *err)
{
    for (;;) {
        const char *line = strbuf_str(&qmp->in) + qmp->taken;
        const char *end = memchr(line, '\n', qmp->in.len - qmp->taken);
        if (end == NULL)
            return 0;
        size_t n = (size_t)(end - line);
        qmp->taken += n + 1;
        if (n > 0 && line[n - 1] == '\r')
            n--;
        if (n == 0)
            continue;
        json_t *root = json_loadb(line, n, 0, NULL);
        *ret = (struct qmp_message){0};
        bool good = root != NULL && interpret(root, ret);
        json_decref(root);
        if (good)
            return 1;
        struct strbuf shown = {0};
        strbuf_visible(&shown, line, n < 80 ? n : 80);
        int r = err_set(err, PLAT_ECORRUPT, "expected a message of QEMU's control channel, found \"%s\"",
                        strbuf_str(&shown));
        strbuf_free(&shown);
        return r;
    }
}

void qmp_free(struct qmp *qmp)
{
    strbuf_free(&qmp->in);
    qmp->taken = 0;
}

void qmp_command(struct strbuf *ret, const char *name, const char *argument, unsigned id)
{
    strbuf_printf(ret, "{\"execute\": \"%s\", \"id\": %u", name, id);
    if (argument != NULL) {
        strbuf_puts(ret, ", \"arguments\": {\"command-line\": ");
        strbuf_json(ret, argument, strlen(argument));
        strbuf_puts(ret, "}");
    }
    strbuf_puts(ret, "}\r\n");
}
