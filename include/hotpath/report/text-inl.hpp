// SPDX-License-Identifier: Apache-2.0
// hotpath/report/text-inl.hpp - bodies of report/text.hpp
#pragma once
#include <hotpath/report/detail/facts.hpp>
#include <hotpath/report/text.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

class serve_text {
 public:
  serve_text(const serve::report& r, const text_options& o)
      : r_(r), facts_(r, {.ascii = o.ascii}), verdict_(judge(r, o.judge)), page_(o.width < 60 ? 60 : o.width > 132 ? 132 : o.width, o.color, o.ascii),
        wide_(page_.width() >= 130) {}

  std::string write() {
    headline();
    page_.blank();
    rows(facts_.about());
    page_.heading("Requests");
    rows(facts_.requests());
    latency();
    rates();
    server();
    over_time();
    client();
    checks();
    if (const auto missing = facts_.missing(); !missing.empty()) page_.heading("Missing"), rows(missing);
    return page_.take();
  }

 private:
  static constexpr std::size_t indent = 16;  // where texts beside a label begin

  void rows(const std::vector<fact>& all) {
    for (const fact& f : all) page_.labelled(f.label, indent, f.text, f.tone);
  }

  // ---- headline
  void headline() {
    using enum exit_code;
    const style s = verdict_.code == ok ? style::good_badge
                    : verdict_.code == gate || verdict_.code == unreachable || verdict_.code == unusable ? style::bad_badge : style::warn_badge;
    std::string word(verdict_.word());
    for (char& c : word) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
    std::string first = page_.paint(s, " " + word + " ");
    std::size_t used = word.size() + 2;
    if (r_.client.limited) {
      constexpr std::string_view limited = " CLIENT LIMITED ";
      first += " " + page_.paint(style::warn_badge, limited);
      used += 1 + limited.size();
    }
    std::string figures;
    for (const std::string& f : facts_.headline()) figures += (figures.empty() ? "" : std::string(page_.dot())) + f;
    page_.wrapped(first, used, used + 2, figures.empty() ? "no figures" : figures, style::bold);
    for (const std::string& reason : verdict_.reasons) bullet(page_.mark("\u25B6 ", "> "), reason, style::warn);
    for (const std::string& finding : r_.findings) bullet(page_.mark("\u2022 ", "* "), finding, style::plain);
  }
  void bullet(std::string_view mark, std::string_view t, style s) { page_.wrapped("  " + page_.paint(s, mark), 4, 4, page_.clean(t, 2048)); }

  // ---- the table
  void latency() {
    bool any = false;
    for (const serve::distribution& d : r_.latency) any = any || d.n != 0;
    if (!any) return;
    page_.heading("Latency", "of ok requests, with 95 % intervals");
    // Of the quantiles as many as fit: p95 goes first, then p90.
    std::vector<std::size_t> shown = {0, 1, 2, 3};
    if (page_.width() < 80) shown = {0, 1, 3};
    if (page_.width() < 69) shown = {0, 3};
    const std::size_t value = wide_ ? 9 : 11, last = wide_ ? 10 : 7;
    page_.left("", 14);
    page_.right("n", 7, style::dim), page_.right("mean", wide_ ? 10 : 8, style::dim);
    for (const std::size_t i : shown) page_.right(serve::quantile_names[i], value, style::dim), page_.left("", wide_ ? 13 : 0);
    page_.right("max", last, style::dim);
    page_.end_line();
    for (const facts::line& l : facts::latency_rows) {
      const serve::distribution& d = r_.of(l.m);
      if (d.n == 0 || (l.m == serve::metric::ttfo && facts_.same_ttfo())) continue;
      const facts::unit u = facts_.unit_of(d);
      page_.left(l.label, 12, l.label.front() == ' ' ? style::plain : style::bold);
      page_.left(u.name, 2, style::dim);
      page_.right(facts::table_count(static_cast<double>(d.n)), 7), page_.right(facts::cell(d.mean * u.per_ms), wide_ ? 10 : 8);
      for (const std::size_t i : shown) {
        page_.right(facts::cell(d.quantile[i] * u.per_ms), value, tone(l.m, d.quantile[i]));
        if (wide_) page_.left(" " + bracketed(d.ci[i], u), 13, style::dim);
      }
      page_.right(facts::cell(d.max * u.per_ms), last);
      page_.end_line();
      if (wide_) continue;
      page_.left("", 29);
      for (const std::size_t i : shown) page_.right(facts_.interval(d.ci[i], u.per_ms), value, style::dim);
      page_.end_line();
    }
    for (const std::string& note : facts_.footnotes()) page_.labelled("", 2, note, style::dim);
  }
  std::string bracketed(const std::optional<serve::bounds>& b, const facts::unit& u) const {
    const std::string i = facts_.interval(b, u.per_ms);
    return b && b->hi ? "[" + i + "]" : i;
  }
  // A quantile over its limit stands out.
  style tone(serve::metric m, double ms) const {
    const model::slo& l = r_.run.slo;
    const auto& limit = m == serve::metric::ttft ? l.ttft : m == serve::metric::tpot ? l.tpot : m == serve::metric::e2e ? l.e2e : std::optional<nanoseconds>{};
    return limit && ms > limit->ms() ? style::warn : style::plain;
  }

  // ---- throughput and what limits it
  void rates() {
    const auto& t = r_.throughput;
    if (!t.requests_per_s && !t.output_tokens_per_s && !t.input_tokens_per_s && !r_.goodput.share) return;
    page_.heading("Throughput", t.window.ns > 0 ? "over " + words::duration(t.window) : "");
    rate("requests", t.requests_per_s), rate("output tokens", t.output_tokens_per_s), rate("input tokens", t.input_tokens_per_s);
    if (r_.goodput.share && r_.goodput.per_s) rate("goodput", serve::rate{*r_.goodput.per_s, r_.goodput.per_s_ci});
    rows(facts_.rates());
  }
  void rate(std::string_view label, const std::optional<serve::rate>& v) {
    if (!v) return;
    page_.left(page_.paint(style::dim, label), 0), page_.pad(columns_of(label), indent);
    page_.right(words::grouped(v->value), 9), page_.left(" /s", 5);
    page_.left(page::spaced(facts_.range(v->ci, words::grouped)), 0, style::dim);
    page_.end_line();
  }

  // ---- the engine's side, beside the client's
  void server() {
    if (!facts_.has_server()) return;
    page_.heading("Server:", facts_.server_title());
    if (const auto table = facts_.server_latencies(); !table.empty()) {
      const std::size_t n = page_.width() < 68 ? 0 : 7, used = 9 + 12 + 3 + n + 9, quantile = page_.width() - used > 32 ? 16 : (page_.width() - used) / 2;
      page_.left("", 24), page_.right(n != 0 ? "n" : "", n, style::dim), page_.right("mean", 9, style::dim);
      page_.right("p50", quantile, style::dim), page_.right("p99", quantile, style::dim), page_.end_line();
      std::string_view before;
      for (const server_latency& l : table) {
        page_.left(l.label == before ? std::string_view{} : l.label, 9, style::bold), page_.left(l.source, 12, style::dim), page_.left(l.unit, 3, style::dim);
        page_.right(n != 0 ? l.n : "", n), page_.right(l.mean, 9), page_.right(l.p50, quantile), page_.right(l.p99, quantile);
        page_.end_line();
        before = l.label;
      }
      page_.labelled("", 2, "engine: its own histograms; a quantile lies somewhere in the bucket shown. client: this run's arrivals.", style::dim);
    }
    rows(facts_.server());
    const auto engines = facts_.server_engines();
    if (engines.empty()) return;
    page_.blank();
    constexpr std::size_t columns[] = {0, 8, 8, 8, 9, 10, 11, 11};
    std::size_t shown = 1, used = 0, longest = 0;  // columns that do not fit beside a name of 15 are left out
    while (shown < 8 && used + columns[shown] + 15 <= page_.width()) used += columns[shown++];
    for (const server_engine& e : engines) longest = columns_of(e[0]) > longest ? columns_of(e[0]) : longest;
    const std::size_t room = longest + 2 < page_.width() - used ? (longest + 2 < 15 ? 15 : longest + 2) : page_.width() - used;
    const auto row = [&](const auto& e, style s) {
      std::string first(e[0]);
      while (columns_of(first) > room - 1) {  // the end tells engines apart, "…engine=1": the beginning goes
        const std::size_t skip = first.starts_with(page_.mark("\u2026", "...")) ? page_.mark("\u2026", "...").size() : 0;
        first = std::string(page_.mark("\u2026", "...")) + first.substr(skip + glyph_at(first, skip).bytes);
      }
      page_.left(first, room, s);
      for (std::size_t i = 1; i < shown; ++i) page_.right(e[i], columns[i], s);
      page_.end_line();
    };
    row(server_engine_head, style::dim);
    for (const server_engine& e : engines) row(e, style::plain);
  }

  // ---- steps over the run
  void over_time() {
    const auto all = facts_.over_time();
    if (all.empty()) return;
    const std::size_t room = page_.width() - indent - 18, each = (all[0].values->size() + room - 1) / room;
    page_.heading("Over time,", "one mark is " + page::glued(words::duration(nanoseconds{r_.over_time.step.ns * static_cast<std::int64_t>(each)})));
    for (const facts::steps& s : all) {
      const std::size_t own = s.values->size() <= room ? each : (s.values->size() + room - 1) / room;
      const facts::spark_line line = facts::spark(*s.values, own, page_.ascii());
      if (!line.any) continue;
      page_.left(page_.paint(style::dim, s.label), 0), page_.pad(columns_of(s.label), indent);
      page_.raw(page_.paint(style::spark, line.marks));
      page_.raw(page_.paint(style::dim, "  0" + std::string(page_.mark("\u2013", "-")) + s.show(line.top)));
      page_.end_line();
    }
  }

  // ---- the client, and the books
  void client() {
    if (r_.requests.ok + r_.requests.failed == 0) return;
    const auto [title, tone] = facts_.client_title();
    page_.heading("Client self-check:", title, tone);
    rows(facts_.client());
  }
  void checks() {
    if (r_.checks.empty()) return;
    page_.heading("Checks");
    for (const serve::check& c : r_.checks) {
      const std::string_view word = !c.ok ? "n/a" : *c.ok ? "ok" : "WRONG";
      const style s = !c.ok ? style::dim : *c.ok ? style::good : style::bad;
      const std::string name = page_.clean(c.name, 64);
      const std::string first = page_.paint(s, word) + std::string(7 - word.size(), ' ') + name;
      page_.wrapped(first, 7 + columns_of(name), columns_of(name) < 22 ? 30 : 7, facts_.check_text(c));
    }
  }

  const serve::report& r_;
  const facts facts_;
  const verdict verdict_;
  page page_;
  const bool wide_;
};

}  // namespace detail

HOTPATH_FN std::string text(const serve::report& r, const text_options& options) { return detail::serve_text{r, options}.write(); }

}  // namespace hotpath::inline HOTPATH_ABI::report
