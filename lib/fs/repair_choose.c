/* Which of several copies is the good one? The one that would give a volume without faults of its own.
 *
 *                       all copies as A      all copies as B
 *   findings            dirty, lost 7..9     dirty
 *   ... of its own      lost 7..9            none              B is good, A is rewritten
 *
 * What both find is nothing that tells them apart. It still counts against a copy when it lies in the copy: what is
 * not sound is not copied. */
#include "lib/fs/repair_private.h"

/* Findings of `a` that `b` does not have, down to `at_least`. Both lists are sorted. */
static uint64_t own_findings(const struct repair_trial *a, const struct repair_trial *b,
                             enum severity at_least)
{
    uint64_t n = 0;
    for (size_t i = 0, k = 0; i < a->n; i++) {
        while (k < b->n && b->list[k].hash < a->list[i].hash)
            k++;
        bool both = k < b->n && b->list[k].hash == a->list[i].hash;
        n += !both && a->list[i].severity <= at_least;
    }
    return n;
}

struct choice {
    const struct repair_copies *copies;
    struct repair_trial trials[REPAIR_MAX_COPIES]; /* all copies as this one */
    size_t same_as[REPAIR_MAX_COPIES];             /* the first copy with the same bytes */
};

/* Rewrites all copies that differ from copy `i`. */
static int add_all(struct repair_plan *plan, const struct choice *choice, size_t i, struct plat_err *err)
{
    const struct repair_copies *copies = choice->copies;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < copies->n; k++) {
        if (choice->same_as[k] == choice->same_as[i])
            continue;
        const struct repair repair = {.path = copies->list[k].path,
                                      .source = copies->list[i].path,
                                      .place = {copies->list[k].offset, copies->bytes},
                                      .source_offset = copies->list[i].offset};
        rc = repair_plan_add(plan, &repair, err);
    }
    return rc;
}

/* Copy `i` is wrong by itself: with it an error lies where one of the copies is, or nothing is recognised. */
static bool is_unsound(const struct choice *choice, size_t i)
{
    const struct repair_copies *copies = choice->copies;
    const struct repair_trial *trial = &choice->trials[i];
    bool unsound = !trial->opened || trial->n == REPAIR_MAX_FOUND;
    for (size_t k = 0; !unsound && k < copies->n; k++)
        unsound = repair_trial_fault(trial, (struct range){copies->list[k].offset, copies->bytes},
                                     SEVERITY_ERROR) != NULL;
    return unsound;
}

/* ... or has something against it that another copy has not. */
static bool has_faults(const struct choice *choice, size_t i, enum severity at_least)
{
    bool faults = is_unsound(choice, i);
    for (size_t k = 0; !faults && k < choice->copies->n; k++) {
        const struct repair_trial *other = &choice->trials[k];
        if (choice->same_as[k] != k || k == i || !other->opened || other->n == REPAIR_MAX_FOUND ||
            (choice->copies->leads && is_unsound(choice, k)))
            continue;
        faults = own_findings(&choice->trials[i], other, at_least) > 0;
    }
    return faults;
}

/* The only copy without faults; copies->n: there is none, or more than one (*ret_sound). */
static size_t winner(const struct choice *choice, enum severity at_least, size_t *ret_sound)
{
    size_t found = choice->copies->n, sound = 0;
    for (size_t i = 0; i < choice->copies->n; i++) {
        if (choice->same_as[i] != i || has_faults(choice, i, at_least))
            continue;
        found = i;
        sound++;
    }
    *ret_sound = sound;
    return sound == 1 ? found : choice->copies->n;
}

static int decide(struct repair_plan *plan, const struct choice *choice, struct plat_err *err)
{
    const struct repair_copies *copies = choice->copies;
    size_t sound, best = winner(choice, SEVERITY_WARNING, &sound), other = 1;
    if (sound > 1 && copies->leads) {
        size_t still;
        best = winner(choice, SEVERITY_NOTE, &still);
    }
    if (best < copies->n)
        return add_all(plan, choice, best, err);
    while (choice->same_as[other] == 0)
        other++;
    if (sound > 1)
        return repair_plan_refuse(plan, copies->list[other].path, copies->list[other].offset, err,
                                  "it differs from %s, and either could be right: every check passes with "
                                  "each of them",
                                  copies->list[0].path);
    return repair_plan_refuse(plan, copies->list[other].path, copies->list[other].offset, err,
                              "it differs from %s, and there are faults with each of them: there is no good "
                              "copy to repair from",
                              copies->list[0].path);
}

int repair_choose(struct fs *fs, struct repair_plan *plan, const struct repair_copies *copies,
                  struct plat_err *err)
{
    struct choice choice = {.copies = copies};
    const size_t before = plan->n;
    bool all_same = true;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < copies->n; i++) {
        choice.same_as[i] = i;
        for (size_t k = 0; rc == 0 && k < i && choice.same_as[i] == i; k++) {
            bool same = false;
            rc = choice.same_as[k] != k ? 0
                                        : repair_same(fs->dev, copies->list[k].offset, copies->list[i].offset,
                                                      copies->bytes, &same, err);
            if (same)
                choice.same_as[i] = k;
        }
        all_same = all_same && choice.same_as[i] == 0;
    }
    if (rc != 0 || all_same)
        return rc;
    for (size_t i = 0; rc == 0 && i < copies->n; i++) {
        if (choice.same_as[i] != i)
            continue;
        rc = add_all(plan, &choice, i, err);
        if (rc == 0)
            rc = repair_try(fs, plan, &choice.trials[i], err);
        repair_plan_cut(plan, before);
    }
    if (rc == 0)
        rc = decide(plan, &choice, err);
    for (size_t i = 0; i < copies->n; i++)
        repair_trial_free(&choice.trials[i]);
    return rc;
}
