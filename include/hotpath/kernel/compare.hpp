// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/compare.hpp - two traces: what got slower, per stage, family and kernel, with the step as the unit of every interval.
//
//     kernel::comparison d = kernel::compare(before, after);
//     for (const kernel::stage_comparison& s : d.stages) print(s.at, s.step_time.relative, s.step_time.ci, kernel::name_of(s.step_time.what));
//     return kernel::exit_code(d);                          // 0 same or better, 1 worse, 5 inconclusive
//
//   Ranks are matched by number, stages by name, kernels by canonical name; what is on one side only is listed. The k-th step of a stage is one unit,
//   its value the mean over the matched ranks: ranks run in lockstep and are no samples of each other.
//   S5 of docs/statistics.md: relative change of the mean per step; its 95 % interval comes from the two sides' moving-block intervals (S4), put together
//   in the logarithm as Zou and Donner do (Statistics in Medicine 27, 2008). worse: the interval lies above +margin; better: below -margin; same: inside
//   both; else inconclusive, as with fewer than 20 steps on a side. The step's time gates; families and kernels are read with Benjamini and Hochberg's
//   rule at 5 % (one that does not pass it is inconclusive). Mann-Whitney's p and the like are shown and decide nothing.
//   O(events log events). Thread safety: pure functions of their arguments.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/core/stats.hpp>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct compare_options {
  double margin = 5;                // percent
  double min_share = 1;             // percent of a side's time in the stage: families and kernels below it on both sides are left out
  std::size_t limit = 32;           // kernels per stage
  std::size_t least_steps = 20;     // on each side, for a verdict
  std::uint64_t seed = 1;
  std::uint32_t resamples = 2000;
};

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

// S5 for two series in the order of time; see above. Values >= 0.
change compare_means(std::span<const double> a, std::span<const double> b, const compare_options& options = {});

// Shown beside a change. Of more than 1,000 values a side, the shift is that of 1,000 taken evenly.
struct rank_tests {
  double shift = 0;                 // Hodges and Lehmann: the median of all b - a
  double cliff = 0;                 // Cliff's delta: P(b > a) - P(b < a)
  double u = 0, p = 1;              // Mann and Whitney, of a; two-sided, corrected for ties and continuity
};
std::optional<rank_tests> test_ranks(std::span<const double> a, std::span<const double> b);  // empty: a side is empty

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

comparison compare(const subject& a, const subject& b, const compare_options& options = {});
int exit_code(const comparison& c);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/compare-inl.hpp>
#endif
