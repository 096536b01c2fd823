// SPDX-License-Identifier: Apache-2.0
// hotpath/report/live-inl.hpp - bodies of report/live.hpp
#pragma once
#include <hotpath/report/detail/page.hpp>
#include <hotpath/report/verdict.hpp>
#include <hotpath/report/words.hpp>
#include <hotpath/report/live.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {
inline constexpr nanoseconds live_window{10'000'000'000};

inline void push(live_figure& f, double v) {
  if (f.past.size() == live_figure::most) f.past.erase(f.past.begin());
  f.past.push_back(v);
}
inline void keep(live_figure& f, std::optional<double> v) {
  f.old = !v && f.now;
  if (v) f.now = v;
}
}  // namespace detail

// ---- the client's side

HOTPATH_FN void live_meter::describe(std::string title, const model::schedule& plan) {
  state_.title = std::move(title);
  state_.plan = plan;
  state_.plan.due = {};
}

HOTPATH_FN void live_meter::add(const model::progress& p) {
  const model::progress before = state_.at;
  window_.push_back(p);
  while (window_.size() > 1 && p.elapsed - window_.front().elapsed > detail::live_window) window_.pop_front();
  while (window_.size() > 256) window_.pop_front();  // somebody shows it more often than five times a second
  state_.at = p;

  // Rates need a moment before the window: the snapshot that opens it, or the start.
  const model::progress start = window_.size() > 1 ? window_.front() : model::progress{};
  const double seconds = (p.elapsed - start.elapsed).s();
  state_.in_flight.now = static_cast<double>(p.in_flight);
  if (seconds > 0) detail::keep(state_.requests_per_s, static_cast<double>(p.finished - start.finished) / seconds);
  // Content events come once a second from each thread, with the time they stand for.
  const auto events_per_s = [&p](const model::progress& from) -> std::optional<double> {
    if (p.covered <= from.covered || p.threads == 0) return std::nullopt;
    return static_cast<double>(p.content_events - from.content_events) / ((p.covered - from.covered).s() / p.threads);
  };
  state_.output_is_events = p.output_tokens == 0 || p.output_events == 0;
  const double per_event = state_.output_is_events ? 1 : static_cast<double>(p.output_tokens) / static_cast<double>(p.output_events);
  if (const auto rate = events_per_s(start)) state_.output_per_s.now = *rate * per_event;
  if (const auto rate = events_per_s(before)) last_output_ = *rate * per_event;

  stats::sketch ttft, tpot, lag;
  const std::uint64_t judged = p.judged - start.judged, late = p.late - start.late;
  for (const model::progress& s : window_) ttft.merge(s.ttft_ms), tpot.merge(s.tpot_ms), lag.merge(s.loop_lag_ns);
  detail::keep(state_.ttft_p50_ms, ttft.quantile(0.5)), detail::keep(state_.ttft_p99_ms, ttft.quantile(0.99)), detail::keep(state_.tpot_p50_ms, tpot.quantile(0.5));

  // The rules of serve/checks over the last ten seconds.
  live_client& c = state_.client;
  if (p.cpu_share) c.cpu_share = p.cpu_share;
  if (auto ns = lag.quantile(0.99)) c.loop_lag_p99_ms = *ns / 1e6;
  const std::uint64_t events = p.content_events - start.content_events, inexact = p.inexact_events - start.inexact_events;
  c.inexact_share = events != 0 ? static_cast<double>(inexact) / static_cast<double>(events) : 0;
  c.limits.clear();
  if (judged != 0 && static_cast<double>(late) > 0.01 * static_cast<double>(judged))
    c.limits.push_back(words::percent(static_cast<double>(late) / static_cast<double>(judged)) + " of the requests left over 10 ms late");
  if (c.inexact_share > model::inexact_limit) c.limits.push_back(words::percent(c.inexact_share) + " of the events shared a read");
  if (p.hot > model::hot_limit) c.limits.push_back("a thread above 85 % of a core for " + words::fixed(p.hot.s(), 0) + " s");

  if (p.elapsed - marked_.elapsed >= nanoseconds{1'000'000'000}) mark();
}

// One mark of every spark line.
HOTPATH_FN void live_meter::mark() {
  const model::progress& p = state_.at;
  const double seconds = (p.elapsed - marked_.elapsed).s();
  stats::sketch ttft, tpot;
  for (const model::progress& s : window_)
    if (s.elapsed > marked_.elapsed) ttft.merge(s.ttft_ms), tpot.merge(s.tpot_ms);
  const auto or_nan = [](std::optional<double> v) { return v ? *v : __builtin_nan(""); };
  detail::push(state_.in_flight, static_cast<double>(p.in_flight));
  detail::push(state_.requests_per_s, static_cast<double>(p.finished - marked_.finished) / seconds);
  detail::push(state_.output_per_s, or_nan(last_output_));
  detail::push(state_.ttft_p50_ms, or_nan(ttft.quantile(0.5)));
  detail::push(state_.ttft_p99_ms, or_nan(ttft.quantile(0.99)));
  detail::push(state_.tpot_p50_ms, or_nan(tpot.quantile(0.5)));
  marked_ = p;
}

// ---- the engine's side

HOTPATH_FN void live_meter::add(const model::scrape& s) {
  live_server& v = state_.server;
  if (!s.ok()) {
    v.trouble = s.error;
    if (!v.missing.empty()) v.missing = s.error;
    return;
  }
  v.missing.clear(), v.trouble.clear();
  if (!s.engine.empty()) v.engine = s.engine;
  v.at = s.at();
  double running = 0, waiting = 0, kv = 0;
  std::size_t runs = 0, waits = 0, caches = 0;
  counters c;
  c.at = s.at();
  for (const model::metric_series& m : s.series) {
    if (!__builtin_isfinite(m.value)) continue;
    using metric = model::engine_metric;
    switch (m.what) {
      case metric::running: running += m.value, ++runs; break;
      case metric::waiting: waiting += m.value, ++waits; break;
      case metric::kv_usage: kv += m.value, ++caches; break;
      case metric::prefix_queries: c.queries += m.value, c.has_queries = true; break;
      case metric::prefix_hits: c.hits += m.value; break;
      case metric::preemptions: c.preemptions += m.value, c.has_preemptions = true; break;
      case metric::generation_tokens: c.tokens += m.value, c.has_tokens = true; break;
      default: break;
    }
  }
  const auto gauge = [](live_figure& f, double value, std::size_t n) {
    f.now = n != 0 ? std::optional<double>{value} : std::nullopt;
    detail::push(f, n != 0 ? value : __builtin_nan(""));
  };
  gauge(v.running, running, runs), gauge(v.waiting, waiting, waits), gauge(v.kv_usage, caches != 0 ? kv / static_cast<double>(caches) : 0, caches);

  // A counter that went backwards: the engine started anew, and counts from 0.
  const counters* last = scrapes_.empty() ? nullptr : &scrapes_.back();
  const bool anew = last != nullptr && (c.queries < last->queries || c.preemptions < last->preemptions || c.tokens < last->tokens);
  if (anew) preempted_before_ += last->preemptions - first_preemptions_.value_or(0), first_preemptions_ = 0;
  const double seconds = last != nullptr ? (c.at - last->at).s() : 0;
  const auto rate = [&](live_figure& f, bool known, double now, double then) {
    detail::push(f, known && last != nullptr && seconds > 0 ? (now - (anew ? 0 : then)) / seconds : __builtin_nan(""));
  };
  rate(v.preemptions, c.has_preemptions, c.preemptions, last != nullptr ? last->preemptions : 0);
  rate(v.tokens_per_s, c.has_tokens, c.tokens, last != nullptr ? last->tokens : 0);
  if (c.has_preemptions) {
    if (!first_preemptions_) first_preemptions_ = c.preemptions;
    v.preemptions.now = preempted_before_ + c.preemptions - *first_preemptions_;
  }
  if (anew) scrapes_.clear();
  scrapes_.push_back(c);
  while (scrapes_.size() > 2 && c.at - scrapes_[1].at >= detail::live_window) scrapes_.pop_front();
  while (scrapes_.size() > 64) scrapes_.pop_front();
  const counters& from = scrapes_.front();
  const double queries = c.queries - from.queries, span = (c.at - from.at).s();
  detail::keep(v.prefix_hit_rate, c.has_queries && queries > 0 ? std::optional<double>{(c.hits - from.hits) / queries} : std::nullopt);
  detail::push(v.prefix_hit_rate, v.prefix_hit_rate.old || !v.prefix_hit_rate.now ? __builtin_nan("") : *v.prefix_hit_rate.now);
  if (c.has_tokens && span > 0) v.tokens_per_s.now = (c.tokens - from.tokens) / span;
}

// ---- the page

namespace detail {

class live_writer {
 public:
  live_writer(const live_state& s, const live_options& o) : s_(s), o_(o), page_(o.width < 40 ? 40 : o.width, o.color, o.ascii), width_(page_.width()) {}

  std::vector<std::string> write() {
    head();
    counts();
    const bool two = width_ >= 120;
    const std::size_t half = two ? (width_ - 4) / 2 : width_;
    std::vector<std::string> left = block("Load", seconds_shown(s_.in_flight, half), load_rows(), half);
    std::vector<std::string> right = server(half);
    add("", 2);
    if (two) {
      for (std::size_t i = 0; i < left.size() || i < right.size(); ++i) {
        std::string line = i < left.size() ? left[i] : "";
        if (i < right.size()) line += std::string(half + 4 - visible_columns(line), ' ') + right[i];
        add(std::move(line), i == 0 ? 6 : 7);
      }
    } else {
      for (std::size_t i = 0; i < left.size(); ++i) add(std::move(left[i]), i == 0 ? 4 : i == 5 ? 3 : 7);
      for (std::size_t i = 0; i < right.size(); ++i) add(std::move(right[i]), i == 0 ? 5 : i > 4 ? 3 : 6);
    }
    client();
    while (lines_.size() > o_.height && lines_.size() > 1) drop();
    std::vector<std::string> out;
    for (weighted& l : lines_) out.push_back(std::move(l.text));
    return out;
  }

  // A line without its colour codes.
  static std::size_t visible_columns(std::string_view line) {
    std::string plain;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '\x1b') i = line.find('m', i);
      else plain += line[i];
    }
    return columns_of(plain);
  }

 private:
  struct weighted {
    std::string text;
    int weight;  // where the terminal is low, the lightest goes first
  };
  struct row {
    std::string_view label;
    std::string value, unit;
    const live_figure* figure;
    double scale = 1;  // of the figure in this unit
    style tone = style::plain;
  };

  void add(std::string t, int weight) { lines_.push_back({std::move(t), weight}); }
  void drop() {
    std::size_t lightest = 0;
    for (std::size_t i = 1; i < lines_.size(); ++i)
      if (lines_[i].weight <= lines_[lightest].weight) lightest = i;  // of equals the last
    lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(lightest));
  }
  std::string painted(style s, std::string_view t) const { return page_.paint(s, t); }
  static std::string blanks(std::size_t n) { return std::string(n, ' '); }
  std::string cut(std::string t, std::size_t columns) const {
    if (columns_of(t) <= columns) return t;
    const std::string_view more = page_.mark("\u2026", "...");
    std::string out;
    for (std::size_t i = 0, used = columns_of(more); i < t.size();) {
      const glyph g = glyph_at(t, i);
      if (used + g.columns > columns) break;
      out += t.substr(i, g.bytes), i += g.bytes, used += g.columns;
    }
    return out += more;
  }
  std::string between(std::string_view left, std::string_view right, style l, style r) const {
    const std::size_t a = columns_of(left), b = columns_of(right);
    return painted(l, left) + blanks(a + b < width_ ? width_ - a - b : 1) + painted(r, right);
  }

  // ---- title and how far it is
  void head() {
    const bool draining = s_.at.phase == "draining";
    const std::string phase = draining ? "draining" : "sending";
    add(between(cut(page_.clean(s_.title, 256), width_ - phase.size() - 2), phase, style::bold, draining ? style::warn : style::good), 8);
    const model::schedule& plan = s_.plan;
    double done = -1;
    std::string t = words::fixed(s_.at.elapsed.s(), 0);
    if (plan.max_duration) {
      t += " of " + words::fixed(plan.max_duration->s(), 0);
      done = plan.max_duration->ns > 0 ? s_.at.elapsed.s() / plan.max_duration->s() : 1;
    }
    t += " s";
    if (plan.max_requests) {
      const double share = static_cast<double>(s_.at.finished) / static_cast<double>(*plan.max_requests == 0 ? 1 : *plan.max_requests);
      if (share > done || !plan.max_duration) done = share;
      t = words::count(s_.at.finished) + " of " + words::count(*plan.max_requests) + (width_ >= 60 ? " requests, " : ", ") + t;
    }
    if (done > 1) done = 1;
    if (done < 0) return add(painted(style::dim, t), 9);
    // The sixth of a column counts: "━━╸──".
    const std::string percent = " " + blanks(done < 0.1 ? 2 : done < 1 ? 1 : 0) + words::fixed(__builtin_floor(done * 100), 0) + " %";
    const std::size_t words_width = columns_of(t) + 2 + columns_of(percent), room = width_ > words_width + 8 ? width_ - words_width : 8;
    const auto halves = static_cast<std::size_t>(done * static_cast<double>(room) * 2);
    std::string full, rest;
    for (std::size_t i = 0; i < halves / 2; ++i) full += page_.mark("\u2501", "#");
    if (halves % 2 != 0) full += page_.mark("\u2578", ".");
    for (std::size_t i = (halves + 1) / 2; i < room; ++i) rest += page_.mark("\u2500", "-");
    add(painted(style::spark, full) + painted(style::dim, rest) + "  " + painted(style::dim, t) + percent, 9);
  }

  void counts() {
    const model::progress& p = s_.at;
    std::vector<std::string> parts = {words::count(p.sent) + " sent", words::count(p.ok) + " ok"};
    if (p.waiting != 0) parts.push_back(words::count(p.waiting) + " waiting for a slot");
    const std::uint64_t cancelled = p.finished - p.ok - p.failed;
    if (p.failed == 0 && cancelled == 0) parts.push_back("no errors");
    std::string t;
    for (const std::string& s : parts)
      if (t.empty() || columns_of(t) + columns_of(page_.dot()) + columns_of(s) + 10 <= width_) t += (t.empty() ? "" : std::string(page_.dot())) + s;
    add("", 1);
    add(painted(style::dim, "requests  ") + t, 8);
    if (p.failed + cancelled == 0) return;
    std::string why = words::count(p.failed) + " failed" + (cancelled != 0 ? ", " + words::count(cancelled) + " cancelled" : "");
    if (const std::string list = error_list(p.errors); !list.empty()) why += ": " + list;
    add(painted(style::dim, "errors    ") + painted(style::bad, cut(why, width_ - 10)), 9);
  }

  // ---- rows with a past
  static std::string plain(double v) { return words::fixed(v, 0); }
  row figure(std::string_view label, const live_figure& f, std::string (*show)(double), std::string unit, double scale = 1) const {
    row r{label, f.now ? show(*f.now * scale) : std::string(page_.mark("\u2013", "-")), f.now ? std::move(unit) : "", &f, scale, f.old || !f.now ? style::dim : style::plain};
    return r;
  }
  row latency(std::string_view label, const live_figure& f) const {
    const bool seconds = f.now && *f.now >= 9999.5;
    return figure(label, f, words::grouped, seconds ? "s" : "ms", seconds ? 1e-3 : 1);
  }
  std::vector<row> load_rows() const {
    return {figure("in flight", s_.in_flight, plain, ""), figure("requests", s_.requests_per_s, words::grouped, "/s"),
            figure(s_.output_is_events ? "output events" : "output tokens", s_.output_per_s, words::grouped, "/s"), latency("TTFT p50", s_.ttft_p50_ms),
            latency("     p99", s_.ttft_p99_ms), latency("TPOT p50", s_.tpot_p50_ms)};
  }
  std::vector<row> server_rows() const {
    const live_server& v = s_.server;
    std::vector<row> rows;
    const auto known = [&](row r) {
      if (r.figure->now) rows.push_back(std::move(r));
    };
    known(figure("running", v.running, plain, "")), known(figure("waiting", v.waiting, plain, ""));
    row kv = figure("KV cache", v.kv_usage, percent, "%");
    if (v.kv_usage.now && *v.kv_usage.now >= 0.95) kv.tone = style::warn;
    known(std::move(kv)), known(figure("prefix hits", v.prefix_hit_rate, percent, "%"));
    row out = figure("preemptions", v.preemptions, plain, "");
    if (v.preemptions.now && *v.preemptions.now > 0) out.tone = style::warn;
    known(std::move(out)), known(figure("tokens", v.tokens_per_s, words::grouped, "/s"));
    return rows;
  }
  static std::string percent(double share) { return words::fixed(share * 100, 1); }

  static constexpr std::size_t label_columns = 14, value_columns = 9, unit_columns = 4, top_columns = 9;
  static std::size_t spark_columns(std::size_t width) {
    const std::size_t used = label_columns + value_columns + unit_columns;
    if (width >= used + top_columns + 16) return width - used - top_columns;
    return width >= used + 6 ? width - used : 0;
  }
  // A short run on a wide terminal: several columns for each mark, so that the run fills the room by its end.
  std::size_t columns_per_mark(std::size_t spark) const {
    const double planned = s_.plan.max_duration ? s_.plan.max_duration->s() : 60;
    const double marks = planned > s_.at.elapsed.s() ? planned : s_.at.elapsed.s();
    return marks >= 1 && static_cast<double>(spark) > 2 * marks ? static_cast<std::size_t>(static_cast<double>(spark) / marks) : 1;
  }
  std::string seconds_shown(const live_figure& f, std::size_t width) const {
    const std::size_t room = spark_columns(width) / columns_per_mark(spark_columns(width)), n = f.past.size() < room ? f.past.size() : room;
    return n == 0 ? "" : "last " + std::to_string(n) + " s";
  }

  std::vector<std::string> block(std::string_view title, std::string aside, const std::vector<row>& rows, std::size_t width, style tone = style::dim) const {
    std::vector<std::string> out;
    std::string rule;
    aside = cut(aside, width - columns_of(title) - 6);
    for (std::size_t used = columns_of(title) + 1 + (aside.empty() ? 0 : columns_of(aside) + 1); used < width; ++used) rule += page_.mark("\u2500", "-");
    out.push_back(painted(style::bold, title) + " " + painted(style::dim, rule) + (aside.empty() ? "" : " " + painted(tone, aside)));
    const std::size_t spark = spark_columns(width);
    const bool tops = spark != 0 && width >= label_columns + value_columns + unit_columns + top_columns + 16;
    for (const row& r : rows) {
      std::string line = painted(style::dim, r.label) + blanks(label_columns - columns_of(r.label));
      const std::size_t value = columns_of(r.value);
      line += blanks(value < value_columns ? value_columns - value : 0) + painted(r.tone, r.value) + " " + painted(style::dim, r.unit) + blanks(unit_columns - 1 - columns_of(r.unit));
      const std::vector<double>& past = r.figure->past;
      const std::size_t each = columns_per_mark(spark), n = past.size() < spark / each ? past.size() : spark / each;
      double top = 0;
      std::string marks;
      for (std::size_t i = past.size() - n; i < past.size(); ++i)
        if (__builtin_isfinite(past[i]) && past[i] > top) top = past[i];
      for (std::size_t i = past.size() - n; i < past.size(); ++i)
        for (std::size_t k = 0; k < each; ++k) marks += spark_mark(past[i], top, o_.ascii);
      line += painted(style::spark, marks);
      if (tops && top > 0) {
        const std::string t = r.unit == "%" ? words::fixed(top * 100, 0) + " %" : short_number(r.unit.empty() ? __builtin_floor(top + 0.5) : top * r.scale);
        line += blanks(spark - n * each) + painted(style::dim, blanks(top_columns > columns_of(t) ? top_columns - columns_of(t) : 1) + t);
      }
      while (line.ends_with(' ')) line.pop_back();
      out.push_back(std::move(line));
    }
    return out;
  }
  // At most 7 columns.
  static std::string short_number(double v) {
    if (v < 99.95) return v == __builtin_floor(v) ? words::fixed(v, 0) : words::fixed(v, v < 9.995 ? 2 : 1);
    return words::short_count(static_cast<std::uint64_t>(v < 1e18 ? v + 0.5 : 1e18));
  }

  std::vector<std::string> server(std::size_t width) const {
    const live_server& v = s_.server;
    if (!v.missing.empty()) {
      const std::string why = page_.clean(v.missing, 256);
      if (width_ >= 120) return {painted(style::bold, "Server"), painted(style::dim, cut(why, width))};
      return {"", painted(style::dim, cut("server    " + why, width))};
    }
    const std::string engine = v.engine.empty() ? "Server" : "Server, " + page_.clean(v.engine, 24);
    if (!v.trouble.empty()) return block(engine, page_.clean(v.trouble, 128), server_rows(), width, style::warn);
    return block(engine, "", server_rows(), width);
  }

  void client() {
    const live_client& c = s_.client;
    std::string t;
    const bool limited = !c.limits.empty();
    if (limited) {
      for (const std::string& why : c.limits) t += (t.empty() ? "is the limit: " : ", ") + why;
    } else {
      t = "keeps up";
      const auto part = [&](std::string s) {
        if (10 + columns_of(t) + columns_of(page_.dot()) + columns_of(s) <= width_) t += std::string(page_.dot()) + s;
      };
      if (c.cpu_share) part(words::percent(*c.cpu_share) + " of a core");
      if (c.loop_lag_p99_ms) part("loop lag p99 " + words::milliseconds(*c.loop_lag_p99_ms));
      part(words::percent(c.inexact_share) + " inexact");
    }
    add("", 1);
    add(painted(style::dim, "client    ") + painted(limited ? style::warn : style::plain, cut(t, width_ - 10)), limited ? 9 : 5);
  }

  const live_state& s_;
  const live_options o_;
  page page_;
  const std::size_t width_;
  std::vector<weighted> lines_;
};

}  // namespace detail

HOTPATH_FN std::vector<std::string> live_page(const live_state& s, const live_options& options) { return detail::live_writer{s, options}.write(); }

HOTPATH_FN std::string live_line(const live_state& s) {
  const model::progress& p = s.at;
  std::string out = words::fixed(p.elapsed.s(), 0);
  if (s.plan.max_duration) out += "/" + words::fixed(s.plan.max_duration->s(), 0);
  out += " s  " + words::count(p.sent) + " sent  " + words::count(p.in_flight) + " in flight  ";
  if (p.waiting != 0) out += words::count(p.waiting) + " waiting  ";
  out += words::count(p.failed, "error");
  const auto figure = [&](std::string_view before, const live_figure& f, std::string_view after, std::string (*show)(double)) {
    if (f.now) out += "  " + std::string(before) + show(*f.now) + std::string(after);
  };
  figure("", s.requests_per_s, " req/s", words::grouped);
  figure("", s.output_per_s, s.output_is_events ? " events/s" : " tok/s", words::grouped);
  figure("TTFT ", s.ttft_p50_ms, "", words::milliseconds), figure("TPOT ", s.tpot_p50_ms, "", words::milliseconds);
  if (s.server.missing.empty()) {
    const auto whole = [](double v) { return words::fixed(v, 0); };
    figure("server ", s.server.running, " running", whole), figure("", s.server.waiting, " waiting", whole), figure("KV ", s.server.kv_usage, "", words::percent);
    figure("hits ", s.server.prefix_hit_rate, "", words::percent);
    if (s.server.preemptions.now && *s.server.preemptions.now > 0) figure("", s.server.preemptions, " preempted", whole);
  }
  for (const std::string& why : s.client.limits) out += "  CLIENT LIMITED: " + why;
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::report
