// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/facts.hpp - what a trace holds, before any judgement: counts, GPU time, busy time per stream, how much is linked to its launch.
//
//     const kernel::trace_facts f = kernel::facts(*t);
//     std::printf("%llu GPU events, busy %.3f ms\n", f.gpu_events, f.gpu_busy_union.ms());
//
//   Needs a sorted timeline (as the readers give it). A GPU event is a kernel, a copy or a memset (a graph row too); synchronizations are none.
//   Busy is the union of intervals, half open, in whole nanoseconds. An event of no duration counts, but is never busy.
//   O(n) beside one table of ids. Thread safety: no state.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct trace_facts {
  struct stream {                                // by (process, device), then first use
    std::string key;                             // "pid/tid" as the trace has them: "0/7"; without tracks "device/stream"
    std::uint16_t process = 0, device = 0;
    std::uint32_t id = model::no_index;
    std::uint64_t events = 0;
    nanoseconds sum{}, busy_union{};
  };
  struct device {                                // by (process, ordinal); only those with GPU events
    std::uint16_t process = 0, ordinal = 0;
    std::string name;                            // "" not told
    std::uint64_t events = 0, kernels = 0;
    nanoseconds sum{}, busy_union{}, first{}, last{};
    nanoseconds span() const { return last - first; }
  };
  struct named {
    std::string name;
    std::uint64_t count = 0;
    nanoseconds sum{}, self{};                   // self: of CPU operators, without those directly within on the same thread
  };

  std::uint64_t events = 0;                                           // records of the file
  std::vector<std::pair<std::string, std::uint64_t>> phases, x_by_cat;   // as in timeline::about
  std::vector<std::string> gpu_pids;                                  // in order of first use
  std::uint64_t gpu_events = 0, kernels = 0, distinct_kernel_names = 0;
  nanoseconds gpu_time_sum{};
  nanoseconds gpu_busy_union{};                                       // summed over devices
  nanoseconds gpu_span{};                                             // first begin to last end; of several processes, the longest
  std::vector<stream> streams;
  std::vector<device> devices;
  std::uint64_t gpu_events_with_external_id = 0, gpu_events_whose_external_id_names_a_cpu_op = 0;
  std::uint64_t gpu_events_with_matching_launch_call = 0;             // any API call of the process with the same correlation
  std::uint64_t gpu_events_from_graph_launch = 0, graph_launches = 0;
  std::uint64_t zero_duration_gpu_events = 0;
  std::vector<std::pair<std::string, std::uint64_t>> step_annotations;   // name, occurrences on host and GPU; in order of first use
  std::uint64_t steps = 0;                                            // step annotations of host threads
  std::string device_name;                                            // of the first device that the file describes
  std::string backend;
  std::optional<int> rank, world_size;
  std::vector<named> top;                                             // GPU event names, the longest sum first; facts() says how many
  std::uint64_t op_threads = 0, distinct_cpu_ops = 0;
  nanoseconds cpu_op_self_sum{};
  std::vector<named> top_self;                                        // CPU operators, the longest self time first
};

// `top`: rows of the two lists.
trace_facts facts(const model::timeline& t, std::size_t top = 10);

// What engines and torch call a step: ProfilerStep#3, step[DECODE bs=32], execute_..., capture_32_FULL, ...
bool is_step_name(std::string_view annotation);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/facts-inl.hpp>
#endif
