// SPDX-License-Identifier: Apache-2.0
// hotpath/core/stats-inl.hpp - bodies of core/stats.hpp.
//   Mathematics by builtins: <cmath> is 15,900 preprocessed lines, and an analyzer may have 45,000.
#pragma once
#include <limits>
#include <string>
#include <hotpath/core/stats.hpp>

namespace hotpath::inline HOTPATH_ABI::stats {

HOTPATH_FN double value_at(std::span<const double> sorted, double index) {
  const double last = static_cast<double>(sorted.size() - 1);
  if (!(index > 0)) return sorted.front();
  if (index >= last) return sorted.back();
  const auto i = static_cast<std::size_t>(index);
  const double below = sorted[i], step = sorted[i + 1] - below;
  return below + (index - static_cast<double>(i)) * step;
}

HOTPATH_FN std::optional<double> quantile(std::span<const double> sorted, double p) {
  if (sorted.empty() || p != p) return std::nullopt;
  return value_at(sorted, p * static_cast<double>(sorted.size() - 1));
}

HOTPATH_FN std::optional<double> mean(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

HOTPATH_FN std::optional<double> sd(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const double m = *mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - m) * (v - m);
  return __builtin_sqrt(sum / static_cast<double>(values.size() - 1));
}

HOTPATH_FN std::uint64_t binomial_quantile(double q, std::uint64_t n, double p) {
  if (n == 0 || !(p > 0) || !(q > 0)) return 0;
  if (p >= 1 || q >= 1) return n;
  const double size = static_cast<double>(n), odds = p / (1 - p);
  // Weights relative to the mode's, so that nothing under- or overflows and no gamma function is needed.
  const auto mode = static_cast<std::uint64_t>((size + 1) * p) < n ? static_cast<std::uint64_t>((size + 1) * p) : n;
  constexpr double nothing = 1e-18;
  const auto step_up = [&](double w, std::uint64_t k) {  // weight of k + 1 from that of k
    return w * (size - static_cast<double>(k)) / (static_cast<double>(k) + 1) * odds;
  };
  const auto step_down = [&](double w, std::uint64_t k) {  // weight of k - 1 from that of k
    return w * static_cast<double>(k) / ((size - static_cast<double>(k) + 1) * odds);
  };
  double below = 0, above = 0;  // sums of k < mode and k >= mode
  double w = 1;
  for (std::uint64_t k = mode;; ++k) {
    above += w;
    if (k == n) break;
    w = step_up(w, k);
    if (w < nothing) break;
  }
  w = 1;
  for (std::uint64_t k = mode; k > 0; --k) {
    w = step_down(w, k);
    if (w < nothing) break;
    below += w;
  }
  const double target = q * (below + above);
  double sum = below;
  w = 1;
  if (below < target) {
    std::uint64_t k = mode;
    for (; k < n && sum + w < target; ++k) {
      sum += w;
      w = step_up(w, k);
    }
    return k;
  }
  std::uint64_t k = mode;  // invariant: P(X < k) >= q
  while (k > 0) {
    w = step_down(w, k);
    --k;
    if (sum - w < target) break;
    sum -= w;
  }
  return k;
}

HOTPATH_FN rank_bounds quantile_ranks(std::uint64_t n, double p, double confidence) {
  const double tail = (1 - confidence) / 2;
  rank_bounds r;
  if (n == 0) return r;
  r.lo = binomial_quantile(tail, n, p);
  const std::uint64_t hi = binomial_quantile(1 - tail, n, p) + 1;
  if (hi <= n) r.hi = hi;
  return r;
}

HOTPATH_FN std::uint64_t smallest_n(double p, double confidence) {
  // The upper rank is within n as soon as P(all samples below the quantile) = p^n <= the tail.
  auto n = static_cast<std::uint64_t>(__builtin_ceil(__builtin_log((1 - confidence) / 2) / __builtin_log(p)));
  while (n > 1 && quantile_ranks(n - 1, p, confidence).hi) --n;
  while (!quantile_ranks(n, p, confidence).hi) ++n;
  return n;
}

HOTPATH_FN double normal_quantile(double q) {
  if (q != q || q == 0.5) return q - 0.5;
  if (q <= 0) return -std::numeric_limits<double>::infinity();
  if (q >= 1) return std::numeric_limits<double>::infinity();
  // A logistic guess, then Newton with bounds on the error function: 6 steps to full precision, no table of coefficients.
  const bool upper = q > 0.5;
  const double tail = upper ? 1 - q : q;
  double lo = -39, hi = 0, x = -__builtin_sqrt(-2 * __builtin_log(tail)) * 0.9;
  if (x < lo || x > hi) x = -1;
  for (int i = 0; i < 200; ++i) {
    const double f = 0.5 * __builtin_erfc(-x / __builtin_sqrt(2.0)) - tail;
    if (f > 0) hi = x;
    else lo = x;
    const double density = __builtin_exp(-0.5 * x * x) * 0.3989422804014327;
    double next = density > 0 ? x - f / density : (lo + hi) / 2;
    if (!(next > lo && next < hi)) next = (lo + hi) / 2;
    if (__builtin_fabs(next - x) <= 1e-15 * __builtin_fabs(x) || next == x) break;
    x = next;
  }
  return upper ? -x : x;
}

namespace detail {
// Regularized incomplete beta I_x(a, b) by its continued fraction (DLMF 8.17.22), modified Lentz.
inline double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  const double front = __builtin_exp(__builtin_lgamma(a + b) - __builtin_lgamma(a) - __builtin_lgamma(b) + a * __builtin_log(x) + b * __builtin_log1p(-x)) / a;
  constexpr double tiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (__builtin_fabs(d) < tiny ? tiny : d);
  double h = d;
  for (int m = 1; m < 10'000; ++m) {
    for (const bool odd : {false, true}) {
      const double k = m;
      const double term = odd ? -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
                              : k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
      d = 1 + term * d;
      d = 1 / (__builtin_fabs(d) < tiny ? tiny : d);
      c = 1 + term / c;
      if (__builtin_fabs(c) < tiny) c = tiny;
      h *= c * d;
    }
    if (__builtin_fabs(c * d - 1) < 1e-16) break;
  }
  return front * h;
}
}  // namespace detail

HOTPATH_FN double student_t_quantile(double q, double degrees) {
  if (q == 0.5) return 0;
  if (q < 0.5) return -student_t_quantile(1 - q, degrees);
  if (!(q < 1)) return std::numeric_limits<double>::infinity();
  // P(T > t) = I_{v/(v + t^2)}(v/2, 1/2) / 2, falling in t: bracket, then bisect to the last bit.
  const auto tail = [degrees](double t) { return 0.5 * detail::incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)); };
  double lo = 0, hi = 2;
  while (tail(hi) > 1 - q && hi < 1e12) lo = hi, hi *= 2;
  for (int i = 0; i < 100 && hi - lo > 1e-14 * hi; ++i) {
    const double mid = (lo + hi) / 2;
    if (tail(mid) > 1 - q) lo = mid;
    else hi = mid;
  }
  return (lo + hi) / 2;
}

HOTPATH_FN interval wilson(std::uint64_t k, std::uint64_t n, double confidence) {
  if (n == 0) return {0, 1.0};
  const double z = normal_quantile(1 - (1 - confidence) / 2), size = static_cast<double>(n), share = static_cast<double>(k) / size;
  const double z2n = z * z / size, middle = share + z2n / 2, half = z * __builtin_sqrt(share * (1 - share) / size + z2n / (4 * size));
  // At the ends the formula gives 0 and 1 but for rounding.
  const double lo = k == 0 ? 0 : (middle - half) / (1 + z2n), hi = k >= n ? 1 : (middle + half) / (1 + z2n);
  return {lo, hi};
}

HOTPATH_FN double autocorrelation_time(std::span<const double> series, double enough) {
  const std::size_t n = series.size();
  if (n < 3) return 1;
  const double m = *mean(series), limit = 2 / __builtin_sqrt(static_cast<double>(n));
  std::vector<double> x(n);
  double power = 0;
  for (std::size_t i = 0; i < n; ++i) {
    x[i] = series[i] - m;
    power += x[i] * x[i];
  }
  if (!(power > 0)) return 1;
  double tau = 1;
  for (std::size_t lag = 1; lag < n && tau < enough; ++lag) {
    double sum[4] = {};  // four chains: one would wait for each addition
    const std::size_t pairs = n - lag, even = pairs & ~std::size_t{3};
    const double *a = x.data(), *b = x.data() + lag;
    for (std::size_t i = 0; i < even; i += 4)
      for (std::size_t k = 0; k < 4; ++k) sum[k] += a[i + k] * b[i + k];
    for (std::size_t i = even; i < pairs; ++i) sum[0] += a[i] * b[i];
    const double rho = (sum[0] + sum[1] + sum[2] + sum[3]) / power;
    if (!(rho >= limit)) break;
    tau += 2 * rho;
  }
  return tau;
}

HOTPATH_FN double autocorrelation_time(std::span<const double> series) {
  return autocorrelation_time(series, std::numeric_limits<double>::infinity());
}

HOTPATH_FN result<std::vector<double>> correct_coordinated_omission(std::span<const double> values, double expected, std::size_t limit) {
  error e;
  if (!(expected > 0) || expected - expected != 0) {
    e.code = errc::usage;
    e.detail = "the expected interval is " + std::to_string(expected) + ", want a number above 0";
    return e;
  }
  std::vector<double> out;
  for (const double v : values) {
    const double extra = v >= 2 * expected ? __builtin_floor(v / expected) - 1 : 0;
    if (!(extra < static_cast<double>(limit)) || out.size() + static_cast<std::size_t>(extra) >= limit) {
      e.code = errc::over_limit;
      e.detail = "more than " + std::to_string(limit) + " corrected samples, at a value of " + std::to_string(v);
      e.hint = "is the expected interval in the unit of the values?";
      return e;
    }
    out.push_back(v);
    for (double k = 1; v - k * expected >= expected; ++k) out.push_back(v - k * expected);
  }
  return out;
}

HOTPATH_FN std::optional<warmup_cut> mser5(std::span<const double> series) {
  constexpr std::size_t batch = 5, apart = 4;
  const std::size_t m = series.size() / batch;
  if (m < 10) return std::nullopt;
  std::vector<double> z(m);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t k = 0; k < batch; ++k) z[i] += series[i * batch + k];
    z[i] /= batch;
  }
  // From the end: mean and sum of squares of what a cut leaves, one batch more each time (Welford).
  warmup_cut best{.units = 0, .minimum = -1};
  double mean = 0, squares = 0;
  for (std::size_t n = 1; n <= m; ++n) {
    const std::size_t d = m - n;
    const double off = z[d] - mean;
    mean += off / static_cast<double>(n);
    squares += off * (z[d] - mean);
    if (n <= apart) continue;
    const double value = squares / (static_cast<double>(n) * static_cast<double>(n));
    if (best.minimum < 0 || value <= best.minimum) best = {.units = d * batch, .minimum = value, .steady = d <= m / 2};
  }
  return best;
}

}  // namespace hotpath::inline HOTPATH_ABI::stats
