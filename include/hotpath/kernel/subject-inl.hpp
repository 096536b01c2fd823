// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/subject-inl.hpp - bodies of subject.hpp.
#pragma once
#include <utility>
#include <hotpath/kernel/family.hpp>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/kernel/step.hpp>
#include <hotpath/kernel/subject.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace subjects {
inline bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// By process: does it pass the options that name processes?
inline std::vector<bool> wanted_processes(const model::timeline& t, const subject_options& o) {
  std::vector<bool> wanted(t.processes.size(), true);
  for (std::size_t p = 0; p < wanted.size(); ++p) {
    const model::process& it = t.processes[p];
    // Not a comparison of optionals: g++ 12 takes one for use of a value that was never set.
    const int rank = it.rank ? *it.rank : t.processes.size() == 1 ? t.about.rank.value_or(-1) : -1;
    wanted[p] = !o.rank || rank == *o.rank;
  }
  return wanted;
}

inline bool pid_fits(const model::timeline& t, const model::gpu_event& e, std::string_view part) {
  if (part.empty()) return true;
  if (e.process < t.processes.size()) {
    const model::process& p = t.processes[e.process];
    if (holds(t.name(p.pid), part) || holds(t.name(p.name), part) || holds(t.name(p.label), part)) return true;
  }
  return e.track < t.tracks.size() && holds(t.name(t.tracks[e.track].pid), part);
}

// What a launch's operator, else its place, says of a kernel whose name leaves the family open. Each is asked once.
class launch_families {
 public:
  explicit launch_families(const site_table& sites) : sites_(sites), of_op_(sites.texts()), of_place_(sites.texts()), op_asked_(sites.texts()), place_asked_(sites.texts()) {}
  // `place`: the location, if that decided; else 0. The rule is empty where neither knows.
  const kernel_identity& find(const site& s, name_id& place) {
    if (!op_asked_[s.cpu_op]) op_asked_[s.cpu_op] = true, of_op_[s.cpu_op] = classify_launch({.cpu_op = sites_.text(s.cpu_op)});
    if (!of_op_[s.cpu_op].rule.empty() || s.location == 0) return of_op_[s.cpu_op];
    if (!place_asked_[s.location]) place_asked_[s.location] = true, of_place_[s.location] = classify_launch({.site = sites_.text(s.location)});
    if (!of_place_[s.location].rule.empty()) place = s.location;
    return of_place_[s.location];
  }

 private:
  const site_table& sites_;
  std::vector<kernel_identity> of_op_, of_place_;        // by number of the text
  std::vector<bool> op_asked_, place_asked_;
};

// An identity for each (name, operator), and for each place that decides the family of a name: names are read once.
inline void identify(const model::timeline& t, subject& s) {
  s.identity_of.assign(t.gpu.size(), 0);
  hotpath::detail::id_index by_site, by_launch, by_name;
  std::vector<identity> of_name;                         // without the launch
  launch_families launches(s.map.sites);
  for (std::size_t i = 0; i < t.gpu.size(); ++i) {
    const model::gpu_event& e = t.gpu[i];
    const std::uint32_t graph = e.kind == model::gpu_kind::graph ? 1 : 0;
    const std::uint32_t at = s.map.site_of[i];
    bool fresh = false;
    std::uint32_t& known = by_site.insert(graph, (static_cast<std::uint64_t>(e.name) << 32) | at, 0, &fresh);
    if (fresh) {
      const std::uint32_t n = by_name.insert(0, e.name, static_cast<std::uint32_t>(of_name.size()), &fresh);
      const std::string_view raw = t.name(e.name);
      if (fresh) of_name.push_back({.raw = e.name, .canonical = canonical_name(raw), .short_name = short_name(raw), .is = classify(raw)});
      const site where = at == no_index || s.map.sites[at].graph_replay ? site{} : s.map.sites[at];
      kernel_identity is = of_name[n].is;
      name_id place = 0;
      if (is.guess)
        if (const kernel_identity& launch = launches.find(where, place); !launch.rule.empty()) is = launch, is.guess = true;
      if (graph != 0) is = {.what = family::graph, .rule = "graph"}, place = 0;
      known = by_launch.insert(2 * place + graph, (static_cast<std::uint64_t>(e.name) << 32) | where.cpu_op, static_cast<std::uint32_t>(s.identities.size()), &fresh);
      if (fresh) s.identities.push_back(of_name[n]), s.identities.back().is = is;
    }
    s.identity_of[i] = known;
  }
}
}  // namespace subjects

HOTPATH_FN subject look_at(const model::timeline& t, const subject_options& o, const mapping_inputs& inputs) {
  subject s;
  s.trace = &t, s.steps = find_steps(t, {.file_label = o.file_label});
  mapping_inputs in = inputs;
  in.steps = &s.steps;
  s.map = map_events(t, in);
  subjects::identify(t, s);
  const std::vector<bool> wanted = subjects::wanted_processes(t, o);
  std::vector<nanoseconds> first(t.processes.size() + 1);            // by process; events are in the order (process, device, begin)
  std::vector<bool> has(t.processes.size() + 1, false);
  const auto slot = [&](const model::gpu_event& e) { return e.process < t.processes.size() ? std::size_t{e.process} : t.processes.size(); };
  for (const model::gpu_event& e : t.gpu)
    if (const std::size_t p = slot(e); !has[p] || e.begin < first[p]) first[p] = e.begin, has[p] = true;
  bool present[std::size(model::stage_names)] = {};
  for (std::size_t i = 0; i < t.gpu.size(); ++i) {
    const model::gpu_event& e = t.gpu[i];
    const nanoseconds at = e.begin - first[slot(e)];
    const bool in_range = (!o.from || at >= *o.from) && (!o.to || at < *o.to);
    const bool process = e.process < wanted.size() ? wanted[e.process] : !o.rank;
    if (!process || !in_range || (o.only && s.steps.stage_of[i] != *o.only) || !subjects::pid_fits(t, e, o.pid_substring)) {
      s.left_out += e.duration, ++s.left_out_events;
      continue;
    }
    s.chosen.push_back(static_cast<std::uint32_t>(i));
    present[static_cast<std::size_t>(s.steps.stage_of[i])] = true;
  }
  for (std::size_t k = 1; k < std::size(present); ++k)
    if (present[k]) s.stages.push_back(static_cast<stage>(k));
  if (present[0]) s.stages.push_back(stage::all);
  return s;
}

HOTPATH_FN std::string why_nothing(const subject& s, const subject_options& o) {
  if (!s.chosen.empty() || s.trace == nullptr) return {};
  const model::timeline& t = *s.trace;
  if (t.gpu.empty()) return "The trace has no GPU events.";
  if (o.rank && [&] { for (const bool w : subjects::wanted_processes(t, o)) if (w) return false; return true; }()) {
    std::string text = "No process has rank ";
    text.append(std::to_string(*o.rank));
    std::string ranks;
    for (std::size_t p = 0; p < t.processes.size() && p < 64; ++p)
      if (const auto r = t.processes[p].rank ? t.processes[p].rank : t.about.rank) ranks.append(ranks.empty() ? "" : ", ").append(std::to_string(*r));
    return text.append(ranks.empty() ? "; the trace tells no rank." : "; the trace has ").append(ranks).append(ranks.empty() ? "" : ".");
  }
  if (o.only) {
    std::string text = "No GPU event is of stage ";
    text.append(name_of(*o.only)).append("; the trace has ");
    std::string found;
    for (std::size_t k = 0; k < std::size(model::stage_names); ++k) {
      for (const stage x : s.steps.stage_of) {
        if (x != static_cast<stage>(k)) continue;
        found.append(found.empty() ? "" : ", ").append(model::stage_names[k]);
        break;
      }
    }
    return text.append(found).append(".");
  }
  if (!o.pid_substring.empty()) return "No GPU event is of a process whose pid, name or label holds the text asked for.";
  return "No GPU event begins in the time range asked for.";
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
