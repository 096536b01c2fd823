// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/stats_table.hpp - what kernel/stats.hpp sums and report/stats.hpp prints: the reports of `nsys stats` and their rows.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

// cuda_gpu_kern_sum counts a CUDA graph that was captured as a whole as one "[CUDA graph N]". _base: by short name, _mangled: by mangled name;
// where the trace tells neither, the name is parsed (_base) or stays (_mangled).
// cuda_gpu_mem_*: copies and memsets; nvtx_sum: NVTX ranges that were closed, and the annotations of torch's profiler.
enum class stats_report : std::uint8_t { cuda_gpu_kern_sum, cuda_gpu_kern_sum_base, cuda_gpu_kern_sum_mangled, cuda_api_sum, cuda_gpu_mem_time_sum, cuda_gpu_mem_size_sum, nvtx_sum };
inline constexpr std::string_view stats_report_names[] = {"cuda_gpu_kern_sum", "cuda_gpu_kern_sum:base", "cuda_gpu_kern_sum:mangled", "cuda_api_sum", "cuda_gpu_mem_time_sum", "cuda_gpu_mem_size_sum", "nvtx_sum"};
constexpr std::string_view name_of(stats_report r) { return stats_report_names[static_cast<std::size_t>(r)]; }

struct stats_row {                            // nanoseconds, or bytes in cuda_gpu_mem_size_sum
  double share = 0;                           // percent of stats_table::total
  std::uint64_t total = 0, count = 0, min = 0, max = 0;
  double mean = 0, median = 0;
  std::optional<double> deviation;            // none for one value
  std::string name;                           // of ranges: "domain:text", ":text" in the default domain
  std::string_view style = {};                // of ranges: "PushPop" or "StartEnd"
};

struct stats_table {
  stats_report report = stats_report::cuda_gpu_kern_sum;
  std::vector<stats_row> rows;
  std::uint64_t total = 0, count = 0;         // sums over the rows; totals beyond 64 bits stay at the largest number
  std::vector<std::string> notes;             // what the rows do not show: graphs as a whole, ranges that were never closed
  std::string missing;                        // why there are no rows: "the trace has no CUDA kernel"
};

}  // namespace hotpath::inline HOTPATH_ABI::kernel
