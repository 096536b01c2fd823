// SPDX-License-Identifier: Apache-2.0
// hotpath/report/text-inl.hpp - bodies of report/text.hpp
#pragma once
#include <hotpath/core/utc.hpp>
#include <hotpath/report/detail/page.hpp>
#include <hotpath/report/words.hpp>
#include <hotpath/report/text.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

class serve_text {
 public:
  serve_text(const serve::report& r, const text_options& o)
      : r_(r), verdict_(judge(r, o.judge)), page_(o.width < 60 ? 60 : o.width > 132 ? 132 : o.width, o.color, o.ascii), wide_(page_.width() >= 130) {}

  std::string write() {
    headline();
    about();
    requests();
    latency();
    rates();
    over_time();
    client();
    checks();
    missing();
    return page_.take();
  }

 private:
  static constexpr std::size_t indent = 16;  // where texts beside a label begin
  using metric = serve::metric;

  // ---- small things
  void row(std::string_view label, std::string_view t, style s = style::plain) { page_.labelled(label, indent, t, s); }
  std::string joined(const std::vector<std::string>& parts) const {
    std::string out;
    for (const std::string& p : parts)
      if (!p.empty()) out += (out.empty() ? "" : std::string(page_.dot())) + p;
    return out;
  }
  std::string dash() const { return std::string(page_.mark("\u2013", "-")); }
  static std::string glued(std::string s) { return page::glued(std::move(s)); }
  std::string range(const std::optional<serve::bounds>& b, std::string (*show)(double)) const {
    if (!b) return "";
    if (!b->hi) return std::string(page_.mark("\u2265", ">=")) + "\u00A0" + show(b->lo);
    return "[" + show(b->lo) + ",\u00A0" + show(*b->hi) + "]";
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
    std::vector<std::string> figures;
    const auto& ttft = r_.of(metric::ttft);
    if (ttft.n != 0)
      figures.push_back(glued("TTFT p50 " + words::milliseconds(ttft.quantile[0])) + ", " + glued("p99 " + words::milliseconds(ttft.quantile[3])));
    if (const auto& tpot = r_.of(metric::tpot); tpot.n != 0) figures.push_back(glued("TPOT p50 " + words::milliseconds(tpot.quantile[0])));
    if (r_.goodput.per_s) figures.push_back(glued("goodput " + words::grouped(*r_.goodput.per_s) + " requests/s"));
    else if (r_.throughput.requests_per_s) figures.push_back(glued(words::grouped(r_.throughput.requests_per_s->value) + " requests/s"));
    if (r_.throughput.output_tokens_per_s) figures.push_back(glued(words::grouped(r_.throughput.output_tokens_per_s->value) + " output tokens/s"));
    page_.wrapped(first, used, used + 2, figures.empty() ? "no figures" : joined(figures), style::bold);
    for (const std::string& reason : verdict_.reasons) bullet(page_.mark("\u25B6 ", "> "), reason, style::warn);
    for (const std::string& finding : r_.findings) bullet(page_.mark("\u2022 ", "* "), finding, style::plain);
  }
  void bullet(std::string_view mark, std::string_view t, style s) { page_.wrapped("  " + page_.paint(s, mark), 4, 4, page_.clean(t, 2048)); }

  void about() {
    const model::run_info& i = r_.run;
    page_.blank();
    std::vector<std::string> who = {page_.clean(i.model)};
    if (!i.engine.empty()) who.back() += " on " + page_.clean(i.engine);
    who.push_back(page_.clean(i.endpoint));
    who.push_back(page_.clean(i.api));
    if (const std::string server = joined(who); !server.empty()) row("server", server);
    row("load", joined({plan(), page_.clean(i.workload), i.prompt_lengths.empty() ? "" : "prompt lengths: " + page_.clean(i.prompt_lengths)}));
    std::vector<std::string> when;
    if (i.wall_start.ns != 0) when.push_back(text::utc(i.wall_start, 0));
    if (i.ended.ns > 0) when.push_back(glued(words::duration(i.ended)));
    when.push_back("hotpath " + page_.clean(i.tool_version) + (i.host.empty() ? "" : " on " + page_.clean(i.host)) +
                   (i.threads > 1 ? ", " + words::count(i.threads, "thread") : ""));
    row("run", joined(when));
    for (const std::string& note : i.notes) row("note", page_.clean(note, 1024));
  }
  std::string plan() const {
    const model::schedule& s = r_.run.plan;
    std::string out;
    if (s.open()) {
      out = "open loop, " + glued(words::number(s.per_second) + " requests/s") + (s.kind == model::arrival::poisson ? " (Poisson)" : " (constant)");
      if (s.max_in_flight != 0) out += ", at most " + words::count(s.max_in_flight) + " in flight";
    } else {
      out = "closed loop, " + words::count(s.streams, "stream");
    }
    if (s.max_requests) out += ", " + glued(words::count(*s.max_requests, "request"));
    if (s.max_duration) out += ", " + glued("at most " + words::duration(*s.max_duration));
    return out;
  }

  // ---- failures and coverage first
  void requests() {
    const auto& q = r_.requests;
    page_.heading("Requests");
    const std::uint64_t finished = q.ok + q.failed + q.cancelled;
    std::string outcome = words::count(q.ok) + " ok";
    if (finished != 0) outcome += " (" + glued(words::percent(static_cast<double>(q.ok) / static_cast<double>(finished))) + ")";
    outcome += ", " + words::count(q.failed) + " failed, " + words::count(q.cancelled) + " cancelled";
    if (q.in_flight != 0) outcome += ", " + words::count(q.in_flight) + " in flight when this was stored";
    row("sent", words::count(q.sent) + ": " + outcome);
    if (r_.run.unsent != 0) row("never sent", words::count(r_.run.unsent, "request") + " due, but the run ended while they waited for a slot", style::warn);
    if (q.warmup != 0) row("warm-up", words::count(q.warmup, "request") + ", in none of the figures below");
    if (q.failed + q.cancelled != 0) {
      row("failures", error_list(r_), style::bad);
      if (!q.first_error.empty()) row("first failure", page_.clean(q.first_error, 1024));
    }
    if (r_.lost) row("lost", loss_list(r_.lost), style::bad);
    if (r_.run.workload_loss) row("lines skipped", loss_list(r_.run.workload_loss), style::warn);
    std::vector<std::string> ends;
    for (const auto& [name, n] : q.finish_reasons) ends.push_back(page_.clean(name, 64) + " " + words::count(n));
    if (!ends.empty()) row("finished by", joined(ends));
    tokens();
    if (q.retried_connections != 0)
      row("connections", words::count(q.retried_connections) + " kept alive turned out closed and " + (q.retried_connections == 1 ? "was" : "were") + " opened again");
  }
  void tokens() {
    const auto& t = r_.tokens;
    const auto n = [](std::int64_t v) { return v < 0 ? "-" + words::count(static_cast<std::uint64_t>(-v)) : words::count(static_cast<std::uint64_t>(v)); };
    std::vector<std::string> parts;
    if (t.prompt) parts.push_back(glued(n(*t.prompt) + " in") + (t.cached ? " (" + glued(n(*t.cached) + " cached") + ")" : ""));
    if (t.completion) parts.push_back(glued(n(*t.completion) + " out") + (t.reasoning ? " (" + glued(n(*t.reasoning) + " reasoning") + ")" : ""));
    if (parts.empty()) return;
    if (t.source == "usage") parts.push_back("from the server's usage");
    else if (t.source == "mixed") parts.push_back("the server sent no usage for " + words::count(t.without_usage, "request"));
    else if (t.source == "chunks") parts.push_back("no usage from the server: one per chunk, a lower bound");
    row("tokens", joined(parts));
    if (t.suspect != 0) row("", words::count(t.suspect, "request") + " with a usage that contradicts itself", style::warn);
    if (t.planned_prompt_error && __builtin_fabs(*t.planned_prompt_error) >= 0.005)
      row("", "prompts are " + glued(words::percent(__builtin_fabs(*t.planned_prompt_error))) + (*t.planned_prompt_error > 0 ? " longer" : " shorter") + " than planned, by the server's count", style::warn);
  }

  // ---- the table
  struct unit {
    std::string_view name;
    double per_ms;
  };
  unit unit_of(const serve::distribution& d) const {
    const double p50 = d.quantile[0];
    if (p50 >= 999.95) return {"s", 1e-3};
    if (p50 < 0.09995 && d.max < 100) return {page_.mark("\u00B5s", "us"), 1e3};
    return {"ms", 1};
  }
  static std::string cell(double v) { return v < 9999.5 ? words::number(v) : words::fixed(v, 0); }
  // Shorter than the value itself: an interval is not known to four digits.
  static std::string bound(double v) {
    if (v >= 99'950) return words::fixed(v / 1000, 0) + "k";
    return words::fixed(v, v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2);
  }
  std::string interval(const std::optional<serve::bounds>& b, double scale) const {
    if (!b) return "?";
    if (!b->hi) return std::string(page_.mark("\u2265 ", ">= ")) + bound(b->lo * scale);
    return bound(b->lo * scale) + dash() + bound(*b->hi * scale);
  }

  void latency() {
    struct line {
      metric m;
      std::string_view label;
    };
    constexpr line rows[] = {{metric::ttft, "TTFT"}, {metric::slot_wait, "  slot wait"}, {metric::connect, "  connect"}, {metric::dispatch_delay, "  dispatch"},
                             {metric::service_ttft, "  service"}, {metric::ttfo, "TTFO"}, {metric::tpot, "TPOT"}, {metric::itl, "ITL"},
                             {metric::chunk_gap, "chunk gap"}, {metric::e2e, "E2E"}};
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
    for (const line& l : rows) {
      const serve::distribution& d = r_.of(l.m);
      if (d.n == 0 || (l.m == metric::ttfo && same_as_ttft())) continue;
      const unit u = unit_of(d);
      page_.left(l.label, 12, l.label.front() == ' ' ? style::plain : style::bold);
      page_.left(u.name, 2, style::dim);
      page_.right(table_count(d.n), 7), page_.right(cell(d.mean * u.per_ms), wide_ ? 10 : 8);
      for (const std::size_t i : shown) {
        page_.right(cell(d.quantile[i] * u.per_ms), value);
        if (wide_) page_.left(" " + bracketed(d.ci[i], u), 13, style::dim);
      }
      page_.right(cell(d.max * u.per_ms), last);
      page_.end_line();
      if (wide_) continue;
      page_.left("", 29);
      for (const std::size_t i : shown) page_.right(interval(d.ci[i], u.per_ms), value, style::dim);
      page_.end_line();
    }
    footnotes();
  }
  std::string bracketed(const std::optional<serve::bounds>& b, const unit& u) const {
    const std::string i = interval(b, u.per_ms);
    return b && b->hi ? "[" + i + "]" : i;
  }
  // Without reasoning the first output is the first content.
  bool same_as_ttft() const {
    const auto &a = r_.of(metric::ttft), &b = r_.of(metric::ttfo);
    return b.n != 0 && a.n == b.n && a.mean == b.mean && a.max == b.max;
  }
  // At most 6 columns.
  static std::string table_count(std::uint64_t n) { return n < 100'000 ? words::count(n) : n < 1'000'000 ? words::count(n / 1000) + "k" : words::short_count(n); }

  void footnotes() {
    bool open_end = false, none = false;
    for (const serve::distribution& d : r_.latency)
      for (const auto& ci : d.ci) {
        if (d.n == 0) continue;
        open_end = open_end || (ci && !ci->hi);
        none = none || !ci;
      }
    const std::string slot = r_.of(metric::slot_wait).n != 0 ? "waits for a slot of the cap, " : "";
    page_.labelled("", 2, "TTFT counts from the schedule, service TTFT from the send; between them: " + slot + "connect, dispatch." +
                              (same_as_ttft() ? " TTFO is the same: no reasoning was seen." : ""), style::dim);
    if (open_end) page_.labelled("", 2, std::string(page_.mark("\u2265", ">=")) + " too few requests for an upper end (p95 needs 72, p99 needs 368).", style::dim);
    if (none) page_.labelled("", 2, "? too few requests for an interval.", style::dim);
    const std::uint64_t inexact = r_.of(metric::chunk_gap).inexact + r_.of(metric::itl).inexact;
    if (inexact != 0) page_.labelled("", 2, words::count(inexact, "gap") + " left out: several events came in one read, so their times are upper bounds.", style::dim);
  }

  // ---- throughput and what limits it
  void rates() {
    const auto& t = r_.throughput;
    if (!t.requests_per_s && !t.output_tokens_per_s && !t.input_tokens_per_s && !r_.goodput.share) return;
    page_.heading("Throughput", t.window.ns > 0 ? "over " + words::duration(t.window) : "");
    rate("requests", t.requests_per_s), rate("output tokens", t.output_tokens_per_s), rate("input tokens", t.input_tokens_per_s);
    goodput();
    const auto& c = r_.concurrency;
    if (t.window.ns > 0) {
      std::string s = glued("mean " + words::number(c.mean)) + ", " + glued("max " + words::count(static_cast<std::uint64_t>(c.max)));
      if (c.at_server) s += ", " + glued(words::number(*c.at_server) + " at the server");
      if (!r_.queue_at.empty()) s += "; the queue is at the " + page_.clean(r_.queue_at, 32);
      row("in flight", s);
    }
    const auto& s = r_.stalls;
    if (r_.of(metric::chunk_gap).n != 0 || r_.of(metric::itl).n != 0)
      row("stalls", s.count == 0 ? "none" : words::count(s.count) + " in " + words::count(s.requests, "request") + ", longest " + glued(words::milliseconds(s.longest_ms)) + ", " +
                                                glued(words::percent(s.share_of_decode_time)) + " of the decode time", s.count == 0 ? style::plain : style::warn);
  }
  void rate(std::string_view label, const std::optional<serve::rate>& v) {
    if (!v) return;
    page_.left(page_.paint(style::dim, label), 0), page_.pad(columns_of(label), indent);
    page_.right(words::grouped(v->value), 9), page_.left(" /s", 5);
    page_.left(page::spaced(range(v->ci, words::grouped)), 0, style::dim);
    page_.end_line();
  }
  void goodput() {
    const auto& g = r_.goodput;
    if (!g.share) return;
    const model::slo& l = r_.run.slo;
    std::string limits;
    const auto limit = [&](std::string_view name, const std::optional<nanoseconds>& v) {
      if (v) limits += (limits.empty() ? "" : ", ") + glued(std::string(name) + " " + std::string(page_.mark("\u2264", "<=")) + " " + words::milliseconds(v->ms()));
    };
    limit("TTFT", l.ttft), limit("TPOT", l.tpot), limit("E2E", l.e2e);
    if (g.per_s) rate("goodput", serve::rate{*g.per_s, g.per_s_ci});
    page_.labelled(g.per_s ? "" : "goodput", indent, glued(words::percent(*g.share)) + (g.share_ci ? " " + range(g.share_ci, words::percent_number) : "") + ": " + words::count(g.good) + " of " +
                   words::count(g.total, "request") + " within " + limits);
  }

  // ---- steps over the run
  void over_time() {
    const serve::series& s = r_.over_time;
    if (s.in_flight.size() < 4) return;
    page_.heading("Over time,", "one mark is " + glued(words::duration(nanoseconds{s.step.ns * static_cast<std::int64_t>(per_mark(s))})));
    spark("in flight", s.in_flight, s), spark("output tokens/s", s.output_tokens_per_s, s), spark("TTFT p50 ms", s.ttft_p50_ms, s);
  }
  std::size_t per_mark(const serve::series& s) const {
    const std::size_t room = page_.width() - indent - 18;
    return (s.in_flight.size() + room - 1) / room;
  }
  void spark(std::string_view label, const std::vector<double>& v, const serve::series& s) {
    const std::size_t each = per_mark(s);
    std::vector<double> marks;
    double top = 0;
    bool any = false;
    for (std::size_t i = 0; i < v.size(); i += each) {
      double sum = 0, n = 0;
      for (std::size_t k = i; k < i + each && k < v.size(); ++k)
        if (__builtin_isfinite(v[k])) sum += v[k], ++n;
      marks.push_back(n > 0 ? sum / n : __builtin_nan(""));
      if (n > 0) any = true;
      if (n > 0 && marks.back() > top) top = marks.back();
    }
    if (!any) return;
    constexpr std::string_view blocks[] = {"\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};
    constexpr std::string_view plain = "_.-:=+*#";
    std::string line;
    for (const double m : marks) {
      const std::size_t level = __builtin_isfinite(m) && top > 0 && m > 0 ? static_cast<std::size_t>(m / top * 7.999) : 0;
      if (!__builtin_isfinite(m)) line += ' ';
      else if (page_.ascii()) line += plain[level];
      else line += blocks[level];
    }
    page_.left(page_.paint(style::dim, label), 0), page_.pad(columns_of(label), indent);
    page_.raw(line);
    page_.raw(page_.paint(style::dim, "  0" + dash() + words::number(top)));
    page_.end_line();
  }

  // ---- the client
  void client() {
    const auto& c = r_.client;
    if (r_.requests.ok + r_.requests.failed == 0) return;
    const bool measured = c.cpu_share || c.loop_lag_p99_ms;
    page_.heading("Client self-check:", c.limited ? "the client was the limit" : measured ? "passed" : "nothing found, but little measured",
                  c.limited ? style::warn : measured ? style::good : style::plain);
    std::vector<std::string> stamps = {c.kernel_stamps ? "from the kernel" : glued(words::percent(c.user_stamp_share)) + " from the client's own clock"};
    stamps.push_back(glued(words::percent(c.inexact_share)) + " inexact (upper bounds)");
    row("arrival stamps", joined(stamps));
    std::vector<std::string> lag;
    const auto figure = [&](std::string_view name, const std::optional<double>& v) {
      if (v) lag.push_back(glued(std::string(name) + " " + words::milliseconds(*v)));
    };
    figure("p50", c.loop_lag_p50_ms), figure("p99", c.loop_lag_p99_ms), figure("max", c.loop_lag_max_ms);
    if (!lag.empty()) row("loop lag", joined(lag));
    lag.clear();
    figure("p99", c.read_lag_p99_ms);
    if (!lag.empty()) row("read lag", joined(lag));
    std::vector<std::string> load;
    if (c.cpu_share) load.push_back(glued(words::percent(*c.cpu_share)) + " of a core (busiest thread)");
    if (c.bytes_per_s > 0) load.push_back(glued(words::bytes(c.bytes_per_s) + "/s") + " received");
    if (c.open_descriptors_max != 0) load.push_back(words::count(c.open_descriptors_max, "descriptor"));
    if (!load.empty()) row("load", joined(load));
    row("sent late", c.late == 0 ? "none (10 ms or more after they were due)" : words::count(c.late, "request") + " sent 10 ms or more after they were due",
        c.late == 0 ? style::plain : style::warn);
    if (c.suspended.ns > 0) row("suspended", "the client did not run at all for " + glued(words::milliseconds(c.suspended.ms())), style::warn);
  }

  void checks() {
    if (r_.checks.empty()) return;
    page_.heading("Checks");
    for (const serve::check& c : r_.checks) {
      const std::string_view word = !c.ok ? "n/a" : *c.ok ? "ok" : "WRONG";
      const style s = !c.ok ? style::dim : *c.ok ? style::good : style::bad;
      const std::string name = page_.clean(c.name, 64);
      std::string t;
      if (c.ok && __builtin_isfinite(c.left) && __builtin_isfinite(c.right)) t = glued(side(c.left)) + (*c.ok ? " and " : " against ") + glued(side(c.right));
      if (!c.why.empty()) t += (t.empty() ? "" : ": ") + page_.clean(c.why, 256);
      const std::string first = page_.paint(s, word) + std::string(7 - word.size(), ' ') + name;
      page_.wrapped(first, 7 + columns_of(name), columns_of(name) < 22 ? 30 : 7, t);
    }
  }
  // Both sides of a check are often counts, or large: all digits that matter, none that do not.
  static std::string side(double v) {
    if (v >= 0 && v < 1e15 && v == __builtin_floor(v)) return words::count(static_cast<std::uint64_t>(v));
    return words::fixed(v, 3);
  }

  void missing() {
    std::vector<std::pair<std::string, std::string>> rows;
    constexpr std::string_view names[] = {"TTFT", "service TTFT", "TTFO", "connect", "slot wait", "dispatch delay", "TPOT", "ITL", "chunk gap", "E2E"};
    const auto& all = r_.latency;
    bool alike = true;
    for (const serve::distribution& d : all) alike = alike && d.n == 0 && d.missing == all[0].missing;
    if (alike) rows.emplace_back("all latencies", all[0].missing);
    else
      for (std::size_t i = 0; i < all.size(); ++i)
        if (all[i].n == 0) rows.emplace_back(names[i], all[i].missing);
    if (!r_.throughput.requests_per_s) rows.emplace_back("throughput", r_.throughput.missing);
    else if (!r_.throughput.output_tokens_per_s) rows.emplace_back("tokens/s", "token counts are not known");
    if (!r_.goodput.share) rows.emplace_back("goodput", r_.goodput.missing);
    if (!r_.client.cpu_share) rows.emplace_back("client CPU", "the client stored no measurements of itself");
    if (rows.empty()) return;
    page_.heading("Missing");
    for (const auto& [name, why] : rows) row(name, why.empty() ? "not measured" : page_.clean(why, 512));
  }

  const serve::report& r_;
  const verdict verdict_;
  page page_;
  const bool wide_;
};

}  // namespace detail

HOTPATH_FN std::string text(const serve::report& r, const text_options& options) { return detail::serve_text{r, options}.write(); }

}  // namespace hotpath::inline HOTPATH_ABI::report
