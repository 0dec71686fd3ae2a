/* crash FORMAT [OPTION]...: power cuts over a format's workloads, as TAP.
 *
 *   --states N      judge N different states (200000)
 *   --epoch N       judge about N states of one epoch (1500); 0: all of them
 *   --full N        all subsets of up to N sectors, samples beyond (16)
 *   --resume N      cut the next writer off, too, behind one state in N (400); 0: never
 *   --seed N        begin with workload N (0)
 *   --replay ID     judge one state, as printed with a violation
 *   --mutations     leave out each flush and each check in turn, and see that this is noticed
 *   --skip N        leave out step N (with --replay: to look at what a mutation does)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/crash/formats.h"
#include "tests/unit/tap.h"

enum { FLIP_SEEDS = 4, MUTATION_WORKLOADS = 64, MUTATION_SOME_STATES = 50000, MUTATION_STATES = 1000000 };

struct subject {
    const struct crash_format *format;
    const char *const *steps;
    size_t n_steps;
};

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_states(const struct subject *subject, const struct crash_options *options, uint64_t seed)
{
    struct crash_engine *engine = crash_open(subject->format, options);
    double start = seconds_now();
    const uint64_t first = seed;
    while (crash_workload(engine, seed))
        seed++;
    const struct crash_totals *totals = crash_totals(engine);
    double took = seconds_now() - start;
    ok(totals->violations == 0 && totals->states > 0,
       "%s: %llu states of %llu workloads (%llu repeated, %llu next writers cut off), %.0f states a second, "
       "%llu "
       "violations",
       subject->format->name, (unsigned long long)totals->states, (unsigned long long)(seed - first + 1),
       (unsigned long long)totals->repeated, (unsigned long long)totals->resumed,
       (double)totals->states / took, (unsigned long long)totals->violations);
    if (totals->violations > 0)
        printf("# %s\n", totals->first);
    crash_close(engine);
}

static void run_flips(const struct subject *subject)
{
    /* Set where the code is instrumented (tests.mk). */
    const char *share = getenv("PLAT_TEST_SHARE");
    const struct crash_options options = {.share = share != NULL ? strtoull(share, NULL, 10) : 0};
    struct crash_engine *engine = crash_open(subject->format, &options);
    for (uint64_t seed = 0; seed < FLIP_SEEDS; seed++)
        (void)(crash_flips(engine, seed) && crash_forgeries(engine, seed));
    const struct crash_totals *totals = crash_totals(engine);
    ok(totals->violations == 0 && totals->states > 0,
       "%s: each of %llu flipped bits and forgeries is found, %llu are not", subject->format->name,
       (unsigned long long)totals->states, (unsigned long long)totals->violations);
    if (totals->violations > 0)
        printf("# %s\n", totals->first);
    crash_close(engine);
}

/* Some cuts, flips, and many cuts, until there is a violation; `first` gets it. */
static uint64_t mutated(const struct subject *subject, size_t step, char first[CRASH_WHY_BYTES])
{
    enum { SOME_CUTS, FLIPS, MANY_CUTS, PHASES };
    uint64_t states = 0;
    first[0] = '\0';
    for (int phase = SOME_CUTS; phase < PHASES && first[0] == '\0'; phase++) {
        const struct crash_options options = {.full = 8,
                                              .samples = 200,
                                              .resume_one_in = 20,
                                              .max_epoch = 2000,
                                              .max_states = phase == FLIPS       ? 0
                                                            : phase == SOME_CUTS ? MUTATION_SOME_STATES
                                                                                 : MUTATION_STATES,
                                              .skip = 1ull << step,
                                              .stop_at_first = true};
        struct crash_engine *engine = crash_open(subject->format, &options);
        bool going = true;
        for (uint64_t seed = 0; going && seed < (phase == FLIPS ? FLIP_SEEDS : MUTATION_WORKLOADS); seed++)
            going = phase == FLIPS ? crash_forgeries(engine, seed) && crash_flips(engine, seed)
                                   : crash_workload(engine, seed);
        const struct crash_totals *totals = crash_totals(engine);
        states += totals->states;
        if (totals->violations > 0)
            (void)snprintf(first, CRASH_WHY_BYTES, "%.600s", totals->first);
        crash_close(engine);
    }
    return states;
}

static void run_mutations(const struct subject *subject)
{
    char first[CRASH_WHY_BYTES];
    for (size_t step = 0; step < subject->n_steps; step++) {
        uint64_t states = mutated(subject, step, first);
        ok(first[0] != '\0', "%s without the %s: noticed in %llu states", subject->format->name,
           subject->steps[step], (unsigned long long)states);
        printf("# %s\n", first);
    }
}

int main(int argc, char **argv)
{
    const struct subject subjects[] = {{&crash_caposst1, crash_caposst1_steps, n_crash_caposst1_steps},
                                       {&crash_caposwf1, crash_caposwf1_steps, n_crash_caposwf1_steps}};
    const struct subject *subject = NULL;
    struct crash_options options = {
        .full = 16, .samples = 4000, .resume_one_in = 400, .max_epoch = 1500, .max_states = 200000};
    uint64_t seed = 0;
    bool mutations = false;
    for (size_t i = 0; argc > 1 && i < sizeof subjects / sizeof subjects[0]; i++)
        if (strcmp(argv[1], subjects[i].format->name) == 0)
            subject = &subjects[i];
    for (int i = 2; subject != NULL && i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--mutations") == 0) {
            mutations = true;
            continue;
        }
        i++;
        if (strcmp(name, "--states") == 0)
            options.max_states = strtoull(value, NULL, 10);
        else if (strcmp(name, "--epoch") == 0)
            options.max_epoch = strtoull(value, NULL, 10);
        else if (strcmp(name, "--full") == 0)
            options.full = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--resume") == 0)
            options.resume_one_in = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--seed") == 0)
            seed = strtoull(value, NULL, 10);
        else if (strcmp(name, "--skip") == 0)
            options.skip = 1ull << strtoul(value, NULL, 10);
        else if (strcmp(name, "--replay") == 0)
            options.replay = value;
        else
            subject = NULL;
    }
    if (subject == NULL || options.full > 16) {
        (void)fprintf(
            stderr,
            "usage: crash FORMAT [--states N] [--epoch N] [--full N] [--resume N] [--seed N] [--replay ID] "
            "[--mutations] [--skip N]\n");
        return 2;
    }
    if (options.replay != NULL) {
        char *rest;
        options.max_states = 0;
        seed = strtoull(options.replay, &rest, 10);
        options.replay = *rest == '.' ? rest + 1 : rest;
        struct crash_engine *engine = crash_open(subject->format, &options);
        (void)crash_workload(engine, seed);
        bool good = crash_totals(engine)->violations == 0;
        crash_close(engine);
        return good ? 0 : 1;
    }
    if (mutations) {
        run_mutations(subject);
    } else {
        run_flips(subject);
        run_states(subject, &options, seed);
    }
    return tap_done();
}
