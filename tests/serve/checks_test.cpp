// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include "made.hpp"

using namespace made;
using serve::metric;

namespace {
const auto near = [](double x) { return doctest::Approx(x).epsilon(1e-9); };

std::vector<model::request> steady(int n, double gap = 10, double time = 8) {
  std::vector<model::request> v;
  for (int i = 0; i < n; ++i) v.push_back(answer({.intended = gap * i, .events = {gap * i + time / 2, gap * i + time}, .tokens = 2}, static_cast<std::uint64_t>(i)));
  return v;
}

model::client_interval second(std::uint32_t thread, int at, double cpu_share, double length = 1) {
  model::client_interval i;
  i.thread = thread;
  i.begin = ms(1000.0 * at), i.end = ms(1000.0 * (at + length));
  i.cpu = ms(1000 * length * cpu_share);
  return i;
}

serve::report with_client(const std::vector<model::client_interval>& c, std::vector<model::request> v = steady(50)) {
  return serve::summarize(v, open_loop(), c);
}
}  // namespace

TEST_CASE("serve: S9 the books of a plain run balance") {
  const auto r = serve::summarize(steady(200), open_loop());
  CHECK(*check_of(r, "requests").ok);
  CHECK(check_of(r, "requests").left == 200);
  CHECK(*check_of(r, "in_flight_integral").ok);
  CHECK(check_of(r, "in_flight_integral").left == near(1.6));
  CHECK(check_of(r, "in_flight_integral").right == near(1.6));
  CHECK(*check_of(r, "littles_law").ok);
  CHECK(check_of(r, "littles_law").left == near(0.8));
  CHECK(check_of(r, "littles_law").right == near(0.8));
  CHECK(*check_of(r, "usage_covers_chunks").ok);
  CHECK(!check_of(r, "planned_prompt_tokens").ok);
  CHECK(!says(r, "balance"));
}

TEST_CASE("serve: S9 a position without a row, or two rows of one position, is a finding with both numbers") {
  auto v = steady(200);
  v.erase(v.begin() + 50, v.begin() + 53);
  auto r = serve::summarize(v, open_loop());
  CHECK(r.requests.sent == 200);
  CHECK(!check_of(r, "requests").ok.value());
  CHECK(check_of(r, "requests").left == 200);
  CHECK(check_of(r, "requests").right == 197);
  CHECK(says(r, "the books do not balance: requests is 200 against 197"));
  // The same holes in a run whose writer was killed are its requests in flight.
  auto cut = open_loop();
  cut.state = model::run_state::running;
  r = serve::summarize(v, cut);
  CHECK(!check_of(r, "requests").ok);
  CHECK(!says(r, "balance"));
  auto twice = steady(200);
  twice.push_back(twice[7]);
  CHECK(!serve::summarize(twice, open_loop()).checks[0].ok.value());
  // Rows typed by hand without positions are no violation.
  for (auto& q : v) q.index = 0;
  CHECK(serve::summarize(v, open_loop()).checks[0].ok.value());
}

TEST_CASE("serve: S9 the identity of requests in flight is exact to the nanosecond, and broken by a request that ends before it starts") {
  auto v = steady(200);
  v[10].closed.at.ns += 1;  // one nanosecond more on both sides
  CHECK(serve::summarize(v, open_loop()).checks[1].ok.value());
  v[10].closed.at = v[10].intended.at - 5_ms;
  const auto r = serve::summarize(v, open_loop());
  CHECK(!check_of(r, "in_flight_integral").ok.value());
  CHECK(says(r, "in_flight_integral"));
}

TEST_CASE("serve: S9 Little's law needs 100 requests for each one in flight, and fails where times do not belong to arrivals") {
  // 100 in flight: 1000 ms each, every 10 ms.
  auto r = serve::summarize(steady(2000, 10, 1000), open_loop());
  CHECK(!check_of(r, "littles_law").ok);
  CHECK(check_of(r, "littles_law").why.find("too few") != std::string::npos);
  r = serve::summarize(steady(12'000, 10, 1000), open_loop());
  CHECK(check_of(r, "littles_law").ok.value());
  CHECK(check_of(r, "littles_law").left == doctest::Approx(100).epsilon(0.01));
  // A burst has no arrival rate.
  r = serve::summarize(steady(50, 0, 10), open_loop());
  CHECK(check_of(r, "littles_law").why == "all requests started at one moment");
  // A warm-up request that stays for the whole run is in flight, but in no arrival: L = 0.8 + 1.
  auto v = steady(500);
  auto stray = answer({.intended = -1000, .events = {0, 4999}, .tokens = 2}, 500);
  stray.warmup = true;
  v.push_back(stray);
  r = serve::summarize(v, open_loop());
  CHECK(!check_of(r, "littles_law").ok.value());
  CHECK(check_of(r, "littles_law").left == doctest::Approx(1.8).epsilon(0.01));
  CHECK(check_of(r, "littles_law").right == doctest::Approx(0.8).epsilon(0.01));
}

TEST_CASE("serve: S9 usage below the number of content events is a violation, equal is none") {
  auto v = steady(20);
  CHECK(check_of(serve::summarize(v, open_loop()), "usage_covers_chunks").left == 40);
  v[3].completion_tokens = 1;
  v[4].completion_tokens = 90;  // does not make up for it
  const auto r = serve::summarize(v, open_loop());
  CHECK(!check_of(r, "usage_covers_chunks").ok.value());
  CHECK(check_of(r, "usage_covers_chunks").left == 38 + 91 - 2);
  CHECK(check_of(r, "usage_covers_chunks").right == 40);
  CHECK(says(r, "in 1 answer"));
  for (auto& q : v) q.tokens_from = model::token_source::none;
  CHECK(check_of(serve::summarize(v, open_loop()), "usage_covers_chunks").why == "the server sent no usage");
}

TEST_CASE("serve: S9 planned prompt tokens are checked where they are token ids, and reported where they are words") {
  auto v = steady(20);
  for (auto& q : v) q.prompt_tokens_planned = 1000, q.prompt_tokens = 1001;  // one token for the beginning of the text
  auto run = open_loop();
  run.prompt_lengths = "token ids";
  auto r = serve::summarize(v, run);
  CHECK(check_of(r, "planned_prompt_tokens").ok.value());
  CHECK(*r.tokens.planned_prompt_error == near(0.001));
  for (auto& q : v) q.prompt_tokens = 1006;
  r = serve::summarize(v, run);
  CHECK(!check_of(r, "planned_prompt_tokens").ok.value());
  CHECK(says(r, "planned_prompt_tokens is 20000 against 20120"));
  for (auto& q : v) q.prompt_tokens_planned = 8, q.prompt_tokens = 9;
  CHECK(check_of(serve::summarize(v, run), "planned_prompt_tokens").ok.value());
  run.prompt_lengths = "words (approximate)";
  for (auto& q : v) q.prompt_tokens = 12;
  r = serve::summarize(v, run);
  CHECK(!check_of(r, "planned_prompt_tokens").ok);
  CHECK(says(r, "prompts were 50.0 % longer than planned"));
}

TEST_CASE("serve: S8 dispatch delay p99 over 10 ms limits the run; 10 ms does not") {
  const auto late = [](double delay, int n) {
    auto v = steady(1000);
    for (int i = 0; i < n; ++i) v[static_cast<std::size_t>(i)].sent = user(10.0 * i + delay);
    return serve::summarize(v, open_loop());
  };
  CHECK(!late(10, 1000).client.limited);
  const auto r = late(10.5, 1000);
  CHECK(r.client.limited);
  CHECK(r.client.late == 1000);
  REQUIRE(r.client.reasons.size() == 1);
  CHECK(r.client.reasons[0] == "requests left late: dispatch delay p99 was 10.5 ms (limit 10 ms), 1000 of 1000 were over it");
  CHECK(!late(50, 9).client.limited);   // below one in a hundred
  CHECK(late(50, 9).client.late == 9);
  CHECK(late(50, 12).client.limited);
}

TEST_CASE("serve: S8 an inexact share over 5 percent limits the run; the client's own count goes first") {
  const auto inexact = [](int of_100, std::vector<model::client_interval> c = {}) {
    model::request r = answer({});
    for (int i = 0; i < 100; ++i) r.chunks.append({.at = ms(10.0 * i), .exact = i >= of_100, .kernel = true});
    return serve::summarize(std::vector{r}, open_loop(), c);
  };
  CHECK(!inexact(5).client.limited);
  CHECK(inexact(6).client.limited);
  CHECK(inexact(6).client.inexact_share == near(0.06));
  CHECK(inexact(6).client.reasons[0] == "6.00 % of the content events shared a read with a later one (limit 5 %): the client read too late to time them");
  // It knows which events shared their read only with the end of their own answer.
  auto c = second(0, 0, 0.1);
  c.content_events = 100, c.inexact_events = 2;
  CHECK(!inexact(6, {c}).client.limited);
  CHECK(inexact(6, {c}).client.inexact_share == near(0.02));
}

TEST_CASE("serve: S8 a thread above 85 percent of a core for more than 5 s on end limits the run") {
  const auto busy = [](std::vector<double> shares, std::uint32_t other = 0) {
    std::vector<model::client_interval> c;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      c.push_back(second(3, static_cast<int>(i), shares[i]));
      if (other != 0) c.push_back(second(other, static_cast<int>(i), 0.1));  // between them, another thread that idles
    }
    return with_client(c);
  };
  CHECK(!busy({0.9, 0.9, 0.9, 0.9, 0.9}).client.limited);             // 5 s
  const auto r = busy({0.2, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.2}, 7);   // 6 s
  CHECK(r.client.limited);
  CHECK(r.client.reasons[0] == "client thread 3 used 90.0 % of a core for 6.00 s on end (limit 85 % for 5 s)");
  CHECK(*r.client.cpu_share == near((6 * 0.9 + 0.4) / 8));
  CHECK(!busy({0.9, 0.9, 0.9, 0.2, 0.9, 0.9, 0.9}).client.limited);   // not on end
  CHECK(!busy({0.85, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85}).client.limited);
  CHECK(busy({0.86, 0.86, 0.86, 0.86, 0.86, 0.86, 0.86}).client.limited);
}

TEST_CASE("serve: S8 loop lag limits the run only where stamps come from the loop's clock") {
  const auto lagging = [](bool kernel, double lag_ms, double ttft = 100) {
    std::vector<model::request> v;
    for (int i = 0; i < 20; ++i) {
      auto r = answer({.intended = 1000.0 * i, .events = {}});
      r.first_content = kernel ? made::kernel(1000.0 * i + ttft) : user(1000.0 * i + ttft);
      r.chunks.append({.at = ms(1000.0 * i + ttft), .exact = kernel, .kernel = kernel});
      v.push_back(r);
    }
    auto c = second(0, 0, 0.1);
    for (int i = 0; i < 1000; ++i) c.loop_lag_ns.add(lag_ms * 1e6);
    c.read_lag_ns.add(20'000);
    return serve::summarize(v, open_loop(), std::vector{c});
  };
  CHECK(!lagging(true, 50).client.limited);
  CHECK(!lagging(false, 2).client.limited);
  const auto r = lagging(false, 3);
  CHECK(r.client.limited);
  CHECK(r.client.reasons[0].find("the client's loop lagged, and 100 % of the stamps are its own: lag p99 was 3.00 ms (limit 2.00 ms)") == 0);
  CHECK(!lagging(false, 9, 1000).client.limited);  // 1 % of a ttft of a second
  CHECK(lagging(false, 11, 1000).client.limited);
  CHECK(*r.client.loop_lag_p50_ms == doctest::Approx(3).epsilon(0.01));
  CHECK(*r.client.loop_lag_max_ms == near(3));
  CHECK(*r.client.read_lag_p99_ms == doctest::Approx(0.02).epsilon(0.01));
  CHECK(!r.client.kernel_stamps);
}

TEST_CASE("serve: S16 lag quantiles are of all threads' samples, not means of theirs") {
  auto a = second(0, 0, 0.1), b = second(1, 0, 0.1);
  a.loop_lag_ns.add(1e6, 900);
  b.loop_lag_ns.add(9e6, 100);
  const auto r = with_client({a, b});
  CHECK(*r.client.loop_lag_p50_ms == doctest::Approx(1).epsilon(0.01));
  CHECK(*r.client.loop_lag_p99_ms == doctest::Approx(9).epsilon(0.01));
}

TEST_CASE("serve: S8 the client's volume, queues and sleep are in the report") {
  auto a = second(0, 0, 0.1), b = second(1, 1, 0.1);
  a.bytes_received = 1000, b.bytes_received = 500;
  a.receive_queue_max = 70, b.receive_queue_max = 90;
  a.open_descriptors = 10, b.open_descriptors = 12;
  b.suspended = ms(800);
  const auto r = with_client({a, b});
  CHECK(r.client.bytes_per_s == near(750));
  CHECK(r.client.receive_queue_max == 90);
  CHECK(r.client.open_descriptors_max == 22);
  CHECK(r.client.suspended == ms(800));
  CHECK(says(r, "the client did not run at all for 800 ms"));
  CHECK(!r.client.limited);
  const auto none = with_client({});
  CHECK(!none.client.cpu_share);
  CHECK(!none.client.loop_lag_p99_ms);
}

namespace {
model::scrape counted(double at, model::scrape::moment when, double requests, double prompt, double completion) {
  model::scrape s;
  s.when = when, s.begin = ms(at), s.end = ms(at + 1), s.engine = "vllm";
  s.series = {{.what = model::engine_metric::requests_finished, .name = "r", .value = requests},
              {.what = model::engine_metric::prompt_tokens, .name = "p", .value = prompt},
              {.what = model::engine_metric::generation_tokens, .name = "g", .value = completion}};
  return s;
}
serve::report beside(std::vector<model::request> v, const std::vector<model::scrape>& scrapes) {
  serve::summarizer s;
  for (const auto& r : v) s.add(r);
  for (const auto& x : scrapes) s.add(x);
  return s.finish(open_loop());
}
using when = model::scrape::moment;
}  // namespace

TEST_CASE("serve: S9 the engine's counters over the run are the client's sums, warm-up requests too") {
  auto v = steady(200);
  for (int i = 0; i < 20; ++i) v[static_cast<std::size_t>(i)].warmup = true;
  const auto r = beside(v, {counted(-5, when::before, 7, 1000, 50), counted(3000, when::after, 207, 3000, 450)});
  CHECK(r.server.bracketed);
  CHECK(r.server.engine == "vllm");
  for (const auto& [name, n] : {std::pair{"server_requests", 200.0}, {"server_prompt_tokens", 2000.0}, {"server_generation_tokens", 400.0}}) {
    const std::string check(name);
    CAPTURE(check);
    CHECK(check_of(r, name).ok.value());
    CHECK(check_of(r, name).left == n);
    CHECK(check_of(r, name).right == n);
  }
  CHECK(!says(r, "balance"));
}

TEST_CASE("serve: S9 traffic of others, late counters and missing tokens are findings or said to be no check") {
  const auto before = counted(-5, when::before, 0, 0, 0);
  auto r = beside(steady(200), {before, counted(3000, when::after, 202, 2000, 402)});
  CHECK(!check_of(r, "server_requests").ok.value());
  CHECK(check_of(r, "server_requests").why.find("other traffic on this server?") != std::string::npos);
  CHECK(check_of(r, "server_prompt_tokens").ok.value());
  CHECK(check_of(r, "server_generation_tokens").ok.value());  // 0.5 %
  CHECK(says(r, "the books do not balance: server_requests is 202 against 200"));

  r = beside(steady(200), {before, counted(3000, when::after, 198, 2000, 400)});
  CHECK(check_of(r, "server_requests").why.find("counts late") != std::string::npos);

  const auto missing = [&](const serve::report& x, std::string_view why) {
    CHECK(!check_of(x, "server_prompt_tokens").ok);
    CHECK_MESSAGE(check_of(x, "server_prompt_tokens").why.find(why) != std::string::npos, check_of(x, "server_prompt_tokens").why);
  };
  missing(beside(steady(200), {}), "the server's metrics were not read");
  missing(beside(steady(200), {counted(500, when::during, 0, 0, 0), counted(3000, when::after, 200, 2000, 400)}), "do not enclose the run");
  missing(beside(steady(200), {counted(-5, when::before, 9, 9000, 9), counted(3000, when::after, 200, 2000, 400)}), "started anew");
  auto v = steady(200);
  v.push_back(failed(2000, 2001, model::error_class::reset, 200));
  missing(beside(v, {before, counted(3000, when::after, 200, 2000, 400)}), "did not succeed");
  v = steady(200);
  v[3].tokens_from = model::token_source::chunks;
  missing(beside(v, {before, counted(3000, when::after, 200, 2000, 400)}), "no usage for some");
  CHECK(check_of(beside(v, {before, counted(3000, when::after, 200, 2000, 400)}), "server_requests").ok.value());
}
