// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/compare-inl.hpp - bodies of kernel/compare.hpp.
#pragma once
#include <math.h>
#include <algorithm>
#include <cstdio>
#include <hotpath/core/bootstrap.hpp>
#include <hotpath/kernel/compare.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/kernel/table-inl.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace compared {

inline constexpr double z95 = 1.959963984540054;

inline void judge(change& c, double margin) {
  if (!c.ci || !c.relative) return;
  c.what = c.ci->lo > margin    ? change_verdict::worse
           : *c.ci->hi < -margin ? change_verdict::better
           : c.ci->lo >= -margin && *c.ci->hi <= margin ? change_verdict::same
                                                        : change_verdict::inconclusive;
}

// One side of a stage: its steps as units, and what of each event goes where.
struct side {
  const subject* s = nullptr;
  std::vector<std::uint8_t> matched;        // by process: looked at
  std::vector<std::uint32_t> unit_of;       // by step: no_index where it is not looked at
  std::size_t units = 0, processes = 0, left_out = 0;
  std::vector<std::uint32_t> events;        // of the units, in the order of the timeline
  std::vector<double> spans, busy;          // by unit
  std::optional<double> requests, tokens;   // mean per step
  nanoseconds total;                        // of all events of the stage, in steps or not
};

inline int rank_of(const subject& s, std::size_t process) {  // -1: not told
  return process < s.trace->processes.size() && s.trace->processes[process].rank ? *s.trace->processes[process].rank : -1;
}

inline side side_of(const subject& s, stage at, const std::vector<std::uint8_t>& matched) {
  side out;
  out.s = &s, out.matched = matched;
  const auto& all = s.steps.steps;
  std::vector<std::uint8_t> used(all.size());
  for (const std::uint32_t i : s.chosen) {
    const model::gpu_event& e = s.trace->gpu[i];
    if (tables::stage_at(s, i) != at || e.process >= matched.size() || matched[e.process] == 0) continue;
    out.total += nanoseconds{(std::max)(e.duration.ns, std::int64_t{0})};
    if (const std::uint32_t step = tables::at_or_none(s.steps.step_of, i); step < used.size()) used[step] = 1;
  }
  // The k-th step of each process is unit k; what only some of them have is left out.
  std::vector<std::size_t> next(matched.size());
  std::vector<std::uint32_t> ordinal(all.size(), no_index);
  for (std::size_t i = 0; i < all.size(); ++i)
    if (used[i] != 0 && all[i].process < next.size()) ordinal[i] = static_cast<std::uint32_t>(next[all[i].process]++);
  out.units = SIZE_MAX;
  std::size_t most = 0;
  for (std::size_t p = 0; p < matched.size(); ++p)
    if (matched[p] != 0 && next[p] != 0) ++out.processes, out.units = (std::min)(out.units, next[p]), most = (std::max)(most, next[p]);
  if (out.processes == 0) return out.units = 0, out;
  out.left_out = most - out.units;
  out.unit_of.assign(all.size(), no_index);
  double requests = 0, tokens = 0;
  std::size_t steps = 0, with_requests = 0, with_tokens = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (ordinal[i] >= out.units) continue;
    out.unit_of[i] = ordinal[i], ++steps;
    const auto count = [](const std::optional<std::int64_t>& x, const std::optional<std::int64_t>& y, double& sum, std::size_t& n) {
      if (x || y) ++n, sum += static_cast<double>(x.value_or(0)) + static_cast<double>(y.value_or(0));
    };
    count(all[i].context_requests, all[i].generation_requests, requests, with_requests);
    count(all[i].context_tokens, all[i].generation_tokens, tokens, with_tokens);
  }
  if (with_requests == steps) out.requests = requests / static_cast<double>(steps);
  if (with_tokens == steps) out.tokens = tokens / static_cast<double>(steps);

  // Events come by process, device and begin, so that the union of a step needs its last end alone; a device begins anew.
  struct extent { nanoseconds begin{INT64_MAX}, end{INT64_MIN}, busy{}; running_union covered; std::uint32_t device = no_index; };
  std::vector<extent> of(all.size());
  for (const std::uint32_t i : s.chosen) {
    const std::uint32_t step = tables::at_or_none(s.steps.step_of, i);
    if (step >= all.size() || out.unit_of[step] == no_index || tables::stage_at(s, i) != at) continue;
    out.events.push_back(i);
    const interval e = tables::span_of(s.trace->gpu[i]);
    extent& x = of[step];
    x.begin = (std::min)(x.begin, e.begin), x.end = (std::max)(x.end, e.end);
    if (x.device != s.trace->gpu[i].device) x.device = s.trace->gpu[i].device, x.covered = {};
    x.busy += x.covered.add(e);
  }
  out.spans.assign(out.units, 0), out.busy.assign(out.units, 0);
  std::vector<running_union> until(matched.size());  // work of a step may still run when the next one's begins: no time is counted twice
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool here = of[i].begin < of[i].end;         // else a step of another stage, whose time is not the next one's either
    if (all[i].process >= until.size() || (!here && all[i].events == 0)) continue;
    const nanoseconds own = until[all[i].process].add(here ? interval{of[i].begin, of[i].end} : interval{all[i].gpu_begin, all[i].gpu_end});
    if (out.unit_of[i] == no_index) continue;
    out.spans[out.unit_of[i]] += static_cast<double>(own.ns) / static_cast<double>(out.processes);
    out.busy[out.unit_of[i]] += static_cast<double>(of[i].busy.ns) / static_cast<double>(out.processes);
  }
  return out;
}

// The events of a side by a key: time per unit of any of them.
struct keyed {
  const side* from;
  tables::groups by;
  std::vector<nanoseconds> total;
  nanoseconds all;

  keyed(const side& v, const std::vector<std::uint32_t>& key_of_identity, std::uint32_t keys) : from(&v), total(keys) {
    std::vector<std::uint32_t> key;
    key.reserve(v.events.size());
    for (const std::uint32_t i : v.events) {
      key.push_back(key_of_identity[v.s->identity_of[i]]);
      const nanoseconds d{(std::max)(v.s->trace->gpu[i].duration.ns, std::int64_t{0})};
      total[key.back()] += d, all += d;
    }
    by = tables::group(key, keys);
  }
  std::uint64_t launches(std::uint32_t key) const { return by.first[std::size_t{key} + 1] - by.first[key]; }
  double per_unit(std::uint32_t key) const {
    return from->units == 0 ? 0 : static_cast<double>(total[key].ns) / static_cast<double>(from->units) / static_cast<double>(from->processes);
  }
  std::vector<double> series(std::uint32_t key) const {
    std::vector<double> out(from->units);
    for (std::uint32_t k = by.first[key]; k < by.first[std::size_t{key} + 1]; ++k) {
      const std::uint32_t i = from->events[by.at[k]];
      out[from->unit_of[from->s->steps.step_of[i]]] += static_cast<double>((std::max)(from->s->trace->gpu[i].duration.ns, std::int64_t{0})) / static_cast<double>(from->processes);
    }
    return out;
  }
};

inline std::string words(double v, const char* format) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

template <class Name, class Of>
void add_rows(std::vector<compare_row>& out, const keyed& a, const keyed& b, const compare_options& o, std::size_t limit, Name name, Of of) {
  std::vector<std::uint32_t> keys;
  for (std::uint32_t k = 0; k < a.total.size(); ++k)
    if (a.launches(k) + b.launches(k) != 0 && (tables::percent(a.total[k], a.all) >= o.min_share || tables::percent(b.total[k], b.all) >= o.min_share)) keys.push_back(k);
  const auto size = [&](std::uint32_t k) { return (std::max)(a.per_unit(k), b.per_unit(k)); };
  std::sort(keys.begin(), keys.end(), [&](std::uint32_t x, std::uint32_t y) { return size(x) != size(y) ? size(x) > size(y) : name(x) < name(y); });
  if (keys.size() > limit) keys.resize(limit);
  for (const std::uint32_t k : keys) {
    compare_row& row = out.emplace_back();
    row.name = name(k), row.of = of(k), row.a_launches = a.launches(k), row.b_launches = b.launches(k);
    row.time = compare_means(a.series(k), b.series(k), o);
  }
}

// Benjamini and Hochberg: of the m figures, those up to the last k with p <= k / m * 5 % are told apart from no change.
inline void control_discoveries(std::vector<stage_comparison>& stages) {
  constexpr double rate = 0.05;
  std::vector<change*> all;
  for (stage_comparison& s : stages)
    for (std::vector<compare_row>* rows : {&s.families, &s.kernels})
      for (compare_row& r : *rows)
        if (r.time.ci) all.push_back(&r.time);
  std::sort(all.begin(), all.end(), [](const change* x, const change* y) { return x->p < y->p; });
  std::size_t kept = 0;
  for (std::size_t k = 0; k < all.size(); ++k)
    if (all[k]->p <= rate * static_cast<double>(k + 1) / static_cast<double>(all.size())) kept = k + 1;
  for (std::size_t k = kept; k < all.size(); ++k)
    if (all[k]->what == change_verdict::worse || all[k]->what == change_verdict::better) all[k]->what = change_verdict::inconclusive;
}

// Digits are one sign: "ProfilerStep#7" and "ProfilerStep#812" are one name.
inline std::string masked(std::string_view name) {
  std::string out;
  bool digit = false;
  for (const char ch : name) {
    const bool is = ch >= '0' && ch <= '9';
    if (!is) out += ch;
    else if (!digit) out += '#';
    digit = is;
  }
  return out;
}

inline void list(std::vector<std::string>& out, const char* what, const char* where, const std::vector<std::string>& names) {
  constexpr std::size_t shown = 8;
  if (names.empty()) return;
  std::string line(what);
  line.append(" only in ").append(where).append(": ");
  for (std::size_t i = 0; i < names.size() && i < shown; ++i) line.append(i == 0 ? "" : ", ").append(names[i].substr(0, 120));
  if (names.size() > shown) line.append(" and ").append(std::to_string(names.size() - shown)).append(" more");
  out.push_back(std::move(line));
}

// Sorted, each once, those of x that y has not.
inline std::vector<std::string> without(std::vector<std::string> x, std::vector<std::string> y) {
  std::sort(x.begin(), x.end()), std::sort(y.begin(), y.end());
  x.erase(std::unique(x.begin(), x.end()), x.end());
  std::vector<std::string> out;
  std::set_difference(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(out));
  return out;
}
// shown(name): as people read it; neighbours that read alike are one.
template <class Shown>
void list_both(std::vector<std::string>& out, const char* what, const std::vector<std::string>& a, const std::vector<std::string>& b, Shown shown) {
  for (const bool of_a : {true, false}) {
    std::vector<std::string> only = of_a ? without(a, b) : without(b, a);
    for (std::string& name : only) name = shown(name);
    only.erase(std::unique(only.begin(), only.end()), only.end());
    list(out, what, of_a ? "A" : "B", only);
  }
}

// Which processes of the two sides are one rank.
inline void match_ranks(const subject& a, const subject& b, std::vector<std::uint8_t>& in_a, std::vector<std::uint8_t>& in_b, comparison& out) {
  const auto processes = [](const subject& s) {
    std::vector<std::uint32_t> v;
    for (const std::uint32_t i : s.chosen)
      if (v.empty() || v.back() != s.trace->gpu[i].process) v.push_back(s.trace->gpu[i].process);
    tables::sort_unique(v);
    return v;
  };
  const std::vector<std::uint32_t> pa = processes(a), pb = processes(b);
  in_a.assign(std::size_t{1} << 16, 0), in_b.assign(std::size_t{1} << 16, 0);
  const auto words = [](int rank) {
    std::string text("rank ");
    return rank < 0 ? std::string("a process without a rank") : text.append(std::to_string(rank));
  };
  if (pa.empty() || pb.empty()) {  // nothing to match with: its stages are listed
    for (const std::uint32_t x : pa) in_a[x] = 1;
    for (const std::uint32_t y : pb) in_b[y] = 1;
    return;
  }
  const auto ranks = [](const subject& s, const std::vector<std::uint32_t>& v) {
    std::vector<int> each;
    for (const std::uint32_t p : v) each.push_back(rank_of(s, p));
    std::sort(each.begin(), each.end());
    return each;
  };
  const std::vector<int> ranks_a = ranks(a, pa), ranks_b = ranks(b, pb);
  bool any = false;
  const auto match = [&any](const subject& s, const std::vector<std::uint32_t>& own, const std::vector<int>& others, std::vector<std::uint8_t>& in) {
    for (const std::uint32_t p : own)
      if (std::binary_search(others.begin(), others.end(), rank_of(s, p))) in[p] = 1, any = true;
  };
  match(a, pa, ranks_b, in_a), match(b, pb, ranks_a, in_b);
  if (!any) {
    const auto lowest = [](const subject& s, const std::vector<std::uint32_t>& v) {
      std::uint32_t best = v[0];
      for (const std::uint32_t p : v)
        if (rank_of(s, p) < rank_of(s, best)) best = p;
      return best;
    };
    const std::uint32_t x = lowest(a, pa), y = lowest(b, pb);
    in_a[x] = in_b[y] = 1;
    std::string note("no rank is on both sides: ");
    out.notes.push_back(note.append(words(rank_of(a, x))).append(" of A is compared with ").append(words(rank_of(b, y))).append(" of B"));
  }
  std::vector<std::string> left_a, left_b;
  for (const std::uint32_t x : pa)
    if (in_a[x] == 0) left_a.push_back(words(rank_of(a, x)));
  for (const std::uint32_t y : pb)
    if (in_b[y] == 0) left_b.push_back(words(rank_of(b, y)));
  list(out.unmatched, "ranks", "A", left_a);
  list(out.unmatched, "ranks", "B", left_b);
}

inline bool is_cut(const model::timeline& t) {
  for (const model::trace_loss& l : t.lost)
    if (model::is_of_file(l.fault)) return true;
  return false;
}

inline bool apart(const std::optional<double>& a, const std::optional<double>& b, double margin) {
  return a && b && *a != *b && 100 * (*a < *b ? *b - *a : *a - *b) > margin * *a;
}

inline std::string why_inconclusive(const stage_comparison& c, const compare_options& o) {
  std::string why;
  if (c.a_steps < o.least_steps || c.b_steps < o.least_steps) {
    why.append("A has ").append(std::to_string(c.a_steps)).append(" and B ").append(std::to_string(c.b_steps)).append(" steps; a verdict wants ");
    return why.append(std::to_string(o.least_steps)).append(" on each side");
  }
  for (const bool requests : {true, false}) {
    const auto &a = requests ? c.a_requests : c.a_tokens, &b = requests ? c.b_requests : c.b_tokens;
    if (!apart(a, b, o.margin)) continue;
    why.append("the steps differ: A has ").append(words(*a, "%.1f")).append(" and B ").append(words(*b, "%.1f"));
    return why.append(requests ? " requests per step" : " tokens per step");
  }
  return why;
}

}  // namespace compared

HOTPATH_FN change compare_means(std::span<const double> a, std::span<const double> b, const compare_options& o) {
  change out;
  const auto mean_a = stats::mean(a), mean_b = stats::mean(b);
  out.a = mean_a.value_or(0), out.b = mean_b.value_or(0);
  if (!mean_a || !mean_b || out.a <= 0) return out;
  out.relative = 100 * (out.b / out.a - 1);
  const stats::ratio of_a{a, {}, 0}, of_b{b, {}, 0};
  const auto ia = stats::bootstrap_ratios({&of_a, 1}, {.seed = o.seed, .resamples = o.resamples})[0];
  const auto ib = stats::bootstrap_ratios({&of_b, 1}, {.seed = o.seed + 1, .resamples = o.resamples})[0];
  if (!ia || !ib || !ia->hi || !ib->hi || ia->lo <= 0 || ib->lo <= 0) return out;  // too few steps, or a mean that may be zero
  const double r = log(out.b / out.a), low_a = log(out.a / ia->lo), high_a = log(*ia->hi / out.a), low_b = log(out.b / ib->lo), high_b = log(*ib->hi / out.b);
  const double low = sqrt(low_b * low_b + high_a * high_a), high = sqrt(high_b * high_b + low_a * low_a);
  out.ci = stats::interval{100 * (exp(r - low) - 1), 100 * (exp(r + high) - 1)};
  const double error = (r > 0 ? low : high) / compared::z95;
  out.p = error > 0 ? erfc(fabs(r) / error / sqrt(2.0)) : r == 0 ? 1 : 0;
  if (a.size() >= o.least_steps && b.size() >= o.least_steps) compared::judge(out, o.margin);
  return out;
}

HOTPATH_FN std::optional<rank_tests> test_ranks(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return {};
  rank_tests out;
  struct value { double v; bool of_a; };
  std::vector<value> all;
  for (const double v : a) all.push_back({v, true});
  for (const double v : b) all.push_back({v, false});
  std::sort(all.begin(), all.end(), [](const value& x, const value& y) { return x.v < y.v; });
  double ranks = 0, ties = 0;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i, of_a = 0;
    for (; end < all.size() && all[end].v == all[i].v; ++end) of_a += all[end].of_a ? 1u : 0u;
    const double t = static_cast<double>(end - i);
    ranks += static_cast<double>(of_a) * (static_cast<double>(i + end) + 1) / 2;
    ties += t * t * t - t;
    i = end;
  }
  const double n1 = static_cast<double>(a.size()), n2 = static_cast<double>(b.size()), n = n1 + n2;
  out.u = ranks - n1 * (n1 + 1) / 2;
  out.cliff = 1 - 2 * out.u / (n1 * n2);
  const double variance = n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1)));
  const double distance = fabs(out.u - n1 * n2 / 2) - 0.5;
  out.p = variance > 0 && distance > 0 ? erfc(distance / sqrt(variance) / sqrt(2.0)) : 1;
  constexpr std::size_t most = 1000;
  const auto some = [&](std::span<const double> v) {
    std::vector<double> kept;
    for (std::size_t i = 0, m = (std::min)(v.size(), most); i < m; ++i) kept.push_back(v[i * v.size() / m]);
    return kept;
  };
  std::vector<double> differences;
  const std::vector<double> x = some(a), y = some(b);
  for (const double from : x)
    for (const double to : y) differences.push_back(to - from);
  const auto half = differences.begin() + static_cast<std::ptrdiff_t>(differences.size() / 2);
  std::nth_element(differences.begin(), half, differences.end());
  out.shift = differences.size() % 2 == 1 ? *half : (*half + *std::max_element(differences.begin(), half)) / 2;
  return out;
}

HOTPATH_FN comparison compare(const subject& a, const subject& b, const compare_options& o) {
  using namespace compared;
  comparison out;
  std::vector<std::uint8_t> in_a, in_b;
  match_ranks(a, b, in_a, in_b, out);
  const auto device = [](const subject& s) { return s.trace->devices.empty() ? std::string() : s.trace->devices[0].name; };
  if (const std::string x = device(a), y = device(b); !x.empty() && !y.empty() && x != y) {
    std::string note("A ran on ");
    out.notes.push_back(note.append(x).append(", B on ").append(y));
  }
  std::optional<std::string> unknown;                  // why no verdict can be given
  for (const bool of_a : {true, false}) {
    const subject& s = of_a ? a : b;
    const std::string side_name(of_a ? "A" : "B");
    if (s.trace->partial()) out.notes.push_back(side_name + " could not be read whole: " + std::string(is_cut(*s.trace) ? "steps and kernels are missing" : "some of its events are missing"));
    if (unknown) continue;
    if (is_cut(*s.trace)) unknown = side_name + " is cut off or damaged: what is missing is not known";
    else if ((unknown = graphs_not_recorded(s))) unknown->insert(0, ": ").insert(0, side_name);
  }

  // One table of names for both sides: a kernel is its canonical name.
  name_table names{{.bytes = SIZE_MAX, .distinct = SIZE_MAX}};
  std::vector<std::uint32_t> name_a, name_b, family_a, family_b;
  for (const identity& i : a.identities) name_a.push_back(i.canonical.empty() ? 0 : names.intern(i.canonical)), family_a.push_back(static_cast<std::uint32_t>(i.is.what));
  for (const identity& i : b.identities) name_b.push_back(i.canonical.empty() ? 0 : names.intern(i.canonical)), family_b.push_back(static_cast<std::uint32_t>(i.is.what));
  const auto count = static_cast<std::uint32_t>(names.size());
  std::vector<std::uint32_t> family_of(count);
  for (std::size_t i = 0; i < name_a.size(); ++i) family_of[name_a[i]] = family_a[i];
  for (std::size_t i = 0; i < name_b.size(); ++i) family_of[name_b[i]] = family_b[i];

  std::vector<std::string> only_a, only_b;
  for (std::size_t k = 1; k <= 6; ++k) {
    const auto at = static_cast<stage>(k % 6);  // `all` last
    const side x = side_of(a, at, in_a), y = side_of(b, at, in_b);
    if (x.total.ns == 0 && y.total.ns == 0 && x.units == 0 && y.units == 0) continue;
    if (x.total.ns == 0 || y.total.ns == 0) {
      (x.total.ns == 0 ? only_b : only_a).emplace_back(name_of(at));
      continue;
    }
    stage_comparison& c = out.stages.emplace_back();
    c.at = at, c.a_steps = x.units, c.b_steps = y.units;
    c.a_requests = x.requests, c.b_requests = y.requests, c.a_tokens = x.tokens, c.b_tokens = y.tokens;
    for (const bool of_a : {true, false})
      if (const side& v = of_a ? x : y; v.left_out != 0) {
        std::string line(name_of(at));
        out.unmatched.push_back(line.append(": ").append(std::to_string(v.left_out)).append(" steps of the longest rank of ").append(of_a ? "A" : "B").append(" have no like on the shortest"));
      }
    c.reason = unknown ? *unknown : why_inconclusive(c, o);
    if (x.units == 0 || y.units == 0) {  // totals, for what they are worth
      c.step_time.a = static_cast<double>(x.total.ns), c.step_time.b = static_cast<double>(y.total.ns);
      if (x.total.ns > 0) c.step_time.relative = 100 * (c.step_time.b / c.step_time.a - 1);
      continue;
    }
    c.step_time = compare_means(x.spans, y.spans, o);
    c.busy = compare_means(x.busy, y.busy, o);
    c.ranks = test_ranks(x.spans, y.spans);
    const keyed fa(x, family_a, 256), fb(y, family_b, 256);
    add_rows(c.families, fa, fb, o, SIZE_MAX, [](std::uint32_t f) { return std::string(family_name(static_cast<family>(f))); }, [](std::uint32_t f) { return static_cast<family>(f); });
    const keyed ka(x, name_a, count), kb(y, name_b, count);
    add_rows(c.kernels, ka, kb, o, o.limit, [&](std::uint32_t n) { return std::string(names[n]); }, [&](std::uint32_t n) { return static_cast<family>(family_of[n]); });
    std::vector<std::string> kernels_a, kernels_b, steps_a, steps_b;
    for (std::uint32_t n = 0; n < count; ++n) {
      if (ka.launches(n) != 0) kernels_a.emplace_back(names[n]);
      if (kb.launches(n) != 0) kernels_b.emplace_back(names[n]);
    }
    const auto step_names = [](const side& v, std::vector<std::string>& into) {
      for (std::size_t i = 0; i < v.unit_of.size(); ++i)
        if (v.unit_of[i] != no_index) into.push_back(masked(v.s->trace->name(v.s->steps.steps[i].annotation)));
    };
    step_names(x, steps_a), step_names(y, steps_b);
    std::string what(name_of(at));
    list_both(out.unmatched, std::string(what).append(": kernels").c_str(), kernels_a, kernels_b, [](const std::string& n) { return short_name(n); });   // rows have the whole names
    list_both(out.unmatched, std::string(what).append(": steps named").c_str(), steps_a, steps_b, [](const std::string& n) { return n; });
    if (!c.reason.empty()) {
      c.step_time.what = c.busy.what = change_verdict::inconclusive;
      for (std::vector<compare_row>* rows : {&c.families, &c.kernels})
        for (compare_row& r : *rows) r.time.what = change_verdict::inconclusive;
    }
  }
  list(out.unmatched, "stages", "A", only_a);
  list(out.unmatched, "stages", "B", only_b);
  control_discoveries(out.stages);

  const auto some = [&](change_verdict v) { return std::any_of(out.stages.begin(), out.stages.end(), [&](const stage_comparison& s) { return s.step_time.what == v; }); };
  out.verdict = out.stages.empty() ? change_verdict::inconclusive
                : some(change_verdict::worse) ? change_verdict::worse
                : some(change_verdict::inconclusive) ? change_verdict::inconclusive
                : some(change_verdict::better) ? change_verdict::better
                                               : change_verdict::same;
  if (out.stages.empty()) out.notes.emplace_back("no stage has GPU work on both sides: nothing to compare");
  return out;
}

HOTPATH_FN int exit_code(const comparison& c) { return c.verdict == change_verdict::worse ? 1 : c.verdict == change_verdict::inconclusive ? 5 : 0; }

}  // namespace hotpath::inline HOTPATH_ABI::kernel
