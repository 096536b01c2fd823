// SPDX-License-Identifier: Apache-2.0
// hotpath/report/triage.hpp - the kernel report for people, for an issue, and for a spreadsheet.
//
//     auto r = kernel::triage(timeline);                                     // kernel/triage.hpp
//     std::fputs(report::text(*r, {.width = 132, .color = true}).c_str(), stdout);
//     std::fputs(report::markdown(*r).c_str(), stdout);
//     std::fputs(report::csv(*r, report::triage_table::kernels).c_str(), stdout);
//     return static_cast<int>(report::code_of(*r));
//
//   text      verdict, what dominates each stage, where the time went; then the kernel, overlap and fusion tables. 80 to 200 columns: what does
//             not fit beside a kernel stands below it. Long names are cut in their middle.
//   markdown  the layout that triage scripts agree on (Triage View, Kernel Table, Overlap Opportunity Table, Fuse Opportunity Table), with
//             their columns first and ours behind them.
//   csv       one table, raw names, nanoseconds and percent as numbers. Several after one another stand apart by an empty line.
//   Each report has the verdict on the trace's integrity and the line that accounts for all GPU time. Text of a trace cannot leave its place,
//   move a cursor or run as a formula where that is asked for. Same report, same options: same bytes. Thread safety: pure functions.
#pragma once
#include <string>
#include <string_view>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/report/text.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

std::string text(const kernel::triage_report& r, const text_options& options = {});
std::string markdown(const kernel::triage_report& r);

enum class triage_table : std::uint8_t { kernels, overlaps, fusions, steps, devices };  // devices: time of the devices by stage and idle cause
inline constexpr std::string_view triage_table_names[] = {"kernels", "overlaps", "fusions", "steps", "devices"};
// A header line and one line per row; the first column is the stage (of steps: the step's name). RFC 4180.
std::string csv(const kernel::triage_report& r, triage_table which, hotpath::text::csv_options options = {});

namespace detail {
// Markdown with `prefix` before its headings: "" as above, "#### " within a document.
std::string triage_markdown_of(const kernel::triage_report& r, std::string_view prefix);
}

// ok, partial, or unusable when there was nothing to analyse.
exit_code code_of(const kernel::triage_report& r);

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/triage-inl.hpp>
#endif
