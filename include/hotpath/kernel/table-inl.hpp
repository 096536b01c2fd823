// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/table-inl.hpp - bodies of kernel/table.hpp.
#pragma once
#include <hotpath/kernel/interval-inl.hpp>
#include <hotpath/kernel/table.hpp>
#include <hotpath/model/launch.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace tables {

HOTPATH_FN interval span_of(const model::gpu_event& e) {
  constexpr std::int64_t limit = std::int64_t{1} << 61;
  const std::int64_t begin = (std::max)(-limit, (std::min)(limit, e.begin.ns)), most = limit - begin;
  return {nanoseconds{begin}, nanoseconds{begin + (std::max)(std::int64_t{0}, (std::min)(most, e.duration.ns))}};
}

HOTPATH_FN double percent(nanoseconds part, nanoseconds whole) { return whole.ns > 0 ? 100.0 * static_cast<double>(part.ns) / static_cast<double>(whole.ns) : 0; }

HOTPATH_FN nanoseconds quantile(std::vector<std::int64_t>& values, unsigned percent) {
  if (values.empty()) return {};
  const std::size_t h = (values.size() - 1) * percent, low = h / 100;
  sort_in_place(values, [](std::int64_t a, std::int64_t b) { return a < b; });  // the second quantile finds them in order
  const std::int64_t at = values[low];
  if (low + 1 == values.size()) return nanoseconds{at};
  const auto between = static_cast<std::uint64_t>(values[low + 1]) - static_cast<std::uint64_t>(at);
  const std::uint64_t part = h % 100;
  return nanoseconds{at + static_cast<std::int64_t>(between / 100 * part + (between % 100 * part + 50) / 100)};
}

HOTPATH_FN const std::vector<std::uint32_t>& launches_of(const subject& s, std::vector<std::uint32_t>& made) {
  if (s.steps.launch_of.size() == s.trace->gpu.size()) return s.steps.launch_of;
  return made = model::link_launches(*s.trace).call_of;
}

template <class T>
std::uint32_t index_in(const std::vector<T>& ordered, const T& what) {
  return static_cast<std::uint32_t>(find_first_not(ordered.data(), ordered.data() + ordered.size(), [&](const T& x) { return x < what; }) - ordered.data());
}
template <class T>
void sort_unique(std::vector<T>& v) {
  sort_in_place(v, [](const T& a, const T& b) { return a < b; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < v.size(); ++i)
    if (i == 0 || v[kept - 1] < v[i]) v[kept++] = v[i];
  v.resize(kept);
}

HOTPATH_FN selection select(const subject& s, stage at) {
  selection out;
  std::vector<std::uint64_t> keys;
  std::uint64_t recent[4] = {~0ull, ~0ull, ~0ull, ~0ull};  // most events run where one of the last few did: few keys are kept
  std::size_t next = 0;
  for (const std::uint32_t i : s.chosen) {
    if (stage_at(s, i) != at) continue;
    out.events.push_back(i);
    const std::uint64_t key = model::lane_of(s.trace->gpu[i]);
    if (key != recent[0] && key != recent[1] && key != recent[2] && key != recent[3]) keys.push_back(key), recent[next++ % 4] = key;
  }
  sort_unique(keys);
  for (const std::uint64_t k : keys) {
    const lane l{static_cast<std::uint16_t>(k >> 48), static_cast<std::uint16_t>(k >> 32), static_cast<std::uint32_t>(k)};
    const bool same = !out.lanes.empty() && out.lanes.back().process == l.process && out.lanes.back().device == l.device;
    if (!same) ++out.devices;
    out.lanes.push_back(l), out.device_of.push_back(out.devices - 1);
  }
  out.lane_of.reserve(out.events.size());
  std::uint32_t last = 0;
  for (const std::uint32_t i : out.events) {
    const std::uint64_t key = model::lane_of(s.trace->gpu[i]);
    if (keys[last] != key) last = index_in(keys, key);
    out.lane_of.push_back(last);
  }
  return out;
}

HOTPATH_FN std::vector<gap> gaps(const subject& s, stage at) {
  const auto& gpu = s.trace->gpu;
  std::vector<std::uint8_t> chosen(gpu.size());
  for (const std::uint32_t i : s.chosen) chosen[i] = 1;
  std::vector<std::uint32_t> order(gpu.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  sort_in_place(order, [&](std::uint32_t x, std::uint32_t y) {
    const model::gpu_event &a = gpu[x], &b = gpu[y];
    return a.process != b.process ? a.process < b.process : a.device != b.device ? a.device < b.device : a.begin != b.begin ? a.begin < b.begin : x < y;
  });
  std::vector<gap> out;
  for (std::size_t i = 0; i < order.size();) {
    const std::size_t from = i;
    std::size_t first = SIZE_MAX, last = 0;
    for (; i < order.size() && gpu[order[i]].process == gpu[order[from]].process && gpu[order[i]].device == gpu[order[from]].device; ++i)
      if (chosen[order[i]] != 0) first = (std::min)(first, i), last = i;
    if (first == SIZE_MAX) continue;
    // What began earlier but still runs when the first chosen one begins is work, too.
    interval until = span_of(gpu[order[first]]);
    std::uint32_t before = order[first];
    for (std::size_t k = from; k < first; ++k)
      if (const interval e = span_of(gpu[order[k]]); until.end < e.end) until.end = e.end, before = order[k];
    for (std::size_t k = first + 1; k <= last; ++k) {
      const std::uint32_t event = order[k];
      const interval e = span_of(gpu[event]);
      if (until.end < e.begin && chosen[event] != 0 && stage_at(s, event) == at) out.push_back({{until.end, e.begin}, before, event});
      if (until.end <= e.end) until.end = e.end, before = event;
    }
  }
  return out;
}

HOTPATH_FN nanoseconds busy_of(const subject& s, const selection& v) {
  // Events are in order by device and begin in a sorted timeline: a union without a copy; else a set of each device.
  nanoseconds sum;
  std::vector<std::vector<interval>> sets(v.devices);
  std::vector<std::uint8_t> late(v.devices);
  std::vector<interval> open(v.devices);
  for (std::size_t p = 0; p < v.events.size(); ++p) {
    const std::uint32_t d = v.device_of[v.lane_of[p]];
    const interval e = span_of(s.trace->gpu[v.events[p]]);
    if (e.begin == e.end) continue;
    interval& o = open[d];
    if (o.end == o.begin) o = e;
    else if (o.begin <= e.begin && e.begin <= o.end) o.end = (std::max)(o.end, e.end);
    else sets[d].push_back(o), o = e;
  }
  for (std::uint32_t d = 0; d < v.devices; ++d) {
    sets[d].push_back(open[d]);
    unite(sets[d]);
    sum += length(sets[d]);
  }
  return sum;
}

}  // namespace tables

HOTPATH_FN std::optional<std::string> graphs_not_recorded(const subject& s) {
  const model::timeline& t = *s.trace;
  std::uint64_t rows = 0;
  nanoseconds whole, in_rows, first{INT64_MAX}, last{INT64_MIN};
  for (const std::uint32_t i : s.chosen) {
    const interval e = tables::span_of(t.gpu[i]);
    whole += e.end - e.begin;
    if (t.gpu[i].kind == model::gpu_kind::graph) ++rows, in_rows += e.end - e.begin;
    first = (std::min)(first, e.begin), last = (std::max)(last, e.end);
  }
  constexpr double enough = 5;  // percent, of the time and of the launches
  std::uint64_t missing = 0, launches = 0;
  std::vector<std::uint32_t> graph_calls;
  model::call_kinds kind(t);
  for (std::uint32_t i = 0; i < t.api.size(); ++i) {
    const model::api_call& a = t.api[i];
    if (a.correlation != model::no_id && kind(a.name) == model::call_kind::graph && a.begin <= last && first <= a.end()) graph_calls.push_back(i);
  }
  if (!graph_calls.empty()) {
    std::vector<std::uint32_t> made;
    std::vector<bool> seen(t.api.size()), looked_at(std::size_t{1} << 16);   // processes that were left out have no chosen events, and need none
    for (const std::uint32_t call : tables::launches_of(s, made))
      if (call < seen.size()) seen[call] = true;
    for (const std::uint32_t i : s.chosen) looked_at[t.gpu[i].process] = true;
    for (const std::uint32_t call : graph_calls)
      if (looked_at[t.process_of(t.api[call].track)]) ++launches, missing += seen[call] ? 0u : 1u;
  }
  std::string why;
  if (rows != 0 && tables::percent(in_rows, whole) >= enough) {
    why.append(std::to_string(rows)).append(rows == 1 ? " graph launch has" : " graph launches have").append(" one row for all kernels: ");
  } else if (missing != 0 && 100.0 * static_cast<double>(missing) >= enough * static_cast<double>(launches)) {
    why.append(std::to_string(missing)).append(" of ").append(std::to_string(launches)).append(" graph launches have no kernels in this trace: ");
  } else {
    return {};
  }
  why += "kernels of graphs not recorded, so idle time and shares are unknown; record them with nsys profile --cuda-graph-trace=node, "
         "or with a profiler that is started before the graphs are captured";
  return why;
}

namespace tables {

// One name of the table: the identities that share it.
struct names_of_rows {
  std::vector<std::uint32_t> row_of;   // by identity
  std::uint32_t rows = 0;
};

inline names_of_rows by_canonical(const subject& s) {
  names_of_rows out;
  name_table names{{.bytes = SIZE_MAX, .distinct = SIZE_MAX}};
  for (const identity& i : s.identities) out.row_of.push_back(i.canonical.empty() ? 0 : names.intern(i.canonical));  // 0: without a name
  out.rows = static_cast<std::uint32_t>(names.size());
  return out;
}

// Positions 0 .. keys.size() - 1 grouped by key, in order within a group: group k is at[first[k]] .. at[first[k + 1]].
struct groups {
  std::vector<std::uint32_t> first, at;
};
inline groups group(const std::vector<std::uint32_t>& keys, std::uint32_t distinct) {
  groups g;
  g.first.resize(std::size_t{distinct} + 1);
  for (const std::uint32_t k : keys) ++g.first[std::size_t{k} + 1];
  for (std::size_t k = 0; k < distinct; ++k) g.first[k + 1] += g.first[k];
  g.at.resize(keys.size());
  std::vector<std::uint32_t> next(g.first.begin(), g.first.end() - 1);
  for (std::uint32_t p = 0; p < keys.size(); ++p) g.at[next[keys[p]]++] = p;
  return g;
}

// Where a row was launched: time by site, reduced to the two locations that say most. What has less than `least_share` of its time says nothing.
struct site_times {
  static constexpr double least_share = 5;  // percent

  std::vector<std::uint32_t> touched;
  std::vector<nanoseconds> time;  // by site
  std::vector<std::uint64_t> launches;

  explicit site_times(std::size_t sites) : time(sites), launches(sites) {}
  void count(std::uint32_t site, nanoseconds t) {
    if (launches[site]++ == 0) touched.push_back(site);
    time[site] += t;
  }
  void clear() {
    for (const std::uint32_t i : touched) time[i] = {}, launches[i] = 0;
    touched.clear();
  }
  void fill(const site_table& sites, nanoseconds total, std::vector<place>& places, std::string& cpu_op);
};

HOTPATH_FN void site_times::fill(const site_table& sites, nanoseconds total, std::vector<place>& places, std::string& cpu_op) {
  struct candidate { std::uint32_t first = 0; nanoseconds time{}; std::uint64_t launches = 0; bool own = false; };
  std::vector<candidate> of_ops, of_places;
  // Equal texts have equal numbers, and stand together after a sort by them: their sum needs no map.
  const auto reduce = [&](name_id site::*word, std::vector<candidate>& out) {
    sort_in_place(touched, [&](std::uint32_t a, std::uint32_t b) {
      if (sites[a].*word != sites[b].*word) return sites[a].*word < sites[b].*word;
      return time[a] != time[b] ? time[b] < time[a] : a < b;
    });
    for (const std::uint32_t i : touched) {
      if (sites[i].*word == 0) continue;
      if (out.empty() || sites[out.back().first].*word != sites[i].*word) out.push_back({.first = i});
      out.back().time += time[i];
      out.back().launches += launches[i];
      out.back().own = out.back().own || sites[i].priority > 200;
    }
    std::size_t kept = 0;
    for (const candidate& c : out)
      if (percent(c.time, total) >= least_share) out[kept++] = c;
    out.resize(kept);
    const bool place = word == &site::location;        // of places the framework's own go first
    sort_in_place(out, [&](const candidate& a, const candidate& b) {
      if (place && a.own != b.own) return a.own;
      if (a.time != b.time) return b.time < a.time;
      if (place && a.launches != b.launches) return a.launches > b.launches;
      return sites.text(sites[a.first].*word) < sites.text(sites[b.first].*word);
    });
  };
  reduce(&site::location, of_places);
  for (std::size_t i = 0; i < of_places.size() && i < 2; ++i) {
    site_text longest = sites.told(of_places[i].first);
    places.push_back({.location = std::string(longest.location), .cpu_op = std::string(longest.cpu_op), .stack = std::move(longest.stack), .share = percent(of_places[i].time, total)});
  }
  reduce(&site::cpu_op, of_ops);
  if (!of_ops.empty()) cpu_op = sites.text(sites[of_ops[0].first].cpu_op);
}

// Ranks of the events' processes: dense, in ascending order; empty below two.
struct ranks_of {
  std::vector<std::uint32_t> index;  // by process; no_index: its rank is not known, or it has no events here
  std::uint32_t count = 0;
};
inline ranks_of find_ranks(const subject& s, const selection& v) {
  ranks_of out;
  std::vector<int> known;
  out.index.assign(s.trace->processes.size(), no_index);
  const auto rank = [&](const lane& l) { return l.process < out.index.size() ? s.trace->processes[l.process].rank : std::optional<int>(); };
  for (const lane& l : v.lanes)
    if (const auto r = rank(l)) known.push_back(*r);
  sort_unique(known);
  if (known.size() < 2) return out;
  out.count = static_cast<std::uint32_t>(known.size());
  for (const lane& l : v.lanes)
    if (const auto r = rank(l)) out.index[l.process] = index_in(known, *r);
  return out;
}

// Steps of the stage with events in it, and how many events those are.
inline std::pair<std::uint64_t, std::uint64_t> count_steps(const subject& s, const selection& v) {
  std::vector<std::uint8_t> seen(s.steps.steps.size());
  std::uint64_t steps = 0, events = 0;
  for (const std::uint32_t i : v.events) {
    const std::uint32_t at = at_or_none(s.steps.step_of, i);
    if (at >= seen.size()) continue;
    ++events;
    if (seen[at] == 0) seen[at] = 1, ++steps;
  }
  return {steps, events};
}

}  // namespace tables

HOTPATH_FN kernel_table table(const subject& s, stage at, const table_options& options) {
  using namespace tables;
  kernel_table out;
  out.at = at;
  const selection v = select(s, at);
  out.events = v.events.size();
  if (v.events.empty()) return out;
  const auto& gpu = s.trace->gpu;
  const names_of_rows names = by_canonical(s);
  std::vector<std::uint32_t> row_of(v.events.size());
  std::vector<nanoseconds> total(names.rows), of_family(256), of_identity(s.identities.size());
  for (std::size_t p = 0; p < v.events.size(); ++p) {
    const std::uint32_t event = v.events[p], id = s.identity_of[event];
    row_of[p] = names.row_of[id];
    const nanoseconds d{(std::max)(gpu[event].duration.ns, std::int64_t{0})};
    if (at_or_none(s.steps.step_of, event) != no_index) out.in_steps += d;
    total[row_of[p]] += d, out.total += d, of_identity[id] += d, of_family[static_cast<std::size_t>(s.identities[id].is.what)] += d;
  }
  const groups g = group(row_of, names.rows);
  out.busy = busy_of(s, v);
  out.wall = out.busy;
  const bool known = !graphs_not_recorded(s);
  if (known)
    for (const gap& i : gaps(s, at)) out.wall += i.time.end - i.time.begin;
  const auto [steps, in_steps] = count_steps(s, v);
  out.steps = steps;

  for (std::size_t f = 0; f < of_family.size(); ++f)
    if (of_family[f].ns > 0) out.by_family.emplace_back(static_cast<family>(f), of_family[f]);
  sort_in_place(out.by_family, [](const auto& a, const auto& b) { return a.second != b.second ? b.second < a.second : a.first < b.first; });

  // The identity that speaks for a row: the one with the most time.
  std::vector<std::uint32_t> speaker(names.rows, no_index);
  std::vector<std::uint8_t> used(s.identities.size());
  for (const std::uint32_t event : v.events) used[s.identity_of[event]] = 1;
  for (std::uint32_t i = 0; i < s.identities.size(); ++i)
    if (std::uint32_t& best = speaker[names.row_of[i]]; used[i] != 0 && (best == no_index || of_identity[best] < of_identity[i])) best = i;
  std::vector<std::uint32_t> order;
  for (std::uint32_t r = 0; r < names.rows; ++r)
    if (g.first[r] != g.first[std::size_t{r} + 1]) order.push_back(r);
  sort_in_place(order, [&](std::uint32_t a, std::uint32_t b) {
    return total[a] != total[b] ? total[b] < total[a] : s.identities[speaker[a]].canonical < s.identities[speaker[b]].canonical;
  });

  const ranks_of ranks = find_ranks(s, v);
  std::vector<std::int64_t> values;
  std::vector<std::uint32_t> lane_seen(v.lanes.size(), no_index), device_seen(v.devices, no_index);
  site_times where(s.map.sites.size());
  nanoseconds running;
  for (const std::uint32_t r : order) {
    const std::uint32_t from = g.first[r], to = g.first[std::size_t{r} + 1];
    const double share = percent(total[r], out.total);
    if (share < options.min_share || (options.limit != 0 && out.rows.size() >= options.limit)) {
      ++out.hidden_rows, out.hidden_events += to - from, out.hidden += total[r];
      continue;
    }
    kernel_row& row = out.rows.emplace_back();
    const identity& name = s.identities[speaker[r]];
    running += total[r];
    row.at = at, row.kernel = name.canonical, row.short_name = name.short_name, row.raw = std::string(s.trace->name(name.raw));
    row.what = name.is.what, row.detail = std::string(name.is.detail), row.rule = std::string(name.is.rule);
    row.total = total[r], row.share = share, row.running_share = percent(running, out.total), row.launches = to - from;
    if (known && out.busy.ns > 0) row.share_busy = percent(total[r], out.busy), row.share_wall = percent(total[r], out.wall);
    values.clear(), where.clear();
    std::vector<std::int64_t> per_rank(ranks.count);
    std::uint64_t stepped = 0;
    std::uint32_t longest = v.events[g.at[from]];
    for (std::uint32_t k = from; k < to; ++k) {
      const std::uint32_t p = g.at[k], event = v.events[p], lane = v.lane_of[p], device = v.device_of[lane];
      const model::gpu_event& e = gpu[event];
      const nanoseconds d{(std::max)(e.duration.ns, std::int64_t{0})};
      values.push_back(d.ns);
      if (gpu[longest].duration < e.duration) longest = event;
      if (lane_seen[lane] != r) lane_seen[lane] = r, ++row.streams;
      if (device_seen[device] != r) device_seen[device] = r, ++row.devices;
      if (at_or_none(s.steps.step_of, event) != no_index) ++stepped;
      if (const std::uint32_t site = at_or_none(s.map.site_of, event); site < s.map.sites.size()) where.count(site, d);
      if (ranks.count != 0 && e.process < ranks.index.size() && ranks.index[e.process] != no_index) {
        nanoseconds sum{per_rank[ranks.index[e.process]]};
        sum += d;
        per_rank[ranks.index[e.process]] = sum.ns;
      }
    }
    if (steps != 0 && in_steps != 0) row.launches_per_step = static_cast<double>(stepped) / static_cast<double>(steps);
    const auto n = static_cast<std::int64_t>(row.launches);
    row.mean = nanoseconds{total[r].ns / n + (2 * (total[r].ns % n) >= n ? 1 : 0)};
    row.p50 = quantile(values, 50), row.p95 = quantile(values, 95);
    row.min = nanoseconds{values.front()}, row.max = nanoseconds{values.back()};  // quantile() has sorted them
    where.fill(s.map.sites, total[r], row.places, row.cpu_op);
    if (const std::uint32_t i = gpu[longest].detail; i < s.trace->details.size()) row.launch = s.trace->details[i];
    if (ranks.count != 0) {
      kernel_row::over_ranks o;
      o.median = quantile(per_rank, 50);
      o.min = nanoseconds{per_rank.front()}, o.max = nanoseconds{per_rank.back()}, o.ranks = ranks.count;
      row.ranks = o;
    }
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
