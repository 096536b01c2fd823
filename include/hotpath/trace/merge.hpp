// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/merge.hpp - the traces of several ranks as one timeline. Clocks are checked, never assumed.
//
//     auto m = trace::merge(std::move(timelines));                        // refused unless the clocks agree
//     auto m = trace::merge(std::move(timelines), {.align = trace::alignment::collective});   // moved, on request, and by how much is told
//     for (const trace::clock_check& c : m->clocks) print(c.shift, c.residual_median);
//
//   Without a request all parts must tell the Unix time of their clock in the same way, their work must overlap in time, and the collectives that they have in common must end
//   together within the tolerance: collectives end on all ranks at nearly the same moment, so what is left is the error of the clocks.
//   Ids stay unique within a process only; names, tracks, devices and details are renumbered. Times are on the clock of the first part.
//   Errors: usage (fewer than two parts), unsupported (clocks that do not agree: which, by how much, and what to request).
//   Cost: linear in the events, beside the sort; the parts are freed as they are taken. Thread safety: none needed, no state.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

enum class alignment : std::uint8_t {
  none,         // nothing is moved beyond what the files say of their clocks
  unix_time,    // by the files' base times, even where the checks fail
  collective,   // by the ends of common collectives
  step,         // by the begins of annotations of the same name
};

struct merge_options {
  alignment align = alignment::none;
  nanoseconds tolerance = nanoseconds{1'000'000};  // 1 ms: clocks kept by NTP in one rack differ by less; a wrong base time by more
};

// How the clock of one part stands to that of the first.
struct clock_check {
  std::string source;                             // name of its file
  std::optional<int> rank;
  nanoseconds shift{};                            // added to its times
  std::uint64_t matched = 0;                      // common collectives (or steps)
  std::string matched_by;                         // "collectives", "steps", "" none
  std::optional<nanoseconds> residual_median, residual_max;  // of |end here - end there| after the shift
};

struct merged {
  model::timeline trace;                          // sorted
  std::vector<clock_check> clocks;                // by part; the first has shift 0
  std::vector<std::string> notes;                 // full sentences
};

result<merged> merge(std::vector<model::timeline> parts, const merge_options& o = {});

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/merge-inl.hpp>
#endif
