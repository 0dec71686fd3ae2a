/* FAT times: known dates, the clamps, and that every day of the 128 years comes back.
 *
 * Catches: leap years wrong (2000 is one, 2100 is not), off-by-one months, the odd second lost, wrap outside
 * 1980..2107. */
#include <stdio.h>
#include <time.h>

#include "formats/fat32/fat32.h"
#include "tests/unit/tap.h"

static void check_stamp(int64_t seconds, uint32_t ns, unsigned date, unsigned time, unsigned tenths,
                        const char *what)
{
    struct fat32_stamp stamp = fat32_stamp_from_unix(seconds, ns);
    ok(stamp.date == date && stamp.time == time && stamp.tenths == tenths, "%s", what);
}

/* Against the C library, which counts days its own way. */
static void test_every_day(void)
{
    bool forth = true, back = true;

    for (int64_t day = 315532800; day <= 4354819199; day += 86400) {
        int64_t seconds = day + day / 86400 * 7919 % 86400;
        time_t t = (time_t)seconds;
        struct tm tm;
        gmtime_r(&t, &tm);
        struct fat32_stamp stamp = fat32_stamp_from_unix(seconds, 120000000);
        forth = forth && fat32_fat_date_year(stamp.date) == tm.tm_year - 80 &&
                fat32_fat_date_month(stamp.date) == tm.tm_mon + 1 &&
                fat32_fat_date_day(stamp.date) == tm.tm_mday &&
                fat32_fat_time_hour(stamp.time) == tm.tm_hour &&
                fat32_fat_time_minute(stamp.time) == tm.tm_min &&
                fat32_fat_time_two_seconds(stamp.time) == tm.tm_sec / 2;
        int64_t again = 0;
        uint32_t ns = 0;
        back = back && fat32_stamp_to_unix(stamp, &again, &ns) && again == seconds && ns == 120000000;
    }
    ok(forth, "each day from 1980 to 2107 has the date that gmtime gives it");
    ok(back, "... and comes back to the second and 10 ms");
}

static void test_no_dates(void)
{
    static const struct fat32_stamp bad[] = {
        {.date = 0},                                /* month 0, day 0 */
        {.date = 0x0020},                           /* day 0 */
        {.date = 13 << 5 | 1},                      /* month 13 */
        {.date = (2001 - 1980) << 9 | 2 << 5 | 29}, /* 29 February 2001 */
        {.date = (2100 - 1980) << 9 | 2 << 5 | 29}, /* 29 February 2100 */
        {.date = 0x0021, .time = 24 << 11},         /* hour 24 */
        {.date = 0x0021, .time = 60 << 5},          /* minute 60 */
        {.date = 0x0021, .time = 30},               /* second 60 */
        {.date = 0x0021, .tenths = 200},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t seconds = 1;
        uint32_t ns = 1;
        ok(!fat32_stamp_to_unix(bad[i], &seconds, &ns) && seconds == 1 && ns == 1,
           "no date or time: refused");
    }
}

int main(void)
{
    check_stamp(315532800, 0, 0x0021, 0, 0, "1980-01-01 00:00:00 is the first");
    check_stamp(0, 5, 0x0021, 0, 0, "1970 becomes 1980-01-01");
    check_stamp(INT64_MIN, 0, 0x0021, 0, 0, "the least number of seconds becomes 1980-01-01");
    check_stamp(4354819199, 999999999, 0xFF9F, 0xBF7D, 199, "2107-12-31 23:59:59.99 is the last");
    check_stamp(INT64_MAX, 0, 0xFF9F, 0xBF7D, 199,
                "the greatest number of seconds becomes 2107-12-31 23:59:59.99");
    check_stamp(951782401, 500000000, (20 << 9) | (2 << 5) | 29, 0, 150, "2000-02-29 00:00:01.5");
    test_every_day();
    test_no_dates();
    return tap_done();
}
