// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/interval-inl.hpp - bodies of kernel/interval.hpp.
#pragma once
#include <hotpath/kernel/interval.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

HOTPATH_FN void unite(std::vector<interval>& set) {
  sort_in_place(set, [](const interval& a, const interval& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  std::size_t kept = 0;
  for (const interval i : set) {
    if (i.end <= i.begin) continue;
    if (kept > 0 && i.begin <= set[kept - 1].end) {
      if (set[kept - 1].end < i.end) set[kept - 1].end = i.end;
    } else {
      set[kept++] = i;
    }
  }
  set.resize(kept);
}

HOTPATH_FN nanoseconds length(std::span<const interval> set) {
  nanoseconds sum;
  for (const interval& i : set)
    if (i.begin < i.end) sum += i.end - i.begin;
  return sum;
}

HOTPATH_FN std::vector<interval> intersect(std::span<const interval> a, std::span<const interval> b) {
  std::vector<interval> out;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const nanoseconds begin = a[i].begin < b[j].begin ? b[j].begin : a[i].begin, end = a[i].end < b[j].end ? a[i].end : b[j].end;
    if (begin < end) out.push_back({begin, end});
    if (a[i].end < b[j].end) ++i;
    else ++j;
  }
  return out;
}

HOTPATH_FN std::vector<interval> subtract(std::span<const interval> a, std::span<const interval> b) {
  std::vector<interval> out;
  std::size_t j = 0;
  for (const interval& whole : a) {
    nanoseconds from = whole.begin;
    while (j < b.size() && b[j].end <= from) ++j;
    for (std::size_t k = j; k < b.size() && b[k].begin < whole.end; ++k) {  // the last of these may reach into the next of a: j stays before it
      if (from < b[k].begin) out.push_back({from, b[k].begin});
      if (from < b[k].end) from = b[k].end;
      j = k;
    }
    if (from < whole.end) out.push_back({from, whole.end});
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
