/* FAT dates and times, always UTC.
 *
 *   date   yyyyyyym mmmddddd   years since 1980
 *   time   hhhhhmmm mmmsssss   seconds / 2
 *   tenths 0..199              10 ms each, on top of time (creation only) */
#include "formats/fat32/fat32.h"

enum { SECONDS_A_DAY = 86400, FIRST_YEAR = 1980, LAST_YEAR = 2107 };

static const int64_t FIRST_SECOND = 315532800; /* 1980-01-01 00:00:00 */
static const int64_t LAST_SECOND = 4354819199; /* 2107-12-31 23:59:59 */

/* Days from 1970-01-01 of a day in the Gregorian calendar. Years are counted from March, so that the leap day
 * is the last of its year and months follow a fixed pattern of 153 days in five. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t century = y / 100;
    unsigned from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;
    return y * 365 + y / 4 - century + century / 4 + day_of_year - 719468;
}

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

struct fat32_stamp fat32_stamp_from_unix(int64_t seconds, uint32_t nanoseconds)
{
    if (seconds < FIRST_SECOND) {
        seconds = FIRST_SECOND;
        nanoseconds = 0;
    }
    if (seconds > LAST_SECOND) {
        seconds = LAST_SECOND;
        nanoseconds = 999999999;
    }
    int64_t days = seconds / SECONDS_A_DAY;
    unsigned of_day = (unsigned)(seconds % SECONDS_A_DAY);

    /* 1970 + days / 366 is never too late; at most a few steps follow, all years being after 1980. */
    unsigned year = (unsigned)(1970 + days / 366);
    while (year < LAST_YEAR && days_from_date((int64_t)year + 1, 1, 1) <= days)
        year++;
    unsigned rest = (unsigned)(days - days_from_date(year, 1, 1));
    unsigned month = 1;
    while (rest >= days_in_month(year, month))
        rest -= days_in_month(year, month++);

    uint16_t date = fat32_fat_date_with_year(0, (uint8_t)(year - FIRST_YEAR));
    date = fat32_fat_date_with_month(date, (uint8_t)month);
    date = fat32_fat_date_with_day(date, (uint8_t)(rest + 1));
    uint16_t time = fat32_fat_time_with_hour(0, (uint8_t)(of_day / 3600));
    time = fat32_fat_time_with_minute(time, (uint8_t)(of_day / 60 % 60));
    time = fat32_fat_time_with_two_seconds(time, (uint8_t)(of_day % 60 / 2));
    return (struct fat32_stamp){
        .date = date,
        .time = time,
        .tenths = (uint8_t)(of_day % 2 * 100 + nanoseconds / 10000000),
    };
}

bool fat32_stamp_to_unix(struct fat32_stamp stamp, int64_t *ret_seconds, uint32_t *ret_nanoseconds)
{
    unsigned year = FIRST_YEAR + fat32_fat_date_year(stamp.date);
    unsigned month = fat32_fat_date_month(stamp.date);
    unsigned day = fat32_fat_date_day(stamp.date);
    unsigned hour = fat32_fat_time_hour(stamp.time);
    unsigned minute = fat32_fat_time_minute(stamp.time);
    unsigned second = fat32_fat_time_two_seconds(stamp.time) * 2u;

    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (hour > 23 || minute > 59 || second > 58 || stamp.tenths > 199)
        return false;
    *ret_seconds = days_from_date(year, month, day) * SECONDS_A_DAY + hour * 3600 + minute * 60 + second +
                   stamp.tenths / 100;
    *ret_nanoseconds = stamp.tenths % 100 * 10000000u;
    return true;
}
