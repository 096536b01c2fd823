// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <hotpath/core/random.hpp>
#include <hotpath/kv.hpp>
#include <map>
#include <list>

using namespace hotpath;

namespace {
void check_sound(const kv::pool& p) {
  const auto sound = p.check();
  if (!sound) FAIL_CHECK(sound.error().message());
}

// The pool as it would be written without a thought for time: everything is searched for.
struct naive_pool {
  std::map<kv::block_id, std::uint32_t> references;    // held blocks
  std::map<kv::block_hash, kv::block_id> names;
  std::list<kv::block_id> cached;                      // oldest first
  std::size_t size;

  explicit naive_pool(std::size_t n) : size(n) {}
  std::size_t available() const { return size - references.size(); }
  std::size_t share(std::span<const kv::block_hash> chain, std::vector<kv::block_id>& out) {
    std::size_t n = 0;
    for (; n < chain.size() && names.count(chain[n]) != 0; ++n) {
      const kv::block_id b = names[chain[n]];
      if (references[b]++ == 0) cached.remove(b);
      out.push_back(b);
    }
    return n;
  }
  // Which numbers it hands out is the pool's own affair: `taken` is what the real one gave.
  std::size_t allocate(std::span<const kv::block_id> taken) {
    std::size_t evictions = 0;
    for (const kv::block_id b : taken) {
      REQUIRE(references.count(b) == 0);
      const bool none_free = references.size() + cached.size() == size;
      if (none_free) {
        ++evictions;
        REQUIRE(cached.front() == b);                  // the least recently used one
        cached.pop_front();
        std::erase_if(names, [&](const auto& n) { return n.second == b; });
      } else {
        REQUIRE(std::find(cached.begin(), cached.end(), b) == cached.end());
      }
      references[b] = 1;
    }
    return evictions;
  }
  bool publish(kv::block_id b, kv::block_hash name) {
    if (names.count(name) != 0 || std::any_of(names.begin(), names.end(), [&](const auto& n) { return n.second == b; })) return false;
    names[name] = b;
    return true;
  }
  void release(std::span<const kv::block_id> table) {
    for (std::size_t i = table.size(); i-- > 0;) {
      if (--references[table[i]] != 0) continue;
      references.erase(table[i]);
      if (std::any_of(names.begin(), names.end(), [&](const auto& n) { return n.second == table[i]; })) cached.push_back(table[i]);
    }
  }
};

std::vector<kv::block_hash> chain(std::uint64_t prompt, std::size_t n) {
  std::vector<kv::block_hash> names;
  std::vector<kv::token> tokens;
  for (std::size_t i = 0; i < n; ++i) tokens.push_back(static_cast<kv::token>(prompt >> std::min<std::size_t>(2 * i, 63)));  // common heads
  std::reverse(tokens.begin(), tokens.end());
  kv::hash_blocks(kv::mix_hash{}, tokens, 1, names);
  return names;
}
}  // namespace

TEST_CASE("kv: a pool does what a naive one does, over 60,000 random operations") {
  for (const std::uint32_t size : {1u, 2u, 7u, 64u}) {
    CAPTURE(size);
    stats::xoshiro256 random{size};
    kv::pool pool{size};
    naive_pool naive{size};
    struct request {
      std::vector<kv::block_id> table;
      std::vector<kv::block_hash> names;
      std::size_t published = 0;
    };
    std::vector<request> open;
    kv::pool_stats expected;
    for (int i = 0; i < 15'000; ++i) {
      const std::uint64_t what = random.below(10);
      if (what < 4) {
        request r;
        r.names = chain(random.below(1u << 6), 1 + random.below(8));
        REQUIRE(pool.cached_prefix(r.names) == static_cast<std::size_t>(std::find_if(r.names.begin(), r.names.end(), [&](auto n) { return naive.names.count(n) == 0; }) - r.names.begin()));
        std::vector<kv::block_id> also;
        r.published = pool.share(r.names, r.table);
        REQUIRE(naive.share(r.names, also) == r.published);
        REQUIRE(also == r.table);
        expected.looked_up += r.names.size(), expected.shared += r.published;
        const std::size_t want = r.names.size() - r.published;
        const bool fits = want <= naive.available();
        REQUIRE(pool.allocate(want, r.table) == fits);
        if (fits) {
          expected.evicted += naive.allocate(std::span{r.table}.subspan(r.published));
          expected.allocated += want;
          open.push_back(std::move(r));
        } else {
          REQUIRE(r.table == also);
          pool.release(r.table), naive.release(r.table);
        }
      } else if (what < 7 && !open.empty()) {
        request& r = open[random.below(open.size())];
        if (r.published < r.names.size()) {
          const bool fresh = naive.publish(r.table[r.published], r.names[r.published]);
          REQUIRE(pool.publish(r.table[r.published], r.names[r.published]) == fresh);
          ++(fresh ? expected.published : expected.duplicates);
          ++r.published;
        }
      } else if (what == 7 && !open.empty()) {
        request copy;
        copy.table = open[random.below(open.size())].table;
        for (const kv::block_id b : copy.table) pool.hold(b), ++naive.references[b];
        open.push_back(std::move(copy));
      } else if (!open.empty()) {
        std::swap(open[random.below(open.size())], open.back());
        pool.release(open.back().table), naive.release(open.back().table);
        open.pop_back();
      }
      REQUIRE(pool.available() == naive.available());
      REQUIRE(pool.held() == naive.references.size());
      REQUIRE(pool.cached() == naive.cached.size());
      if (i % 16 == 0) check_sound(pool);
    }
    for (const auto& [b, n] : naive.references) CHECK(pool.references(b) == n);
    CHECK(pool.stats().looked_up == expected.looked_up);
    CHECK(pool.stats().shared == expected.shared);
    CHECK(pool.stats().allocated == expected.allocated);
    CHECK(pool.stats().published == expected.published);
    CHECK(pool.stats().duplicates == expected.duplicates);
    CHECK(pool.stats().evicted == expected.evicted);
    for (const request& r : open) pool.release(r.table);
    CHECK(pool.available() == size);
    check_sound(pool);
  }
}

TEST_CASE("kv: of a chain let go, the tail makes room first, and the head is found last") {
  kv::pool p{4};
  const auto names = chain(27, 4);
  std::vector<kv::block_id> table, other;
  REQUIRE(p.allocate(4, table));
  for (std::size_t i = 0; i < 4; ++i) CHECK(p.publish(table[i], names[i]));
  p.release(table);
  for (std::size_t left = 4; left-- > 0;) {
    REQUIRE(p.allocate(1, other));
    CHECK(other.back() == table[left]);
    CHECK(p.cached_prefix(names) == left);
  }
  CHECK(p.stats().evicted == 4);
  CHECK_FALSE(p.allocate(1, other));
  CHECK(other.size() == 4);
  check_sound(p);
}

TEST_CASE("kv: what is held is never evicted, and sharing it keeps it from being evicted") {
  kv::pool p{3};
  const auto names = chain(9, 2);
  std::vector<kv::block_id> first, second, rest;
  REQUIRE(p.allocate(2, first));
  p.publish(first[0], names[0]), p.publish(first[1], names[1]);
  REQUIRE(p.share(names, second) == 2);
  CHECK(second == first);
  p.release(first);
  CHECK(p.available() == 1);
  CHECK_FALSE(p.allocate(2, rest));
  REQUIRE(p.allocate(1, rest));
  CHECK(p.cached_prefix(names) == 2);
  p.release(second);
  CHECK(p.cached() == 2);
  CHECK(p.held() == 1);
}

TEST_CASE("kv: of two blocks with the same content one is findable, and the other is free as soon as it is let go") {
  kv::pool p{3};
  std::vector<kv::block_id> a, b, found;
  REQUIRE(p.allocate(1, a));
  REQUIRE(p.allocate(1, b));
  CHECK(p.publish(a[0], 5));
  CHECK_FALSE(p.publish(b[0], 5));
  CHECK_FALSE(p.publish(a[0], 6));  // it has a name
  const kv::block_hash name = 5;
  REQUIRE(p.share({&name, 1}, found) == 1);
  CHECK(found[0] == a[0]);
  p.release(b);
  CHECK(p.cached() == 0);
  CHECK(p.available() == 2);
  CHECK(p.stats().duplicates == 1);
}

TEST_CASE("kv: forgetting frees what nobody holds and hides what is held") {
  kv::pool p{4};
  const auto names = chain(9, 3);
  std::vector<kv::block_id> table, again;
  REQUIRE(p.allocate(3, table));
  for (std::size_t i = 0; i < 3; ++i) p.publish(table[i], names[i]);
  p.release(std::span{table}.subspan(1));
  CHECK(p.forget() == 2);
  CHECK(p.cached_prefix(names) == 0);
  CHECK(p.held() == 1);
  CHECK(p.cached() == 0);
  check_sound(p);
  CHECK(p.publish(table[0], names[0]));
  p.release(std::span{table}.first(1));
  CHECK(p.share(names, again) == 1);
  check_sound(p);
}

TEST_CASE("kv: names that fall into the same place of the table are kept apart, whatever order they go in") {
  kv::pool p{8};
  std::vector<kv::block_id> table;
  REQUIRE(p.allocate(8, table));
  // The table of 8 blocks has 32 places: these names begin at 30, 31 and 0 and run over its end.
  const kv::block_hash names[] = {30, 62, 94, 31, 63, 0, 32, 1};
  for (std::size_t i = 0; i < 8; ++i) REQUIRE(p.publish(table[i], names[i]));
  check_sound(p);
  std::vector<std::size_t> order{3, 0, 5, 1, 7, 2, 6, 4};
  for (const std::size_t i : order) p.release({&table[i], 1});
  std::vector<kv::block_id> taken;
  for (std::size_t gone = 0; gone < 8; ++gone) {
    REQUIRE(p.allocate(1, taken));
    CHECK(taken.back() == table[order[gone]]);
    for (std::size_t k = 0; k < 8; ++k) CHECK(p.cached_prefix({&names[order[k]], 1}) == (k > gone ? 1 : 0));
    check_sound(p);
  }
}

TEST_CASE("kv: a pool of no blocks is full, and asking nothing of a full pool succeeds") {
  kv::pool p{0};
  std::vector<kv::block_id> table;
  CHECK_FALSE(p.allocate(1, table));
  CHECK(p.allocate(0, table));
  CHECK(p.share({}, table) == 0);
  CHECK(p.cached_prefix(chain(1, 1)) == 0);
  check_sound(p);
}
