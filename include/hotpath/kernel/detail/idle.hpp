// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/detail/idle.hpp - why a device had no work: the host, a wait for it, the way of a launch, a graph, communication. Not for users.
#pragma once
#include <string_view>
#include <vector>
#include <hotpath/core/sort.hpp>
#include <hotpath/kernel/detail/beside.hpp>
#include <hotpath/kernel/table-inl.hpp>
#include <hotpath/model/launch.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::tables {

inline constexpr nanoseconds longest_latency{100'000};            // from a finished launch call to work; beyond it something else is waited for

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
  } else if (model::lane_of(before) != model::lane_of(after) && (is_comm(s, g.before) || is_comm(s, g.after))) {
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
  for (const std::uint32_t n : lanes_of) out.devices += n != 0;
  out.busy = out.wall = beside.busy;
  out.compute = beside.compute, out.comm = beside.comm, out.memory = beside.memory;
  out.exposed_comm = beside.exposed, out.exposed_in_steps = beside.exposed_in_steps, out.overlapped = beside.overlapped;
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

}  // namespace hotpath::inline HOTPATH_ABI::kernel::tables
