// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/core/random.hpp>
#include <hotpath/kv/hash.hpp>
#include <set>
#include <support/data.hpp>
#if __has_include(<xxhash.h>)
#include <hotpath/kv/xxhash.hpp>
#endif

using namespace hotpath;

namespace {
std::vector<kv::token> counting(std::size_t n, kv::token from = 0) {
  std::vector<kv::token> v;
  for (std::size_t i = 0; i < n; ++i) v.push_back(from + static_cast<kv::token>(i));
  return v;
}

template <class Hash>
std::vector<kv::block_hash> names_of(const Hash& hash, std::span<const kv::token> tokens, std::size_t block) {
  std::vector<kv::block_hash> names;
  kv::hash_blocks(hash, tokens, block, names);
  return names;
}

// Names agree exactly as far as the tokens do, over random pairs with a common prefix.
template <class Hash>
void check_chain() {
  stats::xoshiro256 random{11};
  for (int round = 0; round < 2000; ++round) {
    const std::size_t block = 1 + random.below(40), size = random.below(400);
    auto a = counting(0);
    for (std::size_t i = 0; i < size; ++i) a.push_back(static_cast<kv::token>(random.next()));
    auto b = a;
    std::size_t same = size;
    if (size != 0 && random.below(4) != 0) {
      same = random.below(size);
      b[same] ^= static_cast<kv::token>(1u << random.below(32));
    }
    const auto x = names_of(Hash{3}, a, block), y = names_of(Hash{3}, b, block);
    REQUIRE(x.size() == size / block);
    for (std::size_t i = 0; i < x.size(); ++i) REQUIRE((x[i] == y[i]) == ((i + 1) * block <= same));
  }
}
}  // namespace

// Computed by a second implementation in another language, from the formula.
TEST_CASE("kv: names of blocks have known answers") {
  constexpr kv::mix_hash plain, salted{42};
  CHECK(plain.root() == 0xf90109d2335f6b4f);
  CHECK(salted.root() == 0xf088f042bec86f7e);
  const struct { std::size_t n; kv::block_hash plain, salted; } known[] = {
      {1, 0x3852f755a36b9cff, 0xcc48216c57d2fcf6},  {2, 0xc2fb2cc837617f51, 0xa20237d7a6a102d0},  {7, 0xf4b4c16ec8ff3d35, 0x98c6f2c5f09224de},
      {8, 0xfc25296253db7a94, 0xf6e316359c929e0b}, {16, 0x913fceee17903c0d, 0xe7553379cff9b0ff}, {17, 0xb9d2faa713d17bc9, 0x7429477772983e82}};
  for (const auto& k : known) {
    CAPTURE(k.n);
    CHECK(plain(plain.root(), counting(k.n)) == k.plain);
    CHECK(salted(salted.root(), counting(k.n)) == k.salted);
  }
  CHECK(names_of(plain, counting(50), 16) == std::vector<kv::block_hash>{0x913fceee17903c0d, 0xb3b123600987c5d8, 0xe145b02bdfc5348f});
}

TEST_CASE("kv: a name stands for all tokens up to the end of its block, and for nothing after it") { check_chain<kv::mix_hash>(); }

TEST_CASE("kv: hashing goes on where it stopped, and gives the same names as all at once") {
  const auto tokens = counting(1000, 7);
  std::vector<kv::block_hash> grown;
  for (std::size_t n = 0; n <= tokens.size(); n += 13) {
    kv::hash_blocks(kv::mix_hash{}, std::span{tokens}.first(n), 16, grown);
    CHECK(grown.size() == n / 16);
  }
  CHECK(grown == names_of(kv::mix_hash{}, std::span{tokens}.first(988), 16));
}

TEST_CASE("kv: no tokens, no full block, or a block of no tokens: no names") {
  CHECK(names_of(kv::mix_hash{}, {}, 16).empty());
  CHECK(names_of(kv::mix_hash{}, counting(15), 16).empty());
  CHECK(names_of(kv::mix_hash{}, counting(15), 0).empty());
}

TEST_CASE("kv: names of a million different blocks differ, in one chain and under one parent") {
  std::vector<kv::block_hash> names = names_of(kv::mix_hash{}, counting(500'000), 1);
  for (kv::token i = 0; i < 500'000; ++i) {
    const kv::token block[] = {i, 5, 5, 5};
    names.push_back(kv::mix_hash{}(kv::mix_hash{}.root(), block));
  }
  const std::set<kv::block_hash> distinct{names.begin(), names.end()};
  CHECK(distinct.size() == names.size());
}

TEST_CASE("kv: one changed bit of a token, of the parent or of the salt changes half the bits of a name") {
  stats::xoshiro256 random{5};
  double changed = 0;
  constexpr int rounds = 6000;
  for (int i = 0; i < rounds; ++i) {
    std::vector<kv::token> block;
    for (int k = 0; k < 16; ++k) block.push_back(static_cast<kv::token>(random.below(128'000)));
    const std::uint64_t parent = random.next(), salt = random.next(), before = kv::mix_hash{salt}(parent, block);
    std::uint64_t after = 0;
    if (i % 3 == 0) after = kv::mix_hash{salt}(parent ^ 1ull << random.below(64), block);
    else if (i % 3 == 1) after = kv::mix_hash{salt ^ 1ull << random.below(64)}(parent, block);
    else block[random.below(16)] ^= 1u << random.below(17), after = kv::mix_hash{salt}(parent, block);
    changed += __builtin_popcountll(before ^ after);
  }
  CHECK(changed / rounds == doctest::Approx(32).epsilon(0.01));
}

TEST_CASE("kv: block names by xxHash form a chain too") {
#if __has_include(<xxhash.h>)
  check_chain<kv::xxh3_hash>();
  CHECK(kv::xxh3_hash{0}.root() == 0xc77b3abb6f87acd9);  // XXH3_64bits of eight zero bytes
  CHECK(kv::xxh3_hash{1}.root() != kv::xxh3_hash{2}.root());
#else
  hotpath_test::skip("xxhash.h is not installed (apt-get install libxxhash-dev)");
#endif
}
