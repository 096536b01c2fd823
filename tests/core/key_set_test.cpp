// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/core/key_set.hpp>
#include <random>
#include <set>

TEST_CASE("core: a set of keys is one, through growth, for 0, and for keys that differ in their high bits alone") {
  hotpath::key_set mine;
  std::set<std::uint64_t> truth;
  CHECK_FALSE(mine.contains(0));
  std::mt19937_64 random{7};
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t key = i == 100 ? 0 : i % 3 == 0 ? random() % 5'000 + 2 : (random() % 5'000) << 40;
    if (key == 1) continue;  // the same place as 0: two keys of 2^64
    REQUIRE(mine.contains(key) == truth.contains(key));
    REQUIRE(mine.insert(key) == truth.insert(key).second);
    REQUIRE(mine.size() == truth.size());
  }
  CHECK(truth.size() > 2'000);
  for (const std::uint64_t key : truth) REQUIRE(mine.contains(key));
}
