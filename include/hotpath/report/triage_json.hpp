// SPDX-License-Identifier: Apache-2.0
// hotpath/report/triage_json.hpp - the kernel report as JSON, schema hotpath.triage/1 (docs/schema/triage-1.schema.json), and back.
//
//     std::string saved = report::json(r);                       // r: kernel::triage_report
//     auto again = report::read_triage(saved, "saved.json");     // result<kernel::triage_report>; json(*again) == saved
//
//   Times are whole nanoseconds (`_ns`), shares percent (`_pct`), kernel names as in the trace (`raw`), canonical and short. A figure that is
//   not known is null, and `missing` says why under its path without indices: "kernel_tables[].rows[].launches_per_step".
//   Same report, same bytes: no wall clock, no locale. Text is UTF-8 whatever the trace held.
//   Names of events (interned in a timeline) are not kept: a report that was read stands for itself. Thread safety: pure functions.
#pragma once
#include <string>
#include <string_view>
#include <hotpath/core/result.hpp>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

// Ends with a newline. `indent` 0: one line.
std::string json(const kernel::triage_report& r, int indent = 2);
// Errors: malformed (with line and column), unsupported (another schema). Members that are not known are skipped.
result<kernel::triage_report> read_triage(std::string_view json, std::string_view source = {});

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/triage_json-inl.hpp>
#endif
