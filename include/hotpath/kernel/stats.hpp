// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/stats.hpp - the summaries of `nsys stats`, of any timeline: how often, how long in all, mean, exact median, extremes.
//
//     auto rows = kernel::stats_of(timeline, kernel::stats_report::cuda_gpu_kern_sum);   // stats_table
//     std::fputs(report::stats_csv(rows).c_str(), stdout);                               // hotpath/report/stats.hpp, nsys' own headings
//
//     kernel::stats_collector c;                      // without a timeline: event by event, 4 bytes for each (8 beyond 4.29 s)
//     c.gpu(event, detail);
//     c.table(kernel::stats_report::cuda_gpu_kern_sum, timeline);     // the timeline has the names
//
//   Rules of nsys: a share is that of the sum of the listed totals; the median of an even number is the mean of the two in the middle; the
//   deviation is that of a sample (n - 1); largest total first, then by name. Time: linear; a median takes at most 7 passes, nothing is
//   sorted or copied. Thread safety: a collector is for one thread, table() may be called from several.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/rows.hpp>
#include <hotpath/kernel/stats_table.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

std::optional<stats_report> stats_report_of(std::string_view name);

// Takes events, keeps their durations by name. A sink for trace::scan_nsys().
class stats_collector {
 public:
  void gpu(const model::gpu_event& e, const model::gpu_detail& d) {
    const auto took = static_cast<std::uint64_t>(e.duration.ns);
    if (e.kind == model::gpu_kind::kernel) kernels_.of(e.name).add(took);
    else if (e.kind == model::gpu_kind::graph) graphs_.of(e.name).add(took);
    else memory(e, d);
  }
  void api(const model::api_call& a) { api_.of(a.name).add(static_cast<std::uint64_t>(a.duration.ns)); }
  void annotation(const model::annotation& a);
  void sync(const model::sync_event&) {}
  // The events of `other`, whose name i is names[i] here; other is empty afterwards.
  void merge(stats_collector& other, std::span<const name_id> names, std::span<const std::uint32_t> tracks = {}, std::span<const std::uint16_t> processes = {});
  void add(const model::timeline& t);
  // `t` has the names that the events were given with; its events are not looked at.
  stats_table table(stats_report r, const model::timeline& t) const;

  // Values under one key.
  struct column {
    rows<std::uint32_t> narrow;
    rows<std::uint64_t> wide;                 // those that do not fit
    void add(std::uint64_t v) {
      if (v <= UINT32_MAX) narrow.push_back(static_cast<std::uint32_t>(v));
      else wide.push_back(v);
    }
  };

 private:
  struct store {
    std::vector<column> columns;
    std::vector<std::uint64_t> keys;          // of the columns
    std::uint32_t open(std::uint64_t key);
  };
  struct by_name : store {                    // the key is a name's id: small numbers
    std::vector<std::uint32_t> places;        // index in columns + 1; 0: none yet
    column& of(std::uint64_t name) {
      if (name >= places.size() || places[name] == 0) add(name);
      return columns[places[name] - 1];
    }
    void add(std::uint64_t name);
  };
  struct by_key : store {                     // several ids in one number
    hotpath::detail::id_map places;
    column& of(std::uint64_t key) {
      const std::uint32_t* const at = places.find(static_cast<std::int64_t>(key));
      return columns[at != nullptr ? *at : add(key)];
    }
    std::uint32_t add(std::uint64_t key);
  };
  template <class Store, class Key>
  static void merge(Store& into, Store& from, Key key);
  void memory(const model::gpu_event& e, const model::gpu_detail& d);

  by_name kernels_, graphs_, api_;
  by_key copies_, bytes_;                     // name << 8 | what was done, see memory()
  by_key ranges_;                             // name << 32 | domain << 1 | start-end
  std::uint64_t open_ranges_ = 0, bytes_not_told_ = 0;
};

stats_table stats_of(const model::timeline& t, stats_report r);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/stats-inl.hpp>
#endif
