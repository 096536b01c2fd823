// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/detail/beside.hpp - what ran at the same time: one sweep over the launches of each device. Not for users.
#pragma once
#include <vector>
#include <hotpath/core/sort.hpp>
#include <hotpath/kernel/interval.hpp>
#include <hotpath/kernel/overlap.hpp>
#include <hotpath/kernel/table.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::tables {

// Time by (row, row that hid it) of the rows that are wanted: an array where that is small, else a list kept short by merging.
class partner_times {
 public:
  partner_times() = default;
  explicit partner_times(const std::vector<std::uint8_t>& wanted) : rows_(wanted.size()) {
    for (const std::uint8_t w : wanted) place_.push_back(w != 0 ? wanted_++ : no_index);
    if (wanted_ * rows_ <= most_cells) cells_.resize(wanted_ * rows_);
  }
  void count(std::uint32_t row, std::uint32_t by, nanoseconds time) {
    const std::uint32_t at = place_[row];
    if (at == no_index) return;
    if (!cells_.empty()) return void(cells_[at * rows_ + by] += time);
    if (list_.size() >= limit_) merge();
    list_.push_back({std::uint64_t{row} << 32 | by, time}), merged_ = false;
  }
  // The row that hid `row` for the longest time; no_index: none did.
  std::uint32_t most(std::uint32_t row) {
    std::uint32_t best = no_index;
    nanoseconds longest;
    const auto see = [&](std::uint32_t by, nanoseconds time) {
      if (longest < time) longest = time, best = by;
    };
    if (!cells_.empty()) {
      for (std::uint32_t by = 0; by < rows_; ++by) see(by, cells_[place_[row] * rows_ + by]);
    } else {
      if (!merged_) merge();
      entry *const end = list_.data() + list_.size(), *p = find_first_not(list_.data(), end, [row](const entry& e) { return e.key < std::uint64_t{row} << 32; });
      for (; p != end && p->key >> 32 == row; ++p) see(static_cast<std::uint32_t>(p->key), p->time);
    }
    return best;
  }

 private:
  static constexpr std::size_t most_cells = std::size_t{1} << 20;
  struct entry { std::uint64_t key; nanoseconds time; };
  void merge() {
    sort_in_place(list_, [](const entry& a, const entry& b) { return a.key < b.key; });
    std::size_t kept = 0;
    for (const entry e : list_) {
      if (kept != 0 && list_[kept - 1].key == e.key) list_[kept - 1].time += e.time;
      else list_[kept++] = e;
    }
    list_.resize(kept);
    limit_ = (std::max)(std::size_t{1} << 16, 2 * kept);
    merged_ = true;
  }

  std::vector<std::uint32_t> place_;
  std::size_t rows_ = 0;
  std::uint32_t wanted_ = 0;
  std::vector<nanoseconds> cells_;
  std::vector<entry> list_;
  std::size_t limit_ = std::size_t{1} << 16;
  bool merged_ = false;
};

// How each launch of a selection ran beside others, and the sums of its devices.
struct overlaps {
  std::vector<nanoseconds> hidden, by_compute;  // by position
  nanoseconds busy, overlapped, compute, comm, memory, exposed, exposed_in_steps;
  partner_times partners;                       // by row, where rows were given
};

// Lanes on which something is active, and which one where it is only one: their numbers are added up.
class active_lanes {
 public:
  explicit active_lanes(std::size_t lanes) : on_(lanes) {}
  void change(std::uint32_t lane, bool begins) {
    if (begins ? on_[lane]++ == 0 : --on_[lane] == 0) begins ? (++count_, sum_ += lane) : (--count_, sum_ -= lane);
  }
  std::uint32_t count() const { return count_; }
  std::uint32_t only() const { return static_cast<std::uint32_t>(sum_); }  // count() == 1

 private:
  std::vector<std::uint32_t> on_;
  std::uint64_t sum_ = 0;
  std::uint32_t count_ = 0;
};

inline int weight(overlap_class c) {  // which partner is named
  switch (c) {
    case overlap_class::compute: return 4;
    case overlap_class::comm: return 3;
    case overlap_class::memory: return 2;
    case overlap_class::elementwise: return 1;
    case overlap_class::other: break;
  }
  return 0;
}

inline std::vector<overlap_class> classes_of(const subject& s) {
  std::vector<overlap_class> out;
  for (const identity& i : s.identities) out.push_back(class_of(i.is.what));
  return out;
}

// One sweep per device. Time behind a begin needs no list of what is active: what ran beside an event between its two edges is the difference of
// running sums. Only the partner's name looks at the active ones, at most `most_active` of them, so that the whole stays O(n log n).
inline overlaps look_beside(const subject& s, const selection& v, const std::vector<overlap_class>& class_of_identity, const std::vector<std::uint32_t>* row_of,
                                const std::vector<std::uint8_t>& wanted) {
  constexpr std::size_t most_active = 32;
  const auto& gpu = s.trace->gpu;
  overlaps out;
  out.hidden.resize(v.events.size()), out.by_compute.resize(v.events.size());
  if (row_of != nullptr) out.partners = partner_times(wanted);
  std::vector<std::vector<std::uint32_t>> of_device(v.devices);
  for (std::uint32_t p = 0; p < v.events.size(); ++p) of_device[v.device_of[v.lane_of[p]]].push_back(p);
  std::vector<nanoseconds> alone(v.lanes.size());        // so far: this lane was the only one with class compute
  std::vector<std::uint32_t> place(row_of != nullptr ? v.events.size() : 0);
  std::vector<edge> edges;
  std::vector<std::uint32_t> active;
  for (const std::vector<std::uint32_t>& events : of_device) {
    edges.clear();
    for (const std::uint32_t p : events)
      if (const interval e = span_of(gpu[v.events[p]]); e.begin < e.end) edges.push_back({e.begin, p, true}), edges.push_back({e.end, p, false});
    active_lanes any(v.lanes.size()), heavy(v.lanes.size()), work(v.lanes.size()), comm(v.lanes.size());  // heavy: class compute; work: all computation
    std::uint64_t copies = 0, comm_in_steps = 0;
    nanoseconds two, some;                               // so far: at least two lanes active; at least one with class compute
    const auto class_at = [&](std::uint32_t p) { return class_of_identity[s.identity_of[v.events[p]]]; };
    sweep(
        edges,
        [&](nanoseconds from, nanoseconds to) {
          const nanoseconds d = to - from;
          if (any.count() == 0) return;
          out.busy += d;
          if (work.count() != 0) out.compute += d;
          if (copies != 0) out.memory += d;
          if (comm.count() != 0) {
            out.comm += d;
            const bool exposed = work.count() == 0 || (work.count() == 1 && comm.count() == 1 && work.only() == comm.only());
            if (exposed) out.exposed += d;
            if (exposed && comm_in_steps != 0) out.exposed_in_steps += d;
          }
          if (heavy.count() != 0) some += d;
          if (heavy.count() == 1) alone[heavy.only()] += d;
          if (any.count() < 2) return;
          two += d;
          out.overlapped += d;
          if (row_of == nullptr) return;
          // The best of all, and the best of another lane than that one's.
          const std::size_t n = (std::min)(active.size(), most_active);
          const auto better = [&](std::uint32_t a, std::uint32_t b) {
            const int x = weight(class_at(a)), y = weight(class_at(b));
            return x != y ? x > y : gpu[v.events[a]].duration != gpu[v.events[b]].duration ? gpu[v.events[b]].duration < gpu[v.events[a]].duration : a < b;
          };
          std::uint32_t best = active[0], second = no_index;
          for (std::size_t i = 1; i < n; ++i)
            if (better(active[i], best)) best = active[i];
          for (std::size_t i = 0; i < n; ++i)
            if (v.lane_of[active[i]] != v.lane_of[best] && (second == no_index || better(active[i], second))) second = active[i];
          for (std::size_t i = 0; i < n; ++i) {
            const std::uint32_t by = v.lane_of[active[i]] != v.lane_of[best] ? best : second;
            if (by != no_index) out.partners.count((*row_of)[active[i]], (*row_of)[by], d);
          }
        },
        [&](const edge& e) {
          const std::uint32_t p = e.what, lane = v.lane_of[p];
          const overlap_class c = class_at(p);
          if (!e.begins) out.hidden[p] += two, out.by_compute[p] += some - alone[lane];
          any.change(lane, e.begins);
          if (c == overlap_class::compute) heavy.change(lane, e.begins);
          if (c == overlap_class::comm && at_or_none(s.steps.step_of, v.events[p]) != no_index) e.begins ? ++comm_in_steps : --comm_in_steps;
          if (c == overlap_class::comm) comm.change(lane, e.begins);
          else if (c == overlap_class::memory) e.begins ? ++copies : --copies;
          else work.change(lane, e.begins);
          if (e.begins) out.hidden[p] = -two, out.by_compute[p] = alone[lane] - some;
          if (row_of == nullptr) return;
          if (e.begins) {
            place[p] = static_cast<std::uint32_t>(active.size()), active.push_back(p);
          } else {
            active[place[p]] = active.back(), place[active.back()] = place[p];
            active.pop_back();
          }
        });
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel::tables
