// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/throughput-inl.hpp - bodies of serve/throughput.hpp.
#pragma once
#include <algorithm>
#include <hotpath/serve/latency-inl.hpp>
#include <hotpath/serve/throughput.hpp>

namespace hotpath::inline HOTPATH_ABI::serve::detail {

HOTPATH_FN void step_sums::cover(std::int64_t at) {
  while (at / step_ >= static_cast<std::int64_t>(most)) {
    for (std::size_t i = 0; i < most / 2; ++i) sums_[i] = sums_[2 * i] + sums_[2 * i + 1];
    std::fill(sums_.begin() + most / 2, sums_.end(), 0.0);
    step_ *= 2;
    begin_ = end_ = 0;
  }
}

HOTPATH_FN void step_sums::find(std::int64_t at) {
  if (at < 0) at = 0;  // before the run's origin: a clock's fault, kept in the first step
  cover(at);
  current_ = static_cast<std::size_t>(at / step_);
  begin_ = static_cast<std::int64_t>(current_) * step_;
  end_ = begin_ + step_;
}

HOTPATH_FN window window_of(const ordered_rows& rows) {
  window w;
  if (rows.empty()) return w;
  w.begin = w.end = rows.front()->intended;
  w.last_start = rows.back()->intended;
  for (const row* r : rows)
    if (r->end != no_time) w.end = (std::max)(w.end, r->end);
  return w;
}

HOTPATH_FN in_flight_integral integrate(std::span<const row> all, const window& w) {
  in_flight_integral out;
  std::vector<std::int64_t> starts, ends;
  starts.reserve(all.size());
  ends.reserve(all.size());
  const auto clipped = [&](std::int64_t t) { return std::clamp(t, w.begin, w.end); };
  for (const row& r : all) {
    if (r.intended == no_time) continue;
    const std::int64_t end = r.end == no_time ? w.end : r.end;
    starts.push_back(clipped(r.intended));
    ends.push_back(clipped(end));
    out.summed += (std::max<std::int64_t>)(clipped(end) - clipped(r.intended), 0);
    if (r.sent != no_time) out.at_server += (std::max<std::int64_t>)(clipped(end) - clipped(r.sent), 0);
  }
  std::sort(starts.begin(), starts.end());
  std::sort(ends.begin(), ends.end());
  // Between two events the level is constant; of events at one moment ends come first: intervals are half-open.
  std::int64_t now = w.begin, level = 0;
  std::size_t s = 0, e = 0;
  while (e < ends.size()) {
    const bool start = s < starts.size() && starts[s] < ends[e];
    const std::int64_t at = start ? starts[s] : ends[e];
    out.swept += wide{level} * (at - now);
    now = at;
    if (start) ++s, ++level;
    else ++e, --level;
    out.most = (std::max)(out.most, static_cast<std::uint64_t>((std::max<std::int64_t>)(level, 0)));
  }
  return out;
}

HOTPATH_FN bool thirds::growing() const {
  // Both, because each alone has a harmless cause: the ramp-up of a short run, and a server that is slow but keeps up.
  const auto up = [](const double (&v)[3]) { return v[0] < v[1] && v[1] < v[2] && v[2] >= 1.5 * v[0]; };
  return n >= 30 && up(at_server) && up(service_ttft);
}

HOTPATH_FN thirds thirds_of(const ordered_rows& rows, const window& w) {
  thirds out;
  const std::int64_t span = w.last_start - w.begin;
  if (span < 3) return out;
  std::vector<double> waits[3];
  for (const row* r : rows) {
    const std::int64_t end = r->end == no_time ? w.end : r->end;
    for (int t = 0; t < 3; ++t) {
      const std::int64_t from = w.begin + span / 3 * t, to = w.begin + span / 3 * (t + 1);
      if (r->sent != no_time) out.at_server[t] += static_cast<double>((std::max<std::int64_t>)((std::min)(end, to) - (std::max)(r->sent, from), 0));
    }
    const double wait = r->of(metric::service_ttft);
    if (r->ok() && wait == wait) {
      waits[(std::min<std::int64_t>)((r->intended - w.begin) / (span / 3), 2)].push_back(wait);
      ++out.n;
    }
  }
  for (int t = 0; t < 3; ++t) {
    out.at_server[t] /= static_cast<double>(span / 3);
    std::sort(waits[t].begin(), waits[t].end());
    out.service_ttft[t] = stats::quantile(waits[t], 0.5).value_or(0);
  }
  return out;
}

inline std::optional<bounds> bounds_of(const std::optional<stats::interval>& i) {  // of a rate: widened for few blocks it may reach below 0
  return i ? std::optional<bounds>{bounds{(std::max)(i->lo, 0.0), i->hi}} : std::nullopt;
}

inline void fill_goodput(report& out, const ordered_rows& rows, const window& w) {
  auto& g = out.goodput;
  const model::slo& limits = out.run.slo;
  if (!limits) {
    g.missing = "no limits were set (--slo)";
    return;
  }
  bool tokens = false;
  for (const row* r : rows) {
    if (r->status == model::request_status::ok || r->status == model::request_status::failed) ++g.total;
    if (within(*r, limits)) ++g.good;
    tokens = tokens || (r->ok() && (r->one_token || r->of(metric::tpot) == r->of(metric::tpot)));
  }
  if (g.total == 0) g.missing = "no request finished";
  else if (limits.tpot && !tokens && out.requests.ok != 0) g.missing = "a limit on tpot needs token counts, and the server sent no usage";
  if (!g.missing.empty()) return;
  g.share = static_cast<double>(g.good) / static_cast<double>(g.total);
  if (w.length() > 0) g.per_s = static_cast<double>(g.good) / (static_cast<double>(w.length()) / 1e9);
}

HOTPATH_FN void fill_throughput(report& out, const ordered_rows& rows, const window& w, const stats::bootstrap_options& options) {
  fill_goodput(out, rows, w);
  auto& t = out.throughput;
  t.window = nanoseconds{w.length()};
  std::uint64_t ok = 0;
  for (const row* r : rows) ok += r->ok() ? 1u : 0u;
  if (ok == 0) t.missing = "no request succeeded";
  else if (w.length() <= 0) t.missing = "the window from the first start to the last end is empty";
  if (rows.empty()) return;

  const std::size_t n = rows.size();
  std::vector<double> time(n), done(n), output(n), input(n), good(n), total(n);
  double outputs = 0, inputs = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const row& r = *rows[i];
    time[i] = static_cast<double>((i + 1 < n ? rows[i + 1]->intended : r.intended) - r.intended) / 1e9;
    done[i] = r.ok() ? 1 : 0;
    output[i] = r.ok() ? r.completion_tokens : 0;
    input[i] = r.ok() ? r.prompt_tokens : 0;
    good[i] = within(r, out.run.slo) ? 1 : 0;
    total[i] = r.status == model::request_status::ok || r.status == model::request_status::failed ? 1 : 0;
    outputs += output[i];
    inputs += input[i];
  }
  const std::int64_t tail = w.end - w.last_start;
  const double tail_s = static_cast<double>(tail) / 1e9, window_s = static_cast<double>(w.length()) / 1e9;
  const stats::ratio ratios[] = {{done, time, tail_s}, {output, time, tail_s}, {input, time, tail_s}, {good, time, tail_s}, {good, total, 0}};
  const std::size_t used = out.goodput.share ? 5 : 3;
  auto ci = stats::bootstrap_ratios({ratios, used}, options);
  ci.resize(5);
  const bool steady = 2 * tail <= w.length();  // else the end decides the rate, and one run has one end
  if (t.missing.empty()) {
    const auto rate_of = [&](double sum, std::size_t k) { return rate{sum / window_s, steady ? bounds_of(ci[k]) : std::nullopt}; };
    t.requests_per_s = rate_of(static_cast<double>(ok), 0);
    if (out.tokens.completion) t.output_tokens_per_s = rate_of(outputs, 1);
    if (out.tokens.prompt) t.input_tokens_per_s = rate_of(inputs, 2);
  }
  auto& g = out.goodput;
  if (!g.share || !ci[4]) return;
  // Each end at least as far out as Wilson's interval: all good is no proof of 100 %.
  const stats::interval wilson = stats::wilson(g.good, g.total);
  g.share_ci = bounds{(std::min)((std::max)(ci[4]->lo, 0.0), wilson.lo), (std::max)((std::min)(*ci[4]->hi, 1.0), *wilson.hi)};
  if (g.per_s && ci[3] && steady) {
    const double per_share = static_cast<double>(g.total) / window_s;
    g.per_s_ci = bounds{(std::min)((std::max)(ci[3]->lo, 0.0), wilson.lo * per_share), (std::max)(*ci[3]->hi, *wilson.hi * per_share)};
  }
}

// Rates and occupancy of [cut, last arrival]. A request's tokens count by the share of its content that fell into the window.
HOTPATH_FN void fill_steady(report& out, std::span<const row> all, const ordered_rows& rows) {
  auto& s = out.steady;
  std::vector<double> e2e;
  std::vector<const row*> of;
  for (const row* r : rows)
    if (const double v = r->of(metric::e2e); r->ok() && v == v) e2e.push_back(v), of.push_back(r);
  const auto cut = stats::mser5(e2e);
  if (!cut) s.missing = "fewer than 50 requests succeeded";
  else if (!cut->steady) s.missing = "no steady state found: latencies still drift in the second half of the run";
  if (!s.missing.empty()) return;
  const window w{of[cut->units]->intended, rows.back()->intended, rows.back()->intended};
  s.cut = static_cast<std::uint64_t>(std::find(rows.begin(), rows.end(), of[cut->units]) - rows.begin());
  s.begin = nanoseconds{w.begin}, s.end = nanoseconds{w.end};
  if (w.length() <= 0) {
    s.missing = "all requests arrived at one moment";
    return;
  }
  const double seconds = static_cast<double>(w.length()) / 1e9;
  double tokens = 0;
  std::uint64_t ended = 0;
  bool known = false;
  for (const row* r : rows) {
    if (!r->ok()) continue;
    if (r->end > w.begin && r->end <= w.end) ++ended;
    if (!r->has_completion || r->first_content == no_time) continue;
    known = true;
    const std::int64_t first = r->first_content, last = (std::max)(r->intended + static_cast<std::int64_t>(r->of(metric::e2e)), first);
    const std::int64_t inside = (std::min)(last, w.end) - (std::max)(first, w.begin);
    if (last == first) tokens += first > w.begin && first <= w.end ? r->completion_tokens : 0;
    else if (inside > 0) tokens += r->completion_tokens * static_cast<double>(inside) / static_cast<double>(last - first);
  }
  s.requests_per_s = static_cast<double>(ended) / seconds;
  if (known) s.output_tokens_per_s = tokens / seconds;
  s.in_flight = static_cast<double>(integrate(all, w).summed) / static_cast<double>(w.length());
}

HOTPATH_FN void fill_concurrency(report& out, const in_flight_integral& i, const window& w) {
  if (w.length() <= 0) return;
  const double length = static_cast<double>(w.length());
  out.concurrency.mean = static_cast<double>(i.summed) / length;
  out.concurrency.max = static_cast<double>(i.most);
  out.concurrency.at_server = static_cast<double>(i.at_server) / length;
}

HOTPATH_FN void fill_series(report& out, std::span<const row> all, step_sums tokens) {
  std::int64_t first = (std::numeric_limits<std::int64_t>::max)(), last = (std::numeric_limits<std::int64_t>::min)();
  for (const row& r : all) {
    if (r.intended == no_time) continue;
    first = (std::min)(first, r.intended);
    last = (std::max)({last, r.intended, r.end});
  }
  if (first > last) return;
  tokens.cover(last);
  series& s = out.over_time;
  const std::int64_t step = tokens.step(), begin = (std::max<std::int64_t>)(first, 0) / step;
  const auto n = static_cast<std::size_t>((std::max<std::int64_t>)(last, 0) / step - begin + 1);
  s.begin = nanoseconds{begin * step};
  s.step = nanoseconds{step};
  s.in_flight.assign(n, 0.0);
  s.ttft_p50_ms.assign(n, no_value);
  for (std::size_t i = 0; i < n; ++i)
    s.output_tokens_per_s.push_back(tokens.sum(static_cast<std::size_t>(begin) + i) / s.step.s());

  // In flight: changes of slope at both ends of a request; the parts of its first and last step are corrected there.
  std::vector<double> change(n + 2);
  const auto edge = [&](std::int64_t at, double sign) {
    const std::int64_t t = (std::max<std::int64_t>)(at - s.begin.ns, 0);
    const auto i = static_cast<std::size_t>((std::min<std::int64_t>)(t / step, static_cast<std::int64_t>(n)));
    const double within_step = static_cast<double>(t % step) / static_cast<double>(step);
    change[i] += sign * (1 - within_step);
    change[i + 1] += sign * within_step;
  };
  std::vector<std::pair<std::uint32_t, double>> firsts;
  for (const row& r : all) {
    if (r.intended == no_time) continue;
    edge(r.intended, 1);
    if (r.end != no_time) edge((std::max)(r.end, r.intended), -1);
    const double ttft = r.of(metric::ttft);
    const std::int64_t at = r.first_content - s.begin.ns;
    if (r.ok() && ttft == ttft && r.first_content != no_time && at >= 0 && at / step < static_cast<std::int64_t>(n))
      firsts.emplace_back(static_cast<std::uint32_t>(at / step), ttft);
  }
  double level = 0;
  for (std::size_t i = 0; i < n; ++i) {
    level += change[i];
    s.in_flight[i] = (std::max)(level, 0.0);
  }
  std::sort(firsts.begin(), firsts.end());
  std::vector<double> here;
  for (std::size_t i = 0; i < firsts.size();) {
    const std::uint32_t bucket = firsts[i].first;
    here.clear();
    for (; i < firsts.size() && firsts[i].first == bucket; ++i) here.push_back(firsts[i].second);
    s.ttft_p50_ms[bucket] = *stats::quantile(here, 0.5) / 1e6;
  }
}

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
