// SPDX-License-Identifier: Apache-2.0
// hotpath/core/utc.hpp - a wall time for people and files: ISO 8601, UTC, whatever the locale and the time zone.
//
//     text::utc(model.wall_start)      // "2026-11-22T18:32:52.123456789Z"
//     text::utc(model.wall_start, 0)   // "2026-11-22T18:32:52Z"
#pragma once
#include <cstdint>
#include <string>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::text {

// `since_1970`: CLOCK_REALTIME. `decimals` of the second, 0 to 9, cut off and not rounded. The proleptic Gregorian calendar, no
// leap seconds; every value of the type has a text (years 1677 to 2262).
inline std::string utc(nanoseconds since_1970, unsigned decimals = 9) {
  constexpr std::int64_t second = 1'000'000'000, day = 86'400;
  std::int64_t fraction = since_1970.ns % second, seconds = since_1970.ns / second;
  if (fraction < 0) fraction += second, --seconds;
  std::int64_t days = seconds / day, in_day = seconds % day;
  if (in_day < 0) in_day += day, --days;
  // Days to date, counting years from March so that the leap day is the last: 400 years have 146,097 days.
  days += 719'468;  // from 1 March of year 0 to 1 January 1970
  const std::int64_t era = days / 146'097, in_era = days % 146'097;
  const std::int64_t year_of_era = (in_era - in_era / 1'460 + in_era / 36'524 - in_era / 146'096) / 365;
  const std::int64_t day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;  // month, 0 = March
  const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  const std::int64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

  std::string out;
  const auto put = [&](std::int64_t v, unsigned digits) {
    char text[20];
    for (unsigned i = digits; i-- > 0; v /= 10) text[i] = static_cast<char>('0' + v % 10);
    out.append(text, digits);
  };
  put(year, 4), out += '-', put(month, 2), out += '-', put(day_of_year - (153 * shifted + 2) / 5 + 1, 2);
  out += 'T', put(in_day / 3600, 2), out += ':', put(in_day / 60 % 60, 2), out += ':', put(in_day % 60, 2);
  if (decimals > 0) {
    out += '.', put(fraction, 9);
    if (decimals < 9) out.resize(out.size() - (9 - decimals));
  }
  return out += 'Z';
}

}  // namespace hotpath::inline HOTPATH_ABI::text
