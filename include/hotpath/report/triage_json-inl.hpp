// SPDX-License-Identifier: Apache-2.0
// hotpath/report/triage_json-inl.hpp - bodies of report/triage_json.hpp: one list of members per struct, for the writer and the reader.
#pragma once
#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/family.hpp>
#include <hotpath/report/triage_json.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail::triage_members {

// ---- the members: v(name, member) or v(name, member, why it is null). `T` is the struct, const for the writer.

template <class T, class U> concept is = std::is_same_v<std::remove_const_t<T>, U>;

template <class V, is<kernel::step> T> void members(V& v, T& s) {
  v("stage", s.what), v("process", s.process), v("begin_ns", s.begin), v("end_ns", s.end);
  constexpr std::string_view untold = "the annotation of the step does not tell it";
  v("context_requests", s.context_requests, untold), v("generation_requests", s.generation_requests, untold);
  v("context_tokens", s.context_tokens, untold), v("generation_tokens", s.generation_tokens, untold);
  v("gpu_events", s.events), v("gpu_begin_ns", s.gpu_begin), v("gpu_end_ns", s.gpu_end), v("gpu_busy_ns", s.gpu_busy), v("graph", s.graph);
  for (std::size_t i = 0; i < 6; ++i) v(kernel::idle_columns[i], s.idle_by[i]);
}
template <class V, is<kernel::coverage::part> T> void members(V& v, T& p) { v("events", p.events), v("time_ns", p.time); }
template <class V, is<kernel::coverage> T> void members(V& v, T& c) {
  v("unmapped", c.by[0]), v("external_id", c.by[1]), v("correlation", c.by[2]), v("graph_join", c.by[3]), v("kernel_name", c.by[4]), v("with_location", c.with_location);
}
template <class V, is<kernel::place> T> void members(V& v, T& p) {
  v("location", p.location), v("cpu_op", p.cpu_op), v("stack", p.stack), v("share_pct", p.share);
}
template <class V, is<model::gpu_detail> T> void members(V& v, T& d) {
  v("grid", d.grid), v("block", d.block), v("registers", d.registers), v("shared_bytes", d.shared_bytes), v("occupancy", d.occupancy, "the trace does not tell it");
  v("bytes", d.bytes), v("group_size", d.group_size);
}
template <class V, is<kernel::kernel_row::over_ranks> T> void members(V& v, T& o) {
  v("min_ns", o.min), v("median_ns", o.median), v("max_ns", o.max), v("ranks", o.ranks);
}
template <class V, is<kernel::kernel_row> T> void members(V& v, T& r) {
  v("stage", r.at), v("kernel", r.kernel), v("short_name", r.short_name), v("raw", r.raw), v("family", r.what), v("detail", r.detail), v("rule", r.rule);
  v("total_ns", r.total), v("share_pct", r.share), v("running_share_pct", r.running_share);
  v("share_busy_pct", r.share_busy, "busy time of the stage is not known"), v("share_wall_pct", r.share_wall, "wall time of the stage is not known");
  v("launches", r.launches), v("launches_per_step", r.launches_per_step, "no step of this stage was found");
  v("mean_ns", r.mean), v("min_ns", r.min), v("p50_ns", r.p50), v("p95_ns", r.p95), v("max_ns", r.max);
  v("places", r.places), v("cpu_op", r.cpu_op), v("streams", r.streams), v("devices", r.devices), v("launch", r.launch);
  v("ranks", r.ranks, "the report is of one rank");
}
template <class V, is<std::pair<kernel::family, nanoseconds>> T> void members(V& v, T& p) { v("family", p.first), v("time_ns", p.second); }
template <class V, is<kernel::kernel_table> T> void members(V& v, T& t) {
  v("stage", t.at), v("steps", t.steps), v("events", t.events), v("total_ns", t.total), v("in_steps_ns", t.in_steps), v("busy_ns", t.busy), v("wall_ns", t.wall);
  v("hidden_rows", t.hidden_rows), v("hidden_events", t.hidden_events), v("hidden_ns", t.hidden), v("by_family", t.by_family), v("rows", t.rows);
}
template <class V, is<kernel::device_time::part> T> void members(V& v, T& p) { v("time_ns", p.time), v("gaps", p.gaps); }
template <class V, is<kernel::device_time> T> void members(V& v, T& t) {
  v("steps", t.steps), v("streams", t.streams), v("devices", t.devices), v("wall_ns", t.wall), v("busy_ns", t.busy), v("idle_ns", t.idle), v("compute_ns", t.compute), v("comm_ns", t.comm);
  v("memory_ns", t.memory), v("exposed_comm_ns", t.exposed_comm), v("exposed_in_steps_ns", t.exposed_in_steps), v("overlapped_ns", t.overlapped);
  constexpr std::string_view names[] = {"idle_host_bound", "idle_launch_latency", "idle_sync_wait", "idle_graph_gap", "idle_communication", "idle_other"};
  for (std::size_t i = 0; i < 6; ++i) v(names[i], t.idle_by[i]);
  v("unknown", t.unknown, "idle time is known");
}
template <class V, is<kernel::overlap_row> T> void members(V& v, T& r) {
  v("stage", r.at), v("priority", r.priority), v("verdict", r.verdict), v("kernel", r.kernel), v("scope", r.scope), v("signal", r.signal);
  v("dependency", r.dependency), v("recommendation", r.recommendation), v("class", r.cls), v("total_ns", r.total), v("exclusive_ns", r.exclusive);
  v("hidden_ns", r.hidden), v("hidden_by_compute_ns", r.hidden_by_compute), v("share_of_busy_pct", r.share);
  v("saving_per_step_ns", r.saving_per_step, "no bound could be derived"), v("bound", r.bound), v("inflation", r.inflation, "fewer than 20 launches alone or overlapped");
  v("partner", r.partner), v("known_family", r.known_family);
}
template <class V, is<kernel::overlap_table> T> void members(V& v, T& t) {
  v("stage", t.at), v("basis", t.basis), v("device_time", t.time), v("hidden_rows", t.hidden_rows), v("no_rows", t.no_rows), v("rows", t.rows);
  if constexpr (!std::is_const_v<T>) t.time.at = t.at;
}
template <class V, is<std::pair<std::string, double>> T> void members(V& v, T& p) { v("kernel", p.first), v("share_pct", p.second); }
template <class V, is<std::pair<std::string, kernel::condition_state>> T> void members(V& v, T& p) { v("condition", p.first), v("state", p.second); }
template <class V, is<kernel::fusion_row> T> void members(V& v, T& r) {
  v("stage", r.at), v("id", r.id), v("pattern", r.pattern), v("state", r.state), v("confidence", r.confidence), v("related_ns", r.related), v("share_pct", r.share);
  v("evidence", r.evidence), v("locations", r.locations), v("candidate", r.candidate), v("rationale", r.rationale);
  v("adjacency_pct", r.adjacency, "the kernels form no chain that repeats"), v("repetitions", r.repetitions);
  v("gain_per_step_ns", r.gain_per_step, "no bound could be derived"), v("conditions", r.conditions);
}
template <class V, is<std::pair<std::string, std::string>> T> void members(V& v, T& p) { v("source", p.first), v("text", p.second); }
template <class V, is<kernel::kernel_chain> T> void members(V& v, T& c) {
  v("kernels", c.kernels), v("location", c.location), v("related_ns", c.related), v("share_pct", c.share), v("adjacency_pct", c.adjacency), v("repetitions", c.repetitions);
  v("gain_per_step_ns", c.gain_per_step, "no bound could be derived");
}
template <class V, is<kernel::fusion_table> T> void members(V& v, T& t) {
  v("stage", t.at), v("hidden_rows", t.hidden_rows), v("similarity", t.similarity, "the exact match is conclusive, or nothing is similar"), v("rows", t.rows), v("chains", t.chains);
}
template <class V, is<kernel::cpu_row> T> void members(V& v, T& r) {
  v("op", r.op), v("calls", r.calls), v("self_ns", r.self), v("total_ns", r.total), v("share_pct", r.share);
}
template <class V, is<kernel::finding> T> void members(V& v, T& f) { v("warning", f.warning), v("text", f.text); }
template <class V, is<kernel::integrity> T> void members(V& v, T& i) {
  v("verdict", i.verdict), v("total_ns", i.total), v("in_rows_ns", i.in_rows), v("hidden_ns", i.hidden), v("left_out_ns", i.left_out), v("findings", i.findings);
}
template <class V, is<kernel::triage_report> T> void members(V& v, T& r) {
  v("mode", r.mode), v("framework", r.framework), v("framework_reason", r.framework_reason), v("mapping_framework", r.mapping_framework);
  v("inputs", r.inputs), v("mapping_inputs", r.mapping_inputs), v("capture_inputs", r.capture_inputs), v("model", r.model), v("devices", r.devices);
  v("rank", r.rank, "the trace does not tell it"), v("world_size", r.world_size, "the trace does not tell it"), v("min_share_pct", r.min_share);
  v("duration_ns", r.duration), v("integrity", r.check), v("summary", r.summary), v("coverage", r.covered);
  v("kernel_tables", r.kernels), v("overlap_tables", r.overlaps), v("fuse_tables", r.fusions), v("cpu_ops", r.cpu_ops);
  v("steps", r.steps), v("step_names", r.step_names), v("hints", r.hints), v("notes", r.notes);
}

// ---- words of enums

struct words_of_enums {};  // so that overloads declared later are found, too
inline constexpr std::string_view class_names[] = {"compute", "communication", "memory", "elementwise", "other"};  // kernel::overlap_class
inline const auto& names_of(words_of_enums, model::stage) { return model::stage_names; }
inline const auto& names_of(words_of_enums, kernel::fusion_state) { return kernel::fusion_state_names; }
inline const auto& names_of(words_of_enums, kernel::condition_state) { return kernel::condition_state_names; }
inline const auto& names_of(words_of_enums, kernel::health) { return kernel::health_names; }
inline const auto& names_of(words_of_enums, kernel::overlap_class) { return class_names; }

template <class T> inline constexpr bool is_optional = false;
template <class T> inline constexpr bool is_optional<std::optional<T>> = true;
template <class T> inline constexpr bool is_vector = false;
template <class T> inline constexpr bool is_vector<std::vector<T>> = true;
// Written over several lines; every other struct has one line.
template <class T> inline constexpr bool is_tall = is<T, kernel::triage_report> || is<T, kernel::coverage> || is<T, kernel::integrity> || is<T, kernel::kernel_table> ||
                                                   is<T, kernel::overlap_table> || is<T, kernel::fusion_table>;

struct missing_list {
  std::vector<std::pair<std::string, std::string_view>> paths;
  void add(const std::string& path, std::string_view why) {
    for (const auto& p : paths)
      if (p.first == path) return;
    paths.emplace_back(path, why);
  }
};

struct out {
  json::writer& w;
  missing_list& missing;
  std::string& path;   // of what is being written, without indices
  int indent;

  template <class T> void operator()(std::string_view name, const T& m, std::string_view why = "not a finite number") {
    const std::size_t before = path.size();
    path.append(before == 0 ? "" : ".").append(name);
    w.key(name);
    put(m, why);
    path.resize(before);
  }
  template <class T> void put(const T& m, std::string_view why) {
    if constexpr (is_optional<T>) {
      if (m) put(*m, why);
      else w.null(), missing.add(path, why);
    } else if constexpr (is_vector<T> || std::is_array_v<T>) {
      const std::size_t before = path.size();
      path += "[]";
      w.array_begin();
      for (const auto& x : m) put(x, why);
      w.array_end();
      path.resize(before);
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!__builtin_isfinite(m) || (std::is_same_v<T, float> && m < 0)) w.null(), missing.add(path, why);
      else w.value(__builtin_fabs(static_cast<double>(m)) < 1e9 ? __builtin_nearbyint(static_cast<double>(m) * 1e6) / 1e6 : static_cast<double>(m));
    } else if constexpr (std::is_same_v<T, nanoseconds>) {
      w.value(m.ns);
    } else if constexpr (std::is_same_v<T, kernel::family>) {
      w.value(kernel::family_name(m));
    } else if constexpr (std::is_enum_v<T>) {
      w.value(names_of(words_of_enums{}, m)[static_cast<std::size_t>(m)]);
    } else if constexpr (std::is_same_v<T, std::string> || std::is_arithmetic_v<T>) {
      w.value(m);
    } else if (is_tall<T> || indent == 0) {
      w.object_begin();
      members(*this, m);
      w.object_end();
    } else {
      std::string line;
      json::writer one{line};
      out inner{one, missing, path, 0};
      inner.put(m, why);
      w.raw(line);
    }
  }
};

struct in {
  json::reader& r;
  std::string_view key;
  bool& fits;

  template <class T> void operator()(std::string_view name, T& m, std::string_view = {}) {
    if (key == name) get(m);
  }
  template <class T> void get(T& m) {
    if constexpr (is_optional<T>) {
      if (r.peek() == json::kind::null) r.null(), m.reset();
      else get(m.emplace(typename std::remove_reference_t<decltype(m)>::value_type{}));  // clang 14 finds no emplace() of it
    } else if constexpr (is_vector<T>) {
      m.clear();
      fits &= r.array([&] { get(m.emplace_back()); });
    } else if constexpr (std::is_array_v<T>) {
      std::size_t i = 0;
      fits &= r.array([&] {
        if (i < std::extent_v<T>) get(m[i++]);
      });
    } else if constexpr (std::is_floating_point_v<T>) {
      double v = 0;
      if (r.peek() == json::kind::null) r.null(), m = static_cast<T>(std::is_same_v<T, float> ? -1.0 : __builtin_nan(""));
      else fits &= r.number(v), m = static_cast<T>(v);
    } else if constexpr (std::is_same_v<T, bool>) {
      fits &= r.boolean(m);
    } else if constexpr (std::is_same_v<T, nanoseconds>) {
      fits &= r.integer(m.ns);
    } else if constexpr (std::is_integral_v<T>) {
      std::int64_t v = 0;
      fits &= r.integer(v);
      const auto back = static_cast<T>(v);
      fits &= static_cast<std::int64_t>(back) == v && (v >= 0 || std::is_signed_v<T>);
      m = back;
    } else if constexpr (std::is_same_v<T, std::string> || std::is_enum_v<T>) {
      std::string_view v;
      fits &= r.string(v);
      if constexpr (std::is_same_v<T, std::string>) m = v;
      else if constexpr (std::is_same_v<T, kernel::family>) fits &= kernel::family_from_name(v, m);
      else fits &= named(v, m);
    } else {
      fits &= r.object([&](std::string_view k) {
        in inner{r, k, fits};
        members(inner, m);
      });
    }
  }
  template <class E> static bool named(std::string_view word, E& m) {
    const auto& names = names_of(words_of_enums{}, m);
    for (std::size_t i = 0; i < std::size(names); ++i)
      if (names[i] == word) return m = static_cast<E>(i), true;
    return false;
  }
};

}  // namespace detail::triage_members

HOTPATH_FN std::string json(const kernel::triage_report& r, int indent) {
  using namespace detail::triage_members;
  std::string text, path;
  missing_list missing;
  json::writer w{text, indent};
  w.object_begin();
  w.member("schema", "hotpath.triage/1");
  detail::triage_members::out all{w, missing, path, indent};
  members(all, r);
  w.key("missing");
  w.object_begin();
  for (const auto& [where, why] : missing.paths) w.member(where, why);
  w.object_end();
  w.object_end();
  return text += '\n';
}

HOTPATH_FN result<kernel::triage_report> read_triage(std::string_view text, std::string_view source) {
  kernel::triage_report r;
  json::reader reader{text};
  std::string_view schema;
  std::string named;
  bool fits = true;
  fits &= reader.object([&](std::string_view key) {
    if (key == "schema") {
      if (reader.string(schema)) named = schema;
      return;
    }
    detail::triage_members::in one{reader, key, fits};
    members(one, r);
  });
  if (!reader.finish()) return reader.failure(source);
  if (named != "hotpath.triage/1")
    return error{.code = errc::unsupported, .detail = named.empty() ? "this JSON is no kernel report: it has no \"schema\": \"hotpath.triage/1\"" : "the schema is \"" + hotpath::text::printable(named, 64) + "\", want \"hotpath.triage/1\"",
                 .source = std::string(source), .hint = "make one with: hotpath triage TRACE --json"};
  if (!fits) return reader.failure(source);
  return r;
}

}  // namespace hotpath::inline HOTPATH_ABI::report
