// SPDX-License-Identifier: Apache-2.0
// hotpath/core/pooled-inl.hpp - bodies of core/pooled.hpp.
//   1. a sample of 65,536 values places the bins, dense around each level;  2. one pass counts each unit's values per bin;
//   3. resamples are sums of such rows and give ranks;  4. a second pass gathers the few bins that hold a rank of interest.
#pragma once
#include <algorithm>
#include <limits>
#include <utility>
#include <hotpath/core/bootstrap-inl.hpp>
#include <hotpath/core/pooled.hpp>

namespace hotpath::inline HOTPATH_ABI::stats {
namespace detail {

struct weighted {
  float value;
  std::uint32_t weight;
};

// Bins: a power of two and a multiple of bin_step.
template <std::size_t Bins>
class pool {
 public:
  pool(std::span<const float> values, std::span<const std::uint16_t> weights, std::span<const cluster> clusters)
      : values_(values), weights_(weights), clusters_(clusters) {
    for (float& e : ends_) e = std::numeric_limits<float>::infinity();
  }

  weighted at(std::uint64_t i) const {
    if (weights_.empty()) return {values_[i], 1};
    const std::uint32_t w = weights_[i];
    return {w > 1 ? values_[i] / static_cast<float>(w) : values_[i], w};
  }

  // Bin b holds (ends[b-1], ends[b]]: the number of ends below x, in log2(Bins) steps without a branch.
  std::size_t bin_of(float x) const {
    std::size_t b = 0;
    for (std::size_t half = Bins / 2; half != 0; half /= 2) b += ends_[b + half - 1] < x ? half : 0;
    return b;
  }

  void place_bins(std::span<const double> levels, std::uint64_t seed) {
    constexpr std::uint64_t wanted = 65'536;
    std::uint64_t all = 0;
    for (const cluster& c : clusters_) all += c.count;
    std::vector<weighted> sample;
    xoshiro256 random{seed ^ 0x706f6f6c};  // "pool": not the numbers that draw the blocks
    const std::uint64_t stride = (std::max<std::uint64_t>)(all / wanted, 1);
    std::uint64_t next = random.below(stride), begin = 0;  // one of each `stride` values, at a random place: no period can hide
    for (const cluster& c : clusters_) {
      for (; next < begin + c.count; next += stride - next % stride + random.below(stride))
        if (const weighted w = at(c.begin + (next - begin)); w.weight != 0) sample.push_back(w);
      begin += c.count;
    }
    if (sample.empty()) return;
    std::sort(sample.begin(), sample.end(), [](const weighted& a, const weighted& b) { return a.value < b.value; });
    double total = 0, seen = 0;
    for (const weighted& w : sample) total += w.weight;
    std::vector<float> ends;
    std::size_t i = 0;
    // At all scales around each level: the error of pooled shares is not known beforehand.
    std::vector<double> steps;
    for (double step = Bins > 64 ? 0.001 : 0.002; step < 0.8; step *= Bins > 64 ? 1.27 : 2.5) steps.push_back(step);
    for (const double share : bin_ends(levels, steps, Bins - 1, [](double p) { return (std::min)(p, 1 - p); })) {
      while (i + 1 < sample.size() && seen + sample[i].weight <= share * total) seen += sample[i++].weight;
      // Met twice: a value that many share gets a bin of its own.
      if (!ends.empty() && ends.back() == sample[i].value)
        ends.push_back(__builtin_nextafterf(sample[i].value, -std::numeric_limits<float>::infinity()));
      ends.push_back(sample[i].value);
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    std::copy_n(ends.begin(), (std::min)(ends.size(), Bins - 1), ends_);
  }

  // Fills counts, sums, sizes and max; row() gives the next unit's counters to add to, or null.
  template <class Row>
  void count(Row&& row) {
    std::fill(std::begin(counts_), std::end(counts_), 0);
    for (const cluster& c : clusters_) {
      std::uint64_t mine[2][Bins] = {};  // two, so that equal neighbours do not wait for each other
      double sum = 0;
      for (std::uint64_t k = 0; k < c.count; ++k) {
        const weighted w = at(c.begin + k);
        mine[k & 1][bin_of(w.value)] += w.weight;
        if (w.weight != 0) {
          sum += values_[c.begin + k];
          max_ = (std::max)(max_, w.value);
        }
      }
      std::uint64_t total = 0;
      std::uint32_t* cells = row();
      for (std::size_t b = 0; b < Bins; ++b) {
        const std::uint64_t here = mine[0][b] + mine[1][b];
        counts_[b] += here;
        total += here;
        if (cells != nullptr) cells[b] += static_cast<std::uint32_t>(here);  // wraps: only differences are used
      }
      sums_.push_back(sum);
      sizes_.push_back(static_cast<double>(total));
    }
  }

  std::span<const std::uint64_t> counts() const { return counts_; }
  std::span<const double> sums() const { return sums_; }
  std::span<const double> sizes() const { return sizes_; }
  double (max)() const { return static_cast<double>(max_); }

  // Values at the 0-based ranks (ascending), by gathering the bins that hold one.
  std::vector<double> values_at(const std::vector<std::uint64_t>& ranks) const {
    std::uint64_t before[Bins + 1] = {};
    bool wanted[Bins] = {}, any = false;
    for (std::size_t b = 0; b < Bins; ++b) before[b + 1] = before[b] + counts_[b];
    const auto bin_of_rank = [&](std::uint64_t r) {
      return static_cast<std::size_t>(std::upper_bound(before + 1, before + Bins, r) - (before + 1));
    };
    for (const std::uint64_t r : ranks)
      if (const std::size_t b = bin_of_rank(r); !single(b)) wanted[b] = any = true;
    std::vector<weighted> found;
    if (any) {
      gather(wanted, found);
      std::sort(found.begin(), found.end(), [](const weighted& a, const weighted& b) { return a.value < b.value; });
    }
    std::vector<double> out;
    for (const std::uint64_t r : ranks) {
      const std::size_t b = bin_of_rank(r);
      if (single(b)) {
        out.push_back(static_cast<double>(ends_[b]));
        continue;
      }
      const float floor = b > 0 ? ends_[b - 1] : -std::numeric_limits<float>::infinity();
      auto it = std::upper_bound(found.begin(), found.end(), floor, [](float x, const weighted& w) { return x < w.value; });
      if (weights_.empty()) it += static_cast<std::ptrdiff_t>(r - before[b]);
      else for (std::uint64_t seen = before[b] + it->weight; seen <= r; seen += it->weight) ++it;
      out.push_back(static_cast<double>(it->value));
    }
    return out;
  }

 private:
  // All samples in the wanted bins.
  void gather(const bool (&wanted)[Bins], std::vector<weighted>& found) const {
    if (!weights_.empty()) {
      for (const cluster& c : clusters_)
        for (std::uint64_t k = 0; k < c.count; ++k)
          if (const weighted w = at(c.begin + k); w.weight != 0 && wanted[bin_of(w.value)]) found.push_back(w);
      return;
    }
    // Wanted bins lie together around the levels: few ranges (lo, hi], against which four values at a time are compared.
    typedef float four __attribute__((vector_size(16), aligned(alignof(float)), may_alias));
    typedef std::int32_t yes __attribute__((vector_size(16)));
    std::vector<std::pair<float, float>> ranges;
    for (std::size_t b = 0; b < Bins; ++b) {
      if (!wanted[b]) continue;
      const float lo = b > 0 ? ends_[b - 1] : -std::numeric_limits<float>::infinity();
      if (!ranges.empty() && ranges.back().second == lo) ranges.back().second = ends_[b];
      else ranges.emplace_back(lo, ends_[b]);
    }
    const auto look = [&](float x) {
      for (const auto& [lo, hi] : ranges)
        if (x > lo && x <= hi) found.push_back({x, 1});
    };
    for (const cluster& c : clusters_) {
      const float* p = values_.data() + c.begin;
      const float* const end = p + c.count;
      for (; end - p >= 4; p += 4) {
        const four x = *reinterpret_cast<const four*>(p);
        yes any{};
        for (const auto& [lo, hi] : ranges) any |= (x > lo) & (x <= hi);
        if ((any[0] | any[1] | any[2] | any[3]) == 0) continue;
        for (std::size_t k = 0; k < 4; ++k) look(p[k]);
      }
      for (; p != end; ++p) look(*p);
    }
  }

  // A bin of one value only.
  bool single(std::size_t b) const {
    return b > 0 && b < Bins - 1 && __builtin_nextafterf(ends_[b - 1], std::numeric_limits<float>::infinity()) == ends_[b];
  }

  std::span<const float> values_;
  std::span<const std::uint16_t> weights_;
  std::span<const cluster> clusters_;
  float ends_[Bins];
  std::uint64_t counts_[Bins] = {};
  std::vector<double> sums_, sizes_;
  float max_ = 0;
};

template <std::size_t Bins>
pooled pool_and_resample(std::span<const float> values, std::span<const std::uint16_t> weights, std::span<const cluster> clusters,
                         std::span<const double> levels, const bootstrap_options& options) {
  pooled out;
  out.ci.quantile.resize(levels.size());
  const std::size_t units = clusters.size();
  const bool resample = units >= minimum_units && options.resamples != 0;
  pool<Bins> p{values, weights, clusters};
  p.place_bins(levels, options.seed);
  block_rows<std::uint32_t> rows{resample ? units : 0, Bins};
  p.count([&] { return resample ? rows.next() : nullptr; });
  for (const std::uint64_t c : p.counts()) out.n += c;
  if (out.n == 0) return out;
  double sum = 0;
  for (const double s : p.sums()) sum += s;
  out.mean = sum / static_cast<double>(out.n);
  out.max = (p.max)();

  // Per level: both neighbours of the quantile, of the interval's ends, and the S3 ranks: 8 ranks, resolved together.
  const double last = static_cast<double>(out.n - 1);
  std::vector<double> at;                    // fractional ranks: estimate, lo, hi of each level
  std::vector<rank_bounds> bounds;
  block_plan plan;
  std::vector<std::vector<double>> ranks;
  if (resample) {
    std::vector<double> residual(units);
    for (std::size_t i = 0; i < units; ++i) residual[i] = p.sums()[i] - out.mean * p.sizes()[i];
    plan = plan_blocks(units, autocorrelation_time(residual, static_cast<double>(units) / 80 + 1));
    const ratio whole{p.sums(), p.sizes(), 0};
    auto means = resampled_ratios({&whole, 1}, units, plan, options);
    if (means[0].size() == options.resamples) out.ci.mean = widened(means[0], out.mean, plan.widen);
    double block = 0, largest = 0;           // the most samples in one block
    for (std::size_t i = 0; i < units; ++i) {
      block += p.sizes()[i] - (i >= plan.length ? p.sizes()[i - plan.length] : 0);
      largest = (std::max)(largest, block);
    }
    if (largest < 4294967295.0) {
      rows.sum_blocks(plan.length);
      ranks = resampled_ranks(rows, Bins, units, plan, static_cast<std::uint64_t>(largest),
                                      bin_ranks{p.counts(), levels}, levels.size(), options);
    }
  }
  for (std::size_t l = 0; l < levels.size(); ++l) {
    double lo = last * levels[l], hi = lo;
    if (!ranks.empty()) {
      std::sort(ranks[l].begin(), ranks[l].end());
      lo = *quantile(ranks[l], 0.025), hi = *quantile(ranks[l], 0.975);
    }
    for (const double r : {last * levels[l], lo, hi}) at.push_back(std::clamp(r, 0.0, last));
    bounds.push_back(quantile_ranks(out.n, levels[l]));
  }
  std::vector<std::uint64_t> wanted;
  for (const double r : at)
    for (const double whole : {__builtin_floor(r), __builtin_ceil(r)}) wanted.push_back(static_cast<std::uint64_t>(whole));
  for (const rank_bounds& b : bounds) {
    if (b.lo > 0) wanted.push_back(b.lo - 1);
    if (b.hi) wanted.push_back(*b.hi - 1);
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  const std::vector<double> found = p.values_at(wanted);
  const auto value = [&](std::uint64_t rank) {
    return found[static_cast<std::size_t>(std::lower_bound(wanted.begin(), wanted.end(), rank) - wanted.begin())];
  };
  const auto between = [&](double r) {
    const double a = value(static_cast<std::uint64_t>(__builtin_floor(r))), b = value(static_cast<std::uint64_t>(__builtin_ceil(r)));
    return a + (r - __builtin_floor(r)) * (b - a);
  };
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const double estimate = between(at[3 * l]);
    out.quantile.push_back(estimate);
    if (ranks.empty()) continue;
    const interval i{estimate - (std::max)(estimate - between(at[3 * l + 1]), 0.0) * plan.widen,
                     estimate + (std::max)(between(at[3 * l + 2]) - estimate, 0.0) * plan.widen};
    const rank_bounds& b = bounds[l];
    out.ci.quantile[l] = at_least_s3(i, b, b.lo > 0 ? value(b.lo - 1) : 0, b.hi ? value(*b.hi - 1) : 0);
  }
  return out;
}

}  // namespace detail

HOTPATH_FN pooled bootstrap_pooled(std::span<const float> values, std::span<const std::uint16_t> weights, std::span<const cluster> clusters,
                                   std::span<const double> levels, const bootstrap_options& options) {
  // Few units: wide intervals, so more bins, for the same memory.
  return clusters.size() < 20'000 ? detail::pool_and_resample<256>(values, weights, clusters, levels, options)
                                  : detail::pool_and_resample<64>(values, weights, clusters, levels, options);
}

}  // namespace hotpath::inline HOTPATH_ABI::stats
