// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/overlap.hpp - what ran beside what, why the device had no work, and what could be won: from one trace.
//
//     kernel::overlap_table t = kernel::overlap(s, model::stage::decode);
//     t.time.exposed_comm, t.time.idle_by[0].time;        // communication that nothing hid; the device waited for the host
//     for (const kernel::overlap_row& r : t.rows) print(r.priority, r.kernel, r.saving_per_step, r.bound);
//     kernel::overlap(formal, stage::decode, {.mapping = &eager});   // places come from a second trace, made without graphs
//
//   Devices of processes are never mixed: streams overlap only within one (process, device), and sums are over all of them.
//   Per launch: hidden = the time in which another stream had work; exclusive = the rest. hidden_by_compute: that work was of class compute.
//   A row is *headroom* (at least 5 us, 45 % of it exclusive, something to win) or *low-roi-hidden* (elementwise or memory, 65 % hidden).
//   saving is an upper bound: a row can hide at most its own exclusive time, and that at most behind exclusive work of another kind: communication,
//   copies, computation. Headroom is ordered by it; of computation, the other side of the same coin, five rows are shown.
//   inflation compares launches of one shape (grid, block, bytes).
//   O(n log n). Memory while it runs: about 100 bytes per event of the stage. Thread safety: pure functions of their arguments.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/kernel/table.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct overlap_options {
  double min_share = 1.0;                      // percent of the stage's busy time
  std::size_t limit = 0;                       // rows at most; 0: all
  const subject* mapping = nullptr;            // Python scopes come from it: same kernel name, same stage, else any
  const server_args* server = nullptr;         // to say that a known family is switched on or off
};

overlap_table overlap(const subject& formal, stage at, const overlap_options& options = {});

// The time of a stage on its devices, without rows. idle_by: every gap (table.hpp says whose it is) is cut where its causes change:
//   graph_gap       between two kernels of one graph launch, or behind the launch call of a graph
//   sync_wait       before the call that launched what ends the gap: as long as that thread was in blocking calls
//   host_bound      the rest before that call, also between the return of a blocking call and the launch: the host is late
//   communication   behind it, where work passes between two streams of which one communicates
//   launch_latency  behind it, as long as the call took and 100 us more
//   other           the rest: waits for what the trace does not show; no call known
device_time time_of(const subject& s, stage at);

// The launches of a stage, in the order of s.chosen: how much of each had other work of its device on another stream beside it.
struct launch_overlap {
  std::uint32_t event = 0;                     // in timeline::gpu
  nanoseconds hidden{}, hidden_by_compute{};
};
std::vector<launch_overlap> overlap_of_launches(const subject& s, stage at);

// One row of the known ways in which engines overlap work (kernel/data/overlap_families.inc).
struct overlap_family {
  std::string_view id, name;
  std::string_view frameworks;                 // "sglang|vllm"
  std::string_view status;                     // "mainline", "upstream", "in-flight": when the list was made
  std::string_view classes;                    // letters: c compute, n communication, m memory, e elementwise, o other; empty: any
  std::string_view words;                      // "a|b": one stands in kernel name, cpu_op, location or stack, between characters that are no letters or digits
  std::string_view paths = {};                 // "a.py|b.py": one is in location or stack
  std::string_view within = {};                // this, too, is in location or stack
  std::string_view switches = {};              // "name+|name-|name~": turns it on, removes it, changes what a trace shows
  std::string_view pull_requests = {};
};
std::span<const overlap_family> overlap_families();

// The first row that fits: its class, `within`, and one of its words or paths. Rows with neither are a reading list and never fit.
const overlap_family* find_overlap_family(overlap_class cls, std::string_view kernel, std::string_view cpu_op, std::string_view location, std::string_view stack = {});

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/overlap-inl.hpp>
#endif
