// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/core/buckets.hpp>
#include <limits>

using namespace hotpath;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
buckets::histogram made(std::vector<double> upper, std::vector<double> cumulative, std::optional<double> sum = {}) {
  const double count = cumulative.empty() ? 0 : cumulative.back();
  return {std::move(upper), std::move(cumulative), count, sum};
}
}  // namespace

TEST_CASE("buckets: a quantile lies in its bucket, and is interpolated as PromQL does") {
  const auto h = made({0.1, 0.2, 0.4, inf}, {2, 6, 10, 10}, 2.0);
  // rank = q x 10: p50 is the 5th, 3 of 4 into (0.1, 0.2]; p90 the 9th, 3 of 4 into (0.2, 0.4]
  const auto p50 = buckets::quantile_of(h, 0.5), p90 = buckets::quantile_of(h, 0.9);
  REQUIRE(p50);
  CHECK(p50->lower == 0.1);
  CHECK(p50->upper == 0.2);
  CHECK(p50->value == doctest::Approx(0.175).epsilon(1e-12));
  CHECK_FALSE(p50->below_resolution);
  REQUIRE(p90);
  CHECK(p90->lower == 0.2);
  CHECK(p90->upper == 0.4);
  CHECK(p90->value == doctest::Approx(0.35).epsilon(1e-12));
  // Rank 6 is the last of its bucket, not the first of the next.
  CHECK(buckets::quantile_of(h, 0.6)->upper == 0.2);
  CHECK(buckets::quantile_of(h, 0.6)->value == doctest::Approx(0.2));
}

TEST_CASE("buckets: in the first bucket nothing is known but its edge") {
  const auto h = made({0.3, 0.5, inf}, {9, 10, 10});
  const auto p50 = buckets::quantile_of(h, 0.5);
  REQUIRE(p50);
  CHECK(p50->below_resolution);
  CHECK(p50->lower == 0);
  CHECK(p50->upper == 0.3);
  // An edge of 0 or below is no range of which 0 is the lower end.
  const auto zero = buckets::quantile_of(made({0, 1, inf}, {4, 5, 5}), 0.5);
  REQUIRE(zero);
  CHECK(zero->lower == 0);
  CHECK(zero->upper == 0);
  CHECK(zero->value == 0);
  const auto negative = buckets::quantile_of(made({-2, 1, inf}, {4, 5, 5}), 0.5);
  REQUIRE(negative);
  CHECK(negative->lower == -2);
  CHECK(negative->upper == -2);
}

TEST_CASE("buckets: above the last finite edge there is no upper bound") {
  const auto p99 = buckets::quantile_of(made({0.1, 0.2, inf}, {5, 8, 10}), 0.99);
  REQUIRE(p99);
  CHECK(p99->lower == 0.2);
  CHECK(p99->value == 0.2);
  CHECK_FALSE(p99->upper);
}

TEST_CASE("buckets: no value, no finite edge, or no such level is no quantile") {
  CHECK_FALSE(buckets::quantile_of(made({0.1, inf}, {0, 0}), 0.5));
  CHECK_FALSE(buckets::quantile_of(made({inf}, {7}), 0.5));
  CHECK_FALSE(buckets::quantile_of({}, 0.5));
  const auto h = made({0.1, 0.2, inf}, {0, 5, 5});
  CHECK_FALSE(buckets::quantile_of(h, -0.1));
  CHECK_FALSE(buckets::quantile_of(h, 1.1));
  CHECK_FALSE(buckets::quantile_of(h, nan));
  // 0 is the lower end of the first bucket that has a value, 1 the upper end of the last.
  CHECK(buckets::quantile_of(h, 0)->lower == 0.1);
  CHECK(buckets::quantile_of(h, 0)->value == 0.1);
  CHECK(buckets::quantile_of(h, 1)->upper == 0.2);
}

TEST_CASE("buckets: the difference of two scrapes is that of each bucket, and its mean is exact") {
  const auto d = buckets::subtract(made({1, 2, inf}, {5, 9, 12}, 30.0), made({1, 2, inf}, {3, 4, 6}, 11.5));
  CHECK_FALSE(d.reset);
  CHECK(d.no_quantiles == "");
  CHECK(d.of.cumulative == std::vector<double>{2, 5, 6});
  CHECK(d.of.count == 6);
  CHECK(d.of.sum == 18.5);
  // One bucket that did not move as far as the one below it: torn between threads of the engine, made cumulative again.
  CHECK(buckets::subtract(made({1, 2, inf}, {8, 9, 12}), made({1, 2, inf}, {3, 7, 7})).of.cumulative == std::vector<double>{5, 5, 5});
}

TEST_CASE("buckets: F-MET-13 what went backwards counts from its restart") {
  const auto d = buckets::subtract(made({1, 2, inf}, {1, 2, 2}, 1.5), made({1, 2, inf}, {3, 4, 6}, 11.5));
  CHECK(d.reset);
  CHECK(d.of.count == 2);
  CHECK(d.of.sum == 1.5);
  CHECK(d.of.cumulative == std::vector<double>{1, 2, 2});
  // A counter has no buckets.
  CHECK(buckets::subtract({.count = 2}, {.count = 5}).reset);
  CHECK(buckets::subtract({.count = 2}, {.count = 5}).of.count == 2);
  CHECK_FALSE(buckets::subtract({.count = 5}, {.count = 5}).reset);
  // As many values as before, but one bucket has fewer: it began anew and caught up.
  CHECK(buckets::subtract(made({1, 2, inf}, {1, 5, 6}), made({1, 2, inf}, {3, 4, 6})).reset);
}

TEST_CASE("buckets: F-MET-11 edges that changed between scrapes leave count and sum, and no quantiles") {
  const auto d = buckets::subtract(made({1, 3, inf}, {5, 9, 12}, 30.0), made({1, 2, inf}, {3, 4, 6}, 11.5));
  CHECK_FALSE(d.reset);
  CHECK(d.of.count == 6);
  CHECK(d.of.sum == 18.5);
  CHECK(d.of.upper.empty());
  CHECK(d.no_quantiles == "the edges of its buckets changed between the scrapes");
  const auto one = buckets::subtract(made({1, 3, inf}, {5, 9, 12}), {.count = 2});
  CHECK(one.of.count == 10);
  CHECK(one.no_quantiles == "its buckets are not usable in one of the scrapes");
  CHECK(buckets::subtract({.count = 5}, {.count = 2}).no_quantiles == "it has no usable buckets");
}

TEST_CASE("buckets: F-MET-11 buckets that are not cumulative, without +Inf, or without numbers are faults") {
  CHECK(buckets::fault_of(made({1, 2, inf}, {1, 2, 2})) == "");
  CHECK(buckets::fault_of({}) == "");
  CHECK(buckets::fault_of(made({1, 2, inf}, {3, 2, 4})) == "its buckets are not cumulative");
  CHECK(buckets::fault_of(made({1, 2}, {3, 4})) == "there is no +Inf bucket");
  CHECK(buckets::fault_of(made({2, 1, inf}, {3, 4, 4})) == "its edges do not ascend");
  CHECK(buckets::fault_of(made({1, 1, inf}, {3, 4, 4})) == "its edges do not ascend");
  CHECK(buckets::fault_of(made({nan, inf}, {3, 4})) == "its edges do not ascend");
  CHECK(buckets::fault_of(made({1, inf}, {nan, 4})) == "a bucket's count is no number from 0 up");
  CHECK(buckets::fault_of(made({1, inf}, {-1, 4})) == "a bucket's count is no number from 0 up");
  CHECK(buckets::fault_of({.upper = {1, inf}, .cumulative = {1}}) == "it has edges without counts");
}

TEST_CASE("buckets: parts with the same edges are added, others on the edges they share") {
  auto a = made({1, 2, 4, inf}, {1, 2, 3, 4}, 5.0);
  CHECK(buckets::add(a, made({1, 2, 4, inf}, {10, 20, 30, 40}, 50.0)) == buckets::merged::all_edges);
  CHECK(a.cumulative == std::vector<double>{11, 22, 33, 44});
  CHECK(a.count == 44);
  CHECK(a.sum == 55.0);
  CHECK(buckets::add(a, made({2, 3, 4, 8, inf}, {1, 1, 1, 1, 2}, 9.0)) == buckets::merged::shared_edges);
  CHECK(a.upper == std::vector<double>{2, 4, inf});
  CHECK(a.cumulative == std::vector<double>{23, 34, 46});
  CHECK(a.count == 46);
  CHECK(buckets::add(a, {.count = 4}) == buckets::merged::no_edges);
  CHECK(a.upper.empty());
  CHECK(a.count == 50);
  CHECK_FALSE(a.sum);
}

TEST_CASE("buckets: a sum that is missing or went backwards has no difference") {
  CHECK_FALSE(buckets::subtract(made({1, inf}, {5, 5}, 3.0), made({1, inf}, {3, 3})).of.sum);
  CHECK_FALSE(buckets::subtract(made({1, inf}, {5, 5}, 3.0), made({1, inf}, {3, 3}, 4.0)).of.sum);
}
