// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <hotpath/replay/schedule.hpp>

using namespace hotpath;

TEST_CASE("replay: a constant schedule is evenly spaced and ends with its duration or count") {
  const auto s = replay::constant({.per_second = 40, .duration = 2_s});
  REQUIRE(s);
  REQUIRE(s->due.size() == 80);
  CHECK(s->due[0] == 0_ns);
  CHECK(s->due[79] == nanoseconds{79 * 25'000'000});
  const auto n = replay::constant({.per_second = 3, .requests = 5});
  REQUIRE(n->due.size() == 5);
  CHECK(std::abs(n->due[3].ns - 1'000'000'000) <= 1);
}

TEST_CASE("replay: Poisson arrivals are the same for a seed, others for another, exponential in mean and variance") {
  const auto a = replay::poisson({.per_second = 100, .seed = 7, .requests = 20'000});
  const auto b = replay::poisson({.per_second = 100, .seed = 7, .requests = 20'000});
  const auto c = replay::poisson({.per_second = 100, .seed = 8, .requests = 20'000});
  REQUIRE(a);
  CHECK(a->due == b->due);
  CHECK(a->due != c->due);
  double sum = 0, squares = 0;
  nanoseconds before{};
  for (const nanoseconds at : a->due) {
    REQUIRE(at >= before);
    const double gap = (at - before).s();
    sum += gap, squares += gap * gap;
    before = at;
  }
  const double mean = sum / 20'000, deviation = std::sqrt(squares / 20'000 - mean * mean);
  CHECK(mean == doctest::Approx(0.01).epsilon(0.03));
  CHECK(deviation == doctest::Approx(0.01).epsilon(0.04));  // an exponential's deviation equals its mean
}

TEST_CASE("replay: a schedule without a rate or an end is a usage error") {
  CHECK_FALSE(replay::poisson({.per_second = 0, .requests = 1}));
  CHECK_FALSE(replay::poisson({.per_second = -3, .requests = 1}));
  CHECK_FALSE(replay::poisson({.per_second = NAN, .requests = 1}));
  CHECK_FALSE(replay::constant({.per_second = 1}));
  CHECK(replay::constant({.per_second = 1e9, .duration = 3600_s}).error().code == errc::usage);
}
