// SPDX-License-Identifier: Apache-2.0
// hotpath/core/stats.hpp - exact quantiles, intervals of independent samples, and the distributions behind them.
//   The letters are those of docs/statistics.md. Intervals of correlated samples (the requests of one run): core/bootstrap.hpp.
//
//     std::sort(ms.begin(), ms.end());
//     auto p99 = stats::quantile(ms, 0.99);               // nothing for an empty set, never 0
//     auto r = stats::quantile_ranks(ms.size(), 0.99);    // 1-based ranks of its 95 % interval; r.hi is missing below n = 368
//
//   Pure functions: no state, no allocation unless said.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>
#include <hotpath/core/result.hpp>

namespace hotpath::inline HOTPATH_ABI::stats {

// Of an estimate. hi missing: unknown, there are too few samples for an upper bound.
struct interval {
  double lo = 0;
  std::optional<double> hi;
};

// S1, Hyndman and Fan's type 7 (NumPy's default): linear between the order statistics around (n - 1) p. `sorted` ascending;
// p is clamped to 0 ... 1. Empty, or p is NaN: nothing.
std::optional<double> quantile(std::span<const double> sorted, double p);
// The value at a fractional index of sorted data, linear between neighbours, clamped to both ends. Not empty.
double value_at(std::span<const double> sorted, double index);

std::optional<double> mean(std::span<const double> values);  // nothing when empty
std::optional<double> sd(std::span<const double> values);    // of the sample (n - 1); nothing below two values

// S3: 1-based ranks of the order statistics that bound the p-quantile of independent samples (Hahn, Meeker; Le Boudec).
// lo == 0: no lower bound; hi missing: no upper bound. Time O(sqrt(n)).
struct rank_bounds {
  std::uint64_t lo = 0;
  std::optional<std::uint64_t> hi;
};
rank_bounds quantile_ranks(std::uint64_t n, double p, double confidence = 0.95);
// The smallest n at which quantile_ranks(n, p) has an upper bound: 36 at p90, 72 at p95, 368 at p99. 0 < p < 1.
std::uint64_t smallest_n(double p, double confidence = 0.95);

// The smallest k with P(X <= k) >= q, X binomial(n, p). Sums the probabilities around the mode: right to 1e-12 in q.
std::uint64_t binomial_quantile(double q, std::uint64_t n, double p);
double normal_quantile(double q);                       // standard normal; -inf at 0, inf at 1
double student_t_quantile(double q, double degrees);    // degrees > 0

// Wilson's interval of a share of k in n; {0, 1} for n = 0.
interval wilson(std::uint64_t k, std::uint64_t n, double confidence = 0.95);

// How many samples of the series are worth one independent sample: 1 + 2 (rho_1 + rho_2 + ...) up to the first rho < 2/sqrt(n).
// Ends early once it reaches `enough`. 1 for a constant series and below 3 values. Time O(n) per lag; allocates n doubles.
double autocorrelation_time(std::span<const double> series, double enough);
double autocorrelation_time(std::span<const double> series);

// S6, MSER-5 (White 1997): how much of the beginning of a series is warm-up. Batch means of 5; the cut d minimizes
// sum_{i > d} (z_i - mean)^2 / (m - d)^2 over the m batches, the last 4 apart. units: 5 d, the values before the steady part.
// steady: d <= m / 2. Nothing below 50 values. Time O(n), allocates n / 5 doubles.
struct warmup_cut {
  std::size_t units = 0;
  double minimum = 0;
  bool steady = false;
};
std::optional<warmup_cut> mser5(std::span<const double> series);

// Tene's correction of coordinated omission, for latencies recorded elsewhere by a closed loop that meant to send every
// `expected`: beside each value v the v - E, v - 2E, ... >= E that requests would have seen in the meantime. Same unit for both.
// expected <= 0 or not finite: usage; more than `limit` samples: over_limit. Never for our own runs: they keep the schedule.
result<std::vector<double>> correct_coordinated_omission(std::span<const double> values, double expected,
                                                         std::size_t limit = 100'000'000);

}  // namespace hotpath::inline HOTPATH_ABI::stats

#if HOTPATH_HEADER_ONLY
#include <hotpath/core/stats-inl.hpp>
#endif
