// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include "made.hpp"

using namespace made;
using serve::metric;

namespace {
const auto near = [](double x) { return doctest::Approx(x).epsilon(1e-9); };

// A server that handles `slots` requests at a time, 20 ms each, first come first served, against arrivals every `gap` ms.
std::vector<model::request> queueing(int n, double gap, int slots, double service = 20) {
  std::vector<double> free_at(static_cast<std::size_t>(slots), 0.0);
  std::vector<model::request> out;
  for (int i = 0; i < n; ++i) {
    const double at = gap * i;
    auto& slot = *std::min_element(free_at.begin(), free_at.end());
    const double begin = std::max(at, slot), done = begin + service;
    slot = done;
    out.push_back(answer({.intended = at, .events = {done - service / 2, done}, .tokens = 2}, static_cast<std::uint64_t>(i)));
  }
  return out;
}
}  // namespace

TEST_CASE("serve: rates are over first start after warm-up to last end") {
  std::vector<model::request> v;
  for (int i = 0; i < 4; ++i) v.push_back(answer({.intended = 1000.0 * i, .events = {1000.0 * i + 300, 1000.0 * i + 500}, .tokens = 7}));
  v[0].warmup = true;
  const auto r = serve::summarize(numbered(v), open_loop());
  CHECK(r.throughput.window.ns == 2'500'000'000);
  CHECK(r.throughput.requests_per_s->value == near(3 / 2.5));
  CHECK(r.throughput.output_tokens_per_s->value == near(21 / 2.5));
  CHECK(r.throughput.input_tokens_per_s->value == near(30 / 2.5));
  CHECK(*r.tokens.completion == 21);
  CHECK(*r.tokens.prompt == 30);
  CHECK(!r.tokens.reasoning);
  CHECK(r.tokens.source == "usage");
  CHECK(r.throughput.missing.empty());
}

TEST_CASE("serve: the end of a failed request is part of the window, its tokens are in no rate") {
  std::vector<model::request> v = {answer({.intended = 0, .events = {100, 1000}, .tokens = 5}), failed(500, 4000, model::error_class::idle_timeout)};
  v[1].completion_tokens = 100;
  v[1].tokens_from = model::token_source::usage;
  const auto r = serve::summarize(numbered(v), open_loop());
  CHECK(r.throughput.window.ns == 4'000'000'000);
  CHECK(r.throughput.requests_per_s->value == near(0.25));
  CHECK(r.throughput.output_tokens_per_s->value == near(1.25));
  CHECK(*r.tokens.completion == 5);
}

TEST_CASE("serve: tokens per second need tokens, and a lower bound says that it is one") {
  std::vector<model::request> v = {answer({.intended = 0, .events = {100, 1000}}), answer({.intended = 0, .events = {100, 1000}})};
  auto r = serve::summarize(numbered(v), open_loop());
  CHECK(!r.throughput.output_tokens_per_s);
  CHECK(!r.tokens.completion);
  CHECK(r.tokens.source == "none");
  CHECK(r.tokens.without_usage == 2);
  v[0].completion_tokens = v[1].completion_tokens = 2;
  v[0].tokens_from = v[1].tokens_from = model::token_source::chunks;
  r = serve::summarize(numbered(v), open_loop());
  CHECK(r.tokens.source == "chunks");
  CHECK(r.throughput.output_tokens_per_s->value == near(4));
  CHECK(says(r, "the server sent no usage"));
  CHECK(r.of(metric::tpot).missing == "the server sent no usage");
  v[0].tokens_from = model::token_source::usage;
  r = serve::summarize(numbered(v), open_loop());
  CHECK(r.tokens.source == "mixed");
  CHECK(says(r, "1 answer came without usage"));
  v[0].completion_tokens = v[1].completion_tokens = INT64_MAX;  // a server may say anything
  r = serve::summarize(numbered(v), open_loop());
  CHECK(*r.tokens.completion == INT64_MAX);
  v[0].completion_tokens = v[1].completion_tokens = -5;
  CHECK(!serve::summarize(numbered(v), open_loop()).tokens.completion);
}

TEST_CASE("serve: concurrency is weighted by time; at the server it begins with the first byte sent") {
  // [0, 100) sent at 20; [50, 150) sent at 50.
  const std::vector<model::request> v = {answer({.intended = 0, .sent = 20, .events = {60, 100}}), answer({.intended = 50, .events = {60, 150}})};
  const auto r = serve::summarize(numbered(v), open_loop());
  CHECK(r.concurrency.mean == near(200.0 / 150));
  CHECK(r.concurrency.max == 2);
  CHECK(*r.concurrency.at_server == near(180.0 / 150));
  // One that ends as the next starts: never two at a time.
  const std::vector<model::request> w = {answer({.intended = 0, .events = {10, 50}}), answer({.intended = 50, .events = {60, 100}})};
  CHECK(serve::summarize(numbered(w), closed_loop()).concurrency.max == 1);
}

TEST_CASE("serve: warm-up that reaches into the window, and what is in flight at the end, are in flight in it") {
  auto warm = answer({.intended = 0, .events = {10, 300}});
  warm.warmup = true;
  model::request open;
  open.intended = open.sent = user(250);
  const std::vector<model::request> v = {warm, answer({.intended = 200, .events = {210, 400}}), open};
  const auto r = serve::summarize(numbered(v), closed_loop(2));
  // Window 200 ... 400: warm-up 100, the answer 200, the open one 150.
  CHECK(r.throughput.window.ns == 200'000'000);
  CHECK(r.concurrency.mean == near(450.0 / 200));
  CHECK(r.concurrency.max == 3);
}

TEST_CASE("serve: requests in flight, tokens and ttft over time fall into their steps") {
  // 10 ms steps: [0, 25) with events at 5, 15 and 24.9 (6 tokens by usage: 2 each); [5, 10).
  const std::vector<model::request> v = {answer({.intended = 0, .events = {5, 15, 24.9}, .tokens = 6, .closed = 25}),
                                         answer({.intended = 5, .events = {9}, .tokens = 1, .closed = 10})};
  const auto& s = serve::summarize(numbered(v), open_loop()).over_time;
  CHECK(s.begin.ns == 0);
  CHECK(s.step.ns == 10'000'000);
  REQUIRE(s.in_flight.size() == 3);
  CHECK(s.in_flight[0] == near(1.5));
  CHECK(s.in_flight[1] == near(1));
  CHECK(s.in_flight[2] == near(0.5));
  CHECK(s.output_tokens_per_s[0] == near(300));
  CHECK(s.output_tokens_per_s[1] == near(200));
  CHECK(s.output_tokens_per_s[2] == near(200));
  CHECK(s.ttft_p50_ms[0] == near(4.5));
  CHECK(std::isnan(s.ttft_p50_ms[1]));
}

TEST_CASE("serve: a long run has at most 240 steps, and no token gets lost when they double") {
  std::vector<model::request> v;
  for (int i = 0; i < 500; ++i) v.push_back(answer({.intended = 1000.0 * i, .events = {1000.0 * i + 100, 1000.0 * i + 900}, .tokens = 10}));
  const auto r = serve::summarize(numbered(v), open_loop());
  const auto& s = r.over_time;
  CHECK(s.in_flight.size() <= 240);
  CHECK(s.in_flight.size() > 120);
  double tokens = 0, time = 0;
  for (std::size_t i = 0; i < s.in_flight.size(); ++i) {
    tokens += s.output_tokens_per_s[i] * s.step.s();
    time += s.in_flight[i] * s.step.s();
  }
  CHECK(tokens == near(5000));
  CHECK(time == near(500 * 0.9));
}

TEST_CASE("serve: goodput counts failed requests as not good, and needs limits") {
  std::vector<model::request> v;
  for (int i = 0; i < 8; ++i) v.push_back(answer({.intended = 1000.0 * i, .events = {1000.0 * i + (i < 6 ? 100 : 300), 1000.0 * i + 500}, .tokens = 3}));
  v.push_back(failed(8000, 8100, model::error_class::http_5xx));
  v.push_back(failed(9000, 9500, model::error_class::cancelled));
  auto run = open_loop();
  auto r = serve::summarize(numbered(v), run);
  CHECK(!r.goodput.share);
  CHECK(r.goodput.missing == "no limits were set (--slo)");
  run.slo.ttft = ms(200);
  r = serve::summarize(numbered(v), run);
  CHECK(r.goodput.good == 6);
  CHECK(r.goodput.total == 9);  // the cancelled one is neither
  CHECK(*r.goodput.share == near(6.0 / 9));
  CHECK(*r.goodput.per_s == near(6 / 9.5));
  run.slo = {};
  run.slo.tpot = ms(1000);
  for (auto& q : v) q.tokens_from = model::token_source::none, q.completion_tokens.reset();
  r = serve::summarize(numbered(v), run);
  CHECK(!r.goodput.share);
  CHECK(r.goodput.missing == "a limit on tpot needs token counts, and the server sent no usage");
  // Nothing but failures is a share of 0, not a missing one.
  run.slo.ttft = ms(200);
  r = serve::summarize(std::vector{failed(0, 10, model::error_class::reset)}, run);
  CHECK(*r.goodput.share == 0);
  CHECK(r.goodput.total == 1);
}

TEST_CASE("serve: the share's interval is the wider of Wilson's and the block bootstrap's, and so the gate's") {
  std::vector<model::request> v;
  for (int i = 0; i < 200; ++i) v.push_back(answer({.intended = 10.0 * i, .events = {10.0 * i + (i % 2 == 0 && i < 14 ? 300.0 : 100.0)}}));
  auto run = open_loop();
  run.slo.ttft = ms(200);
  // All good but 7 of 200, in one lump: blocks know that they come together.
  auto r = serve::summarize(numbered(v), run);
  CHECK(r.goodput.good == 193);
  REQUIRE(r.goodput.share_ci);
  CHECK(r.goodput.share_ci->lo <= 1 - 0.070470612);  // Wilson of 7 in 200
  CHECK(*r.goodput.share_ci->hi >= 1 - 0.017055543);
  CHECK(r.goodput.per_s_ci.has_value());
  std::string why;
  CHECK(serve::gate(r, 0.99, &why) == serve::verdict::undecided);
  CHECK(serve::gate(r, 0.5, &why) == serve::verdict::met);
  CHECK(why.find("193 of 200 requests within the limits: 96.5 %") == 0);
  CHECK(why.find("against 50.0 %: met") != std::string::npos);
  // All good: the bootstrap has nothing but ones, Wilson still says 98.1 % at least.
  for (auto& q : v) q.first_content = {q.intended.at + ms(100), model::stamp_source::kernel, true};
  r = serve::summarize(numbered(v), run);
  CHECK(r.goodput.share_ci->lo == doctest::Approx(200 / (200 + 1.959964 * 1.959964)).epsilon(1e-6));
  CHECK(*r.goodput.share_ci->hi == 1);
  CHECK(serve::gate(r, 0.99, &why) == serve::verdict::undecided);
  CHECK(why.find("Wilson") != std::string::npos);
  CHECK(serve::gate(r, 0.98) == serve::verdict::met);
  // Half good: missed.
  for (std::size_t i = 0; i < v.size(); i += 2) v[i].first_content.at = v[i].intended.at + ms(900);
  r = serve::summarize(numbered(v), run);
  CHECK(serve::gate(r, 0.99, &why) == serve::verdict::missed);
  CHECK(why.find(": missed") != std::string::npos);
  CHECK(serve::gate(serve::summarize({}, run), 0.99, &why) == serve::verdict::undecided);
  CHECK(serve::gate(serve::summarize(numbered(v), open_loop()), 0.99, &why) == serve::verdict::undecided);
  CHECK(why == "no limits were set (--slo): undecided");
  v.resize(3);
  CHECK(serve::gate(serve::summarize(v, run), 0.01, &why) == serve::verdict::undecided);
}

TEST_CASE("serve: a rate has no interval where the tail decides it") {
  std::vector<model::request> burst, steady;
  for (int i = 0; i < 50; ++i) burst.push_back(answer({.intended = 0, .events = {10.0 + i}}));
  for (int i = 0; i < 50; ++i) steady.push_back(answer({.intended = 10.0 * i + (i % 3), .events = {10.0 * i + 10}}));
  const auto b = serve::summarize(numbered(burst), open_loop()), s = serve::summarize(numbered(steady), open_loop());
  REQUIRE(b.throughput.requests_per_s);
  CHECK(b.throughput.requests_per_s->value == near(50 / 0.059));
  CHECK(!b.throughput.requests_per_s->ci);
  REQUIRE(s.throughput.requests_per_s->ci);
  CHECK(s.throughput.requests_per_s->ci->lo < s.throughput.requests_per_s->value);
  CHECK(*s.throughput.requests_per_s->ci->hi > s.throughput.requests_per_s->value);
}

TEST_CASE("serve: S7 an open loop above capacity queues at the server: in flight there and service ttft grow") {
  const auto over = serve::summarize(queueing(300, 10, 1), open_loop());
  CHECK(over.queue_at == "server");
  CHECK(says(over, "requests queued at the server, and the queue grew"));
  CHECK(!says(over, "closed loop"));
  const auto below = serve::summarize(queueing(300, 25, 1), open_loop());
  CHECK(below.queue_at.empty());
  // A short run below capacity ramps up all along (10 s answers, 8 s of arrivals), but nobody waits longer.
  const auto ramp = serve::summarize(queueing(100, 80, 200, 10'000), open_loop());
  CHECK(ramp.queue_at.empty());
  // The same requests in closed loop: no verdict on a queue, but the sentence on overload.
  const auto closed = serve::summarize(queueing(300, 10, 1), closed_loop(4));
  CHECK(closed.queue_at.empty());
  CHECK(says(closed, "closed loop: latency under overload is understated"));
}

TEST_CASE("serve: S7 with a cap the wait is for a slot: only ttft grows and the cap is named") {
  // One request at a time at the server, 20 ms each, arrivals every 10 ms: the slot, not the server, is waited for.
  std::vector<model::request> v;
  double slot = 0;
  for (int i = 0; i < 200; ++i) {
    const double at = 10.0 * i, begin = std::max(at, slot);
    slot = begin + 20;
    auto r = answer({.intended = at, .sent = begin, .events = {begin + 10, begin + 20}, .tokens = 2}, static_cast<std::uint64_t>(i));
    r.slot_free = user(begin);
    v.push_back(r);
  }
  const auto r = serve::summarize(v, open_loop(1));
  CHECK(r.queue_at == "cap");
  CHECK(says(r, "requests queued at the cap of 1 in flight"));
  CHECK(r.of(metric::service_ttft).quantile[3] == near(10));
  CHECK(r.of(metric::ttft).quantile[0] == near(10 + 995));  // the wait of request i is 10 i
  CHECK(r.of(metric::slot_wait).mean == near(995));
  CHECK(r.of(metric::dispatch_delay).max == near(0));
  CHECK(!r.client.limited);  // the wait is not the client's fault
}

TEST_CASE("serve: S6 the steady window begins after the warm-up and ends with the last arrival") {
  // An arrival every 10 ms. The first answers take up to 200 ms longer; the last one is closed 5 s late: the drain is in no rate here.
  std::vector<model::request> v;
  for (int i = 0; i < 400; ++i) {
    const double at = 10.0 * i, time = 8 + 200 * std::exp(-i / 20.0) + 0.1 * (i % 3);
    v.push_back(answer({.intended = at, .events = {at + time / 2, at + time}, .tokens = 4, .closed = at + time + (i == 399 ? 5000 : 0)}, static_cast<std::uint64_t>(i)));
  }
  const auto r = serve::summarize(v, open_loop());
  CHECK(r.steady.missing == "");
  CHECK(r.steady.cut >= 60);
  CHECK(r.steady.cut <= 200);
  CHECK(r.steady.cut % 5 == 0);
  CHECK(r.steady.begin == ms(10.0 * static_cast<double>(r.steady.cut)));
  CHECK(r.steady.end == ms(3990));
  CHECK(*r.steady.requests_per_s == doctest::Approx(100).epsilon(0.01));
  CHECK(*r.steady.output_tokens_per_s == doctest::Approx(400).epsilon(0.01));
  CHECK(*r.steady.in_flight == doctest::Approx(0.81).epsilon(0.05));
  CHECK(r.throughput.requests_per_s->value < 50);  // the whole run has its drain

  for (std::size_t i = 0; i < v.size(); ++i) v[i] = answer({.intended = 10.0 * static_cast<double>(i), .events = {10.0 * static_cast<double>(i), 30.0 * static_cast<double>(i)}}, i);
  CHECK(serve::summarize(v, open_loop()).steady.missing.starts_with("no steady state found"));
  v.resize(49);
  CHECK(serve::summarize(v, open_loop()).steady.missing == "fewer than 50 requests succeeded");
  v.clear();
  for (std::uint64_t i = 0; i < 60; ++i) v.push_back(answer({.intended = 5, .events = {6, 7}, .tokens = 2}, i));
  CHECK(serve::summarize(v, open_loop()).steady.missing == "all requests arrived at one moment");
}
