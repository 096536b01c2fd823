// SPDX-License-Identifier: Apache-2.0
// hotpath/report/compare-inl.hpp - bodies of report/compare.hpp
#pragma once
#include <hotpath/kernel/family.hpp>
#include <hotpath/report/compare.hpp>
#include <hotpath/report/detail/triage_facts.hpp>
#include <hotpath/report/triage_json-inl.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

class compare_text {
 public:
  compare_text(const kernel::comparison& c, const compare_labels& l, const text_options& o)
      : c_(c), labels_(l), facts_(nothing_, o.ascii), page_(o.width < 60 ? 60 : o.width > 200 ? 200 : o.width, o.color, o.ascii) {
    for (const kernel::stage_comparison& s : c_.stages)
      for (const kernel::compare_row& r : s.kernels) names_.add(r.name);
    names_.finish();
  }

  std::string write() {
    headline();
    page_.blank();
    page_.labelled("A", 4, page_.clean(labels_.a)), page_.labelled("B", 4, page_.clean(labels_.b));
    stages();
    for (const kernel::stage_comparison& s : c_.stages) {
      rows("Families: ", s, s.families, false);
      rows("Kernels: ", s, s.kernels, true);
    }
    list("On one side only", c_.unmatched), list("Notes", c_.notes);
    return page_.take();
  }

 private:
  static style tone(kernel::change_verdict v) {
    using enum kernel::change_verdict;
    return v == worse ? style::bad : v == better ? style::good : v == inconclusive ? style::dim : style::plain;
  }
  std::string percent(double p) const {
    std::string t = words::fixed(p, __builtin_fabs(p) < 9.95 ? 2 : 1) + "%";
    return p > 0 && t.find_first_of("123456789") != std::string::npos ? "+" + t : t;
  }
  std::string relative(const kernel::change& c) const { return c.relative ? percent(*c.relative) : c.b > 0 ? "new" : facts_.mark("\u2013", "-"); }
  std::string interval(const kernel::change& c) const { return c.ci && c.ci->hi ? "[" + percent(c.ci->lo) + ", " + percent(*c.ci->hi) + "]" : facts_.mark("\u2013", "-"); }
  static nanoseconds whole(double ns) { return nanoseconds{static_cast<std::int64_t>(ns > 0 && ns < 9e18 ? ns + 0.5 : 0)}; }

  void headline() {
    using enum kernel::change_verdict;
    std::string word(kernel::name_of(c_.verdict));
    for (char& x : word) x = static_cast<char>(x - ('a' - 'A'));
    const style badge = c_.verdict == worse ? style::bad_badge : c_.verdict == inconclusive ? style::warn_badge : style::good_badge;
    std::string what;
    for (const kernel::stage_comparison& s : c_.stages)
      if (s.step_time.relative)
        what += (what.empty() ? "" : std::string(page_.dot())) + std::string(name_of(s.at)) + " " + page::glued("step " + relative(s.step_time)) + (s.step_time.ci ? " " + page::glued(interval(s.step_time)) : "");
    page_.wrapped(page_.paint(badge, " " + word + " "), word.size() + 2, word.size() + 3, what.empty() ? "nothing that both traces have" : page_.clean(what, 2048), style::bold);
    for (const kernel::stage_comparison& s : c_.stages)
      if (!s.reason.empty()) page_.wrapped("  " + page_.paint(style::warn, page_.mark("\u25B6 ", "> ")), 4, 4, page_.clean(std::string(name_of(s.at)) + ": " + s.reason, 1024));
  }

  void stages() {
    if (c_.stages.empty()) return;
    using enum cell_kind;
    page_.heading("Stages", std::string(page_.dot().substr(1)) + "time of a step, from its first GPU work to its last", style::dim);
    sheet s{{{"stage"}, {"steps A", number}, {"steps B", number}, {"A", number}, {"B", number}, {"change", number}, {"95 % interval", number}, {"verdict"}, {"busy A", number}, {"busy B", number}, {"p", number}}, {}, {}, {}};
    for (const kernel::stage_comparison& x : c_.stages)
      s.rows.push_back({std::string(name_of(x.at)), words::count(x.a_steps), words::count(x.b_steps), "", "", relative(x.step_time), interval(x.step_time),
                        std::string(kernel::name_of(x.step_time.what)), "", "", x.ranks ? (x.ranks->p < 0.001 ? "< 0.001" : words::number(x.ranks->p)) : facts_.mark("\u2013", "-")});
    facts_.fill_times(s, 3, 2, [&](std::size_t i, std::size_t c) { return std::optional(whole(c == 0 ? c_.stages[i].step_time.a : c_.stages[i].step_time.b)); });
    facts_.fill_times(s, 8, 2, [&](std::size_t i, std::size_t c) { return std::optional(whole(c == 0 ? c_.stages[i].busy.a : c_.stages[i].busy.b)); });
    print_sheet(page_, s, fitting(page_, s, {0, 1, 2, 3, 4, 5, 6, 10, 7, 8, 9}, {9, 8, 10, 2, 1, 6}, 24));
  }

  void rows(std::string_view title, const kernel::stage_comparison& at, const std::vector<kernel::compare_row>& all, bool kernels) {
    if (all.empty()) return;
    using enum cell_kind;
    page_.heading(std::string(title) + std::string(name_of(at.at)), std::string(page_.dot().substr(1)) + (at.a_steps != 0 && at.b_steps != 0 ? "per step" : "in all"), style::dim);
    sheet s{{{kernels ? "kernel" : "family", name}, {"A", number}, {"B", number}, {"change", number}, {"95 % interval", number}, {"verdict"}, {"launches A", number}, {"B", number}, {"family"}}, {}, {}, {}};
    for (const kernel::compare_row& r : all)
      s.rows.push_back({kernels ? names_.of(r.name) : r.name, "", "", relative(r.time), interval(r.time), std::string(kernel::name_of(r.time.what)), words::count(r.a_launches), words::count(r.b_launches), kernels ? std::string(kernel::family_name(r.of)) : std::string()});
    facts_.fill_times(s, 1, 2, [&](std::size_t i, std::size_t c) { return std::optional(whole(c == 0 ? all[i].time.a : all[i].time.b)); });
    const std::size_t w = page_.width();
    auto chosen = fitting(page_, s, {1, 2, 3, 4, 5, 6, 7, 8, 0}, {8, 7, 6, 4, 5}, w * 3 / 10 > 28 ? w * 3 / 10 : 28);
    if (!has(chosen, 7)) std::erase(chosen, 6u);
    std::vector<std::vector<std::string>> below;
    for (std::size_t i = 0; i < all.size() && !has(chosen, 5); ++i) below.push_back({s.rows[i][5]});
    print_sheet(page_, s, chosen, below);
  }
  void list(std::string_view title, const std::vector<std::string>& all) {
    if (all.empty()) return;
    page_.heading(title);
    for (const std::string& x : all) page_.wrapped("  " + std::string(page_.mark("\u2022 ", "* ")), 4, 4, page_.clean(x, 1024));
  }

  const kernel::comparison& c_;
  const compare_labels& labels_;
  const kernel::triage_report nothing_;
  const triage_facts facts_;
  kernel_labels names_;
  page page_;
};

namespace triage_members {

inline const auto& names_of(words_of_enums, kernel::change_verdict) { return kernel::change_verdict_names; }
template <class V, is<stats::interval> T> void members(V& v, T& i) { v("lo", i.lo), v("hi", i.hi, "too few steps"); }
template <class V, is<kernel::change> T> void members(V& v, T& c) {
  v("a_ns", c.a), v("b_ns", c.b), v("relative_pct", c.relative, "A is 0"), v("ci95_pct", c.ci, "too few steps for an interval"), v("p", c.p), v("verdict", c.what);
}
template <class V, is<kernel::rank_tests> T> void members(V& v, T& r) { v("shift_ns", r.shift), v("cliff_delta", r.cliff), v("mann_whitney_u", r.u), v("p", r.p); }
template <class V, is<kernel::compare_row> T> void members(V& v, T& r) {
  v("name", r.name), v("family", r.of), v("time", r.time), v("a_launches", r.a_launches), v("b_launches", r.b_launches);
}
template <class V, is<kernel::stage_comparison> T> void members(V& v, T& s) {
  constexpr std::string_view untold = "the annotations do not tell it";
  v("stage", s.at), v("a_steps", s.a_steps), v("b_steps", s.b_steps), v("step_time", s.step_time), v("busy", s.busy), v("ranks", s.ranks, "a side has no steps");
  v("a_requests", s.a_requests, untold), v("b_requests", s.b_requests, untold), v("a_tokens", s.a_tokens, untold), v("b_tokens", s.b_tokens, untold);
  v("reason", s.reason), v("families", s.families), v("kernels", s.kernels);
}
template <> inline constexpr bool is_tall<kernel::stage_comparison> = true;

}  // namespace triage_members

}  // namespace detail

HOTPATH_FN std::string text(const kernel::comparison& c, const compare_labels& labels, const text_options& options) { return detail::compare_text{c, labels, options}.write(); }

HOTPATH_FN std::string json(const kernel::comparison& c, const compare_labels& labels, int indent) {
  using namespace detail::triage_members;
  std::string text, path;
  missing_list missing;
  json::writer w{text, indent};
  w.object_begin();
  w.member("schema", "hotpath.trace_diff/1"), w.member("a", labels.a), w.member("b", labels.b);
  detail::triage_members::out all{w, missing, path, indent};
  all("verdict", c.verdict), all("stages", c.stages), all("unmatched", c.unmatched), all("notes", c.notes);
  w.key("missing");
  w.object_begin();
  for (const auto& [where, why] : missing.paths) w.member(where, why);
  w.object_end();
  w.object_end();
  return text += '\n';
}

}  // namespace hotpath::inline HOTPATH_ABI::report
