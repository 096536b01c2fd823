// SPDX-License-Identifier: Apache-2.0
// hotpath/report/doctor.hpp - a diagnosis for people and for programs.
//
//     std::fputs(report::text(d, {.width = 100, .color = true}).c_str(), stdout);
//     std::fputs(report::json(d).c_str(), stdout);           // docs/schema/doctor-1.schema.json
//
//   One row per finding: what was found, what it means, and behind an arrow what to do next. Text of the server cannot move the cursor.
#pragma once
#include <string>
#include <hotpath/model/diagnosis.hpp>
#include <hotpath/report/text.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

std::string text(const model::diagnosis& d, const text_options& options = {});
std::string json(const model::diagnosis& d, int indent = 2);

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/doctor-inl.hpp>
#endif
