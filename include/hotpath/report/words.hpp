// SPDX-License-Identifier: Apache-2.0
// hotpath/report/words.hpp - how reports write numbers, durations and shares: alike everywhere, whatever the locale.
//
//     words::number(51.32)            // "51.3": 3, 2, 1 decimals below 1, below 10, above
//     words::milliseconds(12'345)     // "12.3 s"
//     words::count(3, 200, "request") // "3 of 200 requests"
#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::report::words {

inline std::string fixed(double v, int decimals) {
  char text[400];  // the longest double has 309 digits before the point
  const auto r = std::to_chars(text, text + sizeof text, v, std::chars_format::fixed, decimals);
  std::string out(text, r.ptr);
  if (out.find_first_not_of("-0.") == std::string::npos && out.front() == '-') out.erase(0, 1);  // no "-0.000"
  return out;
}

// 3, 2, 1 decimals below 1, below 10, above. The bounds are those of the rounded number: 9.996 is "10.0".
inline std::string number(double v) {
  const double size = __builtin_fabs(v);
  return fixed(v, size < 0.9995 ? 3 : size < 9.995 ? 2 : 1);
}

// 1,234,567
inline std::string count(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3;) digits.insert(i -= 3, 1, ',');
  return digits;
}

// As number(), with 1,234.5 from 1,000 on: for prose, not for columns.
inline std::string grouped(double v) {
  std::string out = number(v);
  const std::size_t digits = out.find('.');
  for (std::size_t i = digits; i > 3 + (out.front() == '-' ? 1u : 0u);) out.insert(i -= 3, 1, ',');
  return out;
}

// At most 7 columns: 999,999 and then 1.23M, 1.23G.
inline std::string short_count(std::uint64_t n) {
  if (n < 1'000'000) return count(n);
  double v = static_cast<double>(n);
  std::size_t unit = 0;
  constexpr std::string_view units = "MGTPE";
  for (v /= 1e6; v >= 999.95 && unit + 1 < units.size(); v /= 1000) ++unit;
  return fixed(v, v < 9.995 ? 2 : 1) + units[unit];
}

// "1 request", "2,000 requests".
inline std::string count(std::uint64_t n, std::string_view noun) {
  return count(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}
// "3 of 200 requests".
inline std::string count(std::uint64_t n, std::uint64_t total, std::string_view noun) { return count(n) + " of " + count(total, noun); }

// Never "100 %" or "0 %" unless it is exactly that.
inline std::string percent_number(double share) {
  const double p = share * 100;
  if (p == 0 || p == 100) return fixed(p, 0);
  if (p > 0 && p < 0.01) return "< 0.01";
  if (p > 99.99 && p < 100) return "> 99.99";
  return fixed(p, p > 99.9 || p < 9.995 ? 2 : 1);
}
inline std::string percent(double share) { return percent_number(share) + " %"; }

// 51.3 ms, 12.3 s
inline std::string milliseconds(double ms) { return __builtin_fabs(ms) < 9999.5 ? grouped(ms) + " ms" : grouped(ms / 1000) + " s"; }

// 12.3 s, 3 min 20 s, 2 h 05 min
inline std::string duration(nanoseconds d) {
  const double s = d.s();
  if (s < 119.95) return number(s) + " s";
  const auto whole = static_cast<std::uint64_t>(s + 0.5);
  if (whole < 7200) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  const std::uint64_t minutes = whole / 60;
  return count(minutes / 60) + " h " + (minutes % 60 < 10 ? "0" : "") + std::to_string(minutes % 60) + " min";
}

// 812 B/s, 1.23 MB/s: powers of ten.
inline std::string bytes(double v) {
  constexpr std::string_view units[] = {" B", " kB", " MB", " GB", " TB"};
  std::size_t unit = 0;
  for (; v >= 999.5 && unit + 1 < sizeof units / sizeof units[0]; v /= 1000) ++unit;
  return (unit == 0 ? fixed(v, 0) : number(v)) + std::string(units[unit]);
}

}  // namespace hotpath::inline HOTPATH_ABI::report::words
