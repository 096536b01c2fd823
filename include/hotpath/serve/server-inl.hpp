// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/server-inl.hpp - bodies of serve/server.hpp.
#pragma once
#include <algorithm>
#include <limits>
#include <utility>
#include <hotpath/serve/detail/say.hpp>
#include <hotpath/serve/server.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {

namespace detail {

inline constexpr std::array<model::engine_metric, 3> folded_gauges = {model::engine_metric::running, model::engine_metric::waiting,
                                                                      model::engine_metric::kv_usage};

inline buckets::histogram cumulative_of(const model::metric_series& m) {
  buckets::histogram h;
  h.count = m.value, h.sum = m.sum;
  for (const model::bucket& b : m.buckets) h.upper.push_back(b.upper), h.cumulative.push_back(b.cumulative);
  return h;
}
// A latency of a histogram in seconds.
inline bucketed bucketed_of(const buckets::histogram& h) {
  bucketed out;
  out.n = h.count;
  if (h.sum && h.count > 0) out.mean = *h.sum / h.count * 1000;
  for (std::size_t i = 0; i < quantile_levels.size(); ++i)
    if (const auto q = buckets::quantile_of(h, quantile_levels[i])) out.quantile[i] = bounds{.lo = q->lower * 1000, .hi = q->upper ? std::optional{*q->upper * 1000} : std::nullopt};
  return out;
}
// The same edges with nothing in them.
inline buckets::histogram empty_of(buckets::histogram h) {
  h.count = 0, h.sum = 0.0;
  std::fill(h.cumulative.begin(), h.cumulative.end(), 0.0);
  return h;
}

// "engine=2" before "engine=10".
inline bool natural_less(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, k = 0;
  while (i < a.size() && k < b.size()) {
    if (digit(a[i]) && digit(b[k])) {
      std::size_t x = i, y = k;
      while (x < a.size() && digit(a[x])) ++x;
      while (y < b.size() && digit(b[y])) ++y;
      if (x - i != y - k) return x - i < y - k;
      const int c = a.compare(i, x - i, b, k, y - k);
      if (c != 0) return c < 0;
      i = x, k = y;
    } else {
      if (a[i] != b[k]) return a[i] < b[k];
      ++i, ++k;
    }
  }
  return a.size() - i < b.size() - k;
}

inline std::string title_of(model::engine_metric what, const std::string& source) {
  return std::string(model::facts_of(what).name) + (source.empty() ? "" : " (" + source + ")");
}

}  // namespace detail

// ---- intake ---------------------------------------------------------------------------------------------------------------

HOTPATH_FN void server_fold::problem(const std::string& text) {
  if (problems_.size() < most_problems && std::find(problems_.begin(), problems_.end(), text) == problems_.end()) problems_.push_back(text);
}

HOTPATH_FN void server_fold::add(const model::scrape& s) {
  ++scrapes_;
  skipped_ += s.skipped;
  if (!s.ok()) {
    ++failed_;
    if (first_error_.empty()) first_error_ = s.error;
    return;
  }
  ++ok_;
  for (const std::string& p : s.problems) problem(p);
  if (!s.engine.empty()) {
    if (!engine_.empty() && engine_ != s.engine) problem("the engine changed from " + engine_ + " to " + s.engine);
    engine_ = s.engine;
  }
  if (ok_ == 1) {
    begin_ = s.at(), first_end_ = s.end;
    first_whole_ = !s.lost;
    for (const model::metric_series& m : s.series)
      if (m.created && (!newest_ || *m.created > *newest_)) newest_ = m.created;
  }
  end_ = s.at(), last_begin_ = s.begin, last_ok_ = scrapes_;
  add_totals(s);
  add_gauges(s);
}

HOTPATH_FN server_fold::total* server_fold::find(const model::metric_series& m) {
  for (total& t : totals_)
    if (t.what == m.what && t.source == m.source) return &t;
  return nullptr;
}

HOTPATH_FN void server_fold::add_totals(const model::scrape& s) {
  // First who began anew: one series that went backwards speaks for all of its engine, but those that say they did not.
  constexpr nanoseconds same_moment{1'000'000};  // a double holds seconds since 1970 to 0.3 us
  const auto moved = [&](const total& t, const model::metric_series& m) { return t.created && m.created && *m.created > *t.created + same_moment; };
  const auto stayed = [&](const total& t, const model::metric_series& m) { return t.created && m.created && !moved(t, m); };
  std::vector<std::string> restarted;
  std::vector<std::pair<const model::metric_series*, std::size_t>> pairs;  // of this page and of totals_; most: new
  constexpr std::size_t is_new = (std::numeric_limits<std::size_t>::max)();
  for (const model::metric_series& m : s.series) {
    if (model::facts_of(m.what).kind == model::metric_kind::gauge) continue;
    total* const t = find(m);
    pairs.emplace_back(&m, t == nullptr ? is_new : static_cast<std::size_t>(t - totals_.data()));
    if (t == nullptr) continue;
    const bool backwards = m.value < t->now.count || buckets::subtract(detail::cumulative_of(m), t->now).reset;
    if ((backwards || moved(*t, m)) && std::find(restarted.begin(), restarted.end(), m.source) == restarted.end()) restarted.push_back(m.source);
  }
  const auto has_restarted = [&](const std::string& source) { return std::find(restarted.begin(), restarted.end(), source) != restarted.end(); };
  for (const auto& [m, at] : pairs) {
    buckets::histogram now = detail::cumulative_of(*m);
    if (at == is_new) {
      if (totals_.size() == most_totals) {
        problem("more than " + std::to_string(most_totals) + " series: the others are left out");
        continue;
      }
      total t{.what = m->what, .source = m->source, .name = m->name, .created = m->created, .since = s.at(), .from = scrapes_, .seen = scrapes_};
      t.base = now;
      // A page that was cut could have had it all along.
      const bool new_born = ok_ > 1 && first_whole_ && newest_ && m->created && *m->created > *newest_;
      if (ok_ > 1 && (new_born || has_restarted(m->source))) t.base = detail::empty_of(now), t.reset = !new_born;
      else t.late = ok_ > 1;
      t.now = std::move(now);
      totals_.push_back(std::move(t));
      continue;
    }
    total& t = totals_[at];
    const bool backwards = buckets::subtract(now, t.now).reset;
    if (backwards || moved(t, *m) || (has_restarted(m->source) && !stayed(t, *m))) {
      t.base = detail::empty_of(now);
      t.reset = true, t.late = false, t.since = s.at(), t.from = scrapes_;
    }
    t.now = std::move(now), t.seen = scrapes_;
    if (m->created) t.created = m->created;
  }
  for (total& t : totals_) {
    if (t.seen == scrapes_ || !has_restarted(t.source)) continue;  // gone with the restart, until it comes back
    t.base = t.now = detail::empty_of(t.now);
    t.reset = true;
  }
}

HOTPATH_FN void server_fold::gauge_fold::add(double v, nanoseconds when, std::uint64_t scrape, bool connected) {
  if (connected && n != 0 && seen + 1 == scrape) {
    const double dt = (when - at).s();
    if (dt > 0) weighted += (last + v) / 2 * dt, seconds += dt;
  }
  most = n == 0 ? v : (std::max)(most, v);
  sum += v, ++n, last = v, at = when, seen = scrape;
}

HOTPATH_FN engine_figures::gauge server_fold::gauge_fold::figures() const {
  if (n == 0) return {};
  return {.mean = seconds > 0 ? weighted / seconds : sum / static_cast<double>(n), .max = most, .n = n};
}

HOTPATH_FN void server_fold::add_gauges(const model::scrape& s) {
  std::array<double, 3> together{};
  std::array<std::size_t, 3> tell{};
  const auto into = [&](level& l, std::size_t which, double v) {
    l.any[which].add(v, s.at(), scrapes_, true);
    if (s.when == model::scrape::moment::during) l.load[which].add(v, s.at(), scrapes_, true);
  };
  for (const model::metric_series& m : s.series) {
    if (model::facts_of(m.what).kind != model::metric_kind::gauge) continue;
    auto l = std::find_if(levels_.begin(), levels_.end(), [&](const level& x) { return x.source == m.source; });
    if (l == levels_.end()) {
      if (levels_.size() == most_levels) {
        problem("more than " + std::to_string(most_levels) + " engines: gauges of the others are left out");
        continue;
      }
      levels_.push_back({.source = m.source});
      l = levels_.end() - 1;
    }
    if (m.what == model::engine_metric::kv_blocks) l->blocks = m.value;
    if (m.what == model::engine_metric::kv_block_tokens) l->block_tokens = m.value;
    const auto g = std::find(detail::folded_gauges.begin(), detail::folded_gauges.end(), m.what);
    if (g == detail::folded_gauges.end()) continue;
    const auto which = static_cast<std::size_t>(g - detail::folded_gauges.begin());
    into(*l, which, m.value);
    together[which] += m.value, ++tell[which];
  }
  for (std::size_t which = 0; which < 3; ++which) {
    tell_[which] = (std::max)(tell_[which], tell[which]);
    if (tell[which] == 0 || tell[which] < tell_[which]) continue;  // an engine is missing: a sum of the others would look like a drop
    const double v = which == 2 ? together[which] / static_cast<double>(tell[which]) : together[which];
    into(all_, which, v);
    add_step(s.at(), which, v);
  }
}

HOTPATH_FN void server_fold::add_step(nanoseconds at, std::size_t which, double v) {
  if (at.ns < 0) return;
  while (at.ns / step_ >= static_cast<std::int64_t>(most_cells)) {
    step_ *= 2;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      const cell c = cells_[i];
      cell& to = cells_[i / 2];
      if (i % 2 == 0) {
        to = c;
        continue;
      }
      for (std::size_t k = 0; k < 3; ++k) to.sum[k] += c.sum[k], to.n[k] += c.n[k];
    }
    cells_.resize((cells_.size() + 1) / 2);
  }
  const auto i = static_cast<std::size_t>(at.ns / step_);
  if (i >= cells_.size()) cells_.resize(i + 1);
  cells_[i].sum[which] += v, ++cells_[i].n[which];
}

// ---- figures --------------------------------------------------------------------------------------------------------------

// Of one engine, or of all (null). Missing: nothing was told, or told only once.
HOTPATH_FN std::optional<buckets::difference> server_fold::interval(model::engine_metric what, const std::string* source,
                                                                    std::vector<std::string>& problems) const {
  std::optional<buckets::difference> out;
  for (const total& t : totals_) {
    if (t.what != what || (source != nullptr && t.source != *source)) continue;
    if (t.seen == t.from && !t.reset && t.base.count == t.now.count) {  // told once: no interval
      if (t.late) problems.push_back(detail::title_of(what, t.source) + ": only on the last page, so nothing is known of the interval");
      continue;
    }
    if (t.late) problems.push_back(detail::title_of(what, t.source) + ": not on the first page; it counts from " + detail::number(t.since.s()) + " s on");
    if (t.seen != last_ok_) problems.push_back(detail::title_of(what, t.source) + ": not on the last page; it counts up to an earlier one");
    buckets::difference d = buckets::subtract(t.now, t.base);
    d.reset = d.reset || t.reset;
    if (!out) {
      out = std::move(d);
      continue;
    }
    const bool had = out->no_quantiles.empty(), has = d.no_quantiles.empty();
    const buckets::merged m = buckets::add(out->of, d.of);
    if (had && has && m == buckets::merged::shared_edges) problems.push_back(detail::title_of(what, {}) + ": engines have different edges, merged on those they share");
    if (had && !has) out->no_quantiles = d.no_quantiles;
    out->reset = out->reset || d.reset;
  }
  return out;
}

HOTPATH_FN bucketed server_fold::latency(model::engine_metric what, const std::string* source, std::vector<std::string>& problems) const {
  bucketed out;
  const auto d = interval(what, source, problems);
  if (!d) {
    const bool told = std::any_of(totals_.begin(), totals_.end(), [&](const total& t) { return t.what == what && (source == nullptr || t.source == *source); });
    out.missing = !told ? "the engine does not tell it" : ok_ < 2 ? "one scrape alone has no interval" : "told by one scrape only";
    return out;
  }
  if (d->of.count > 0) out = detail::bucketed_of(d->of);
  out.reset = d->reset;
  if (!(d->of.count > 0)) {
    out.missing = "no value in the interval";
    return out;
  }
  if (!d->no_quantiles.empty()) problems.push_back(detail::title_of(what, source != nullptr ? *source : std::string()) + ": " + std::string(d->no_quantiles) + ", so it has no quantiles");
  else if (!out.quantile[0]) problems.push_back(detail::title_of(what, source != nullptr ? *source : std::string()) + ": its buckets have no finite edge in common, so it has no quantiles");
  return out;
}

HOTPATH_FN void server_fold::fill_capacity(engine_figures& out, const std::string* source) const {
  double sum = 0;
  bool known = false;
  for (const level& l : levels_) {
    if (source != nullptr && l.source != *source) continue;
    if (l.blocks && l.block_tokens) sum += *l.blocks * *l.block_tokens, known = true;
    else if (l.any[2].n != 0) return;  // an engine with KV blocks that does not tell how many
  }
  if (known) out.kv_capacity_tokens = sum;
}

HOTPATH_FN void server_fold::fill(engine_figures& out, const std::string* source, std::vector<std::string>& problems) const {
  using enum model::engine_metric;
  out.queue = latency(queue, source, problems), out.prefill = latency(prefill, source, problems), out.decode = latency(decode, source, problems);
  out.ttft = latency(ttft, source, problems), out.itl = latency(itl, source, problems), out.tpot = latency(tpot, source, problems);
  out.e2e = latency(e2e, source, problems);
  const auto counter = [&](model::engine_metric what) -> std::optional<double> {
    const auto d = interval(what, source, problems);
    if (!d) return std::nullopt;
    out.reset = out.reset || d->reset;
    return d->of.count;
  };
  out.preemptions = counter(preemptions), out.prompt_tokens = counter(prompt_tokens), out.cached_prompt_tokens = counter(cached_prompt_tokens);
  out.generation_tokens = counter(generation_tokens), out.prefix_queries = counter(prefix_queries), out.prefix_hits = counter(prefix_hits);
  out.requests_finished = counter(requests_finished);
  if (out.prefix_queries && out.prefix_hits && *out.prefix_queries > 0) out.prefix_hit_rate = *out.prefix_hits / *out.prefix_queries;
  const auto drafted = counter(spec_draft_tokens), accepted = counter(spec_accepted_tokens);
  if (drafted && accepted && *drafted > 0) out.spec_acceptance = *accepted / *drafted;
  if (const auto d = interval(step_tokens, source, problems); d && d->of.count > 0 && d->of.sum) out.tokens_per_step = *d->of.sum / d->of.count;
  for (const bucketed* b : {&out.queue, &out.prefill, &out.decode, &out.ttft, &out.itl, &out.tpot, &out.e2e}) out.reset = out.reset || b->reset;
  fill_capacity(out, source);
  const level* l = &all_;
  if (source != nullptr) {
    const auto it = std::find_if(levels_.begin(), levels_.end(), [&](const level& x) { return x.source == *source; });
    if (it == levels_.end()) return;
    l = &*it;
  }
  const auto gauge = [&](std::size_t which) { return (l->load[which].n != 0 ? l->load : l->any)[which].figures(); };
  out.running = gauge(0), out.waiting = gauge(1), out.kv_usage = gauge(2);
}

HOTPATH_FN void server_fold::fill_steps(server_section& out, const server_window& window) const {
  if (cells_.empty()) return;
  const std::int64_t step = window.step.ns > 0 ? window.step.ns : step_, begin = window.step.ns > 0 ? window.begin.ns : 0;
  std::size_t n = window.step.ns > 0 ? (std::min)(window.steps, most_cells) : cells_.size();
  auto& to = out.over_time;
  to.begin = nanoseconds{begin}, to.step = nanoseconds{step};
  std::vector<cell> sums(n);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    const std::int64_t at = static_cast<std::int64_t>(i) * step_ - begin;
    if (at < 0 || at / step >= static_cast<std::int64_t>(n)) continue;
    cell& c = sums[static_cast<std::size_t>(at / step)];
    for (std::size_t k = 0; k < 3; ++k) c.sum[k] += cells_[i].sum[k], c.n[k] += cells_[i].n[k];
  }
  std::vector<double>* const lines[] = {&to.running, &to.waiting, &to.kv_usage};
  for (std::size_t k = 0; k < 3; ++k) {
    if (all_.any[k].n == 0) continue;
    for (const cell& c : sums) lines[k]->push_back(c.n[k] != 0 ? c.sum[k] / c.n[k] : std::numeric_limits<double>::quiet_NaN());
  }
}

HOTPATH_FN server_section server_fold::finish(const server_window& window) const {
  server_section out;
  out.engine = engine_;
  out.scrapes = scrapes_, out.failed = failed_, out.skipped = skipped_;
  out.problems = problems_;
  if (ok_ == 0) {
    out.missing = scrapes_ == 0 ? "no scrape was made" : "no scrape succeeded: " + first_error_;
    return out;
  }
  if (failed_ != 0) out.problems.push_back(detail::count(failed_, "scrape") + " of " + std::to_string(scrapes_) + " failed: " + first_error_);
  if (totals_.empty() && levels_.empty()) {
    out.missing = "no known name of an engine was on any page";
    return out;
  }
  out.begin = begin_, out.end = end_;
  const bool window_known = window.first.ns != 0 || window.last.ns != 0;
  out.bracketed = ok_ > 1 && window_known && first_end_ <= window.first && last_begin_ >= window.last;

  std::vector<std::string> found;
  fill(out.all, nullptr, found);
  std::vector<std::string> sources;
  const auto note = [&](const std::string& s) {
    if (std::find(sources.begin(), sources.end(), s) == sources.end()) sources.push_back(s);
  };
  for (const total& t : totals_) note(t.source);
  for (const level& l : levels_) note(l.source);
  if (sources.size() > 1) {
    std::sort(sources.begin(), sources.end(), detail::natural_less);
    for (const std::string& s : sources) {
      out.engines.emplace_back();
      out.engines.back().source = s;
      fill(out.engines.back(), &s, found);
    }
  }
  for (std::string& p : found)
    if (out.problems.size() < 2 * most_problems && std::find(out.problems.begin(), out.problems.end(), p) == out.problems.end()) out.problems.push_back(std::move(p));
  fill_steps(out, window);
  return out;
}

HOTPATH_FN bucketed since_start(const model::metric_series& m) { return detail::bucketed_of(detail::cumulative_of(m)); }

HOTPATH_FN server_section difference(const model::scrape& earlier, const model::scrape& later) {
  server_fold fold;
  fold.add(earlier);
  fold.add(later);
  return fold.finish();
}

}  // namespace hotpath::inline HOTPATH_ABI::serve
