/* What `plat boot` prints: the console as it comes, and at the end one line that names the outcome. */
#ifndef PLAT_BOOT_REPORT_H
#define PLAT_BOOT_REPORT_H

#include "boot/loop.h"
#include "lib/cli/cli.h"

struct boot_report {
    const struct cli *cli;
    bool json;      /* one JSON object at the end, and nothing else on stdout */
    bool line_open; /* the console stands in the middle of a line */
};

/* Callbacks for struct boot_plan; ctx is the report. */
void boot_report_text(void *ctx, const char *bytes, size_t n);
void boot_report_remark(void *ctx, const char *line);
/* Prints the last lines of the console unless all went well, then the outcome. Returns the exit code. */
int boot_report_end(struct boot_report *report, const struct boot_plan *plan,
                    const struct boot_result *result);
/* What kept the run from its end: on stderr, and as {"outcome": "error", "exit": 2, "detail": ...} with --json. Returns
 * the exit code. */
int boot_report_error(struct boot_report *report, const struct plat_err *err);

#endif
