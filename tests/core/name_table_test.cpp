// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <unordered_map>

#include <hotpath/core/name_table.hpp>
#include <hotpath/core/random.hpp>

using namespace hotpath;

TEST_CASE("core: name_table: equal texts have one id, and ids are given in order") {
  name_table t;
  CHECK(t.size() == 1);
  CHECK(t.intern("") == 0);
  CHECK(t[0].empty());
  CHECK(t.intern("gemm") == 1);
  CHECK(t.intern("norm") == 2);
  CHECK(t.intern("gemm") == 1);
  CHECK(t[2] == "norm");
  CHECK(t.find("norm") == 2);
  CHECK(t.find("absent") == 0);
  CHECK(t.size() == 3);
}

TEST_CASE("core: name_table: agrees with a standard map on 100,000 texts of every length, also as a copy") {
  name_table t;
  std::unordered_map<std::string, name_id> known{{"", 0}};
  stats::xoshiro256 random{7};
  const auto text = [&] {
    std::string s(random.below(60), 'x');
    for (char& c : s) c = static_cast<char>('a' + random.below(random.below(2) == 0 ? 2 : 26));
    return s;
  };
  for (int i = 0; i < 100'000; ++i) {
    const std::string s = text();
    const auto [at, fresh] = known.try_emplace(s, static_cast<name_id>(known.size()));
    REQUIRE((i % 2 == 0 ? t.intern(s) : t.intern(s, t.expect(s))) == at->second);
  }
  const std::string_view before = t[1];
  const name_table copy = t;
  CHECK(copy.size() == known.size());
  for (const auto& [s, id] : known) {
    REQUIRE(copy[id] == s);
    REQUIRE(copy.find(s) == id);
  }
  CHECK(copy[1].data() != before.data());
  const name_table moved = std::move(t);
  CHECK(moved[1].data() == before.data());  // views outlive a move
}

TEST_CASE("core: name_table: F-TRC-15 F-TRC-16 long texts are cut, texts beyond the limit share one id, both are counted") {
  name_table t{{.bytes = 8, .distinct = 3}};
  CHECK(t[t.intern("123456789")] == "12345678");
  CHECK(t.cut() == 1);
  const name_id b = t.intern("b"), c = t.intern("c");
  const name_id more = t.intern("d");
  CHECK(t[more] == name_table::beyond_limit.substr(0, 8));
  CHECK(t.intern("e") == more);
  CHECK(t.intern("b") == b);
  CHECK(t.intern("c") == c);
  CHECK(t.refused() == 2);
  CHECK(t.size() == 5);
}

TEST_CASE("core: name_table: a table that was moved from is an empty one") {
  name_table t{{.bytes = 8, .distinct = 3}};
  t.intern("a");
  name_table taken = std::move(t);
  CHECK(taken[1] == "a");
  CHECK(t.size() == 1);
  CHECK(t.find("a") == 0);
  CHECK(t.intern("b", t.expect("b")) == 1);
  CHECK(t[t.intern("123456789")] == "12345678");
  t = std::move(taken);
  CHECK(t.find("a") == 1);
  CHECK(taken.find("a") == 0);
}
