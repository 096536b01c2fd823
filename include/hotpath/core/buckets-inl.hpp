// SPDX-License-Identifier: Apache-2.0
// hotpath/core/buckets-inl.hpp - bodies of core/buckets.hpp.
#pragma once
#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>
#include <hotpath/core/buckets.hpp>

namespace hotpath::inline HOTPATH_ABI::buckets {

HOTPATH_FN std::string_view fault_of(const histogram& h) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (h.upper.size() != h.cumulative.size()) return "it has edges without counts";
  if (h.upper.empty()) return {};
  for (std::size_t i = 0; i < h.upper.size(); ++i) {
    if (!(h.cumulative[i] >= 0) || h.cumulative[i] == infinity) return "a bucket's count is no number from 0 up";
    if (h.upper[i] != h.upper[i] || (i != 0 && !(h.upper[i] > h.upper[i - 1]))) return "its edges do not ascend";
    if (i != 0 && h.cumulative[i] < h.cumulative[i - 1]) return "its buckets are not cumulative";
  }
  if (h.upper.back() != infinity) return "there is no +Inf bucket";
  return {};
}

HOTPATH_FN merged add(histogram& into, const histogram& other) {
  into.count += other.count;
  if (into.sum && other.sum) *into.sum += *other.sum;
  else into.sum.reset();
  if (into.upper.empty() || other.upper.empty()) {
    into.upper.clear(), into.cumulative.clear();
    return merged::no_edges;
  }
  if (into.upper == other.upper) {
    for (std::size_t i = 0; i < into.upper.size(); ++i) into.cumulative[i] += other.cumulative[i];
    return merged::all_edges;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0, k = 0; i < into.upper.size(); ++i) {
    while (k < other.upper.size() && other.upper[k] < into.upper[i]) ++k;
    if (k == other.upper.size() || other.upper[k] != into.upper[i]) continue;
    into.upper[kept] = into.upper[i];
    into.cumulative[kept++] = into.cumulative[i] + other.cumulative[k];
  }
  into.upper.resize(kept), into.cumulative.resize(kept);
  return merged::shared_edges;
}

HOTPATH_FN difference subtract(const histogram& later, const histogram& earlier) {
  difference d{.of = later, .no_quantiles = {}};
  const bool same = later.upper == earlier.upper;
  d.reset = later.count < earlier.count;
  for (std::size_t i = 0; same && i < later.upper.size(); ++i) d.reset = d.reset || later.cumulative[i] < earlier.cumulative[i];
  if (d.reset) {
    if (later.upper.empty()) d.no_quantiles = "it has no usable buckets";
    return d;
  }
  d.of.count = later.count - earlier.count;
  d.of.sum.reset();
  if (later.sum && earlier.sum && *later.sum >= *earlier.sum) d.of.sum = *later.sum - *earlier.sum;
  if (same && !later.upper.empty()) {
    double least = 0;
    for (std::size_t i = 0; i < later.upper.size(); ++i) {
      least = (std::max)(later.cumulative[i] - earlier.cumulative[i], least);
      d.of.cumulative[i] = least;
    }
    return d;
  }
  d.no_quantiles = later.upper.empty() && earlier.upper.empty()  ? "it has no usable buckets"
                   : later.upper.empty() || earlier.upper.empty() ? "its buckets are not usable in one of the scrapes"
                                                                  : "the edges of its buckets changed between the scrapes";
  d.of.upper.clear(), d.of.cumulative.clear();
  return d;
}

HOTPATH_FN std::optional<quantile> quantile_of(const histogram& h, double q) {
  const std::size_t n = h.upper.size();
  if (n < 2 || h.cumulative.size() != n || !(h.cumulative[n - 1] > 0) || !(q >= 0 && q <= 1)) return std::nullopt;
  const double rank = q * h.cumulative[n - 1];
  std::size_t i = 0;
  while (i + 1 < n && (h.cumulative[i] < rank || !(h.cumulative[i] > 0))) ++i;
  quantile out;
  if (i == n - 1) {
    out.value = out.lower = h.upper[n - 2];
    return out;
  }
  const double below = i == 0 ? 0 : h.cumulative[i - 1];
  out.upper = h.upper[i];
  out.lower = i != 0 ? h.upper[i - 1] : h.upper[0] > 0 ? 0 : h.upper[0];
  out.below_resolution = i == 0;
  out.value = out.lower + (*out.upper - out.lower) * (std::max)(rank - below, 0.0) / (h.cumulative[i] - below);
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::buckets
