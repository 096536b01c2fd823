// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/merge-inl.hpp - bodies of merge.hpp.
#pragma once
#include <iterator>
#include <string_view>
#include <utility>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/trace/file_name.hpp>
#include <hotpath/trace/merge.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

// Something that happens on several ranks at once, by what it is called.
struct rendezvous {
  std::string_view what;
  std::int64_t at;
};

constexpr bool less_rendezvous(const rendezvous& a, const rendezvous& b) { return a.what != b.what ? a.what < b.what : a.at < b.at; }

// Words of kernels after which all ranks of a group are done at the same time. Broadcasts and sends are not: the source is done first.
inline bool is_collective(std::string_view name) {
  if (name.find("nccl") == std::string_view::npos && name.find("rccl") == std::string_view::npos && name.find("cross_device_reduce") == std::string_view::npos) return false;
  for (const std::string_view word : {"AllReduce", "AllGather", "ReduceScatter", "AllToAll", "cross_device_reduce"})
    if (name.find(word) != std::string_view::npos) return true;
  return false;
}

inline std::vector<rendezvous> collectives_of(const model::timeline& t) {
  std::vector<rendezvous> out;
  for (const model::gpu_event& e : t.gpu) {
    if (e.kind != model::gpu_kind::kernel) continue;
    const std::string_view told = e.detail < t.details.size() ? t.name(t.details[e.detail].collective) : std::string_view{};
    const bool one_sided = told.find("broadcast") != std::string_view::npos || told.find("send") != std::string_view::npos || told.find("recv") != std::string_view::npos;
    if (!told.empty() && !one_sided) out.push_back({told, e.end().ns});
    else if (told.empty() && is_collective(t.name(e.name))) out.push_back({t.name(e.name), e.end().ns});
  }
  sort_in_place(out, less_rendezvous);
  return out;
}

inline std::vector<rendezvous> steps_of(const model::timeline& t) {
  std::vector<rendezvous> out;
  for (const model::annotation& e : t.annotations)
    if (e.kind == model::annotation_kind::user || e.kind == model::annotation_kind::push_pop) out.push_back({t.name(e.name), e.begin.ns});
  sort_in_place(out, less_rendezvous);
  return out;
}

inline std::int64_t median(std::vector<std::int64_t> v) {
  sort_in_place(v, [](std::int64_t a, std::int64_t b) { return a < b; });
  return v[v.size() / 2];
}
constexpr std::int64_t minus(std::int64_t a, std::int64_t b) { return (nanoseconds{a} - nanoseconds{b}).ns; }  // as far as 64 bits go
constexpr std::int64_t distance(std::int64_t a, std::int64_t b) { return a > b ? minus(a, b) : minus(b, a); }
inline std::int64_t spread(const std::vector<std::int64_t>& v, std::int64_t middle) {
  std::vector<std::int64_t> d;
  for (const std::int64_t x : v) d.push_back(distance(x, middle));
  return median(std::move(d));
}

struct matches {
  std::vector<std::int64_t> differences;   // there - here, of what both have
  bool ambiguous = false;                  // captures of different length that fit in more than one way
  bool assumed = false;                    // they fit as if captured at the same moment, and in another way as well
};

// The k-th of `a` equal ones there, the k-th of `b` here; lag: how many more of them lie before the first pair there than here.
inline std::vector<std::int64_t> differences(const rendezvous* there, std::size_t a, const rendezvous* here, std::size_t b, std::ptrdiff_t lag) {
  constexpr std::size_t most_pairs = 4096;
  const std::size_t x = lag > 0 ? static_cast<std::size_t>(lag) : 0, y = lag < 0 ? static_cast<std::size_t>(-lag) : 0;
  std::vector<std::int64_t> d;
  for (std::size_t k = 0; k < most_pairs && x + k < a && y + k < b; ++k) d.push_back(minus(there[x + k].at, here[y + k].at));
  return d;
}

// The k-th of a name there belongs to the k-th here, where the captures began and ended at the same moments. Where not, the lag that makes the differences
// most alike is right, if there is one that does. Tried are those that leave nobody of the shorter side alone, and, as far as at least half of it
// remains, those beyond. `expected`: what the differences should be near to, where known: it decides among the lags that fit equally well.
inline matches match(const std::vector<rendezvous>& there, const std::vector<rendezvous>& here, std::optional<std::int64_t> expected) {
  constexpr std::size_t most_lags = 64, most_beyond = 32;
  struct fit {
    std::ptrdiff_t lag;
    std::int64_t spread, middle;
    bool inside;
  };
  const auto good = [](std::int64_t apart, std::int64_t best) { return apart / 2 <= (nanoseconds{best} + nanoseconds{500}).ns; };  // a microsecond is nothing between two GPUs
  matches out;
  for (std::size_t i = 0, j = 0; i < there.size() && j < here.size();) {
    if (there[i].what != here[j].what) {
      if (there[i].what < here[j].what) ++i;
      else ++j;
      continue;
    }
    std::size_t ei = i, ej = j;
    while (ei < there.size() && there[ei].what == there[i].what) ++ei;
    while (ej < here.size() && here[ej].what == here[j].what) ++ej;
    const std::size_t a = ei - i, b = ej - j, shorter = a < b ? a : b, longer = a < b ? b : a;
    const std::size_t least = (std::max)(std::size_t{3}, (shorter + 1) / 2), beyond = shorter > least ? (std::min)(shorter - least, most_beyond) : 0;
    const auto inner = static_cast<std::ptrdiff_t>((std::min)(longer - shorter, most_lags - 1)), outer = static_cast<std::ptrdiff_t>(beyond);
    std::vector<fit> fits;
    std::int64_t best = INT64_MAX, best_inside = INT64_MAX;
    for (std::ptrdiff_t n = -outer; n <= inner + outer; ++n) {
      const std::ptrdiff_t lag = a < b ? -n : n;
      const std::vector<std::int64_t> d = differences(&there[i], a, &here[j], b, lag);
      const std::int64_t middle = median(d);
      fits.push_back({lag, spread(d, middle), middle, n >= 0 && n <= inner});
      best = (std::min)(best, fits.back().spread);
      if (fits.back().inside) best_inside = (std::min)(best_inside, fits.back().spread);
    }
    const bool inside = !expected && good(best_inside, best);
    const fit* chosen = nullptr;
    std::size_t as_good = 0;
    for (const fit& f : fits) {
      if (!good(f.spread, inside ? best_inside : best)) continue;
      if (inside && !f.inside) {
        out.assumed = true;
        continue;
      }
      ++as_good;
      const auto badness = [&](const fit& x) { return expected ? distance(x.middle, *expected) : x.spread; };
      if (chosen == nullptr || badness(f) < badness(*chosen) || (badness(f) == badness(*chosen) && f.inside && !chosen->inside)) chosen = &f;
    }
    // One pair has no spread: nothing tells a right lag from a wrong one. Nor does a second lag that fits almost as well.
    if (!expected && (longer != shorter || !inside) && (shorter < 3 || as_good > 1)) {
      out.ambiguous = true;
    } else {
      const std::vector<std::int64_t> d = differences(&there[i], a, &here[j], b, chosen->lag);
      out.differences.insert(out.differences.end(), d.begin(), d.end());
    }
    i = ei, j = ej;
  }
  return out;
}

struct span_of_time {
  std::int64_t begin = INT64_MAX, end = INT64_MIN;
};
// Of the work on devices, or of everything where there is none.
inline span_of_time span_of(const model::timeline& t) {
  span_of_time s;
  const auto look = [&](const auto& events) {
    for (const auto& e : events) {
      if (e.begin.ns < s.begin) s.begin = e.begin.ns;
      if (e.end().ns > s.end) s.end = e.end().ns;
    }
  };
  look(t.gpu);
  if (t.gpu.empty()) look(t.api), look(t.ops), look(t.annotations), look(t.frames);
  return s;
}

// 12.3 ms, 4.2 s: for messages.
inline std::string say_time(std::int64_t ns) {
  const std::int64_t size = ns < 0 ? -(ns + 1) : ns;
  const auto [unit, word] = size >= 1'000'000'000 ? std::pair<std::int64_t, const char*>{1'000'000'000, " s"} : size >= 1'000'000 ? std::pair<std::int64_t, const char*>{1'000'000, " ms"} : std::pair<std::int64_t, const char*>{1000, " us"};
  const std::int64_t tenths = ns / (unit / 10);
  std::string out = tenths < 0 ? "-" : "";
  const std::int64_t t = tenths < 0 ? -tenths : tenths;
  return out.append(std::to_string(t / 10)).append(".").append(std::to_string(t % 10)).append(word);
}

inline bool shift_all(model::timeline& t, std::int64_t shift) {
  bool fits = true;
  const auto move = [&](auto& events) {
    for (auto& e : events) fits = !__builtin_add_overflow(e.begin.ns, shift, &e.begin.ns) && fits;
  };
  move(t.gpu), move(t.api), move(t.ops), move(t.frames), move(t.annotations), move(t.syncs);
  return fits;
}

// Appends a part whose times are on `to`'s clock already.
inline void append(model::timeline& to, model::timeline&& from) {
  const std::uint64_t refused = to.names.refused();
  std::vector<name_id> names(from.names.size());
  for (name_id i = 0; i < names.size(); ++i) names[i] = to.names.intern(from.names[i]);
  to.count(model::trace_fault::too_many_names, {}, "names of all parts together are more than the limit", to.names.refused() - refused);
  const auto text = [&](name_id& n) { n = n < names.size() ? names[n] : 0; };
  const auto tracks = static_cast<std::uint32_t>(to.tracks.size()), details = static_cast<std::uint32_t>(to.details.size());
  const auto processes = static_cast<std::uint16_t>(to.processes.size());
  const auto track = [&](std::uint32_t& k) { if (k != model::no_index) k += tracks; };
  const auto detail = [&](std::uint32_t& d) { d = d == 0 ? 0 : d - 1 + details; };
  const auto of_process = [&](std::uint16_t& p) { p = static_cast<std::uint16_t>(p + processes); };

  for (model::process& p : from.processes) text(p.pid), text(p.name), text(p.label), to.processes.push_back(std::move(p));
  if (to.processes.size() == processes) to.processes.emplace_back();
  for (model::device& d : from.devices) of_process(d.process), to.devices.push_back(std::move(d));
  for (model::track& k : from.tracks) text(k.pid), text(k.tid), text(k.name), of_process(k.process), to.tracks.push_back(k);
  for (std::size_t i = 1; i < from.details.size(); ++i) {
    model::gpu_detail d = from.details[i];
    text(d.collective), text(d.group), text(d.dtype), to.details.push_back(d);
  }
  const auto by_name = [&](std::vector<name_id>& into, const std::vector<name_id>& had) {
    for (std::size_t i = 0; i < had.size() && i < names.size(); ++i) {
      if (had[i] == 0 || had[i] >= names.size()) continue;
      if (into.size() <= names[i]) into.resize(std::size_t{names[i]} + 1);
      into[names[i]] = names[had[i]];
    }
  };
  by_name(to.short_names, from.short_names), by_name(to.mangled_names, from.mangled_names);

  for (model::gpu_event e : from.gpu) text(e.name), track(e.track), detail(e.detail), of_process(e.process), to.gpu.push_back(e);
  from.gpu = {};
  for (model::api_call e : from.api) text(e.name), text(e.kernel), track(e.track), detail(e.detail), to.api.push_back(e);
  from.api = {};
  for (model::cpu_op e : from.ops) text(e.name), track(e.track), to.ops.push_back(e);
  from.ops = {};
  for (model::frame e : from.frames) text(e.name), track(e.track), to.frames.push_back(e);
  from.frames = {};
  for (model::annotation e : from.annotations) text(e.name), text(e.domain), track(e.track), to.annotations.push_back(e);
  from.annotations = {};
  for (model::sync_event e : from.syncs) text(e.name), track(e.track), of_process(e.process), to.syncs.push_back(e);
  from.syncs = {};

  model::trace_about &a = to.about, &b = from.about;
  a.file_bytes += b.file_bytes, a.text_bytes += b.text_bytes, a.events += b.events;
  if (a.format != b.format) a.format = model::trace_format::none;
  const auto add = [](auto& into, const auto& more) {
    for (const auto& [key, n] : more) {
      auto at = into.begin();
      while (at != into.end() && at->first != key) ++at;
      if (at == into.end()) into.emplace_back(key, n);
      else at->second += n;
    }
  };
  add(a.by_phase, b.by_phase), add(a.by_category, b.by_category);
  a.with_stack = a.with_stack || b.with_stack, a.record_shapes = a.record_shapes || b.record_shapes;
  for (const model::trace_loss& l : from.lost) to.count(l.fault, l.first_byte, std::string(base_name(b.file)).append(b.file.empty() || l.note.empty() ? "" : ": ").append(l.note), l.count);
}

}  // namespace detail

HOTPATH_FN result<merged> merge(std::vector<model::timeline> parts, const merge_options& o) {
  if (parts.size() < 2) return error{.code = errc::usage, .detail = "one trace alone cannot be merged, want two or more"};
  merged out;
  const std::size_t n = parts.size();
  std::size_t processes = 0;
  for (const model::timeline& p : parts) processes += p.processes.empty() ? 1 : p.processes.size();
  if (processes > UINT16_MAX) return error{.code = errc::over_limit, .detail = "more than 65,535 processes"};
  for (const model::timeline& p : parts) {
    const bool told = !p.processes.empty();
    out.clocks.push_back({.source = told && !p.processes[0].source.empty() ? p.processes[0].source : std::string(base_name(p.about.file)), .rank = told ? p.processes[0].rank : std::nullopt, .shift = {}, .matched = 0, .matched_by = {}, .residual_median = {}, .residual_max = {}});
  }
  const auto called = [&](std::size_t i) { return out.clocks[i].source.empty() ? "part " + std::to_string(i + 1) : out.clocks[i].source; };
  const auto refuse = [&](std::string detail, std::string hint) { return error{.code = errc::unsupported, .detail = std::move(detail), .source = called(0), .hint = std::move(hint)}; };
  const auto offset = [&](std::size_t i) { return parts[i].processes.empty() ? std::optional<nanoseconds>() : parts[i].processes[0].unix_offset; };

  // What the files say of their clocks.
  const std::string request = "align them by what happened on both: --align collective, or --align step";
  std::size_t with = n, without = n, epoch = n, based = n;
  for (std::size_t i = n; i-- > 0;) {
    (offset(i) ? with : without) = i;
    if (offset(i)) (offset(i)->ns == 0 ? epoch : based) = i;
  }
  if (o.align == alignment::none || o.align == alignment::unix_time) {
    if (with == n) return refuse("no trace tells the Unix time of its clock, so the clocks cannot be compared", request);
    if (without != n) return refuse(called(with) + " tells the Unix time of its clock, " + called(without) + " does not: their times cannot be compared", request);
    if (o.align == alignment::none && epoch != n && based != n)
      return refuse(called(based) + " has a base time, the times of " + called(epoch) + " are Unix times without one: written by different profilers, perhaps not comparable", "--align unix_time takes both as they are; " + request);
  }

  const auto there = o.align == alignment::step ? detail::steps_of(parts[0]) : detail::collectives_of(parts[0]);
  const detail::span_of_time first = detail::span_of(parts[0]);
  for (std::size_t i = 1; i < n; ++i) {
    clock_check& c = out.clocks[i];
    const auto here = o.align == alignment::step ? detail::steps_of(parts[i]) : detail::collectives_of(parts[i]);
    std::int64_t shift = 0;
    const bool by_unix = o.align == alignment::none || o.align == alignment::unix_time;
    if (by_unix && __builtin_sub_overflow(offset(i)->ns, offset(0)->ns, &shift)) return refuse("the base time of " + called(i) + " is beyond 64 bits", request);
    std::optional<std::int64_t> expected;   // what the base times say, where both are of one kind
    if (by_unix) expected = shift;
    else if (offset(0) && offset(i) && (offset(0)->ns == 0) == (offset(i)->ns == 0)) expected = detail::minus(offset(i)->ns, offset(0)->ns);
    detail::matches m = detail::match(there, here, expected);
    c.matched = m.differences.size();
    if (c.matched != 0) c.matched_by = o.align == alignment::step ? "steps" : "collectives";
    if (!by_unix) {
      const std::string what = o.align == alignment::step ? "annotation" : "collective";
      if (c.matched == 0 && m.ambiguous) return refuse(called(i) + " and " + called(0) + " were captured at different moments, and their " + what + "s fit in more than one way", "capture the same steps on all ranks");
      if (c.matched == 0) return refuse(called(i) + " has no " + what + " in common with " + called(0), o.align == alignment::step ? "try --align collective" : "try --align step");
      shift = detail::median(m.differences);
      const std::string by = called(i) + " and " + called(0) + ": by their " + what + "s";
      if (expected && detail::distance(shift, *expected) > o.tolerance.ns) out.notes.push_back(by + " the clocks differ by " + detail::say_time(shift) + ", by their base times " + detail::say_time(*expected) + ".");
      if (m.assumed) out.notes.push_back(by + " they fit in more than one way, and were taken as captured at the same moment.");
    }
    c.shift = nanoseconds{shift};
    if (c.matched != 0) {
      std::int64_t most = 0;
      for (const std::int64_t d : m.differences) if (detail::distance(d, shift) > most) most = detail::distance(d, shift);
      c.residual_median = nanoseconds{detail::spread(m.differences, shift)}, c.residual_max = nanoseconds{most};
    }
    const bool agree = !c.residual_median || *c.residual_median <= o.tolerance;
    const std::string apart = agree ? std::string() : called(i) + " and " + called(0) + ": " + std::to_string(c.matched) + " common " + c.matched_by + " are " + detail::say_time(c.residual_median->ns) + " apart (median)";
    if (o.align == alignment::none && !agree) return refuse("the clocks do not agree. " + apart + ", more than " + detail::say_time(o.tolerance.ns), request);
    if (!agree) out.notes.push_back(apart + (by_unix ? " by their base times: compare their times with care." : " after the alignment: compare their times with care."));
    if (!c.residual_median) {
      const detail::span_of_time s = detail::span_of(parts[i]);
      const nanoseconds begin = nanoseconds{s.begin} + c.shift, end = nanoseconds{s.end} + c.shift;
      const bool apart_in_time = s.begin <= s.end && first.begin <= first.end && (begin.ns > first.end || end.ns < first.begin);
      if (apart_in_time && o.align == alignment::none) {
        const std::int64_t gap = begin.ns > first.end ? detail::minus(begin.ns, first.end) : detail::minus(first.begin, end.ns);
        return refuse("the work of " + called(i) + " and " + called(0) + " does not overlap: " + detail::say_time(gap) + " lie between; different runs, or clocks that differ", "--align unix_time merges them all the same; " + request);
      }
      out.notes.push_back(called(i) + " has no collective in common with " + called(0) + ": its clock was taken from its base time and could not be verified.");
    }
    if (shift == INT64_MIN || shift == INT64_MAX || !detail::shift_all(parts[i], shift)) return refuse("times of " + called(i) + " are beyond 64 bits on the clock of " + called(0), "these files do not belong together");
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (out.clocks[i].rank && out.clocks[i].rank == out.clocks[k].rank) out.notes.push_back(called(i) + " and " + called(k) + " are both of rank " + std::to_string(*out.clocks[i].rank) + ".");

  const auto unix_offset = offset(0);
  for (std::size_t i = 0; i < n; ++i) {
    if (parts[i].processes.empty()) parts[i].processes.emplace_back();
    for (model::process& p : parts[i].processes) {
      p.clock = o.align == alignment::none || o.align == alignment::unix_time ? model::clock_kind::unix_time : i == 0 ? p.clock : model::clock_kind::aligned;
      p.shift += out.clocks[i].shift;
      p.unix_offset = unix_offset;
    }
  }
  out.trace = std::move(parts[0]);
  for (std::size_t i = 1; i < n; ++i) {
    detail::append(out.trace, std::move(parts[i]));
    parts[i] = {};
  }
  out.trace.about.rank.reset();
  out.trace.about.file += " and " + std::to_string(n - 1) + " more";
  out.trace.sort();
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
