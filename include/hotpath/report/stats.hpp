// SPDX-License-Identifier: Apache-2.0
// hotpath/report/stats.hpp - the summaries of `nsys stats` as text, with nsys' own headings, so that what reads nsys' output reads ours.
//
//     std::fputs(report::stats_csv(kernel::stats_of(t, kernel::stats_report::cuda_api_sum)).c_str(), stdout);
//       Time (%),Total Time (ns),Num Calls,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name
//       47.6,856929451,8,107116181.4,6412.5,4946,428468918,198329516.7,cudaStreamSynchronize
//
//   Shares, means, medians and deviations have one decimal, sizes three (MB: 10^6 bytes); the deviation of one value is empty (JSON: null).
//   No locale. Allocation: the text.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <hotpath/kernel/stats_table.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

// Header line and rows, RFC 4180. formula_guard: a leading ' before names that a spreadsheet would run.
std::string stats_csv(const kernel::stats_table& t, bool formula_guard = false);

// "** CUDA GPU Kernel Summary (cuda_gpu_kern_sum):" and columns, for a terminal: names cannot move its cursor and are cut at 512 bytes.
// A table without rows is one line that says why.
std::string stats_text(const kernel::stats_table& t, bool ascii = false);

// One object, schema hotpath.stats/1: {"schema", "file", "reports": [{"report", "rows": [{heading: value}], "notes", "missing"}], "lost"}.
// file: as given; lost: faults of the timeline by name, null when there are none.
std::string stats_json(std::span<const kernel::stats_table> tables, const model::timeline& about, int indent = 2);

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/stats-inl.hpp>
#endif
