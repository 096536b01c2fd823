// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/table.hpp - the kernel table: one row per kernel name of a stage, largest time first, nothing lost below the cut.
//
//     for (const model::stage at : s.stages) {
//       kernel::kernel_table t = kernel::table(s, at, {.min_share = 0.5});
//       for (const kernel::kernel_row& r : t.rows) print(r.short_name, r.share, r.p95, r.places);
//     }
//
//   Rows + hidden = total, exactly, in events and in nanoseconds. Quantiles are exact (type 7, rounded to the nanosecond).
//   A gap in which a device had no work belongs to the work that ends it, so the wall time of a stage is its busy time and the gaps before its
//   events, and the wall times of all stages of one device add up to the device's, less what two stages ran at once.
//   O(n) in the GPU events but for 12 bytes per event of memory while it runs. Thread safety: pure functions of their arguments.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/kernel/interval.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct table_options {
  double min_share = 1.0;   // percent of the stage's summed GPU time; rows below it are hidden, their sums stay
  std::size_t limit = 0;    // rows at most; 0: all
};

// The events of s.chosen whose stage is `at`. None: an empty table, no error.
kernel_table table(const subject& s, stage at, const table_options& options = {});

// Why idle time, busy time and shares cannot be known: CUDA or HIP graphs were launched and their kernels were not recorded. A sentence with the
// way to record them; nothing when they were. Launches without kernels count from 5 % of all: a trace may end within a replay.
std::optional<std::string> graphs_not_recorded(const subject& s);

// What the tables share; no promise of stability.
namespace tables {
struct lane { std::uint16_t process = 0, device = 0; std::uint32_t stream = 0; };  // stream: its track | 1 << 31 where the file tells none

// The events of one stage, and where they ran.
struct selection {
  std::vector<std::uint32_t> events;    // in timeline::gpu, ascending
  std::vector<std::uint32_t> lane_of;   // by position in `events`: index in lanes
  std::vector<lane> lanes;              // by (process, device, stream)
  std::vector<std::uint32_t> device_of; // by lane: 0, 1, ... for each (process, device)
  std::uint32_t devices = 0;
};
selection select(const subject& s, stage at);

// A stretch in which a device had no work at all, between chosen events; `after` (a GPU event) ends it, `before` ended last before it.
struct gap { interval time{}; std::uint32_t before = 0, after = 0; };
std::vector<gap> gaps(const subject& s, stage at);  // those that end with an event of the stage

// Ends of stage arrays that a subject built by hand may leave out.
inline stage stage_at(const subject& s, std::uint32_t event) { return event < s.steps.stage_of.size() ? s.steps.stage_of[event] : stage::all; }
inline std::uint32_t at_or_none(const std::vector<std::uint32_t>& v, std::uint32_t event) { return event < v.size() ? v[event] : no_index; }
interval span_of(const model::gpu_event& e);        // clamped to +-73 years, so that no sum of a few overflows
nanoseconds busy_of(const subject& s, const selection& v);
double percent(nanoseconds part, nanoseconds whole); // 0 of nothing
// The call that launched each GPU event: as look_at() found it, or, for a subject made by hand that leaves it out, in `made`.
const std::vector<std::uint32_t>& launches_of(const subject& s, std::vector<std::uint32_t>& made);
nanoseconds quantile(std::vector<std::int64_t>& values, unsigned percent);  // type 7, rounded half up; reorders; 0 of nothing
}  // namespace tables

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/table-inl.hpp>
#endif
