// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <vector>
#include <hotpath/core/bootstrap.hpp>
#include <hotpath/core/pooled.hpp>
#include <hotpath/core/random.hpp>

using namespace hotpath;

namespace {

std::vector<double> sorted(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v;
}
std::vector<double> ar1(std::size_t n, double rho, std::uint64_t seed) {
  stats::xoshiro256 random{seed};
  std::vector<double> x;
  double v = random.normal() / std::sqrt(1 - rho * rho);
  for (std::size_t i = 0; i < n; ++i) {
    x.push_back(50 + v);
    v = rho * v + random.normal();
  }
  return x;
}

// The rule of S4 once more, as one would write it down: every resample is put together and sorted.
struct naive {
  std::vector<stats::interval> quantile;
  stats::interval mean;
  naive(const std::vector<std::vector<double>>& units, const std::vector<double>& series_for_tau, const std::vector<double>& levels, std::uint64_t seed) {
    const std::size_t n = units.size();
    const auto plan = stats::plan_blocks(n, stats::autocorrelation_time(series_for_tau, static_cast<double>(n) / 80 + 1));
    std::vector<double> all;
    for (const auto& u : units) all.insert(all.end(), u.begin(), u.end());
    std::sort(all.begin(), all.end());
    std::vector<std::vector<double>> q(levels.size());
    std::vector<double> means;
    stats::xoshiro256 random{seed};
    for (int r = 0; r < 2000; ++r) {
      std::vector<double> again;
      for (std::size_t b = 0; b < plan.count; ++b) {
        const std::size_t begin = random.below(n - plan.length + 1);
        for (std::size_t i = begin; i < begin + plan.length; ++i) again.insert(again.end(), units[i].begin(), units[i].end());
      }
      std::sort(again.begin(), again.end());
      for (std::size_t l = 0; l < levels.size(); ++l) q[l].push_back(*stats::quantile(again, levels[l]));
      means.push_back(*stats::mean(again));
    }
    const auto ends = [&](std::vector<double> v, double estimate) {
      std::sort(v.begin(), v.end());
      const double lo = *stats::quantile(v, 0.025), hi = *stats::quantile(v, 0.975);
      return stats::interval{estimate - std::max(0.0, estimate - lo) * plan.widen, estimate + std::max(0.0, hi - estimate) * plan.widen};
    };
    for (std::size_t l = 0; l < levels.size(); ++l) {
      const auto r = stats::quantile_ranks(all.size(), levels[l]);
      auto i = ends(q[l], *stats::quantile(all, levels[l]));
      i.lo = std::min(i.lo, all[r.lo - 1]);
      if (r.hi) i.hi = std::max(*i.hi, all[*r.hi - 1]);
      else i.hi.reset();
      quantile.push_back(i);
    }
    mean = ends(means, *stats::mean(all));
  }
};

std::vector<std::vector<double>> alone(const std::vector<double>& v) {
  std::vector<std::vector<double>> out;
  for (const double x : v) out.push_back({x});
  return out;
}

}  // namespace

TEST_CASE("stats: S4 block lengths follow the rule") {
  // ceil(2 * 1000^(1/3)) = 20, under the cap of 1000 / 20 = 50.
  CHECK(stats::plan_blocks(1000, 1).length == 20);
  CHECK(stats::plan_blocks(1000, 1).count == 50);
  CHECK(stats::plan_blocks(1000, 10).length == 40);     // 4 tau
  CHECK(stats::plan_blocks(1000, 100).length == 50);    // n / 20
  CHECK(stats::plan_blocks(1000, 100).count == 20);
  CHECK(stats::plan_blocks(10, 1).length == 1);
  CHECK(stats::plan_blocks(1050, 1).length == 21);      // ceil(20.33)
  CHECK(stats::plan_blocks(1069, 1).length == 21);      // 1069 / 21 = 50 blocks, 21 each, 19 units over
  CHECK(stats::plan_blocks(1079, 5.25).length == 21);
  CHECK(stats::plan_blocks(1099, 5.25).length == 21);   // 52 blocks
  CHECK(stats::plan_blocks(419, 20).length == 20);      // at most 20 = 419 / 20, 20 blocks of 20
  CHECK(stats::plan_blocks(0, 1).count == 0);
  // b = 20: t(19) = 2.0930240544 over 1.9599639845, times sqrt(20 / 19); no correlation, nothing cut.
  CHECK(stats::plan_blocks(400, 1).length == 15);
  CHECK(stats::plan_blocks(400, 5).count == 20);
  CHECK(stats::plan_blocks(400, 5).widen == doctest::Approx(2.0930240544 / 1.9599639845 * std::sqrt(20.0 / 19) / std::sqrt(1 - 4.8 / 40)));
}

TEST_CASE("stats: S4 fast intervals equal those of putting every resample together (bins of one value)") {
  const std::vector<double> levels = {0.5, 0.9, 0.95, 0.99};
  for (const double rho : {0.0, 0.8}) {
    const auto x = ar1(600, rho, 5), s = sorted(x);
    const auto fast = stats::bootstrap_series(x, s, levels, {.seed = 77});
    const naive slow{alone(x), x, levels, 77};
    REQUIRE(fast.mean);
    CHECK(fast.mean->lo == doctest::Approx(slow.mean.lo).epsilon(1e-12));
    CHECK(*fast.mean->hi == doctest::Approx(*slow.mean.hi).epsilon(1e-12));
    for (std::size_t l = 0; l < levels.size(); ++l) {
      REQUIRE(fast.quantile[l]);
      REQUIRE(fast.quantile[l]->hi.has_value() == slow.quantile[l].hi.has_value());
      // Ranks are a continuous scale here and steps there: not more than one order statistic apart, before widening.
      const double width = *slow.quantile[l].hi - slow.quantile[l].lo;
      CHECK(std::fabs(fast.quantile[l]->lo - slow.quantile[l].lo) < 0.03 * width);
      CHECK(std::fabs(*fast.quantile[l]->hi - *slow.quantile[l].hi) < 0.03 * width);
    }
  }
}

TEST_CASE("stats: S4 fast intervals are within 3 percent of their width of the slow ones where bins hold many values") {
  const std::vector<double> levels = {0.5, 0.9, 0.95, 0.99};
  const auto x = ar1(4000, 0.5, 6), s = sorted(x);
  const auto fast = stats::bootstrap_series(x, s, levels, {.seed = 3});
  const naive slow{alone(x), x, levels, 3};
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const double width = *slow.quantile[l].hi - slow.quantile[l].lo;
    CHECK(std::fabs(fast.quantile[l]->lo - slow.quantile[l].lo) < 0.03 * width);
    CHECK(std::fabs(*fast.quantile[l]->hi - *slow.quantile[l].hi) < 0.03 * width);
  }
}

TEST_CASE("stats: S4 correlated samples get wider intervals than the ranks of S3, independent ones never narrower") {
  const double level[] = {0.5};
  const auto width = [&](const std::vector<double>& x) {
    const auto s = sorted(x);
    const auto ci = stats::bootstrap_series(x, s, level, {.seed = 1});
    const auto r = stats::quantile_ranks(s.size(), 0.5);
    CHECK(ci.quantile[0]->lo <= s[r.lo - 1]);
    CHECK(*ci.quantile[0]->hi >= s[*r.hi - 1]);
    return (*ci.quantile[0]->hi - ci.quantile[0]->lo) / (s[*r.hi - 1] - s[r.lo - 1]);
  };
  CHECK(width(ar1(2000, 0.0, 8)) < 1.3);
  CHECK(width(ar1(2000, 0.8, 8)) > 2);  // sqrt(tau) = 3 in the limit; the indicator of the median is less correlated
}

TEST_CASE("stats: S3 S4 the upper end is missing below the smallest n of the level, every interval below 6") {
  const double levels[] = {0.5, 0.9, 0.95, 0.99};
  const auto at = [&](std::size_t n) {
    const auto x = ar1(n, 0, 4);
    return stats::bootstrap_series(x, sorted(x), levels, {.seed = 1});
  };
  CHECK(at(368).quantile[3]->hi.has_value());
  REQUIRE(at(367).quantile[3]);
  CHECK(!at(367).quantile[3]->hi);
  CHECK(at(72).quantile[2]->hi.has_value());
  CHECK(!at(71).quantile[2]->hi);
  CHECK(at(36).quantile[1]->hi.has_value());
  CHECK(!at(35).quantile[1]->hi);
  CHECK(at(6).quantile[0]->hi.has_value());
  CHECK(at(6).mean.has_value());
  CHECK(!at(5).quantile[0]);
  CHECK(!at(5).mean);
  CHECK(!at(0).mean);
  const auto x = ar1(100, 0, 4);
  CHECK(!stats::bootstrap_series(x, sorted(x), levels, {.resamples = 0}).mean);
}

TEST_CASE("stats: S4 equal values give an interval of width 0; the seed decides everything else") {
  const double levels[] = {0.5, 0.99};
  for (const std::size_t n : {500u, 3000u}) {
    const std::vector<double> same(n, 7.0);
    const auto ci = stats::bootstrap_series(same, same, levels);
    CHECK(ci.quantile[0]->lo == 7);
    CHECK(*ci.quantile[1]->hi == 7);
    CHECK(ci.mean->lo == doctest::Approx(7).epsilon(1e-12));
  }
  const auto x = ar1(3000, 0.3, 4), s = sorted(x);
  const auto a = stats::bootstrap_series(x, s, levels, {.seed = 5}), b = stats::bootstrap_series(x, s, levels, {.seed = 5}),
             c = stats::bootstrap_series(x, s, levels, {.seed = 6});
  CHECK(a.quantile[0]->lo == b.quantile[0]->lo);
  CHECK(*a.mean->hi == *b.mean->hi);
  CHECK(*a.mean->hi != *c.mean->hi);
}

TEST_CASE("stats: S4 ratios are resampled as ratios, with a constant in the denominator") {
  // 3 units of work in 1.5 s each, 2,000 times, and a tail of 1,000 s: 6000 / 4000.
  const std::vector<double> work(2000, 3.0), time(2000, 1.5);
  const stats::ratio fixed{work, time, 1000};
  const auto flat = stats::bootstrap_ratios({&fixed, 1});
  REQUIRE(flat[0]);
  // Every resample has 1,976 of 2,000 units (76 blocks of 26), and so must the tail: else the rate would shift by half a percent.
  CHECK(flat[0]->lo == doctest::Approx(1.5).epsilon(1e-12));
  CHECK(*flat[0]->hi == doctest::Approx(1.5).epsilon(1e-12));
  // A share of independent trials: the normal interval, 0.3 +- 1.96 sqrt(0.21 / 5000), within 10 %.
  stats::xoshiro256 random{1};
  std::vector<double> hit;
  double hits = 0;
  for (int i = 0; i < 5000; ++i) {
    hit.push_back(random.unit() < 0.3 ? 1 : 0);
    hits += hit.back();
  }
  const stats::ratio share{hit, {}, 0};
  const auto ci = stats::bootstrap_ratios({&share, 1});
  const double half = 1.96 * std::sqrt(0.21 / 5000);
  CHECK(*ci[0]->hi - ci[0]->lo == doctest::Approx(2 * half).epsilon(0.1));
  CHECK((*ci[0]->hi + ci[0]->lo) / 2 == doctest::Approx(hits / 5000).epsilon(0.02));
  CHECK(stats::bootstrap_ratios({}).empty());
  const std::vector<double> few(5, 1.0);
  const stats::ratio small{few, {}, 0};
  CHECK(!stats::bootstrap_ratios({&small, 1})[0]);
}

namespace {
struct clustered {
  std::vector<float> values;
  std::vector<std::uint16_t> weights;
  std::vector<stats::cluster> clusters;
  std::vector<std::vector<double>> units;  // the samples, spelled out
  std::vector<double> residual;            // sum - mean * size, as the block length sees it
  void add(const std::vector<double>& gaps, const std::vector<std::uint16_t>& tokens = {}) {
    clusters.push_back({values.size(), gaps.size()});
    units.emplace_back();
    for (std::size_t i = 0; i < gaps.size(); ++i) {
      const auto v = static_cast<float>(gaps[i]);
      values.push_back(v);
      if (!tokens.empty()) weights.push_back(tokens[i]);
      const unsigned n = tokens.empty() ? 1 : tokens[i];
      for (unsigned k = 0; k < n; ++k) units.back().push_back(static_cast<double>(n > 1 ? v / static_cast<float>(n) : v));
    }
  }
  std::vector<double> all() {
    std::vector<double> out;
    for (const auto& u : units) out.insert(out.end(), u.begin(), u.end());
    const double m = *stats::mean(out);
    residual.clear();
    for (const auto& u : units) {
      double s = 0;
      for (const double x : u) s += x;
      residual.push_back(s - m * static_cast<double>(u.size()));
    }
    std::sort(out.begin(), out.end());
    return out;
  }
};
const std::vector<double> four = {0.5, 0.9, 0.95, 0.99};
}  // namespace

TEST_CASE("stats: S1 pooled quantiles, mean and max are exact: spread, tied, constant, weighted") {
  stats::xoshiro256 random{2};
  for (const int kind : {0, 1, 2, 3, 4}) {
    CAPTURE(kind);
    clustered data;
    for (int r = 0; r < 400; ++r) {
      std::vector<double> gaps;
      std::vector<std::uint16_t> tokens;
      for (std::uint64_t k = random.below(700); k > 0; --k) {
        const double x = 1e6 * std::exp(random.normal());
        gaps.push_back(kind == 1 ? std::floor(x / 1e6) * 1e6                       // few distinct values
                       : kind == 2 ? 25e6                                          // one value
                       : kind == 4 ? (random.below(10) == 0 ? 200e6 + x : 25e6)    // nine tenths tied
                                   : x);
        if (kind == 3) tokens.push_back(static_cast<std::uint16_t>(random.below(5)));
      }
      data.add(gaps, tokens);
    }
    const auto s = data.all();
    const auto p = stats::bootstrap_pooled(data.values, data.weights, data.clusters, four, {.seed = 1, .resamples = 50});
    CHECK(p.n == s.size());
    CHECK(p.max == s.back());
    CHECK(p.mean == doctest::Approx(*stats::mean(s)).epsilon(1e-6));
    for (std::size_t l = 0; l < four.size(); ++l) CHECK(p.quantile[l] == doctest::Approx(*stats::quantile(s, four[l])).epsilon(1e-12));
  }
}

TEST_CASE("stats: S4 pooled intervals resample whole requests: within 1 percent of the width of the slow way, 5 for p99") {
  stats::xoshiro256 random{3};
  for (const bool weighted : {false, true}) {
    clustered data;
    double level = 0;
    for (int r = 0; r < 500; ++r) {
      level = 0.6 * level + 0.3 * random.normal();  // requests that follow each other resemble each other
      std::vector<double> gaps;
      std::vector<std::uint16_t> tokens;
      for (int k = 0; k < 20; ++k) {
        gaps.push_back(1e6 * std::exp(level + 0.2 * random.normal()));
        if (weighted) tokens.push_back(static_cast<std::uint16_t>(1 + random.below(3)));
      }
      data.add(gaps, tokens);
    }
    data.all();
    const auto fast = stats::bootstrap_pooled(data.values, data.weights, data.clusters, four, {.seed = 9});
    const naive slow{data.units, data.residual, four, 9};
    REQUIRE(fast.ci.mean);
    CHECK(fast.ci.mean->lo == doctest::Approx(slow.mean.lo).epsilon(1e-6));
    for (std::size_t l = 0; l < four.size(); ++l) {
      const double width = *slow.quantile[l].hi - slow.quantile[l].lo;
      const double allowed = l < 3 ? 0.01 : 0.05;  // 100 values lie beyond p99, from a handful of requests: steps of several percent
      CHECK(std::fabs(fast.ci.quantile[l]->lo - slow.quantile[l].lo) < allowed * width);
      CHECK(std::fabs(*fast.ci.quantile[l]->hi - *slow.quantile[l].hi) < allowed * width);
    }
    // Samples of one request are not independent: far wider than S3 says for 10,000.
    const auto s = data.all();
    const auto r = stats::quantile_ranks(s.size(), 0.5);
    CHECK(*fast.ci.quantile[0]->hi - fast.ci.quantile[0]->lo > 3 * (s[*r.hi - 1] - s[r.lo - 1]));
  }
}

TEST_CASE("stats: pooled without values, with too few units, and with weights of nothing") {
  const auto none = stats::bootstrap_pooled({}, {}, {}, four);
  CHECK(none.n == 0);
  CHECK(!none.ci.mean);
  clustered five;
  for (int i = 0; i < 5; ++i) five.add({1, 2, 3});
  const auto p = stats::bootstrap_pooled(five.values, {}, five.clusters, four);
  CHECK(p.n == 15);
  CHECK(p.quantile[0] == 2);
  CHECK(!p.ci.quantile[0]);
  clustered zero;
  for (int i = 0; i < 10; ++i) zero.add({1, 2}, {0, 0});
  CHECK(stats::bootstrap_pooled(zero.values, zero.weights, zero.clusters, four).n == 0);
  clustered empties;
  for (int i = 0; i < 10; ++i) empties.add({});
  empties.add({4, 8});
  const auto e = stats::bootstrap_pooled(empties.values, {}, empties.clusters, four);
  CHECK(e.n == 2);
  CHECK(e.quantile[0] == 6);
}

TEST_CASE("stats: S1 pooled quantiles are exact at any level, also where a rank is the last of its bin") {
  stats::xoshiro256 random{6};
  clustered data;
  for (int r = 0; r < 1000; ++r) {
    std::vector<double> gaps;
    for (int k = 0; k < 100; ++k) gaps.push_back(1e6 * random.unit());
    data.add(gaps);
  }
  const auto s = data.all();
  for (int i = 0; i < 60; ++i) {
    const auto levels = sorted({random.unit(), random.unit(), random.unit(), 0.999});
    const auto p = stats::bootstrap_pooled(data.values, {}, data.clusters, levels, {.seed = static_cast<std::uint64_t>(i), .resamples = 0});
    for (std::size_t l = 0; l < 4; ++l) REQUIRE(p.quantile[l] == doctest::Approx(*stats::quantile(s, levels[l])).epsilon(1e-12));
  }
}
