// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/facts-inl.hpp - bodies of report/detail/facts.hpp
#pragma once
#include <hotpath/core/utc.hpp>
#include <hotpath/report/detail/facts.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

// ---- small things

HOTPATH_FN std::string facts::joined(const std::vector<std::string>& parts) const {
  std::string out;
  for (const std::string& p : parts)
    if (!p.empty()) out += (out.empty() ? "" : mark(" \u00B7 ", " | ")) + p;
  return out;
}

HOTPATH_FN facts::unit facts::unit_of(const serve::distribution& d) const {
  const double p50 = d.quantile[0];
  if (p50 >= 999.95) return {"s", 1e-3};
  if (p50 < 0.09995 && d.max < 100) return {voice_.ascii ? "us" : "\u00B5s", 1e3};
  return {"ms", 1};
}

HOTPATH_FN std::string facts::interval(const std::optional<serve::bounds>& b, double scale) const {
  // Shorter than the value itself: an interval is not known to four digits.
  const auto bound = [](double v) {
    if (v >= 99'950) return words::fixed(v / 1000, 0) + "k";
    return words::fixed(v, v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2);
  };
  if (!b) return "?";
  if (!b->hi) return mark("\u2265 ", ">= ") + bound(b->lo * scale);
  return bound(b->lo * scale) + dash() + bound(*b->hi * scale);
}

HOTPATH_FN std::string facts::range(const std::optional<serve::bounds>& b, std::string (*show)(double)) const {
  if (!b) return "";
  if (!b->hi) return mark("\u2265", ">=") + "\u00A0" + show(b->lo);
  return "[" + show(b->lo) + ",\u00A0" + show(*b->hi) + "]";
}

HOTPATH_FN std::string facts::bucket(const std::optional<serve::bounds>& b) const {
  if (!b) return dash();
  const double largest = b->hi ? *b->hi : b->lo;
  const bool seconds = largest >= 999.9995;
  const auto edge = [&](double ms) {  // an edge is a round number in decimal, 300 and not 300.00000000000006
    std::string s = words::fixed(seconds ? ms / 1000 : ms, 4);
    while (s.back() == '0') s.pop_back();
    if (s.back() == '.') s.pop_back();
    const std::size_t point = s.find('.');
    for (std::size_t i = point == std::string::npos ? s.size() : point; i > 3;) s.insert(i -= 3, 1, ',');
    return s;
  };
  const std::string name_of_unit = seconds ? " s" : " ms";
  if (!b->hi) return "> " + edge(b->lo) + name_of_unit;
  if (b->lo <= 0) return mark("\u2264 ", "<= ") + edge(*b->hi) + name_of_unit;
  return edge(b->lo) + dash() + edge(*b->hi) + name_of_unit;
}

HOTPATH_FN std::string facts::table_count(double v) {
  const auto n = static_cast<std::uint64_t>(v > 0 && v < 1e18 ? v + 0.5 : 0);
  return n < 100'000 ? words::count(n) : n < 1'000'000 ? words::count(n / 1000) + "k" : words::short_count(n);
}

HOTPATH_FN facts::spark_line facts::spark(const std::vector<double>& v, std::size_t each, bool ascii) {
  spark_line out;
  std::vector<double> marks;
  for (std::size_t i = 0; i < v.size(); i += each) {
    double sum = 0, n = 0;
    for (std::size_t k = i; k < i + each && k < v.size(); ++k)
      if (__builtin_isfinite(v[k])) sum += v[k], ++n;
    marks.push_back(n > 0 ? sum / n : __builtin_nan(""));
    if (n > 0) out.any = true;
    if (n > 0 && marks.back() > out.top) out.top = marks.back();
  }
  for (const double m : marks) out.marks += spark_mark(m, out.top, ascii);
  return out;
}

// ---- headline, and what was run

HOTPATH_FN std::vector<std::string> facts::headline() const {
  std::vector<std::string> figures;
  const auto& ttft = r_.of(serve::metric::ttft);
  if (ttft.n != 0)
    figures.push_back(glued("TTFT p50 " + words::milliseconds(ttft.quantile[0])) + ", " + glued("p99 " + words::milliseconds(ttft.quantile[3])));
  if (const auto& tpot = r_.of(serve::metric::tpot); tpot.n != 0) figures.push_back(glued("TPOT p50 " + words::milliseconds(tpot.quantile[0])));
  if (r_.goodput.per_s) figures.push_back(glued("goodput " + words::grouped(*r_.goodput.per_s) + " requests/s"));
  else if (r_.throughput.requests_per_s) figures.push_back(glued(words::grouped(r_.throughput.requests_per_s->value) + " requests/s"));
  if (r_.throughput.output_tokens_per_s) figures.push_back(glued(words::grouped(r_.throughput.output_tokens_per_s->value) + " output tokens/s"));
  return figures;
}

HOTPATH_FN std::vector<fact> facts::about() const {
  const model::run_info& i = r_.run;
  std::vector<fact> out;
  std::string engine = i.engine.empty() ? "" : name(i.engine);
  if (!engine.empty() && !i.engine_version.empty()) engine += " " + name(i.engine_version);
  std::vector<std::string> who = {i.model.empty() ? "" : name(i.model)};
  if (!engine.empty()) who.back() += (who.back().empty() ? "" : " on ") + engine;
  if (!i.endpoint.empty()) who.push_back(name(i.endpoint));
  if (!i.api.empty()) who.push_back(prose(i.api));
  if (const std::string server = joined(who); !server.empty()) out.push_back({"server", server});
  out.push_back({"load", joined({plan(), i.workload.empty() ? "" : name(i.workload), i.prompt_lengths.empty() ? "" : "prompt lengths: " + prose(i.prompt_lengths)})});
  std::vector<std::string> when;
  if (i.wall_start.ns != 0) when.push_back(text::utc(i.wall_start, 0));
  if (i.ended.ns > 0) when.push_back(glued(words::duration(i.ended)));
  when.push_back("hotpath " + prose(i.tool_version) + (i.host.empty() ? "" : " on " + prose(i.host)) + (i.threads > 1 ? ", " + words::count(i.threads, "thread") : ""));
  out.push_back({"run", joined(when)});
  for (const std::string& note : i.notes) out.push_back({"note", prose(note, 1024)});
  return out;
}

HOTPATH_FN std::string facts::plan() const {
  const model::schedule& s = r_.run.plan;
  std::string out;
  if (s.open()) {
    out = "open loop, " + glued(words::number(s.per_second) + " requests/s") + (s.kind == model::arrival::poisson ? " (Poisson)" : s.kind == model::arrival::recorded ? " (recorded arrivals)" : " (constant)");
    if (s.max_in_flight != 0) out += ", at most " + words::count(s.max_in_flight) + " in flight";
  } else {
    out = "closed loop, " + words::count(s.streams, "stream");
  }
  if (s.max_requests) out += ", " + glued(words::count(*s.max_requests, "request"));
  if (s.max_duration) out += ", " + glued("at most " + words::duration(*s.max_duration));
  return out;
}

// ---- failures and coverage first

HOTPATH_FN std::vector<fact> facts::requests() const {
  const auto& q = r_.requests;
  std::vector<fact> out;
  const std::uint64_t finished = q.ok + q.failed + q.cancelled;
  std::string outcome = words::count(q.ok) + " ok";
  if (finished != 0) outcome += " (" + glued(words::percent(static_cast<double>(q.ok) / static_cast<double>(finished))) + ")";
  outcome += ", " + words::count(q.failed) + " failed, " + words::count(q.cancelled) + " cancelled";
  if (q.in_flight != 0) outcome += ", " + words::count(q.in_flight) + " in flight when this was stored";
  out.push_back({"sent", words::count(q.sent) + ": " + outcome});
  if (r_.run.unsent != 0) out.push_back({"never sent", words::count(r_.run.unsent, "request") + " due, but the run ended while they waited for a slot", style::warn});
  if (q.warmup != 0) out.push_back({"warm-up", words::count(q.warmup, "request") + ", in none of the figures below"});
  if (q.failed + q.cancelled != 0) {
    out.push_back({"failures", prose(error_list(r_)), style::bad});
    if (!q.first_error.empty()) out.push_back({"first failure", prose(q.first_error, 1024)});
  }
  out.push_back({"lost", r_.lost ? loss_list(r_.lost) : "nothing", r_.lost ? style::bad : style::plain});
  if (r_.run.workload_loss) out.push_back({"lines skipped", loss_list(r_.run.workload_loss), style::warn});
  std::vector<std::string> ends;
  for (const auto& [reason, n] : q.finish_reasons) ends.push_back(prose(reason, 64) + " " + words::count(n));
  if (!ends.empty()) out.push_back({"finished by", joined(ends)});
  tokens(out);
  if (q.retried_connections != 0)
    out.push_back({"connections", words::count(q.retried_connections) + " kept alive turned out closed and " + (q.retried_connections == 1 ? "was" : "were") + " opened again"});
  return out;
}

HOTPATH_FN void facts::tokens(std::vector<fact>& out) const {
  const auto& t = r_.tokens;
  const auto n = [](std::int64_t v) { return v < 0 ? "-" + words::count(static_cast<std::uint64_t>(-v)) : words::count(static_cast<std::uint64_t>(v)); };
  std::vector<std::string> parts;
  if (t.prompt) parts.push_back(glued(n(*t.prompt) + " in") + (t.cached ? " (" + glued(n(*t.cached) + " cached") + ")" : ""));
  if (t.completion) parts.push_back(glued(n(*t.completion) + " out") + (t.reasoning ? " (" + glued(n(*t.reasoning) + " reasoning") + ")" : ""));
  if (parts.empty()) return;
  if (t.source == "usage") parts.push_back("from the server's usage");
  else if (t.source == "mixed") parts.push_back("the server sent no usage for " + words::count(t.without_usage, "request"));
  else if (t.source == "chunks") parts.push_back("no usage from the server: one per chunk, a lower bound");
  out.push_back({"tokens", joined(parts)});
  if (t.suspect != 0) out.push_back({"", words::count(t.suspect, "request") + " with a usage that contradicts itself", style::warn});
  if (t.planned_prompt_error && __builtin_fabs(*t.planned_prompt_error) >= 0.005)
    out.push_back({"", "prompts are " + glued(words::percent(__builtin_fabs(*t.planned_prompt_error))) + (*t.planned_prompt_error > 0 ? " longer" : " shorter") +
                           " than planned, by the server's count", style::warn});
}

// ---- the latency table

HOTPATH_FN bool facts::same_ttfo() const {
  const auto &a = r_.of(serve::metric::ttft), &b = r_.of(serve::metric::ttfo);
  return b.n != 0 && a.n == b.n && a.mean == b.mean && a.max == b.max;
}

HOTPATH_FN std::vector<std::string> facts::footnotes() const {
  bool open_end = false, none = false;
  for (const serve::distribution& d : r_.latency)
    for (const auto& ci : d.ci) {
      if (d.n == 0) continue;
      open_end = open_end || (ci && !ci->hi);
      none = none || !ci;
    }
  const std::string slot = r_.of(serve::metric::slot_wait).n != 0 ? "waits for a slot of the cap, " : "";
  std::vector<std::string> out = {"TTFT counts from the schedule, service TTFT from the send; between them: " + slot + "connect, dispatch." +
                                  (same_ttfo() ? " TTFO is the same: no reasoning was seen." : "")};
  if (open_end) out.push_back(mark("\u2265", ">=") + " too few requests for an upper end (p95 needs 72, p99 needs 368).");
  if (none) out.push_back("? too few requests for an interval.");
  const std::uint64_t inexact = r_.of(serve::metric::chunk_gap).inexact + r_.of(serve::metric::itl).inexact;
  if (inexact != 0) out.push_back(words::count(inexact, "gap") + " left out: several events came in one read, so their times are upper bounds.");
  return out;
}

// ---- throughput and what limits it

HOTPATH_FN std::string facts::limits() const {
  std::string out;
  const auto limit = [&](std::string_view what, const std::optional<nanoseconds>& v) {
    if (v) out += (out.empty() ? "" : ", ") + glued(std::string(what) + " " + mark("\u2264", "<=") + " " + words::milliseconds(v->ms()));
  };
  limit("TTFT", r_.run.slo.ttft), limit("TPOT", r_.run.slo.tpot), limit("E2E", r_.run.slo.e2e);
  return out;
}

HOTPATH_FN void facts::goodput(std::vector<fact>& out) const {
  const auto& g = r_.goodput;
  if (!g.share) return;
  out.push_back({g.per_s ? "" : "goodput", glued(words::percent(*g.share)) + (g.share_ci ? " " + range(g.share_ci, words::percent_number) : "") + ": " + words::count(g.good) +
                                               " of " + words::count(g.total, "request") + " within " + limits()});
}

HOTPATH_FN std::vector<fact> facts::rates() const {
  std::vector<fact> out;
  goodput(out);
  if (const auto& s = r_.steady; s.missing.empty() && s.end > s.begin) {
    std::vector<std::string> parts;
    if (s.requests_per_s) parts.push_back(glued(words::grouped(*s.requests_per_s) + " requests/s"));
    if (s.output_tokens_per_s) parts.push_back(glued(words::grouped(*s.output_tokens_per_s) + " output tokens/s"));
    if (s.in_flight) parts.push_back(glued(words::number(*s.in_flight) + " in flight"));
    out.push_back({"steady state", "from " + glued(words::number(s.begin.s()) + " s") + " to " + glued(words::number(s.end.s()) + " s") +
                                       (s.cut != 0 ? ", without the first " + words::count(s.cut, "request") : "") + (parts.empty() ? "" : ": " + joined(parts))});
  }
  const auto& c = r_.concurrency;
  if (r_.throughput.window.ns > 0) {
    std::string s = glued("mean " + words::number(c.mean)) + ", " + glued("max " + words::count(static_cast<std::uint64_t>(c.max)));
    if (c.at_server) s += ", " + glued(words::number(*c.at_server) + " at the server");
    if (!r_.queue_at.empty()) s += "; the queue is at the " + prose(r_.queue_at, 32);
    out.push_back({"in flight", s});
  }
  const auto& s = r_.stalls;
  if (r_.of(serve::metric::chunk_gap).n != 0 || r_.of(serve::metric::itl).n != 0)
    out.push_back({"stalls", s.count == 0 ? "none" : words::count(s.count) + " in " + words::count(s.requests, "request") + ", longest " + glued(words::milliseconds(s.longest_ms)) + ", " +
                                                         glued(words::percent(s.share_of_decode_time)) + " of the decode time", s.count == 0 ? style::plain : style::warn});
  return out;
}

HOTPATH_FN std::vector<facts::steps> facts::over_time() const {
  const serve::series& s = r_.over_time;
  if (s.in_flight.size() < 4) return {};
  std::vector<steps> out = {{"in flight", &s.in_flight, words::number}, {"output tokens/s", &s.output_tokens_per_s, words::number}, {"TTFT p50 ms", &s.ttft_p50_ms, words::number}};
  const auto& e = r_.server.over_time;
  if (has_server() && e.running.size() >= 4) out.push_back({"running", &e.running, words::number});
  if (has_server() && e.waiting.size() >= 4) out.push_back({"waiting", &e.waiting, words::number});
  if (has_server() && e.kv_usage.size() >= 4) out.push_back({"KV cache", &e.kv_usage, words::percent});
  return out;
}

// ---- the engine's side

HOTPATH_FN std::string facts::server_title() const {
  const auto& s = r_.server;
  return "its own figures over " + words::duration(s.end - s.begin) + (s.engine.empty() || s.engine == "generic" ? "" : ", in " + prose(s.engine, 32) + "'s names");
}

HOTPATH_FN std::string facts::gauge(const serve::engine_figures::gauge& g, std::string (*show)(double)) {
  const bool whole = show == words::number && g.max >= 0 && g.max < 1e15 && g.max == __builtin_floor(g.max);  // requests, not shares of them
  return glued("mean " + show(g.mean)) + ", " + glued("max " + (whole ? words::count(static_cast<std::uint64_t>(g.max)) : show(g.max)));
}

HOTPATH_FN std::vector<server_latency> facts::server_latencies() const {
  const serve::engine_figures& e = r_.server.all;
  std::vector<server_latency> out;
  const auto engine = [&](std::string_view label, const serve::bucketed& b) {
    if (b.n <= 0) return;
    const bool s = b.mean && *b.mean >= 999.95;
    out.push_back({label, "engine", b.mean ? s ? "s" : "ms" : "", table_count(b.n), b.mean ? cell(*b.mean * (s ? 1e-3 : 1)) : dash(), bucket(b.quantile[0]), bucket(b.quantile[3])});
  };
  const auto client = [&](std::string_view label, std::string_view source, serve::metric m) {
    const serve::distribution& d = r_.of(m);
    if (d.n == 0) return;
    const bool s = d.quantile[0] >= 999.95;
    const double scale = s ? 1e-3 : 1;
    out.push_back({label, source, s ? "s" : "ms", table_count(static_cast<double>(d.n)), cell(d.mean * scale), cell(d.quantile[0] * scale) + (s ? " s" : " ms"),
                   cell(d.quantile[3] * scale) + (s ? " s" : " ms")});
  };
  engine("queue", e.queue), engine("prefill", e.prefill), engine("decode", e.decode);
  using serve::metric;
  engine("TTFT", e.ttft), client("TTFT", "client", metric::ttft), client("TTFT", "  from send", metric::service_ttft);
  engine("ITL", e.itl), client("ITL", "client", metric::itl);
  engine("TPOT", e.tpot), client("TPOT", "client", metric::tpot);
  engine("E2E", e.e2e), client("E2E", "client", metric::e2e);
  return out;
}

HOTPATH_FN std::vector<fact> facts::server() const {
  const serve::server_section& s = r_.server;
  const serve::engine_figures& e = s.all;
  std::vector<fact> out;
  const auto n = [](double v) { return words::count(static_cast<std::uint64_t>(v > 0 && v < 1e18 ? v + 0.5 : 0)); };
  if (e.running.n != 0) out.push_back({"running", gauge(e.running, words::number)});
  if (e.waiting.n != 0) out.push_back({"waiting", gauge(e.waiting, words::number)});
  if (e.kv_usage.n != 0)
    out.push_back({"KV cache", gauge(e.kv_usage, words::percent) + (e.kv_capacity_tokens ? " of " + glued(n(*e.kv_capacity_tokens) + " tokens") : ""),
                   e.kv_usage.max >= 0.995 ? style::warn : style::plain});
  if (e.prefix_hit_rate || (e.prefix_queries && *e.prefix_queries == 0)) {
    std::string t = e.prefix_hit_rate ? glued(words::percent(*e.prefix_hit_rate)) + " hits" : "no query";
    if (e.prefix_hit_rate && e.prefix_hits && e.prefix_queries) t += ": " + n(*e.prefix_hits) + " of " + n(*e.prefix_queries) + (s.engine == "trtllm" ? " blocks" : " tokens");
    out.push_back({"prefix cache", t});
  }
  if (e.preemptions) out.push_back({"preemptions", n(*e.preemptions), *e.preemptions > 0 ? style::warn : style::plain});
  std::vector<std::string> tokens;
  if (e.prompt_tokens) tokens.push_back(glued(n(*e.prompt_tokens) + " in") + (e.cached_prompt_tokens ? " (" + glued(n(*e.cached_prompt_tokens) + " cached") + ")" : ""));
  if (e.generation_tokens) tokens.push_back(glued(n(*e.generation_tokens) + " out"));
  if (e.requests_finished) tokens.push_back(glued(n(*e.requests_finished) + " requests") + " finished");
  if (!tokens.empty()) out.push_back({"counters", joined(tokens)});
  std::vector<std::string> work;
  if (e.tokens_per_step) work.push_back(glued(words::grouped(*e.tokens_per_step) + " tokens") + " per engine step");
  if (e.spec_acceptance) work.push_back(glued(words::percent(*e.spec_acceptance)) + " of the drafted tokens accepted");
  if (!work.empty()) out.push_back({"steps", joined(work)});
  std::string t = words::count(s.scrapes - (s.failed < s.scrapes ? s.failed : s.scrapes)) + " of " + words::count(s.scrapes) + " succeeded";
  if (s.skipped != 0) t += ", " + words::count(s.skipped) + " left out because the one before took too long";
  out.push_back({"scrapes", t, s.failed + s.skipped != 0 ? style::warn : style::plain});
  if (!s.bracketed) out.push_back({"", "they do not reach from before the first request to after the last: differences are not those of the whole run", style::warn});
  if (e.reset) out.push_back({"", "a counter went backwards: the engine started anew, figures count from there", style::warn});
  std::size_t left = s.problems.size();
  for (const std::string& p : s.problems) {
    if (s.problems.size() - left == 8) {
      out.push_back({"", "and " + words::count(left) + " more", style::warn});
      break;
    }
    out.push_back({left == s.problems.size() ? "problems" : "", prose(p, 256), style::warn}), --left;
  }
  return out;
}

HOTPATH_FN std::vector<server_engine> facts::server_engines() const {
  std::vector<server_engine> out;
  const auto gauge = [&](const serve::engine_figures::gauge& g, double v, std::string (*show)(double)) { return g.n == 0 ? dash() : show(v); };
  const auto count = [&](const std::optional<double>& v) { return v ? table_count(*v) : dash(); };
  for (const serve::engine_figures& e : r_.server.engines)
    out.push_back({prose(e.source, 128), gauge(e.running, e.running.mean, words::number), gauge(e.waiting, e.waiting.mean, words::number),
                   gauge(e.kv_usage, e.kv_usage.max, words::percent), e.prefix_hit_rate ? words::percent(*e.prefix_hit_rate) : dash(), count(e.preemptions),
                   count(e.generation_tokens), e.ttft.n > 0 && e.ttft.mean ? words::milliseconds(*e.ttft.mean) : dash()});
  return out;
}

// ---- the client

HOTPATH_FN std::pair<std::string, style> facts::client_title() const {
  const auto& c = r_.client;
  const bool measured = c.cpu_share || c.loop_lag_p99_ms;
  return {c.limited ? "the client was the limit" : measured ? "passed" : "nothing found, but little measured", c.limited ? style::warn : measured ? style::good : style::plain};
}

HOTPATH_FN std::vector<fact> facts::client() const {
  const auto& c = r_.client;
  std::vector<fact> out;
  out.push_back({"arrival stamps", joined({c.kernel_stamps ? "from the kernel" : glued(words::percent(c.user_stamp_share)) + " from the client's own clock",
                                           glued(words::percent(c.inexact_share)) + " inexact (upper bounds)"})});
  std::vector<std::string> parts;
  const auto figure = [&](std::string_view what, const std::optional<double>& v) {
    if (v) parts.push_back(glued(std::string(what) + " " + words::milliseconds(*v)));
  };
  figure("p50", c.loop_lag_p50_ms), figure("p99", c.loop_lag_p99_ms), figure("max", c.loop_lag_max_ms);
  if (!parts.empty()) out.push_back({"loop lag", joined(parts)});
  parts.clear();
  figure("p99", c.read_lag_p99_ms);
  if (!parts.empty()) out.push_back({"read lag", joined(parts)});
  parts.clear();
  if (c.cpu_share) parts.push_back(glued(words::percent(*c.cpu_share)) + " of a core (busiest thread)");
  if (c.bytes_per_s > 0) parts.push_back(glued(words::bytes(c.bytes_per_s) + "/s") + " received");
  if (c.open_descriptors_max != 0) parts.push_back(words::count(c.open_descriptors_max, "descriptor"));
  if (!parts.empty()) out.push_back({"load", joined(parts)});
  out.push_back({"sent late", c.late == 0 ? "none (10 ms or more after they were due)" : words::count(c.late, "request") + " sent 10 ms or more after they were due",
                 c.late == 0 ? style::plain : style::warn});
  if (c.suspended.ns > 0) out.push_back({"suspended", "the client did not run at all for " + glued(words::milliseconds(c.suspended.ms())), style::warn});
  return out;
}

// ---- checks, and what is not known

HOTPATH_FN std::string facts::check_text(const serve::check& c) const {
  // Both sides of a check are often counts, or large: all digits that matter, none that do not.
  const auto side = [](double v) {
    if (v >= 0 && v < 1e15 && v == __builtin_floor(v)) return words::count(static_cast<std::uint64_t>(v));
    return words::fixed(v, 3);
  };
  std::string t;
  if (c.ok && __builtin_isfinite(c.left) && __builtin_isfinite(c.right)) t = glued(side(c.left)) + (*c.ok ? " and " : " against ") + glued(side(c.right));
  if (!c.why.empty()) t += (t.empty() ? "" : ": ") + prose(c.why, 256);
  return t;
}

HOTPATH_FN std::vector<fact> facts::missing() const {
  std::vector<fact> rows;
  const auto add = [&](std::string_view label, std::string_view why) { rows.push_back({std::string(label), why.empty() ? "not measured" : prose(why)}); };
  constexpr std::string_view names[] = {"TTFT", "service TTFT", "TTFO", "connect", "slot wait", "dispatch delay", "TPOT", "ITL", "chunk gap", "E2E"};
  const auto& all = r_.latency;
  bool alike = true;
  for (const serve::distribution& d : all) alike = alike && d.n == 0 && d.missing == all[0].missing;
  if (alike) add("all latencies", all[0].missing);
  else
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].n == 0) add(names[i], all[i].missing);
  if (!r_.throughput.requests_per_s) add("throughput", r_.throughput.missing);
  else if (!r_.throughput.output_tokens_per_s) add("tokens/s", "token counts are not known");
  if (!r_.goodput.share) add("goodput", r_.goodput.missing);
  if (!r_.steady.missing.empty()) add("steady state", r_.steady.missing);
  if (!r_.client.cpu_share) add("client CPU", "the client stored no measurements of itself");
  if (!has_server()) {
    add("server", r_.server.missing.empty() ? "its metrics were not read" : r_.server.missing);
    return rows;
  }
  const serve::engine_figures& e = r_.server.all;
  const std::pair<std::string_view, const serve::bucketed*> latencies[] = {{"queue", &e.queue}, {"prefill", &e.prefill}, {"decode", &e.decode}, {"TTFT", &e.ttft},
                                                                           {"ITL", &e.itl}, {"TPOT", &e.tpot}, {"E2E", &e.e2e}};
  for (const auto& [label, b] : latencies)  // the same reason once
    if (b->n <= 0) {
      const std::string why = b->missing.empty() ? "not told" : prose(b->missing);
      if (rows.empty() || !rows.back().label.starts_with("engine ") || rows.back().text != why) rows.push_back({"engine " + std::string(label), why});
      else rows.back().label += ", " + std::string(label);
    }
  const auto gone = [&](std::string_view what, bool known) {
    if (known) return;
    if (!rows.empty() && rows.back().label == "engine") rows.back().text += ", " + std::string(what);
    else rows.push_back({"engine", "not told: " + std::string(what)});
  };
  gone("running", e.running.n != 0), gone("waiting", e.waiting.n != 0), gone("KV usage", e.kv_usage.n != 0), gone("prefix hits", e.prefix_hit_rate || e.prefix_queries);
  gone("preemptions", e.preemptions.has_value()), gone("prompt tokens", e.prompt_tokens.has_value()), gone("generated tokens", e.generation_tokens.has_value());
  return rows;
}

}  // namespace hotpath::inline HOTPATH_ABI::report::detail
