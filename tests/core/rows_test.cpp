// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include <hotpath/core/random.hpp>
#include <hotpath/core/rows.hpp>
#include <hotpath/core/sort.hpp>

using namespace hotpath;

TEST_CASE("core: rows: grows, copies and moves as a vector does") {
  rows<int> r;
  CHECK(r.empty());
  const rows<int> none = r;
  CHECK(none.size() == 0);
  for (int i = 0; i < 1000; ++i) r.push_back(i);
  r.push_back(r[3]);  // an element of itself, while it grows
  for (int i = 0; i < 1000; ++i) REQUIRE(r[static_cast<std::size_t>(i)] == i);
  CHECK(r.back() == 3);
  rows<int> copy = r;
  copy[0] = 7;
  CHECK(r[0] == 0);
  const int* where = copy.data();
  rows<int> moved = std::move(copy);
  CHECK(moved.data() == where);
  moved = r;
  CHECK(moved[0] == 0);
  moved.append(std::vector<int>{5, 6});
  CHECK(moved.size() == 1003);
  moved.truncate(2);
  CHECK(std::accumulate(moved.begin(), moved.end(), 0) == 1);
  moved.clear();
  CHECK(moved.empty());
}

TEST_CASE("core: sort: agrees with std::sort on ordered, reversed, equal, random and adversarial arrays") {
  stats::xoshiro256 random{42};
  const auto less = [](int a, int b) { return a < b; };
  for (std::size_t n : {0u, 1u, 2u, 3u, 24u, 25u, 26u, 100u, 1000u, 5000u})
    for (int shape = 0; shape < 6; ++shape) {
      std::vector<int> v(n);
      for (std::size_t i = 0; i < n; ++i) {
        const int k = static_cast<int>(i);
        v[i] = shape == 0 ? k : shape == 1 ? -k : shape == 2 ? 1 : shape == 3 ? static_cast<int>(random.below(n + 1)) : shape == 4 ? (k < static_cast<int>(n / 2) ? k : static_cast<int>(n) - k) : static_cast<int>(random.below(4));
      }
      std::vector<int> want = v, heap = v;
      std::sort(want.begin(), want.end());
      sort_in_place(v.data(), v.data() + n, less);
      REQUIRE(v == want);
      hotpath::detail::heap_sort(heap.data(), heap.data() + n, less);
      REQUIRE(heap == want);
    }
}

TEST_CASE("core: sort: an array that defeats the median of three still costs n log n comparisons") {
  // Musser's permutation: every median-of-three choice is among the smallest left.
  const std::size_t n = 4096, k = n / 2;
  std::vector<int> v(n);
  for (std::size_t i = 1; i <= k; ++i) {
    if (i % 2 == 1) v[i - 1] = static_cast<int>(i), v[i] = static_cast<int>(k + i);
    v[k + i - 1] = static_cast<int>(2 * i);
  }
  std::size_t compared = 0;
  sort_in_place(v.data(), v.data() + n, [&](int a, int b) { return ++compared, a < b; });
  CHECK(std::is_sorted(v.begin(), v.end()));
  CHECK(compared < 12 * n * 12);  // log2(4096) = 12; quadratic would be above 4 million
}

TEST_CASE("core: rows: elements of the array itself are appended to it while it moves") {
  rows<std::uint64_t> r;
  for (std::uint64_t i = 0; i < 16; ++i) r.push_back(i);
  std::vector<rows<std::uint64_t>> neighbours;  // so that it cannot grow in place
  while (r.size() < 100'000) {
    neighbours.emplace_back().push_back(1);
    const std::size_t n = r.size();
    r.append({r.data() + n / 2, n / 2});
    REQUIRE(r.size() == n + n / 2);
    bool right = true;
    for (std::size_t i = 0; i < n / 2; ++i) right &= r[n + i] == r[n / 2 + i];
    REQUIRE(right);
  }
  for (std::size_t i = 0; i < 16; ++i) CHECK(r[i] == i);
}
