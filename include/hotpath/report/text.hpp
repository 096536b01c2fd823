// SPDX-License-Identifier: Apache-2.0
// hotpath/report/text.hpp - the serving report for people: verdict first, then what failed, then the figures with their intervals.
//
//     std::fputs(report::text(r, {.width = 100, .color = true}).c_str(), stdout);
//
//   Lines are at most `width` columns (60 to 132; from 130 on the intervals stand beside the values instead of below).
//   Colour only when asked for: whether stdout is a terminal and NO_COLOR is the caller's to know. Numbers have 3, 2, 1 decimals
//   below 1, below 10, above. A figure that is not known never shows as 0: it stands under "Missing" with its reason.
//   "≥" marks an interval whose upper end is unknown because there are too few requests (S3).
//   Text of the server or a file cannot move the cursor or change a title. Same report, same options: same bytes.
#pragma once
#include <cstddef>
#include <string>
#include <hotpath/report/verdict.hpp>
#include <hotpath/serve/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

struct text_options {
  std::size_t width = 80;
  bool color = false;
  bool ascii = false;          // for terminals without UTF-8
  judge_options judge = {};    // a gate changes the verdict line
};

std::string text(const serve::report& r, const text_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/text-inl.hpp>
#endif
