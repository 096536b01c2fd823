// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/overlap-inl.hpp - bodies of kernel/overlap.hpp.
#pragma once
#include <cstdio>
#include <hotpath/core/text.hpp>
#include <hotpath/model/launch.hpp>
#include <hotpath/kernel/overlap.hpp>
#include <hotpath/kernel/server_args.hpp>
#include <hotpath/kernel/table-inl.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace tables {

inline constexpr nanoseconds least_total{5'000};                  // of a row that is worth a line
inline constexpr double headroom_share = 45, hidden_share = 65;   // percent of a row's time
inline constexpr nanoseconds longest_latency{100'000};            // from a finished launch call to work; beyond it something else is waited for
inline constexpr std::size_t samples_for_inflation = 20;          // of each side
inline constexpr std::size_t most_computations = 5;               // headroom rows of computation

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
  nanoseconds busy, overlapped, compute, comm, memory, exposed;
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
HOTPATH_FN overlaps look_beside(const subject& s, const selection& v, const std::vector<overlap_class>& class_of_identity, const std::vector<std::uint32_t>* row_of,
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
    std::uint64_t copies = 0;
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
            if (work.count() == 0 || (work.count() == 1 && comm.count() == 1 && work.only() == comm.only())) out.exposed += d;
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

// ---- idle ------------------------------------------------------------------------------------------------------------------

inline bool blocks_host(std::string_view call) {
  if (call.find("Synchronize") != std::string_view::npos) return true;
  return call.find("Memcpy") != std::string_view::npos && call.find("Async") == std::string_view::npos;
}

// Blocking calls of each thread: disjoint, in order. An asynchronous copy blocks, too, when its call outlasts the copy (pageable memory).
struct blocking_calls {
  std::vector<std::uint32_t> first;   // by track; one more at the end
  std::vector<interval> calls;

  // The part of it that the thread spent in such calls.
  nanoseconds within(std::uint32_t track, interval part) const {
    if (std::size_t{track} + 1 >= first.size()) return {};
    const interval *at = calls.data() + first[track], *const end = calls.data() + first[std::size_t{track} + 1];
    at = find_first_not(at, end, [&part](const interval& i) { return i.end <= part.begin; });
    nanoseconds sum;
    for (; at != end && at->begin < part.end; ++at) sum += (std::min)(at->end, part.end) - (std::max)(at->begin, part.begin);
    return sum;
  }
};

inline blocking_calls find_blocking(const subject& s, const std::vector<std::uint32_t>& call_of) {
  const model::timeline& t = *s.trace;
  std::vector<std::uint8_t> kind(t.names.size()), blocks(t.api.size());
  for (std::size_t i = 0; i < t.api.size(); ++i) {
    std::uint8_t& k = kind[t.api[i].name];
    if (k == 0) k = blocks_host(t.name(t.api[i].name)) ? 2 : 1;
    blocks[i] = k == 2;
  }
  for (std::size_t i = 0; i < t.gpu.size(); ++i)
    if (t.gpu[i].kind == model::gpu_kind::copy && call_of[i] != no_index && t.gpu[i].end() <= t.api[call_of[i]].end()) blocks[call_of[i]] = 1;
  struct entry { std::uint32_t track; interval time; };
  std::vector<entry> all;
  for (std::size_t i = 0; i < t.api.size(); ++i)
    if (blocks[i] != 0 && t.api[i].track < t.tracks.size() && t.api[i].begin < t.api[i].end()) all.push_back({t.api[i].track, {t.api[i].begin, t.api[i].end()}});
  sort_in_place(all, [](const entry& a, const entry& b) { return a.track != b.track ? a.track < b.track : a.time.begin < b.time.begin; });
  blocking_calls out;
  out.first.assign(t.tracks.size() + 1, 0);
  std::size_t i = 0;
  for (std::uint32_t track = 0; track < t.tracks.size(); ++track) {
    std::vector<interval> of_track;
    for (; i < all.size() && all[i].track == track; ++i) of_track.push_back(all[i].time);
    unite(of_track);
    out.calls.insert(out.calls.end(), of_track.begin(), of_track.end());
    out.first[std::size_t{track} + 1] = static_cast<std::uint32_t>(out.calls.size());
  }
  return out;
}

struct idle_parts {
  nanoseconds by[6] = {};
  nanoseconds& operator[](idle_cause c) { return by[static_cast<std::size_t>(c)]; }
};

inline bool is_comm(const subject& s, std::uint32_t event) { return class_of(s.identities[s.identity_of[event]].is.what) == overlap_class::comm; }

inline idle_parts why_idle(const subject& s, const gap& g, const std::vector<std::uint32_t>& call_of, const blocking_calls& blocking) {
  const model::timeline& t = *s.trace;
  const model::gpu_event &before = t.gpu[g.before], &after = t.gpu[g.after];
  const nanoseconds whole = g.time.end - g.time.begin;
  idle_parts out;
  if (after.correlation != model::no_id && after.correlation == before.correlation) return out[idle_cause::graph_gap] = whole, out;
  const std::uint32_t i = call_of[g.after];
  if (i == no_index || g.time.end <= t.api[i].begin) return out[idle_cause::other] = whole, out;  // not known, or clocks that disagree
  const model::api_call& call = t.api[i];
  const nanoseconds cut = (std::max)(call.begin, g.time.begin);   // until here the host had not asked for the work
  const nanoseconds sync = g.time.begin < cut ? blocking.within(call.track, {g.time.begin, cut}) : nanoseconds{};
  out[idle_cause::sync_wait] = sync;
  out[idle_cause::host_bound] = cut - g.time.begin - sync;
  const nanoseconds rest = g.time.end - cut;
  if (model::kind_of_call(t.name(call.name)) == model::call_kind::graph || after.graph != no_index) {
    out[idle_cause::graph_gap] = rest;
  } else if (before.stream != after.stream && (is_comm(s, g.before) || is_comm(s, g.after))) {
    out[idle_cause::communication] = rest;
  } else {
    const nanoseconds latest = (std::max)(call.end(), cut) + longest_latency;
    out[idle_cause::launch_latency] = (std::min)(g.time.end, latest) - cut;
    out[idle_cause::other] = rest - out[idle_cause::launch_latency];
  }
  return out;
}

inline device_time account(const subject& s, stage at, const selection& v, const overlaps& beside) {
  device_time out;
  out.at = at;
  out.steps = count_steps(s, v).first;
  std::vector<std::uint32_t> lanes_of(v.devices);
  std::vector<std::uint8_t> works(v.lanes.size());
  for (std::size_t p = 0; p < v.events.size(); ++p)
    if (s.trace->gpu[v.events[p]].duration.ns > 0) works[v.lane_of[p]] = 1;
  for (std::size_t l = 0; l < v.lanes.size(); ++l)
    if (works[l] != 0) out.streams = (std::max)(out.streams, ++lanes_of[v.device_of[l]]);
  out.busy = out.wall = beside.busy;
  out.compute = beside.compute, out.comm = beside.comm, out.memory = beside.memory;
  out.exposed_comm = beside.exposed, out.overlapped = beside.overlapped;
  out.unknown = graphs_not_recorded(s);
  if (out.unknown) return out;
  std::vector<std::uint32_t> made;
  const std::vector<std::uint32_t>& call_of = launches_of(s, made);
  const blocking_calls blocking = find_blocking(s, call_of);
  std::vector<std::uint32_t> entry(s.steps.steps.size(), no_index);
  for (const gap& g : gaps(s, at)) {
    const idle_parts parts = why_idle(s, g, call_of, blocking);
    out.idle += g.time.end - g.time.begin;
    const std::uint32_t step = at_or_none(s.steps.step_of, g.after);
    device_time::of_step* of = nullptr;
    if (step < entry.size()) {
      if (entry[step] == no_index) {
        entry[step] = static_cast<std::uint32_t>(out.by_step.size());
        out.by_step.emplace_back().step = step;
      }
      of = &out.by_step[entry[step]];
      of->idle += g.time.end - g.time.begin;
    }
    for (std::size_t c = 0; c < 6; ++c) {
      if (parts.by[c].ns == 0) continue;
      out.idle_by[c].time += parts.by[c], ++out.idle_by[c].gaps;
      if (of != nullptr) of->idle_by[c] += parts.by[c];
    }
  }
  sort_in_place(out.by_step, [](const auto& a, const auto& b) { return a.step < b.step; });
  out.wall += out.idle;
  return out;
}

// ---- dependencies ----------------------------------------------------------------------------------------------------------

// What stands around one launch on its stream, and what waits for it or it for.
struct neighbours {
  std::uint32_t before = no_index, after = no_index;  // GPU events
};

inline std::string_view file_of(std::string_view location) { return location.substr(0, location.rfind(':')); }
inline std::string_view function_of(std::string_view location) {
  const auto space = location.rfind(' ');
  return space == std::string_view::npos ? std::string_view{} : location.substr(space + 1);
}
inline const site* site_at(const subject& s, std::uint32_t event) {
  const std::uint32_t i = at_or_none(s.map.site_of, event);
  return i < s.map.sites.size() ? &s.map.sites[i] : nullptr;
}

enum class tie : std::uint8_t { none, unclear, risk };

// Whether work that follows at once on the same stream looks as if it belonged together.
inline tie tie_of(const subject& s, std::uint32_t event, std::uint32_t other, const std::vector<overlap_class>& class_of_identity) {
  if (other == no_index) return tie::none;
  const interval a = span_of(s.trace->gpu[event]), b = span_of(s.trace->gpu[other]);
  const nanoseconds between = (std::max)(nanoseconds{}, a.begin < b.begin ? b.begin - a.end : a.begin - b.end);
  const nanoseconds tight = (std::max)(nanoseconds{2'000}, (std::min)(nanoseconds{20'000}, nanoseconds{(a.end - a.begin).ns * 15 / 100}));
  if (tight < between) return tie::none;
  const site *mine = site_at(s, event), *theirs = site_at(s, other);
  if (mine != nullptr && theirs != nullptr) {
    const bool located = mine->location != 0 && theirs->location != 0 && !mine->graph_replay && !theirs->graph_replay;
    const std::string_view here = s.map.sites.text(mine->location), there = s.map.sites.text(theirs->location);
    if (located && (file_of(here) == file_of(there) || function_of(here) == function_of(there))) return tie::risk;
    if (mine->cpu_op != 0 && mine->cpu_op == theirs->cpu_op) return tie::risk;
  }
  const overlap_class x = class_of_identity[s.identity_of[event]], y = class_of_identity[s.identity_of[other]];
  if (x == overlap_class::comm && y != overlap_class::comm) return tie::risk;
  if ((x == overlap_class::elementwise || x == overlap_class::memory) && y != overlap_class::other) return tie::risk;
  const bool mapped = mine != nullptr && theirs != nullptr && (mine->location != 0 || mine->cpu_op != 0) && (theirs->location != 0 || theirs->cpu_op != 0);
  return mapped ? tie::none : tie::unclear;
}

// Stream waits as the trace records them. Ids of calls ascend within a process: a wait stands between two launches of its stream, the record that
// it waits for between two of the other.
inline std::string recorded_tie(const subject& s, std::uint32_t event, const neighbours& n, bool& any) {
  const auto& t = *s.trace;
  const model::gpu_event& e = t.gpu[event];
  any = false;
  if (e.correlation == model::no_id) return {};
  const std::uint64_t low = n.before == no_index ? 0 : t.gpu[n.before].correlation, high = n.after == no_index ? model::no_id : t.gpu[n.after].correlation;
  std::string out;
  for (const model::sync_event& w : t.syncs) {
    if (w.process != e.process || w.device != e.device || w.stream == no_index || w.waits_for_stream == no_index || w.stream == w.waits_for_stream) continue;
    any = true;
    if (!out.empty()) continue;
    if (w.stream == e.stream && w.correlation != model::no_id && low < w.correlation && w.correlation < e.correlation)
      out.append("high (waits for stream ").append(std::to_string(w.waits_for_stream)).append(")");
    else if (w.waits_for_stream == e.stream && w.waits_for != model::no_id && e.correlation < w.waits_for && w.waits_for < high)
      out.append("high (stream ").append(std::to_string(w.stream)).append(" waits for it)");
  }
  return out;
}

inline std::string dependency_of(const subject& s, std::uint32_t event, const neighbours& n, const std::vector<overlap_class>& class_of_identity) {
  bool recorded = false;
  if (std::string told = recorded_tie(s, event, n, recorded); !told.empty()) return told;
  const tie before = tie_of(s, event, n.before, class_of_identity), after = tie_of(s, event, n.after, class_of_identity);
  if (before == tie::risk && after == tie::risk) return "high (both sides)";
  if (before == tie::risk) return "high (follows at once)";
  if (after == tie::risk) return "high (followed at once)";
  if (before == tie::unclear || after == tie::unclear) return "unclear";
  return recorded ? "low (no stream waits for it)" : "low";
}

// ---- rows ------------------------------------------------------------------------------------------------------------------

struct overlap_sums {
  nanoseconds total, exclusive, hidden, by_compute;
  std::uint32_t longest = no_index;    // position
};

inline std::string milliseconds(nanoseconds t) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f ms", t.ns < 1'000'000 ? 3 : 2, t.ms());
  return text;
}

inline bool computes(overlap_class c) { return c != overlap_class::comm && c != overlap_class::memory; }

// At most what of other kinds runs alone can hide it: communication, copies and computation use different parts of a device. Two computations share
// the multiprocessors: that one hides the other wins little, and one stream beside a few stray launches would make headroom of everything.
inline nanoseconds hidden_behind(overlap_class c, const nanoseconds (&alone)[5]) {
  nanoseconds sum;
  for (std::size_t other = 0; other < 5; ++other)
    if (const auto o = static_cast<overlap_class>(other); o != c && !(computes(o) && computes(c))) sum += alone[other];
  return sum;
}

// Median duration beside other work over the median alone: of launches of one shape (grid, block, bytes), the one with the most of both.
inline std::optional<double> inflation_of(const subject& s, const selection& v, const overlaps& beside, std::span<const std::uint32_t> positions) {
  const auto detail = [&](std::uint32_t p) { return s.trace->gpu[v.events[p]].detail; };
  std::vector<std::uint32_t> sorted(positions.begin(), positions.end());
  sort_in_place(sorted, [&](std::uint32_t a, std::uint32_t b) { return detail(a) != detail(b) ? detail(a) < detail(b) : a < b; });
  std::vector<std::int64_t> over, apart;
  std::size_t best = samples_for_inflation - 1;
  std::optional<double> out;
  for (std::size_t i = 0; i < sorted.size();) {
    over.clear(), apart.clear();
    const std::uint32_t shape = detail(sorted[i]);
    for (; i < sorted.size() && detail(sorted[i]) == shape; ++i) {
      const nanoseconds d = s.trace->gpu[v.events[sorted[i]]].duration, hidden = beside.hidden[sorted[i]];
      if (hidden.ns == 0) apart.push_back(d.ns);
      else if (d - hidden <= hidden) over.push_back(d.ns);  // brushed by others: neither
    }
    const std::size_t n = (std::min)(over.size(), apart.size());
    if (n <= best) continue;
    if (const nanoseconds base = quantile(apart, 50); base.ns > 0) best = n, out = static_cast<double>(quantile(over, 50).ns) / static_cast<double>(base.ns);
  }
  return out;
}

inline bool has_word(std::string_view text, std::string_view word) {
  const auto letter = [](char ch) { return text::is_digit(ch) || (text::to_lower(ch) >= 'a' && text::to_lower(ch) <= 'z'); };
  for (std::size_t i = 0; i + word.size() <= text.size(); ++i) {
    if (!text::equal_ignoring_case(text.substr(i, word.size()), word)) continue;
    const bool starts = i == 0 || !letter(text[i - 1]) || !letter(word.front()), ends = i + word.size() == text.size() || !letter(text[i + word.size()]);
    if (starts && ends) return true;
  }
  return false;
}

inline constexpr overlap_family known_overlaps[] = {
#include <hotpath/kernel/data/overlap_families.inc>
};

inline std::string describe(const overlap_family& f, const server_args* server) {
  std::string out;
  out.append(f.id).append(" ").append(f.name).append(" (").append(f.frameworks).append(", ").append(f.status);
  if (!f.pull_requests.empty()) out.append(", pull request ").append(f.pull_requests);
  out += ")";
  if (server == nullptr) return out;
  text::split(f.switches, '|', [&](std::string_view one) {
    if (one.empty()) return;
    const std::string_view name = one.substr(0, one.size() - 1);
    const flag_state state = flag_of(*server, name);
    if (state == flag_state::unknown) return;
    out.append("; ").append(name).append(state == flag_state::on ? " is on" : " is off");
    if (one.back() == '-' && state == flag_state::on) out += ", which removes it";
    if (one.back() == '~' && state == flag_state::on) out += ", which changes what a trace shows";
  });
  return out;
}

// The places of a kernel: the mapping trace's where it has the name, of the same stage first.
struct place_finder {
  std::vector<kernel_table> tables;
  name_table names;
  std::vector<const kernel_row*> first;   // by number of the name

  place_finder(const subject& s, stage at) : names({.bytes = SIZE_MAX, .distinct = SIZE_MAX}) {
    tables.push_back(table(s, at, {.min_share = 0}));
    for (const stage other : s.stages)
      if (other != at) tables.push_back(table(s, other, {.min_share = 0}));
    for (const kernel_table& t : tables)
      for (const kernel_row& r : t.rows) {
        if (r.places.empty() && r.cpu_op.empty()) continue;
        const name_id n = names.intern(r.kernel);
        if (n >= first.size()) first.resize(n + 1);
        if (first[n] == nullptr) first[n] = &r;
      }
  }
  const kernel_row* find(std::string_view name) const {
    const name_id n = names.find(name);
    return n < first.size() ? first[n] : nullptr;
  }
};

}  // namespace tables

HOTPATH_FN std::span<const overlap_family> overlap_families() { return tables::known_overlaps; }

HOTPATH_FN const overlap_family* find_overlap_family(overlap_class cls, std::string_view kernel, std::string_view cpu_op, std::string_view location, std::string_view stack) {
  const char letter = "cnmeo"[static_cast<std::size_t>(cls)];
  const auto in_place = [&](std::string_view path) { return location.find(path) != std::string_view::npos || stack.find(path) != std::string_view::npos; };
  for (const overlap_family& f : tables::known_overlaps) {
    if (!f.classes.empty() && f.classes.find(letter) == std::string_view::npos) continue;
    if (!f.within.empty() && !in_place(f.within)) continue;
    bool fits = false;
    text::split(f.paths, '|', [&](std::string_view path) { fits = fits || (!path.empty() && in_place(path)); });
    text::split(f.words, '|', [&](std::string_view word) {
      if (word.empty() || fits) return;
      for (const std::string_view where : {kernel, cpu_op, location, stack}) fits = fits || tables::has_word(where, word);
    });
    if (fits) return &f;
  }
  return nullptr;
}

HOTPATH_FN device_time time_of(const subject& s, stage at) {
  using namespace tables;
  const selection v = select(s, at);
  return account(s, at, v, look_beside(s, v, classes_of(s), nullptr, {}));
}

HOTPATH_FN std::vector<launch_overlap> overlap_of_launches(const subject& s, stage at) {
  using namespace tables;
  const selection v = select(s, at);
  const overlaps beside = look_beside(s, v, classes_of(s), nullptr, {});
  std::vector<launch_overlap> out(v.events.size());
  for (std::size_t p = 0; p < out.size(); ++p) out[p] = {v.events[p], beside.hidden[p], beside.by_compute[p]};
  return out;
}

HOTPATH_FN overlap_table overlap(const subject& s, stage at, const overlap_options& options) {
  using namespace tables;
  overlap_table out;
  out.at = at;
  out.basis = options.mapping != nullptr ? "mapping and formal trace" : "one trace";
  const selection v = select(s, at);
  const std::vector<overlap_class> class_of_identity = classes_of(s);
  // A row is a name and a class: operators may give one name two families.
  const names_of_rows names = by_canonical(s);
  std::vector<std::uint32_t> row_of(v.events.size()), row_id(std::size_t{names.rows} * 5, no_index), some_identity;
  for (std::size_t p = 0; p < v.events.size(); ++p) {
    const std::uint32_t id = s.identity_of[v.events[p]];
    std::uint32_t& row = row_id[std::size_t{names.row_of[id]} * 5 + static_cast<std::size_t>(class_of_identity[id])];
    if (row == no_index) row = static_cast<std::uint32_t>(some_identity.size()), some_identity.push_back(id);
    row_of[p] = row;
  }
  // Which rows may be shown is known before the sweep: their partners alone are looked for.
  const nanoseconds busy = busy_of(s, v);
  std::vector<overlap_sums> sums(some_identity.size());
  for (std::uint32_t p = 0; p < v.events.size(); ++p) {
    const interval e = span_of(s.trace->gpu[v.events[p]]);
    sums[row_of[p]].total += e.end - e.begin;
  }
  std::vector<std::uint8_t> wanted;
  for (const overlap_sums& r : sums) wanted.push_back(r.total >= least_total && percent(r.total, busy) >= options.min_share ? 1 : 0);
  overlaps beside = look_beside(s, v, class_of_identity, &row_of, wanted);
  out.time = account(s, at, v, beside);
  if (v.events.empty()) return out.no_rows = "no GPU work in this stage", out;
  if (out.time.unknown) return out.no_rows = *out.time.unknown, out;
  if (out.time.streams < 2) return out.no_rows = "only one stream has work: nothing can overlap", out;

  const auto& gpu = s.trace->gpu;
  nanoseconds alone[5] = {};
  for (std::uint32_t p = 0; p < v.events.size(); ++p) {
    overlap_sums& r = sums[row_of[p]];
    const interval e = span_of(gpu[v.events[p]]);
    const nanoseconds d = e.end - e.begin;
    r.hidden += beside.hidden[p], r.exclusive += d - beside.hidden[p], r.by_compute += beside.by_compute[p];
    alone[static_cast<std::size_t>(class_of_identity[s.identity_of[v.events[p]]])] += d - beside.hidden[p];
    if (r.longest == no_index || gpu[v.events[r.longest]].duration < gpu[v.events[p]].duration) r.longest = p;
  }

  struct candidate { std::uint32_t row; bool headroom; double order; };
  std::vector<candidate> found;
  for (std::uint32_t i = 0; i < sums.size(); ++i) {
    const overlap_sums& r = sums[i];
    const overlap_class c = class_of_identity[some_identity[i]];
    if (r.total < least_total) continue;
    if (percent(r.exclusive, r.total) >= headroom_share) {
      const nanoseconds saving = (std::min)(r.exclusive, hidden_behind(c, alone));
      if (saving.ns > 0) found.push_back({i, true, static_cast<double>(saving.ns)});
    } else if ((c == overlap_class::elementwise || c == overlap_class::memory) && percent(r.hidden, r.total) >= hidden_share) {
      found.push_back({i, false, static_cast<double>(r.hidden.ns) * (1 + percent(r.by_compute, r.hidden) / 100)});
    }
  }
  sort_in_place(found, [&](const candidate& a, const candidate& b) {
    if (a.headroom != b.headroom) return a.headroom;
    return a.order != b.order ? a.order > b.order : s.identities[some_identity[a.row]].canonical < s.identities[some_identity[b.row]].canonical;
  });

  const groups of_row = group(row_of, static_cast<std::uint32_t>(sums.size()));
  const groups of_lane = group(v.lane_of, static_cast<std::uint32_t>(v.lanes.size()));
  std::optional<place_finder> mapped;
  if (options.mapping != nullptr) mapped.emplace(*options.mapping, at);
  site_times where(s.map.sites.size());
  std::size_t computations = 0;
  for (const candidate& c : found) {
    const overlap_sums& r = sums[c.row];
    const double share = percent(r.total, out.time.busy);
    // What communication and copies could hide is computation, all of it: its largest rows are enough.
    const bool more_of_it = c.headroom && computes(class_of_identity[some_identity[c.row]]) && computations == most_computations;
    const bool little = share < options.min_share || (c.headroom && percent(nanoseconds{static_cast<std::int64_t>(c.order)}, busy) < options.min_share);
    if (little || more_of_it || (options.limit != 0 && out.rows.size() >= options.limit)) {
      ++out.hidden_rows;
      continue;
    }
    overlap_row& row = out.rows.emplace_back();
    const identity& name = s.identities[some_identity[c.row]];
    row.at = at, row.kernel = name.canonical, row.cls = class_of_identity[some_identity[c.row]];
    row.total = r.total, row.exclusive = r.exclusive, row.hidden = r.hidden, row.hidden_by_compute = r.by_compute, row.share = share;
    row.verdict = c.headroom ? "headroom" : "low-roi-hidden";
    if (c.headroom && computes(row.cls)) ++computations;

    const std::uint32_t event = v.events[r.longest], *const first = of_lane.at.data() + of_lane.first[v.lane_of[r.longest]],
                        *const last = of_lane.at.data() + of_lane.first[std::size_t{v.lane_of[r.longest]} + 1];
    const std::uint32_t* const here = find_first_not(first, last, [&r](std::uint32_t e) { return e < r.longest; });
    const neighbours around{here == first ? no_index : v.events[here[-1]], here + 1 == last ? no_index : v.events[here[1]]};
    row.dependency = dependency_of(s, event, around, class_of_identity);
    const bool low = row.dependency.compare(0, 3, "low") == 0;
    row.priority = !c.headroom ? "P4" : low ? "P1" : "P2";
    row.recommendation = !c.headroom ? "skip" : !low ? "check deps" : row.cls == overlap_class::comm ? "try overlap" : "try fusion";

    char signal[128];
    std::snprintf(signal, sizeof signal, "%.1f us, share %.1f%%, excl %.1f%% / hid %.1f%%", r.total.us(), share, percent(r.exclusive, r.total), percent(r.hidden, r.total));
    row.signal = signal;
    if (c.headroom) {
      const nanoseconds others = hidden_behind(row.cls, alone);
      row.saving = (std::min)(r.exclusive, others);
      if (out.time.steps != 0) row.saving_per_step = row.saving / static_cast<std::int64_t>(out.time.steps);
      row.bound = row.saving == r.exclusive ? "its time without other work" : "other kinds of work run alone for no more than";
      row.bound.append(" ").append(milliseconds(row.saving));
    }

    row.inflation = inflation_of(s, v, beside, {of_row.at.data() + of_row.first[c.row], of_row.at.data() + of_row.first[std::size_t{c.row} + 1]});
    if (const std::uint32_t by = beside.partners.most(c.row); by != no_index) row.partner = s.identities[some_identity[by]].canonical;

    std::vector<place> places;
    std::string op;
    if (const kernel_row* there = mapped ? mapped->find(row.kernel) : nullptr; there != nullptr) {
      places = there->places, op = there->cpu_op;
    } else {
      where.clear();
      for (std::uint32_t k = of_row.first[c.row]; k < of_row.first[std::size_t{c.row} + 1]; ++k) {
        const std::uint32_t i = v.events[of_row.at[k]];
        if (const std::uint32_t at_site = at_or_none(s.map.site_of, i); at_site < s.map.sites.size()) where.count(at_site, gpu[i].duration);
      }
      where.fill(s.map.sites, r.total, places, op);
    }
    std::string_view location, stack;
    if (!places.empty()) location = places[0].location, stack = places[0].stack;
    row.scope = !location.empty() ? location : std::string_view(op);
    if (const overlap_family* f = find_overlap_family(row.cls, row.kernel, op, location, stack)) row.known_family = describe(*f, options.server);
  }
  if (out.rows.empty()) out.no_rows = out.hidden_rows != 0 ? "no row reaches the least share" : "nothing runs alone that other kinds of work could hide";
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
