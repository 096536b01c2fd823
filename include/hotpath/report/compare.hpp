// SPDX-License-Identifier: Apache-2.0
// hotpath/report/compare.hpp - two traces compared, for people and for programs.
//
//     kernel::comparison d = kernel::compare(before, after);           // kernel/compare.hpp
//     std::fputs(report::text(d, {.width = 100}).c_str(), stdout);
//     std::fputs(report::json(d).c_str(), stdout);                     // docs/schema/trace_diff-1.schema.json
//
//   Verdict first, then per stage the time of a step with its 95 % interval, its families, its kernels; what is on one side only at the end.
//   A figure that is not known never shows as 0. Names of a trace cannot move a cursor. Same input: same bytes. Thread safety: pure functions.
#pragma once
#include <string>
#include <hotpath/kernel/comparison.hpp>
#include <hotpath/report/text.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

struct compare_labels {
  std::string a = "A", b = "B";   // what was compared: file names
};

std::string text(const kernel::comparison& c, const compare_labels& labels, const text_options& options = {});
std::string json(const kernel::comparison& c, const compare_labels& labels, int indent = 2);

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/compare-inl.hpp>
#endif
