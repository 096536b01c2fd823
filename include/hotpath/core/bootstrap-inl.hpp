// SPDX-License-Identifier: Apache-2.0
// hotpath/core/bootstrap-inl.hpp - bodies of core/bootstrap.hpp.
#pragma once
#include <algorithm>
#include <limits>
#include <type_traits>
#include <hotpath/core/bootstrap.hpp>
#include <hotpath/core/random.hpp>

namespace hotpath::inline HOTPATH_ABI::stats {

HOTPATH_FN block_plan plan_blocks(std::size_t n, double tau) {
  block_plan plan;
  if (n == 0) return plan;
  const double size = static_cast<double>(n);
  const double wanted = (std::max)(__builtin_ceil(2 * __builtin_cbrt(size) - 1e-9), __builtin_ceil(4 * tau - 1e-9));
  const std::size_t most = std::clamp<std::size_t>(n / 20, 1, 65'535);
  plan.length = wanted < static_cast<double>(most) ? static_cast<std::size_t>(wanted) : most;
  plan.count = n / plan.length;
  plan.length = (std::min<std::size_t>)(n / plan.count, 65'535);  // no remainder worth speaking of: a resample has n units
  if (plan.count > 1) {
    const double b = static_cast<double>(plan.count), length = static_cast<double>(plan.length);
    const double cut = tau > 1 ? (std::min)((tau - 1 / tau) / (2 * length), 0.5) : 0;
    plan.widen = student_t_quantile(0.975, b - 1) / normal_quantile(0.975) * __builtin_sqrt(b / (b - 1)) / __builtin_sqrt(1 - cut);
  }
  return plan;
}

namespace detail {

// Half-widths of the percentile interval around the estimate, widened.
inline interval widened(std::vector<double>& replicates, double estimate, double widen) {
  std::sort(replicates.begin(), replicates.end());
  const double lo = *quantile(replicates, 0.025), hi = *quantile(replicates, 0.975);
  return {estimate - (std::max)(estimate - lo, 0.0) * widen, estimate + (std::max)(hi - estimate, 0.0) * widen};
}

// Rows of width numbers, one per unit, summed over every block of units: row i becomes the sum over units i ... i + length - 1.
// Unsigned counters may wrap in between: the difference of two prefixes is right as long as a block's sum fits.
template <class T>
class block_rows {
 public:
  block_rows(std::size_t units, std::size_t width) : width_(width), rows_((units + 1) * width) {}
  // The row of the next unit, holding the sums so far: add to it.
  T* next() {
    const T* before = rows_.data() + filled_ * width_;
    T* row = rows_.data() + ++filled_ * width_;
    std::copy(before, before + width_, row);
    return row;
  }
  void sum_blocks(std::size_t length) {
    for (std::size_t i = 0, n = (filled_ + 1 - length) * width_, ahead = length * width_; i < n; ++i)
      rows_[i] = static_cast<T>(rows_[i + ahead] - rows_[i]);
  }
  const T* block(std::size_t begin) const { return rows_.data() + begin * width_; }

 private:
  std::size_t width_, filled_ = 0;
  std::vector<T> rows_;
};

// How a resample's bin counts become a rank among the original samples, for one level after the other.
class bin_ranks {
 public:
  // counts: samples per bin of the original.
  bin_ranks(std::span<const std::uint64_t> counts, std::span<const double> levels) : levels_(levels) {
    before_.reserve(counts.size() + 1);
    before_.push_back(0);
    for (const std::uint64_t c : counts) before_.push_back(before_.back() + static_cast<double>(c));
  }
  // Fractional 0-based rank in the original of the resample's type-7 quantile, for each level (ascending or not).
  void operator()(std::span<const std::uint64_t> resample, std::vector<double>* out) const {
    double total = 0;
    for (const std::uint64_t c : resample) total += static_cast<double>(c);
    std::size_t bin = 0;
    double seen = 0;
    for (std::size_t l = 0; l < levels_.size(); ++l) {
      const double at = (total - 1) * levels_[l] + 0.5;  // ranks are middles of unit steps
      if (l > 0 && levels_[l] < levels_[l - 1]) bin = 0, seen = 0;
      while (bin + 1 < resample.size() && seen + static_cast<double>(resample[bin]) <= at) seen += static_cast<double>(resample[bin++]);
      const double here = static_cast<double>(resample[bin]);
      const double share = here > 0 ? (std::min)((at - seen) / here, 1.0) : 1.0;
      out[l].push_back(before_[bin] + share * (before_[bin + 1] - before_[bin]) - 0.5);
    }
  }

 private:
  std::span<const double> levels_;
  std::vector<double> before_;
};

constexpr std::size_t bin_step = 64;  // rows are multiples of it, so that their sums are whole vectors

// sum[0 ... width - 1] = the sum of the rows that begin at the given units. A part of each row at a time stays in registers:
// eight vectors, spelled out because GCC 12 does neither vectorize nor unroll this at -O2. Rows of bytes have sums of two: the
// even bins of a vector are its low bytes, the odd ones its high bytes.
template <class T, class Sum>
void sum_rows(const block_rows<T>& rows, std::span<const std::size_t> begins, Sum* sum, std::size_t width) {
  typedef Sum vec __attribute__((vector_size(16), aligned(alignof(T)), may_alias));
  constexpr bool bytes = sizeof(T) == 1;
  constexpr std::size_t part = (bytes ? 64 : 128) / sizeof(T), ahead = 12;
  static_assert(bytes ? sizeof(Sum) == 2 : sizeof(T) == sizeof(Sum));
  for (std::size_t at = 0; at < width; at += part) {
    vec a{}, b{}, c{}, d{}, e{}, f{}, g{}, h{};
    for (std::size_t i = 0; i < begins.size(); ++i) {
      if (i + ahead < begins.size()) {
        const T* later = rows.block(begins[i + ahead]) + at;
        __builtin_prefetch(later);
        __builtin_prefetch(later + part - 1);
      }
      const vec* row = reinterpret_cast<const vec*>(rows.block(begins[i]) + at);
      if constexpr (bytes) {
        a += row[0] & 255, b += row[0] >> 8, c += row[1] & 255, d += row[1] >> 8;
        e += row[2] & 255, f += row[2] >> 8, g += row[3] & 255, h += row[3] >> 8;
      } else {
        a += row[0], b += row[1], c += row[2], d += row[3], e += row[4], f += row[5], g += row[6], h += row[7];
      }
    }
    const vec all[8] = {a, b, c, d, e, f, g, h};
    constexpr std::size_t lanes = 16 / sizeof(Sum);
    for (std::size_t v = 0; v < 8; ++v)
      for (std::size_t k = 0; k < lanes; ++k) sum[at + (bytes ? v / 2 * 2 * lanes + 2 * k + v % 2 : v * lanes + k)] = all[v][k];
  }
}

// Ranks of every resample, per level. T: the narrowest counter that holds `largest`, a block's largest sum of one bin.
template <class T>
std::vector<std::vector<double>> resampled_ranks(const block_rows<T>& rows, std::size_t width, std::size_t units, const block_plan& plan,
                                                 std::uint64_t largest, const bin_ranks& ranks, std::size_t levels,
                                                 const bootstrap_options& options) {
  std::vector<std::vector<double>> out(levels);
  for (auto& v : out) v.reserve(options.resamples);
  using narrow_sum = std::conditional_t<sizeof(T) == 1, std::uint16_t, T>;
  std::vector<narrow_sum> narrow(width);
  std::vector<std::uint64_t> total(width);
  // Narrow sums are emptied before they can wrap.
  const std::uint64_t room = (std::numeric_limits<narrow_sum>::max)() / (std::max<std::uint64_t>)(largest, 1);
  xoshiro256 random{options.seed};
  std::vector<std::size_t> begins(plan.count);
  for (std::uint32_t r = 0; r < options.resamples; ++r) {
    for (std::size_t& b : begins) b = random.below(units - plan.length + 1);
    std::fill(total.begin(), total.end(), 0);
    for (std::size_t done = 0; done < begins.size();) {
      const std::size_t until = (std::min<std::size_t>)(begins.size(), done + room);
      sum_rows(rows, std::span(begins).subspan(done, until - done), narrow.data(), width);
      done = until;
      for (std::size_t g = 0; g < width; ++g) total[g] += narrow[g];
    }
    ranks(total, out.data());
  }
  return out;
}

// Resamples of sum(numerator) / (sum(denominator) + constant).
inline std::vector<std::vector<double>> resampled_ratios(std::span<const ratio> ratios, std::size_t units, const block_plan& plan,
                                                         const bootstrap_options& options) {
  // Columns: numerators, and denominators that are not all ones; one that ratios share is summed once.
  std::vector<std::span<const double>> columns;
  std::vector<std::size_t> above, below;
  const auto column_of = [&](std::span<const double> c) {
    std::size_t k = 0;
    while (k < columns.size() && columns[k].data() != c.data()) ++k;
    if (k == columns.size()) columns.push_back(c);
    return k;
  };
  constexpr std::size_t ones = ~std::size_t{0};
  for (const ratio& r : ratios) {
    above.push_back(column_of(r.numerator));
    below.push_back(r.denominator.empty() ? ones : column_of(r.denominator));
  }
  const std::size_t width = columns.size();
  block_rows<double> rows{units, width};
  for (std::size_t i = 0; i < units; ++i) {
    double* row = rows.next();
    for (std::size_t k = 0; k < width; ++k) row[k] += columns[k][i];
  }
  rows.sum_blocks(plan.length);
  const double drawn = static_cast<double>(plan.length * plan.count), size = drawn / static_cast<double>(units);
  std::vector<std::vector<double>> out(ratios.size());
  for (auto& v : out) v.reserve(options.resamples);
  std::vector<double> sum(width);
  std::vector<std::size_t> begins(plan.count);
  xoshiro256 random{options.seed};
  for (std::uint32_t r = 0; r < options.resamples; ++r) {
    for (std::size_t& b : begins) b = random.below(units - plan.length + 1);
    std::fill(sum.begin(), sum.end(), 0.0);
    if (width == 1) {
      double one = 0;
      for (const std::size_t b : begins) one += *rows.block(b);
      sum[0] = one;
    } else {
      for (const std::size_t b : begins) {
        const double* row = rows.block(b);
        for (std::size_t k = 0; k < width; ++k) sum[k] += row[k];
      }
    }
    for (std::size_t k = 0; k < ratios.size(); ++k) {
      const double divisor = (below[k] == ones ? drawn : sum[below[k]]) + ratios[k].constant * size;
      if (divisor > 0) out[k].push_back(sum[above[k]] / divisor);
    }
  }
  return out;
}

// Where bins end, as shares of the samples: at each level and `steps` times its scale around it. At most `most`.
template <class Scale>
std::vector<double> bin_ends(std::span<const double> levels, std::span<const double> steps, std::size_t most, const Scale& scale) {
  std::vector<double> ends;
  for (const double p : levels) {
    ends.push_back(p);
    for (const double step : steps)
      for (const double end : {p - step * scale(p), p + step * scale(p)})
        if (end > 0 && end < 1) ends.push_back(end);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  while (ends.size() > most) ends.erase(ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 2));  // more levels than planned for
  return ends;
}

// Each end at least as far out as that of independent samples; missing where the ranks say so.
inline std::optional<interval> at_least_s3(const interval& found, const rank_bounds& r, double lo_value, double hi_value) {
  if (r.lo == 0) return std::nullopt;
  interval out{(std::min)(found.lo, lo_value), std::nullopt};
  if (r.hi) out.hi = (std::max)(*found.hi, hi_value);
  return out;
}

template <class T>
std::vector<std::vector<double>> series_ranks(std::span<const double> in_order, std::span<const double> ends, std::size_t width,
                                              const block_plan& plan, std::span<const double> levels, const bootstrap_options& options) {
  const std::size_t n = in_order.size();
  block_rows<T> rows{n, width};
  std::vector<std::uint64_t> counts(width);
  for (const double x : in_order) {
    const auto bin = static_cast<std::size_t>(std::lower_bound(ends.begin(), ends.end(), x) - ends.begin());
    ++counts[bin];
    T& cell = rows.next()[bin];
    cell = static_cast<T>(cell + 1);
  }
  rows.sum_blocks(plan.length);
  return resampled_ranks(rows, width, n, plan, plan.length, bin_ranks{counts, levels}, levels.size(), options);
}

}  // namespace detail

HOTPATH_FN intervals bootstrap_series(std::span<const double> in_order, std::span<const double> sorted, std::span<const double> levels,
                                      const bootstrap_options& options) {
  intervals out;
  out.quantile.resize(levels.size());
  const std::size_t n = in_order.size();
  if (n < minimum_units || options.resamples == 0) return out;
  const double tau = autocorrelation_time(in_order, static_cast<double>(n) / 80 + 1);
  const block_plan plan = plan_blocks(n, tau);

  const ratio whole{in_order, {}, 0};
  auto means = detail::resampled_ratios({&whole, 1}, n, plan, options);
  out.mean = detail::widened(means[0], *mean(in_order), plan.widen);

  // Bin b holds (ends[b-1], ends[b]]; equal values are never parted. Few units: a bin for each value.
  std::vector<double> ends;
  constexpr std::size_t exact = 1024;
  if (n < exact) ends.assign(sorted.begin(), sorted.end());
  else {
    static constexpr double errors[] = {0.25, 0.5, 0.8, 1.2, 1.7, 2.4, 4};  // in standard errors of the level's rank, about
    const double per_unit = (std::max)(tau, 1.0) / static_cast<double>(n);
    for (const double share : detail::bin_ends(levels, errors, detail::bin_step - 1, [&](double p) { return __builtin_sqrt(p * (1 - p) * per_unit); }))
      ends.push_back(sorted[static_cast<std::size_t>(share * static_cast<double>(n))]);
  }
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  const std::size_t width = (ends.size() / detail::bin_step + 1) * detail::bin_step;
  auto ranks = plan.length <= 255 ? detail::series_ranks<std::uint8_t>(in_order, ends, width, plan, levels, options)
                                  : detail::series_ranks<std::uint16_t>(in_order, ends, width, plan, levels, options);
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const double at = levels[l] * static_cast<double>(n - 1);
    std::sort(ranks[l].begin(), ranks[l].end());
    const double estimate = value_at(sorted, at);
    interval found{value_at(sorted, *quantile(ranks[l], 0.025)), value_at(sorted, *quantile(ranks[l], 0.975))};
    found = {estimate - (std::max)(estimate - found.lo, 0.0) * plan.widen, estimate + (std::max)(*found.hi - estimate, 0.0) * plan.widen};
    const rank_bounds r = quantile_ranks(n, levels[l]);
    out.quantile[l] = detail::at_least_s3(found, r, r.lo > 0 ? sorted[r.lo - 1] : 0, r.hi ? sorted[*r.hi - 1] : 0);
  }
  return out;
}

HOTPATH_FN std::vector<std::optional<interval>> bootstrap_ratios(std::span<const ratio> ratios, const bootstrap_options& options) {
  std::vector<std::optional<interval>> out(ratios.size());
  const std::size_t n = ratios.empty() ? 0 : ratios[0].numerator.size();
  if (n < minimum_units || options.resamples == 0) return out;
  double tau = 1;
  std::vector<double> estimates, residual(n);
  for (const ratio& r : ratios) {
    double above = 0, below = r.constant;
    for (std::size_t i = 0; i < n; ++i) above += r.numerator[i], below += r.denominator.empty() ? 1 : r.denominator[i];
    estimates.push_back(below > 0 ? above / below : 0);
    // What a unit moves the ratio by; its correlation is what the blocks must hold.
    for (std::size_t i = 0; i < n; ++i) residual[i] = r.numerator[i] - estimates.back() * (r.denominator.empty() ? 1 : r.denominator[i]);
    tau = (std::max)(tau, autocorrelation_time(residual, static_cast<double>(n) / 80 + 1));
  }
  const block_plan plan = plan_blocks(n, tau);
  auto replicates = detail::resampled_ratios(ratios, n, plan, options);
  for (std::size_t k = 0; k < ratios.size(); ++k)
    if (replicates[k].size() == options.resamples) out[k] = detail::widened(replicates[k], estimates[k], plan.widen);
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::stats
