// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <hotpath/report/live.hpp>
#include "golden.hpp"

using namespace hotpath;
using model::engine_metric;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
std::size_t columns(const std::string& line) {
  std::size_t n = 0;
  for (const char c : line) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}
std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& l : lines) out += l + "\n";
  return out;
}
std::string without_colour(std::string t) {
  for (std::size_t i; (i = t.find("\x1b[")) != std::string::npos;) t.erase(i, t.find('m', i) + 1 - i);
  return t;
}

model::scrape scrape_at(nanoseconds at, std::vector<std::pair<engine_metric, double>> values) {
  model::scrape s;
  s.begin = s.end = at, s.engine = "vllm";
  for (const auto& [what, v] : values) {
    model::metric_series m;
    m.what = what, m.value = v;
    s.series.push_back(m);
  }
  return s;
}

// A closed loop of 16 streams: snapshots five times a second, 3 requests and 300 content events (2 tokens each) in each.
struct load {
  report::live_meter meter;
  model::progress p;
  load() {
    model::schedule plan;
    plan.streams = 16, plan.max_duration = 60_s;
    meter.describe("Qwen/Qwen3-8B on vllm 0.33.0, http://127.0.0.1:8000", plan);
    p.phase = "sending", p.threads = 1;
  }
  void step(double ttft = 51.3, int times = 1) {
    for (; times > 0; --times) {
      p.elapsed += 200_ms;
      p.sent += 3, p.finished += 3, p.ok += 3, p.judged += 3, p.in_flight = 16;
      p.output_tokens += 600, p.output_events += 300;
      p.ttft_ms = p.tpot_ms = p.loop_lag_ns = stats::sketch{};
      p.cpu_share.reset();
      for (int i = 0; i < 3 && ttft > 0; ++i) p.ttft_ms.add(ttft), p.tpot_ms.add(10.02);
      if (p.elapsed.ns % 1'000'000'000 == 0) p.content_events += 1500, p.covered += 1_s, p.loop_lag_ns.add(110e3), p.cpu_share = 0.121;
      meter.add(p);
    }
  }
  void engine(int seconds, double kv = 0.713) {
    for (int k = 0; k <= seconds; ++k)
      meter.add(scrape_at(nanoseconds::from_s(k), {{engine_metric::running, 12}, {engine_metric::waiting, k % 5}, {engine_metric::kv_usage, kv * k / (seconds + 1)},
                                                   {engine_metric::prefix_queries, 1000.0 * k}, {engine_metric::prefix_hits, 420.0 * k}, {engine_metric::preemptions, 7 + k / 8},
                                                   {engine_metric::generation_tokens, 3000.0 * k}}));
  }
  const report::live_state& now() const { return meter.state(); }
};

}  // namespace

TEST_CASE("report: a live page is as in the golden files, at 40, 80 and 200 columns, in ASCII, and with everything wrong") {
  load l;
  l.step(51.3, 60), l.step(87.9, 60);
  l.engine(24);
  check_golden("live.80.txt", joined(report::live_page(l.now(), {.width = 80})));
  check_golden("live.200.txt", joined(report::live_page(l.now(), {.width = 200})));
  check_golden("live.40.txt", joined(report::live_page(l.now(), {.width = 40})));
  check_golden("live.ascii.80.txt", joined(report::live_page(l.now(), {.width = 80, .ascii = true})));
  l.p.failed = 31, l.p.finished += 33, l.p.errors[static_cast<std::size_t>(model::error_class::reset)] = 31, l.p.errors[static_cast<std::size_t>(model::error_class::cancelled)] = 2;
  l.p.late = 12, l.p.waiting = 40, l.p.phase = "draining", l.p.hot = 7_s;
  l.step(0);
  l.engine(24, 1.01);
  model::scrape gone;
  gone.error = "HTTP 500";
  l.meter.add(gone);
  check_golden("live.bad.80.txt", joined(report::live_page(l.now(), {.width = 80})));
}

TEST_CASE("report: no line of a live page is wider than asked, no page higher, and colour is nothing but colour") {
  load l;
  for (int k = 0; k < 400; ++k) {
    l.step(51.3 + k);
    if (k == 200) l.engine(90);
    if (k == 300) l.p.failed = 1'000'000, l.p.finished += 1'000'000, l.p.late = 5000, l.p.inexact_events = l.p.content_events;
    if (k == 300)
      for (std::size_t i = 1; i < l.p.errors.size(); ++i) l.p.errors[i] = 1000 * i;
    if (k % 57 != 0) continue;
    for (const std::size_t width : {40u, 41u, 59u, 60u, 79u, 80u, 119u, 120u, 121u, 199u, 300u})
      for (const std::size_t height : {1u, 2u, 5u, 9u, 14u, 24u, 50u})
        for (const bool ascii : {false, true}) {
          const auto lines = report::live_page(l.now(), {.width = width, .height = height, .ascii = ascii});
          CHECK(!lines.empty());
          CHECK(lines.size() <= height);
          for (const std::string& line : lines) {
            CAPTURE(line);
            CHECK(columns(line) <= width);
            if (ascii)
              for (const char c : line) CHECK(static_cast<unsigned char>(c) < 0x80);
          }
          const auto painted = report::live_page(l.now(), {.width = width, .height = height, .color = true, .ascii = ascii});
          CHECK(without_colour(joined(painted)) == joined(lines));
          if (height > 5) CHECK(has(joined(painted), "\x1b["));
        }
  }
}

TEST_CASE("report: what a live page says of now is of the last ten seconds") {
  load l;
  l.step(50, 100);
  CHECK(*l.now().requests_per_s.now == doctest::Approx(15));
  CHECK(*l.now().output_per_s.now == doctest::Approx(3000));     // 1,500 events a second of 2 tokens each
  CHECK(!l.now().output_is_events);
  CHECK(*l.now().ttft_p50_ms.now == doctest::Approx(50).epsilon(0.01));
  CHECK(*l.now().tpot_p50_ms.now == doctest::Approx(10.02).epsilon(0.01));
  CHECK(l.now().ttft_p50_ms.past.size() == 20);
  l.step(200, 51);                                               // all of the window
  CHECK(*l.now().ttft_p50_ms.now == doctest::Approx(200).epsilon(0.01));
  CHECK(l.now().ttft_p50_ms.past.front() == doctest::Approx(50).epsilon(0.01));
  CHECK(l.now().ttft_p50_ms.past.back() == doctest::Approx(200).epsilon(0.01));
  CHECK(!l.now().ttft_p50_ms.old);
  l.step(0, 52);                                                 // nothing came: the last one known, marked
  CHECK(*l.now().ttft_p50_ms.now == doctest::Approx(200).epsilon(0.01));
  CHECK(l.now().ttft_p50_ms.old);
  CHECK(std::isnan(l.now().ttft_p50_ms.past.back()));
  l.step(50, 5000);                                              // nothing grows with the length of the run
  CHECK(l.now().in_flight.past.size() == report::live_figure::most);
  CHECK(l.now().plan.due.empty());
}

TEST_CASE("report: a row's largest mark is in the unit of its figure") {
  load l;
  l.step(12'300, 20);
  const auto lines = report::live_page(l.now());
  bool seen = false;
  for (const std::string& line : lines) {
    if (!line.starts_with("TTFT p50")) continue;
    seen = true;
    CHECK(has(line, " 12.3 s "));
    CHECK(line.ends_with("  12.3"));
  }
  CHECK(seen);
}

TEST_CASE("report: before a request has ended a live page counts events, and calls them so") {
  report::live_meter meter;
  model::progress p;
  p.threads = 2, p.elapsed = 1_s, p.content_events = 500, p.covered = 2_s, p.in_flight = p.sent = 8, p.phase = "sending";  // two threads, a second each
  meter.add(p);
  CHECK(meter.state().output_is_events);
  CHECK(*meter.state().output_per_s.now == doctest::Approx(500));
  CHECK(has(joined(report::live_page(meter.state())), "output events     500.0 /s"));
  CHECK(has(report::live_line(meter.state()), "  500.0 events/s"));
  p.elapsed = 2_s;  // no interval came: the rate stays, it is not 0
  meter.add(p);
  CHECK(*meter.state().output_per_s.now == doctest::Approx(500));
}

TEST_CASE("report: a live page judges the client by the rules of the report") {
  load l;
  l.step(50, 10);
  CHECK(l.now().client.limits.empty());
  CHECK(*l.now().client.cpu_share == 0.121);
  CHECK(*l.now().client.loop_lag_p99_ms == doctest::Approx(0.11));
  CHECK(has(joined(report::live_page(l.now())), "client    keeps up"));
  l.p.late = 1;                                                  // of 30: p99 is above 10 ms
  l.step();
  REQUIRE(l.now().client.limits.size() == 1);
  CHECK(has(l.now().client.limits[0], "over 10 ms late"));
  CHECK(has(report::live_line(l.now()), "CLIENT LIMITED: "));
  l.step(50, 60);                                                // ten seconds later it is over
  CHECK(l.now().client.limits.empty());
  l.p.inexact_events = 2000;
  l.step();
  CHECK(has(l.now().client.limits.at(0), "shared a read"));
  l.p.hot = 6_s;
  l.step();
  CHECK(l.now().client.limits.size() == 2);
}

TEST_CASE("report: scrapes become the engine's figures: sums over engines, a hit rate of the interval, preemptions since the first, none across a restart") {
  report::live_meter m;
  CHECK(m.state().server.missing == "its metrics are not read");
  model::scrape bad;
  bad.error = "HTTP 404";
  m.add(bad);
  CHECK(m.state().server.missing == "HTTP 404");
  const auto two = [](double t, double running, double kv0, double kv1, double queries, double hits, double preempted) {
    return scrape_at(nanoseconds::from_s(t), {{engine_metric::running, running}, {engine_metric::running, running + 1}, {engine_metric::kv_usage, kv0}, {engine_metric::kv_usage, kv1},
                                              {engine_metric::prefix_queries, queries}, {engine_metric::prefix_hits, hits}, {engine_metric::preemptions, preempted}});
  };
  m.add(two(1, 3, 0.2, 0.6, 1000, 900, 5));
  const auto& s = m.state().server;
  CHECK(s.missing == "");
  CHECK(s.engine == "vllm");
  CHECK(*s.running.now == 7);
  CHECK(*s.kv_usage.now == doctest::Approx(0.4));
  CHECK(!s.waiting.now);              // not told is not 0
  CHECK(!s.prefix_hit_rate.now);      // what was before this run is not this run's
  CHECK(*s.preemptions.now == 0);
  m.add(two(2, 4, 0.3, 0.7, 1200, 950, 6));
  CHECK(*s.prefix_hit_rate.now == doctest::Approx(0.25));
  CHECK(*s.preemptions.now == 1);
  CHECK(s.preemptions.past.back() == doctest::Approx(1));
  m.add(bad);
  CHECK(s.trouble == "HTTP 404");
  CHECK(*s.running.now == 9);
  m.add(two(4, 4, 0.3, 0.7, 100, 10, 2));   // started anew: 2 more, not 4 fewer
  CHECK(s.trouble == "");
  CHECK(*s.preemptions.now == 3);
  CHECK(s.prefix_hit_rate.old);
  m.add(two(5, 4, 0.3, 0.7, 200, 70, 2));
  CHECK(*s.prefix_hit_rate.now == doctest::Approx(0.6));
  for (int k = 6; k < 1000; ++k) m.add(two(k, 4, 0.3, 0.7, 200 + 100 * k, 70 + 10 * k, 2));
  CHECK(*s.prefix_hit_rate.now == doctest::Approx(0.1));  // of the last ten seconds
  CHECK(s.running.past.size() == report::live_figure::most);
  auto odd = two(1001, std::nan(""), HUGE_VAL, 0.5, std::nan(""), 0, std::nan(""));
  m.add(odd);
  CHECK(!s.running.now);
  CHECK(*s.kv_usage.now == doctest::Approx(0.5));
  CHECK(*s.preemptions.now == 3);
}

TEST_CASE("report: F-OUT-04 names of a server do nothing to a live page") {
  load l;
  l.step(50, 20);
  const std::string evil = "x\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b" "31m\r\n\b\x7f\u202e";
  l.meter.describe(evil, l.now().plan);
  auto s = scrape_at(1_s, {{engine_metric::running, 1}});
  s.engine = evil;
  for (int k = 0; k < 2; ++k) {
    const std::string t = joined(report::live_page(l.now(), {.width = 120})) + report::live_line(l.now()) + "\n";
    for (const char c : t) CHECK((c == '\n' || static_cast<unsigned char>(c) >= 0x20));
    CHECK(!has(t, "\x7f"));
    CHECK(!has(t, "\u202e"));
    s.error = k == 0 ? "" : evil;
    l.meter.add(s);
  }
  model::scrape gone;
  gone.error = evil;
  l.meter.add(gone);
  for (const std::string& line : report::live_page(l.now())) CHECK(line.find('\x1b') == std::string::npos);
}
