// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/slice-inl.hpp - bodies of slice.hpp.
#pragma once
#include <string_view>
#include <hotpath/core/sort.hpp>
#include <hotpath/trace/detail/links.hpp>
#include <hotpath/trace/slice.hpp>
#include <hotpath/trace/torch.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

HOTPATH_FN time_range after_first_gpu(const model::timeline& t, time_range relative) {
  std::int64_t first = INT64_MAX;
  for (const model::gpu_event& e : t.gpu) if (e.begin.ns < first) first = e.begin.ns;
  if (t.gpu.empty()) detail::each_interval(t, [&](nanoseconds begin, nanoseconds) { if (begin.ns < first) first = begin.ns; });
  if (first == INT64_MAX) first = 0;
  return {nanoseconds{first} + relative.begin, nanoseconds{first} + relative.end};
}

namespace detail {

// The one word for all that a file may call a class of events; what has no class keeps its own.
inline std::string_view category_name(event_class what, bool driver, std::string_view text) {
  using enum event_class;
  switch (what) {
    case kernel: return category_name(model::gpu_kind::kernel);
    case copy: return category_name(model::gpu_kind::copy);
    case set: return category_name(model::gpu_kind::set);
    case api: return api_category(driver);
    case op: return "cpu_op";
    case frame: return "python_function";
    case annotation: return "user_annotation";
    case gpu_annotation: return "gpu_user_annotation";
    case sync: return "cuda_sync";
    case other: break;
  }
  return text;
}

HOTPATH_FN slicer::slicer(const model::timeline& t, const selection& s) : t_(t), selection_(s) {
  for (const model::process& p : t.processes) fits_.push_back(!s.rank || p.rank == s.rank);
  for (const std::string& c : s.categories) {
    const std::string lower = text::lower(c);
    const event_class as_written = class_of(c);
    categories_.emplace_back(category_name(as_written == event_class::other ? class_of(lower) : as_written, lower.ends_with("_driver"), c));
  }
  if (s.steps) for (const host_range& r : *s.steps) if (r.begin <= r.end) ranges_.push_back(r);
  sort_in_place(ranges_, [](const host_range& a, const host_range& b) { return a.process != b.process ? a.process < b.process : a.begin < b.begin; });
  std::size_t apart = 0;
  for (const host_range& r : ranges_) {
    if (apart != 0 && ranges_[apart - 1].process == r.process && r.begin <= ranges_[apart - 1].end) {
      if (ranges_[apart - 1].end < r.end) ranges_[apart - 1].end = r.end;
    } else {
      ranges_[apart++] = r;
    }
  }
  ranges_.resize(apart);
  const rows<launch_link> links = launch_links(t);
  gpu_kept_.resize(t.gpu.size());
  std::vector<bool> launched(s.steps ? t.gpu.size() : 0);
  if (s.steps)
    for (const launch_link& l : links) launched[l.gpu] = in_steps(t.api[l.api].begin.ns, t.api[l.api].begin.ns, t.gpu[l.gpu].process);
  for (std::size_t i = 0; i < t.gpu.size(); ++i) {
    const model::gpu_event& e = t.gpu[i];
    gpu_kept_[i] = rank_fits(e.process) && in_time(e.begin.ns, e.end().ns) && (!s.steps || launched[i]);
    if (!gpu_kept_[i]) continue;
    if (e.begin.ns < gpu_begin_) gpu_begin_ = e.begin.ns;
    if (e.end().ns > gpu_end_) gpu_end_ = e.end().ns;
    if (e.correlation != model::no_id) correlations_.push_back({e.process, e.correlation});
    if (e.external != model::no_id) externals_.push_back({e.process, e.external});
  }
  for (const launch_link& l : links) {
    if (!gpu_kept_[l.gpu]) continue;
    const model::api_call& a = t.api[l.api];
    points_.push_back({a.track, a.begin.ns});
    if (a.external != model::no_id) externals_.push_back({t.gpu[l.gpu].process, a.external});
  }
  const auto by_id = [](const id& a, const id& b) { return a.process != b.process ? a.process < b.process : a.value < b.value; };
  sort_in_place(correlations_, by_id);
  sort_in_place(externals_, by_id);
  for (const model::cpu_op& o : t.ops)  // an operator that a kept event names: what is around it stays, too
    if (o.external != model::no_id && has(externals_, t.process_of(o.track), o.external)) points_.push_back({o.track, o.begin.ns});
  sort_in_place(points_, [](const point& a, const point& b) { return a.track != b.track ? a.track < b.track : a.at < b.at; });

  for (std::size_t i = 0; i < t.tracks.size(); ++i) {
    const model::track& k = t.tracks[i];
    key_.assign(t.name(k.pid));
    const name_id pid = places_.intern(key_);
    if (pid >= place_of_.size()) place_of_.resize(std::size_t{pid} + 1, place{0, 0, model::no_index, k.process});
    key_.append("\x1f").append(t.name(k.tid));
    const name_id both = places_.intern(key_);
    if (both >= place_of_.size()) place_of_.resize(std::size_t{both} + 1);
    place_of_[both] = {k.pid, k.tid, static_cast<std::uint32_t>(i), k.process};
  }
}

HOTPATH_FN bool slicer::category_fits(std::string_view category) const {
  if (categories_.empty()) return true;
  for (const std::string& c : categories_) if (text::equal_ignoring_case(c, category)) return true;
  return false;
}

// An event of duration 0 overlaps the range that it begins in. Everything overlaps where nothing is asked for.
constexpr bool meets(std::int64_t begin, std::int64_t end, nanoseconds from, nanoseconds to) { return begin < to.ns && (end > from.ns || begin >= from.ns); }
HOTPATH_FN bool slicer::in_time(std::int64_t begin, std::int64_t end) const { return !selection_.time || meets(begin, end, selection_.time->begin, selection_.time->end); }
HOTPATH_FN bool slicer::in_steps(std::int64_t begin, std::int64_t end, std::uint16_t process) const {
  if (!selection_.steps) return true;
  const host_range *const last = ranges_.data() + ranges_.size(),
                   *const r = find_first_not(ranges_.data(), last, [=](const host_range& x) { return x.process < process || (x.process == process && x.end.ns <= begin); });
  return r != last && r->process == process && meets(begin, end, r->begin, r->end);
}

HOTPATH_FN bool slicer::has(const std::vector<id>& ids, std::uint16_t process, std::uint64_t value) const {
  const id *const end = ids.data() + ids.size(),
           *const at = find_first_not(ids.data(), end, [=](const id& k) { return k.process < process || (k.process == process && k.value < value); });
  return at != end && at->process == process && at->value == value;
}

HOTPATH_FN bool slicer::around_kept(std::uint32_t track, std::int64_t begin, std::int64_t end) const {
  const point *const last = points_.data() + points_.size(),
              *const p = find_first_not(points_.data(), last, [=](const point& x) { return x.track < track || (x.track == track && x.at < begin); });
  return p != last && p->track == track && p->at <= end;
}

template <class E>
bool slicer::around(const E& e) const {
  const std::uint16_t p = t_.process_of(e.track);
  return rank_fits(p) && (overlaps(e.begin.ns, e.end().ns, p) || around_kept(e.track, e.begin.ns, e.end().ns));
}
HOTPATH_FN bool slicer::host(const model::api_call& e) const {
  const std::uint16_t p = t_.process_of(e.track);
  return rank_fits(p) && (overlaps(e.begin.ns, e.end().ns, p) || (e.correlation != model::no_id && has(correlations_, p, e.correlation)));
}
HOTPATH_FN bool slicer::host(const model::cpu_op& e) const { return around(e) || (e.external != model::no_id && rank_fits(t_.process_of(e.track)) && has(externals_, t_.process_of(e.track), e.external)); }
HOTPATH_FN bool slicer::host(const model::annotation& e) const {
  if (e.kind != model::annotation_kind::gpu_user) return around(e);
  return rank_fits(t_.process_of(e.track)) && on_gpu(e.begin.ns, e.end().ns);
}
HOTPATH_FN bool slicer::sync(const model::sync_event& e) const {
  return rank_fits(e.process) && on_gpu(e.begin.ns, e.end().ns);
}

HOTPATH_FN model::timeline slicer::timeline() const {
  model::timeline out;
  out.names = t_.names, out.details = t_.details, out.short_names = t_.short_names, out.mangled_names = t_.mangled_names;
  out.tracks = t_.tracks, out.processes = t_.processes, out.devices = t_.devices, out.about = t_.about, out.lost = t_.lost;
  out.about.by_phase.clear(), out.about.by_category.clear();
  for (std::size_t i = 0; i < t_.gpu.size(); ++i)
    if (gpu_kept_[i] && category_fits(category_name(t_.gpu[i].kind))) out.gpu.push_back(t_.gpu[i]);
  for (const model::api_call& e : t_.api) {
    if (host(e) && category_fits(api_category(is_driver_call(t_.name(e.name))))) out.api.push_back(e);
  }
  const bool ops = category_fits("cpu_op"), frames = category_fits("python_function"), syncs = category_fits("cuda_sync");
  if (ops) for (const model::cpu_op& e : t_.ops) if (host(e)) out.ops.push_back(e);
  if (frames) for (const model::frame& e : t_.frames) if (around(e)) out.frames.push_back(e);
  for (const model::annotation& e : t_.annotations)
    if (host(e) && category_fits(e.kind == model::annotation_kind::gpu_user ? "gpu_user_annotation" : "user_annotation")) out.annotations.push_back(e);
  if (syncs) for (const model::sync_event& e : t_.syncs) if (sync(e)) out.syncs.push_back(e);
  out.about.events = out.gpu.size() + out.api.size() + out.ops.size() + out.frames.size() + out.annotations.size() + out.syncs.size();
  out.sort();
  return out;
}

// The track and process of an event as it stands in the file.
HOTPATH_FN slicer::place slicer::where(const event_view& e) {
  key_.assign(e.pid);
  key_.append("\x1f").append(e.tid);
  if (const name_id both = places_.find(key_); both != 0) return place_of_[both];
  if (const name_id pid = places_.find(e.pid); pid != 0) return {0, 0, model::no_index, place_of_[pid].process};
  return {0, 0, model::no_index, 0};
}

struct raw_ids {
  std::uint64_t correlation = model::no_id, external = model::no_id, flow = model::no_id;
};
inline raw_ids ids_of(std::string_view raw) {
  raw_ids ids;
  json::reader in(raw, json::mode::tolerant_text);
  in.object([&](std::string_view key) {
    if (key == "id") static_cast<void>(read_id(in, ids.flow));
    else if (key == "args") in.object([&](std::string_view k) {
      if (k == "correlation") static_cast<void>(read_id(in, ids.correlation));
      else if (k == "External id" || k == "external id") static_cast<void>(read_id(in, ids.external));
    });
  });
  return ids;
}

HOTPATH_FN bool slicer::keep(const event_view& e) {
  const place at = where(e);
  if (!rank_fits(at.process)) return false;
  if (e.phase == 'M') return true;
  using enum event_class;
  const event_class what = class_of(e.category);
  if (!category_fits(category_name(what, is_driver_call(e.name), e.category))) return false;
  const std::int64_t begin = e.ts ? e.ts->ns : 0, end = (nanoseconds{begin} + e.dur.value_or(nanoseconds{})).ns;
  const bool is_gpu = e.phase == 'X' && (what == kernel || what == copy || what == set);
  if (whole()) return gpu += is_gpu, true;
  if (!e.ts) return false;
  if (e.phase == 's' || e.phase == 'f' || e.phase == 't') return has(correlations_, at.process, ids_of(e.raw).flow);
  if (e.phase != 'X') return overlaps(begin, end, at.process);
  if (is_gpu) {
    const bool kept = in_time(begin, end) && (!selection_.steps || has(correlations_, at.process, ids_of(e.raw).correlation));
    gpu += kept;
    return kept;
  }
  if (what == sync || what == gpu_annotation) return on_gpu(begin, end);
  if (overlaps(begin, end, at.process)) return true;
  if (what == api) return has(correlations_, at.process, ids_of(e.raw).correlation);
  if (what == op && has(externals_, at.process, ids_of(e.raw).external)) return true;
  return (what == op || what == frame || what == annotation) && around_kept(at.track, begin, end);
}

}  // namespace detail

HOTPATH_FN model::timeline slice(const model::timeline& t, const selection& s) { return detail::slicer(t, s).timeline(); }

}  // namespace hotpath::inline HOTPATH_ABI::trace
