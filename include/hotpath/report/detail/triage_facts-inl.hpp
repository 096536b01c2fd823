// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/triage_facts-inl.hpp - bodies of report/detail/triage_facts.hpp
#pragma once
#include <hotpath/kernel/family.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/report/detail/triage_facts.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

using triage_words::ratio;

HOTPATH_FN triage_words::time_unit triage_words::unit_of(nanoseconds largest, nanoseconds smallest, bool ascii) {
  constexpr double per_ns[] = {1e-9, 1e-6, 1e-3, 1};
  const std::string_view names[] = {" s", " ms", ascii ? " us" : " \u00B5s", " ns"};
  const auto of = [](nanoseconds t, double per) { return static_cast<double>(t.ns) * per; };
  std::size_t unit = 0;
  while (unit < 3 && of(largest, per_ns[unit]) < (unit == 0 ? 10 : 1)) ++unit;   // seconds from 10 on
  while (unit < 3 && of(smallest, per_ns[unit]) < 0.01 && of(largest, per_ns[unit + 1]) < 1e5) ++unit;
  const double low = of(smallest, per_ns[unit]), high = of(largest, per_ns[unit]);
  return {per_ns[unit], unit == 3 ? 0 : low < 0.1 ? 3 : low >= 10 || high >= 1000 ? 1 : 2, names[unit]};
}

HOTPATH_FN triage_facts::triage_facts(const kernel::triage_report& r, bool ascii) : r_(r), ascii_(ascii) {
  for (const kernel::kernel_table& t : r_.kernels)
    for (const kernel::kernel_row& x : t.rows) labels_.add(x.kernel, x.short_name);
  for (const kernel::overlap_table& t : r_.overlaps)
    for (const kernel::overlap_row& x : t.rows) {
      labels_.add(x.kernel);
      if (!x.partner.empty()) labels_.add(x.partner);
    }
  labels_.finish();
}

HOTPATH_FN std::size_t triage_facts::devices() const {
  std::size_t most = 0;
  for (const kernel::overlap_table& t : r_.overlaps) most = t.time.devices > most ? t.time.devices : most;
  return most;
}

HOTPATH_FN std::string triage_facts::time(nanoseconds t) const {
  const double us = t.us();
  if (t.ns == 0) return "0";
  if (__builtin_fabs(us) < 999.95) return words::number(us) + (ascii_ ? " us" : " \u00B5s");
  return words::milliseconds(t.ms());
}

HOTPATH_FN std::string triage_facts::path_of(const kernel::place& p) {
  if (p.location.empty()) return "";
  return p.location + (p.share > 0 && p.share < 99.95 ? " (" + words::fixed(p.share, 0) + "%)" : "");
}

HOTPATH_FN std::vector<std::pair<std::string, double>> triage_facts::families(const kernel::kernel_table& t, std::size_t most) const {
  std::vector<std::pair<std::string, double>> out;
  nanoseconds rest{};
  for (const auto& [f, spent] : t.by_family) {
    if (out.size() < most) out.emplace_back(kernel::family_name(f), 100 * ratio(spent, t.total));
    else rest += spent;
  }
  if (rest.ns > 0) out.emplace_back("the rest", 100 * ratio(rest, t.total));
  return out;
}

// ---- the head of the report

HOTPATH_FN std::string triage_facts::headline() const {
  if (r_.check.verdict == kernel::health::unusable || (r_.check.verdict == kernel::health::partial && r_.kernels.empty())) return "no GPU work in " + (r_.inputs.size() == 1 ? std::string("this trace") : words::count(r_.inputs.size(), "trace"));
  nanoseconds total{}, busy{}, wall{};
  bool known = true;
  std::vector<std::pair<kernel::family, nanoseconds>> sums;
  for (std::size_t table = 0; table < r_.kernels.size(); ++table) {
    const kernel::kernel_table& t = r_.kernels[table];
    total += t.total, busy += t.busy, wall += t.wall, known = known && !is_unknown(table);
    for (const auto& [f, spent] : t.by_family) {
      std::size_t i = 0;
      while (i < sums.size() && sums[i].first != f) ++i;
      if (i == sums.size()) sums.emplace_back(f, nanoseconds{});
      sums[i].second += spent;
    }
  }
  std::string out = page::glued(time(total)) + " of GPU work";
  if (devices() > 1) out += " on " + page::glued(words::count(devices(), "device"));
  if (!r_.steps.empty()) out += " in " + page::glued(words::count(r_.steps.size(), "step"));
  if (!known) return out + " recorded, kernels of graphs are missing";
  if (wall.ns > 0) out += ", " + page::glued(words::percent(ratio(busy, wall))) + " busy";
  for (int k = 0; k < 3; ++k) {  // the three largest families
    std::size_t best = 0;
    for (std::size_t i = 1; i < sums.size(); ++i)
      if (sums[i].second > sums[best].second) best = i;
    if (sums.empty() || sums[best].second.ns <= 0) break;
    out += (k == 0 ? ": " : ", ") + page::glued(std::string(kernel::family_name(sums[best].first)) + " " + words::percent(ratio(sums[best].second, total)));
    sums[best].second = {};
  }
  return out;
}

HOTPATH_FN std::string triage_facts::books() const {
  const kernel::integrity& c = r_.check;
  return "rows " + time(c.in_rows) + " + below the cut " + time(c.hidden) + " + left out " + time(c.left_out) + " = " + time(c.total) + " of GPU time";
}

HOTPATH_FN std::vector<std::pair<std::string, std::string>> triage_facts::about() const {
  std::vector<std::pair<std::string, std::string>> out;
  const std::string dot = mark(" \u00B7 ", " | ");
  const auto add = [&](std::string label, std::string text) {
    if (!text.empty()) out.emplace_back(std::move(label), std::move(text));
  };
  const bool two = !r_.mapping_inputs.empty();
  add(two ? "formal trace" : r_.inputs.size() == 1 ? "trace" : "traces", triage_words::list(r_.inputs, ", ", 4));
  add("mapping trace", triage_words::list(r_.mapping_inputs, ", ", 4));
  add("capture", triage_words::list(r_.capture_inputs, ", ", 4));
  add("framework", r_.framework + (r_.framework_reason.empty() ? "" : " (" + r_.framework_reason + ")") +
                       (r_.mapping_framework.empty() || r_.mapping_framework == r_.framework ? "" : "; of the mapping trace: " + r_.mapping_framework));
  add("model", r_.model);
  std::string where = triage_words::list(r_.devices, ", ", 3);
  if (r_.rank) where += (where.empty() ? "" : dot) + "rank " + std::to_string(*r_.rank) + (r_.world_size ? " of " + std::to_string(*r_.world_size) : "");
  else if (r_.world_size) where += (where.empty() ? "" : dot) + "world size " + std::to_string(*r_.world_size);
  add("device", where);
  if (r_.check.verdict != kernel::health::unusable && !r_.kernels.empty()) {
    nanoseconds all{};
    for (const auto& p : r_.covered.by) all += p.time;
    std::string mapped;
    for (const std::size_t i : {1u, 2u, 3u, 4u})
      if (r_.covered.by[i].events != 0) mapped += (mapped.empty() ? "" : ", ") + words::percent(ratio(r_.covered.by[i].time, all)) + " by " + std::string(kernel::mapped_by_names[i]);
    const nanoseconds unmapped = r_.covered.by[0].time;
    std::string text = words::percent(1 - ratio(unmapped, all)) + " of GPU time to an operator" + (mapped.empty() ? "" : " (" + mapped + ")");
    if (all.ns > 0) add("mapped", text + ", " + words::percent(ratio(r_.covered.with_location.time, all)) + " to a source line");
    add("books", books());
  }
  return out;
}

HOTPATH_FN sheet triage_facts::stages() const {
  using enum cell_kind;
  sheet s{{{"stage"}, {"steps", number}, {"launches", number}, {"GPU time", number}, {"per step", number}, {"busy", number}, {"idle", number}, {"most of it"}}, {}, {}, {}};
  for (std::size_t i = 0; i < r_.kernels.size(); ++i) {
    const kernel::kernel_table& t = r_.kernels[i];
    const bool known = t.wall.ns > 0 && !is_unknown(i);
    std::string most;
    for (const auto& [name, p] : families(t, 3))
      if (name != "the rest") most += (most.empty() ? "" : ", ") + name + " " + share(p);
    const std::string none = mark("\u2013", "-");
    s.rows.push_back({std::string(name_of(t.at)), t.steps != 0 ? words::count(t.steps) : none, words::count(t.events), "", "", known ? share(100 * ratio(t.busy, t.wall)) : none,
                      known ? time(t.wall - t.busy) : none, most});
  }
  fill_times(s, 3, 1, [&](std::size_t i, std::size_t) { return std::optional(r_.kernels[i].total); });
  fill_times(s, 4, 1, [&](std::size_t i, std::size_t) {
    const kernel::kernel_table& t = r_.kernels[i];
    return t.steps != 0 ? std::optional(t.in_steps / static_cast<std::int64_t>(t.steps)) : std::nullopt;
  });
  return s;
}

// ---- the three tables; the columns that other tools print come first, as they call them

HOTPATH_FN sheet triage_facts::kernels(const kernel::kernel_table& t) const {
  using enum cell_kind;
  sheet s{{{"Kernel", name}, {"Category"}, {"GPU time", number}, {"Share", number}, {"Launches", number}, {"Python location (site share)", path}, {"CPU op", name},
           {"Per step", number}, {"Mean", number}, {"p50", number}, {"p95", number}, {"Running share", number}, {"Of busy", number}, {"Of wall", number}}, {},
          "No kernel rows at or above " + words::fixed(r_.min_share, 1) + "% share.", {}, 7};
  bool ranks = false;
  for (const kernel::kernel_row& r : t.rows) ranks = ranks || r.ranks;
  if (ranks) s.columns.push_back({"Ranks min / median / max", number});
  for (const kernel::kernel_row& r : t.rows) {
    s.tips.push_back(r.kernel);
    std::string places;
    for (const kernel::place& p : r.places)
      if (!p.location.empty()) places += (places.empty() ? "" : "; ") + path_of(p);
    std::string what(kernel::family_name(r.what));
    if (!r.detail.empty()) what += " " + r.detail;
    s.rows.push_back({label(r.kernel), what, "", share(r.share), words::count(r.launches), places, r.cpu_op, r.launches_per_step ? words::number(*r.launches_per_step) : mark("\u2013", "-"), "", "", "", share(r.running_share),
                      r.share_busy ? share(*r.share_busy) : mark("\u2013", "-"), r.share_wall ? share(*r.share_wall) : mark("\u2013", "-")});
    if (ranks) s.rows.back().push_back(r.ranks ? time(r.ranks->min) + " / " + time(r.ranks->median) + " / " + time(r.ranks->max) + " of " + words::count(r.ranks->ranks) : mark("\u2013", "-"));
  }
  fill_times(s, 2, 1, [&](std::size_t i, std::size_t) { return std::optional(t.rows[i].total); });
  fill_times(s, 8, 3, [&](std::size_t i, std::size_t c) { return std::optional(c == 0 ? t.rows[i].mean : c == 1 ? t.rows[i].p50 : t.rows[i].p95); });
  return s;
}

HOTPATH_FN std::string triage_facts::hidden(const kernel::kernel_table& t) const {
  if (t.hidden_rows == 0) return "";
  return words::count(t.hidden_rows, "row") + " below the cut: " + time(t.hidden) + ", " + percent(100 * ratio(t.hidden, t.total)) + ", " + launches(t.hidden_events);
}

HOTPATH_FN sheet triage_facts::overlaps(const kernel::overlap_table& t) const {
  using enum cell_kind;
  std::string why = t.no_rows;
  if (!why.empty() && why[0] >= 'a' && why[0] <= 'z') why[0] = static_cast<char>(why[0] - ('a' - 'A'));
  if (!why.empty()) why.insert(0, " ").append(why.ends_with('.') ? "" : ".");
  sheet s{{{"Priority"}, {"Verdict"}, {"Kernel", name}, {"Python scope", path}, {"Formal signal", prose}, {"Dep risk"}, {"Recommendation"},
           {"Saving per step", number}, {"Slower overlapped", number}, {"Hidden by", name}, {"Known pattern", prose}}, {},
          "No rows cleared the " + words::fixed(r_.min_share, 1) + "% reporting bar." + why, {}, 7};
  for (const kernel::overlap_row& r : t.rows)
    s.tips.push_back(r.kernel), s.rows.push_back({r.priority, r.verdict, label(r.kernel), r.scope, r.signal, r.dependency, r.recommendation, "", r.inflation ? words::fixed(*r.inflation, 2) + "x" : mark("\u2013", "-"),
                      r.partner.empty() ? "" : label(r.partner), r.known_family});
  fill_times(s, 7, 1, [&](std::size_t i, std::size_t) { return t.rows[i].saving_per_step; }, mark("\u2264 ", "<= "));
  return s;
}

HOTPATH_FN std::string triage_facts::evidence(const kernel::fusion_row& f) const {
  std::string out;
  for (const auto& [kernel, p] : f.evidence) out += (out.empty() ? "" : "; ") + (kernel.size() <= 60 ? kernel : kernel::short_name(kernel)) + " (" + share(p) + ")";
  return out;
}
HOTPATH_FN std::string triage_facts::kernels_of(const kernel::kernel_chain& c) const {
  std::string out;
  for (std::size_t i = 0, end; i < c.kernels.size(); i = end) {
    for (end = i + 1; end < c.kernels.size() && c.kernels[end] == c.kernels[i];) ++end;
    out.append(out.empty() ? "" : mark(" \u2192 ", " > ")).append(c.kernels[i]);
    if (end - i > 1) out.append(mark("\u00A0\u00D7", "\u00A0x")).append(std::to_string(end - i));
  }
  return out;
}
HOTPATH_FN std::string triage_facts::conditions(const kernel::fusion_row& f) const {
  std::string out;
  for (const auto& [condition, state] : f.conditions) {
    const std::string sign = state == kernel::condition_state::met ? mark("\u2713\u00A0", "yes:\u00A0") : state == kernel::condition_state::not_met ? mark("\u2717\u00A0", "no:\u00A0") : "?\u00A0";
    out += (out.empty() ? "" : "; ") + sign + condition;
  }
  return out;
}

HOTPATH_FN sheet triage_facts::fusions(const kernel::fusion_table& t) const {
  using enum cell_kind;
  sheet s{{{"Pattern", prose}, {"Confidence"}, {"Related GPU time", number}, {"Share", number}, {"Evidence kernels", prose}, {"Current kernel Python location", path},
           {"Candidate fused Python path", path}, {"Rationale", prose}, {"State"}, {"Adjacent", number}, {"Gain per step", number}, {"Conditions", prose}}, {},
          "No medium-confidence source-backed fusion opportunity matched this trace.", {}, 8};
  for (const kernel::fusion_row& f : t.rows)
    s.rows.push_back({f.pattern + (f.id.empty() ? "" : " (" + f.id + ")"), f.confidence, "", share(f.share), evidence(f), triage_words::list(f.locations, "; "), f.candidate, f.rationale,
                      std::string(kernel::fusion_state_names[static_cast<std::size_t>(f.state)]),
                      f.adjacency ? share(*f.adjacency) + " of " + words::count(f.repetitions) : mark("\u2013", "-"), "", page::spaced(conditions(f))});
  fill_times(s, 2, 1, [&](std::size_t i, std::size_t) { return std::optional(t.rows[i].related); });
  fill_times(s, 10, 1, [&](std::size_t i, std::size_t) { return t.rows[i].gain_per_step; }, mark("\u2264 ", "<= "));
  return s;
}

HOTPATH_FN sheet triage_facts::chains(const kernel::fusion_table& t) const {
  using enum cell_kind;
  sheet s{{{"Kernels that follow each other", prose}, {"Saved by one kernel", number}, {"Share", number}, {"Adjacent", number}, {"Per step", number}, {"First kernel's location", path}}, {}, {}, {}};
  for (const kernel::kernel_chain& c : t.chains)
    s.rows.push_back({page::spaced(kernels_of(c)), "", share(c.share), share(c.adjacency) + " of " + words::count(c.repetitions), "", c.location});
  fill_times(s, 1, 1, [&](std::size_t i, std::size_t) { return std::optional(t.chains[i].related); }, mark("\u2264 ", "<= "));
  fill_times(s, 4, 1, [&](std::size_t i, std::size_t) { return t.chains[i].gain_per_step; }, mark("\u2264 ", "<= "));
  return s;
}

// ---- below them

HOTPATH_FN std::vector<std::pair<std::string, std::string>> triage_facts::device(const kernel::device_time& t) const {
  std::vector<std::pair<std::string, std::string>> out;
  const auto say = [&](const char* what, std::string text) { out.push_back({what, std::move(text)}); };
  if (t.unknown) return say("not known", *t.unknown), out;
  if (t.wall.ns <= 0) return out;
  const std::string dot = mark(" \u00B7 ", " | ");
  const auto part = [&](nanoseconds x) { return page::glued(time(x)) + " (" + page::glued(words::percent(ratio(x, t.wall))) + ")"; };
  const bool several = t.devices > 1;
  std::string wall = page::glued(time(t.wall)) + (several ? ", the sum of " + page::glued(words::count(t.devices, "device")) : "") + dot + "busy " + part(t.busy) + dot + "idle " + part(t.idle);
  if (t.streams != 0) wall += dot + (several && t.streams > 1 ? "up to " : "") + page::glued(words::count(t.streams, "stream")) + (several ? " each" : "");
  say("wall", std::move(wall));
  std::string idle;
  for (std::size_t i = 0; i < 6; ++i)
    if (t.idle_by[i].gaps != 0 || t.idle_by[i].time.ns != 0)
      idle += (idle.empty() ? "" : dot) + std::string(kernel::idle_cause_names[i]) + " " + page::glued(time(t.idle_by[i].time)) + " in " + page::glued(words::count(t.idle_by[i].gaps, "gap"));
  if (!idle.empty()) say("idle", std::move(idle));
  if (t.comm.ns > 0) say("communication", page::glued(time(t.comm)) + ", " + part(t.exposed_comm) + " of it exposed");
  if (t.overlapped.ns > 0) say("overlapped", part(t.overlapped) + " with two or more streams active");
  return out;
}

HOTPATH_FN sheet triage_facts::steps(std::size_t most) const {
  using enum cell_kind;
  sheet s{{{"Step", name}, {"Stage"}, {"Requests", number}, {"Tokens", number}, {"GPU span", number}, {"GPU busy", number}, {"Idle", number}, {"Tokens/s", number}, {"Gaps, mostly"}}, {}, {}, {}};
  const auto gaps_known = [&](kernel::stage at) {
    for (const kernel::overlap_table& o : r_.overlaps)
      if (o.at == at) return !o.time.unknown;
    return false;
  };
  std::vector<nanoseconds> idle;                     // by step
  for (std::size_t i = 0; i < r_.steps.size() && i < most; ++i) {
    const kernel::step& x = r_.steps[i];
    const std::string none = mark("\u2013", "-");
    const auto sum = [](const std::optional<std::int64_t>& a, const std::optional<std::int64_t>& b) { return a || b ? std::optional<std::int64_t>{a.value_or(0) + b.value_or(0)} : std::nullopt; };
    const auto whole = [&](const std::optional<std::int64_t>& v) { return v && *v >= 0 ? words::count(static_cast<std::uint64_t>(*v)) : none; };
    const auto tokens = sum(x.context_tokens, x.generation_tokens);
    const nanoseconds span = x.events != 0 ? x.gpu_end - x.gpu_begin : nanoseconds{};
    nanoseconds& gaps = idle.emplace_back();         // those that its work ends, with the one before it: of all steps together the stage's idle time
    std::size_t longest = 0;
    for (std::size_t c = 0; c < std::size(x.idle_by); ++c) gaps += x.idle_by[c], longest = x.idle_by[longest] < x.idle_by[c] ? c : longest;
    s.rows.push_back({i < r_.step_names.size() ? r_.step_names[i] : "", std::string(name_of(x.what)), whole(sum(x.context_requests, x.generation_requests)), whole(tokens),
                      "", "", "",
                      tokens && span.ns > 0 ? words::grouped(static_cast<double>(*tokens) / span.s()) : none, gaps != nanoseconds{} ? std::string(kernel::idle_cause_names[longest]) : none});
  }
  fill_times(s, 4, 2, [&](std::size_t i, std::size_t c) {
    const kernel::step& x = r_.steps[i];
    const bool known = x.events != 0 && x.gpu_begin < x.gpu_end;
    return known ? std::optional(c == 0 ? x.gpu_end - x.gpu_begin : x.gpu_busy) : std::nullopt;
  });
  fill_times(s, 6, 1, [&](std::size_t i, std::size_t) { return gaps_known(r_.steps[i].what) ? std::optional(idle[i]) : std::nullopt; });
  return s;
}

HOTPATH_FN sheet triage_facts::cpu_ops() const {
  using enum cell_kind;
  sheet s{{{"Operator", name}, {"Self time", number}, {"Share", number}, {"Calls", number}, {"Total", number}}, {}, {}, {}};
  for (const kernel::cpu_row& c : r_.cpu_ops) s.rows.push_back({c.op, "", share(c.share), words::count(c.calls), ""});
  fill_times(s, 1, 1, [&](std::size_t i, std::size_t) { return std::optional(r_.cpu_ops[i].self); });
  fill_times(s, 4, 1, [&](std::size_t i, std::size_t) { return std::optional(r_.cpu_ops[i].total); });
  return s;
}

}  // namespace hotpath::inline HOTPATH_ABI::report::detail
