// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <cstdint>
#include <limits>
#include "made.hpp"

using namespace made;
using serve::metric;

TEST_CASE("serve: nothing recorded is no error: every figure is missing and says why") {
  const auto r = serve::summarize({}, closed_loop());
  CHECK(r.requests.sent == 0);
  for (const auto& d : r.latency) {
    CHECK(d.n == 0);
    CHECK(d.missing == "no request was recorded");
    CHECK(!d.mean_ci);
  }
  CHECK(!r.throughput.requests_per_s);
  CHECK(!r.throughput.output_tokens_per_s);
  CHECK(r.throughput.missing == "no request succeeded");
  CHECK(!r.goodput.share);
  CHECK(!r.goodput.missing.empty());
  CHECK(!r.concurrency.at_server);
  CHECK(!r.tokens.completion);
  CHECK(r.tokens.source == "none");
  CHECK(r.over_time.in_flight.empty());
  CHECK(!r.client.limited);
  CHECK(!r.client.cpu_share);
  CHECK(r.checks.size() == 8);
  for (const auto& c : r.checks) {
    CHECK(!c.ok);
    CHECK(!c.why.empty());
  }
  REQUIRE(r.findings.size() == 1);
  CHECK(r.findings[0] == "no request was sent");
}

TEST_CASE("serve: a run in which nothing succeeded says so first, with the classes and the first message") {
  std::vector<model::request> v;
  for (int i = 0; i < 4; ++i) v.push_back(failed(10.0 * i, 10.0 * i + 1, i == 0 ? model::error_class::reset : model::error_class::connect_refused));
  v[2].error_message = "connection refused by 127.0.0.1:8000";
  v = numbered(v);
  v[0].error_message.clear();
  std::swap(v[0], v[3]);  // they finish in any order; the first is the first sent
  auto r = serve::summarize(v, closed_loop());
  CHECK(r.findings[0] == "no request succeeded: connect_refused 3, reset 1; first error: reset");
  CHECK(r.requests.first_error == "reset");
  for (const auto& d : r.latency) CHECK(d.missing == "no request succeeded");
  CHECK(r.throughput.missing == "no request succeeded");
  model::request open;
  r = serve::summarize(std::vector{open}, closed_loop());
  CHECK(r.findings[0] == "no request succeeded: 1 request still in flight");
}

TEST_CASE("serve: a run of warm-up only, and one whose answers have no content, say why there is no latency") {
  auto warm = answer({.events = {10, 20}, .tokens = 2});
  warm.warmup = true;
  auto r = serve::summarize(std::vector{warm}, closed_loop());
  for (const auto& d : r.latency) CHECK(d.missing == "every successful request was warm-up");
  CHECK(says(r, "nothing is left to measure"));
  CHECK(r.throughput.missing == "no request succeeded");
  CHECK(!r.tokens.completion);
  r = serve::summarize(std::vector{answer({.events = {}, .tokens = 0})}, closed_loop());
  CHECK(r.of(metric::ttft).missing == "no answer had content");
  CHECK(r.of(metric::e2e).missing == "no answer had content");
  CHECK(r.of(metric::tpot).missing == "no answer had two tokens or more");
  CHECK(r.of(metric::chunk_gap).missing == "no answer had two content events");
  CHECK(r.of(metric::connect).missing == "no request opened a connection");
  CHECK(r.of(metric::slot_wait).missing.find("closed loop") == 0);
  CHECK(serve::summarize(std::vector{answer({.events = {1}})}, open_loop()).of(metric::slot_wait).missing == "no cap on requests in flight");
  auto thinking = answer({.events = {5}});
  thinking.first_output = {};
  CHECK(serve::summarize(std::vector{thinking}, open_loop()).of(metric::ttfo).missing == "no answer had content that is not reasoning");
  model::request inexact = answer({});
  for (int i = 0; i < 3; ++i) inexact.chunks.append({.at = ms(5), .tokens = 1, .exact = false, .kernel = true});
  r = serve::summarize(std::vector{inexact}, open_loop());
  CHECK(r.of(metric::chunk_gap).missing == "every gap was inexact");
  CHECK(r.of(metric::itl).missing == "every gap was inexact");
  CHECK(r.of(metric::chunk_gap).inexact == 2);
}

TEST_CASE("serve: findings come most important first") {
  std::vector<model::request> v;
  for (int i = 0; i < 30; ++i) {
    auto r = answer({.intended = 10.0 * i, .sent = 10.0 * i + 40, .events = {10.0 * i + 50, 10.0 * i + 60, 10.0 * i + 70, 10.0 * i + 450}});
    r.completion_tokens = 2, r.tokens_from = model::token_source::chunks;
    v.push_back(r);
  }
  v.push_back(failed(400, 500, model::error_class::truncated));
  v.push_back(failed(410, 500, model::error_class::truncated));
  v.push_back(failed(420, 500, model::error_class::reset));
  auto run = closed_loop(4);
  run.state = model::run_state::interrupted;
  run.stop_reason = "SIGINT";
  run.workload_passes = 3, run.workload_rows = 11;
  run.lost.dropped = 2;
  run.unsent = 4;
  const auto r = serve::summarize(numbered(v), run);
  const char* order[] = {"requests that failed or were cancelled are in no latency; first error: ",
                         "2 answers ended without [DONE] and finish reason", "the server sent no usage", "4 requests were due but never sent",
                         "closed loop: latency under overload is understated", "the workload was cycled: 3 passes over 11 rows", "30 stalls in 30 answers",
                         "30 requests are too few for an upper bound of p90, p95, p99: 368 are needed"};
  REQUIRE(r.findings.size() == sizeof order / sizeof order[0]);
  for (std::size_t i = 0; i < r.findings.size(); ++i) {
    CAPTURE(r.findings[i]);
    CHECK(r.findings[i].find(order[i]) == 0);
  }
  CHECK(r.client.limited);  // said there, once
  CHECK(r.lost.dropped == 2);
}

TEST_CASE("serve: finish reasons are counted, most frequent first; a server that invents them is bounded") {
  std::vector<model::request> v;
  for (int i = 0; i < 5; ++i) v.push_back(answer({.events = {1}}));
  v[0].finish_reason = v[1].finish_reason = "length";
  v[2].finish_reason = v[3].finish_reason = v[4].finish_reason = "stop";
  auto r = serve::summarize(v, closed_loop());
  REQUIRE(r.requests.finish_reasons.size() == 2);
  CHECK(r.requests.finish_reasons[0] == std::pair<std::string, std::uint64_t>{"stop", 3});
  CHECK(r.requests.finish_reasons[1].second == 2);
  for (int i = 0; i < 500; ++i) {
    v.push_back(answer({.events = {1}}));
    v.back().finish_reason = "made up " + std::to_string(i) + std::string(1000, 'x');
  }
  r = serve::summarize(v, closed_loop());
  CHECK(r.requests.finish_reasons.size() == 32);
  std::uint64_t sum = 0;
  for (const auto& [name, n] : r.requests.finish_reasons) {
    sum += n;
    CHECK(name.size() <= 64);
  }
  CHECK(sum == 505);
  CHECK(r.requests.finish_reasons[0].first == "other");
}

TEST_CASE("serve: a summarizer may be asked in the middle, and goes on") {
  serve::summarizer s{{.seed = 2, .resamples = 100}};
  s.add(answer({.intended = 0, .events = {10, 30}, .tokens = 2}, 0));
  const auto early = s.finish(closed_loop());
  CHECK(early.of(metric::ttft).n == 1);
  s.add(answer({.intended = 100, .events = {120, 130}, .tokens = 2}, 1));
  const auto late = s.finish(closed_loop());
  CHECK(late.of(metric::ttft).n == 2);
  CHECK(late.of(metric::ttft).mean == doctest::Approx(15));
  CHECK(late.of(metric::chunk_gap).n == 2);
  CHECK(s.finish(closed_loop()).of(metric::ttft).mean == late.of(metric::ttft).mean);
}

TEST_CASE("serve: any bytes for stamps, counts and logs: no overflow, no hang, damage is counted") {
  const std::int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX, INT64_MAX - 1, std::int64_t{1} << 60, -(std::int64_t{1} << 61)};
  stats::xoshiro256 random{1};
  std::vector<model::request> v;
  for (int i = 0; i < 400; ++i) {
    model::request r;
    const auto stamp = [&] {
      return model::stamp{nanoseconds{times[random.below(8)]}, static_cast<model::stamp_source>(random.below(5)), random.below(2) == 0};
    };
    r.index = random.below(3) == 0 ? random.next() : random.below(100);
    r.status = static_cast<model::request_status>(random.below(6));  // two of them are no status
    r.error = static_cast<model::error_class>(random.below(40));
    r.intended = stamp(), r.slot_free = stamp(), r.connect_begin = stamp(), r.connected = stamp(), r.sent = stamp(), r.head = stamp();
    r.first_content = stamp(), r.first_output = stamp(), r.last_content = stamp(), r.finished = stamp(), r.closed = stamp();
    r.completion_tokens = times[random.below(8)], r.prompt_tokens = times[random.below(8)], r.prompt_tokens_planned = times[random.below(8)];
    r.cached_tokens = times[random.below(8)];
    r.tokens_from = static_cast<model::token_source>(random.below(3));
    for (std::uint64_t k = random.below(6); k > 0; --k)
      r.chunks.append({.at = nanoseconds{times[random.below(8)]}, .tokens = static_cast<std::uint32_t>(random.below(2) * random.next()), .exact = random.below(2) == 0, .kernel = random.below(2) == 0});
    if (random.below(4) == 0) {
      std::string bytes;
      for (std::uint64_t k = random.below(40); k > 0; --k) bytes.push_back(static_cast<char>(random.next()));
      r.chunks = model::chunk_log::from_bytes(bytes);
    }
    v.push_back(r);
  }
  model::client_interval c;
  c.begin = nanoseconds{INT64_MIN}, c.end = nanoseconds{INT64_MAX}, c.cpu = nanoseconds{INT64_MAX}, c.suspended = nanoseconds{INT64_MIN};
  c.content_events = 1, c.inexact_events = UINT64_MAX;
  auto run = open_loop(3);
  run.slo.tpot = ms(1);
  const auto r = serve::summarize(v, run, std::vector{c, c});
  CHECK(r.lost.malformed > 0);
  CHECK(r.client.inexact_share <= 1);
  CHECK(r.over_time.in_flight.size() <= 241);
  std::uint64_t all = r.requests.ok + r.requests.failed + r.requests.cancelled + r.requests.in_flight;
  CHECK(all == 400);
  for (const auto& d : r.latency)
    for (const double q : d.quantile) CHECK(std::isfinite(q));
}

TEST_CASE("serve: memory is 136 bytes per request and 4 per gap") {
  CHECK(sizeof(serve::detail::row) <= 136);
  CHECK(sizeof(serve::summarizer) < 4096);
}

TEST_CASE("serve: S7 the report keeps the manifest and its limits as they are") {
  auto run = open_loop(9);
  run.endpoint = "http://127.0.0.1:8000";
  run.slo.ttft = ms(5);
  const auto r = serve::summarize({}, run);
  CHECK(r.run.endpoint == run.endpoint);
  CHECK(r.run.slo.ttft == run.slo.ttft);
}
