// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/interval.hpp - sets of times: union, intersection, difference and a sweep over half-open intervals of whole nanoseconds.
//
//     std::vector<kernel::interval> comm = ..., compute = ...;       // in any order, overlapping, empty ones among them
//     kernel::unite(comm), kernel::unite(compute);
//     nanoseconds exposed = kernel::length(kernel::subtract(comm, compute));
//
//   [begin, end): an interval that ends where another begins shares nothing with it. One with end <= begin is empty and counts nothing.
//   A *united* set is sorted, its intervals are not empty and do not touch. O(n log n) for unsorted input, O(n) for sorted.
//   Sums are exact integers while a set spans less than 292 years. Thread safety: pure functions.
#pragma once
#include <cstdint>
#include <span>
#include <vector>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct interval {
  nanoseconds begin{}, end{};
  friend bool operator==(const interval& a, const interval& b) { return a.begin == b.begin && a.end == b.end; }
};

// Makes a united set of any intervals, in place.
void unite(std::vector<interval>& set);
// The time in a united set. (Of any other: the sum, in which overlaps count twice.)
nanoseconds length(std::span<const interval> set);
// Both arguments united; so is the result. O(a + b).
std::vector<interval> intersect(std::span<const interval> a, std::span<const interval> b);
std::vector<interval> subtract(std::span<const interval> a, std::span<const interval> b);  // what of a is not in b

// A union of intervals that come in the order of their begin: no set of them is kept.
struct running_union {
  nanoseconds until{INT64_MIN};
  // What of it none before has covered.
  nanoseconds add(interval i) {
    if (i.end <= until) return {};
    const nanoseconds from = i.begin < until ? until : i.begin;
    until = i.end;
    return i.end - from;
  }
};

// A begin or an end, of whatever `what` is the number of.
struct edge {
  nanoseconds at{};
  std::uint32_t what = 0;
  bool begins = false;
};

// Walks through the edges in time, ends before begins of the same moment: slice(from, to) for each stretch between two different times, at which
// nothing begins or ends, and cross(edge) for each edge. Sorts `edges`. An empty interval must not be among them: it would end before it begins.
template <class Slice, class Cross>
void sweep(std::vector<edge>& edges, Slice slice, Cross cross) {
  sort_in_place(edges, [](const edge& a, const edge& b) {
    return a.at != b.at ? a.at < b.at : a.begins != b.begins ? b.begins : a.what < b.what;
  });
  for (std::size_t i = 0; i < edges.size(); ++i) {
    if (i > 0 && edges[i - 1].at < edges[i].at) slice(edges[i - 1].at, edges[i].at);
    cross(static_cast<const edge&>(edges[i]));
  }
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/interval-inl.hpp>
#endif
