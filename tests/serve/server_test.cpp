// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <hotpath/serve/server.hpp>
#include <limits>

using namespace hotpath;
using namespace hotpath::literals;
using enum model::engine_metric;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

struct scrape_maker {
  model::scrape s;
  explicit scrape_maker(double at_s, model::scrape::moment when = model::scrape::moment::during) {
    s.when = when;
    s.begin = nanoseconds::from_s(at_s - 0.01), s.end = nanoseconds::from_s(at_s + 0.01);
    s.engine = "vllm";
  }
  scrape_maker& has(model::engine_metric what, double value, std::string source = "", std::optional<double> created_s = {}) {
    model::metric_series m;
    m.what = what, m.value = value, m.source = std::move(source), m.name = "n";
    if (created_s) m.created = nanoseconds::from_s(*created_s);
    s.series.push_back(std::move(m));
    return *this;
  }
  // Edges 0.1, 0.2 and +Inf.
  scrape_maker& times(model::engine_metric what, double a, double b, double n, double sum, std::string source = "", std::vector<double> edges = {0.1, 0.2, inf}) {
    has(what, n, std::move(source));
    s.series.back().sum = sum;
    const double counts[] = {a, b, n};
    for (std::size_t i = 0; i < 3; ++i) s.series.back().buckets.push_back({edges[i], counts[i]});
    return *this;
  }
};
scrape_maker at(double s) { return scrape_maker(s); }
scrape_maker before(double s) { return scrape_maker(s, model::scrape::moment::before); }
scrape_maker after(double s) { return scrape_maker(s, model::scrape::moment::after); }
model::scrape failed(double s, std::string why = "HTTP 500") {
  scrape_maker m(s);
  m.s.error = std::move(why);
  return m.s;
}
serve::server_section fold(std::initializer_list<model::scrape> scrapes, const serve::server_window& w = {}) {
  serve::server_fold f;
  for (const model::scrape& s : scrapes) f.add(s);
  return f.finish(w);
}
bool says(const serve::server_section& s, std::string_view words) {
  for (const std::string& p : s.problems)
    if (p.find(words) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("serve: nothing, failures alone, and pages without a known name say why there is nothing") {
  CHECK(fold({}).missing == "no scrape was made");
  const auto s = fold({failed(0, "http://h/metrics: HTTP 404"), failed(1)});
  CHECK(s.missing == "no scrape succeeded: http://h/metrics: HTTP 404");
  CHECK(s.scrapes == 2);
  CHECK(s.failed == 2);
  CHECK(fold({at(0).s, at(1).s}).missing == "no known name of an engine was on any page");
}

TEST_CASE("serve: counters and histograms are last minus first, and rates come of the interval") {
  const auto s = fold({before(0).has(prompt_tokens, 100).has(prefix_queries, 100).has(prefix_hits, 90).has(spec_draft_tokens, 10).has(spec_accepted_tokens, 10).times(ttft, 1, 1, 1, 0.05)
                           .times(step_tokens, 0, 0, 2, 100).s,
                       at(1).has(prompt_tokens, 150).has(prefix_queries, 120).has(prefix_hits, 92).has(spec_draft_tokens, 20).has(spec_accepted_tokens, 12).times(ttft, 2, 3, 4, 1)
                           .times(step_tokens, 0, 0, 4, 200).s,
                       after(2).has(prompt_tokens, 300).has(prefix_queries, 300).has(prefix_hits, 140).has(spec_draft_tokens, 50).has(spec_accepted_tokens, 20).times(ttft, 3, 9, 11, 2.05)
                           .times(step_tokens, 0, 0, 7, 220).s});
  CHECK(s.missing == "");
  CHECK(s.engine == "vllm");
  CHECK(s.problems.empty());
  CHECK(s.all.prompt_tokens == 200.0);
  CHECK(s.all.prefix_hit_rate == 0.25);
  CHECK(s.all.spec_acceptance == 0.25);
  CHECK(s.all.tokens_per_step == 24.0);
  CHECK_FALSE(s.all.preemptions);
  CHECK_FALSE(s.all.reset);
  CHECK(s.engines.empty());
  // Buckets 2, 8 and 10: the 5th lies in (100, 200] ms, the 10th above 200.
  CHECK(s.all.ttft.n == 10);
  CHECK(*s.all.ttft.mean == doctest::Approx(200));
  CHECK(s.all.ttft.quantile[0]->lo == doctest::Approx(100));
  CHECK(*s.all.ttft.quantile[0]->hi == doctest::Approx(200));
  CHECK(s.all.ttft.quantile[3]->lo == doctest::Approx(200));
  CHECK_FALSE(s.all.ttft.quantile[3]->hi);
  CHECK(s.all.queue.missing == "the engine does not tell it");
  CHECK(s.begin == 0_s);
  CHECK(s.end == 2_s);
}

TEST_CASE("serve: the difference is of the run when the first scrape ended before it and the last began after it") {
  const auto run = [](double a, double b, double first, double last) {
    return fold({before(a).has(prompt_tokens, 1).s, after(b).has(prompt_tokens, 2).s}, {.first = nanoseconds::from_s(first), .last = nanoseconds::from_s(last)}).bracketed;
  };
  CHECK(run(0, 10, 0.01, 9.99));
  CHECK_FALSE(run(0, 10, 0.009, 9.99));
  CHECK_FALSE(run(0, 10, 0.01, 9.991));
  CHECK_FALSE(run(0, 10, 0, 0));
  CHECK_FALSE(fold({before(0).has(prompt_tokens, 1).s}, {.first = 1_s, .last = 2_s}).bracketed);
  // The first failed: the interval begins within the run.
  CHECK_FALSE(fold({failed(0), at(5).has(prompt_tokens, 1).s, after(10).has(prompt_tokens, 2).s}, {.first = 1_s, .last = 9_s}).bracketed);
}

TEST_CASE("serve: F-MET-13 a counter that went backwards counts from its restart, with all of its engine, and is marked") {
  const auto s = fold({before(0).has(prompt_tokens, 100).has(preemptions, 1).times(ttft, 1, 5, 9, 1).has(generation_tokens, 7, "engine=1").s,
                       at(1).has(prompt_tokens, 150).has(preemptions, 3).times(ttft, 1, 6, 10, 2).has(generation_tokens, 8, "engine=1").s,
                       at(2).has(prompt_tokens, 20).has(preemptions, 3).times(ttft, 1, 2, 20, 3).has(generation_tokens, 9, "engine=1").s,
                       after(3).has(prompt_tokens, 170).has(preemptions, 5).times(ttft, 2, 4, 30, 6).has(generation_tokens, 17, "engine=1").s});
  REQUIRE(s.engines.size() == 2);
  const auto& again = s.engines[0];
  CHECK(again.source == "");
  CHECK(again.prompt_tokens == 170.0);
  CHECK(again.preemptions == 5.0);  // did not go backwards itself, but its engine did
  CHECK(again.ttft.n == 30);
  CHECK(again.ttft.reset);
  CHECK(*again.ttft.mean == doctest::Approx(200));
  CHECK(again.reset);
  CHECK(s.engines[1].generation_tokens == 10.0);
  CHECK_FALSE(s.engines[1].reset);
  CHECK(s.all.reset);
  CHECK(s.all.prompt_tokens == 170.0);
  // Two pages alone: the later one as it is.
  const auto two = serve::difference(at(0).has(prompt_tokens, 100).s, at(1).has(prompt_tokens, 20).s);
  CHECK(two.all.prompt_tokens == 20.0);
  CHECK(two.all.reset);
}

TEST_CASE("serve: F-MET-13 a beginning that moved is a restart even where the value did not go backwards, and one that did not is none") {
  const auto moved = fold({before(0).has(prompt_tokens, 100, "", 5000).s, after(1).has(prompt_tokens, 150, "", 6000).s});
  CHECK(moved.all.prompt_tokens == 150.0);
  CHECK(moved.all.reset);
  // It speaks for those of its engine that do not tell when they began.
  const auto others = fold({before(0).has(prompt_tokens, 100, "", 5000).has(preemptions, 3).s, after(1).has(prompt_tokens, 150, "", 6000).has(preemptions, 4).s});
  CHECK(others.all.preemptions == 4.0);
  const auto same = fold({before(0).has(prompt_tokens, 100, "", 5000).s, after(1).has(prompt_tokens, 150, "", 5000).s});
  CHECK(same.all.prompt_tokens == 50.0);
  CHECK_FALSE(same.all.reset);
  // A series that says it went on counts on, whatever the others did.
  const auto one = fold({before(0).has(prompt_tokens, 100, "", 5000).has(generation_tokens, 10, "", 5000).s,
                         after(1).has(prompt_tokens, 5, "", 6000).has(generation_tokens, 30, "", 5000).s});
  CHECK(one.all.prompt_tokens == 5.0);
  CHECK(one.all.generation_tokens == 20.0);
}

TEST_CASE("serve: F-MET-13 a series that is gone after a restart counts from 0 when it comes back") {
  const auto s = fold({before(0).has(prompt_tokens, 100).has(preemptions, 4).s, at(1).has(prompt_tokens, 3).s, after(2).has(prompt_tokens, 9).has(preemptions, 6).s});
  CHECK(s.all.prompt_tokens == 9.0);
  CHECK(s.all.preemptions == 6.0);
  CHECK(s.all.reset);
}

TEST_CASE("serve: a series that appears late counts from 0 only if it says that it is new") {
  const auto with = [](std::optional<double> created, bool cut = false) {
    auto first = before(0).has(prompt_tokens, 100, "", 5000);
    if (cut) first.s.lost.truncated = 1;
    return fold({first.s, at(4).has(prompt_tokens, 150, "", 5000).has(preemptions, 7, "", created).s, after(9).has(prompt_tokens, 200, "", 5000).has(preemptions, 10, "", created).s});
  };
  CHECK(with(5001).all.preemptions == 10.0);
  CHECK(with(5001).problems.empty());
  CHECK(with(5000).all.preemptions == 3.0);  // as old as what was on the first page: that page did not show it
  CHECK(says(with(5000), "preemptions: not on the first page; it counts from 4.00 s on"));
  CHECK(with({}).all.preemptions == 3.0);
  CHECK(with(5001, true).all.preemptions == 3.0);  // the first page was cut
  // Only on the last page: nothing is known of the interval.
  const auto last = fold({before(0).has(prompt_tokens, 1).s, after(9).has(prompt_tokens, 2).has(preemptions, 10).times(ttft, 1, 2, 3, 1).s});
  CHECK_FALSE(last.all.preemptions);
  CHECK(says(last, "preemptions: only on the last page"));
  CHECK(last.all.ttft.n == 0);
  CHECK(last.all.ttft.missing == "told by one scrape only");
}

TEST_CASE("serve: a series that the last page lacks counts as far as it was told, which is said") {
  const auto s = fold({before(0).has(prompt_tokens, 100).has(preemptions, 0).s, at(1).has(prompt_tokens, 150).has(preemptions, 2).s, after(2).has(prompt_tokens, 170).s});
  CHECK(s.all.preemptions == 2.0);
  CHECK(says(s, "preemptions: not on the last page"));
}

TEST_CASE("serve: F-MET-11 edges that change between scrapes leave count and mean, without quantiles, and the reason") {
  const auto s = fold({before(0).times(ttft, 1, 2, 3, 1).s, after(1).times(ttft, 5, 8, 13, 3, "", {0.1, 0.3, inf}).s});
  CHECK(s.all.ttft.n == 10);
  CHECK(*s.all.ttft.mean == doctest::Approx(200));
  CHECK_FALSE(s.all.ttft.quantile[0]);
  CHECK(s.all.ttft.missing == "");
  CHECK(says(s, "ttft: the edges of its buckets changed between the scrapes, so it has no quantiles"));
}

TEST_CASE("serve: F-MET-12 engines stay apart beside their sum; gauges add up, and the share of the cache is a mean") {
  const auto s = fold({before(0).has(running, 0, "engine=0").has(running, 0, "engine=10").has(running, 0, "engine=2").has(kv_usage, 0, "engine=0").has(kv_usage, 0, "engine=10")
                           .has(prompt_tokens, 0, "engine=0").has(prompt_tokens, 50, "engine=10").times(ttft, 0, 0, 0, 0, "engine=0").times(ttft, 0, 0, 0, 0, "engine=10").s,
                       at(1).has(running, 4, "engine=0").has(running, 2, "engine=10").has(running, 1, "engine=2").has(kv_usage, 0.5, "engine=0").has(kv_usage, 0.1, "engine=10")
                           .has(prompt_tokens, 7, "engine=0").has(prompt_tokens, 60, "engine=10").times(ttft, 4, 4, 4, 0.2, "engine=0").times(ttft, 0, 6, 6, 1, "engine=10").s});
  REQUIRE(s.engines.size() == 3);
  CHECK(s.engines[0].source == "engine=0");
  CHECK(s.engines[1].source == "engine=2");  // numbers in their order
  CHECK(s.engines[2].source == "engine=10");
  CHECK(s.engines[0].prompt_tokens == 7.0);
  CHECK(s.engines[2].prompt_tokens == 10.0);
  CHECK_FALSE(s.engines[1].prompt_tokens);
  CHECK(s.all.prompt_tokens == 17.0);
  CHECK(s.all.running.max == 7);
  CHECK(s.engines[0].running.max == 4);
  CHECK(s.all.kv_usage.max == doctest::Approx(0.3));
  CHECK(s.all.ttft.n == 10);
  CHECK(*s.all.ttft.mean == doctest::Approx(120));
  CHECK(*s.all.ttft.quantile[0]->hi == doctest::Approx(200));
  CHECK(*s.engines[0].ttft.quantile[0]->hi == doctest::Approx(100));
  // Engines with other edges: merged on those they share.
  const auto other = fold({before(0).times(ttft, 0, 0, 0, 0, "a").times(ttft, 0, 0, 0, 0, "b", {0.2, 0.4, inf}).s, after(1).times(ttft, 4, 4, 4, 1, "a").times(ttft, 6, 6, 6, 1, "b", {0.2, 0.4, inf}).s});
  CHECK(other.all.ttft.n == 10);
  CHECK(other.all.ttft.quantile[0]->lo == 0);
  CHECK(*other.all.ttft.quantile[0]->hi == doctest::Approx(200));
  CHECK(says(other, "engines have different edges, merged on those they share"));
}

TEST_CASE("serve: a gauge's mean is over the load, each scrape standing for half the time to its neighbours") {
  const auto s = fold({before(0).has(running, 100).s, at(1).has(running, 2).s, at(2).has(running, 4).s, at(5).has(running, 8).s, after(6).has(running, 100).s});
  // (2+4)/2 over 1 s, (4+8)/2 over 3 s
  CHECK(s.all.running.mean == doctest::Approx((3.0 * 1 + 6.0 * 3) / 4));
  CHECK(s.all.running.max == 8);
  CHECK(s.all.running.n == 3);
  CHECK(s.all.waiting.n == 0);
  // Without a scrape during the load: of those that are there.
  const auto two = fold({before(0).has(running, 3).s, after(2).has(running, 5).s});
  CHECK(two.all.running.mean == doctest::Approx(4));
  CHECK(two.all.running.n == 2);
  CHECK(fold({at(1).has(running, 3).s}).all.running.mean == 3);
}

TEST_CASE("serve: F-MET-15 a gauge is never carried across a failed scrape") {
  const auto s = fold({at(0).has(running, 2).s, at(1).has(running, 4).s, failed(2), at(3).has(running, 100).s, at(4).has(running, 100).s});
  // 3 over 1 s and 100 over 1 s; between 1 and 3 s nothing is known.
  CHECK(s.all.running.mean == doctest::Approx(51.5));
  CHECK(s.failed == 1);
  CHECK(says(s, "1 scrape of 5 failed: HTTP 500"));
  // An engine that is missing on a page makes no dip in the sum of all.
  const auto gap = fold({at(0).has(running, 2, "a").has(running, 2, "b").s, at(1).has(running, 2, "a").s, at(2).has(running, 2, "a").has(running, 2, "b").s});
  CHECK(gap.all.running.mean == doctest::Approx(4));
  CHECK(gap.all.running.n == 2);
  CHECK(gap.engines[0].running.n == 3);
}

TEST_CASE("serve: F-MET-15 steps over time are empty where no scrape fell, and skipped periods are counted") {
  auto late = at(3.5).has(running, 7).has(waiting, 1);
  late.s.skipped = 2;
  const auto s = fold({before(-0.5).has(running, 9).s, at(0.4).has(running, 1).s, at(0.6).has(running, 3).s, failed(1.5), late.s},
                      {.first = 0_s, .last = 4_s, .begin = 0_s, .step = 1_s, .steps = 5});
  CHECK(s.skipped == 2);
  CHECK(s.over_time.step == 1_s);
  REQUIRE(s.over_time.running.size() == 5);
  CHECK(s.over_time.running[0] == 2);
  CHECK(std::isnan(s.over_time.running[1]));
  CHECK(std::isnan(s.over_time.running[2]));
  CHECK(s.over_time.running[3] == 7);
  CHECK(std::isnan(s.over_time.running[4]));
  CHECK(s.over_time.waiting.size() == 5);
  CHECK(s.over_time.kv_usage.empty());
}

TEST_CASE("serve: a long run stays within its memory, and its steps keep every value") {
  serve::server_fold f;
  // 0 and 2 in turn, then 2 and 4.
  for (int i = 0; i < 5000; ++i) f.add(at(i + 0.5).has(running, (i < 2500 ? 1 : 3) + (i % 2 == 0 ? -1 : 1)).has(prompt_tokens, 10.0 * i).s);
  const auto s = f.finish({.first = 1_s, .last = 4999_s, .begin = 0_s, .step = 500_s, .steps = 10});
  CHECK(s.all.prompt_tokens == 49990.0);
  CHECK(s.all.running.n == 5000);
  REQUIRE(s.over_time.running.size() == 10);
  CHECK(s.over_time.running[0] == doctest::Approx(1).epsilon(0.02));  // a step of 10.24 s holds 10 or 11
  CHECK(s.over_time.running[9] == doctest::Approx(3).epsilon(0.02));
  const auto own = f.finish();
  CHECK(own.over_time.running.size() <= 1024);
  CHECK(own.over_time.running.size() >= 480);
  CHECK(own.over_time.running[3] == doctest::Approx(1).epsilon(0.2));
}

TEST_CASE("serve: one scrape alone has gauges and no differences") {
  const auto s = fold({at(1).has(running, 3).has(prompt_tokens, 100).times(ttft, 1, 2, 3, 1).has(kv_blocks, 70).has(kv_block_tokens, 32).s});
  CHECK(s.missing == "");
  CHECK(s.all.running.max == 3);
  CHECK_FALSE(s.all.prompt_tokens);
  CHECK(s.all.ttft.missing == "one scrape alone has no interval");
  CHECK(s.all.kv_capacity_tokens == 2240.0);
}

TEST_CASE("serve: no value in the interval is no latency of 0, and no query no hit rate of 0") {
  const auto s = fold({before(0).times(ttft, 1, 2, 3, 1).has(prefix_queries, 5).has(prefix_hits, 5).s, after(1).times(ttft, 1, 2, 3, 1).has(prefix_queries, 5).has(prefix_hits, 5).s});
  CHECK(s.all.ttft.n == 0);
  CHECK(s.all.ttft.missing == "no value in the interval");
  CHECK_FALSE(s.all.prefix_hit_rate);
  CHECK(s.all.prefix_queries == 0.0);
}
