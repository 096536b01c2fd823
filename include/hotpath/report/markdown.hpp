// SPDX-License-Identifier: Apache-2.0
// hotpath/report/markdown.hpp - the serving report for an issue or a pull request: GitHub's Markdown, the same facts as the text.
//
//     std::fputs(report::markdown(r, {.gate = 0.99}).c_str(), stdout);
//
//   Verdict, reasons and findings; tables of latency, throughput and the engine's side; spark lines in a code block; checks; what is missing.
//   Text of the server or a file cannot leave its place: names stand in code spans, in sentences every character that Markdown or HTML
//   gives a meaning is escaped, control characters are written out, and nobody is mentioned and nothing linked by it.
//   Same report: same bytes. Thread safety: a pure function.
#pragma once
#include <string>
#include <hotpath/report/verdict.hpp>
#include <hotpath/serve/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

std::string markdown(const serve::report& r, const judge_options& judge = {});

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/markdown-inl.hpp>
#endif
