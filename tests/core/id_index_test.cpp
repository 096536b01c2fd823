// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/core/detail/id_index.hpp>
#include <set>

namespace detail = hotpath::detail;

TEST_CASE("core: a hash of two numbers keeps apart pairs of equal numbers, pairs with one difference, and small ones") {
  std::set<std::uint64_t> equal, small_pairs;
  for (std::uint64_t i = 0; i < 5'000; ++i) equal.insert(detail::mix(i, i) & 0xFFFFFF);
  CHECK(equal.size() > 4'990);
  for (std::uint64_t i = 0; i < 100; ++i)
    for (std::uint64_t j = 0; j < 100; ++j) small_pairs.insert(detail::mix(i, j));
  CHECK(small_pairs.size() == 10'000);
}

TEST_CASE("core: ids that were made to have one hash by calculating back from it are spread, and ids in a row stay side by side") {
  // Ids for which one multiplication and one shift leave zeros in the low 26 bits: h = x * k; h ^ h >> 32.
  constexpr std::uint64_t k = 0xd6e8feb86659fd93u;
  std::uint64_t inverse = k;
  for (int i = 0; i < 6; ++i) inverse *= 2 - k * inverse;
  REQUIRE(k * inverse == 1);
  std::set<std::uint64_t> places;
  std::size_t ids = 0;
  for (std::uint64_t j = 1; ids < 2'000; ++j) {
    const std::uint64_t r = j << 26, x = (r ^ r >> 32) * inverse;
    if (x >> 60 != 0) continue;
    ++ids;
    places.insert(detail::id_hash(0, x << 4) & 0xFFFFFF);
  }
  CHECK(places.size() > 1'990);
  for (std::uint64_t i = 1; i < 16; ++i) CHECK(detail::id_hash(3, 1'000'000 * 16 + i) == detail::id_hash(3, 1'000'000 * 16) + i);
}

TEST_CASE("core: an index of ids is a map of (group, id)") {
  detail::id_index index;
  for (std::uint32_t i = 0; i < 5'000; ++i) {
    bool fresh = false;
    CHECK(index.insert(i % 7, i / 7, i, &fresh) == i);
    CHECK(fresh);
  }
  for (std::uint32_t i = 0; i < 5'000; ++i) CHECK(index.find(i % 7, i / 7) == i);
  CHECK(index.find(8, 1) == detail::id_index::none);
  CHECK(index.size() == 5'000);
}
