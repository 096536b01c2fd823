// SPDX-License-Identifier: Apache-2.0
// tests/report/samples.hpp - reports made by hand: a good run, one with everything wrong, and one with nothing in it.
#pragma once
#include <cmath>
#include <hotpath/serve/definitions.hpp>

namespace samples {

using namespace hotpath;

inline void set(serve::report& r, serve::metric m, std::uint64_t n, double p50, double spread) {
  auto& d = r.of(m);
  d.n = n, d.mean = p50 * 1.1, d.max = p50 * (1 + 2 * spread), d.ci_method = "moving_block";
  const double q[] = {p50, p50 * (1 + spread * 0.3), p50 * (1 + spread * 0.5), p50 * (1 + spread)};
  constexpr std::uint64_t finite_from[] = {6, 36, 72, 368};  // S3
  for (std::size_t k = 0; k < 4; ++k) {
    d.quantile[k] = q[k];
    if (n >= 6) d.ci[k] = serve::bounds{q[k] * 0.95, n >= finite_from[k] ? std::optional<double>{q[k] * 1.06} : std::nullopt};
  }
  if (n >= 6) d.mean_ci = serve::bounds{d.mean * 0.99, d.mean * 1.01};
}

inline serve::report good() {
  serve::report r;
  auto& i = r.run;
  i.tool_version = "0.1.0", i.host = "builder-2", i.endpoint = "http://127.0.0.1:8000", i.api = "chat", i.model = "Qwen/Qwen3-8B";
  i.engine = "vllm", i.workload = "synthetic:input=512,output=128", i.prompt_lengths = "token ids", i.workload_passes = 1;
  i.command_line = {"hotpath", "serve-profile", "--header", "X-Team: ***"};
  i.wall_start = nanoseconds{1'795'372'372'123'456'789}, i.sending_began = 12_ms, i.sending_ended = 60_s, i.ended = 61_s;
  i.state = model::run_state::complete, i.plan.streams = 16, i.plan.max_duration = 60_s, i.ephemeral_ports_left = 28'231;
  i.slo.ttft = 500_ms, i.slo.tpot = 50_ms;
  auto& q = r.requests;
  q.sent = q.ok = 716, q.warmup = 16, q.finish_reasons = {{"length", 700}, {"stop", 16}};
  r.tokens.prompt = 366'592, r.tokens.completion = 91'136, r.tokens.cached = 51'200, r.tokens.source = "usage", r.tokens.planned_prompt_error = 0.0;
  using serve::metric;
  set(r, metric::ttft, 700, 51.32, 1), set(r, metric::service_ttft, 700, 48.32, 1), set(r, metric::connect, 16, 0.21, 2);
  set(r, metric::dispatch_delay, 700, 0.0213, 3), set(r, metric::tpot, 700, 10.02, 0.4), set(r, metric::chunk_gap, 88'901, 10.01, 5);
  set(r, metric::e2e, 700, 1331.1, 0.4);
  r.of(metric::itl).missing = "tokens per chunk are not known: see chunk gap";
  r.of(metric::slot_wait).missing = "closed loop: a request is due when a slot is free";
  r.of(metric::ttfo).missing = "no reasoning was seen";
  auto& t = r.throughput;
  t.window = 59_s, t.requests_per_s = serve::rate{11.86, serve::bounds{11.7, 12.0}};
  t.output_tokens_per_s = serve::rate{1518.3, serve::bounds{1500.1, 1531.3}}, t.input_tokens_per_s = serve::rate{6074.6, serve::bounds{6000.0, 6131.3}};
  auto& g = r.goodput;
  g.good = 696, g.total = 700, g.per_s = 11.8, g.share = 696.0 / 700, g.share_ci = serve::bounds{0.985, 0.998}, g.per_s_ci = serve::bounds{11.6, 11.95};
  r.concurrency.mean = 15.83, r.concurrency.max = 16, r.concurrency.at_server = 15.7;
  auto& c = r.client;
  c.loop_lag_p50_ms = 0.021, c.loop_lag_p99_ms = 0.113, c.loop_lag_max_ms = 1.21, c.read_lag_p99_ms = 0.08, c.inexact_share = 0.0031;
  c.cpu_share = 0.121, c.bytes_per_s = 1.23e6, c.open_descriptors_max = 21, c.receive_queue_max = 4096;
  r.over_time.step = 1_s;
  for (int k = 0; k < 61; ++k) {
    r.over_time.in_flight.push_back(k < 2 ? k * 8 : k > 58 ? 4 : 16);
    r.over_time.output_tokens_per_s.push_back(1500 + 60 * std::sin(k / 5.0));
    r.over_time.ttft_p50_ms.push_back(k == 31 ? std::nan("") : 51 + 20 * std::sin(k / 11.0));
  }
  r.checks = {{"requests", true, 716, 716, "sent = ok + failed + cancelled + in flight"},
              {"in_flight_integral", true, 933.970123456, 933.970123456, "requests in flight over time = sum of the time of each request, in request-seconds"},
              {"littles_law", std::nullopt, std::nan(""), std::nan(""), "700 requests are too few for 16 in flight"}};
  r.findings = {"closed loop: latency under overload is understated"};
  r.bootstrap_seed = 42, r.bootstrap_resamples = 2000;
  return r;
}

// The good run with the engine's side: two ranks, buckets at both ends, one histogram without a usable sum, a queue and preemptions.
inline serve::report served() {
  serve::report r = good();
  r.run.engine_version = "0.33.0";
  r.steady.cut = 24, r.steady.begin = 2'400_ms, r.steady.end = 59'900_ms, r.steady.requests_per_s = 12.02, r.steady.output_tokens_per_s = 1538.2, r.steady.in_flight = 15.97;
  auto& s = r.server;
  s.engine = "vllm", s.scrapes = 64, s.failed = 1, s.skipped = 2, s.begin = 3_ms, s.end = 61'020_ms, s.bracketed = true;
  const auto bucketed = [](double n, double mean, std::array<std::optional<serve::bounds>, 4> q) {
    serve::bucketed b;
    b.n = n, b.mean = mean, b.quantile = q;
    return b;
  };
  using o = std::optional<double>;
  auto& a = s.all;
  a.queue = bucketed(716, 12.1, {serve::bounds{0, 300}, serve::bounds{0, 300}, serve::bounds{0, 300}, serve::bounds{300.00000000000006, 500}});
  a.prefill = bucketed(716, 21.4, {serve::bounds{0, o{300}}, serve::bounds{0, o{300}}, serve::bounds{0, o{300}}, serve::bounds{0, o{300}}});
  a.decode = bucketed(716, 1271, {serve::bounds{1000, o{1500}}, serve::bounds{1000, o{1500}}, serve::bounds{1500, o{2000}}, serve::bounds{1500, o{2000}}});
  a.ttft = bucketed(716, 41.25, {serve::bounds{40, o{60}}, serve::bounds{40, o{60}}, serve::bounds{60, o{80}}, serve::bounds{80, o{100}}});
  a.itl = bucketed(90'420, 9.91, {serve::bounds{0, o{10}}, serve::bounds{10, o{25}}, serve::bounds{10, o{25}}, serve::bounds{25, o{50}}});
  a.tpot.missing = "not told";
  a.e2e = bucketed(716, 1310, {serve::bounds{1000, o{1500}}, serve::bounds{1000, o{1500}}, serve::bounds{1500, o{2000}}, serve::bounds{2'560'000, std::nullopt}});
  a.e2e.mean.reset(), a.e2e.missing = "the sum is not a number";
  a.kv_usage = {0.431, 0.9978, 62}, a.running = {14.2, 16, 62}, a.waiting = {1.31, 7, 62};
  a.preemptions = 3, a.prompt_tokens = 366'592, a.cached_prompt_tokens = 51'200, a.generation_tokens = 91'136, a.prefix_queries = 366'592, a.prefix_hits = 51'200;
  a.requests_finished = 716, a.prefix_hit_rate = 51'200.0 / 366'592, a.tokens_per_step = 121.5, a.kv_capacity_tokens = 65'536;
  for (const char* source : {"model_name=Qwen/Qwen3-8B, engine=0", "model_name=Qwen/Qwen3-8B, engine=1"}) {
    serve::engine_figures e = a;
    e.source = source, e.running.mean = 7.1, e.waiting.mean = 0.655, e.preemptions = 1.5, e.generation_tokens = 45'568;
    s.engines.push_back(e);
  }
  s.engines[1].ttft = {}, s.engines[1].ttft.missing = "not told", s.engines[1].kv_usage = {}, s.engines[1].prefix_hit_rate.reset(), s.engines[1].preemptions = 3;
  s.problems = {"itl: buckets of two engines differ"};
  s.over_time.step = 1_s;
  for (int k = 0; k < 61; ++k) {
    s.over_time.running.push_back(k < 2 ? k * 8 : 16);
    s.over_time.waiting.push_back(k % 9);
    s.over_time.kv_usage.push_back(k == 20 ? std::nan("") : 0.99 * k / 60);
  }
  return r;
}

// Failures, loss, a limited client, an open loop with a cap, an early end, a violated check, and names that attack a terminal.
inline serve::report bad() {
  serve::report r = good();
  auto& i = r.run;
  i.model = "evil\x1b]0;title\x07\x1b[2J\xff\u202egpj.exe", i.engine.clear(), i.workload = "a\"b\\c\n.jsonl", i.prompt_lengths = "as given";
  i.plan = {}, i.plan.kind = model::arrival::poisson, i.plan.per_second = 12.5, i.plan.max_in_flight = 8, i.plan.seed = 7, i.plan.max_requests = 800;
  i.state = model::run_state::stopped, i.stop_reason = "more than 10 % of the requests failed", i.workload_loss.malformed = 3;
  i.unsent = 84, i.workload_rows = 200, i.workload_passes = 4, i.notes = {"workload cycled: 4 passes, each later one with a unique first block"};
  auto& q = r.requests;
  q.ok = 616, q.failed = 90, q.cancelled = 10, q.retried_connections = 2;
  q.errors[static_cast<std::size_t>(model::error_class::truncated)] = 60;
  q.errors[static_cast<std::size_t>(model::error_class::idle_timeout)] = 30;
  q.errors[static_cast<std::size_t>(model::error_class::cancelled)] = 10;
  q.first_error = "the stream ended after 12 events without [DONE]\x1b[31m\nor a finish reason";
  r.lost.dropped = 5;
  r.client.limited = true, r.client.reasons = {"dispatch delay p99 is 14.2 ms, above 10 ms", "the busiest thread used 97 % of a core for 12 s"};
  r.client.late = 41, r.client.suspended = 1200_ms;
  r.of(serve::metric::slot_wait).missing.clear();
  samples::set(r, serve::metric::slot_wait, 600, 12.5, 20);
  r.of(serve::metric::chunk_gap).inexact = 4711;
  r.goodput.good = 500, r.goodput.total = 690, r.goodput.share = 500.0 / 690, r.goodput.share_ci = serve::bounds{0.69, 0.76};
  r.stalls = {31, 12, 2412.5, 0.081};
  r.queue_at = "cap";
  r.checks[1].ok = false, r.checks[1].right = 933.971;
  r.tokens.suspect = 4, r.tokens.source = "mixed", r.tokens.without_usage = 12, r.tokens.planned_prompt_error = 0.071;
  return r;
}

// Three requests, two of them ok: no interval has an upper end, most have none at all.
inline serve::report tiny() {
  serve::report r = good();
  r.requests.sent = 3, r.requests.ok = 2, r.requests.failed = 1, r.requests.warmup = 0;
  r.requests.errors[static_cast<std::size_t>(model::error_class::reset)] = 1;
  for (auto& d : r.latency) if (d.n != 0) d.n = 2, d.mean_ci.reset(), d.ci = {}, d.ci_method = {};
  r.of(serve::metric::tpot) = {}, r.of(serve::metric::tpot).missing = "no request had two tokens";
  r.throughput.requests_per_s->ci.reset(), r.throughput.output_tokens_per_s.reset(), r.throughput.input_tokens_per_s.reset();
  r.goodput = {}, r.goodput.missing = "no limits were set (--slo)", r.run.slo = {};
  r.over_time = {};
  r.steady.missing = "fewer than 50 requests";
  r.client.cpu_share.reset(), r.client.loop_lag_p50_ms.reset(), r.client.loop_lag_p99_ms.reset(), r.client.loop_lag_max_ms.reset();
  r.client.read_lag_p99_ms.reset(), r.client.kernel_stamps = false, r.client.user_stamp_share = 1;
  r.tokens = {}, r.tokens.source = "none";
  return r;
}

// What the analyzer gives for a run in which nothing happened.
inline serve::report empty() {
  serve::report r;
  r.run.state = model::run_state::complete;
  for (auto& d : r.latency) d.missing = "no request succeeded";
  r.throughput.missing = r.goodput.missing = "no request succeeded";
  return r;
}

}  // namespace samples
