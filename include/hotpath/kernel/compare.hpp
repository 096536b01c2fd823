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
#include <hotpath/kernel/comparison.hpp>
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

// S5 for two series in the order of time; see above. Values >= 0.
change compare_means(std::span<const double> a, std::span<const double> b, const compare_options& options = {});

// Of more than 1,000 values a side, the shift is that of 1,000 taken evenly. Empty: a side is empty.
std::optional<rank_tests> test_ranks(std::span<const double> a, std::span<const double> b);

comparison compare(const subject& a, const subject& b, const compare_options& options = {});
int exit_code(const comparison& c);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/compare-inl.hpp>
#endif
