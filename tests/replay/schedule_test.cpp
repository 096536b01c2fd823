// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <fstream>
#include <hotpath/replay/schedule.hpp>
#include <string>
#include <vector>
#include "support/temp_dir.hpp"

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

TEST_CASE("replay: recorded arrivals are those of the rows, faster or slower, from the first row's on") {
  hotpath_test::temp_dir dir;
  const std::string path = dir.file("trace.jsonl");
  std::ofstream(path) << R"({"prompt":"a","timestamp":1000})" "\n" R"({"prompt":"b","timestamp":1000})" "\n" R"({"prompt":"c","timestamp":4000.5})" "\n"
                         R"({"prompt":"d","timestamp":3000})" "\n" R"({"prompt":"e","timestamp":9000})" "\n";
  const auto made = [&](double speed, const replay::open_options& o = {}) {
    auto w = replay::workload::open(path);
    REQUIRE(w);
    return replay::recorded(*w, speed, o);
  };
  const auto ms = [](const model::schedule& s) {
    std::vector<double> out;
    for (const nanoseconds t : s.due) out.push_back(t.ms());
    return out;
  };
  const auto plain = made(1);
  REQUIRE(plain);
  CHECK(plain->kind == model::arrival::recorded);
  CHECK(plain->open());
  CHECK(ms(*plain) == std::vector<double>{0, 0, 3000.5, 3000.5, 8000});  // never before the row above
  CHECK(plain->per_second == doctest::Approx(5 / 8.0));
  CHECK(ms(*made(2, {.max_in_flight = 3, .requests = 4})) == std::vector<double>{0, 0, 1500.25, 1500.25});
  CHECK(made(2, {.max_in_flight = 3})->max_in_flight == 3);
  CHECK(ms(*made(1, {.duration = nanoseconds{3'000'000'000}})) == std::vector<double>{0, 0});
  CHECK(made(0).error().code == errc::usage);
  std::ofstream(path, std::ios::app) << R"({"prompt":"f"})" "\n";
  CHECK(made(1).error().message().find("request 6 has no \"timestamp\"") != std::string::npos);
}
