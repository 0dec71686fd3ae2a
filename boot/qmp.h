/* QEMU's machine protocol: one JSON object a line. This reads the stream; the caller owns the socket. */
#ifndef PLAT_BOOT_QMP_H
#define PLAT_BOOT_QMP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/text.h"

enum { QMP_LINE_MAX = 1 << 20, QMP_NAME_MAX = 64, QMP_TEXT_MAX = 16384 };

enum qmp_kind {
    QMP_GREETING,
    QMP_RETURN, /* id: which command */
    QMP_ERROR,  /* id, text: QEMU's description */
    QMP_EVENT   /* name: "STOP", "SHUTDOWN", ... */
};
struct qmp_message {
    enum qmp_kind kind;
    unsigned id;               /* as given to qmp_command; 0 when there is none */
    char name[QMP_NAME_MAX];   /* event */
    char status[QMP_NAME_MAX]; /* return of query-status: "running", "internal-error" */
    char reason[QMP_NAME_MAX]; /* SHUTDOWN: "guest-shutdown", "guest-reset" */
    bool guest;                /* SHUTDOWN, RESET: the guest asked for it */
    char text[QMP_TEXT_MAX];   /* return that is a string; error's description */
};

/* Zero-initialise; qmp_free. */
struct qmp {
    struct strbuf in;
    size_t taken; /* bytes of `in` already handed out */
};

/* Takes bytes from the socket. PLAT_ELIMIT: a line longer than QMP_LINE_MAX. */
int qmp_push(struct qmp *qmp, const char *bytes, size_t n, struct plat_err *err);
/* The next whole message: 1 and *ret filled, 0 when more bytes are needed, PLAT_ECORRUPT when a line is not a
 * QMP message. */
int qmp_next(struct qmp *qmp, struct qmp_message *ret, struct plat_err *err);
void qmp_free(struct qmp *qmp);

/* {"execute": name, "id": id} as a line; argument: {"command-line": argument}, NULL for none. Appends to
 * *ret. */
void qmp_command(struct strbuf *ret, const char *name, const char *argument, unsigned id);

#endif
