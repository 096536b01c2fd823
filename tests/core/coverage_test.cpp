// SPDX-License-Identifier: Apache-2.0
// Do 95 % intervals hold the truth 95 times in 100? 500 simulated runs of AR(1) latencies for each case, seeds fixed.
// Built with optimization in every configuration: the six cases are 6,000,000 resamples.
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>
#include <hotpath/core/bootstrap.hpp>
#include <hotpath/core/random.hpp>

using namespace hotpath;

namespace {

void covers(double rho, std::size_t n, double p) {
  const double sd = 1 / std::sqrt(1 - rho * rho), truth = stats::normal_quantile(p) * sd;
  constexpr unsigned runs = 500;
  unsigned held = 0, above = 0, below = 0;
  std::vector<double> x(n), sorted;
  for (unsigned run = 0; run < runs; ++run) {
    stats::xoshiro256 random{1000 + run};
    double v = random.normal() * sd;
    for (double& out : x) {
      out = v;
      v = rho * v + random.normal();
    }
    sorted = x;
    std::sort(sorted.begin(), sorted.end());
    const auto ci = stats::bootstrap_series(x, sorted, {&p, 1}, {.seed = run});
    REQUIRE(ci.quantile[0]);
    REQUIRE(ci.quantile[0]->hi);
    if (ci.quantile[0]->lo > truth) ++above;
    else if (*ci.quantile[0]->hi < truth) ++below;
    else ++held;
  }
  std::printf("rho %.1f, p%.0f, n = %zu: %.1f %% of %u intervals hold the truth (%u above it, %u below)\n", rho, 100 * p, n,
              100.0 * held / runs, runs, above, below);
  CHECK(held >= 0.92 * runs);
  CHECK(held <= 0.98 * runs);
}

}  // namespace

TEST_CASE("stats: S4 intervals of AR(1) with rho 0.5 hold the truth in 92 to 98 percent of the runs") {
  covers(0.5, 2000, 0.5);
  covers(0.5, 2000, 0.9);
  covers(0.5, 5000, 0.99);
}

TEST_CASE("stats: S4 intervals of AR(1) with rho 0.8 hold the truth in 92 to 98 percent of the runs") {
  covers(0.8, 2000, 0.5);
  covers(0.8, 2000, 0.9);
  covers(0.8, 5000, 0.99);
}
