// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/comparison.hpp - what kernel/compare.hpp finds and report/compare.hpp prints: two traces side by side, per stage, family and kernel.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/stats.hpp>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

enum class change_verdict : std::uint8_t { same, better, worse, inconclusive };
inline constexpr std::string_view change_verdict_names[] = {"same", "better", "worse", "inconclusive"};
constexpr std::string_view name_of(change_verdict v) { return change_verdict_names[static_cast<std::size_t>(v)]; }

// One figure on both sides: nanoseconds per step; where a side has no steps, of the whole trace.
struct change {
  double a = 0, b = 0;
  std::optional<double> relative = {};          // percent, b over a; empty: a is 0
  std::optional<stats::interval> ci = {};       // percent; both ends are there when it is
  double p = 1;                                 // that the interval's distribution gives to no change; 1 without an interval
  change_verdict what = change_verdict::inconclusive;
};

// Shown beside a change.
struct rank_tests {
  double shift = 0;                 // Hodges and Lehmann: the median of all b - a
  double cliff = 0;                 // Cliff's delta: P(b > a) - P(b < a)
  double u = 0, p = 1;              // Mann and Whitney, of a; two-sided, corrected for ties and continuity
};

struct compare_row {
  std::string name;                 // of the family or the canonical kernel
  family of = family::other;
  change time;
  std::uint64_t a_launches = 0, b_launches = 0;   // in the steps compared
};

struct stage_comparison {
  stage at = stage::all;
  std::size_t a_steps = 0, b_steps = 0;           // units
  change step_time;                               // from a step's first GPU work, or the end of what the steps before it began, to its last: this one gates
  change busy;                                    // of it, the union
  std::optional<rank_tests> ranks;                // of step_time
  std::optional<double> a_requests, b_requests, a_tokens, b_tokens;  // mean per step, where annotations tell
  std::string reason;                             // why it is inconclusive whatever the figures: a sentence, or empty
  std::vector<compare_row> families, kernels;     // by the larger side's time, largest first
};

struct comparison {
  std::vector<stage_comparison> stages;
  std::vector<std::string> unmatched;             // ranks, stages, step names and kernels on one side only; sentences
  std::vector<std::string> notes;
  change_verdict verdict = change_verdict::inconclusive;   // worse if one stage is, else inconclusive if one is, else better if one is, else same
};

}  // namespace hotpath::inline HOTPATH_ABI::kernel
