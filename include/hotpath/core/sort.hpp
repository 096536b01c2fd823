// SPDX-License-Identifier: Apache-2.0
// hotpath/core/sort.hpp - sorts an array in place, for headers that cannot pay for <algorithm> (25,000 preprocessed lines).
//   An array that is in order costs one pass. Else quicksort with the median of three, heapsort where that goes wrong, insertion
//   for short pieces: O(n log n) at worst, no memory. Not stable: give `less` a total order where that matters.
//
//     hotpath::sort_in_place(first, last, [](const event& a, const event& b) { return a.begin < b.begin; });
#pragma once
#include <cstddef>
#include <utility>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI {

namespace detail {
template <class T, class Less>
void insertion_sort(T* first, T* last, Less& less) {
  for (T* i = first; i != last; ++i) {
    T moved = std::move(*i);
    T* to = i;
    for (; to != first && less(moved, to[-1]); --to) *to = std::move(to[-1]);
    *to = std::move(moved);
  }
}
template <class T, class Less>
void sift_down(T* a, std::size_t i, std::size_t n, Less& less) {
  for (std::size_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && less(a[child], a[child + 1])) ++child;
    if (!less(a[i], a[child])) return;
    std::swap(a[i], a[child]);
  }
}
template <class T, class Less>
void heap_sort(T* first, T* last, Less& less) {
  std::size_t n = static_cast<std::size_t>(last - first);
  for (std::size_t i = n / 2; i-- > 0;) sift_down(first, i, n, less);
  for (; n > 1; sift_down(first, 0, --n, less)) std::swap(first[0], first[n - 1]);
}
template <class T, class Less>
void quick_sort(T* first, T* last, Less& less, unsigned depth) {
  while (last - first > 24) {
    if (depth-- == 0) return heap_sort(first, last, less);
    T* const middle = first + (last - first) / 2;
    if (less(*middle, *first)) std::swap(*middle, *first);
    if (less(last[-1], *middle)) {
      std::swap(last[-1], *middle);
      if (less(*middle, *first)) std::swap(*middle, *first);
    }
    const T pivot = *middle;
    T *left = first, *right = last - 1;  // Hoare: both ends hold sentinels of the median
    while (true) {
      while (less(*left, pivot)) ++left;
      while (less(pivot, *right)) --right;
      if (left >= right) break;
      std::swap(*left++, *right--);
    }
    T* const cut = right + 1;
    if (cut - first < last - cut) {  // the shorter side by recursion: the depth stays logarithmic
      quick_sort(first, cut, less, depth);
      first = cut;
    } else {
      quick_sort(cut, last, less, depth);
      last = cut;
    }
  }
  insertion_sort(first, last, less);
}
}  // namespace detail

template <class T, class Less>
void sort_in_place(T* first, T* last, Less less) {
  bool ordered = true;
  for (T* i = first; ordered && last - i > 1; ++i) ordered = !less(i[1], i[0]);
  if (ordered) return;
  unsigned depth = 0;
  for (std::size_t n = static_cast<std::size_t>(last - first); n != 0; n /= 2) depth += 2;
  detail::quick_sort(first, last, less, depth);
}

// The same for a vector or rows.
template <class Rows, class Less>
void sort_in_place(Rows& all, Less less) {
  sort_in_place(all.data(), all.data() + all.size(), less);
}

// The first element that is not before what is sought, in an array where those before it come first; `last` if there is none.
template <class T, class Before>
T* find_first_not(T* first, T* last, Before before) {
  for (std::ptrdiff_t n = last - first; n > 0;) {
    const std::ptrdiff_t half = n / 2;
    if (before(first[half])) first += half + 1, n -= half + 1;
    else n = half;
  }
  return first;
}

}  // namespace hotpath::inline HOTPATH_ABI
