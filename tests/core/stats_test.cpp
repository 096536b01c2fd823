// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>
#include <hotpath/core/random.hpp>
#include <hotpath/core/stats.hpp>

using namespace hotpath;

namespace {
// The project's test data (docs/statistics.md); the known answers below were computed with NumPy and SciPy.
std::vector<double> data_a() {
  std::vector<double> a;
  for (int i = 0; i < 100; ++i) a.push_back(100 + 10 * std::sin(i) + i % 7);
  return a;
}
std::vector<double> data_b() {
  std::vector<double> b = data_a();
  for (int i = 0; i < 100; ++i) b[static_cast<std::size_t>(i)] = 1.05 * b[static_cast<std::size_t>(i)] + 0.3 * ((37 * i) % 11);
  return b;
}
std::vector<double> sorted(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v;
}
const auto near = [](double x) { return doctest::Approx(x).epsilon(1e-10); };
}  // namespace

TEST_CASE("stats: S1 quantile, mean and sd of the known data") {
  const auto a = sorted(data_a()), b = sorted(data_b());
  CHECK(*stats::quantile(a, 0.50) == near(102.721773171));
  CHECK(*stats::quantile(a, 0.90) == near(112.649653646));
  CHECK(*stats::quantile(a, 0.99) == near(115.564958137));
  CHECK(*stats::mean(a) == near(102.987919463));
  CHECK(*stats::sd(a) == near(7.396204022));
  CHECK(*stats::quantile(b, 0.50) == near(108.832812874));
  CHECK(*stats::quantile(b, 0.90) == near(119.878304522));
  CHECK(*stats::quantile(b, 0.99) == near(123.582314086));
}

TEST_CASE("stats: S1 an empty set has no quantile, no mean, no sd; a single value is every quantile") {
  CHECK(!stats::quantile({}, 0.5));
  CHECK(!stats::mean({}));
  CHECK(!stats::sd({}));
  const double one[] = {7.0};
  CHECK(*stats::quantile(one, 0.99) == 7);
  CHECK(*stats::mean(one) == 7);
  CHECK(!stats::sd(one));
  const double three[] = {1, 2, 4};
  CHECK(*stats::quantile(three, 0) == 1);
  CHECK(*stats::quantile(three, 0.75) == 3);
  CHECK(*stats::quantile(three, 1) == 4);
  CHECK(*stats::quantile(three, 2) == 4);   // clamped
  CHECK(*stats::quantile(three, -1) == 1);
  CHECK(!stats::quantile(three, std::numeric_limits<double>::quiet_NaN()));
}

TEST_CASE("stats: S3 the ranks of a quantile's interval are the known ones") {
  const struct { std::uint64_t n; double p; std::uint64_t lo, hi; } rows[] = {
      {100, 0.5, 40, 61}, {100, 0.9, 84, 96}, {1'000, 0.99, 983, 997}, {10'000, 0.99, 9'880, 9'920}, {10'000, 0.999, 9'983, 9'997}};
  for (const auto& row : rows) {
    const auto r = stats::quantile_ranks(row.n, row.p);
    CHECK(r.lo == row.lo);
    REQUIRE(r.hi);
    CHECK(*r.hi == row.hi);
  }
}

TEST_CASE("stats: S3 the upper bound is unknown below 36, 72, 368 and 3688 samples") {
  const struct { double p; std::uint64_t n; } rows[] = {{0.90, 36}, {0.95, 72}, {0.99, 368}, {0.999, 3'688}};
  for (const auto& row : rows) {
    CHECK(stats::smallest_n(row.p) == row.n);
    CHECK(stats::quantile_ranks(row.n, row.p).hi.value() == row.n);
    CHECK(!stats::quantile_ranks(row.n - 1, row.p).hi);
  }
  CHECK(stats::quantile_ranks(5, 0.5).lo == 0);  // 2 * 0.5^5 > 0.05: no interval of a median at all
  CHECK(!stats::quantile_ranks(5, 0.5).hi);
  CHECK(stats::quantile_ranks(6, 0.5).lo == 1);
  CHECK(stats::quantile_ranks(6, 0.5).hi.value() == 6);
  CHECK(stats::quantile_ranks(0, 0.5).lo == 0);
}

TEST_CASE("stats: S3 the inverse binomial is right on every value of small distributions and far beyond factorials") {
  for (const double p : {0.03, 0.5, 0.9}) {
    for (const unsigned n : {1u, 2u, 7u, 40u}) {
      // Probabilities from Pascal's recursion, not from the code under test.
      std::vector<double> pmf{1.0};
      for (unsigned i = 0; i < n; ++i) {
        pmf.push_back(0);
        for (std::size_t k = pmf.size() - 1; k > 0; --k) pmf[k] = pmf[k] * (1 - p) + pmf[k - 1] * p;
        pmf[0] *= 1 - p;
      }
      double cdf = 0;
      for (unsigned k = 0; k <= n; ++k) {
        // Just inside the step of k: smallest k with CDF >= q.
        if (pmf[k] > 1e-9) {
          REQUIRE(stats::binomial_quantile(cdf + pmf[k] * 0.5, n, p) == k);
          REQUIRE(stats::binomial_quantile(cdf + pmf[k] * 0.999, n, p) == k);
          REQUIRE(stats::binomial_quantile(cdf + pmf[k] * 0.001, n, p) == k);
        }
        cdf += pmf[k];
      }
    }
  }
  CHECK(stats::binomial_quantile(0.5, 10, 0) == 0);
  CHECK(stats::binomial_quantile(0.5, 10, 1) == 10);
  CHECK(stats::binomial_quantile(0.5, 0, 0.5) == 0);
  CHECK(stats::binomial_quantile(1, 10, 0.5) == 10);
  // 20 million: the normal approximation with continuity correction is right to one part in the standard deviation.
  const double n = 2e7, p = 0.99, s = std::sqrt(n * p * (1 - p));
  CHECK(std::fabs(static_cast<double>(stats::binomial_quantile(0.975, 20'000'000, p)) - (n * p + 1.959964 * s)) < 2);
}

TEST_CASE("stats: the normal and Student quantiles are those of the tables") {
  CHECK(stats::normal_quantile(0.975) == near(1.959963984540054));
  CHECK(stats::normal_quantile(0.5) == 0);
  CHECK(stats::normal_quantile(0.025) == near(-1.959963984540054));
  CHECK(stats::normal_quantile(1e-10) == near(-6.361340902404056));
  CHECK(stats::normal_quantile(0.999) == near(3.090232306167814));
  CHECK(stats::normal_quantile(0) == -std::numeric_limits<double>::infinity());
  CHECK(stats::student_t_quantile(0.975, 1) == near(12.706204736174705));
  CHECK(stats::student_t_quantile(0.975, 2) == near(4.302652729749464));
  CHECK(stats::student_t_quantile(0.975, 10) == near(2.2281388519649385));
  CHECK(stats::student_t_quantile(0.975, 19) == near(2.093024054408263));
  CHECK(stats::student_t_quantile(0.95, 4) == near(2.13184678632665));
  CHECK(stats::student_t_quantile(0.025, 10) == near(-2.2281388519649385));
  CHECK(stats::student_t_quantile(0.5, 3) == 0);
  CHECK(stats::student_t_quantile(0.975, 1e6) == doctest::Approx(1.959963984540054).epsilon(3e-6));
}

TEST_CASE("stats: S11 Wilson's interval of 7 in 200 and of 0 in 50") {
  const auto a = stats::wilson(7, 200);
  CHECK(a.lo == doctest::Approx(0.017055542).epsilon(1e-7));
  CHECK(*a.hi == doctest::Approx(0.070470612).epsilon(1e-7));
  const auto b = stats::wilson(0, 50);
  CHECK(b.lo == 0);
  CHECK(*b.hi == doctest::Approx(0.071347599).epsilon(1e-7));
  CHECK(*stats::wilson(50, 50).hi == 1);
  CHECK(stats::wilson(50, 50).lo == doctest::Approx(1 - 0.071347599).epsilon(1e-7));
  CHECK(stats::wilson(0, 0).lo == 0);
  CHECK(*stats::wilson(0, 0).hi == 1);
}

TEST_CASE("stats: S4 the autocorrelation time of AR(1) is (1 + rho) / (1 - rho)") {
  for (const double rho : {0.0, 0.5, 0.8}) {
    stats::xoshiro256 random{11};
    std::vector<double> x;
    double v = 0;
    for (int i = 0; i < 100'000; ++i) x.push_back(v = rho * v + random.normal());
    CHECK(stats::autocorrelation_time(x) == doctest::Approx((1 + rho) / (1 - rho)).epsilon(0.06));
  }
}

TEST_CASE("stats: S4 the autocorrelation time stops at the first small correlation, and early when told") {
  // Centred -1.5 -0.5 0.5 1.5: rho_1 = 0.25 < 2 / sqrt(4), so nothing is added.
  const double ramp[] = {1, 2, 3, 4};
  CHECK(stats::autocorrelation_time(ramp) == 1);
  // 18 zeros and 18 ones: rho_k = (36 - 3 k) / 36 while k <= 18; limit 1/3, so k = 1 ... 8 count: 1 + 2 (8 - 3 * 36 / 36) = 11.
  std::vector<double> step(36, 0.0);
  std::fill(step.begin() + 18, step.end(), 1.0);
  CHECK(stats::autocorrelation_time(step) == near(11));
  CHECK(stats::autocorrelation_time(step, 2.0) == near(1 + 2 * 33.0 / 36));
  CHECK(stats::autocorrelation_time(std::vector<double>(50, 3.0)) == 1);
  CHECK(stats::autocorrelation_time({}) == 1);
}

TEST_CASE("stats: S7 the correction of coordinated omission turns 1000 at an interval of 10 into 100 samples of mean 505") {
  const double v[] = {1000};
  auto r = stats::correct_coordinated_omission(v, 10);
  REQUIRE(r);
  CHECK(r->size() == 100);
  CHECK(*stats::mean(*r) == near(505));
  CHECK(*stats::quantile(sorted(*r), 0.5) == near(505));
  CHECK(sorted(*r).front() == 10);
  // Below twice the interval nothing is missing; at twice the interval one sample is.
  const double few[] = {5, 19, 20};
  r = stats::correct_coordinated_omission(few, 10);
  REQUIRE(r);
  CHECK(sorted(*r) == std::vector<double>{5, 10, 19, 20});
  CHECK(stats::correct_coordinated_omission({}, 10)->empty());
}

TEST_CASE("stats: S7 a correction that makes no sense or would not end is an error") {
  const double v[] = {1e18};
  CHECK(stats::correct_coordinated_omission(v, 0).error().code == errc::usage);
  CHECK(stats::correct_coordinated_omission(v, -1).error().code == errc::usage);
  CHECK(stats::correct_coordinated_omission(v, std::numeric_limits<double>::quiet_NaN()).error().code == errc::usage);
  CHECK(stats::correct_coordinated_omission(v, 1e-3).error().code == errc::over_limit);
  const double infinite[] = {std::numeric_limits<double>::infinity()};
  CHECK(stats::correct_coordinated_omission(infinite, 10).error().code == errc::over_limit);
  const double ten[] = {100};
  CHECK(stats::correct_coordinated_omission(ten, 10, 9).error().code == errc::over_limit);
  CHECK(stats::correct_coordinated_omission(ten, 10, 10).has_value());
}

TEST_CASE("stats: S6 MSER-5 cuts the known decay after 110 values, and says when nothing is steady") {
  std::vector<double> x;
  for (int i = 0; i < 400; ++i) x.push_back(50 + 200 * std::exp(-i / 20.0) + 0.5 * ((7919 * i) % 13));
  const auto cut = stats::mser5(x);
  REQUIRE(cut);
  CHECK(cut->units == 110);
  CHECK(cut->minimum == doctest::Approx(0.005522956).epsilon(1e-6));
  CHECK(cut->steady);
  CHECK_FALSE(stats::mser5(std::span(x).first(49)));
  const std::vector<double> constant(60, 7.0);
  CHECK(stats::mser5(constant)->units == 0);  // of equal cuts the earliest
  std::vector<double> growing;
  for (int i = 0; i < 400; ++i) growing.push_back(i);
  CHECK_FALSE(stats::mser5(growing)->steady);
}
