// SPDX-License-Identifier: Apache-2.0
// hotpath/core/sketch-inl.hpp - bodies of core/sketch.hpp.
//   Encoding: flags (1: has samples, 2: alpha is stored, 4: ignored values), then [alpha f64] [ignored varint] and, with
//   samples, min max sum f64 | zero negative varint | buckets in use varint | first zigzag varint | (count varint, gap varint)...
#pragma once
#include <bit>
#include <utility>
#include <hotpath/core/sketch.hpp>

namespace hotpath::inline HOTPATH_ABI::stats {

HOTPATH_FN double sketch::estimate_of(std::int32_t bucket) const noexcept {
  const double gamma = (1 + alpha_) / (1 - alpha_);
  return 2 / (gamma + 1) * __builtin_exp(static_cast<double>(bucket) / per_log_);
}

// Everything below `lowest` moves into `lowest`.
HOTPATH_FN void sketch::raise_floor(std::int64_t lowest) {
  if (buckets_.empty() || lowest <= first_) return;
  const std::int64_t size = static_cast<std::int64_t>(buckets_.size());
  const auto cut = static_cast<std::size_t>(lowest - first_ < size ? lowest - first_ : size);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < cut; ++i) below += buckets_[i];
  buckets_.erase(buckets_.begin(), buckets_.begin() + static_cast<std::ptrdiff_t>(cut));
  if (buckets_.empty()) buckets_.push_back(0);
  buckets_.front() += below;
  first_ = lowest;
}

HOTPATH_FN void sketch::add_outside(std::int32_t bucket, std::uint64_t n) {
  constexpr std::int64_t limit = static_cast<std::int64_t>(max_buckets), slack = 16;  // slack: a drifting minimum moves the array rarely
  std::int64_t at = bucket;
  if (buckets_.empty()) {
    first_ = at;
    buckets_.assign(1, 0);
  }
  std::int64_t last = first_ + static_cast<std::int64_t>(buckets_.size()) - 1;  // in use: grown upwards without slack
  if (at > last) {
    raise_floor(at - limit + 1);
    buckets_.resize(static_cast<std::size_t>(at - first_ + 1), 0);
  } else if (at < first_) {
    const std::int64_t lowest = last - limit + 1;
    if (at < lowest) at = lowest;
    if (at < first_) {
      const std::int64_t begin = at - slack > lowest ? at - slack : lowest;
      buckets_.insert(buckets_.begin(), static_cast<std::size_t>(first_ - begin), 0);
      first_ = begin;
    }
  }
  buckets_[static_cast<std::size_t>(at - first_)] += n;
}

HOTPATH_FN void sketch::merge(const sketch& other) {
  if (&other == this) {
    merge(sketch{other});
    return;
  }
  ignored_ += other.ignored_;
  if (other.count_ == 0) return;
  if (count_ == 0 || other.min_ < min_) min_ = other.min_;
  if (count_ == 0 || other.max_ > max_) max_ = other.max_;
  count_ += other.count_;
  sum_ += other.sum_;
  zero_ += other.zero_;
  negative_ += other.negative_;
  const bool alike = alpha_ == other.alpha_;
  // From above, so that the floor rises once.
  for (std::size_t i = other.buckets_.size(); i-- > 0;) {
    const std::uint64_t n = other.buckets_[i];
    if (n == 0) continue;
    const auto bucket = static_cast<std::int32_t>(other.first_ + static_cast<std::int64_t>(i));
    const std::int32_t mine = alike ? bucket : bucket_of(other.estimate_of(bucket));
    const auto slot = static_cast<std::size_t>(static_cast<std::int64_t>(mine) - first_);
    if (slot < buckets_.size()) buckets_[slot] += n;
    else add_outside(mine, n);
  }
}

HOTPATH_FN std::optional<double> sketch::quantile(double p) const {
  if (count_ == 0 || p != p) return std::nullopt;
  if (p <= 0) return min_;
  if (p >= 1) return max_;
  const auto rank = static_cast<std::uint64_t>(p * static_cast<double>(count_ - 1));
  if (rank == count_ - 1) return max_;
  if (rank < negative_) return min_;
  if (rank < negative_ + zero_) return 0.0;
  std::uint64_t seen = negative_ + zero_;
  std::size_t i = 0;
  for (; i + 1 < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > rank) break;
  }
  const double e = estimate_of(static_cast<std::int32_t>(first_ + static_cast<std::int64_t>(i)));
  return e < min_ ? min_ : e > max_ ? max_ : e;
}

HOTPATH_FN bool sketch::same(const sketch& o) const {
  if (alpha_ != o.alpha_ || count_ != o.count_ || zero_ != o.zero_ || negative_ != o.negative_ || ignored_ != o.ignored_) return false;
  if (count_ != 0 && (min_ != o.min_ || max_ != o.max_)) return false;
  const std::int64_t begin = first_ < o.first_ ? first_ : o.first_;
  const std::int64_t size = static_cast<std::int64_t>(buckets_.size()), theirs = static_cast<std::int64_t>(o.buckets_.size());
  const std::int64_t end = first_ + size > o.first_ + theirs ? first_ + size : o.first_ + theirs;
  if (buckets_.empty() || o.buckets_.empty()) return count_ - zero_ - negative_ == 0;
  for (std::int64_t b = begin; b < end; ++b) {
    const std::int64_t i = b - first_, j = b - o.first_;
    const std::uint64_t mine = i >= 0 && i < size ? buckets_[static_cast<std::size_t>(i)] : 0;
    const std::uint64_t other = j >= 0 && j < theirs ? o.buckets_[static_cast<std::size_t>(j)] : 0;
    if (mine != other) return false;
  }
  return true;
}

namespace detail {
inline void put_varint(std::string& out, std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
  out.push_back(static_cast<char>(v));
}
inline void put_f64(std::string& out, double v) {
  const auto bits = std::bit_cast<std::uint64_t>(v);
  for (unsigned s = 0; s < 64; s += 8) out.push_back(static_cast<char>(bits >> s));
}

struct byte_source {
  std::string_view bytes;
  std::size_t at = 0;
  bool ok = true;

  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0; at < bytes.size() && shift < 64; shift += 7) {
      const auto b = static_cast<unsigned char>(bytes[at++]);
      v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) return v;
    }
    ok = false;
    return 0;
  }
  double f64() {
    if (bytes.size() - at < 8) {
      ok = false;
      return 0;
    }
    std::uint64_t bits = 0;
    for (unsigned s = 0; s < 64; s += 8) bits |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at++])) << s;
    return std::bit_cast<double>(bits);
  }
};
}  // namespace detail

HOTPATH_FN std::string sketch::encode() const {
  std::string out(1, static_cast<char>((count_ != 0 ? 1 : 0) | (alpha_ != 0.01 ? 2 : 0) | (ignored_ != 0 ? 4 : 0)));
  if (alpha_ != 0.01) detail::put_f64(out, alpha_);
  if (ignored_ != 0) detail::put_varint(out, ignored_);
  if (count_ == 0) return out;
  detail::put_f64(out, min_);
  detail::put_f64(out, max_);
  detail::put_f64(out, sum_);
  detail::put_varint(out, zero_);
  detail::put_varint(out, negative_);
  std::uint64_t used = 0;
  for (const std::uint64_t n : buckets_) used += n != 0 ? 1 : 0;
  detail::put_varint(out, used);
  std::int64_t previous = 0;
  bool begun = false;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    const std::int64_t bucket = first_ + static_cast<std::int64_t>(i);
    if (begun) detail::put_varint(out, static_cast<std::uint64_t>(bucket - previous - 1));
    else detail::put_varint(out, static_cast<std::uint64_t>(bucket) << 1 ^ static_cast<std::uint64_t>(bucket >> 63));
    detail::put_varint(out, buckets_[i]);
    previous = bucket;
    begun = true;
  }
  return out;
}

HOTPATH_FN result<sketch> sketch::decode(std::string_view bytes) {
  detail::byte_source in{bytes};
  const auto bad = [&in](const char* what) {
    error e;
    e.code = errc::malformed;
    e.detail = what;
    e.byte = in.at;
    e.has_byte = true;
    return e;
  };
  if (bytes.empty()) return bad("a sketch has at least one byte");
  const auto flags = static_cast<unsigned char>(bytes[in.at++]);
  if (flags > 7) return bad("not a sketch, or written by a newer version");
  const double alpha = (flags & 2) != 0 ? in.f64() : 0.01;
  if (!in.ok || !(alpha >= 1e-4 && alpha <= 0.5)) return bad("the sketch's alpha is outside 0.0001 ... 0.5");
  sketch s{alpha};
  if ((flags & 4) != 0) s.ignored_ = in.varint();
  if ((flags & 1) != 0) {
    s.min_ = in.f64(), s.max_ = in.f64(), s.sum_ = in.f64();
    s.zero_ = in.varint(), s.negative_ = in.varint();
    const std::uint64_t used = in.varint();
    if (!in.ok || used > max_buckets) return bad("the sketch is cut off, or has more than 2048 buckets");
    if (!(s.min_ <= s.max_) || s.min_ - s.min_ != 0 || s.max_ - s.max_ != 0) return bad("the sketch's ends are not finite and in order");
    std::int64_t bucket = 0;
    bool overflow = __builtin_add_overflow(s.zero_, s.negative_, &s.count_);
    for (std::uint64_t i = 0; i < used; ++i) {
      const std::uint64_t v = in.varint();
      if (i == 0) {
        bucket = static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
        // 745 / ln(gamma) at the smallest alpha: no finite double is further out.
        if (bucket < -4'000'000 || bucket > 4'000'000) return bad("a bucket lies outside the range of doubles");
        s.first_ = bucket;
      } else {
        if (v >= max_buckets) return bad("the sketch's buckets span more than 2048");
        bucket += static_cast<std::int64_t>(v) + 1;
      }
      const std::uint64_t n = in.varint();
      if (!in.ok || n == 0) return bad("the sketch is cut off");
      if (bucket - s.first_ >= static_cast<std::int64_t>(max_buckets)) return bad("the sketch's buckets span more than 2048");
      overflow = __builtin_add_overflow(s.count_, n, &s.count_) || overflow;
      s.buckets_.resize(static_cast<std::size_t>(bucket - s.first_ + 1), 0);
      s.buckets_.back() = n;
    }
    if (s.count_ == 0 || overflow) return bad("the sketch's counts do not add up");
  }
  if (!in.ok || in.at != bytes.size()) return bad("the sketch is cut off, or followed by something else");
  return s;
}

}  // namespace hotpath::inline HOTPATH_ABI::stats
