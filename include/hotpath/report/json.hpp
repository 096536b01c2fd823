// SPDX-License-Identifier: Apache-2.0
// hotpath/report/json.hpp - the serving report as JSON, schema hotpath.serve_report/1 (docs/schema/serve_report-1.schema.json).
//
//     std::fputs(report::json(r).c_str(), stdout);
//
//   Groups (run, requests, tokens, throughput, …) are always objects. A figure that is not known is null, and `missing` says why:
//   each null has its path there, or the path of what holds it ("ttft_ms.ci95.p99[1]"), and each path leads to a null.
//   Same report, same bytes: no wall clock, no locale. Units are in the names; times of the run count from its origin.
//   Text is UTF-8 whatever the server sent. Errors: none. Allocation: the text, about 6 KiB plus 60 bytes per step of `over_time`.
#pragma once
#include <string>
#include <hotpath/serve/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

// Ends with a newline. `indent` 0: one line.
std::string json(const serve::report& r, int indent = 2);

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/json-inl.hpp>
#endif
