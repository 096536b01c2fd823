// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include "made.hpp"

using namespace made;
using serve::metric;

namespace {
const auto near = [](double x) { return doctest::Approx(x).epsilon(1e-6); };
double of(const model::request& r, metric m) { return serve::latency_of(r, m).value() / 1e6; }
}  // namespace

TEST_CASE("serve: S7 every latency of one request, by hand") {
  // Due at 100; slot at 130; connecting 131 ... 141; sent at 143; reasoning at 200, output at 250, last at 500; 6 tokens.
  auto r = answer({.intended = 100, .sent = 143, .events = {200, 250, 500}, .tokens = 6, .closed = 512});
  r.slot_free = user(130);
  r.connect_begin = user(131);
  r.connected = user(141);
  r.first_output = kernel(250);
  CHECK(of(r, metric::ttft) == near(100));
  CHECK(of(r, metric::service_ttft) == near(57));
  CHECK(of(r, metric::ttfo) == near(150));
  CHECK(of(r, metric::connect) == near(10));
  CHECK(of(r, metric::slot_wait) == near(30));
  CHECK(of(r, metric::dispatch_delay) == near(3));  // 143 - 10 of connecting - 130
  CHECK(of(r, metric::tpot) == near(60));           // (500 - 200) / 5
  CHECK(of(r, metric::e2e) == near(400));           // not 412: the end of framing enters no latency
  CHECK(!serve::latency_of(r, metric::itl));
  CHECK(!serve::latency_of(r, metric::chunk_gap));
}

TEST_CASE("serve: S7 dispatch delay counts from the schedule where the slot was free before it") {
  auto r = answer({.intended = 100, .sent = 104, .events = {200}});
  r.slot_free = user(90);
  CHECK(of(r, metric::dispatch_delay) == near(4));
  r.slot_free = {};
  CHECK(of(r, metric::dispatch_delay) == near(4));
  r.connect_begin = user(100);  // connecting that never ended is no phase to subtract
  CHECK(of(r, metric::dispatch_delay) == near(4));
}

TEST_CASE("serve: S12 a latency whose stamps or tokens are missing is missing, never 0") {
  model::request none;
  for (const metric m : {metric::ttft, metric::service_ttft, metric::ttfo, metric::connect, metric::slot_wait, metric::dispatch_delay, metric::tpot, metric::e2e})
    CHECK(!serve::latency_of(none, m));
  auto one = answer({.events = {10}, .tokens = 1});
  CHECK(!serve::latency_of(one, metric::tpot));           // one token has no gap
  auto chunks = answer({.events = {10, 20}, .tokens = 2});
  chunks.tokens_from = model::token_source::chunks;
  CHECK(!serve::latency_of(chunks, metric::tpot));         // events are not tokens
  auto suspect = answer({.events = {10, 20}, .tokens = 2});
  CHECK(serve::latency_of(suspect, metric::tpot));
  suspect.usage_suspect = true;
  CHECK(!serve::latency_of(suspect, metric::tpot));
  CHECK(!serve::latency_of(one, metric::connect));         // a kept-alive connection
  CHECK(!serve::latency_of(one, metric::slot_wait));
}

TEST_CASE("serve: a request is good when it meets every limit that is set; equal is good, failed is not") {
  const auto r = answer({.intended = 0, .events = {100, 400}, .tokens = 4});  // ttft 100, tpot 100, e2e 400
  model::slo s;
  CHECK(serve::is_good(r, s));
  s.ttft = ms(100), s.tpot = ms(100), s.e2e = ms(400);
  CHECK(serve::is_good(r, s));
  for (auto* limit : {&s.ttft, &s.tpot, &s.e2e}) {
    const auto kept = *limit;
    *limit = nanoseconds{(*limit)->ns - 1};
    CHECK(!serve::is_good(r, s));
    *limit = kept;
  }
  auto bad = r;
  bad.status = model::request_status::failed;
  CHECK(!serve::is_good(bad, s));
  // One token: no tpot to judge. No usage: a tpot that cannot be judged is not met. No content: neither is a ttft.
  CHECK(serve::is_good(answer({.events = {100}, .tokens = 1}), s));
  CHECK(!serve::is_good(answer({.events = {100, 110}}), s));
  model::slo only_ttft;
  only_ttft.ttft = ms(100);
  CHECK(serve::is_good(answer({.events = {100, 110}}), only_ttft));
  CHECK(!serve::is_good(answer({.events = {}}), only_ttft));
}

TEST_CASE("serve: S1 latencies in the report are type-7 quantiles of the ok requests after warm-up, in milliseconds") {
  std::vector<model::request> v;
  for (int i = 0; i < 5; ++i) v.push_back(answer({.intended = 1000.0 * i, .events = {1000.0 * i + 10 * (i + 1)}}));  // 10 20 30 40 50
  v.push_back(failed(9000, 9500, model::error_class::reset));
  v.back().first_content = kernel(9400);  // got content, then failed: 400 ms that must not show
  v.push_back(failed(9600, 9700, model::error_class::cancelled));
  auto warm = answer({.intended = 0, .events = {777}});
  warm.warmup = true;
  v.push_back(warm);
  model::request open;  // still in flight
  open.intended = user(9900);
  v.push_back(open);
  const auto r = serve::summarize(numbered(v), closed_loop());
  const auto& d = r.of(metric::ttft);
  CHECK(d.n == 5);
  CHECK(d.mean == near(30));
  CHECK(d.max == near(50));
  CHECK(d.quantile[0] == near(30));
  CHECK(d.quantile[1] == near(46));    // h = 3.6
  CHECK(d.quantile[2] == near(48));
  CHECK(d.quantile[3] == near(49.6));
  CHECK(d.missing.empty());
  CHECK(r.requests.ok == 6);
  CHECK(r.requests.failed == 1);
  CHECK(r.requests.cancelled == 1);
  CHECK(r.requests.in_flight == 1);
  CHECK(r.requests.warmup == 1);
  CHECK(r.requests.sent == 9);
  CHECK(r.requests.errors[static_cast<std::size_t>(model::error_class::reset)] == 1);
  CHECK(r.requests.errors[static_cast<std::size_t>(model::error_class::cancelled)] == 1);
}

TEST_CASE("serve: S12 a gap enters only between two exact stamps of the kernel; the others are counted") {
  auto r = answer({.events = {}, .tokens = 6});
  // exact 100, exact 110, inexact 130 (shared a read with 130), exact 130, exact 160, loop's clock 200
  const struct { double at; bool exact, kernel; } events[] = {{100, true, true}, {110, true, true}, {130, false, true}, {130, true, true}, {160, true, true}, {200, false, false}};
  for (const auto& e : events) r.chunks.append({.at = ms(e.at), .exact = e.exact, .kernel = e.kernel});
  r.first_content = kernel(100), r.last_content = user(200), r.closed = user(200);
  const auto report = serve::summarize(std::vector{r}, closed_loop());
  const auto& d = report.of(metric::chunk_gap);
  CHECK(d.n == 2);  // 10 and 30
  CHECK(d.mean == near(20));
  CHECK(d.max == near(30));
  CHECK(d.inexact == 3);
  CHECK(report.client.kernel_stamps == false);
  CHECK(report.client.user_stamp_share == near(1.0 / 6));
  CHECK(report.client.inexact_share == near(1.0 / 6));
}

TEST_CASE("serve: S12 without any stamp of the kernel gaps are those of the loop's clock, but none inside one read") {
  auto r = answer({.events = {}});
  for (const double at : {100.0, 120.0, 120.0, 150.0}) r.chunks.append({.at = ms(at), .exact = false, .kernel = false});
  r.first_content = user(100), r.last_content = user(150);
  const auto only_user = serve::summarize(std::vector{r}, closed_loop());
  CHECK(only_user.of(metric::chunk_gap).n == 2);  // 20 and 30; the zero between two events of one read is no gap
  CHECK(only_user.of(metric::chunk_gap).mean == near(25));
  CHECK(only_user.of(metric::chunk_gap).inexact == 1);
  CHECK(only_user.client.inexact_share == near(0.25));
  CHECK(only_user.client.user_stamp_share == 1);
  // One request with kernel stamps, before or after: the loop's clock no longer gives gaps.
  const auto k = answer({.intended = 500, .events = {600, 607}});
  for (const auto& order : {std::vector{r, k}, std::vector{k, r}}) {
    const auto mixed = serve::summarize(order, closed_loop());
    CHECK(mixed.of(metric::chunk_gap).n == 1);
    CHECK(mixed.of(metric::chunk_gap).mean == near(7));
    CHECK(mixed.of(metric::chunk_gap).inexact == 3);
  }
}

TEST_CASE("serve: S12 itl is time per token, weighted by tokens, only where every event's tokens are known") {
  const auto with_tokens = [](std::vector<std::pair<double, std::uint32_t>> events) {
    auto r = answer({});
    for (const auto& [at, n] : events) r.chunks.append({.at = ms(at), .tokens = n, .exact = true, .kernel = true});
    return r;
  };
  // Gaps 10 (1 token) and 40 (4 tokens): five tokens at 10 ms each; the mean of the ratios would be the same only by chance.
  const auto a = with_tokens({{0, 1}, {10, 1}, {50, 4}});
  // Gap 60 with 2 tokens: two tokens at 30.
  const auto b = with_tokens({{100, 3}, {160, 2}});
  const auto unknown = with_tokens({{300, 1}, {310, 0}, {400, 1}});
  const auto r = serve::summarize(std::vector{unknown, a, b}, closed_loop());
  CHECK(r.of(metric::itl).n == 7);
  CHECK(r.of(metric::itl).mean == near(110.0 / 7));
  CHECK(r.of(metric::itl).quantile[0] == near(10));
  CHECK(r.of(metric::itl).max == near(30));
  CHECK(r.of(metric::chunk_gap).n == 5);
  CHECK(r.of(metric::chunk_gap).mean == near((10 + 40 + 60 + 10 + 90) / 5.0));
  const auto none = serve::summarize(std::vector{unknown}, closed_loop());
  CHECK(none.of(metric::itl).n == 0);
  CHECK(none.of(metric::itl).missing == "the tokens of each event are not known");
  // One token per event: the two columns are the same numbers.
  const auto same = serve::summarize(std::vector{with_tokens({{0, 1}, {10, 1}, {30, 1}})}, closed_loop());
  CHECK(same.of(metric::itl).n == 2);
  CHECK(same.of(metric::itl).mean == same.of(metric::chunk_gap).mean);
  // A count that no event can have is not known.
  CHECK(serve::summarize(std::vector{with_tokens({{0, 1}, {10, 4'000'000'000u}})}, closed_loop()).of(metric::itl).n == 0);
}

TEST_CASE("serve: S12 stalls are gaps over max(200 ms, 5 x the request's median gap)") {
  // Median 10: limit 200. 200 itself is none, 201 is.
  const auto a = answer({.events = {0, 10, 20, 30, 230, 431, 441, 451, 461}});
  // Median 100: limit 500. 450 is none, 501 is.
  const auto b = answer({.intended = 1000, .events = {1000, 1100, 1200, 1300, 1750, 2251, 2351, 2451}});
  // Even number of gaps, median (10 + 90) / 2 = 50: limit 250.
  const auto c = answer({.intended = 3000, .events = {3000, 3010, 3020, 3110, 3361}});  // gaps 10 10 90 251
  const auto r = serve::summarize(std::vector{a, b, c}, closed_loop());
  CHECK(r.stalls.count == 3);
  CHECK(r.stalls.requests == 3);
  CHECK(r.stalls.longest_ms == near(501));
  CHECK(r.stalls.share_of_decode_time == near((201.0 + 501 + 251) / (461 + 1451 + 361)));
  CHECK(says(r, "3 stalls in 3 answers, the longest 501 ms"));
  // The median decides: with the same gap beside longer ones it is none.
  const auto calm = serve::summarize(std::vector{answer({.events = {0, 60, 120, 180, 431}})}, closed_loop());  // limit 300
  CHECK(calm.stalls.count == 0);
  CHECK(!says(calm, "stall"));
}

TEST_CASE("serve: S16 the report of two halves added to one summarizer is that of all, in any order") {
  std::vector<model::request> v;
  stats::xoshiro256 random{4};
  for (int i = 0; i < 300; ++i) {
    const double t = 20.0 * i, first = t + 40 + 30 * random.unit();
    std::vector<double> events{first};
    for (std::uint64_t k = random.below(30); k > 0; --k) events.push_back(events.back() + 20 + 5 * random.unit());
    v.push_back(answer({.intended = t, .events = events, .tokens = static_cast<std::int64_t>(events.size())}, static_cast<std::uint64_t>(i)));
  }
  const auto whole = serve::summarize(v, open_loop());
  serve::summarizer odd_first;
  for (std::size_t i = 1; i < v.size(); i += 2) odd_first.add(v[i]);
  for (std::size_t i = 0; i < v.size(); i += 2) odd_first.add(v[i]);
  const auto other = odd_first.finish(open_loop());
  for (std::size_t k = 0; k < serve::metric_names.size(); ++k) {
    const auto &a = whole.latency[k], &b = other.latency[k];
    CHECK(a.n == b.n);
    CHECK(a.mean == doctest::Approx(b.mean).epsilon(1e-12));
    CHECK(a.max == b.max);
    CHECK(a.quantile == b.quantile);
    for (std::size_t l = 0; l < 4; ++l) {
      CHECK(a.ci[l].has_value() == b.ci[l].has_value());
      if (k != static_cast<std::size_t>(metric::chunk_gap) && k != static_cast<std::size_t>(metric::itl) && a.ci[l]) CHECK(a.ci[l]->lo == b.ci[l]->lo);
    }
  }
  CHECK(whole.throughput.requests_per_s->value == other.throughput.requests_per_s->value);
  CHECK(whole.concurrency.mean == other.concurrency.mean);
  // p50 of all is not the mean of two p50s.
  std::vector<model::request> fast, slow, both;
  for (int i = 0; i < 9; ++i) fast.push_back(answer({.intended = i * 1.0, .events = {i + 10.0}}));
  for (int i = 0; i < 3; ++i) slow.push_back(answer({.intended = i * 1.0, .events = {i + 1000.0}}));
  both = fast;
  both.insert(both.end(), slow.begin(), slow.end());
  CHECK(serve::summarize(both, closed_loop()).of(metric::ttft).quantile[0] == near(10));
}

TEST_CASE("serve: S3 S4 intervals in the report: present, seeded, cut where n is too small, absent below six") {
  std::vector<model::request> v;
  stats::xoshiro256 random{8};
  for (int i = 0; i < 400; ++i) v.push_back(answer({.intended = 10.0 * i, .events = {10.0 * i + 50 + 10 * random.unit()}}, static_cast<std::uint64_t>(i)));
  const auto all = serve::summarize(v, open_loop(), {}, {.seed = 5});
  const auto& d = all.of(metric::ttft);
  for (const auto& ci : d.ci) {
    REQUIRE(ci);
    CHECK(ci->hi.has_value());
  }
  CHECK(d.ci[0]->lo < d.quantile[0]);
  CHECK(*d.ci[0]->hi > d.quantile[0]);
  CHECK(d.mean_ci->lo < d.mean);
  CHECK(d.mean_ci->lo > 50);  // milliseconds, as the mean
  CHECK(d.ci_method == "moving_block");
  CHECK(all.bootstrap_seed == 5);
  CHECK(all.bootstrap_resamples == 2000);
  CHECK(all.throughput.requests_per_s->ci.has_value());
  CHECK(!says(all, "too few"));
  CHECK(serve::summarize(v, open_loop(), {}, {.seed = 5}).of(metric::ttft).ci[3]->lo == d.ci[3]->lo);
  CHECK(serve::summarize(v, open_loop(), {}, {.seed = 6}).of(metric::ttft).mean_ci->lo != d.mean_ci->lo);
  v.resize(100);
  const auto hundred = serve::summarize(v, open_loop());
  CHECK(hundred.of(metric::ttft).ci[2]->hi.has_value());
  REQUIRE(hundred.of(metric::ttft).ci[3]);
  CHECK(!hundred.of(metric::ttft).ci[3]->hi);
  CHECK(says(hundred, "100 requests are too few for an upper bound of p99: 368 are needed"));
  v.resize(5);
  const auto five = serve::summarize(v, open_loop());
  CHECK(!five.of(metric::ttft).ci[0]);
  CHECK(!five.of(metric::ttft).mean_ci);
  CHECK(five.of(metric::ttft).ci_method.empty());
  const auto off = serve::summarize(v, open_loop(), {}, {.resamples = 0});
  CHECK(!off.of(metric::ttft).ci[0]);
  CHECK(!says(off, "too few"));
}
