// SPDX-License-Identifier: Apache-2.0
// hotpath/report/markdown-inl.hpp - bodies of report/markdown.hpp
#pragma once
#include <hotpath/report/detail/facts.hpp>
#include <hotpath/report/detail/markup.hpp>
#include <hotpath/report/markdown.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

class serve_markdown {
 public:
  serve_markdown(const serve::report& r, const judge_options& judge) : r_(r), facts_(r, {.name = markdown_name, .prose = markdown_prose}), verdict_(report::judge(r, judge)) {}

  std::string write() {
    std::string word(verdict_.word());
    for (char& c : word) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
    out_ += "## " + word + std::string(r_.client.limited ? ", CLIENT LIMITED" : "");
    std::string figures;
    for (const std::string& f : facts_.headline()) figures += (figures.empty() ? "" : " \u00B7 ") + f;
    line(": " + (figures.empty() ? "no figures" : figures)), line();
    for (const std::string& reason : verdict_.reasons) line("- **" + markdown_prose(reason, 2048, false) + "**");
    for (const std::string& finding : r_.findings) line("- " + markdown_prose(finding, 2048, false));
    if (!verdict_.reasons.empty() || !r_.findings.empty()) line();
    list(facts_.about());
    heading("Requests"), list(facts_.requests());
    latency();
    rates();
    server();
    over_time();
    if (r_.requests.ok + r_.requests.failed != 0) heading("Client self-check: " + facts_.client_title().first), list(facts_.client());
    checks();
    if (const auto missing = facts_.missing(); !missing.empty()) heading("Missing"), list(missing);
    return std::move(out_);
  }

 private:
  void line(std::string_view t = {}) { out_ += page::spaced(t), out_ += '\n'; }
  void heading(std::string_view t) {
    if (!out_.ends_with("\n\n")) line();
    line("### " + std::string(t)), line();
  }
  void list(const std::vector<fact>& all) {
    for (const fact& f : all) line(f.label.empty() ? "  - " + f.text : "- **" + f.label + "** " + f.text);
  }
  template <class Cells>
  void row(const Cells& cells) {
    std::string t = "|";
    for (const auto& c : cells) t += " " + std::string(c) + " |";
    line(t);
  }
  // The first `left` columns are words, the others numbers.
  template <class Cells>
  void head(const Cells& cells, std::size_t left) {
    row(cells);
    std::string t = "|";
    for (std::size_t i = 0; i < std::size(cells); ++i) t += i < left ? " --- |" : " ---: |";
    line(t);
  }

  void latency() {
    bool any = false;
    for (const serve::distribution& d : r_.latency) any = any || d.n != 0;
    if (!any) return;
    heading("Latency of ok requests, with 95 % intervals");
    constexpr std::array<std::string_view, 8> columns = {"", "n", "mean", "p50", "p90", "p95", "p99", "max"};
    head(columns, 1);
    for (const facts::line& l : facts::latency_rows) {
      const serve::distribution& d = r_.of(l.m);
      if (d.n == 0 || (l.m == serve::metric::ttfo && facts_.same_ttfo())) continue;
      const facts::unit u = facts_.unit_of(d);
      const bool part = l.label.front() == ' ';
      std::vector<std::string> cells = {(part ? "&nbsp;&nbsp;" + std::string(l.label.substr(2)) : "**" + std::string(l.label) + "**") + ", " + std::string(u.name),
                                        words::count(d.n), facts::cell(d.mean * u.per_ms)};
      for (std::size_t i = 0; i < d.quantile.size(); ++i) cells.push_back(facts::cell(d.quantile[i] * u.per_ms) + " <sub>" + facts_.interval(d.ci[i], u.per_ms) + "</sub>");
      cells.push_back(facts::cell(d.max * u.per_ms));
      row(cells);
    }
    line();
    for (const std::string& note : facts_.footnotes()) line("<sub>" + note + "</sub>  ");
  }

  void rates() {
    const auto& t = r_.throughput;
    if (!t.requests_per_s && !t.output_tokens_per_s && !t.input_tokens_per_s && !r_.goodput.share) return;
    heading("Throughput" + (t.window.ns > 0 ? " over " + words::duration(t.window) : std::string()));
    const auto rate = [&](std::string_view label, const std::optional<serve::rate>& v) {
      if (v) line("- **" + std::string(label) + "** " + words::grouped(v->value) + " /s " + facts_.range(v->ci, words::grouped));
    };
    rate("requests", t.requests_per_s), rate("output tokens", t.output_tokens_per_s), rate("input tokens", t.input_tokens_per_s);
    if (r_.goodput.share && r_.goodput.per_s) rate("goodput", serve::rate{*r_.goodput.per_s, r_.goodput.per_s_ci});
    list(facts_.rates());
  }

  void server() {
    if (!facts_.has_server()) return;
    heading("Server: " + facts_.server_title());
    if (const auto table = facts_.server_latencies(); !table.empty()) {
      constexpr std::array<std::string_view, 6> columns = {"", "by", "n", "mean", "p50", "p99"};
      head(columns, 2);
      for (const server_latency& l : table) {
        const std::string_view source = l.source.substr(l.source.find_first_not_of(' '));
        row(std::vector<std::string>{"**" + std::string(l.label) + "**", source == l.source ? std::string(source) : "client, " + std::string(source), l.n,
                                     l.mean + (l.unit.empty() ? "" : " " + std::string(l.unit)), l.p50, l.p99});
      }
      line();
      line("<sub>engine: its own histograms; a quantile lies somewhere in the bucket shown. client: this run's arrivals.</sub>"), line();
    }
    list(facts_.server());
    const auto engines = facts_.server_engines();
    if (engines.empty()) return;
    line(), head(server_engine_head, 1);
    for (const server_engine& e : engines) row(e);
  }

  void over_time() {
    const auto all = facts_.over_time();
    if (all.empty()) return;
    constexpr std::size_t room = 100;  // what a code block shows without a scroll bar
    const std::size_t each = (all[0].values->size() + room - 1) / room;
    heading("Over time, one mark is " + words::duration(nanoseconds{r_.over_time.step.ns * static_cast<std::int64_t>(each)}));
    line("```text");
    for (const facts::steps& s : all) {
      const facts::spark_line l = facts::spark(*s.values, (s.values->size() + room - 1) / room, false);
      if (l.any) line(std::string(s.label) + std::string(16 - s.label.size(), ' ') + l.marks + "  0\u2013" + s.show(l.top));
    }
    line("```");
  }

  void checks() {
    if (r_.checks.empty()) return;
    heading("Checks");
    constexpr std::array<std::string_view, 3> columns = {"", "check", ""};
    head(columns, 3);
    for (const serve::check& c : r_.checks)
      row(std::array<std::string, 3>{!c.ok ? "n/a" : *c.ok ? "ok" : "**WRONG**", markdown_prose(c.name, 64, false), facts_.check_text(c)});
  }

  const serve::report& r_;
  const facts facts_;
  const verdict verdict_;
  std::string out_;
};

}  // namespace detail

HOTPATH_FN std::string markdown(const serve::report& r, const judge_options& judge) { return detail::serve_markdown{r, judge}.write(); }

}  // namespace hotpath::inline HOTPATH_ABI::report
