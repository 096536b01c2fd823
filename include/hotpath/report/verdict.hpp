// SPDX-License-Identifier: Apache-2.0
// hotpath/report/verdict.hpp - what a run amounts to: one word, its reasons, and the exit code that every tool gives for it.
//
//     report::verdict v = report::judge(r, {.gate = 0.99});
//     for (const std::string& why : v.reasons) std::puts(why.c_str());   // "3 of 200 requests failed (2 truncated, 1 reset)"
//     return static_cast<int>(v.code);
//
//   code         when (the first that holds)
//   interrupted  this process was told to stop; what finished is saved
//   unusable     nothing was sent: there is nothing to judge
//   unreachable  no request succeeded, or the server refused us (401, 403)
//   partial      the client was the limit: a missed gate may be its fault, and so may be a pass
//   gate         a gate was asked for, and the upper bound of the share within the limits is below it
//   partial      data was lost, the run ended early, the interval holds the gate, or (without a gate) a request failed
//   ok           none of these. Under a gate failed requests are part of the share and of nothing else.
//   Thread safety: pure functions.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/serve/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

// The exit codes of every tool. `usage` and `internal` never come from judge().
enum class exit_code : std::uint8_t { ok = 0, gate = 1, usage = 2, unusable = 3, unreachable = 4, partial = 5, internal = 6, interrupted = 130 };

struct judge_options {
  std::optional<double> gate = {};  // wanted share of requests within every limit, 0 to 1
  bool interrupted = false;         // a signal ended the run in this very process (a stored run that was interrupted is partial)
  bool refused = false;             // 401 or 403 ended the run
};

struct verdict {
  exit_code code = exit_code::ok;
  std::vector<std::string> reasons;  // sentences without a full stop, most important first; empty when all is well

  std::string_view word() const;     // "ok", "gate missed", "no data", "failed", "partial", "interrupted"
};

verdict judge(const serve::report& r, const judge_options& options = {});

// "2 truncated, 1 reset": failed and cancelled requests by class, the most frequent first. Empty: there are none.
std::string error_list(const std::array<std::uint64_t, model::error_class_count>& errors);
inline std::string error_list(const serve::report& r) { return error_list(r.requests.errors); }
// "12 malformed, 1 over a limit". Empty: nothing was lost.
std::string loss_list(const model::loss& l);

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/verdict-inl.hpp>
#endif
