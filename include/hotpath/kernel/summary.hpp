// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/summary.hpp - what dominates each stage, in one line of plain text per stage.
//
//     for (const std::string& line : kernel::summarize(kernels, overlaps, fusions)) puts(line.c_str());
//     // decode: gemm 61.2 % of GPU time (nvjet_tst_128x64_h_bz, 30.1 %), attention 20.4 %; idle 18.0 % of 12.41 ms, mostly host bound
//
//   Only what the tables say, by fixed rules: families from 5 % and at most three, the largest cause of idle time, communication that nothing
//   hides, the largest saving and the first fusion opportunity, each with its bound. The same tables give the same lines. No events: no line.
#pragma once
#include <span>
#include <string>
#include <vector>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

// In the order of `kernels`; the other tables are found by their stage and may be missing.
std::vector<std::string> summarize(std::span<const kernel_table> kernels, std::span<const overlap_table> overlaps = {}, std::span<const fusion_table> fusions = {});

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/summary-inl.hpp>
#endif
