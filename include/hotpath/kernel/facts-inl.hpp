// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/facts-inl.hpp - bodies of facts.hpp.
#pragma once
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/key_set.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/facts.hpp>
#include <hotpath/kernel/interval.hpp>
#include <hotpath/kernel/step.hpp>
#include <hotpath/model/launch.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

HOTPATH_FN bool is_step_name(std::string_view n) {
  for (const std::string_view start : {"ProfilerStep#", "step[", "execute_", "capture_", "prefill[", "decode[", "[Executor] _forward_step "})
    if (n.starts_with(start)) return true;
  return parse_annotation(n).is != annotation_is::nothing_known;
}

namespace detail {

// Sums by name, as rows: the largest `by` first, equal ones by name.
struct name_sums {
  explicit name_sums(const model::timeline& t) : at(t.names.size()) {}
  struct one { std::uint64_t count = 0; nanoseconds sum{}, self{}; };
  std::vector<one> at;

  std::vector<trace_facts::named> largest(const model::timeline& t, std::size_t most, nanoseconds one::*by) const {
    std::vector<name_id> order;
    for (name_id i = 0; i < at.size(); ++i)
      if (at[i].count != 0) order.push_back(i);
    sort_in_place(order, [&](name_id a, name_id b) { return at[a].*by != at[b].*by ? at[a].*by > at[b].*by : t.name(a) < t.name(b); });
    if (order.size() > most) order.resize(most);
    std::vector<trace_facts::named> rows;
    for (const name_id i : order) rows.push_back({std::string(t.name(i)), at[i].count, at[i].sum, at[i].self});
    return rows;
  }
};

// Ids of one process each; an id may be 0.
struct id_sets {
  explicit id_sets(std::size_t processes) : of(processes != 0 ? processes : 1) {}
  std::vector<key_set> of;
  void insert(std::uint16_t process, std::uint64_t id) {
    if (id != model::no_id && process < of.size()) of[process].insert(id + 1);
  }
  bool contains(std::uint16_t process, std::uint64_t id) { return id != model::no_id && process < of.size() && of[process].contains(id + 1); }
};

HOTPATH_FN void gpu_facts(const model::timeline& t, trace_facts& f, std::size_t top) {
  id_sets ops(t.processes.size()), calls(t.processes.size()), graphs(t.processes.size());
  for (const model::cpu_op& o : t.ops) ops.insert(t.process_of(o.track), o.external);
  model::call_kinds kind(t);
  for (const model::api_call& c : t.api) {
    calls.insert(t.process_of(c.track), c.correlation);
    if (kind(c.name) != model::call_kind::graph) continue;
    graphs.insert(t.process_of(c.track), c.correlation);
    ++f.graph_launches;
  }
  name_sums names(t);
  std::vector<bool> is_kernel(t.names.size());
  std::vector<running_union> open;   // streams of the current device: rows of f.streams from `first_stream` on
  std::vector<bool> pid_seen(t.names.size());
  std::size_t first_stream = 0;
  hotpath::detail::id_index numbers;   // of a device's streams
  running_union of_device;
  for (const model::gpu_event& g : t.gpu) {
    if (f.devices.empty() || f.devices.back().process != g.process || f.devices.back().ordinal != g.device) {
      f.devices.push_back({.process = g.process, .ordinal = g.device, .name = {}, .first = g.begin, .last = g.end()});
      for (const model::device& d : t.devices)
        if (d.ordinal == g.device && (d.process == g.process || d.process == 0)) f.devices.back().name = d.name;
      open.clear();
      first_stream = f.streams.size();
      of_device = {};
    }
    trace_facts::device& d = f.devices.back();
    const std::size_t i = numbers.insert(static_cast<std::uint32_t>(f.devices.size()), (static_cast<std::uint64_t>(g.track) << 32) | g.stream, static_cast<std::uint32_t>(open.size()));
    if (i == open.size()) {
      const bool tracked = g.track < t.tracks.size();
      const model::track* const track = tracked ? &t.tracks[g.track] : nullptr;
      std::string key(track ? t.name(track->pid) : std::to_string(g.device));
      key.append("/").append(track ? std::string(t.name(track->tid)) : std::to_string(g.stream));
      if (track != nullptr && !pid_seen[track->pid]) f.gpu_pids.emplace_back(t.name(track->pid)), pid_seen[track->pid] = true;
      f.streams.push_back({std::move(key), g.process, g.device, g.stream});
      open.emplace_back();
    }
    trace_facts::stream& s = f.streams[first_stream + i];
    ++s.events, ++d.events, ++f.gpu_events;
    s.sum += g.duration, d.sum += g.duration, f.gpu_time_sum += g.duration;
    s.busy_union += open[i].add({g.begin, g.end()});
    d.busy_union += of_device.add({g.begin, g.end()});
    if (g.end() > d.last) d.last = g.end();
    if (g.kind == model::gpu_kind::kernel) ++d.kernels, ++f.kernels, is_kernel[g.name] = true;
    ++names.at[g.name].count;
    names.at[g.name].sum += g.duration;
    f.zero_duration_gpu_events += g.duration.ns == 0;
    f.gpu_events_with_external_id += g.external != model::no_id;
    f.gpu_events_whose_external_id_names_a_cpu_op += ops.contains(g.process, g.external);
    f.gpu_events_with_matching_launch_call += calls.contains(g.process, g.correlation);
    f.gpu_events_from_graph_launch += graphs.contains(g.process, g.correlation);
  }
  for (const bool is : is_kernel) f.distinct_kernel_names += is;
  nanoseconds first{}, last{};
  for (std::size_t i = 0; i < f.devices.size(); ++i) {
    const trace_facts::device& d = f.devices[i];
    f.gpu_busy_union += d.busy_union;
    const bool fresh = i == 0 || f.devices[i - 1].process != d.process;
    first = fresh || d.first < first ? d.first : first;
    last = fresh || d.last > last ? d.last : last;
    if (last - first > f.gpu_span) f.gpu_span = last - first;
  }
  f.top = names.largest(t, top, &name_sums::one::sum);
}

HOTPATH_FN void op_facts(const model::timeline& t, trace_facts& f, std::size_t top) {
  name_sums names(t);
  std::vector<std::size_t> around;  // indices of the operators that are open
  std::uint32_t track = model::no_index;
  for (std::size_t i = 0; i < t.ops.size(); ++i) {
    const model::cpu_op& o = t.ops[i];
    if (o.track != track || i == 0) ++f.op_threads, around.clear(), track = o.track;
    while (!around.empty() && t.ops[around.back()].end() < o.end()) around.pop_back();
    while (!around.empty() && t.ops[around.back()].end() <= o.begin) around.pop_back();
    names.at[o.name].count++;
    names.at[o.name].sum += o.duration;
    names.at[o.name].self += o.duration;
    f.cpu_op_self_sum += o.duration;
    if (!around.empty()) {
      names.at[t.ops[around.back()].name].self -= o.duration;
      f.cpu_op_self_sum -= o.duration;
    }
    around.push_back(i);
  }
  for (const name_sums::one& n : names.at) f.distinct_cpu_ops += n.count != 0;
  f.top_self = names.largest(t, top, &name_sums::one::self);
}

}  // namespace detail

HOTPATH_FN trace_facts facts(const model::timeline& t, std::size_t top) {
  trace_facts f;
  f.events = t.about.events;
  for (const auto& [phase, count] : t.about.by_phase) f.phases.emplace_back(phase != 0 ? std::string(1, phase) : std::string(), count);
  f.x_by_cat = t.about.by_category;
  f.backend = t.about.backend, f.rank = t.about.rank, f.world_size = t.about.world_size;
  if (!t.devices.empty()) f.device_name = t.devices[0].name;
  detail::gpu_facts(t, f, top);
  detail::op_facts(t, f, top);
  std::vector<std::size_t> row(t.names.size(), SIZE_MAX);  // by name: of f.step_annotations; SIZE_MAX - 1: no step
  for (const model::annotation& a : t.annotations) {
    if (row[a.name] == SIZE_MAX) {
      row[a.name] = is_step_name(t.name(a.name)) ? f.step_annotations.size() : SIZE_MAX - 1;
      if (row[a.name] != SIZE_MAX - 1) f.step_annotations.emplace_back(t.name(a.name), 0);
    }
    if (row[a.name] == SIZE_MAX - 1) continue;
    ++f.step_annotations[row[a.name]].second;
    f.steps += a.kind != model::annotation_kind::gpu_user;
  }
  return f;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
