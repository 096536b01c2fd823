// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>
#include <hotpath/core/random.hpp>
#include <hotpath/core/sketch.hpp>

using namespace hotpath;
using stats::sketch;

namespace {
const double levels[] = {0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};

enum class shape { lognormal, pareto, constant, bimodal };
std::vector<double> samples(shape s, std::size_t n) {
  stats::xoshiro256 random{static_cast<std::uint64_t>(s) + 1};
  std::vector<double> out;
  for (std::size_t i = 0; i < n; ++i) {
    switch (s) {
      case shape::lognormal: out.push_back(std::exp(10 + 1.5 * random.normal())); break;
      case shape::pareto: out.push_back(1000 * std::pow(1 - random.unit(), -1 / 1.1)); break;
      case shape::constant: out.push_back(123456); break;
      case shape::bimodal: out.push_back(random.below(2) == 0 ? 1000 + 10 * random.normal() : 5e7 + 1e5 * random.normal()); break;
    }
  }
  return out;
}
}  // namespace

TEST_CASE("stats: S2 123456 lies in bucket 587, whose estimate is 124286.047") {
  const sketch s;
  CHECK(s.bucket_of(123'456) == 587);
  CHECK(s.estimate_of(587) == doctest::Approx(124'286.047).epsilon(1e-8));
  // 1 us ... 1 h in nanoseconds needs 1,101 buckets.
  CHECK(s.bucket_of(3.6e12) - s.bucket_of(1e3) + 1 == 1'101);
  // A bucket includes its upper end.
  const double gamma = 1.01 / 0.99;
  CHECK(s.bucket_of(1) == 0);
  CHECK(s.bucket_of(1.0000001) == 1);
  CHECK(s.bucket_of(gamma * 0.999999) == 1);
  CHECK(s.bucket_of(0.5) == -34);
}

TEST_CASE("stats: S2 quantiles of a million samples are within 1 percent, and shards merge to the whole") {
  for (const shape kind : {shape::lognormal, shape::pareto, shape::constant, shape::bimodal}) {
    CAPTURE(static_cast<int>(kind));
    auto x = samples(kind, 1'000'000);
    sketch whole, merged;
    sketch shards[7];
    for (std::size_t i = 0; i < x.size(); ++i) {
      whole.add(x[i]);
      shards[(i * 31 + i / 1000) % 7].add(x[i]);
    }
    for (const sketch& s : shards) merged.merge(s);
    CHECK(merged == whole);
    CHECK(merged.count() == 1'000'000);
    CHECK(merged.sum() == doctest::Approx(whole.sum()).epsilon(1e-9));
    std::sort(x.begin(), x.end());
    for (const double p : levels) {
      const double truth = x[static_cast<std::size_t>(p * static_cast<double>(x.size() - 1))];
      REQUIRE(std::fabs(*whole.quantile(p) - truth) <= 0.01 * truth * (1 + 1e-9));
      REQUIRE(*merged.quantile(p) == *whole.quantile(p));
    }
    CHECK(*whole.quantile(0) == x.front());
    CHECK(*whole.quantile(1) == x.back());
    const auto back = sketch::decode(whole.encode());
    REQUIRE(back);
    CHECK(*back == whole);
    CHECK(back->sum() == whole.sum());
  }
}

TEST_CASE("stats: S2 merging is not a mean of percentiles: two threads of unlike load") {
  // 10,000 reads of 1 us on one thread and 100 of 1 ms on the other: p50 is 1 us; the mean of the two medians would be 500.
  sketch busy, idle;
  busy.add(1e3, 10'000);
  idle.add(1e6, 100);
  busy.merge(idle);
  CHECK(*busy.quantile(0.5) == doctest::Approx(1e3).epsilon(0.01));
  CHECK(*busy.quantile(0.99) == doctest::Approx(1e3).epsilon(0.01));
  CHECK(*busy.quantile(0.995) == doctest::Approx(1e6).epsilon(0.01));
}

TEST_CASE("stats: S2 zero, negative, and what is no number") {
  sketch s;
  CHECK(!s.quantile(0.5));
  CHECK(std::isnan(s.min()));
  CHECK(s.count() == 0);
  s.add(0, 3);
  s.add(-5);
  s.add(-1);
  s.add(7, 5);
  CHECK(s.count() == 10);
  CHECK(s.min() == -5);
  CHECK(s.max() == 7);
  CHECK(s.sum() == 29);
  CHECK(*s.quantile(0) == -5);
  CHECK(*s.quantile(0.12) == -5);  // rank 1 is -1: negative values share a bucket, its estimate is the minimum
  CHECK(*s.quantile(0.3) == 0);
  CHECK(*s.quantile(0.5) == 0);
  CHECK(*s.quantile(0.6) == doctest::Approx(7).epsilon(0.01));
  CHECK(*s.quantile(0.6) <= 7);
  s.add(std::numeric_limits<double>::quiet_NaN());
  s.add(std::numeric_limits<double>::infinity(), 2);
  s.add(4, 0);
  CHECK(s.count() == 10);
  CHECK(s.ignored() == 3);
  CHECK(!s.quantile(std::numeric_limits<double>::quiet_NaN()));
  CHECK(*sketch::decode(s.encode()) == s);
  // Merged, they are still where they were.
  sketch other;
  other.add(0, 2), other.add(-9), other.add(3);
  other.merge(s);
  CHECK(other.count() == 14);
  CHECK(other.min() == -9);
  CHECK(other.ignored() == 3);
  CHECK(*other.quantile(2.0 / 13) == -9);
  CHECK(*other.quantile(3.0 / 13) == 0);
  CHECK(*other.quantile(7.0 / 13) == 0);
  CHECK(*other.quantile(8.0 / 13) == doctest::Approx(3).epsilon(0.01));
}

TEST_CASE("stats: S2 beyond 2048 buckets the lowest collapse, whatever the order, and high quantiles keep their bound") {
  std::vector<double> x;
  for (int e = -250; e <= 250; ++e)
    for (int k = 0; k < 20; ++k) x.push_back(std::pow(10, e / 2.0) * (1 + k / 10.0));
  sketch up, down, both;
  for (const double v : x) up.add(v);
  for (std::size_t i = x.size(); i-- > 0;) down.add(x[i]);
  sketch low, high;
  for (std::size_t i = 0; i < x.size(); ++i) (i < x.size() / 2 ? low : high).add(x[i]);
  both.merge(low);
  both.merge(high);
  CHECK(up == down);
  CHECK(up == both);
  both = high;
  both.merge(low);
  CHECK(up == both);
  std::sort(x.begin(), x.end());
  for (const double p : {0.95, 0.99, 1.0}) {
    const double truth = x[static_cast<std::size_t>(p * static_cast<double>(x.size() - 1))];
    CHECK(std::fabs(*up.quantile(p) - truth) <= 0.01 * truth * (1 + 1e-9));
  }
  CHECK(up.min() == x.front());
  CHECK(up.encode().size() < 2048 * 3 + 40);
  CHECK(*sketch::decode(up.encode()) == up);
  sketch extremes;
  extremes.add(std::numeric_limits<double>::denorm_min());
  extremes.add(std::numeric_limits<double>::max());
  CHECK(*extremes.quantile(0) == std::numeric_limits<double>::denorm_min());
  CHECK(*extremes.quantile(1) == std::numeric_limits<double>::max());
  CHECK(*sketch::decode(extremes.encode()) == extremes);
}

TEST_CASE("stats: S2 merging with oneself doubles, with another alpha keeps both bounds") {
  sketch s;
  for (int i = 1; i <= 100; ++i) s.add(i);
  sketch twice = s;
  twice.merge(twice);
  CHECK(twice.count() == 200);
  CHECK(*twice.quantile(0.5) == *s.quantile(0.5));
  sketch coarse{0.05};
  CHECK(coarse.alpha() == 0.05);
  coarse.merge(s);
  CHECK(coarse.count() == 100);
  CHECK(*coarse.quantile(0.5) == doctest::Approx(50).epsilon(0.0605));
  CHECK(*sketch::decode(coarse.encode()) == coarse);
  CHECK(coarse != s);
}

TEST_CASE("stats: S2 an empty sketch is one byte, a second's worth of lags a few hundred") {
  CHECK(sketch{}.encode().size() == 1);
  CHECK(*sketch::decode(sketch{}.encode()) == sketch{});
  stats::xoshiro256 random{5};
  sketch s;
  for (int i = 0; i < 40'000; ++i) s.add(20'000 * std::exp(0.5 * random.normal()));
  CHECK(s.encode().size() < 700);
}

TEST_CASE("stats: S2 decoding refuses every cut and survives every changed byte of a sketch") {
  sketch s{0.02};
  s.add(-3), s.add(0), s.add(17), s.add(1e9, 300), s.add(std::numeric_limits<double>::quiet_NaN());
  const std::string good = s.encode();
  REQUIRE(sketch::decode(good));
  for (std::size_t n = 0; n < good.size(); ++n) {
    const auto r = sketch::decode(good.substr(0, n));
    REQUIRE(!r);
    REQUIRE(r.error().code == errc::malformed);
  }
  CHECK(!sketch::decode(good + "x"));
  int accepted = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int b = 0; b < 256; ++b) {
      std::string bad = good;
      bad[i] = static_cast<char>(b);
      const auto r = sketch::decode(bad);
      if (!r) continue;
      ++accepted;
      (void)r->quantile(0.5);
      REQUIRE(sketch::decode(r->encode()).has_value());
      REQUIRE(*sketch::decode(r->encode()) == *r);
    }
  }
  CHECK(accepted > 0);  // a changed count or end is still a sketch
  CHECK(!sketch::decode(std::string("\xff", 1)));
  // A bucket in use that holds nothing: the last byte is the count of the last bucket.
  sketch pair;
  pair.add(1), pair.add(100);
  std::string hollow = pair.encode();
  REQUIRE(hollow.back() == 1);
  hollow.back() = 0;
  CHECK(!sketch::decode(hollow));
  // Counts that overflow together.
  sketch huge;
  huge.add(1, ~std::uint64_t{0});
  std::string two = huge.encode();
  REQUIRE(sketch::decode(two));
  two[25] = 1;  // one zero beside them
  CHECK(!sketch::decode(two));
}
