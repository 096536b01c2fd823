// SPDX-License-Identifier: Apache-2.0
// hotpath/core/buckets.hpp - cumulative histograms as engines and Prometheus keep them: what lies between two of them, and quantiles.
//
//     buckets::difference d = buckets::subtract(later, earlier);
//     if (auto q = buckets::quantile_of(d.of, 0.99)) print(q->lower, q->upper);     // it lies in (lower, upper]
//     else print(d.no_quantiles);
//
//   A quantile is known to lie in one bucket; `value` interpolates within it as PromQL's histogram_quantile does (rank = q x N,
//   linear) and is for drawing. Compare bounds. The mean, sum / count, is exact.
//   Thread safety: as any value. Nothing throws on any input; NaN edges and counts are faults.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::buckets {

struct histogram {
  std::vector<double> upper = {};  // edges, ascending, +infinity last; empty: none were told, or they are not usable
  std::vector<double> cumulative = {};  // values up to and including each edge
  double count = 0;
  std::optional<double> sum = {};  // missing: not told, or not a number
};

// Why the buckets cannot be used: "there is no +Inf bucket", "its buckets are not cumulative" ... Empty: they can, or there are none.
std::string_view fault_of(const histogram& h);

enum class merged : std::uint8_t {
  all_edges,
  shared_edges,  // edges differed: those that both have are left
  no_edges,      // one of the two had none
};
// Adds another histogram of the same quantity. A sum that one of them lacks is missing afterwards.
merged add(histogram& into, const histogram& other);

struct difference {
  histogram of;
  bool reset = false;              // the count or a bucket went backwards: `of` is the later one, as it is
  std::string_view no_quantiles;   // why `of` has no buckets; empty: it has
};
// Both usable, or without buckets (see fault_of).
difference subtract(const histogram& later, const histogram& earlier);

struct quantile {
  double value = 0;
  double lower = 0;                // 0 in the first bucket, where its edge is above 0
  std::optional<double> upper;     // missing: above the last finite edge
  bool below_resolution = false;   // in the first bucket: "<= upper" is all that is known
};
// Missing: no value, no finite edge, or q is not in [0, 1].
std::optional<quantile> quantile_of(const histogram& h, double q);

}  // namespace hotpath::inline HOTPATH_ABI::buckets

#if HOTPATH_HEADER_ONLY
#include <hotpath/core/buckets-inl.hpp>
#endif
