// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/checks-inl.hpp - bodies of serve/checks.hpp.
#pragma once
#include <algorithm>
#include <utility>
#include <hotpath/serve/checks.hpp>
#include <hotpath/serve/detail/say.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {

HOTPATH_FN verdict gate(const report& r, double share, std::string* why) {
  const auto& g = r.goodput;
  verdict v = verdict::undecided;
  std::string text;
  if (!g.share || !g.share_ci) {
    text = g.missing.empty() ? "too few requests for an interval" : g.missing;
  } else {
    if (g.share_ci->hi && *g.share_ci->hi < share) v = verdict::missed;
    else if (g.share_ci->lo >= share) v = verdict::met;
    const stats::interval wilson = stats::wilson(g.good, g.total);
    const bool lo = g.share_ci->lo < wilson.lo, hi = g.share_ci->hi && *g.share_ci->hi > *wilson.hi;
    text = std::to_string(g.good) + " of " + detail::count(g.total, "request") + " within the limits: " + detail::percent(*g.share) + " [" +
           detail::number(g.share_ci->lo * 100) + ", " + (g.share_ci->hi ? detail::number(*g.share_ci->hi * 100) : "unknown") + "] (95 %, " +
           (lo && hi ? "moving blocks" : lo || hi ? "the wider of Wilson and moving blocks" : "Wilson") + ") against " + detail::percent(share);
  }
  if (why != nullptr) *why = text + (v == verdict::met ? ": met" : v == verdict::missed ? ": missed" : ": undecided");
  return v;
}

namespace detail {

HOTPATH_FN void client_meter::add(const model::client_interval& i) {
  const auto bound = [](nanoseconds t) { return std::clamp(t.ns, std::int64_t{0}, std::int64_t{1} << 60); };
  const std::int64_t begin = bound(i.begin), end = (std::max)(bound(i.end), begin), wall = end - begin, cpu = bound(i.cpu);
  auto it = std::lower_bound(threads_.begin(), threads_.end(), i.thread, [](const thread& t, std::uint32_t id) { return t.id < id; });
  if (it == threads_.end() || it->id != i.thread) {
    it = threads_.insert(it, thread{});
    it->id = i.thread;
  }
  it->cpu += cpu;
  it->wall += wall;
  if (static_cast<double>(cpu) > model::hot_share * static_cast<double>(wall)) {
    it->hot += wall;
    it->hot_cpu += static_cast<double>(cpu);
    if (it->hot > it->longest_hot) it->longest_hot = it->hot, it->longest_hot_cpu = it->hot_cpu;
  } else {
    it->hot = 0;
    it->hot_cpu = 0;
  }
  it->queue = (std::max)(it->queue, i.receive_queue_max);
  it->descriptors = (std::max<std::uint64_t>)(it->descriptors, i.open_descriptors);
  begin_ = any_ ? (std::min)(begin_, begin) : begin;
  end_ = any_ ? (std::max)(end_, end) : end;
  any_ = true;
  bytes_ += i.bytes_received;
  events_ += i.content_events;
  inexact_ += (std::min)(i.inexact_events, i.content_events);
  suspended_ = (std::max)(suspended_, bound(i.suspended));
  loop_lag_.merge(i.loop_lag_ns);
  read_lag_.merge(i.read_lag_ns);
}

HOTPATH_FN void client_meter::fill(report& out, std::span<const double> dispatch_ns, const log_counts& logs) const {
  auto& c = out.client;
  const auto ms = [](std::optional<double> ns) { return ns ? std::optional<double>{*ns / 1e6} : std::nullopt; };
  if (!loop_lag_.empty()) {
    c.loop_lag_p50_ms = ms(loop_lag_.quantile(0.5));
    c.loop_lag_p99_ms = ms(loop_lag_.quantile(0.99));
    c.loop_lag_max_ms = (loop_lag_.max)() / 1e6;
  }
  c.read_lag_p99_ms = ms(read_lag_.quantile(0.99));
  c.kernel_stamps = logs.user == 0;
  c.user_stamp_share = logs.events != 0 ? static_cast<double>(logs.user) / static_cast<double>(logs.events) : 0;
  // Below one stamp in a hundred the loop's clock cannot move a p99; above, its lag is part of what was measured.
  const bool user_clock = c.user_stamp_share > 0.01;
  // The client's own count knows which events shared a read with nothing but the end of their answer. With the loop's clock
  // every event is inexact to it; then two events with one stamp tell.
  if (events_ != 0 && !user_clock) c.inexact_share = static_cast<double>(inexact_) / static_cast<double>(events_);
  else if (logs.events != 0) c.inexact_share = static_cast<double>(logs.inexact) / static_cast<double>(logs.events);
  const thread* hottest = nullptr;
  const thread* busiest = nullptr;
  const auto share = [](const thread& t) { return t.wall > 0 ? static_cast<double>(t.cpu) / static_cast<double>(t.wall) : 0; };
  for (const thread& t : threads_) {
    if (hottest == nullptr || t.longest_hot > hottest->longest_hot) hottest = &t;
    if (busiest == nullptr || share(t) > share(*busiest)) busiest = &t;
    c.receive_queue_max = (std::max)(c.receive_queue_max, t.queue);
    c.open_descriptors_max += t.descriptors;
  }
  if (busiest != nullptr && busiest->wall > 0) c.cpu_share = share(*busiest);
  if (any_ && end_ > begin_) c.bytes_per_s = static_cast<double>(bytes_) / (static_cast<double>(end_ - begin_) / 1e9);
  c.suspended = nanoseconds{suspended_};
  constexpr double late_ns = static_cast<double>(model::late_after.ns);
  const auto late = std::upper_bound(dispatch_ns.begin(), dispatch_ns.end(), late_ns);
  c.late = static_cast<std::uint64_t>(dispatch_ns.end() - late);

  const auto dispatch_p99 = stats::quantile(dispatch_ns, 0.99);
  if (dispatch_p99 && *dispatch_p99 > late_ns)
    c.reasons.push_back("requests left late: dispatch delay p99 was " + milliseconds(*dispatch_p99 / 1e6) + " (limit 10 ms), " +
                        std::to_string(c.late) + " of " + std::to_string(dispatch_ns.size()) + " were over it");
  if (c.inexact_share > model::inexact_limit)
    c.reasons.push_back(percent(c.inexact_share) + " of the content events shared a read with a later one (limit 5 %): the client read too late to time them");
  if (hottest != nullptr && hottest->longest_hot > model::hot_limit.ns)
    c.reasons.push_back("client thread " + std::to_string(hottest->id) + " used " +
                        percent(hottest->longest_hot_cpu / static_cast<double>(hottest->longest_hot)) + " of a core for " +
                        number(static_cast<double>(hottest->longest_hot) / 1e9) + " s on end (limit 85 % for 5 s)");
  if (user_clock && c.loop_lag_p99_ms) {
    const distribution& ttft = out.of(metric::ttft);
    const double limit = (std::max)(2.0, ttft.n != 0 ? 0.01 * ttft.quantile[0] : 0);
    if (*c.loop_lag_p99_ms > limit)
      c.reasons.push_back("the client's loop lagged, and " + percent(c.user_stamp_share) + " of the stamps are its own: lag p99 was " +
                          milliseconds(*c.loop_lag_p99_ms) + " (limit " + milliseconds(limit) + ")");
  }
  c.limited = !c.reasons.empty();
}

HOTPATH_FN void check_books(report& out, std::span<const row> all, const ordered_rows& rows, const window& w, const in_flight_integral& i,
                            const token_books& tokens, std::uint64_t rows_seen) {
  const auto& q = out.requests;
  const auto add = [&](std::string name, std::optional<bool> ok, double left, double right, std::string why) {
    out.checks.push_back({std::move(name), ok, left, right, std::move(why)});
  };
  const double sent = static_cast<double>(q.sent), accounted = static_cast<double>(q.ok + q.failed + q.cancelled + q.in_flight);
  if (rows_seen == 0) add("requests", std::nullopt, 0, 0, "no request was recorded");
  else if (out.run.state == model::run_state::running && q.sent != rows_seen)
    add("requests", std::nullopt, sent, accounted, "the run was cut off: requests in flight at that moment have no row");
  else add("requests", q.sent == q.ok + q.failed + q.cancelled + q.in_flight, sent, accounted,
           "positions handed out = ok + failed + cancelled + in flight");

  if (w.length() <= 0) add("in_flight_integral", std::nullopt, 0, 0, "no request ended after the first start");
  else add("in_flight_integral", i.swept == i.summed, static_cast<double>(i.swept) / 1e9, static_cast<double>(i.summed) / 1e9,
           "integral of requests in flight = sum of each request's time in the window, in request-seconds, compared in nanoseconds");

  // Little's law on the part with arrivals: between the first and the last start.
  const window steady{w.begin, w.last_start, w.last_start};
  if (steady.length() <= 0) {
    add("littles_law", std::nullopt, 0, 0, "all requests started at one moment");
  } else {
    const double length = static_cast<double>(steady.length());
    const double in_flight = static_cast<double>(integrate(all, steady).summed) / length;
    double time = 0, n = 0;
    for (const row* r : rows) {
      if (r->end == no_time || r->intended >= w.last_start) continue;
      time += static_cast<double>((std::max<std::int64_t>)(r->end - r->intended, 0));
      ++n;
    }
    if (n < 100 * in_flight) {
      add("littles_law", std::nullopt, in_flight, n > 0 ? time / length : 0,
          count(static_cast<std::uint64_t>(n), "request") + " are too few for " + number(in_flight) + " in flight: the edges weigh too much below 100 times as many");
    } else {
      const double product = time / length;  // lambda W = (n / length) (time / n)
      add("littles_law", in_flight > 0 && __builtin_fabs(in_flight - product) <= 0.02 * in_flight, in_flight, product,
          "requests in flight = arrivals per second x mean time, within 2 %");
    }
  }

  if (tokens.answers == 0) add("usage_covers_chunks", std::nullopt, 0, 0, q.ok == 0 ? "no request succeeded" : "the server sent no usage");
  else add("usage_covers_chunks", tokens.contradictions == 0, static_cast<double>(tokens.usage), static_cast<double>(tokens.events),
           tokens.contradictions == 0 ? "completion tokens of usage >= content events"
                                      : "completion tokens of usage < content events in " + count(tokens.contradictions, "answer"));

  const double planned = static_cast<double>(tokens.planned), told = static_cast<double>(tokens.prompt);
  if (tokens.prompts == 0) add("planned_prompt_tokens", std::nullopt, 0, 0, "the workload plans no prompt lengths, or the server sent no usage");
  else if (out.run.prompt_lengths != "token ids")
    add("planned_prompt_tokens", std::nullopt, planned, told, "planned lengths are approximate (" + (out.run.prompt_lengths.empty() ? std::string("words") : out.run.prompt_lengths) + ")");
  else add("planned_prompt_tokens", __builtin_fabs(told - planned) <= (std::max)(0.005 * planned, static_cast<double>(tokens.prompts)), planned, told,
           "planned prompt tokens = usage's, within 0.5 % or one token per request");
}

HOTPATH_FN void check_server(report& out, const token_books& tokens) {
  const server_section& s = out.server;
  const auto& q = out.requests;
  const auto compare = [&](std::string name, const std::optional<double>& theirs, double ours) {
    check c{.name = std::move(name), .ok = std::nullopt, .left = theirs.value_or(0), .right = ours, .why = {}};
    if (!s.missing.empty()) c.why = "the server's metrics were not read: " + s.missing;
    else if (!theirs) c.why = "the engine does not tell";
    else if (s.all.reset) c.why = "the engine started anew during the run";
    else if (!s.bracketed) c.why = "the scrapes do not enclose the run";
    else if (q.failed + q.cancelled + q.in_flight != 0) c.why = "of requests that did not succeed the client does not know what the engine counted";
    else if (tokens.finished == 0) c.why = "no request succeeded";
    else if (tokens.counted != tokens.finished && c.name != "server_requests") c.why = "the server sent no usage for some requests";
    else {
      c.ok = __builtin_fabs(c.left - c.right) <= 0.005 * (std::max)(c.left, c.right);
      c.why = "counted by the engine = seen by the client, within 0.5 %";
      if (!*c.ok) c.why += c.left > c.right ? "; other traffic on this server?" : "; the engine counts late, or otherwise";
    }
    out.checks.push_back(std::move(c));
  };
  compare("server_requests", s.all.requests_finished, static_cast<double>(tokens.finished));
  compare("server_prompt_tokens", s.all.prompt_tokens, tokens.all_prompt);
  compare("server_generation_tokens", s.all.generation_tokens, tokens.all_completion);
}

}  // namespace detail
}  // namespace hotpath::inline HOTPATH_ABI::serve
