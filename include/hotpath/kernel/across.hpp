// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/across.hpp - several kernel reports side by side: what each spends on a family of kernels, per stage and step.
//
//     std::vector<const kernel::triage_report*> all = {&sglang, &vllm};
//     for (const kernel::across_stage& s : kernel::across(all))
//       for (const auto& row : s.rows) row.cells[1].per_step;        // of vLLM; empty: its trace has no steps of this stage
//
//   An analyzer: it reads no file and prints nothing. Thread safety: a pure function.
#pragma once
#include <optional>
#include <span>
#include <vector>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct across_cell {                         // of one report; total 0: it has no such kernels
  nanoseconds total{};
  std::optional<nanoseconds> per_step;       // total / steps of the stage; empty: no steps, or work of the stage outside of them
  double share = 0;                          // percent of the stage's summed GPU time
};

struct across_stage {
  stage at = stage::all;
  struct row {
    family what = family::other;
    std::vector<across_cell> cells;          // by report
  };
  std::vector<row> rows;                     // the family that takes most of any report first
  std::vector<across_cell> sums;             // by report, all families
  std::vector<std::uint64_t> steps;          // by report; 0: none of this stage
};

// Stages that at least one report has, in the order of the enum with `all` last.
std::vector<across_stage> across(std::span<const triage_report* const> reports);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/across-inl.hpp>
#endif
