// SPDX-License-Identifier: Apache-2.0
// hotpath/core/sketch.hpp - quantiles of an unbounded stream in bounded memory, mergeable across threads and files.
//   DDSketch (Masson, Rim, Lee, VLDB 2019): geometric buckets, so quantile() is within alpha (1 %) of a real sample, relative.
//   Merging sketches is the same as having added everything to one: that is what makes shards and per-second rows honest.
//
//     stats::sketch lag;                          // 0 bytes of heap until the first value
//     lag.add(12'500);                            // any unit; about 8 ns (tests/bench/report_bench)
//     all.merge(lag);
//     if (auto p = all.quantile(0.99)) use(*p);   // nothing for an empty sketch, never 0
//
//   Memory: 8 bytes per bucket between the smallest and the largest value, 1 us ... 1 h is 1,101 buckets; at most 2,048, then
//   the lowest are collapsed into one, and only quantiles that fall into it lose their bound. Zero has a bucket of its own;
//   negative values share one (its estimate is the minimum). Thread safety: as any value.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/result.hpp>

namespace hotpath::inline HOTPATH_ABI::stats {

class sketch {
 public:
  static constexpr std::size_t max_buckets = 2048;

  // alpha: the relative error, in (0, 1); other values are clamped to 1e-4 ... 0.5.
  sketch() noexcept : sketch(0.01) {}
  explicit sketch(double alpha) noexcept
      : alpha_(!(alpha >= 1e-4) ? 1e-4 : alpha > 0.5 ? 0.5 : alpha),
        per_log_(1 / (__builtin_log1p(alpha_) - __builtin_log1p(-alpha_))) {}

  // Adds x, n times. NaN and infinities are not values: they are counted in ignored().
  // Allocates only when x lies outside the buckets seen so far.
  void add(double x, std::uint64_t n = 1) {
    if (!(x - x == 0)) {
      ignored_ += n;
      return;
    }
    if (n == 0) return;
    if (count_ == 0 || x < min_) min_ = x;
    if (count_ == 0 || x > max_) max_ = x;
    count_ += n;
    sum_ += x * static_cast<double>(n);
    if (x > 0) {
      const auto slot = static_cast<std::size_t>(static_cast<std::int64_t>(bucket_of(x)) - first_);
      if (slot < buckets_.size()) buckets_[slot] += n;   // a bucket below the first wraps to a huge slot
      else add_outside(bucket_of(x), n);
    } else if (x < 0) {
      negative_ += n;
    } else {
      zero_ += n;
    }
  }

  // As if everything added to `other` had been added here. With another alpha each bucket enters as its estimate.
  void merge(const sketch& other);

  // The value of rank floor(p (n - 1)) among the sorted samples, within alpha of it; p is clamped to 0 ... 1 (exact at both
  // ends). Empty sketch, or p is NaN: nothing.
  std::optional<double> quantile(double p) const;

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t ignored() const noexcept { return ignored_; }
  bool empty() const noexcept { return count_ == 0; }
  double (min)() const noexcept { return count_ != 0 ? min_ : __builtin_nan(""); }  // NaN when empty, as max()
  double (max)() const noexcept { return count_ != 0 ? max_ : __builtin_nan(""); }
  double sum() const noexcept { return sum_; }
  double alpha() const noexcept { return alpha_; }

  // i = ceil(ln x / ln gamma), gamma = (1 + alpha)/(1 - alpha); x > 0 and finite. Bucket i holds (gamma^(i-1), gamma^i].
  std::int32_t bucket_of(double x) const noexcept {
    const double scaled = __builtin_log(x) * per_log_;
    const auto whole = static_cast<std::int32_t>(scaled);  // towards zero; ceil() is a call without SSE4.1
    return whole + (scaled > static_cast<double>(whole) ? 1 : 0);
  }
  // 2 gamma^i / (gamma + 1): the value whose relative distance to both ends of the bucket is alpha.
  double estimate_of(std::int32_t bucket) const noexcept;

  // 1 byte when empty, about 2 bytes per bucket in use; little-endian. decode() takes any bytes: an error, never more than 16 KiB.
  std::string encode() const;
  static result<sketch> decode(std::string_view bytes);

  // Same samples by bucket, same ends. Sums are left out: their rounding depends on the order of additions.
  friend bool operator==(const sketch& a, const sketch& b) { return a.same(b); }
  friend bool operator!=(const sketch& a, const sketch& b) { return !a.same(b); }

 private:
  void add_outside(std::int32_t bucket, std::uint64_t n);
  void raise_floor(std::int64_t lowest);
  bool same(const sketch& other) const;

  double alpha_, per_log_;
  double min_ = 0, max_ = 0, sum_ = 0;
  std::uint64_t count_ = 0, zero_ = 0, negative_ = 0, ignored_ = 0;
  std::int64_t first_ = 0;              // bucket number of buckets_[0]
  std::vector<std::uint64_t> buckets_;  // counts; the last one in use is never more than max_buckets above the first in use
};

}  // namespace hotpath::inline HOTPATH_ABI::stats

#if HOTPATH_HEADER_ONLY
#include <hotpath/core/sketch-inl.hpp>
#endif
