#include "boot/report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"

void boot_report_text(void *ctx, const char *bytes, size_t n)
{
    struct boot_report *report = ctx;
    (void)fwrite(bytes, 1, n, stdout);
    (void)fflush(stdout); /* people watch */
    report->line_open = bytes[n - 1] != '\n';
}

static void end_line(struct boot_report *report)
{
    if (report->line_open)
        (void)putchar('\n');
    report->line_open = false;
}

void boot_report_remark(void *ctx, const char *line)
{
    end_line(ctx);
    (void)printf("plat boot: %s\n", line);
    (void)fflush(stdout);
}

static int exit_code(enum boot_outcome outcome)
{
    switch (outcome) {
    case BOOT_PASS:
        return EXIT_YES;
    case BOOT_NO_FIRMWARE:
    case BOOT_NO_QEMU:
    case BOOT_QEMU_FAILED:
        return EXIT_CANNOT;
    default:
        return EXIT_NO;
    }
}

static const char *accel_name(enum accel accel)
{
    return accel == ACCEL_KVM ? "kvm" : "tcg";
}

/* The expectation that is not met; NULL when all are. */
static const char *missing(const struct boot_plan *plan, const struct boot_result *result)
{
    return result->n_met < plan->console.n_expect ? plan->console.expect[result->n_met] : NULL;
}

static void add_visible(struct strbuf *to, const char *text)
{
    strbuf_visible(to, text, strlen(text));
}

/* "missing MARKER done", "timeout after 60 s, missing MARKER done", "guest-exit 42". */
static void headline(struct strbuf *to, const struct boot_plan *plan, const struct boot_result *result)
{
    const char *wanted = missing(plan, result);
    strbuf_puts(to, boot_outcome_name(result->outcome));
    switch (result->outcome) {
    case BOOT_MISSING:
        strbuf_putc(to, ' ');
        add_visible(to, wanted != NULL ? wanted : "");
        break;
    case BOOT_REJECTED:
        strbuf_putc(to, ' ');
        add_visible(to, plan->console.reject[result->rejected]);
        break;
    case BOOT_TIMEOUT:
        strbuf_printf(to, " after %llu s, ", (unsigned long long)(plan->timeout_ns / 1000000000));
        if (wanted != NULL) {
            strbuf_puts(to, "missing ");
            add_visible(to, wanted);
        } else {
            strbuf_puts(to, "the guest did not power down");
        }
        break;
    case BOOT_GUEST_EXIT:
        strbuf_printf(to, " %u", result->guest_exit);
        if (wanted != NULL) {
            strbuf_puts(to, ", missing ");
            add_visible(to, wanted);
        }
        break;
    case BOOT_NO_FIRMWARE:
    case BOOT_NO_QEMU:
    case BOOT_QEMU_FAILED:
        strbuf_puts(to, ": ");
        add_visible(to, result->detail);
        break;
    default:
        break;
    }
}

/* " (the guest powered down; 1 of 2 expectations, 6.12 s, tcg)" */
static void figures(struct strbuf *to, const struct boot_plan *plan, const struct boot_result *result)
{
    strbuf_puts(to, " (");
    if (result->detail[0] != '\0') {
        add_visible(to, result->detail);
        strbuf_puts(to, "; ");
    }
    if (plan->console.n_expect > 0)
        strbuf_printf(to, "%zu of %zu expectations, ", result->n_met, plan->console.n_expect);
    strbuf_printf(to, "%.2f s, %s", (double)result->elapsed_ns / 1e9, accel_name(result->accel));
    if (result->fallback[0] != '\0')
        strbuf_puts(to, " because KVM does not run this guest");
    strbuf_puts(to, ")");
}

static void print_tail(const struct strbuf *tail, FILE *to)
{
    const char *line = strbuf_str(tail);
    if (*line == '\0') {
        (void)fputs("plat boot: the console said nothing\n", to);
        return;
    }
    (void)fputs("plat boot: the last lines of the console:\n", to);
    while (*line != '\0') {
        struct strbuf shown = {0};
        size_t n = strcspn(line, "\n");
        strbuf_visible(&shown, line, n);
        (void)fprintf(to, "  | %s\n", strbuf_str(&shown));
        strbuf_free(&shown);
        line += n + (line[n] == '\n');
    }
}

/* ---- JSON ---- */

static json_t *text_array(const char *lines)
{
    json_t *array = json_array();
    while (*lines != '\0') {
        struct strbuf shown = {0};
        size_t n = strcspn(lines, "\n");
        strbuf_visible(&shown, lines, n);
        (void)json_array_append_new(array, json_string(strbuf_str(&shown)));
        strbuf_free(&shown);
        lines += n + (lines[n] == '\n');
    }
    return array;
}

static json_t *visible_string(const char *text)
{
    struct strbuf shown = {0};
    strbuf_visible(&shown, text, strlen(text));
    json_t *ret = json_string(strbuf_str(&shown));
    strbuf_free(&shown);
    return ret;
}

static bool print_json(const struct boot_plan *plan, const struct boot_result *result, int code)
{
    bool ran = result->outcome != BOOT_NO_QEMU && result->outcome != BOOT_NO_FIRMWARE;
    json_t *root = json_object();
    json_t *expectations = json_array();
    for (size_t i = 0; i < plan->console.n_expect; i++) {
        json_t *one = json_object();
        (void)json_object_set_new(one, "regex", visible_string(plan->console.expect[i]));
        (void)json_object_set_new(one, "met", json_boolean(i < result->n_met));
        (void)json_array_append_new(expectations, one);
    }
    (void)json_object_set_new(root, "outcome", json_string(boot_outcome_name(result->outcome)));
    (void)json_object_set_new(root, "exit", json_integer(code));
    (void)json_object_set_new(root, "expectations", expectations);
    if (result->outcome == BOOT_REJECTED)
        (void)json_object_set_new(root, "rejected", visible_string(plan->console.reject[result->rejected]));
    if (result->outcome == BOOT_GUEST_EXIT)
        (void)json_object_set_new(root, "guest_exit", json_integer(result->guest_exit));
    if (result->detail[0] != '\0')
        (void)json_object_set_new(root, "detail", visible_string(result->detail));
    if (ran) {
        uint64_t milliseconds = result->elapsed_ns / 1000000; /* no digits that mean nothing */
        (void)json_object_set_new(root, "accel", json_string(accel_name(result->accel)));
        (void)json_object_set_new(root, "seconds", json_real((double)milliseconds / 1000));
        (void)json_object_set_new(root, "console_tail", text_array(strbuf_str(&result->tail)));
    }
    if (result->fallback[0] != '\0')
        (void)json_object_set_new(root, "kvm_failed", visible_string(result->fallback));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(root);
    if (text == NULL)
        return false;
    (void)puts(text);
    free(text);
    return true;
}

int boot_report_end(struct boot_report *report, const struct boot_plan *plan,
                    const struct boot_result *result)
{
    struct strbuf line = {0};
    int code = exit_code(result->outcome);
    FILE *to = code == EXIT_CANNOT ? stderr : stdout;
    bool ran = result->outcome != BOOT_NO_QEMU && result->outcome != BOOT_NO_FIRMWARE;
    const char *color = !report->cli->color || to != stdout ? "" : code == EXIT_YES ? "\033[32m" : "\033[31m";
    end_line(report);
    headline(&line, plan, result);
    if (report->json && !print_json(plan, result, code))
        code = EXIT_CANNOT;
    if (!report->json && ran && code != EXIT_YES)
        print_tail(&result->tail, to);
    if (!report->json || code == EXIT_CANNOT) {
        if (code != EXIT_CANNOT)
            figures(&line, plan, result);
        (void)fflush(stdout);
        (void)fprintf(to, "plat boot: %s%s%s\n", color, strbuf_str(&line), *color != '\0' ? "\033[0m" : "");
    }
    strbuf_free(&line);
    return cli_finish(report->cli, code);
}

int boot_report_error(struct boot_report *report, const struct plat_err *err)
{
    end_line(report);
    if (report->json) {
        struct strbuf text = {0};
        strbuf_json(&text, err->text, strlen(err->text));
        (void)printf("{\"outcome\": \"error\", \"exit\": %d, \"detail\": %s}\n", EXIT_CANNOT,
                     text.failed ? "\"\"" : strbuf_str(&text));
        strbuf_free(&text);
        (void)fflush(stdout);
    }
    return cli_fail(report->cli, err);
}
